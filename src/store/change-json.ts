// A change and an audit event as text, as every store keeps them: JSON, bytes in base64. It owns the encoding and nothing
// else; what is read back was written here, so it is parsed, not judged.

import type { AuditEvent } from '../core/audit.ts'
import type { TokenName } from '../core/ids.ts'
import type { CertificateRecord, Change } from '../core/registry.ts'
import type { TokenRecord } from '../core/token.ts'

/** The one property that holds bytes, wherever in a change it stands. */
const BYTES = 'der'

export function changeToJson(change: Change): string {
  // A Buffer turns itself into an object of numbers before the replacer sees it, so its owner is asked for the bytes.
  return JSON.stringify(change, function (this: Readonly<Record<string, unknown>>, key, value: unknown) {
    const bytes = key === BYTES ? this[key] : undefined
    return bytes instanceof Uint8Array ? Buffer.from(bytes).toString('base64') : value
  })
}

function reviveBytes(key: string, value: unknown): unknown {
  if (key !== BYTES) return value
  if (typeof value === 'string') return new Uint8Array(Buffer.from(value, 'base64'))
  // Feeds of earlier versions have the numbers of a Buffer.
  const { data } = value as { readonly data: readonly number[] }
  return Uint8Array.from(data)
}

const KINDS_WITH_BYTES: ReadonlySet<Change['kind']> = new Set(['certificate-issued', 'certificate-observed', 'ca-added'])

export function parseChange(text: string): Change {
  const change = JSON.parse(text) as Change
  if (change.kind === 'token-added') return { ...change, token: withProof(change.token) }
  if (change.kind === 'certificate-planned') return { ...change, certificate: withWay(change) }
  // An attribute may be called "der", so the other kinds are taken as they stand.
  return KINDS_WITH_BYTES.has(change.kind) ? (JSON.parse(text, reviveBytes) as Change) : change
}

/** Feeds of earlier versions know tokens with a secret alone. */
function withProof(token: TokenRecord & { readonly secretSha256?: string }): TokenRecord {
  const { secretSha256, ...rest } = token
  return secretSha256 === undefined ? rest : { ...rest, proof: { kind: 'secret', sha256: secretSha256 } }
}

/** In feeds of earlier versions the plan alone says which token was used. */
function withWay({ certificate, plan }: Change & { readonly kind: 'certificate-planned' }): CertificateRecord {
  return certificate.through === undefined && plan?.actor.kind === 'token' ? { ...certificate, through: plan.actor.name as TokenName } : certificate
}

export function parseAuditEvent(text: string): AuditEvent {
  return JSON.parse(text) as AuditEvent
}
