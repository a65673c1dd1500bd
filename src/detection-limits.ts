// Every bound of the detection ladder, with its unit and what it is for, as limits.ts has them for the rest.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** The detection ladder: what it remembers, and for how long. Its thresholds are in the configuration. */
export const DETECTION_LIMITS = {
  /** Devices of which anything is remembered; one on no rung that was quiet for longest is forgotten first. Nobody takes a place without a certificate. */
  devicesTrackedMax: 65_536,
  /** Devices whose different topics or client ids are told apart, each in a table of so many places: 4 KiB. */
  varietiesTrackedMax: 4_096,
  varietyPlaces: 4_096,
  /** Beyond this many a table cannot tell how many different ones there were. */
  varietyMax: 5_000,
  /** How far back repetition is counted, and variety. */
  repetitionMs: 10 * MINUTE,
  varietyMs: HOUR,
  /** A window forgets by this many pieces. */
  pieces: 10,
  /** Of a topic so many levels count as different: at the end honest devices write times and numbers. */
  topicLevels: 2,
  topicCharsMax: 128,
  /** A rung is left when for this long nothing took the device onto it again; what is in the registry stays until a person takes it back. */
  observeMs: HOUR,
  throttleMs: 10 * MINUTE,
  /** A rung above `throttle` is reached by who goes on for this long on the one below: no single burst throws a device out. */
  patienceMs: MINUTE,
  /** How much a device usually sends is known when it was watched for this long, and follows with this inertia. */
  usualMs: HOUR,
  /** On `throttle`: what is read of all connections of one device, in PUBLISH, SUBSCRIBE and UNSUBSCRIBE. */
  throttledPerSecond: 10,
  throttledBurst: 20,
  /** On `throttle`: CONNECTs of one device. With one every two seconds a gateway with all the sessions it may have is back within a minute. */
  throttledConnectsPerSecond: 0.5,
  throttledConnectBurst: 10,
  /** How often it is looked for one certificate that speaks from two places. */
  placesMs: MINUTE,
  /** Devices that a list shows. */
  listedMax: 10_000,
} as const
