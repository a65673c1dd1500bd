// Tells devices that it is time to renew: whoever has just subscribed to it, and, in a round that never ends, everybody who is
// connected. Each sweep looks at a bounded number of sessions and tells a bounded number of them, so that a fleet that comes back at
// once is not sent back at once. There is no timer for a device. Who is due is said behind the port.

import type { DeviceId } from '../../core/ids.ts'
import { hintTopicOf, isOwnTopic } from '../../core/policy/own-topics.ts'
import type { RenewalHint } from '../../core/renewal-hints.ts'
import { RENEWAL_LIMITS } from '../../renewal-limits.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import type { Link } from './link.ts'
import type { OwnMessages } from './own-messages.ts'

export interface HintingPorts {
  readonly broker: Pick<BrokerPorts, 'hints' | 'clock' | 'log'>
  readonly sessions: SessionTable
  readonly own: OwnMessages
  /** The connections of this device. */
  readonly linksOf: (device: DeviceId) => readonly Link[]
}

export interface Hinting {
  /** The session has subscribed to something, or is subscribed to it again. Its hint comes after the SUBACK. */
  subscribed(session: Session | undefined, filter: string): void
  /** Every second. */
  sweep(): void
}

export function openHinting({ broker, sessions, own, linksOf }: HintingPorts): Hinting {
  /** Those that are to be looked at before the round comes to them. */
  const first = new Set<Session>()
  let round = sessions.all()[Symbol.iterator]()

  function nextSession(): Session | undefined {
    const next = round.next()
    if (next.done !== true) return next.value
    round = sessions.all()[Symbol.iterator]()
    return undefined
  }

  /** Whether a device was told. */
  function look(session: Session): boolean {
    if (session.ending !== undefined) return false
    const hint = broker.hints.due(session)
    const topic = hintTopicOf(session.device)
    if (hint === undefined) return false
    const hearing = linksOf(session.device).filter((link) => link.client.connackSent && own.hears(link, topic))
    if (hearing.length === 0) return false
    broker.hints.told(session.device)
    void tell(hearing, topic, hint)
    return true
  }

  async function tell(links: readonly Link[], topic: string, hint: RenewalHint): Promise<void> {
    const { serial, reason } = hint
    const payload = { serial, notAfter: iso(hint.notAfter), renewBefore: iso(hint.renewBefore), reason }
    const said = await Promise.allSettled(links.map((link) => own.say(link, { topic, payload, receivedAt: broker.clock(), expiresAt: hint.againAt })))
    // It is said again when its pause is over.
    if (said.some(({ status }) => status === 'rejected')) broker.log('warn', { topic }, 'a hint to renew could not be queued')
  }

  return {
    subscribed(session, filter) {
      if (session !== undefined && isOwnTopic(session.device, filter) && first.size < RENEWAL_LIMITS.hintFirstMax) first.add(session)
    },
    sweep() {
      let [looks, tells] = [RENEWAL_LIMITS.hintLooksPerSweepMax as number, RENEWAL_LIMITS.hintsPerSweepMax as number]
      for (const session of first) {
        if (looks === 0 || tells === 0) return
        looks -= 1
        first.delete(session)
        if (look(session)) tells -= 1
      }
      while (looks > 0 && tells > 0) {
        const session = nextSession()
        if (session === undefined) return
        looks -= 1
        if (look(session)) tells -= 1
      }
    },
  }
}

const iso = (at: number): string => new Date(at).toISOString()
