// The other half of wire.ts: a batch of changes, or what came of it, read again from its flat list and its block of bytes.

import type { SessionKey } from '../../core/ids.ts'
import type { Qos } from '../../core/message.ts'
import type { SessionsCommitted, StoredSubscription } from '../../core/session-store.ts'
import { ATTACHED, KINDS, RETAIN, type Body, type Item, type PublisherBytes, type StoredChange, type TargetRow } from './wire.ts'

/** Reads what `pack` or `packCommitted` wrote. What does not fit is a bug of the program and throws. */
export interface Unpacking {
  readonly items: readonly Item[]
  readonly bodies: Uint8Array
  at: number
  bodiesAt: number
}

function number(from: Unpacking): number {
  const item = from.items[from.at++]
  if (typeof item !== 'number') throw new TypeError(`a number was expected at ${from.at - 1}`)
  return item
}

function text(from: Unpacking): string {
  const item = from.items[from.at++]
  if (typeof item !== 'string') throw new TypeError(`a text was expected at ${from.at - 1}`)
  return item
}

function key(from: Unpacking): SessionKey {
  return text(from) as SessionKey
}

function bytes(from: Unpacking, length: number): Uint8Array {
  return from.bodies.subarray(from.bodiesAt, (from.bodiesAt += length))
}

function body(from: Unpacking): Body {
  const length = number(from)
  const expiresAt = number(from)
  return { bytes: bytes(from, length), expiresAt: expiresAt === Infinity ? undefined : expiresAt }
}

function publisher(from: Unpacking): PublisherBytes {
  return { hash: text(from), facts: text(from), leaf: bytes(from, number(from)) }
}

function list<T>(from: Unpacking, read: (from: Unpacking) => T): T[] {
  const items: T[] = []
  for (let left = number(from); left > 0; left--) items.push(read(from))
  return items
}

/** Hands over the changes of the next commit, one by one; afterwards the reading stands behind it, also when one of them failed. */
export function unpackCommit(from: Unpacking, take: (change: StoredChange) => void): void {
  const after = from.at + number(from)
  const bodiesAfter = from.bodiesAt + number(from)
  try {
    for (let left = number(from); left > 0; left--) take(unpackChange(from))
  } finally {
    from.at = after
    from.bodiesAt = bodiesAfter
  }
}

function unpackTarget(from: Unpacking): TargetRow {
  const target = key(from)
  const session = number(from)
  const flags = number(from)
  return { key: target, session, qos: (flags & 0x03) as 1 | 2, retain: (flags & RETAIN) !== 0, attached: (flags & ATTACHED) !== 0, identifiers: text(from) }
}

function unpackSubscription(from: Unpacking): StoredSubscription {
  const filter = text(from)
  const qos = number(from) as Qos
  const noLocal = number(from) === 1
  const retainAsPublished = number(from) === 1
  const retainHandling = number(from) as 0 | 1 | 2
  const identifier = number(from)
  return { filter, qos, noLocal, retainAsPublished, retainHandling, identifier: identifier === 0 ? undefined : identifier }
}

function unpackPublished(from: Unpacking): StoredChange {
  const message = body(from)
  const receiver = key(from)
  const packetId = number(from)
  return { kind: 'published', body: message, received: packetId === 0 ? undefined : { key: receiver, packetId }, targets: list(from, unpackTarget) }
}

function unpackChange(from: Unpacking): StoredChange {
  const code = number(from)
  const kind = KINDS[code]
  switch (kind) {
    case 'session-attached':
      return { kind, key: key(from), expirySeconds: number(from), fresh: number(from) === 1 }
    case 'session-detached':
      return { kind, key: key(from), expiresAt: number(from), sentThrough: number(from) }
    case 'session-ended':
      return { kind, key: key(from) }
    case 'will-cleared': {
      const session = key(from)
      const id = number(from)
      return id === 0 ? { kind, key: session } : { kind, key: session, id }
    }
    case 'subscribed':
      return { kind, key: key(from), subscription: unpackSubscription(from) }
    case 'unsubscribed':
      return { kind, key: key(from), filter: text(from) }
    case 'session-narrowed':
      return { kind, key: key(from), sentThrough: number(from), lost: list(from, text), lowered: list(from, (each) => ({ filter: text(each), qos: number(each) as Qos })) }
    case 'published':
      return unpackPublished(from)
    case 'queue-released':
    case 'queue-completed':
      return { kind, key: key(from), sequence: number(from) }
    case 'received-released':
      return { kind, key: key(from), packetId: number(from) }
    case 'retained':
      return { kind, topic: text(from), publisherKey: key(from), body: body(from), publisher: publisher(from) }
    case 'retained-cleared':
      return { kind, topic: text(from) }
    case 'will-set':
      return { kind, key: key(from), delaySeconds: number(from), body: body(from), publisher: publisher(from) }
    case 'will-scheduled':
      return { kind, key: key(from), at: number(from) }
    default:
      throw new TypeError(`no change has the code ${code}`)
  }
}

export function unpackCommitted(from: Unpacking): SessionsCommitted {
  return {
    placed: list(from, () => ({ sequences: list(from, number) })),
    full: list(from, key),
    dropped: list(from, () => ({ key: key(from), messages: number(from) })),
    unretained: list(from, text),
  }
}
