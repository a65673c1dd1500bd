// Who works at the operator's desk, and how much each of them may do there. Roles are steps: a higher one may do whatever a
// lower one may. It knows nothing of certificates and requests.

import type { EpochMs, OperatorName, TenantId } from './ids.ts'

/** viewer: looks. operator: acts on devices, their certificates and tokens. admin: changes what holds for everybody. */
export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Is this role enough where at least the other one is asked for? */
export function isAtLeast(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least)
}

/** The role is kept here and not in the certificate: whoever is given another one has it at the next request. */
export interface Operator {
  readonly name: OperatorName
  readonly role: Role
  /** Sees and changes what is of this tenant alone; absent where it is all of them. */
  readonly tenant?: TenantId
  readonly createdAt: EpochMs
  /** Out since then, with every certificate; nobody comes back under the same name. */
  readonly revokedAt?: EpochMs
}

/** Whose certificates those are that no other operator was given: of the first start, and what the machine itself issues anew. An admin, unless somebody has changed that. */
export const FIRST_OPERATOR = 'operator' as OperatorName

/** Who can undo anybody's mistake: one of them has to remain. */
export function isFullAdmin({ role, tenant, revokedAt }: Operator): boolean {
  return role === 'admin' && tenant === undefined && revokedAt === undefined
}

/** The operator after a change of it. */
export function operatorAfter(operator: Operator, change: OperatorChange): Operator {
  return change.kind === 'operator-role' ? { ...operator, role: change.role } : { ...operator, revokedAt: change.at }
}

export type OperatorChange =
  | { readonly kind: 'operator-role'; readonly name: OperatorName; readonly role: Role }
  /** Its certificates are revoked with it, each by a change of its own. */
  | { readonly kind: 'operator-revoked'; readonly name: OperatorName; readonly at: EpochMs }
