// The operator's word on a request for which its token asks for one: looked up, or asked for. It says nothing to the operator and issues nothing.

import { createHash } from 'node:crypto'
import type { Actor, Source } from './core/audit.ts'
import type { CsrFacts } from './core/certificate.ts'
import { allow, deny, type Decision } from './core/decision.ts'
import type { EpochMs, KeyHash } from './core/ids.ts'
import type { Registry } from './core/registry.ts'
import { enrollmentId, type EnrollmentRecord, type TokenRecord, type TokenUse } from './core/token.ts'

interface ToApprove {
  readonly registry: Pick<Registry, 'enrollment' | 'commit'>
  readonly token: TokenRecord
  readonly use: TokenUse
  readonly source: Source
  readonly now: EpochMs
}

/** How a token was proven stands in its record. */
export const actorOf = ({ proof, name }: TokenRecord): Actor => ({ kind: proof.kind === 'secret' ? 'token' : proof.kind, name })

/**
 * What stands in place of the key where that is to be made here: nobody has proven to hold the one of the request, so what was approved
 * for who holds it must not be taken for this.
 */
export const approvedAs = ({ key }: CsrFacts): KeyHash => createHash('sha256').update(`serverkeygen\0${key.spkiSha256}`).digest('hex') as KeyHash

/** Where a token asks for an operator: what one has said, or that one is waited for. */
export async function approval({ registry, token, use, source, now }: ToApprove): Promise<Decision<void>> {
  if (token.approve === 'auto') return allow(undefined)
  const id = enrollmentId(token.name, use)
  const before = registry.enrollment(id)
  // The id is short: another key that begins alike is another request, which nobody approved.
  if (before !== undefined && (before.spkiSha256 !== use.spkiSha256 || before.device !== use.device)) return deny('enrollment-rejected', 'another request has this id')
  if (before?.state === 'approved') return allow(undefined)
  if (before?.state === 'rejected') return deny('enrollment-rejected', id)
  if (before === undefined) {
    const enrollment: EnrollmentRecord = { id, token: token.name, ...use, state: 'pending', source: source.address, createdAt: now }
    const asked = await registry.commit([{ kind: 'enrollment-requested', enrollment }], [], [{ kind: 'enrollment-requested', at: now, enrollment: id, device: use.device, source, actor: actorOf(token) }])
    if (!asked.allow) return asked
  }
  return deny('enrollment-pending', id)
}
