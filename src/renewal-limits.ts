// The bounds of renewal, each with its unit in the name and the attack that it stops. It imports nothing.

/** The next certificate of a device that has one. */
export const RENEWAL_LIMITS = {
  /** A signature and three commits for each: requests of one device, tokens per second and burst, at all doors together. */
  perSecond: 1 / 60,
  burst: 10,
  /** Devices of which is remembered how much of this they have used; who asked longest ago is forgotten. */
  devicesTrackedMax: 65_536,
} as const
