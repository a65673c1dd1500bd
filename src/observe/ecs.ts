// An audit event as a record with the field names of the Elastic Common Schema, and back to what `why` shows. Whatever a
// peer had a hand in is made printable and cut here: no control character, escape sequence or novel gets into the log.

import { REASONS, RUNGS, SIGNALS, type DenyReason } from '../vocabulary.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import type { Actor, AuditEvent } from '../core/audit.ts'
import type { AuditRecord, DetectionSeen, RefusalSeen } from '../core/desk.ts'
import type { PresentedShown, RefusalShown } from '../core/feed-desk.ts'
import { printable } from '../core/ids.ts'

const safe = (text: string): string => printable(text, AUDIT_LIMITS.fieldCharsMax)
const iso = (ms: number): string => new Date(ms).toISOString()

/** A time that a date can hold: a certificate may claim others. */
const isDate = (ms: number): boolean => !Number.isNaN(new Date(ms).getTime())

/** Drops what is undefined, so that a record holds only what is known. */
function known(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** ECS counts durations so. */
const NANOSECONDS_PER_MS = 1e6

const CATEGORY: Readonly<Record<AuditEvent['kind'], string>> = {
  refusal: 'authentication',
  'refusals-suppressed': 'authentication',
  admission: 'session',
  'session-closed': 'session',
  'connection-closed': 'session',
  'connection-ended': 'session',
  'messages-dropped': 'session',
  'subscription-lost': 'session',
  'subscriptions-lost': 'session',
  'device-added': 'configuration',
  'device-changed': 'configuration',
  'certificate-planned': 'configuration',
  'certificate-issued': 'configuration',
  'certificate-observed': 'configuration',
  'certificate-activated': 'configuration',
  'certificate-superseded': 'configuration',
  'certificate-revoked': 'configuration',
  'token-created': 'configuration',
  'token-revoked': 'configuration',
  'token-suspended': 'configuration',
  'token-resumed': 'configuration',
  'token-used': 'authentication',
  'server-key-made': 'configuration',
  'enrollment-requested': 'configuration',
  'enrollment-decided': 'configuration',
  'operator-added': 'configuration',
  'operator-role': 'configuration',
  'operator-revoked': 'configuration',
  'operator-certified': 'configuration',
  'ca-added': 'configuration',
  'ca-state': 'configuration',
  'ca-key': 'configuration',
  'expiry-near': 'configuration',
  'devices-expiring': 'configuration',
  'renewal-ordered': 'configuration',
  'renewal-order-ended': 'configuration',
  'crl-numbered': 'configuration',
  'policy-loaded': 'configuration',
  'policy-rejected': 'configuration',
  'policy-unresolved': 'configuration',
  'trust-loaded': 'configuration',
  'config-loaded': 'configuration',
  'config-rejected': 'configuration',
  'log-level-changed': 'configuration',
  detection: 'intrusion_detection',
  'console-link-made': 'authentication',
  'console-session-opened': 'authentication',
  'console-session-ended': 'authentication',
  'webhook-added': 'configuration',
  'webhook-removed': 'configuration',
  'audit-lost': 'process',
  'home-restored': 'configuration',
  'server-started': 'process',
  'server-stopped': 'process',
}

/** Of an operator the serial number of the certificate, and beside it the name that a person knows. */
function userOf(actor: Actor | undefined): { readonly name: string; readonly full_name?: string } | undefined {
  if (actor === undefined) return undefined
  const name = 'name' in actor ? `${actor.kind}:${safe(actor.name)}` : actor.kind
  return actor.kind === 'operator' && actor.operator !== undefined ? { name, full_name: safe(actor.operator) } : { name }
}

/** The record of an event, without its place in the chain. */
export function recordOf(event: AuditEvent): Record<string, unknown> {
  const field = (name: string): unknown => (event as unknown as Record<string, unknown>)[name]
  const text = (name: string): string | undefined => {
    const value = field(name)
    return typeof value === 'string' ? safe(value) : undefined
  }
  const refusal = event.kind === 'refusal' || event.kind === 'refusals-suppressed' ? event : undefined
  const source = 'source' in event ? event.source : undefined
  const presented = event.kind === 'refusal' || event.kind === 'token-used' ? event.presented : undefined
  const reason = refusal?.reason ?? (event.kind === 'session-closed' || event.kind === 'subscription-lost' ? event.reason : undefined)
  const serial = text('serial') ?? (presented?.serial === undefined ? undefined : safe(presented.serial))
  const issuer = text('issuer')
  const until = event.kind === 'detection' ? event.until : event.kind === 'expiry-near' || event.kind === 'devices-expiring' ? event.notAfter : undefined
  return known({
    '@timestamp': iso(event.at),
    event: known({ kind: 'event', category: [CATEGORY[event.kind]], action: event.kind, outcome: refusal === undefined ? 'success' : 'failure', reason, duration: event.kind === 'connection-closed' ? event.connectedMs * NANOSECONDS_PER_MS : undefined }),
    message: refusal === undefined ? text('because') ?? text('message') : REASONS[refusal.reason].sentence,
    source: source && { ip: safe(source.address), port: source.port },
    user: userOf('actor' in event ? event.actor : undefined),
    device: text('device') === undefined ? undefined : { id: text('device') },
    rule: text('rule') === undefined ? undefined : known({ name: text('rule'), reference: text('ruleAt') }),
    tls: presented && {
      client: known({
        subject: presented.subject === undefined ? undefined : safe(presented.subject),
        issuer: presented.issuer === undefined ? undefined : safe(presented.issuer),
        not_after: presented.notAfter === undefined || !isDate(presented.notAfter) ? undefined : iso(presented.notAfter),
        hash: presented.sha256 === undefined ? undefined : { sha256: presented.sha256 },
      }),
    },
    x509: serial === undefined && issuer === undefined ? undefined : known({ serial_number: serial, issuer: issuer === undefined ? undefined : { common_name: issuer } }),
    mqtt: text('clientId') === undefined && text('topic') === undefined && field('protocol') === undefined ? undefined : known({ client_id: text('clientId'), topic: text('topic'), filter: text('filter'), protocol_version: field('protocol'), username_ignored: field('usernameIgnored') }),
    network: text('door') === undefined ? undefined : { protocol: text('door') },
    detail: known({
      step: refusal?.step, text: text('detail'), claimed: text('claimed'), count: field('count'), action: text('action'), state: text('state'), token: text('token'), operator: text('operator'), role: text('role'), tenant: text('tenant'), enrollment: text('enrollment'),
      profile: text('profile'), number: field('number'), scope: text('scope'), revocation_reason: text('revocationReason'), sha256: text('sha256'), ca: text('ca'), certificate: text('certificate'), group: text('group'), order: text('order'), session: text('session'), generation: field('generation'),
      signal: text('signal'), from: text('from'), to: text('to'), until: until === undefined ? undefined : iso(until),
      variable: text('variable'), effect: text('effect'), cas: field('cas'), version: text('version'), webhook: text('webhook'), url: text('url'),
    }),
  })
}

type Nested = Readonly<Record<string, unknown>> | undefined
const inside = (record: AuditRecord, name: string): Nested => record[name] as Nested
const textIn = (nested: Nested, name: string): string | undefined => {
  const value = nested?.[name]
  return typeof value === 'string' ? value : undefined
}

/** What was asked and not given, or was given and is taken away. */
const REFUSAL_ACTIONS: ReadonlySet<unknown> = new Set<AuditEvent['kind']>(['refusal', 'refusals-suppressed', 'subscription-lost'])

/** A record as a refusal of this device, or of somebody who claimed its name, or as the count of many; undefined when it is none. */
export function refusalOf(record: AuditRecord, device: string): RefusalSeen | undefined {
  const shown = refusalShownOf(record, 0)
  if (shown === undefined || (shown.device !== device && shown.claimed !== device)) return undefined
  const { id: _id, device: of, claimed: _claimed, address, port: _port, presented: _presented, count, ...seen } = shown
  return known({ ...seen, source: address, claimed: of === device ? undefined : true, count: count === 1 ? undefined : count }) as unknown as RefusalSeen
}

/** A record as a refusal of anybody, under its number; undefined when it is none. */
export function refusalShownOf(record: AuditRecord, id: number): RefusalShown | undefined {
  const event = inside(record, 'event')
  if (!REFUSAL_ACTIONS.has(textIn(event, 'action'))) return undefined
  const reason = textIn(event, 'reason')
  if (reason === undefined || !Object.hasOwn(REASONS, reason)) return undefined
  const code = reason as DenyReason
  const detail = inside(record, 'detail')
  const { step, sentence, fix } = REASONS[code]
  const source = inside(record, 'source')
  const mqtt = inside(record, 'mqtt')
  const rule = inside(record, 'rule')
  return known({
    id, at: Date.parse(String(record['@timestamp'])), step, reason: code, sentence, fix,
    detail: textIn(event, 'action') === 'subscription-lost' ? `it was subscribed to, until policy generation ${String(detail?.['generation'])}` : textIn(detail, 'text'),
    device: textIn(inside(record, 'device'), 'id'), claimed: textIn(detail, 'claimed'),
    address: textIn(source, 'ip'), port: typeof source?.['port'] === 'number' ? source['port'] : undefined,
    door: textIn(inside(record, 'network'), 'protocol'), clientId: textIn(mqtt, 'client_id'), topic: textIn(mqtt, 'topic') ?? textIn(mqtt, 'filter'),
    rule: textIn(rule, 'name'), ruleAt: textIn(rule, 'reference'),
    presented: presentedIn(record),
    count: typeof detail?.['count'] === 'number' ? detail['count'] : 1,
  }) as unknown as RefusalShown
}

function presentedIn(record: AuditRecord): PresentedShown | undefined {
  const client = inside(record, 'tls')?.['client'] as Nested
  if (client === undefined) return undefined
  const notAfter = textIn(client, 'not_after')
  return known({
    subject: textIn(client, 'subject'), issuer: textIn(client, 'issuer'), serial: textIn(inside(record, 'x509'), 'serial_number'),
    sha256: textIn(client['hash'] as Nested, 'sha256'), notAfter: notAfter === undefined ? undefined : Date.parse(notAfter),
  })
}

/** A record as a step of the detection ladder with this device; undefined when it is none. */
export function detectionOf(record: AuditRecord, device: string): DetectionSeen | undefined {
  if (textIn(inside(record, 'event'), 'action') !== ('detection' satisfies AuditEvent['kind']) || textIn(inside(record, 'device'), 'id') !== device) return undefined
  const detail = inside(record, 'detail')
  const [from, to] = [textIn(detail, 'from'), textIn(detail, 'to')].map((word) => RUNGS.find((rung) => rung === word))
  if (from === undefined || to === undefined) return undefined
  const signal = Object.keys(SIGNALS).find((name): name is keyof typeof SIGNALS => name === textIn(detail, 'signal'))
  const until = textIn(detail, 'until')
  return {
    at: Date.parse(String(record['@timestamp'])), from, to, because: textIn(record, 'message') ?? '',
    ...(signal === undefined ? {} : { signal, fix: SIGNALS[signal].fix }),
    ...(until === undefined ? {} : { until: Date.parse(until) }),
  }
}

/** The place of a record in the chain; 0 where it has none. */
export function placeOf(record: AuditRecord): number {
  const number = inside(record, 'sallyport')?.['seq']
  return typeof number === 'number' ? number : 0
}

/** What a record says it is, of which device it is, and when: for whoever sorts them. */
export function headingOf(record: AuditRecord): { readonly action: string | undefined; readonly at: number; readonly device: string | undefined } {
  return { action: textIn(inside(record, 'event'), 'action'), at: Date.parse(String(record['@timestamp'])), device: textIn(inside(record, 'device'), 'id') ?? textIn(inside(record, 'detail'), 'claimed') }
}

/** A record about one certificate, or of who was let in with it; undefined when it is none. */
export function certificateEventOf(record: AuditRecord): { readonly action: string; readonly at: number; readonly issuer: string; readonly serial: string; readonly because: string | undefined } | undefined {
  const { action, at } = headingOf(record)
  const x509 = inside(record, 'x509')
  const [serial, issuer] = [textIn(x509, 'serial_number'), textIn(x509?.['issuer'] as Nested, 'common_name')]
  return (action !== 'admission' && action?.startsWith('certificate-') !== true) || serial === undefined || issuer === undefined ? undefined : { action, at, issuer, serial, because: textIn(record, 'message') }
}
