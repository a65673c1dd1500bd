// Wills: kept in the store from CONNECT on, so that a crash of the server cannot silence them; published at once or when
// their delay is over; judged again when they fire, against the registry of that moment. MQTT 5 §3.1.2.5, policy.md R8.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { judgeWillStanding } from '../../core/admission.ts'
import { deny } from '../../core/decision.ts'
import { printable, type EpochMs } from '../../core/ids.ts'
import type { Message, Publisher } from '../../core/message.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import type { SessionChange, Will } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import type { SessionTable } from '../sessions.ts'
import { messageOf, publisherOf } from './application-message.ts'
import type { Granting } from './granting.ts'
import type { Keeping } from './keeping.ts'
import type { Link } from './link.ts'
import type { Publishing } from './publishing.ts'
import type { EngineWill } from './surface.ts'

export interface Wills {
  /** CONNECT announced it. */
  set(link: Link, will: EngineWill): void
  /** It is taken back: by DISCONNECT, or because the server silences it. */
  clear(link: Link): void
  /** The connection is gone and did not take it back. */
  due(link: Link, will: EngineWill, delaySeconds: number): void
  /** Its time has come; resolves when it is published, or refused, and is kept no longer. */
  fire(will: Will): Promise<void>
}

export interface WillPorts {
  readonly broker: BrokerPorts
  readonly granting: Granting
  readonly publishing: Publishing
  readonly keeping: Keeping
  readonly sessions: SessionTable
  linkOf(session: NonNullable<Link['session']>): Link | undefined
  onDeadline(at: number): void
}

export function openWills(ports: WillPorts): Wills {
  const { broker, keeping, sessions } = ports

  /** Is it granted now? Of who was put out of force, as if he were in it, where the policy wants such Wills published. */
  function judge(publisher: Publisher, { topic, qos, retain, payload }: Message, now: EpochMs): { readonly allow: true } | { readonly allow: false; readonly reason: DenyReason; readonly verdict?: Verdict } {
    const device = broker.view.device(publisher.device)
    if (device === undefined) return deny('device-unknown')
    const grants = ports.granting.absent(device, publisher, publisher.clientId)
    const standing = judgeWillStanding({ now, record: broker.view.certificate(publisher.issuer, publisher.serial), device, grants }, broker.policy().willOnKick)
    if (!standing.allow) return standing
    const inForce = standing.value === device ? grants : ports.granting.absent(standing.value, publisher, publisher.clientId)
    const verdict = inForce.will(topic, qos, retain, payload.length)
    if (verdict.effect === 'allow') return { allow: true }
    return { allow: false, reason: verdict.reason === 'granted' ? 'will-not-granted' : verdict.reason, verdict }
  }

  function publish(publisher: Publisher, announced: Message, cleared: readonly SessionChange[]): Promise<void> {
    const now = broker.clock()
    const judged = judge(publisher, announced, now)
    if (!judged.allow) return refuse(judged.reason, judged.verdict)
    // Its Message Expiry begins when it is published, not when it was announced. MQTT 5 §3.1.3.2.4.
    const lifetime = announced.expiresAt === undefined ? undefined : announced.expiresAt - announced.receivedAt
    const message: Message = { ...announced, receivedAt: now, expiresAt: lifetime === undefined ? undefined : now + lifetime }
    return new Promise((resolve) => {
      ports.publishing.publish(message, { publisher, also: cleared }, (outcome) => {
        if (outcome === 'unretained') tell('quota-exceeded', undefined, 'the Will was published and not retained')
        resolve()
      })
    })

    function refuse(reason: DenyReason, refused?: Verdict): Promise<void> {
      tell(reason, refused, 'the Will was not published')
      if (cleared.length > 0) keeping.keep(...cleared)
      return Promise.resolve()
    }

    function tell(reason: DenyReason, refused: Verdict | undefined, detail: string): void {
      const { rule, at } = refused ?? {}
      broker.audit.record({
        kind: 'refusal', at: now, step: REASONS[reason].step, reason, detail, device: publisher.device, clientId: publisher.clientId,
        topic: printable(announced.topic, BROKER_LIMITS.topicBytesMax),
        ...(rule === undefined ? {} : { rule }), ...(at === undefined ? {} : { ruleAt: `${at.file}:${at.line}` }),
      })
    }
  }

  return {
    set(link, will) {
      const { session } = link
      if (session === undefined) return
      link.willSet = true
      const asked = will.properties?.['willDelayInterval']
      const delaySeconds = Math.min(typeof asked === 'number' ? asked : 0, link.client.sessionExpiryInterval)
      keeping.keep({ kind: 'will-set', will: { publisher: link.publisher ?? publisherOf(session), message: messageOf(will, session.key, broker.clock(), link.userProperties), delaySeconds } })
    },
    clear(link) {
      const { session } = link
      if (!link.willSet || session === undefined) return
      link.willSet = false
      keeping.keep({ kind: 'will-cleared', key: session.key })
    },
    due(link, will, delaySeconds) {
      const { session } = link
      if (session === undefined) return
      const present = sessions.get(session.key)
      const successor = present === undefined || present === session ? undefined : ports.linkOf(present)
      // The Will of the connection that took over has its place in the store already.
      const cleared: SessionChange[] = successor?.willSet === true ? [] : [{ kind: 'will-cleared', key: session.key }]
      link.willSet = false
      if (delaySeconds === 0 || successor?.connect?.clean === true) {
        void publish(link.publisher ?? publisherOf(session), messageOf(will, session.key, broker.clock(), link.userProperties), cleared)
      } else if (successor !== undefined) {
        // The session goes on: nothing happened that a Will would tell of [MQTT-3.1.3-9].
        if (cleared.length > 0) keeping.keep(...cleared)
      } else {
        const at = broker.clock() + delaySeconds * 1_000
        keeping.keep({ kind: 'will-scheduled', key: session.key, at })
        ports.onDeadline(at)
      }
    },
    fire: ({ id, publisher, message }) => publish(publisher, message, [{ kind: 'will-cleared', key: publisher.key, ...(id === undefined ? {} : { id }) }]),
  }
}
