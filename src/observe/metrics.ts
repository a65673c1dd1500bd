// Metrics for Prometheus. Events and times are counted as they come; everything else is read when somebody asks. The types of the
// client library stop here.

import { readdir } from 'node:fs/promises'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { AuditEvent } from '../core/audit.ts'
import type { OwnExpiry } from '../core/expiry.ts'
import type { Timed, Traffic } from '../core/traffic.ts'
import { HISTOGRAM_OF, METRICS, SECONDS, type MetricName } from './metric-table.ts'

/** What is read at each scrape. */
export interface MetricSources {
  readonly traffic: Readonly<Traffic>
  readonly sessions: () => number
  readonly devices: () => number
  readonly policyGeneration: () => number
  readonly audit: () => { readonly records: number; readonly bytes: number; readonly waiting: number; readonly writable: boolean }
  readonly sessionStoreOk: () => boolean
  readonly signers: () => readonly { readonly ca: string; readonly up: boolean }[]
  readonly expiries: () => readonly OwnExpiry[]
  readonly auditExports: () => readonly { readonly receiver: string; readonly behind: number }[]
}

export interface Metrics {
  readonly contentType: string
  /** Every event of the audit log. */
  count(event: AuditEvent): void
  /** Seconds. */
  timed(what: Timed, seconds: number): void
  /** What is read at each scrape from here on. */
  read(sources: MetricSources): void
  /** The text of a scrape. */
  text(): Promise<string>
}

type Labels = Readonly<Record<string, string>>

export function openMetrics(version: string): Metrics {
  const register = new Registry()
  const counters = new Map<string, Counter<string>>()
  const gauges = new Map<string, Gauge<string>>()
  const histograms = new Map<string, Histogram<string>>()
  for (const [name, { type, help, labels }] of Object.entries(METRICS)) {
    const options = { name, help, labelNames: [...labels], registers: [register] }
    if (type === 'counter') counters.set(name, new Counter(options))
    else if (type === 'gauge') gauges.set(name, new Gauge(options))
    else histograms.set(name, new Histogram({ ...options, buckets: [...SECONDS] }))
  }
  collectProcess(register)
  const add = (name: MetricName, labels: Labels = {}, by = 1): void => counters.get(name)?.inc(labels, by)
  const set = (name: MetricName, value: number, labels: Labels = {}): void => gauges.get(name)?.set(labels, value)
  set('sallyport_build_info', 1, { version })
  let sources: MetricSources | undefined

  /** What is counted elsewhere is as much as it says there. */
  function total(name: MetricName, values: readonly (readonly [Labels, number])[]): void {
    const counter = counters.get(name)
    counter?.reset()
    for (const [labels, value] of values) counter?.inc(labels, value)
  }

  const byQos = (counts: readonly number[]): readonly (readonly [Labels, number])[] => counts.map((count, qos) => [{ qos: String(qos) }, count])

  function readTraffic({ opened, closed, received, sent, bytesReceived, bytesSent, droppedQos0, droppedQueued }: Readonly<Traffic>): void {
    set('sallyport_connections_open', opened - closed)
    total('sallyport_connections_total', [[{}, opened]])
    total('sallyport_messages_received_total', byQos(received))
    total('sallyport_messages_sent_total', byQos(sent))
    total('sallyport_received_bytes_total', [[{}, bytesReceived]])
    total('sallyport_sent_bytes_total', [[{}, bytesSent]])
    total('sallyport_messages_dropped_total', [[{ cause: 'slow-reader' }, droppedQos0], [{ cause: 'queue-full' }, droppedQueued]])
  }

  function readNow(from: MetricSources): void {
    readTraffic(from.traffic)
    set('sallyport_sessions', from.sessions())
    set('sallyport_devices', from.devices())
    set('sallyport_policy_generation', from.policyGeneration())
    const { records, bytes, waiting, writable } = from.audit()
    set('sallyport_audit_records', records)
    set('sallyport_audit_bytes', bytes)
    set('sallyport_audit_waiting_bytes', waiting)
    set('sallyport_audit_writable', Number(writable))
    set('sallyport_session_store_healthy', Number(from.sessionStoreOk()))
    for (const { ca, up } of from.signers()) set('sallyport_signer_up', Number(up), { ca })
    // Two receivers of one name: the one that is further behind is what somebody has to know of.
    for (const { receiver, behind } of from.auditExports().toSorted((a, b) => a.behind - b.behind)) set('sallyport_audit_export_behind_bytes', behind, { receiver })
    // A certificate that is there no longer must not go on being told of.
    for (const name of EXPIRIES) gauges.get(name)?.reset()
    for (const { kind, name, notAfter } of from.expiries()) {
      if (kind === 'crl') set('sallyport_crl_next_update_timestamp_seconds', notAfter / MS_A_SECOND, { issuer: name.replace(/^crl /, '') })
      else set('sallyport_certificate_expiry_timestamp_seconds', notAfter / MS_A_SECOND, { certificate: name })
    }
  }

  return {
    contentType: register.contentType,
    count: (event) => countEvent(event, add),
    timed: (what, seconds) => histograms.get(HISTOGRAM_OF[what])?.observe(seconds),
    read: (from) => void (sources = from),
    text() {
      if (sources !== undefined) readNow(sources)
      return register.metrics()
    },
  }
}

