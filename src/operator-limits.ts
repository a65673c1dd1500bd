// Bounds of the operator's desk, with units in their names and the attack or accident that each one stops.

/** Those who work at it. */
export const OPERATOR_LIMITS = {
  /** All of them are in memory, revoked ones, too: an admin who makes them in a loop must not fill it. */
  operatorsMax: 1_000,
} as const
