// The bounds of publishing over HTTPS, with the attack that each of them stops. Connections, handshakes, headers and slow requests are bounded
// with those of the door that it shares: enrollment-limits.ts. It imports nothing.

const SECOND = 1_000
const MiB = 1_048_576

export const PUBLISH_LIMITS = {
  /** One device that takes every connection of the door. As many as it may have sessions. */
  connectionsPerDeviceMax: 32,
  /** Strangers with certificates of their own: each costs the rest of the program a look at its chain. */
  introductionsPerSecond: 500,
  introductionsBurst: 500,
  introductionsAtOnceMax: 32,
  introductionsWaitingMax: 500,
  /** A fleet that publishes at once: messages on their way to the sessions, and connections that wait for their turn with one each. */
  postsAtOnceMax: 64,
  postsWaitingMax: 2_000,
  /** Large bodies that come slowly, over many connections: bytes of all that are being read. */
  bodyBytesMax: 64 * MiB,
  /** The same of one device; one body of the largest size may always be read. */
  bodyBytesPerDeviceMax: MiB,
  /** A disk that does not write: how long a request waits for its message to be stored. */
  answerMs: 10 * SECOND,
  /** Messages that nobody waits for any longer and that the store still has. */
  unansweredMax: 1_000,
  /** How long who is told to come again waits. */
  busyRetrySeconds: 2,
  rateRetrySeconds: 1,
  storeRetrySeconds: 5,
  /** A body of which not more than this is left is read and thrown away, so that the connection can go on. */
  discardBytesMax: 65_536,
  /** Connections that are looked at together when trust has changed. */
  reviewSlice: 50,
} as const
