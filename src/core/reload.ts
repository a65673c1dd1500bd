// What a reload has done: which keys of the configuration changed, which of them are in force, and which wait for the next start. Texts, as
// the file would have them; a secret is never one of them.

/** `from` and `to` as they would be written. */
export interface SettingChanged {
  readonly key: string
  readonly from: string
  readonly to: string
}

export interface Reloaded {
  readonly policyGeneration: number
  readonly trustedCas: number
  /** In force now. */
  readonly changed: readonly SettingChanged[]
  /** What the running server does not have, and the next start will. */
  readonly atNextStart: readonly SettingChanged[]
}

/** listen.mqtt.port changed from 8883 to 8884: takes effect at the next start */
export function describeWaiting({ key, from, to }: SettingChanged): string {
  return `${key} changed from ${from} to ${to}: takes effect at the next start`
}
