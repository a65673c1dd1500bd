// The bounds of certificates as the proof of enrollment tokens. They import nothing.

export const CLAIM_LIMITS = {
  /** Every certificate of a manufacturer is held against each of its rules. */
  rulesPerManufacturerMax: 100,
  /** The name of an operator that the journal is searched for. */
  journalNameCharsMax: 256,
} as const
