// What crosses between the main thread and the thread that has the database. A batch of changes is one flat list of texts and
// numbers and one block of bytes: cloning an object for every change would cost more than storing it. It knows no table.

import { createHash } from 'node:crypto'
import type { FailureCode } from '../../core/errors.ts'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import type { Message, Publisher } from '../../core/message.ts'
import type { Holder, SessionChange, SessionsCommitted, Sibling, StoredSession } from '../../core/session-store.ts'
import { encodeMessage, messageBytes } from './message-bytes.ts'

export type Item = string | number

export type ReadRequest =
  | { readonly kind: 'session'; readonly key: SessionKey }
  | { readonly kind: 'siblings'; readonly owner: string }
  | { readonly kind: 'queue'; readonly key: SessionKey; readonly after: number; readonly messagesMax: number; readonly bytesMax: number }
  | { readonly kind: 'holders'; readonly topic: string }
  | { readonly kind: 'retained'; readonly filter: string; readonly after: string | undefined; readonly limit: number }
  | { readonly kind: 'due'; readonly now: EpochMs; readonly limit: number }
  | { readonly kind: 'sessions'; readonly after: SessionKey | undefined; readonly limit: number }

export interface QueueRow {
  readonly sequence: number
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly identifiers: string
  /** Undefined: pubrel. */
  readonly body: Uint8Array | undefined
}

export interface PublisherBytes {
  /** SHA-256 of the facts and the leaf, hex. */
  readonly hash: string
  readonly facts: string
  readonly leaf: Uint8Array
}

export interface ReadAnswers {
  readonly session: StoredSession | undefined
  readonly siblings: readonly Sibling[]
  readonly queue: { readonly items: readonly QueueRow[]; readonly complete: boolean }
  readonly holders: readonly Holder[]
  readonly retained: { readonly items: readonly { readonly body: Uint8Array; readonly publisher: PublisherBytes }[]; readonly next: string | undefined }
  readonly due: {
    readonly wills: readonly { readonly body: Uint8Array; readonly publisher: PublisherBytes; readonly delaySeconds: number; readonly id: number }[]
    readonly sessions: readonly SessionKey[]
    readonly next: EpochMs | undefined
  }
  readonly sessions: readonly SessionKey[]
}

export interface Failure {
  readonly code: FailureCode
  readonly message: string
  readonly fix: string | undefined
}

export type Outcome<T> = { readonly value: T } | { readonly failure: Failure }

export type ToWorker =
  | { readonly kind: 'batch'; readonly now: EpochMs; readonly commits: number; readonly items: readonly Item[]; readonly bodies: Uint8Array; readonly reads: readonly ReadRequest[] }
  | { readonly kind: 'close' }

export type FromWorker =
  | { readonly kind: 'opened'; readonly anySubscription: boolean }
  /** It cannot be opened, or is damaged: the end of the thread. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** Undefined: it is well again. `passing`: it is tried again. */
  | { readonly kind: 'health'; readonly problem: string | undefined }
  | { readonly kind: 'answer'; readonly committed: readonly Item[]; readonly failures: readonly (Failure | undefined)[]; readonly reads: readonly Outcome<unknown>[]; readonly anySubscription: boolean }
  | { readonly kind: 'closed' }

/** A message as it is stored. */
export interface Body {
  readonly bytes: Uint8Array
  readonly expiresAt: EpochMs | undefined
}

export interface TargetRow {
  readonly key: SessionKey
  /** 0: whichever is there. */
  readonly session: number
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly attached: boolean
  readonly identifiers: string
}

type WithBody = 'published' | 'retained' | 'will-set'

/** A change with its message as bytes. */
export type StoredChange =
  | Exclude<SessionChange, { readonly kind: WithBody }>
  | { readonly kind: 'published'; readonly body: Body; readonly targets: readonly TargetRow[]; readonly received: { readonly key: SessionKey; readonly packetId: number } | undefined }
  | { readonly kind: 'retained'; readonly topic: string; readonly publisherKey: SessionKey; readonly body: Body; readonly publisher: PublisherBytes }
  | { readonly kind: 'will-set'; readonly key: SessionKey; readonly delaySeconds: number; readonly body: Body; readonly publisher: PublisherBytes }

export const KINDS = [
  'session-attached', 'session-detached', 'session-ended', 'subscribed', 'unsubscribed', 'session-narrowed', 'published', 'queue-released', 'queue-completed', 'received-released', 'retained', 'retained-cleared',
  'will-set', 'will-scheduled', 'will-cleared',
] as const satisfies readonly SessionChange['kind'][]
const CODES = Object.fromEntries(KINDS.map((kind, i) => [kind, i])) as Readonly<Record<SessionChange['kind'], number>>

/** Beside the QoS of a target. */
export const RETAIN = 0x04
export const ATTACHED = 0x08

