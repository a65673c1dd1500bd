// The bounds of what is asked about CAs and done with them, as limits.ts has them for the rest.

export const CA_LIFE_LIMITS = {
  /** Devices that are named where many would be cut off; all are counted. */
  devicesNamedMax: 100,
  /** Those that one sentence names. */
  devicesInSentenceMax: 10,
  /** Certificates that a retirement revokes at once: more would hold the registry for too long. */
  revokedPerCommitMax: 200,
  /** A key that is lent: larger than RSA-4096 in any form, sealed or PEM. */
  keyCharsMax: 16_384,
} as const
