// What the detection ladder is told by its operator: how far it may go, with whom, and from how many on. It holds the
// defaults, and why they are what they are; how they are written down is in config/detection.ts.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { Rung, Signal } from '../../vocabulary.ts'
import type { Device } from '../device.ts'
import type { DeviceId, GroupName } from '../ids.ts'

/** From how many on a device is on each rung; Infinity: this signal alone never takes it there. None is below the one before. */
export type Thresholds = Readonly<Record<Exclude<Rung, 'none'>, number>>

export interface DetectionRules {
  /** The highest rung that is taken; 'none' watches nobody. */
  readonly upTo: Rung
  /** Who is not watched at all. */
  readonly exempt: { readonly devices: ReadonlySet<DeviceId>; readonly groups: ReadonlySet<GroupName> }
  readonly thresholds: Readonly<Record<Signal, Thresholds>>
  /** A second counts as one of too many messages with at least so many, and so many times what is usual for the device. */
  readonly outlier: { readonly perSecond: number; readonly times: number }
}

const never = Infinity
const repetition = (observe: number, throttle: number): Thresholds => ({ observe, throttle, quarantine: never, suspend: never })

/**
 * What a broken device does, it does again and again: that slows it down and does nothing worse, for it may be a bad topic in a loop
 * or a network that drops connections; and who sits on the network can make a device reconnect, or seem to be in two places.
 * Only variety asks for a mind: trying many topics, trying the names of others. The numbers for that lie above what a
 * gateway can hold in subscriptions and sessions (`subscriptionsPerDeviceMax`, `sessionsPerDeviceMax`), so that one whose grant
 * was lost is slowed down and stays.
 */
export const DEFAULT_RULES: DetectionRules = {
  upTo: 'throttle',
  exempt: { devices: new Set(), groups: new Set() },
  thresholds: {
    // One every five seconds is worth a line, one every second is a loop.
    denials: repetition(120, 600),
    topics: { observe: 50, throttle: 200, quarantine: 2_000, suspend: 4_000 },
    // Two devices that were swapped by mistake know one name.
    'client-ids': { observe: 2, throttle: 5, quarantine: 200, suspend: 400 },
    // A client that tries once a second for ten minutes. One that is let in and stays is at one.
    connects: repetition(120, 600),
    // One that roams counts once for each network it comes to; two that fight, at each turn.
    'two-places': repetition(6, 120),
    // Five minutes in ten: who sends what it has stored while it was away is done before.
    rate: repetition(60, 300),
  },
  outlier: { perSecond: 100, times: 20 },
}

/** How far back a signal counts: repetition for minutes, what is done a little at a time for longer. */
export function windowOf(signal: Signal): number {
  return signal === 'topics' || signal === 'client-ids' || signal === 'two-places' ? DETECTION_LIMITS.varietyMs : DETECTION_LIMITS.repetitionMs
}

export function isExempt({ exempt }: DetectionRules, { id, groups }: Pick<Device, 'id' | 'groups'>): boolean {
  return exempt.devices.has(id) || groups.some((group) => exempt.groups.has(group))
}
