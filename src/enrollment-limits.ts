// The bounds of tokens, of imports and of the enrollment door, with the attack that each stops. They stand beside limits.ts, which is as long as a
// file may be; it imports nothing.

const KiB = 1024
const SECOND = 1_000
const HOUR = 3_600 * SECOND
const DAY = 24 * HOUR

/** A file of devices that an operator imports. */
export const IMPORT_LIMITS = {
  /** What is remembered of every row (its id, and the key and password that it brings) to find it a second time: about 300 bytes each. */
  rowsMax: 1_000_000,
  /** A line without an end. A row with a certificate request of RSA 4096 has 2 KiB. */
  rowBytesMax: 64 * KiB,
  /** Rows that are registered together, and whose results are written with one fsync. More would hold the event loop of the server for too long. */
  batchRows: 128,
  /** A file in which every row is bad: problems that are printed; all are counted, and a real run writes all. */
  problemsShownMax: 20,
} as const

/** Enrollment tokens, and the door at which they are shown. */
export const TOKEN_LIMITS = {
  usesMax: 1_000_000,
  lifeMaxMs: 366 * DAY,
  networksMax: 64,
  /** A stolen token that asks an operator for one key after the other: of each so many requests wait beyond what it is good for. */
  waitingBeyondUsesMax: 16,
} as const

/** One-time passwords that come from a factory. Guessed at the door they are as slow as tokens; whoever has the registry guesses 10^11 a second. */
export const PASSWORD_LIMITS = {
  charsMin: 12,
  charsMax: 128,
  /** By estimate: two months for one device with ten graphics cards, for a password that is good once and expires. */
  bitsMin: 60,
} as const

/** The enrollment door: HTTPS to everybody, before anybody is known. */
export const ENROLL_LIMITS = {
  /** A request in PEM, or in base64 with a line break after every few letters. */
  bodyBytesMax: 64 * KiB,
  headerBytesMax: 16 * KiB,
  headersMax: 64,
  /** Slowloris: a request that is not whole by then is cut off, and so is a handshake. */
  requestMs: 15 * SECOND,
  handshakeMs: 10 * SECOND,
  idleMs: 30 * SECOND,
  connectionsMax: 2_000,
  /** Floods: requests of one address (of an IPv6 network of 64 bits), and connections. */
  sourcePerSecond: 50,
  sourceBurst: 200,
  /** A stolen credential that is shown from everywhere: requests with one right token count like those of one address. Those with a certificate: renewal-limits.ts. */
  tokenPerSecond: 50,
  tokenBurst: 200,
  tokensRememberedMax: 65_536,
  /** How long who asks too often waits: with a token, and with a certificate, which has a token again every minute. */
  rateRetrySeconds: 1,
  renewalRetrySeconds: 60,
  /** The same before TLS: connections that are begun from one address. Beyond it they are closed without a word. */
  connectionsPerSecond: 100,
  connectionsBurst: 400,
  /** Guessing: so many wrong tokens of one address in a row are free; then it waits, twice as long each time. */
  guessesFree: 5,
  guessLockMinMs: SECOND,
  guessLockMaxMs: HOUR,
  /** Addresses that are remembered for it; of more, the longest unseen is forgotten. */
  sourcesRememberedMax: 65_536,
  /** How long a device waits before it asks again about what an operator has to approve. */
  approvalRetrySeconds: 60,
  /** And when the CA cannot sign just now. */
  issuanceRetrySeconds: 10,
} as const

/** The enrollment door's thread, and what it may ask of the others, who have messages to carry: floods from everywhere at once. */
export const DOOR_LIMITS = {
  /** Questions about credentials and requests, of all addresses together. Beyond them the answer is 503. */
  questionsPerSecond: 1_000,
  questionsBurst: 1_000,
  questionsAtOnceMax: 64,
  questionsWaitingMax: 1_000,
  busyRetrySeconds: 5,
  /** Refusals are handed over together; of more than this in one bundle only the number. */
  bundleMs: 20,
  bundleEventsMax: 500,
  /** What the thread may keep; one that needs more is ended and started again. */
  heapMiBMax: 256,
  restartMs: SECOND,
  /** One that does not end when it is told to. */
  closeMs: 5 * SECOND,
  /** As nice(1) counts: threads that carry messages go before it where cores are scarce. */
  niceness: 10,
} as const
