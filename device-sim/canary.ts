// A healthy device that stays connected while others are attacked: as long as its messages come back, the server serves.
// It measures; what is too slow is for others to say.

import { randomUUID } from 'node:crypto'
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

export async function openCanary(target: Target, identity: Identity): Promise<Canary> {
  const { seen, peer } = await attemptConnect({ target, credentials: identity, version: 5 }, identity.id)
  if (seen.kind !== 'admitted') throw new SimError('failed', `The canary device was not admitted: ${describe(seen)}.`)
  peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `t/${identity.id}/#`, qos: 0 }] })
  const suback = await peer.take((packet) => packet.cmd === 'suback', SIM_LIMITS.connectMs)
  if (suback === undefined) throw new SimError('failed', 'The canary device could not subscribe to its own topics.')
  return {
    async roundTrip() {
      const started = performance.now()
      return (await echoes(peer, `t/${identity.id}/canary`)) ? performance.now() - started : undefined
    },
    close: () => peer.end(),
  }
}

/** Publishes a token to `topic` and says whether this very peer receives it. */
export async function echoes(peer: Peer, topic: string): Promise<boolean> {
  const token = randomUUID()
  peer.send({ cmd: 'publish', topic, payload: token, qos: 0, dup: false, retain: false })
  return (await peer.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === token, SIM_LIMITS.witnessMs)) !== undefined
}
