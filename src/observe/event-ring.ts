// The newest events, for listeners that were away for a moment: a ring with a bound on how many there are and on what they weigh, and
// the list of those who listen. Whoever asks for what is gone is told so, and never given a part as if it were all.

import { FEED_LIMITS } from '../feed-limits.ts'
import type { FeedEvent } from '../core/feed.ts'

export interface EventRing {
  add(event: FeedEvent): void
  /** One that was written before all that are here; false: there is no room for it, nor for any before it. */
  addOlder(event: FeedEvent): boolean
  /** Nothing older will come. */
  restored(): void
  /** What came after this number; undefined where some of it is gone, or was never there: then ask anew for everything. */
  after(id: number): readonly FeedEvent[] | undefined
  /** The number of the newest event; 0 before the first. */
  readonly head: number
  /** Called with each event as it is written. Returns the way to stop. */
  follow(listener: (event: FeedEvent) => void): () => void
}

export function openEventRing(bounds: { readonly countMax: number; readonly bytesMax: number } = { countMax: FEED_LIMITS.eventsMax, bytesMax: FEED_LIMITS.eventsBytesMax }): EventRing {
  let events: FeedEvent[] = []
  let older: FeedEvent[] = []
  let from = 0
  let bytes = 0
  let head = 0
  const listeners = new Set<(event: FeedEvent) => void>()

  function cut(): void {
    while (events.length - from + older.length > bounds.countMax || bytes > bounds.bytesMax) bytes -= (older.pop() ?? events[from++])?.line.length ?? 0
    if (from <= bounds.countMax) return
    events = events.slice(from)
    from = 0
  }

  return {
    get head() {
      return head
    },
    add(event) {
      events.push(event)
      head = event.id
      bytes += event.line.length
      cut()
      for (const listener of listeners) listener(event)
    },
    addOlder(event) {
      if (events.length - from + older.length >= bounds.countMax || bytes + event.line.length > bounds.bytesMax) return false
      older.push(event)
      bytes += event.line.length
      head = Math.max(head, event.id)
      return true
    },
    restored() {
      events = [...older.toReversed(), ...events.slice(from)]
      older = []
      from = 0
    },
    after(id) {
      if (id === head) return []
      const oldest = events[from]
      if (id > head || oldest === undefined || id < oldest.id - 1) return undefined
      // They are numbered without a gap.
      return events.slice(from + (id - oldest.id + 1))
    },
    follow(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
