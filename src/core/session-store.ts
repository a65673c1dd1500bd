// The session store's contract: what outlives a connection or a crash (sessions, subscriptions, queues, exchanges of QoS 2,
// retained messages, Wills and their deadlines), the one verb that writes it, and what may be read. Memory, SQLite and
// (later) PostgreSQL are held to this page by test/contract/session-store.ts.

import type { EpochMs, SessionKey } from './ids.ts'
import type { Message, Publisher, Qos } from './message.ts'

/** A subscription as the client asked for it, with the QoS that was granted. */
export interface StoredSubscription {
  /** As it was asked for: `$share/group/filter` where it is shared. */
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** Subscription Identifier, 1–268,435,455. */
  readonly identifier: number | undefined
}

export interface StoredSession {
  readonly key: SessionKey
  readonly expirySeconds: number
  /** When it ends; undefined while it is connected. One whose time is over may be there still. */
  readonly expiresAt: EpochMs | undefined
  readonly subscriptions: readonly StoredSubscription[]
  /** Packet ids of QoS 2 messages that were received and not yet released. */
  readonly receiving: readonly number[]
  /** Queue entries with a sequence number up to this may have been sent before: DUP. 0: none. After a crash of this program: all that waited for a connected session. */
  readonly sentThrough: number
  /** How many entries its queue has, pubrel included. */
  readonly queued: number
}

/** A message in the queue of one session. */
export interface QueuedMessage {
  /**
   * Its place in the queue, from 1, strictly increasing within a session, never given again while a message waits.
   * The packet id follows from it (`packetIdOf`): so it is durable before it is used, and is the same after a crash [MQTT-4.4.0-1].
   */
  readonly sequence: number
  readonly qos: 1 | 2
  /** The RETAIN flag to send it with. */
  readonly retain: boolean
  /** Subscription Identifiers of all the subscriptions that matched. */
  readonly identifiers: readonly number[]
  /** pubrel: PUBREC has come, only PUBREL is sent again; its message is not kept any longer. */
  readonly stage: { readonly kind: 'publish'; readonly message: Message } | { readonly kind: 'pubrel' }
}

/** A session's packet id of a queue entry: 1–65,535. No two waiting entries of a session have the same. */
export function packetIdOf(sequence: number): number {
  return ((sequence - 1) % 65_535) + 1
}

export interface Target {
  readonly key: SessionKey
  /** Only for this session of that key, as `holders` named it: one that began anew meanwhile is passed over. Undefined: whichever is there. */
  readonly session?: number | undefined
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly identifiers: readonly number[]
  /** Connected now: where its queue is full it is reported, and nothing of it is dropped. */
  readonly attached: boolean
}

export interface Will {
  /** Given by the store. */
  readonly id?: number
  readonly publisher: Publisher
  readonly message: Message
  /** Not more than the session's expiry. */
  readonly delaySeconds: number
}

export interface RetainedMessage {
  readonly message: Message
  readonly publisher: Publisher
}

/** Everything that can happen to what is kept. */
export type SessionChange =
  /** A session that outlives its connection is connected. `fresh`: whatever was kept under this key goes first, and its Will is due now. Otherwise it is made where there is none, and a Will of it that is scheduled and not yet due goes [MQTT-3.1.3-9]. */
  | { readonly kind: 'session-attached'; readonly key: SessionKey; readonly expirySeconds: number; readonly fresh: boolean }
  /** Its connection is gone; it ends at `expiresAt`. */
  | { readonly kind: 'session-detached'; readonly key: SessionKey; readonly expiresAt: EpochMs; readonly sentThrough: number }
  /** It ends with all that is kept for it; its scheduled Will is due now. One that is not there is no fault, here and below. */
  | { readonly kind: 'session-ended'; readonly key: SessionKey }
  | { readonly kind: 'subscribed'; readonly key: SessionKey; readonly subscription: StoredSubscription }
  | { readonly kind: 'unsubscribed'; readonly key: SessionKey; readonly filter: string }
  /**
   * A change of what is granted: the filters in `lost` go, and with them what waits in the queue for them alone; those in
   * `lowered` keep at most this QoS. Of a message of QoS 2 that may have been sent, by what is stored or by `sentThrough`, the
   * packet id stays, as by 'queue-released'. What the session does not hold is no fault: its messages go all the same.
   */
  | { readonly kind: 'session-narrowed'; readonly key: SessionKey; readonly lost: readonly string[]; readonly lowered: readonly { readonly filter: string; readonly qos: Qos }[]; readonly sentThrough: number }
  /** A message for these sessions; with it the packet id under which a kept session sent it with QoS 2. Sessions that are not there are passed over. */
  | { readonly kind: 'published'; readonly message: Message; readonly targets: readonly Target[]; readonly received?: { readonly key: SessionKey; readonly packetId: number } }
  /** PUBREC came: the message goes, its packet id stays until PUBCOMP. */
  | { readonly kind: 'queue-released'; readonly key: SessionKey; readonly sequence: number }
  /** PUBACK or PUBCOMP came, or the message may not be delivered any longer. */
  | { readonly kind: 'queue-completed'; readonly key: SessionKey; readonly sequence: number }
  /** PUBREL came. */
  | { readonly kind: 'received-released'; readonly key: SessionKey; readonly packetId: number }
  | { readonly kind: 'retained'; readonly message: Message; readonly publisher: Publisher }
  | { readonly kind: 'retained-cleared'; readonly topic: string }
  /** A connected session has this Will, in place of one before that is not scheduled. */
  | { readonly kind: 'will-set'; readonly will: Will }
  /** The connection is gone: the Will is due at `at`. */
  | { readonly kind: 'will-scheduled'; readonly key: SessionKey; readonly at: EpochMs }
  /** The Will is taken back, or was published: the one that is not scheduled, or the one that `due` gave. */
  | { readonly kind: 'will-cleared'; readonly key: SessionKey; readonly id?: number }

