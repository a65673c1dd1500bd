// Every bound of the program, each with its unit in the name and the attack that it stops; those of a noun that has many are in a file of that
// name: enrollment-limits.ts … It imports nothing. Relations between bounds are asserted at the end: a change of one breaks no other silently.

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
  /** The same for the request that turns a connection into a WebSocket: its time behind the handshake, and its header. */
  upgradeMs: 5 * SECOND,
  upgradeHeaderBytesMax: 8 * KiB,
  /** A WebSocket message may hold several packets. It is buffered whole, so it may be this much larger than the largest packet. */
  messageSlackBytes: 64 * KiB,
  /**
   * Crumbs that cost more than they carry: fragments of one WebSocket message, and pieces in which the network delivers one
   * frame.
   */
  messageFragmentsMax: 1_024,
  messagePiecesMax: 16_384,
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
  /** The same for MQTT 3.1.1, whose clients cannot be told: exchanges of QoS 2 that one connection may have open. */
  receivingMax: 1_000,
  /** Topic aliases a client may define per connection. */
  topicAliasMaximum: 32,
  /** Sessions that never expire pile up: the longest that a session outlives its connection, in seconds, in both protocols. */
  sessionExpirySecondsMax: 7 * 24 * 3_600,
  /** One device with many client ids: sessions of one device, connected and kept ones together. */
  sessionsPerDeviceMax: 32,
  /** A reader that stopped reading: bytes waiting in one connection before it is disconnected. */
  outboundBytesMax: 4 * MiB,
  /** A reader that is slow: with more bytes than this waiting, QoS 1 and 2 wait in their queue. */
  outboundHighBytes: 256 * KiB,
  /** With more than this waiting, QoS 0 is dropped: some milliseconds of a fast stream are no slowness. */
  outboundQos0BytesMax: 2 * MiB,
  /** Many slow readers at once: with more than this waiting for all together, QoS 0 is dropped from `outboundHighBytes` on. */
  outboundAllBytesMax: 256 * MiB,
  /** A reader that takes nothing at all: disconnected after this. */
  stalledMs: 30 * SECOND,
  /** Messages of QoS 1 and 2 on their way to one client that sets no Receive Maximum of its own. */
  inFlightMax: 1_000,
  /** The queue of a kept session is read from the store by pages of so many messages and bytes; more is never in memory. */
  queuePageMessages: 500,
  queuePageBytes: 1 * MiB,
  /** A member of a shared subscription with more than this waiting is passed over. */
  willingQueueMax: 1_000,
  /** A publisher that does not wait for its acknowledgements, while the store is slow: so many are open before no more is read from it. */
  unansweredMax: 1_000,
  /** Client ids of which it is remembered that nothing is kept for them. */
  nothingKeptMax: 65_536,
  /** Topics whose kept subscribers are remembered; the oldest are forgotten. */
  holdersRememberedMax: 65_536,
  /**
   * Messages waiting for one session, and their bytes: topic, payload and properties. By count alone one session could hold gigabytes; by session alone a device could, with many of them.
   */
  queueMessagesMax: 10_000,
  queueBytesPerSessionMax: 16 * MiB,
  queueBytesPerDeviceMax: 64 * MiB,
  /** Waiting entries of absent sessions that are older than this go first, oldest QoS 1 first, when the next message comes. */
  queueAgeSecondsMax: 7 * 24 * 3_600,
  /** Retained messages are kept for ever: a device that retains under one topic after another fills the memory. */
  retainedMessagesPerDeviceMax: 10_000,
  retainedBytesPerDeviceMax: 16 * MiB,
  /** Silence: the longest keep-alive, in seconds, that is accepted; a longer or absent one becomes this. */
  keepAliveSecondsMax: 1_200,
  /** Two programs that fight over one client id: CONNECTs of one device, tokens per second and burst. */
  deviceConnectRatePerSecond: 5,
  deviceConnectBurst: 50,
  /**
   * Devices of which is remembered how much of their rates they have used, and rates of one device: who is not connected is
   * forgotten first. Of so many devices at a time it is looked whether that still has to be remembered.
   */
  rateAccountsMax: 65_536,
  ratesPerDeviceMax: 1_000,
  rateAccountsPerSweep: 5_000,
  /** A change of policy concerns all sessions at once: how long they are judged anew before everybody else has a turn. */
  renewSliceMs: 8,
  /** Once a second each connection is looked at: for how long before everybody else has a turn, and how many between two looks at the clock. */
  walkSliceMs: 1,
  walkStepsAtOnce: 32,
  /** Kept sessions that are looked at together when the policy has changed, and retained messages. */
  absentPageSessions: 100,
  retainedPageMessages: 100,
  /** A client that pipelines packets behind its CONNECT: how many are held until CONNACK, and their bytes in all. */
  packetsBeforeConnackMax: 1_000,
  bytesBeforeConnackMax: 64 * KiB,
  /** A crowd with a Subscription Identifier each: forms of one message that are kept for the next subscriber, per message. */
  templatesPerMessageMax: 64,
  /** A closing peer that never closes its side: the socket is destroyed after this. */
  lingerMs: 500,
  /** Draining at shutdown: sessions that are still open after this are destroyed. */
  drainMs: 5 * SECOND,
} as const