const publishers = new WeakMap<Publisher, PublisherBytes>()

function publisherBytes(publisher: Publisher): PublisherBytes {
  const known = publishers.get(publisher)
  if (known !== undefined) return known
  const { key, device, clientId, issuer, serial, leaf } = publisher
  const facts = JSON.stringify([key, device, clientId, issuer, serial])
  const bytes = { hash: publisherHash(facts, leaf), facts, leaf }
  publishers.set(publisher, bytes)
  return bytes
}

export function publisherHash(facts: string, leaf: Uint8Array): string {
  return createHash('sha256').update(facts).update(leaf).digest('hex')
}

/** The bytes that `pack` needs for this change besides its texts, and a measure of those. */
export function changeBytes(change: SessionChange): { readonly bodies: number; readonly texts: number } {
  switch (change.kind) {
    case 'published':
      return { bodies: messageBytes(change.message), texts: change.targets.length * 64 }
    case 'retained':
      return { bodies: messageBytes(change.message) + change.publisher.leaf.length, texts: 256 }
    case 'will-set':
      return { bodies: messageBytes(change.will.message) + change.will.publisher.leaf.length, texts: 256 }
    case 'session-narrowed':
      return { bodies: 0, texts: 64 * (1 + change.lost.length + change.lowered.length) }
    default:
      return { bodies: 0, texts: 64 }
  }
}

export interface Packed {
  readonly items: Item[]
  readonly bodies: Buffer
  end: number
}

/** Appends a commit. `packed.bodies` has the room that changeBytes measured. */
export function pack(changes: readonly SessionChange[], packed: Packed): void {
  const { items } = packed
  const start = items.length
  const bodiesStart = packed.end
  items.push(0, 0, changes.length)
  for (const change of changes) packChange(change, packed)
  // How long it is: a commit that fails is passed over.
  items[start] = items.length - start
  items[start + 1] = packed.end - bodiesStart
}

function packBody(message: Message, packed: Packed): void {
  const start = packed.end
  packed.end = encodeMessage(message, packed.bodies, start)
  packed.items.push(packed.end - start, message.expiresAt ?? Infinity)
}

function packPublisher(publisher: Publisher, packed: Packed): void {
  const { hash, facts, leaf } = publisherBytes(publisher)
  packed.items.push(hash, facts, leaf.length)
  packed.bodies.set(leaf, packed.end)
  packed.end += leaf.length
}

function packChange(change: SessionChange, packed: Packed): void {
  const { items } = packed
  items.push(CODES[change.kind])
  switch (change.kind) {
    case 'session-attached':
      return void items.push(change.key, change.expirySeconds, Number(change.fresh))
    case 'session-detached':
      return void items.push(change.key, change.expiresAt, change.sentThrough)
    case 'subscribed': {
      const s = change.subscription
      return void items.push(change.key, s.filter, s.qos, Number(s.noLocal), Number(s.retainAsPublished), s.retainHandling, s.identifier ?? 0)
    }
    case 'unsubscribed':
      return void items.push(change.key, change.filter)
    case 'session-narrowed':
      items.push(change.key, change.sentThrough, change.lost.length, ...change.lost, change.lowered.length)
      for (const { filter, qos } of change.lowered) items.push(filter, qos)
      return
    case 'published':
      packBody(change.message, packed)
      items.push(change.received?.key ?? '', change.received?.packetId ?? 0, change.targets.length)
      for (const target of change.targets) items.push(target.key, target.session ?? 0, target.qos | (target.retain ? RETAIN : 0) | (target.attached ? ATTACHED : 0), target.identifiers.length === 0 ? '' : target.identifiers.join(','))
      return
    case 'queue-released':
    case 'queue-completed':
      return void items.push(change.key, change.sequence)
    case 'received-released':
      return void items.push(change.key, change.packetId)
    case 'retained':
      items.push(change.message.topic, change.publisher.key)
      packBody(change.message, packed)
      return packPublisher(change.publisher, packed)
    case 'retained-cleared':
      return void items.push(change.topic)
    case 'will-set':
      items.push(change.will.publisher.key, change.will.delaySeconds)
      packBody(change.will.message, packed)
      return packPublisher(change.will.publisher, packed)
    case 'will-scheduled':
      return void items.push(change.key, change.at)
    case 'will-cleared':
      return void items.push(change.key, change.id ?? 0)
    default:
      items.push(change.key)
  }
}

export function packCommitted(committed: SessionsCommitted, items: Item[]): void {
  items.push(committed.placed.length)
  for (const { sequences } of committed.placed) items.push(sequences.length, ...sequences)
  items.push(committed.full.length, ...committed.full, committed.dropped.length)
  for (const lost of committed.dropped) items.push(lost.key, lost.messages)
  items.push(committed.unretained.length, ...committed.unretained)
}