/** What became of one 'published'. */
export interface Placed {
  /** By target: the place in its queue; 0 where there is none (no such session, or no room for it). */
  readonly sequences: readonly number[]
}

export interface SessionsCommitted {
  /** One for each 'published', in order. */
  readonly placed: readonly Placed[]
  /** Attached sessions whose queue is over its bounds now: the message is in it all the same. */
  readonly full: readonly SessionKey[]
  /** Messages that absent sessions lost because their queue is full: the oldest of QoS 1; where there is none, the new one. */
  readonly dropped: readonly { readonly key: SessionKey; readonly messages: number }[]
  /** Topics of 'retained' that were not kept: the device has left as many retained messages as it may. */
  readonly unretained: readonly string[]
}

/** A kept subscription that matches a topic. */
export interface Holder {
  readonly key: SessionKey
  /** Which session of that key: one that begins anew has another number. */
  readonly session: number
  readonly subscription: StoredSubscription
}

export interface Sibling {
  readonly key: SessionKey
  /** How many subscriptions are kept for it. */
  readonly subscriptions: number
}

export interface Due {
  /** Wills whose time has come; they stay until 'will-cleared'. */
  readonly wills: readonly Will[]
  /** Sessions whose time is over; they stay until 'session-ended'. */
  readonly sessions: readonly SessionKey[]
  /** The next deadline after `now`, if any. */
  readonly next: EpochMs | undefined
}

export interface StoreHealth {
  readonly ok: boolean
  /** What the storage says, where it is not. */
  readonly problem?: string
}

/**
 * `commit` is atomic and durable (fsync) when its promise resolves; commits are totally ordered in the order of their calls,
 * and share fsyncs. While the storage fails, commits wait and are tried again by the store itself: their promises settle
 * after the cure, and nothing is lost or applied twice. Beyond `changesWaitingBytesMax` a commit throws 'store-overloaded'.
 * A read sees every commit that was called before it. Failures throw SallyportError ('database-corrupt', 'internal').
 */
export interface SessionStore {
  commit(changes: readonly SessionChange[]): Promise<SessionsCommitted>
  session(key: SessionKey): Promise<StoredSession | undefined>
  /** The kept sessions of one device: `owner` is the "tenant/device" of their keys. */
  siblings(owner: string): Promise<readonly Sibling[]>
  /** Entries after `after` in order; at most `messagesMax`, and at most `bytesMax` bytes but at least one. Expired messages that were never sent are left out, and go. */
  queue(key: SessionKey, after: number, page: { readonly messagesMax: number; readonly bytesMax: number }): Promise<{ readonly items: readonly QueuedMessage[]; readonly complete: boolean }>
  /** The kept subscriptions that match this topic name, of all sessions, attached or not. */
  holders(topic: string): Promise<readonly Holder[]>
  /** Is there any kept subscription? One read that was committed before counts. */
  readonly anySubscription: boolean
  /** Retained messages that this filter matches, by topic in the order of its UTF-8 bytes, after the topic `after`. Expired ones are left out, and go. `next` says that there may be more after it, also when a page is not full. */
  retained(filter: string, after: string | undefined, limit: number): Promise<{ readonly items: readonly RetainedMessage[]; readonly next: string | undefined }>
  due(now: EpochMs, limit: number): Promise<Due>
  /** Keys of all kept sessions in the order of their UTF-8 bytes, after `after`. */
  sessions(after: SessionKey | undefined, limit: number): Promise<readonly SessionKey[]>
  readonly health: StoreHealth
  /** Called when `health` changes. Returns the way to stop. */
  onHealth(listener: (health: StoreHealth) => void): () => void
  /** Waits for what was committed, then closes. */
  close(): Promise<void>
}
