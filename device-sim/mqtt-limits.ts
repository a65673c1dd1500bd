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
  /** A server that was flooded has answered by then. */
  floodAnswerMs: 10 * SECOND,
} as const
