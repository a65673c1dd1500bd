// What happens, as it happens: the event stream of the server. It carries no page: whoever watches a kind of event looks again.
// The browser comes back by itself when the connection breaks; until it does, pages look every half minute.

import { makeStore } from './store.ts'

export const EVENT_KINDS = ['connection', 'refusal', 'registry', 'detection', 'policy', 'ca', 'server'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** Is the stream open? */
export const isLive = makeStore(false)

type Watcher = { readonly kinds: ReadonlySet<EventKind>; readonly look: () => void }
const watchers = new Set<Watcher>()
let source: EventSource | undefined

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
  opened.addEventListener('open', () => isLive.set(true))
  opened.addEventListener('error', () => {
    isLive.set(false)
    // It was refused, and the browser has given up.
    if (opened.readyState === EventSource.CLOSED && source === opened) source = undefined
  })
  for (const kind of EVENT_KINDS) opened.addEventListener(kind, () => tell(kind))
  // Something was missed: everything may be another thing now.
  opened.addEventListener('gap', () => tell(undefined))
}

export function stopLive(): void {
  source?.close()
  source = undefined
  isLive.set(false)
}
