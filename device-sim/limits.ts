// Every bound of the simulator, with its unit in the name. It has its own because it shares the server's vocabulary and
// none of its rules: a bound copied from the server could not show that the server's bound is wrong.

const SECOND = 1_000

export const SIM_LIMITS = {
  /** Ready means: data/endpoints.json is there and the canary device has come back. A first start makes keys. */
  readyPollMs: 50,
  serverReadyMs: 30 * SECOND,
  /** After SIGTERM, before SIGKILL. */
  serverStopMs: 15 * SECOND,
  /** The last lines of a server that did not start, kept to be shown. */
  serverLogCharsMax: 64 * 1024,
  commandMs: 60 * SECOND,
  adminRequestMs: 30 * SECOND,
  adminAnswerBytesMax: 32 * 1024 * 1024,
  adminSocketsMax: 8,
  tokenMs: 600 * SECOND,
  estAnswerCharsMax: 256 * 1024,
  /** A TLS handshake and CONNACK of an honest device, on a busy machine. */
  connectMs: 15 * SECOND,
  /** An attacker's connection must be answered or closed in this time; still open afterwards counts as not refused. */
  verdictMs: 5 * SECOND,
  /** A session whose device is revoked or suspended is cut within this (issue 2, promise 3). */
  kickMs: 1 * SECOND,
  /** After this the audit log writes refusals of a device one by one again, which it counts when there are more than ten in a second. */
  recordedAgainMs: 1_200,
  /** How long a subscriber is watched for what must not arrive, after a witness message has gone the same way. */
  witnessMs: 5 * SECOND,
  /** An audit record may be written behind the refusal; it is late after this. */
  auditMs: 5 * SECOND,
  auditPollMs: 100,
  auditRecordsMax: 1_000,
  /** Records that are remembered from one look at the log to the next. */
  auditKnownMax: 20_000,
  /** T46: the server promises 10 s for a handshake. Two thousand of them end at the same moment, on a machine that may have other work. */
  handshakeMs: 13 * SECOND,
  slowlorisByteMs: 5 * SECOND,
  halfOpenSockets: 2_000,
  /** T46 spreads its sockets over this many addresses, so that no bound of one source hides the deadline. */
  halfOpenSources: 4,
  /** Each address opens this many, and pauses for this long. */
  halfOpenAtOnce: 10,
  halfOpenPauseMs: 20,
  halfOpenOpenedMs: 3 * SECOND,
  /** T47: connections from one address, opened as fast as they go. */
  connectFloodSockets: 3_000,
  connectFloodMs: 10 * SECOND,
  /** T41: second handshakes asked for on one connection. */
  renegotiations: 1_000,
  /** T42: key updates on one connection, each asking for one in return, and how much a server may grow by them. */
  keyUpdates: 20_000,
  floodGrowthBytesMax: 32 * 1024 * 1024,
  /** T50: how often a connection breaks off at each message of the handshake, in each way. */
  breaksPerMessage: 15,
  /** T52: rounds of handshakes with a certificate of so many bytes. A server's memory grows at first; it must come to rest. */
  heavyHandshakes: 120,
  heavyRounds: 10,
  heavyCalmRounds: 2,
  heavyCertificateBytes: 80_000,
  heavyParallel: 8,
  /** D07: what a relay keeps of what passes. */
  relayBytesMax: 4 * 1024 * 1024,
  /** The canary device: round trips before the first case, how often it is heard from there on, and what is told as slow. */
  canaryCalmTrips: 100,
  canaryEveryMs: 100,
  canarySlowFactor: 2,
  /** What a server may still hold of what it held before. */
  leftShareMax: 1.05,
  /** A server has given back what it held by then. */
  settleMs: 15 * SECOND,
  settlePollMs: 250,
  /** Q37. */
  floodPerSecond: 100,
  floodConnectsMin: 200,
  honestDevices: 500,
  honestParallel: 24,
  /** Q02: a take-over war at 50 Hz. */
  warTries: 50,
  warIntervalMs: 20,
  /** Requests of the fleet that are under way at the same time. */
  enrollParallel: 8,
  registerPerRequest: 200,
  /** A certificate that is kept from run to run lives longer than the longest run. */
  keptLifeMs: 25 * 3_600 * SECOND,
  bundleParallel: 3,
  fleetDevices: 50,
  fleetMessagesPerDevice: 3,
  fleetMs: 20 * SECOND,
  fleetConnectParallel: 16,
  /** A publish that is neither acknowledged nor refused. */
  acknowledgeMs: 10 * SECOND,
  /** An orderly end of a device's connection. */
  closeMs: 5 * SECOND,
  /** What is wrong is shown until here, and counted from there on. */
  faultsShownMax: 20,
  /** Cases that run side by side. */
  attackLanes: 3,
  /** One case, whatever it does: then it has failed. */
  caseMs: 60 * SECOND,
  packetBytesMax: 256 * 1024,
  /** What one server may say to one connection: a hostile one must not fill the memory of who audits it. */
  heardBytesMax: 64 * 1024 * 1024,
  loadConnectParallel: 64,
  loadDevicesMax: 100_000,
  loadRatePerSecondMax: 1_000_000,
  loadSecondsMax: 24 * 3_600,
  stormBackoffSecondsMax: 600,
  /** Between two looks at the schedule. */
  loadTickMs: 1,
  /** Messages sent in one go when the generator is behind, before it looks at what has come. */
  loadBurstMax: 1_000,
  /** A server that no longer answers must not fill the generator's memory: messages of one device under way. */
  loadUnderWayMax: 10_000,
  loadKeepAliveSeconds: 240,
  loadPingMs: 60 * SECOND,
  /** A plain line of progress, where there is no terminal. */
  progressPlainMs: 5 * SECOND,
  progressMs: SECOND / 4,
  /** Columns of a table that is not read on a terminal. */
  tableColumns: 200,
  /** What is not this machine gets no more connections than this, however many cases want them, and no case after this time. */
  elsewherePerSecond: 20,
  elsewhereMs: 15 * 60 * SECOND,
  /** A broker that the simulator starts: until it listens, and until a new revocation list is in force. */
  brokerReadyMs: 15 * SECOND,
  revocationMs: 5 * SECOND,
  /** A file of a few lines, written by a person. */
  aclCharsMax: 64 * 1024,
  pemBytesMax: 1024 * 1024,
  /** What an interrupted run still has open when all is said. */
  lingerMs: 2 * SECOND,
} as const
