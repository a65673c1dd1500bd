// Renewal at the MQTT door: a device publishes its request below its own $device/ topic, and its answer goes to that device, on
// whichever of its connections has subscribed to it, and to nobody else. What may be renewed is judged behind the port; here a request is read, and an answer worded.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { deny, type Decision, type Denied } from '../../core/decision.ts'
import type { DeviceId } from '../../core/ids.ts'
import { isOwnTopic, renewTopicOf } from '../../core/policy/own-topics.ts'
import { parseTopicName } from '../../core/topic.ts'
import { encodePem } from '../../x509/pem.ts'
import type { BrokerPorts, RenewedCertificate } from '../ports.ts'
import type { Session } from '../sessions.ts'
import type { Link } from './link.ts'
import type { OwnMessages } from './own-messages.ts'
import type { EnginePacket } from './surface.ts'

export interface RenewingPorts {
  readonly broker: Pick<BrokerPorts, 'renewal' | 'clock' | 'log'>
  readonly own: OwnMessages
  /** The connections of this device. */
  readonly linksOf: (device: DeviceId) => readonly Link[]
  readonly onRefusal: (session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string }) => void
}

/** Answers a request that the session's grants have let through. Resolves when the answer is decided, and sent where somebody hears it. */
export type AnswerRequest = (session: Session, packet: EnginePacket) => Promise<void>

export function openRenewing({ broker, own, linksOf, onRefusal }: RenewingPorts): AnswerRequest {
  return async (session, { topic, payload, properties }) => {
    const bytes = Buffer.from(payload)
    const said = { responseTopic: properties?.['responseTopic'], correlationData: properties?.['correlationData'] }
    const outcome = await decide(session, bytes)
    if (!outcome.allow) onRefusal(session, { reason: outcome.reason, topic, ...(outcome.detail === undefined ? {} : { detail: outcome.detail }) })
    const answer = outcome.allow ? accepted(outcome.value) : rejected(outcome)
    const answerOn = answerTopic(session, said.responseTopic) ?? `${renewTopicOf(session.device)}/${outcome.allow ? 'accepted' : 'rejected'}`
    await Promise.all(linksOf(session.device).map((link) => hand(link, answerOn, answer, said.correlationData)))
  }

  async function decide(session: Session, payload: Buffer): Promise<Decision<RenewedCertificate>> {
    const csr = readRequest(payload)
    if (csr === undefined) return deny('csr-malformed', 'neither PEM nor DER, nor JSON with a "csr"')
    try {
      return await broker.renewal.renew({ csr, presented: session.leaf, mayBeLate: false })
    } catch (cause) {
      broker.log('error', { device: session.device, error: cause instanceof Error ? cause.message : 'unknown' }, 'a certificate could not be renewed')
      return deny('registry-unavailable')
    }
  }

  async function hand(link: Link, topic: string, answer: Readonly<Record<string, unknown>>, correlationData: unknown): Promise<void> {
    const properties = correlationData instanceof Uint8Array ? { correlationData: Uint8Array.from(correlationData) } : {}
    try {
      await own.say(link, { topic, payload: answer, properties, receivedAt: broker.clock() })
    } catch (cause) {
      // The certificate is recorded, and waits: asked again with the same key, the device is given it again.
      broker.log('warn', { device: link.peer.device, error: cause instanceof Error ? cause.message : 'unknown' }, 'the answer to a renewal could not be queued')
    }
  }
}

/** A Response Topic counts where it is the device's own: the server speaks to no other topic in its name. */
function answerTopic({ device, protocol }: Session, responseTopic: unknown): string | undefined {
  if (protocol !== 5 || typeof responseTopic !== 'string' || !isOwnTopic(device, responseTopic)) return undefined
  // It is held to the rules of every topic, but for its reserved root.
  return parseTopicName(responseTopic.slice(1)).allow ? responseTopic : undefined
}

function accepted({ der, chain, record }: RenewedCertificate): Readonly<Record<string, unknown>> {
  const pem = (each: Uint8Array): string => encodePem('CERTIFICATE', each)
  return { certificate: pem(der), chain: chain.map(pem), serial: record.serial, notAfter: new Date(record.notAfter).toISOString() }
}

/** The detail stays in the audit log. */
function rejected({ reason }: Denied): Readonly<Record<string, unknown>> {
  return { code: reason, message: REASONS[reason].sentence, fix: REASONS[reason].fix }
}

const SEQUENCE = 0x30

/** DER begins with a SEQUENCE; text is PEM, or JSON that holds it. */
function readRequest(payload: Buffer): string | Uint8Array | undefined {
  if (payload[0] === SEQUENCE) return payload
  const text = payload.toString('utf8').trim()
  if (!text.startsWith('{')) return text === '' ? undefined : text
  try {
    const parsed = JSON.parse(text) as { readonly csr?: unknown }
    return typeof parsed.csr === 'string' ? parsed.csr : undefined
  } catch {
    return undefined
  }
}
