// Every metric of the program's own, as it is called outside: Prometheus conventions, base units, `_total` for what only grows. No
// label has a value that a device chooses: a series costs the one who reads them, for ever.

import type { Timed } from '../core/traffic.ts'

export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}

/** Upper bounds, seconds: from a decision that nobody notices to one that somebody waits for. */
export const SECONDS = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export const METRICS = {
  sallyport_build_info: { type: 'gauge', help: 'Always 1; its label says which version runs.', labels: ['version'] },
  sallyport_connections_open: { type: 'gauge', help: 'MQTT connections whose handshake is complete.', labels: [] },
  sallyport_connections_total: { type: 'counter', help: 'MQTT connections whose handshake was completed.', labels: [] },
  sallyport_sessions: { type: 'gauge', help: 'Sessions that are connected.', labels: [] },
  sallyport_connects_total: { type: 'counter', help: 'CONNECTs that were admitted, and connections for publishing over HTTPS.', labels: ['protocol'] },
  sallyport_refusals_total: { type: 'counter', help: 'What was refused, by the step that said no and its reason code (docs/reasons.md). Each counts, also those of a flood that the audit log sums up.', labels: ['step', 'reason'] },
  sallyport_sessions_ended_total: { type: 'counter', help: 'Sessions that the server has ended, by reason code.', labels: ['reason'] },
  sallyport_messages_received_total: { type: 'counter', help: 'Messages that were allowed, by MQTT or over HTTPS.', labels: ['qos'] },
  sallyport_messages_sent_total: { type: 'counter', help: 'PUBLISH packets written to clients.', labels: ['qos'] },
  sallyport_received_bytes_total: { type: 'counter', help: 'Bytes of MQTT that were read, before TLS.', labels: [] },
  sallyport_sent_bytes_total: { type: 'counter', help: 'Bytes of MQTT that were written, before TLS.', labels: [] },
  sallyport_messages_dropped_total: { type: 'counter', help: 'Messages that a receiver did not get: slow-reader (QoS 0 to a client that reads too slowly), queue-full (the queue of a session that is away).', labels: ['cause'] },
  sallyport_subscriptions_lost_total: { type: 'counter', help: 'Subscriptions that a change of what is granted took from a session.', labels: [] },
  sallyport_devices: { type: 'gauge', help: 'Devices in the registry.', labels: [] },
  sallyport_certificates_issued_total: { type: 'counter', help: 'Certificates issued, by profile and by who asked.', labels: ['profile', 'by'] },
  sallyport_certificates_revoked_total: { type: 'counter', help: 'Certificates revoked, by the reason of RFC 5280.', labels: ['reason'] },
  sallyport_certificates_superseded_total: { type: 'counter', help: 'Certificates that a newer one of their device has replaced.', labels: [] },
  sallyport_detection_steps_total: { type: 'counter', help: 'Steps of devices on the detection ladder, by the rung that they came to.', labels: ['to'] },
  sallyport_policy_generation: { type: 'gauge', help: 'Generation of the policy that is in force.', labels: [] },
  sallyport_policy_loads_total: { type: 'counter', help: 'Attempts to put a policy in force.', labels: ['result'] },
  sallyport_audit_records: { type: 'gauge', help: 'Records in the audit log.', labels: [] },
  sallyport_audit_bytes: { type: 'gauge', help: 'Bytes of the audit log.', labels: [] },
  sallyport_audit_waiting_bytes: { type: 'gauge', help: 'What waits to be written to the audit log, about.', labels: [] },
  sallyport_audit_writable: { type: 'gauge', help: '0 when the audit log could not be written the last time.', labels: [] },
  sallyport_audit_lost_total: { type: 'counter', help: 'Events that a full disk kept out of the audit log.', labels: [] },
  sallyport_audit_export_behind_bytes: { type: 'gauge', help: 'What of the audit log a receiver of `audit.export` does not have yet.', labels: ['receiver'] },
  sallyport_session_store_healthy: { type: 'gauge', help: '0 when the session store cannot write, or is damaged.', labels: [] },
  sallyport_signer_up: { type: 'gauge', help: '1 for each CA whose signer runs.', labels: ['ca'] },
  sallyport_certificate_expiry_timestamp_seconds: { type: 'gauge', help: 'When a certificate of the organisation itself ends, as a Unix time.', labels: ['certificate'] },
  sallyport_crl_next_update_timestamp_seconds: { type: 'gauge', help: 'When the published CRL of an issuer ends (the first of its shards), as a Unix time.', labels: ['issuer'] },
  sallyport_revocation_closed_seconds: { type: 'histogram', help: 'From a revocation, suspension or other change that ends sessions to the last of their sockets closed.', labels: [] },
  sallyport_signature_seconds: { type: 'histogram', help: 'What the signer takes for a certificate.', labels: [] },
  sallyport_registry_commit_seconds: { type: 'histogram', help: 'A transaction of the registry, with its fsync.', labels: [] },
  sallyport_session_commit_seconds: { type: 'histogram', help: 'A batch of the session store, with its fsync and the way to its thread.', labels: [] },
} as const satisfies Readonly<Record<string, MetricRow>>

export type MetricName = keyof typeof METRICS

export const HISTOGRAM_OF: Readonly<Record<Timed, MetricName>> = {
  'revocation-closed': 'sallyport_revocation_closed_seconds',
  signature: 'sallyport_signature_seconds',
  'registry-commit': 'sallyport_registry_commit_seconds',
  'session-commit': 'sallyport_session_commit_seconds',
}
