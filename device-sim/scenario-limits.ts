// Bounds of scenarios, with their units in the name.

const SECOND = 1_000

export const SCENARIO_LIMITS = {
  fileBytesMax: 256 * 1024,
  devicesMax: 100_000,
  phasesMax: 100,
  stepsMax: 1_000,
  durationMsMax: 24 * 3_600 * SECOND,
  ratePerSecondMax: 1_000_000,
  payloadBytesMin: 40,
  payloadBytesMax: 128 * 1024,
  /** One thread of the generator for so many devices, up to one for each core. */
  devicesPerWorker: 2_500,
  /** A thread that does not answer is a fault of the simulator, not of the target. */
  workerAnswerMs: 30 * SECOND,
  /** Between two points of the charts. */
  sampleMs: SECOND,
  /** What a person who looks on is shown of the past. */
  liveSeconds: 60,
  /** A second's samples come within so many seconds. */
  openSeconds: 5,
  /** After the last phase, until what is under way has arrived. */
  drainMs: 5 * SECOND,
  drainPollMs: 100,
  /** Nothing came for so long: nothing is under way. */
  quietMs: SECOND / 2,
  /** Failures that are told one by one; all are counted. */
  failuresShownMax: 50,
  /** Numbers of messages of one stream that did not come, kept one by one. */
  missingKeptMax: 10_000,
  /** A device waits no longer than this between two attempts. */
  backoffMsMax: 30 * SECOND,
  connectAttemptsMax: 8,
  renewMs: 15 * SECOND,
  /** A server that was told to read its configuration again has done so. */
  reloadMs: 10 * SECOND,
} as const
