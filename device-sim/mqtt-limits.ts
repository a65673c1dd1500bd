// The bounds of the cases of families Q and E, with their units in the names. They stand beside limits.ts, which is about everybody.

const SECOND = 1_000
const MiB = 1_024 * 1_024

export const MQTT_LIMITS = {
  /** Q18, Q21: one packet, however it is made, is worked through in this time on a busy machine; it takes some milliseconds. */
  heavyPacketMs: 1 * SECOND,
  /** Q22: how many announce the largest packet, how long after that it is looked, and how much a server may grow by it. */
  announcingPeers: 40,
  announcedMs: SECOND / 2,
  growthBytesMax: 64 * MiB,
  /** Q28: of each kind. */
  strayAcknowledgements: 1_000,
  /** An audit log may count in windows of a second what one device is refused. */
  auditWindowMs: 1_100,
  /** Q03: messages under way while a session is taken over. */
  takeOverMessages: 60,
  /** Q29: a keep-alive of one second ends a silent connection at 1.5; more is a server that waits for ever. */
  keepAliveSeconds: 1,
  keepAliveEndMs: 5 * SECOND,
  dripMs: SECOND / 4,
  /** What a server may say is the longest keep-alive, or session, that it serves. */
  keepAliveSecondsMax: 24 * 3_600,
  sessionSecondsMax: 31 * 24 * 3_600,
  /** Q30: no complete CONNECT; the server promises 10 s, one more is allowed. */
  connectMs: 13 * SECOND,
  halfConnects: 40,
  /** Q36: sessions of one device, kept one beside the other. */
  cycledSessions: 45,
  keptSessionsMax: 40,
  /** Q27: more than any server takes before it asks for a PUBREL. */
  halfOpenMessages: 3_000,
  /** Q31: what a device sends that may send twenty a second, and one that nobody limits. */
  meteredMessages: 400,
  /** What it posts over HTTPS besides: less than what it could with an account of its own. */
  meteredPosts: 15,
  floodMessages: 5_000,
  /** Q32, Q33, Q34: messages of this size, far more than a server may keep for one device. */
  largePayloadBytes: 200 * 1_024,
  unreadMessages: 200,
  waitingMessages: 120,
  retainedMessages: 120,
  /** What a server may keep of them: a quarter for the sizes that it writes beside each. */
  keptBytesMax: 20 * MiB,
  /** Q35: filters of one device, and how many it asks for at a time. */
  filters: 5_000,
  filtersPerPacket: 100,
  keptFiltersMax: 2_000,
  /** Q42: packets, well-made and broken, on connections that are opened anew as often as they are closed. */
  fuzzSeed: 20_261_128,
  fuzzPackets: 4_000,
  fuzzPacketsMin: 1_000,
  fuzzMs: 8 * SECOND,
  fuzzBatch: 20,
  fuzzDevices: 4,
  /** Q43: pieces of one message. */
  webSocketPieces: 5_000,
  /** E04: how many come with one token at once. */
  tokenRace: 50,
  /** E05: guesses at a token. */
  guesses: 12,
  /** E22: the same request at once. */
  retries: 5,
  /** E21: more than any device asks in a second. */
  requestFlood: 400,
  /** E12: requests that never become whole, and when each of them is over: the server promises 15 s, and looks every second. */
  slowRequests: 60,
  slowByteMs: SECOND / 2,
  slowRequestMs: 17 * SECOND,
  /** E13: what is behind a request has been answered by then, if it ever is. */
  smuggledMs: 2 * SECOND,
  /** E30: questions at once from one address. */
  ocspFlood: 300,
  /** A server that was flooded has answered by then. */
  floodAnswerMs: 10 * SECOND,
} as const
