// Ears for what must not be heard: whoever may hear most at this target, and an honest
// sensor whose witness message shows that the way was open. Absence is only evidence after the witness has arrived.

import { randomUUID } from 'node:crypto'
import type { Packet } from 'mqtt-packet'
import { ownTopic } from '../acl.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Peer } from '../raw-peer.ts'
import { connectFrom, type Arena } from './arena.ts'
import { NotOffered } from './powers.ts'

export interface Watcher extends AsyncDisposable {
  /** Another pair of ears, under a name for the report. */
  alsoListen(name: string, peer: Peer): void
  /** Everything that the ears are given from now on. */
  overhear(listener: (packet: Packet) => void): void
  /** Publishes a token on `topic` from this peer; the token finds its receivers. Message id 0 sends without one. */
  publish(peer: Peer, topic: string, qos: 0 | 1 | 2): string
  /** The receivers of the token, waiting until there is one or the deadline. */
  heard(token: string): Promise<readonly string[]>
  /** Receivers by now. */
  receiversOf(token: string): readonly string[]
  /** The same of every message that begins with it. */
  receiversOfBeginning(token: string): readonly string[]
  /** Returns when a permitted message, sent now, has arrived; rejects when it does not. */
  witness(): Promise<void>
}

export async function subscribe(peer: Peer, filter: string, qos: 0 | 1 = 0): Promise<number | undefined> {
  const messageId = nextMessageId()
  peer.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] })
  const suback = await peer.take((packet) => packet.cmd === 'suback' && packet.messageId === messageId)
  const granted = suback?.cmd === 'suback' ? suback.granted[0] : undefined
  return typeof granted === 'number' ? granted : undefined
}

let messageIds = 0
/** Packet identifiers are per connection; one counter for all of them is simple and never repeats within 65,535. */
function nextMessageId(): number {
  messageIds = (messageIds % 0xffff) + 1
  return messageIds
}

export async function openWatcher(arena: Arena): Promise<Watcher> {
  const listeners = arena.acl.ears
  if (listeners === undefined) throw new NotOffered('ears')
  const [backend, honest] = await Promise.all([arena.identities.fresh('ears', listeners.group), arena.identities.fresh('witness')])
  const ears = await connectFrom(arena, { credentials: backend, version: 5 }, backend.id)
  const mouth = await connectFrom(arena, { credentials: honest, version: 5 }, honest.id)
  if (ears.seen.kind !== 'admitted' || mouth.seen.kind !== 'admitted') throw new Error(`the watchers were not admitted: ${ears.seen.kind}, ${mouth.seen.kind}`)
  const receivers = new Map<string, string[]>()
  const waiting = new Map<string, () => void>()

  const listen = (name: string, peer: Peer): void => {
    peer.onPacket((packet: Packet) => {
      if (packet.cmd !== 'publish') return
      const token = packet.payload.toString()
      receivers.set(token, [...(receivers.get(token) ?? []), name])
      waiting.get(token)?.()
    })
  }
  listen('the backend', ears.peer)
  for (const filter of listeners.filters) {
    const granted = await subscribe(ears.peer, filter)
    if (granted === undefined || granted >= 0x80) throw new Error(`the backend may not subscribe to ${filter}`)
  }

  const publish = (peer: Peer, topic: string, qos: 0 | 1 | 2): string => {
    const payload = randomUUID()
    peer.send({ cmd: 'publish', topic, payload, qos, dup: false, retain: false, ...(qos === 0 ? {} : { messageId: nextMessageId() }) })
    return payload
  }
  const heard = async (token: string): Promise<readonly string[]> => {
    if (!receivers.has(token)) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, SIM_LIMITS.witnessMs)
        waiting.set(token, () => {
          clearTimeout(timer)
          resolve()
        })
      })
      waiting.delete(token)
    }
    return receivers.get(token) ?? []
  }
  return {
    alsoListen: listen,
    overhear: (listener) => ears.peer.onPacket(listener),
    publish,
    heard,
    receiversOf: (token) => receivers.get(token) ?? [],
    receiversOfBeginning: (token) => [...receivers].flatMap(([heardToken, names]) => (heardToken.startsWith(token) ? names : [])),
    async witness() {
      const token = publish(mouth.peer, ownTopic(arena.acl, honest.id, 'witness'), 1)
      if ((await heard(token)).length === 0) throw new Error('the witness message did not arrive, so silence proves nothing')
    },
    [Symbol.asyncDispose]() {
      ears.peer.end()
      mouth.peer.end()
      return Promise.resolve()
    },
  }
}
