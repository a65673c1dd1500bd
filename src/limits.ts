// Every bound of the program in one place, each with its unit in the name and the attack that it stops. It imports
// nothing. Relations between bounds are asserted at the end, so that a change of one cannot silently break another.

const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The broker's doors: admission, handshake, frames, sessions. */
export const BROKER_LIMITS = {
  /** Connect floods: tokens per second and burst for one source address. Many devices share one NAT address. */
  sourceRatePerSecond: 500,
  sourceBurst: 2_000,
  /** A table of sources must not be the thing that is flooded: least recently seen sources are forgotten beyond this. */
  sourcesTrackedMax: 65_536,
  /** Connect floods from everywhere: unfinished handshakes at any time, in all and from one source. */
  halfOpenMax: 4_000,
  halfOpenPerSourceMax: 1_500,
  /** Handshake slowloris: who has not finished its TLS handshake in this time is cut off; within 10 s also when 2,000 are at once. */
  handshakeMs: 9 * SECOND,
  /** A finished handshake that is not followed by a complete CONNECT in this time is destroyed. */
  connectMs: 10 * SECOND,
  /** Memory exhaustion by one announced length: larger packets are refused before anything is buffered. */
  packetBytesMax: 256 * KiB,
  /** A CONNECT has a client id, a Will and user properties; until it is answered nothing larger is accepted from anybody. */
  connectPacketBytesMax: 64 * KiB,
  /** Topic-tree bombs: 65,535 slashes cost levels, so levels and bytes are bounded. */
  topicBytesMax: 512,
  topicLevelsMax: 64,
  /**
   * Subscription floods: filters of one session, of all sessions of one device, connected or kept, and in one SUBSCRIBE.
   * Filters that overlap cost every message: 30 sessions with 1,000 each stall everybody for seconds.
   */
  subscriptionsPerSessionMax: 1_000,
  subscriptionsPerDeviceMax: 1_000,
  filtersPerSubscribeMax: 100,
  /** Half-open QoS 2 floods: announced as Receive Maximum, enforced. MQTT 5 §3.3.4. */
  receiveMaximum: 128,
  /** Topic aliases a client may define per connection. */
  topicAliasMaximum: 32,
  /** Sessions that never expire pile up: the longest that a session outlives its connection, in seconds, in both protocols. */
  sessionExpirySecondsMax: 7 * 24 * 3_600,
  /** One device with many client ids: sessions of one device, connected and kept ones together. */
  sessionsPerDeviceMax: 32,
  /** A reader that stopped reading: bytes waiting in one connection before it is disconnected. */
  outboundBytesMax: 4 * MiB,
  /**
   * Messages waiting for one session (in memory until the durable store arrives), and their bytes: topic, payload and
   * properties. By count alone one session could hold gigabytes; by session alone a device could, with many of them.
   */
  queueMessagesMax: 10_000,
  queueBytesPerSessionMax: 16 * MiB,
  queueBytesPerDeviceMax: 64 * MiB,
  /** Retained messages are kept for ever: a device that retains under one topic after another fills the memory. */
  retainedMessagesPerDeviceMax: 10_000,
  retainedBytesPerDeviceMax: 16 * MiB,
  /** Detached sessions held at the same time (in memory until the durable store arrives). */
  detachedSessionsMax: 100_000,
  /** Retained messages whose publisher is remembered; the others are hidden. */
  retainedPublishersMax: 1_000_000,
  /** Silence: the longest keep-alive, in seconds, that is accepted; a longer or absent one becomes this. */
  keepAliveSecondsMax: 1_200,
  /** Two programs that fight over one client id: CONNECTs of one device, tokens per second and burst. */
  deviceConnectRatePerSecond: 5,
  deviceConnectBurst: 50,
  /** A client that pipelines packets behind its CONNECT: how many are held until CONNACK, and their bytes in all. */
  packetsBeforeConnackMax: 1_000,
  bytesBeforeConnackMax: 64 * KiB,
  /** A closing peer that never closes its side: the socket is destroyed after this. */
  lingerMs: 500,
  /** Draining at shutdown: sessions that are still open after this are destroyed. */
  drainMs: 5 * SECOND,
} as const

/** X.509 input from strangers. */
export const X509_LIMITS = {
  /** ASN.1 bombs: a certificate or request larger than this is refused before it is parsed. */
  certificateBytesMax: 16 * KiB,
  csrBytesMax: 16 * KiB,
  /** Nesting bombs: depth and number of DER nodes are checked by the gate before the real parser runs. */
  derDepthMax: 24,
  derNodesMax: 2_000,
  /** OID decoding is quadratic in some parsers. */
  oidBytesMax: 32,
  /** Certificates a peer may present, leaf included. */
  chainLengthMax: 5,
  subjectAltNamesMax: 32,
  serialOctetsMax: 20,
} as const

/** What the CA makes. */
export const CA_LIMITS = {
  /** notBefore is backdated by this much, for devices whose clock lags. */
  backdateMs: 5 * MINUTE,
  serialBytes: 16,
  /** Make before break: certificates of one device that may be in force at the same time. */
  certificatesInForceMax: 2,
  passphraseBytes: 32,
  /** scrypt work factors: 2^17 · 8 · 1 costs an attacker 128 MiB and about 0.3 s per guess. */
  scryptLogN: 17,
  scryptR: 8,
  scryptP: 1,
} as const

