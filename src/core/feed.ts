// What is told to those who watch: every audit event is of one kind, and its number in the audit log is its place in the stream. A
// table, so that no event is left out of the stream without somebody saying so.

import type { AuditEvent } from './audit.ts'

export const FEED_KINDS = ['connection', 'refusal', 'registry', 'detection', 'policy', 'ca', 'server'] as const
export type FeedKind = (typeof FEED_KINDS)[number]

const KIND_OF: Readonly<Record<AuditEvent['kind'], FeedKind>> = {
  refusal: 'refusal',
  'refusals-suppressed': 'refusal',
  admission: 'connection',
  'session-closed': 'connection',
  'connection-closed': 'connection',
  'connection-ended': 'connection',
  'messages-dropped': 'connection',
  'subscription-lost': 'connection',
  'subscriptions-lost': 'connection',
  'device-added': 'registry',
  'device-changed': 'registry',
  'certificate-planned': 'registry',
  'certificate-issued': 'registry',
  'certificate-observed': 'registry',
  'certificate-activated': 'registry',
  'certificate-superseded': 'registry',
  'certificate-revoked': 'registry',
  'operator-added': 'registry',
  'operator-role': 'registry',
  'operator-revoked': 'registry',
  'operator-certified': 'registry',
  'token-created': 'registry',
  'token-revoked': 'registry',
  'token-suspended': 'registry',
  'token-resumed': 'registry',
  'token-used': 'registry',
  'server-key-made': 'registry',
  'enrollment-requested': 'registry',
  'enrollment-decided': 'registry',
  'renewal-ordered': 'registry',
  'renewal-order-ended': 'registry',
  detection: 'detection',
  'policy-loaded': 'policy',
  'policy-rejected': 'policy',
  'policy-unresolved': 'policy',
  'ca-added': 'ca',
  'ca-state': 'ca',
  'ca-key': 'ca',
  'crl-numbered': 'ca',
  'expiry-near': 'ca',
  'devices-expiring': 'ca',
  'trust-loaded': 'ca',
  'webhook-added': 'server',
  'webhook-removed': 'server',
  'config-loaded': 'server',
  'config-rejected': 'server',
  'log-level-changed': 'server',
  'audit-lost': 'server',
  'home-restored': 'server',
  'server-started': 'server',
  'server-stopped': 'server',
  'console-link-made': 'server',
  'console-session-opened': 'server',
  'console-session-ended': 'server',
}

/** The kind of a record that was read from the log; undefined for what another version wrote. */
export function kindOf(action: string | undefined): FeedKind | undefined {
  return action !== undefined && Object.hasOwn(KIND_OF, action) ? KIND_OF[action as AuditEvent['kind']] : undefined
}

/** A line of the audit log, on its way to those who watch. */
export interface FeedEvent {
  /** Its number in the audit log: strictly increasing, over all starts. */
  readonly id: number
  /** Of its record alone, where the record says so: see FeedPlace. */
  readonly mark: string | undefined
  readonly kind: FeedKind
  /** The device that it is about, or that somebody claimed to be. */
  readonly device: string | undefined
  /** The line itself: JSON. */
  readonly line: string
}

/**
 * A place in the stream, as a listener is told it and gives it back: the number of a record, and its mark. A crash may take records that
 * were told already, and the next ones then have their numbers: who comes back with a number alone would miss those, and not know it.
 */
export interface FeedPlace {
  readonly id: number
  readonly mark?: string | undefined
}

export const FEED_PLACE = /^([0-9]{1,15})(?:\.([0-9a-f]{8}))?$/
export const placeText = ({ id, mark }: FeedPlace): string => (mark === undefined ? String(id) : `${id}.${mark}`)

export function parsePlace(text: string): FeedPlace | undefined {
  const match = FEED_PLACE.exec(text)
  return match === null ? undefined : { id: Number(match[1]), mark: match[2] }
}
