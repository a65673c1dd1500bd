// What happens, as it happens: the event stream of the server. It carries no page: whoever watches a kind of event looks again.
// The browser comes back by itself when the connection breaks, behind the last event that it has heard; where the server has turned
// it away it gives up, and then it is tried from here. Until it is back, pages look every half minute.

import { makeStore } from './store.ts'

export const EVENT_KINDS = ['connection', 'refusal', 'registry', 'detection', 'policy', 'ca', 'server'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** How the stream is: not yet open, open, or broken and tried again. */
export const stream = makeStore<'opening' | 'live' | 'broken'>('opening')
/** Counts how often the server has turned it away: whoever is signed in may be so no longer. */
export const turnedAway = makeStore(0)

/** A server that has turned somebody away is not asked again at once. */
const AGAIN_MS = 5_000

type Watcher = { readonly kinds: ReadonlySet<EventKind>; readonly look: () => void }
const watchers = new Set<Watcher>()
let source: EventSource | undefined
let again: ReturnType<typeof setTimeout> | undefined

/** Returns the way to stop. */
export function onEvents(kinds: readonly EventKind[], look: () => void): () => void {
  const watcher = { kinds: new Set(kinds), look }
  watchers.add(watcher)
  return () => void watchers.delete(watcher)
}

function tell(kind: EventKind | undefined): void {
  for (const { kinds, look } of watchers) if (kind === undefined || kinds.has(kind)) look()
}

export function startLive(): void {
  if (source !== undefined) return
  const opened = new EventSource('/v1/events')
  source = opened
  opened.addEventListener('open', () => {
    const wasBroken = stream.get() === 'broken'
    stream.set('live')
    // What could not be asked in between is asked now, and what was missed is seen.
    if (wasBroken) tell(undefined)
  })
  opened.addEventListener('error', () => {
    if (source !== opened) return
    stream.set('broken')
    if (opened.readyState !== EventSource.CLOSED) return
    source = undefined
    turnedAway.set(turnedAway.get() + 1)
    again = setTimeout(startLive, AGAIN_MS)
  })
  for (const kind of EVENT_KINDS) opened.addEventListener(kind, () => tell(kind))
  // Something was missed: everything may be another thing now.
  opened.addEventListener('gap', () => tell(undefined))
}

export function stopLive(): void {
  clearTimeout(again)
  source?.close()
  source = undefined
  stream.set('opening')
}
