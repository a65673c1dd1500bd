// The bounds of the public door and of what it publishes, as limits.ts has them: the unit in the name, with the attack.

const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The public door: CRLs, OCSP and CA certificates, for anybody, over plain HTTP. */
export const PKI_LIMITS = {
  /** A request is some hundred bytes; one of 64 KiB is somebody who wants to see the parser work. Base64 in a path takes a third more. */
  ocspRequestBytesMax: 8 * KiB,
  pathBytesMax: 12 * KiB,
  ocspCertificatesMax: 16,
  /** RFC 9654 §2.1. */
  ocspNonceBytesMax: 128,
  /** How long an answer may be shown by whoever got it. */
  ocspValidityMs: HOUR,
  /** Signed answers without a nonce that are given again, until the registry changes. */
  ocspRememberedMax: 10_000,
  /** Who fills requests up with extensions that nobody reads would have 80 MiB of them kept: larger ones are answered, and not remembered. */
  ocspRememberedBytesMax: 512,
  /** Signatures under way; beyond them the answer is tryLater. */
  ocspSigningMax: 512,
  /** Floods: requests per second and burst of one source; a CRL of a million entries is 50 MB. */
  sourceRatePerSecond: 200,
  sourceBurst: 1_000,
  sourcesTrackedMax: 65_536,
  /** Slowloris: header and body, idle connections, and connections in all. */
  headerMs: 5 * SECOND,
  requestMs: 10 * SECOND,
  idleMs: 15 * SECOND,
  connectionsMax: 512,
  /** One address that opens connections and says nothing would keep everybody else out. */
  sourceConnectionsMax: 128,
  /** A large CRL is read and encoded in pages, so that nothing else waits longer for the event loop than for one. */
  crlPageEntries: 2_000,
  /** Lists that are made at a time take no more, and a list that would is not made: it is held in memory to be signed. Some 1,200,000 entries. */
  crlBytesMax: 60 * MiB,
  /** Who revokes one certificate after another would have lists of millions made without a pause: it rests for so many times what they took. */
  crlRestTimes: 9,
  /** A crowd of revocations is one CRL: how long it waits for more of them. */
  crlDelayMs: 2 * SECOND,
  crlRetryMs: 30 * SECOND,
  /** How often it is looked whether a list is due. */
  crlCheckMs: MINUTE,
  /** The CRL of the root, whose key is offline by habit. */
  rootCrlMs: 365 * DAY,
  crlShardsMax: 256,
  crlHoursMax: 30 * 24,
} as const
