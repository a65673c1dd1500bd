// The event stream: what happens, as it happens, for consoles and programs (Server-Sent Events, as HTML's EventSource reads them). Whoever
// listens was admitted once and is judged again and again; whoever reads too slowly is told so and cut off, and costs nobody anything.

import { Readable } from 'node:stream'
import { STREAM_LIMITS } from '../feed-limits.ts'
import { deny } from '../core/decision.ts'
import { failureOf } from '../core/errors.ts'
import { placeText, type FeedEvent, type FeedKind, type FeedPlace } from '../core/feed.ts'
import type { RegistryView } from '../core/registry.ts'

/** Where events come from. */
export interface EventSource {
  /** The place of the newest; its number is 0 before the first. */
  readonly head: FeedPlace
  /** What came after this place; undefined where that cannot be said of all. */
  after(place: FeedPlace): readonly FeedEvent[] | undefined
  follow(listener: (event: FeedEvent) => void): () => void
}

export interface Listening {
  /** All, where none are named. */
  readonly kinds?: readonly FeedKind[] | undefined
  readonly device?: string | undefined
  /** Go on behind this event. */
  readonly after?: FeedPlace | undefined
  /** Who listens: one may have so many streams. */
  readonly operator: string
  /** May it still listen? Asked whenever the registry has changed, and now and then. */
  readonly isAllowed: () => boolean
  /** Is this event of what it may see? */
  readonly maySee?: (event: FeedEvent) => boolean
  /** Aborted when it is gone. */
  readonly signal: AbortSignal
}

export interface EventStreams extends Disposable {
  /** Reason: listeners-limit. */
  open(listening: Listening): Readable
  readonly size: number
}

interface Listener extends Pick<Listening, 'operator' | 'isAllowed'> {
  readonly body: Readable
  hears(event: FeedEvent): boolean
  /** The last event that it was told, or that was not for it. */
  told: number
  /** It has to read first. */
  full: boolean
  ending: NodeJS.Timeout | undefined
}

export interface EventStreamsPorts {
  readonly source: EventSource
  readonly view: Pick<RegistryView, 'onChange'>
  /** How long between two signs of life, and how long after a change everybody is judged again. */
  readonly heartbeatMs?: number
}

