// Who works at the operator's desk, and how much each of them may do there. Roles are steps: a higher one may do whatever a
// lower one may. It knows nothing of certificates and requests.

/** viewer: looks. operator: acts on devices, their certificates and tokens. admin: changes what holds for everybody. */
export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Is this role enough where at least the other one is asked for? */
export function isAtLeast(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least)
}
