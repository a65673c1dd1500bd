// Bounds of the HTTP doors and of the admin API, with units in their names and the attack that each one stops.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const KiB = 1024
const MiB = 1024 * KiB

/** The HTTP doors. */
export const HTTP_LIMITS = {
  bodyBytesMax: 64 * KiB,
  /** A page of devices to register at once. */
  bulkBodyBytesMax: 2 * MiB,
  /** The files of a policy, or of two that are compared. */
  policyBodyBytesMax: 20 * MiB,
  headerMs: 10 * SECOND,
  requestMs: 30 * SECOND,
  connectionsMax: 256,
} as const

/** Answers that are kept for requests that are sent twice. Some hold a secret: they are kept no longer than a client retries. */
export const HTTP_ANSWER_LIMITS = {
  keyCharsMax: 255,
  keptMs: 60 * MINUTE,
  /** An operator who sends a new key with every request forgets the oldest of its own. */
  keysPerOperatorMax: 1_000,
  /** Of all operators. */
  keysMax: 20_000,
  /** Of all operators, as JSON: the answers must not be what fills the memory of a broker. */
  bytesMax: 32 * MiB,
} as const

/** Bodies in JSON: small texts that cost much. */
export const HTTP_JSON_LIMITS = {
  /** Nothing that this API takes is nested deeper; a reader that goes down level by level overflows its stack at thousands. */
  depthMax: 32,
  /** A page of devices with all their attributes has fewer. */
  keysMax: 100_000,
} as const

/** What is done for a request once it has come whole. */
export const HTTP_WORK_LIMITS = {
  /** The longest that is asked for: a log of years that is verified, a million certificates that are revoked. A server that hangs is not waited for for ever. */
  workMs: 10 * MINUTE,
} as const

/** Lists of the registry, which are read on a thread of their own. */
export const LIST_LIMITS = {
  /** Operators who ask for more than is answered: what waits must not be what fills the memory. */
  waitingMax: 256,
  /** A query takes some hundredths of a second. One that does not end, on a disk that hangs, takes its thread with it. */
  answerMs: 20_000,
  /** Of the thread's heap: it holds a page at a time. */
  heapMiBMax: 128,
} as const
