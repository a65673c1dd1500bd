// A healthy device that stays connected while others are attacked: as long as its messages come back, the server serves.
// It measures; what is too slow is for others to say.

import { randomUUID } from 'node:crypto'
import { echoOf, ownTopic, type Acl } from './acl.ts'
import type { Identity } from './identities.ts'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import { attemptConnect, type Peer } from './raw-peer.ts'
import { describe } from './oracle.ts'
import type { Target } from './target.ts'

export interface Canary {
  /** Milliseconds from publish to receipt of its own message; undefined when it did not come back in time. */
  roundTrip(): Promise<number | undefined>
  close(): void
}

export async function openCanary(target: Target, acl: Acl, identity: Identity): Promise<Canary> {
  const { seen, peer } = await attemptConnect({ target, credentials: identity, version: 5 }, identity.id)
  if (seen.kind !== 'admitted') throw new SimError('failed', `The canary device ${identity.id} was not admitted: ${describe(seen)}.`)
  const echo = echoOf(acl, identity.id, 'canary')
  if (echo !== undefined) {
    peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: echo.filter, qos: 0 }] })
    const suback = await peer.take((packet) => packet.cmd === 'suback', SIM_LIMITS.connectMs)
    if (suback === undefined) throw new SimError('failed', 'The canary device could not subscribe to its own topics.')
  }
  return {
    async roundTrip() {
      const started = performance.now()
      return (await (echo === undefined ? acknowledges(peer, ownTopic(acl, identity.id, 'canary')) : echoes(peer, echo.topic))) ? performance.now() - started : undefined
    },
    close: () => peer.end(),
  }
}

/** Publishes a token to `topic` and says whether this very peer receives it. */
async function echoes(peer: Peer, topic: string): Promise<boolean> {
  const token = randomUUID()
  peer.send({ cmd: 'publish', topic, payload: token, qos: 0, dup: false, retain: false })
  return (await peer.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === token, SIM_LIMITS.witnessMs)) !== undefined
}

/** Where a device does not hear itself: its message is at least taken. */
async function acknowledges(peer: Peer, topic: string): Promise<boolean> {
  peer.send({ cmd: 'publish', topic, payload: randomUUID(), qos: 1, messageId: 2, dup: false, retain: false })
  return (await peer.take((packet) => packet.cmd === 'puback' && packet.messageId === 2, SIM_LIMITS.witnessMs)) !== undefined
}

/** Is this session still there: does the device hear itself, or, where it may not, does it get its answers? */
export async function stillServed(peer: Peer, acl: Acl, id: string, leaf: string): Promise<boolean> {
  const echo = echoOf(acl, id, leaf)
  return echo === undefined ? acknowledges(peer, ownTopic(acl, id, leaf)) : echoes(peer, echo.topic)
}