/** Names and values that the registry keeps. */
export const REGISTRY_LIMITS = {
  deviceIdCharsMax: 64,
  groupCharsMax: 64,
  groupsPerDeviceMax: 16,
  attributesPerDeviceMax: 32,
  attributeNameCharsMax: 32,
  /** policy.md R3: a value over this many bytes is unresolved; so it is not stored either. */
  attributeValueBytesMax: 128,
  clientIdBytesMax: 128,
  pageSizeDefault: 100,
  pageSizeMax: 1_000,
  /** Rows of one CSV file. */
  csvRowsMax: 100_000,
  csvBytesMax: 32 * MiB,
  /** Group commit: commits that share one transaction and one fsync. More would hold the event loop for too long. */
  commitsPerTransactionMax: 256,
  /** A writer that never waits: changes that wait for their transaction; a commit beyond this is refused. */
  changesWaitingMax: 100_000,
  /** Another process that holds the write lock of the database: how long a commit waits for it, blocking. */
  databaseBusyMs: 2 * SECOND,
  /** Changes read from the feed at a time. */
  feedPageMax: 1_000,
  /** Opening must stay quick: a registry file larger than this is not checked page by page at every start. */
  checkedAtOpenBytesMax: 512 * MiB,
} as const

/** The policy language. */
export const POLICY_LIMITS = {
  documentBytesMax: 8 * MiB,
  rulesMax: 100_000,
  patternsPerRuleMax: 1_000,
  /** Distinct topics remembered per session and direction; the oldest are forgotten. */
  decisionCacheMax: 256,
} as const

/** The audit log. */
export const AUDIT_LIMITS = {
  /** Refusal floods: beyond this many records per second, reason, and device or else address, a counted record takes their place. */
  refusalsPerSecond: 10,
  refusalWindowMs: SECOND,
  /** How many of these are told apart, of devices and of addresses each. */
  refusalKeysMax: 10_000,
  /** One field of a record; longer ones are cut, visibly. */
  fieldCharsMax: 256,
  /** A full disk: characters that wait to be written before events are only counted. */
  waitingCharsMax: 16 * MiB,
  /** Records of one moment share a write: what a killed process leaves behind is in the file. */
  writeDelayMs: 20,
  /** The file is synced, and the registry told of its head, at most this often: what a power cut may take of the refusals. */
  headDelayMs: SECOND,
  retryMs: SECOND,
  outboxPage: 500,
  /** `why` and `audit tail` read at most this much from the end of the log. */
  tailBytesMax: 64 * MiB,
  tailRecordsMax: 1_000,
  /** A line that never ends: the verifier gives up on it. */
  lineBytesMax: 64 * KiB,
} as const

/** The HTTP doors. */
export const HTTP_LIMITS = {
  bodyBytesMax: 64 * KiB,
  /** A page of devices to register at once. */
  bulkBodyBytesMax: 2 * MiB,
  headerMs: 10 * SECOND,
  requestMs: 30 * SECOND,
  connectionsMax: 256,
} as const

/** Times of day-to-day life. */
export const LIFE = {
  /** How late, at most, the session of an expired certificate is closed. */
  expirySweepMs: SECOND,
  day: DAY,
} as const

function mustHold(holds: boolean, relation: string): void {
  if (!holds) throw new Error(`limits.ts: ${relation} does not hold`)
}
mustHold(BROKER_LIMITS.connectPacketBytesMax <= BROKER_LIMITS.packetBytesMax, 'connectPacketBytesMax ≤ packetBytesMax')
mustHold(BROKER_LIMITS.queueBytesPerSessionMax <= BROKER_LIMITS.queueBytesPerDeviceMax, 'queueBytesPerSessionMax ≤ queueBytesPerDeviceMax')
mustHold(BROKER_LIMITS.retainedBytesPerDeviceMax >= BROKER_LIMITS.packetBytesMax, 'retainedBytesPerDeviceMax ≥ packetBytesMax')
mustHold(BROKER_LIMITS.halfOpenPerSourceMax <= BROKER_LIMITS.halfOpenMax, 'halfOpenPerSourceMax ≤ halfOpenMax')
mustHold(BROKER_LIMITS.sourceBurst >= BROKER_LIMITS.sourceRatePerSecond, 'sourceBurst ≥ sourceRatePerSecond')
mustHold(BROKER_LIMITS.topicLevelsMax <= 100, 'topicLevelsMax ≤ 100, the depth at which the engine\'s matcher throws')
mustHold(CA_LIMITS.serialBytes <= X509_LIMITS.serialOctetsMax, 'serialBytes ≤ serialOctetsMax')
mustHold(REGISTRY_LIMITS.changesWaitingMax >= REGISTRY_LIMITS.csvRowsMax, 'changesWaitingMax ≥ csvRowsMax')
mustHold(REGISTRY_LIMITS.pageSizeDefault <= REGISTRY_LIMITS.pageSizeMax, 'pageSizeDefault ≤ pageSizeMax')