/** What the router remembers of where messages went. */
export const ROUTER_LIMITS = {
  /** Topic sprays: topics whose route is remembered; the least recently used half is forgotten when there are more. */
  topicsRememberedMax: 65_536,
  /**
   * One message to a hundred thousand, on one topic after another: deliveries in all remembered routes. What else a route
   * holds (subscription identifiers, matching filters) counts as deliveries, too.
   */
  deliveriesRememberedMax: 1_000_000,
  /** A change of a filter with wildcards makes the topics below its literal beginning doubtful: how many levels of it are told apart. */
  prefixLevelsMax: 8,
  /** Counters that these beginnings share by their hash; a collision costs one walk through the tree. */
  prefixCountersMax: 16_384,
  /**
   * Connect and subscribe, over and over: sessions that are gone and are still named by a remembered route, before all
   * routes are forgotten; in a large fleet, this part of those that are there.
   */
  goneSessionsMax: 1_024,
  goneSessionsDivisor: 8,
  /**
   * Subscribe and unsubscribe, over and over: in a large Map each deletion of a key leaves a gap that every later look-up
   * of the same key steps over, until the Map is rebuilt (measured: 23 µs each with 5,000 keys). So levels that become
   * vacant below a node stay, this many of them, where the node has more than so many children.
   */
  vacantLevelsMax: 64,
  vacantLevelsFromChildren: 256,
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
  /** A token that asks for approval, and a machine that asks with one key after the other: requests that wait for an operator. */
  enrollmentsWaitingMax: 10_000,
  pageSizeMax: 1_000,
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
  /** A disk that somebody fills: room in the registry's own files, of its database and of its log each, for what must be recorded all the same: revocations. */
  reservedBytes: 2 * MiB,
  /** Pages of the write-ahead log before it is copied into the database: its room is used again and again, and never outgrown by one transaction. */
  logPagesMax: 100,
} as const

/** What outlives a connection: the session store. */
export const SESSION_LIMITS = {
  /** Storage that fails while messages keep coming: bytes of changes that wait for their fsync; a commit beyond this is refused. */
  changesWaitingBytesMax: 64 * MiB,
  /** What a waiting call costs besides its texts and bodies: many small ones must not go uncounted. */
  waitingCallBytes: 256,
  /** Group commit: calls that share one transaction and one fsync, and their bytes. More would make the next wait for too long. */
  callsPerBatchMax: 4_096,
  batchBytesMax: 8 * MiB,
  /** Storage that fails: how long until the same batch is tried again. */
  retryMs: 500,
  /** Sessions whose counters are kept at hand; those of the others are read when they are needed. */
  countersCachedMax: 20_000,
  /** Sequence numbers are set aside in such blocks: one write for many, and a crash skips at most these. */
  sequencesAhead: 64,
  /** Memory of the page cache: walking the topic tree of 100,000 absent sessions must not read the disk for every level. */
  pageCacheKiB: 32 * KiB,
  /** Pages of the write-ahead log before it is copied into the database: the longer, the more often a hot page is copied only once. */
  logPagesMax: 4_000,
  /** Another process that holds the database's lock: how long a transaction waits for it before it counts as a failure. */
  databaseBusyMs: 2 * SECOND,
  /** Retained messages that one read looks at: a filter that begins with a wildcard must not stop everybody else's commits. */
  retainedScannedMax: 10_000,
  /** Opening must stay quick: a larger file is not checked page by page at its start, but read through afterwards. */
  checkedAtOpenBytesMax: 64 * MiB,
  /**
   * A disk that messages fill: nothing more is stored with less room than this, or than this part of the disk where that is
   * less. What is left is for the registry and the audit log, which share the disk and must go on.
   */
  freeBytesMin: 64 * MiB,
  freeDivisor: 50,
  /** Rows read at a time while a large file is read through. */
  checkedRowsPerSlice: 500,
} as const

