// The bounds of what is asked about CAs and done with them, as limits.ts has them for the rest.

export const CA_LIFE_LIMITS = {
  /** Devices that are named where many would be cut off; all are counted. */
  devicesNamedMax: 100,
  /** Those that one sentence names. */
  devicesInSentenceMax: 10,
  /** Certificates that are looked at, or that a retirement revokes, in one turn of the event loop: more would be noticed at the door. */
  lookedAtOnceMax: 250,
  revokedPerCommitMax: 50,
  /** Those that one request revokes: a command that waits for longer than that would think that nobody answers. It asks again. */
  revokedPerRequestMax: 10_000,
  /** Serial numbers that are drawn for one certificate: of 126 random bits the second is taken already only where the bits are not random. */
  serialDrawsMax: 3,
  /** A key that is lent: larger than RSA-4096 in any form, sealed or PEM. */
  keyCharsMax: 16_384,
  /** Patterns of device ids that a CA may name. Each is tried for every certificate: who wants more has another idea of a part of the fleet. */
  idPatternsMax: 16,
} as const
