// A change and an audit event as text, as every store keeps them: JSON, bytes in base64. It owns the encoding and nothing
// else; what is read back was written here, so it is parsed, not judged.

import type { AuditEvent } from '../core/audit.ts'
import type { Change } from '../core/registry.ts'

/** The one property that holds bytes, wherever in a change it stands. */
const BYTES = 'der'

export function changeToJson(change: Change): string {
  return JSON.stringify(change, (key, value: unknown) => (key === BYTES && value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value))
}

function reviveBytes(key: string, value: unknown): unknown {
  return key === BYTES && typeof value === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : value
}

const KINDS_WITH_BYTES: ReadonlySet<Change['kind']> = new Set(['certificate-issued', 'certificate-observed', 'ca-added'])

export function parseChange(text: string): Change {
  const change = JSON.parse(text) as Change
  // An attribute may be called "der", so the other kinds are taken as they stand.
  return KINDS_WITH_BYTES.has(change.kind) ? (JSON.parse(text, reviveBytes) as Change) : change
}

export function parseAuditEvent(text: string): AuditEvent {
  return JSON.parse(text) as AuditEvent
}