/** The policy language. */
export const POLICY_LIMITS = {
  documentBytesMax: 8 * MiB,
  /** Files in policy.d, and bytes of all files of a policy. */
  filesMax: 1_000,
  bytesMax: 16 * MiB,
  /** A policy that is read while messages flow: how long it holds the event loop at a time, and how long all of it may take. */
  sliceMs: 5,
  readMs: 60 * SECOND,
  /** What a thread that parses YAML may use: a text makes a hundred times its size. */
  parserMiBMax: 2_048,
  rulesMax: 100_000,
  patternsPerRuleMax: 1_000,
  /** Values in one rule, and in what stands outside of rules: it is handed over at once. The largest rule of all that are read has fewer. */
  valuesPerRuleMax: 100_000,
  /** One rule must not hold the event loop while it is read: share names of one subscription, networks of one condition, values of one attribute. */
  shareNamesMax: 64,
  networksMax: 256,
  valuesMax: 256,
  /** Levels of topics that rules share while they are read; what is named beyond these is not. */
  levelsSharedMax: 10_000,
  /** A file that is wrong everywhere: problems that are told; the others are counted. */
  problemsMax: 1_000,
  /** What is said of a pattern that cannot be used. */
  problemCharsMax: 160,
  /** A policy of another broker whose rules would have to be laid against each other this often is not imported: it would take minutes. */
  importComparisonsMax: 20_000_000,
  /** Distinct topics remembered per session and direction; the oldest are forgotten. */
  decisionCacheMax: 256,
  /** A change of a thousand lines for each of a thousand devices: permissions that one device is shown to lose, and to gain. */
  permissionsShownMax: 50,
  /** Questions about a whole fleet: devices that one request of the admin API looks at, and the time that it may take. The next goes on from there. */
  fleetDevicesPerRequestMax: 10_000,
  fleetRequestMs: 2 * SECOND,
  /** The event loop belongs to the broker: devices are looked at in slices of this time. */
  fleetSliceMs: 5,
  /** Policies that were in force are kept for a rollback: so many, and bytes of their texts in all. The newest two are always kept. */
  historyMax: 200,
  historyBytesMax: 128 * MiB,
  /** Files of tests: tests in one file. */
  testsMax: 100_000,
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

/** Times of day-to-day life. */
export const LIFE = {
  /** How late, at most, the session of an expired certificate is closed. */
  expirySweepMs: SECOND,
  /** How often the program's own certificates are looked at. More often than they need: a clock that was set back makes them wrong at once. */
  credentialsLookMs: HOUR,
  day: DAY,
} as const

function mustHold(holds: boolean, relation: string): void {
  if (!holds) throw new Error(`limits.ts: ${relation} does not hold`)
}
mustHold(BROKER_LIMITS.connectPacketBytesMax <= BROKER_LIMITS.packetBytesMax, 'connectPacketBytesMax ≤ packetBytesMax')
mustHold(BROKER_LIMITS.outboundHighBytes <= BROKER_LIMITS.outboundQos0BytesMax && BROKER_LIMITS.outboundQos0BytesMax <= BROKER_LIMITS.outboundBytesMax, 'outboundHighBytes ≤ outboundQos0BytesMax ≤ outboundBytesMax')
mustHold(BROKER_LIMITS.queueBytesPerSessionMax <= BROKER_LIMITS.queueBytesPerDeviceMax, 'queueBytesPerSessionMax ≤ queueBytesPerDeviceMax')
mustHold(2 * BROKER_LIMITS.queueMessagesMax <= 65_535, '2 · queueMessagesMax ≤ 65,535, the packet ids of a session')
mustHold(BROKER_LIMITS.packetBytesMax <= BROKER_LIMITS.queueBytesPerSessionMax, 'packetBytesMax ≤ queueBytesPerSessionMax')
mustHold(BROKER_LIMITS.packetBytesMax <= SESSION_LIMITS.batchBytesMax && SESSION_LIMITS.batchBytesMax <= SESSION_LIMITS.changesWaitingBytesMax, 'packetBytesMax ≤ batchBytesMax ≤ changesWaitingBytesMax')
mustHold(BROKER_LIMITS.retainedBytesPerDeviceMax >= BROKER_LIMITS.packetBytesMax, 'retainedBytesPerDeviceMax ≥ packetBytesMax')
mustHold(BROKER_LIMITS.halfOpenPerSourceMax <= BROKER_LIMITS.halfOpenMax, 'halfOpenPerSourceMax ≤ halfOpenMax')
mustHold(BROKER_LIMITS.sourceBurst >= BROKER_LIMITS.sourceRatePerSecond, 'sourceBurst ≥ sourceRatePerSecond')
mustHold(BROKER_LIMITS.topicLevelsMax <= 100, 'topicLevelsMax ≤ 100, the depth at which the engine\'s matcher throws')
mustHold(CA_LIMITS.serialBytes <= X509_LIMITS.serialOctetsMax, 'serialBytes ≤ serialOctetsMax')
mustHold(POLICY_LIMITS.documentBytesMax <= POLICY_LIMITS.bytesMax, 'documentBytesMax ≤ bytesMax')
mustHold(REGISTRY_LIMITS.pageSizeDefault <= REGISTRY_LIMITS.pageSizeMax, 'pageSizeDefault ≤ pageSizeMax')
