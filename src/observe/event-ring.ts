// The newest events, for listeners that were away for a moment: a ring with a bound on how many there are and on what they weigh, and
// the list of those who listen. Whoever asks for what is gone is told so, and never given a part as if it were all.

import { FEED_LIMITS } from '../feed-limits.ts'
import type { FeedEvent, FeedPlace } from '../core/feed.ts'

export interface EventRing {
  add(event: FeedEvent): void
  /** One that was written just before all that are here; false: it was not, or there is no room for it, nor for any before it. */
  addOlder(event: FeedEvent): boolean
  /** Nothing older will come. */
  restored(): void
  /** What came after this place; undefined where some of it is gone, or was never there: then ask anew for everything. */
  after(place: FeedPlace): readonly FeedEvent[] | undefined
  /** The place of the newest event; its number is 0 before the first. */
  readonly head: FeedPlace
  /** Called with each event as it is written. Returns the way to stop. */
  follow(listener: (event: FeedEvent) => void): () => void
}

export function openEventRing(bounds: { readonly countMax: number; readonly bytesMax: number } = { countMax: FEED_LIMITS.eventsMax, bytesMax: FEED_LIMITS.eventsBytesMax }): EventRing {
  let events: FeedEvent[] = []
  let older: FeedEvent[] = []
  let from = 0
  let bytes = 0
  let head: FeedPlace = { id: 0 }
  const listeners = new Set<(event: FeedEvent) => void>()

  function cut(): void {
    while (events.length - from + older.length > bounds.countMax || bytes > bounds.bytesMax) bytes -= (older.pop() ?? events[from++])?.line.length ?? 0
    if (from <= bounds.countMax) return
    events = events.slice(from)
    from = 0
  }

  /** Numbers without a gap are what `after` counts by; what is on the other side of one is not remembered. */
  function forgetAll(): void {
    events = []
    older = []
    from = 0
    bytes = 0
  }

  const markOf = (id: number): string | undefined => (id === head.id ? head.mark : events[from + id - (events[from]?.id ?? 0)]?.mark)

  return {
    get head() {
      return head
    },
    add(event) {
      if (head.id !== 0 && event.id !== head.id + 1) forgetAll()
      events.push(event)
      head = event
      bytes += event.line.length
      cut()
      for (const listener of listeners) listener(event)
    },
    addOlder(event) {
      const next = older.at(-1) ?? events[from]
      if ((next !== undefined && event.id !== next.id - 1) || events.length - from + older.length >= bounds.countMax || bytes + event.line.length > bounds.bytesMax) return false
      older.push(event)
      bytes += event.line.length
      if (event.id > head.id) head = event
      return true
    },
    restored() {
      events = [...older.toReversed(), ...events.slice(from)]
      older = []
      from = 0
    },
    after({ id, mark }) {
      // A record of this number, and another one: it was told before a crash took it.
      if (mark !== undefined && markOf(id) !== mark) return undefined
      if (id === head.id) return []
      const oldest = events[from]
      if (id > head.id || oldest === undefined || id < oldest.id - 1) return undefined
      // They are numbered without a gap.
      return events.slice(from + (id - oldest.id + 1))
    },
    follow(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
