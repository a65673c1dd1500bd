// Bounds of the door for metrics and health. They import nothing.

export const OBSERVE_LIMITS = {
  /** A scraper, its spare, a load balancer and a person; whoever else comes is a flood. */
  connectionsMax: 64,
  requestMs: 10_000,
  idleMs: 65_000,
  headerBytesMax: 8 * 1024,
  /** How long the answer of the disk holds: probes come every second from several sides, and each would cost an fsync. */
  diskProbeMs: 5_000,
  /** A disk that takes longer than this for one byte takes nothing. */
  diskAnswerMs: 2_000,
  /** How many changes that the door does not know of are counted: more are as bad. */
  feedLookChanges: 1_000,
  /** What one page of the audit log reads, however little in it is looked for: the next request goes on from there. */
  auditPageBytesMax: 8 * 1024 * 1024,
  /** A token that somebody could guess would be none. */
  tokenCharsMin: 32,
  /** Receivers of the audit log: each reads it for itself. */
  exportTargetsMax: 8,
  /** What one delivery holds in memory, and a receiver must take at once. A record is shorter than a line of the log may be. */
  exportBatchBytesMax: 1024 * 1024,
  exportLookMs: 1_000,
  exportAnswerMs: 30_000,
  /** A syslog receiver acknowledges nothing: what was written is taken for delivered when the connection has stood for so long after it. */
  syslogStandsMs: 500,
  /** Between two tries: doubled each time, up to the last. */
  exportRetryMs: 1_000,
  exportRetryMaxMs: 60_000,
  /** A receiver that is away is complained about so often. */
  exportComplainMs: 600_000,
} as const

/** The program's own log. */
export const LOG_LIMITS = {
  /** One field of a line. Messages of errors quote what somebody else sent. */
  fieldCharsMax: 4_096,
  /** Of one room. Whoever floods a door must not have its loop write to a terminal, only because somebody looks for something. */
  debugLinesPerSecondMax: 500,
  /** A level that somebody changed is back after so long, unless they say otherwise: what is said at debug fills disks, and names devices. */
  changedMs: 15 * 60_000,
  changedMsMax: 24 * 3_600_000,
} as const
