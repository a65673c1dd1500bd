// The bounds of renewal, each with its unit in the name and the attack that it stops. It imports nothing.

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The next certificate of a device that has one. */
export const RENEWAL_LIMITS = {
  /** A signature and three commits for each: requests of one device, tokens per second and burst, at all doors together. */
  perSecond: 1 / 60,
  burst: 10,
  /** Devices of which is remembered how much of this they have used; who asked longest ago is forgotten. */
  devicesTrackedMax: 65_536,
  /** A batch that was provisioned in one minute is told over this part of its life: one twelfth, of a year a month. */
  hintSpreadParts: 12,
  /** A device that does not listen is told again, but not more often: half a day, and of short lives the 24th part. */
  hintEveryMs: 12 * HOUR,
  hintPauseParts: 24,
  /** Everybody comes back at once, with a hint that is due: after a start, or an order. Each sweep, which is every second, tells so many… */
  hintsPerSweepMax: 20,
  /** … and looks at so many sessions. */
  hintLooksPerSweepMax: 500,
  /** Who has just subscribed is looked at first; more than so many wait for their turn in the round. */
  hintFirstMax: 65_536,
  /** Devices of which is remembered when they were told; who was told longest ago is forgotten. */
  hintedDevicesMax: 262_144,
  /** Every look at a session asks all open orders. */
  ordersMax: 64,
  /** An order is spread over this time at most. */
  orderOverMsMax: 90 * DAY,
  /** Names of devices that are shown of an order. */
  devicesNamedMax: 10,
  /** Certificates that one look at the registry reads, between which everybody else has a turn. */
  lookedAtOnceMax: 200,
} as const

/** Warnings of what expires. */
export const EXPIRY_LIMITS = {
  /** What nobody renews unless a person does is told of this long before. */
  warnMs: 30 * DAY,
  /** What renews itself does so with a third of its life left: with a quarter left that has failed, however short the life is. */
  selfRenewedParts: 4,
  /** Once a day; less by what a look may be late or early. */
  tellEveryMs: 23 * HOUR,
  /** The times of a CRL stand behind the name of its issuer, in its first bytes, which may be 20 KiB. */
  crlHeadBytes: 24_576,
  /** A group of the policy each: the log is not flooded by whoever has a thousand. */
  groupsToldMax: 50,
  /** The longest time that `cert expiring --within` asks about: ten years. */
  withinMsMax: 3_660 * DAY,
} as const