/** Lists of every socket and timer, made on the thread of the messages for a number that nobody looks at. */
const LISTS = ['nodejs_active_handles', 'nodejs_active_handles_total', 'nodejs_active_resources', 'nodejs_active_resources_total', 'nodejs_active_requests', 'nodejs_active_requests_total']
const OPEN_FDS = 'process_open_fds'
const DESCRIPTORS = '/proc/self/fd'

/** What Prometheus' libraries tell of every process. What grows with the connections must not hold up their messages. */
function collectProcess(register: Registry): void {
  collectDefaultMetrics({ register })
  for (const name of LISTS) register.removeSingleMetric(name)
  if (register.getSingleMetric(OPEN_FDS) === undefined) return
  register.removeSingleMetric(OPEN_FDS)
  const gauge: Gauge = new Gauge({
    name: OPEN_FDS, help: 'Number of open file descriptors.', registers: [register],
    // Of ten thousand the kernel makes the list in some hundredths of a second: elsewhere. The one that it is read by is none of them.
    collect: async (): Promise<void> => gauge.set((await readdir(DESCRIPTORS)).length - 1),
  })
}

const MS_A_SECOND = 1_000
const EXPIRIES: readonly MetricName[] = ['sallyport_certificate_expiry_timestamp_seconds', 'sallyport_crl_next_update_timestamp_seconds']
const PROTOCOLS: Readonly<Record<3 | 4 | 5, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

function countEvent(event: AuditEvent, add: (name: MetricName, labels?: Labels, by?: number) => void): void {
  switch (event.kind) {
    case 'refusal':
      return add('sallyport_refusals_total', { step: event.step, reason: event.reason })
    case 'admission':
      return add('sallyport_connects_total', { protocol: 'door' in event ? 'https' : PROTOCOLS[event.protocol] })
    case 'session-closed':
      // Of publishing over HTTPS there are connections, and no sessions.
      return event.door === undefined ? add('sallyport_sessions_ended_total', { reason: event.reason ?? 'other' }) : undefined
    case 'subscription-lost':
      return add('sallyport_subscriptions_lost_total')
    case 'subscriptions-lost':
      return add('sallyport_subscriptions_lost_total', {}, event.count)
    case 'certificate-issued':
      return add('sallyport_certificates_issued_total', { profile: event.profile, by: event.actor.kind })
    case 'certificate-revoked':
      return add('sallyport_certificates_revoked_total', { reason: event.revocationReason })
    case 'certificate-superseded':
      return add('sallyport_certificates_superseded_total')
    case 'detection':
      return add('sallyport_detection_steps_total', { to: event.to })
    case 'policy-loaded':
      return add('sallyport_policy_loads_total', { result: 'loaded' })
    case 'policy-rejected':
      return add('sallyport_policy_loads_total', { result: 'rejected' })
    case 'audit-lost':
      return add('sallyport_audit_lost_total', {}, event.count)
    default:
  }
}
