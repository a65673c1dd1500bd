// The roles of operators, from the least to the most: whoever may do more may do what the others may.

const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

export function isEnough(role: string | undefined, least: Role): boolean {
  return ROLES.findIndex((name) => name === role) >= ROLES.indexOf(least)
}