export function openEventStreams({ source, view, heartbeatMs = STREAM_LIMITS.heartbeatMs }: EventStreamsPorts): EventStreams {
  const listeners = new Set<Listener>()
  let judging: NodeJS.Timeout | undefined

  /** Whose turn to be told is to come. */
  const turns = new Set<Listener>()
  let turn: NodeJS.Immediate | undefined
  let round: NodeJS.Timeout | undefined
  let [roundAt, gathered] = [Number.NEGATIVE_INFINITY, 0]

  // What happens within some hundredths of a second is told together: a write costs more than what is written.
  const stopFollowing = source.follow(() => {
    if (listeners.size === 0) return
    gathered += 1
    if (gathered >= STREAM_LIMITS.gatherEventsMax) tellAll()
    else round ??= setTimeout(tellAll, Math.max(0, roundAt + STREAM_LIMITS.gatherMs - performance.now()))
  })
  // However many changes there are, everybody is judged a few times a second at most.
  const stopWatching = view.onChange(() => {
    if (listeners.size > 0) judging ??= setTimeout(judgeAll, STREAM_LIMITS.judgeMs)
  })
  const beating = setInterval(() => {
    judgeAll()
    // No event, but a place: whoever hears little of much goes on from here, and has missed nothing.
    const { head } = source
    const place = Buffer.from(`id: ${placeText(head)}\n\n`)
    for (const listener of listeners) if (listener.told === head.id) push(listener, place)
  }, heartbeatMs)
  beating.unref()

  function judgeAll(): void {
    clearTimeout(judging)
    judging = undefined
    for (const listener of listeners) if (listener.ending === undefined && !listener.isAllowed()) end(listener, 'this operator may listen no longer')
  }

  /** Whoever waits for its turn still, hears then what came meanwhile. */
  function tellAll(): void {
    clearTimeout(round)
    round = undefined
    roundAt = performance.now()
    gathered = 0
    for (const listener of listeners) turns.add(listener)
    turn ??= setImmediate(tellSome)
  }

  /** Hundreds of writes in one turn of the event loop would hold up every message. */
  function tellSome(): void {
    let told = 0
    for (const listener of turns) {
      if (told++ === STREAM_LIMITS.listenersPerTurn) break
      turns.delete(listener)
      pump(listener)
    }
    turn = turns.size === 0 ? undefined : setImmediate(tellSome)
  }

  function push({ body, ending }: Listener, text: Buffer): boolean {
    return ending === undefined && !body.destroyed && body.push(text)
  }

  /** Goes on where it stopped reading. What it has not read waits where it waits for all: who falls out of that is too slow. */
  function pump(listener: Listener): void {
    while (!listener.full && listener.ending === undefined) {
      const missed = source.after({ id: listener.told })
      if (missed === undefined) return end(listener, 'the events were read too slowly')
      if (missed.length === 0) return
      const room = STREAM_LIMITS.waitingBytesMax - listener.body.readableLength
      let words = ''
      for (const event of missed) {
        listener.told = event.id
        if (listener.hears(event)) words += wordsOf(event)
        if (words.length >= room) break
      }
      if (words !== '') listener.full = !push(listener, Buffer.from(words))
    }
  }

  /** The last words go behind what waits; a reader that does not come to them is cut off all the same. */
  function end(listener: Listener, because: string): void {
    const { body } = listener
    listener.ending = setTimeout(() => body.destroy(), STREAM_LIMITS.lingerMs)
    body.push(Buffer.from(`event: end\ndata: ${JSON.stringify({ because })}\n\n`))
    body.push(null)
  }

  function open({ kinds, device, after, operator, isAllowed, maySee, signal }: Listening): Readable {
    const own = [...listeners].filter((each) => each.operator === operator).length
    if (listeners.size >= STREAM_LIMITS.listenersMax || own >= STREAM_LIMITS.listenersPerOperatorMax) throw failureOf(deny('listeners-limit', `${listeners.size} listen, ${own} of them with this certificate`))
    const hears = (event: FeedEvent): boolean => (kinds === undefined || kinds.includes(event.kind)) && (device === undefined || event.device === device) && maySee?.(event) !== false
    const body = new Readable({
      highWaterMark: STREAM_LIMITS.waitingBytesMax,
      read() {
        listener.full = false
        if (isGreeted) pump(listener)
      },
    })
    let isGreeted = false
    const listener: Listener = { body, hears, operator, isAllowed, told: source.head.id, full: false, ending: undefined }
    const forget = (): void => {
      clearTimeout(listener.ending)
      listeners.delete(listener)
      turns.delete(listener)
      body.destroy()
    }
    body.once('close', forget)
    signal.addEventListener('abort', forget, { once: true })
    listeners.add(listener)
    greet(listener, after)
    isGreeted = true
    return body
  }

  /** First a place, then what was missed behind it; or the word that nobody can say what was. */
  function greet(listener: Listener, after: FeedPlace | undefined): void {
    const { head } = source
    const isLost = after !== undefined && source.after(after) === undefined
    const place = after === undefined || isLost ? head : after
    listener.told = place.id
    const words = isLost ? ['gap', { after: after.id, head: head.id, because: 'not all events since then are remembered: ask anew for what you show' }] as const : ['ready', { head: head.id, after: place.id }] as const
    push(listener, Buffer.from(`retry: ${STREAM_LIMITS.retryMs}\nid: ${placeText(place)}\nevent: ${words[0]}\ndata: ${JSON.stringify(words[1])}\n\n`))
    pump(listener)
  }

  return {
    open,
    get size() {
      return listeners.size
    },
    [Symbol.dispose]() {
      clearInterval(beating)
      clearTimeout(judging)
      clearTimeout(round)
      clearImmediate(turn)
      stopFollowing()
      stopWatching()
      for (const { body } of listeners) body.destroy()
    },
  }
}

/** JSON has no line break in it. */
const wordsOf = (event: FeedEvent): string => `id: ${placeText(event)}\nevent: ${event.kind}\ndata: ${event.line}\n\n`
