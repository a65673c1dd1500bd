// The bounds of the signer and of the journal of issuance, with the attack that each of them stops.

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** The process that holds the issuing key. */
export const SIGNER_LIMITS = {
  /** A request is one certificate to be signed; what is longer is an attack on the signer's memory. */
  frameBytesMax: 64 * 1_024,
  /** A CRL of a million entries has 40 MB; more than this is not held. */
  crlBytesMax: 64 * 1_024 * 1_024,
  /** Lists of one issuer that the signer counts the numbers of. */
  crlShardsMax: 4_096,
  /** A list from the future, or one that never ends, would freeze what relying parties know of revocations. */
  crlAheadMs: 5 * MINUTE,
  crlLifeMsMax: 100 * DAY,
  /** Signatures under way in the signer; what comes on top waits in the pipe. */
  signingMax: 64,
  /** Requests that wait for an answer: a flood of enrollments is refused here, and not kept. */
  waitingMax: 1_024,
  /** A signer that has not answered after this long hangs; it is killed, and started again. */
  answerMs: 10_000,
  /** From its start to an opened key: scrypt takes a good part of a second, on a busy machine several. */
  openMs: 30_000,
  /** Between the end of one and the start of the next, doubled each time up to the second: one that dies at once must not use up a core. */
  restartMs: 200,
  restartMsMax: 30_000,
} as const

export const JOURNAL = {
  /** A plan that is older and not issued is an orphan: a signer has `openMs` and `answerMs` at most, and as much again is for the registry. */
  orphanedAfterMs: 2 * (SIGNER_LIMITS.openMs + SIGNER_LIMITS.answerMs),
} as const
