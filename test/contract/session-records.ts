// Sessions, messages and Wills as the tests of the session stores make them.

import type { CaName, DeviceId, SerialNumber, SessionKey } from '../../src/core/ids.ts'
import type { Message, Publisher } from '../../src/core/message.ts'
import type { QueuedMessage, SessionChange, SessionsCommitted, StoredSubscription, Target, Will } from '../../src/core/session-store.ts'

export const START = 1_800_000_000_000
export const HOUR = 3_600_000

/** The answer to a commit of which there is nothing to say. */
export const NOTHING: SessionsCommitted = { placed: [], full: [], dropped: [], unretained: [] }

/** 'a' is the one session of device a, 'a:x' another one. */
export function keyOf(client: string): SessionKey {
  return `default/${client.split(':')[0]}/${client}` as SessionKey
}

export function message(topic: string, text = 'x', over: Partial<Message> = {}): Message {
  return { topic, payload: new TextEncoder().encode(text), qos: 1, retain: false, properties: undefined, publisher: keyOf('pub'), receivedAt: START, expiresAt: undefined, ...over }
}

export function publisher(client: string, serial = '01'): Publisher {
  return { key: keyOf(client), device: client.split(':')[0] as DeviceId, clientId: client, issuer: 'root' as CaName, serial: serial as SerialNumber, leaf: new Uint8Array([1, 2, 3, serial.length]) }
}

export function subscription(filter: string, over: Partial<StoredSubscription> = {}): StoredSubscription {
  return { filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: undefined, ...over }
}

export function target(client: string, over: Partial<Target> = {}): Target {
  return { key: keyOf(client), qos: 1, retain: false, identifiers: [], attached: false, ...over }
}

export function will(client: string, over: Partial<Will> = {}): Will {
  return { publisher: publisher(client), message: message(`gone/${client}`, 'gone', { publisher: keyOf(client) }), delaySeconds: 10, ...over }
}

export const attached = (client: string, fresh = false, expirySeconds = 3_600): SessionChange => ({ kind: 'session-attached', key: keyOf(client), expirySeconds, fresh })
export const detached = (client: string, expiresAt = START + HOUR, sentThrough = 0): SessionChange => ({ kind: 'session-detached', key: keyOf(client), expiresAt, sentThrough })
export const ended = (client: string): SessionChange => ({ kind: 'session-ended', key: keyOf(client) })
export const subscribed = (client: string, filter: string, over: Partial<StoredSubscription> = {}): SessionChange => ({ kind: 'subscribed', key: keyOf(client), subscription: subscription(filter, over) })
export const unsubscribed = (client: string, filter: string): SessionChange => ({ kind: 'unsubscribed', key: keyOf(client), filter })
/** `lowered` as 'filter 1'. */
export const narrowed = (client: string, lost: readonly string[], lowered: readonly string[] = [], sentThrough = 0): SessionChange =>
  ({ kind: 'session-narrowed', key: keyOf(client), lost, lowered: lowered.map((text) => ({ filter: text.slice(0, -2), qos: Number(text.slice(-1)) as 0 | 1 | 2 })), sentThrough })
export const published = (what: Message, ...targets: readonly Target[]): SessionChange => ({ kind: 'published', message: what, targets })
export const released = (client: string, sequence: number): SessionChange => ({ kind: 'queue-released', key: keyOf(client), sequence })
export const completed = (client: string, sequence: number): SessionChange => ({ kind: 'queue-completed', key: keyOf(client), sequence })
export const retained = (what: Message, from: Publisher = publisher('pub')): SessionChange => ({ kind: 'retained', message: { ...what, retain: true }, publisher: from })
export const cleared = (topic: string): SessionChange => ({ kind: 'retained-cleared', topic })
export const willSet = (client: string, over: Partial<Will> = {}): SessionChange => ({ kind: 'will-set', will: will(client, over) })
export const scheduled = (client: string, at: number): SessionChange => ({ kind: 'will-scheduled', key: keyOf(client), at })
/** Without `id`: the one that is not scheduled. */
export const willCleared = (client: string, id?: number): SessionChange => ({ kind: 'will-cleared', key: keyOf(client), ...(id === undefined ? {} : { id }) })

/** The same with all bytes as lists of numbers, so that a Buffer equals a Uint8Array. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value]
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

/** What waits, as its payloads. */
export function textsOf(items: readonly QueuedMessage[]): string[] {
  return items.map(({ stage }) => (stage.kind === 'pubrel' ? 'pubrel' : new TextDecoder().decode(stage.message.payload)))
}
