// The bounds of what is kept in memory for those who watch: refusals, the last day, the events of the stream, and who listens.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const MiB = 1024 * 1024

export const FEED_LIMITS = {
  /** The newest refusals that can be asked about at once. A flood pushes out the oldest, never the memory. */
  refusalsMax: 20_000,
  refusalsBytesMax: 16 * MiB,
  /** A page of refusals or connections. */
  pageMax: 500,
  pageDefault: 100,
  /** Sessions that are looked at in one turn of the event loop, for whoever asks who is connected. */
  walkedAtOnceMax: 500,
  /** Similar refusals are one row; so many rows are listed, the most frequent first. */
  groupsMax: 200,
  /** Of those that are similar to one refusal, so many are listed. */
  similarMax: 10,
  /** What is searched for is text, never a pattern: nobody makes the server think. */
  searchCharsMax: 128,
  /** The strip of the last day. */
  stripMs: 24 * HOUR,
  stripBucketMs: 15 * MINUTE,
  /** Events that a listener who was away can still be given. */
  eventsMax: 10_000,
  eventsBytesMax: 8 * MiB,
  /** How long the answers that cost a walk through the fleet are good for. */
  overdueMs: 5 * MINUTE,
  overviewMs: SECOND,
  /** A step of a CA rotation that nobody has gone on with. */
  rotationWaitsMs: 7 * 24 * HOUR,
  /** Clocks of two machines, or of one that was set back, differ by less. */
  clockSlackMs: HOUR,
  /** Newest refusals on the overview. */
  newestMax: 10,
} as const

/** The event stream (A14): bounded in how many listen, and in what one that does not read may cost. */
export const STREAM_LIMITS = {
  /** Fewer than the connections of the admin port: whoever acts finds room beside those who watch. */
  listenersMax: 224,
  listenersPerOperatorMax: 200,
  /** Of one listener, beyond what the network has taken. Whoever reads more slowly lags behind in the memory that all share, until it has left that. */
  waitingBytesMax: 64 * 1024,
  /** Of a busy fleet events are told together, so many times a second at most; after a quiet moment the first is told at once. */
  gatherMs: 50,
  /** In a storm they are told sooner. */
  gatherEventsMax: 64,
  /** So many are written to between two messages. */
  listenersPerTurn: 16,
  /** More often than a silent connection is closed. */
  heartbeatMs: 10 * SECOND,
  /** After a change of the registry, whoever listens is judged within this time. */
  judgeMs: 250,
  /** Last words have this long to be read. */
  lingerMs: 2 * SECOND,
  /** When a browser comes back. */
  retryMs: 2 * SECOND,
} as const

/** Webhooks. A receiver is somebody else's server: it may be slow, gone, or an enemy (A05). */
export const WEBHOOK_LIMITS = {
  webhooksMax: 32,
  urlCharsMax: 2_048,
  secretBytes: 32,
  /** From the look-up of the name to the last header of the answer. */
  answerMs: 15 * SECOND,
  /** Of an answer nothing but the status is wanted; a server that goes on speaking is cut off. */
  answerBytesMax: 16 * 1024,
  headerBytesMax: 16 * 1024,
  retryFirstMs: SECOND,
  retryMaxMs: 5 * MINUTE,
  /** Who says that it is gone for good (410) is asked again after this time; longer than this nobody is left alone. */
  goneMs: HOUR,
  /** What a receiver that is there does not want, it is offered so often. */
  refusedAttemptsMax: 5,
  /** For a receiver that is away, events are kept so long; a weekend and a day. */
  keptMs: 72 * HOUR,
  /** Of one webhook. The oldest goes when there are more. */
  deadMax: 1_000,
  deadPage: 100,
  recentMax: 100,
  /** A look-up of a name takes a thread of the few that all of the program shares, and cannot be called off: so many at once. */
  namesAtOnce: 2,
  /** Name servers that are slow enough would have them wait without end. */
  namesWaitingMax: 64,
  /** How long one request sends again what was given up; whoever asked is answered then. */
  retryRequestMs: 15 * SECOND,
  /** Read from the audit log at once. */
  pageBytes: 256 * 1024,
  /** The place of a webhook is written down at most this often: what a kill takes of it is told twice. */
  saveMs: SECOND,
} as const
