// Renewal at the MQTT door: a device publishes its request below its own $device/ topic, and its answer goes to the session that
// asked, to nobody else. What may be renewed is judged behind the port; here a request is read, and an answer worded.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { deny, type Decision, type Denied } from '../../core/decision.ts'
import { isOwnTopic, OWN_QOS_MAX, renewTopicOf } from '../../core/policy/own-topics.ts'
import { matches, parseTopicFilter, parseTopicName } from '../../core/topic.ts'
import type { Qos } from '../../core/message.ts'
import { encodePem } from '../../x509/pem.ts'
import type { BrokerPorts, RenewedCertificate } from '../ports.ts'
import type { Session } from '../sessions.ts'
import { toWireFilter } from './filters.ts'
import type { Link } from './link.ts'
import type { Publishing } from './publishing.ts'
import type { EnginePacket } from './surface.ts'

export interface RenewingPorts {
  readonly broker: Pick<BrokerPorts, 'renewal' | 'clock' | 'log'>
  readonly publishing: Pick<Publishing, 'hand'>
  readonly onRefusal: (session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string }) => void
}

/** Answers a request that the session's grants have let through. Resolves when the answer is decided, and sent where somebody hears it. */
export type AnswerRequest = (link: Link, session: Session, packet: EnginePacket) => Promise<void>

export function openRenewing({ broker, publishing, onRefusal }: RenewingPorts): AnswerRequest {
  return async (link, session, { topic, payload, properties }) => {
    const bytes = Buffer.from(payload)
    const said = { responseTopic: properties?.['responseTopic'], correlationData: properties?.['correlationData'] }
    const outcome = await decide(session, bytes)
    if (!outcome.allow) onRefusal(session, { reason: outcome.reason, topic, ...(outcome.detail === undefined ? {} : { detail: outcome.detail }) })
    const answer = outcome.allow ? accepted(outcome.value) : rejected(outcome)
    await hand(link, session, answerTopic(session, said.responseTopic) ?? `${renewTopicOf(session.device)}/${outcome.allow ? 'accepted' : 'rejected'}`, answer, said.correlationData)
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

  /** Only to the session that asked, and only where it has subscribed to the answer. */
  async function hand(link: Link, session: Session, topic: string, answer: Readonly<Record<string, unknown>>, correlationData: unknown): Promise<void> {
    const { outbound, client } = link
    if (outbound === undefined || session.ending !== undefined || client.closed) return
    const levels = topic.split('/')
    const held = Object.entries(client.subscriptions).filter(([filter]) => {
      const parsed = parseTopicFilter(toWireFilter(filter))
      return parsed.allow && parsed.value.share === undefined && matches(parsed.value.levels, levels)
    })
    if (held.length === 0) return
    const qos = Math.min(OWN_QOS_MAX, Math.max(...held.map(([, subscription]) => subscription?.qos ?? 0))) as Qos
    const identifiers = held.flatMap(([, subscription]) => subscription?.si ?? [])
    const properties = { contentType: 'application/json', ...(correlationData instanceof Uint8Array ? { correlationData: Uint8Array.from(correlationData) } : {}) }
    const message = { topic, payload: Buffer.from(JSON.stringify(answer)), qos, retain: false, properties, publisher: session.key, receivedAt: broker.clock(), expiresAt: undefined }
    try {
      await publishing.hand(outbound, message, qos, false, identifiers)
    } catch (cause) {
      // The certificate is recorded, and waits: asked again with the same key, the device is given it again.
      broker.log('warn', { device: session.device, error: cause instanceof Error ? cause.message : 'unknown' }, 'the answer to a renewal could not be queued')
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
