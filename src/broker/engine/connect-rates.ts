// How often each device may come in: one account for all its ways in, MQTT and HTTPS. Who fights over one client id, or makes a handshake for
// each message, is slowed down before it costs more.

import { BROKER_LIMITS } from '../../limits.ts'
import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { DeviceId, EpochMs } from '../../core/ids.ts'
import { fullBucket, takeToken, type Bucket } from '../../core/token-bucket.ts'
import type { DetectionPort } from '../ports.ts'

/** Takes a token of this device and says whether there was one. */
export type ConnectRates = (device: DeviceId, now: EpochMs) => boolean

const CONNECT_RATE = { perSecond: BROKER_LIMITS.deviceConnectRatePerSecond, burst: BROKER_LIMITS.deviceConnectBurst }
const THROTTLED_RATE = { perSecond: DETECTION_LIMITS.throttledConnectsPerSecond, burst: DETECTION_LIMITS.throttledConnectBurst }

export function openConnectRates(detection: Pick<DetectionPort, 'isThrottled'>): ConnectRates {
  const rates = new Map<DeviceId, Bucket>()
  return (device, now) => {
    const rate = detection.isThrottled(device) ? THROTTLED_RATE : CONNECT_RATE
    const bucket = rates.get(device) ?? fullBucket(rate, now)
    bucket.tokens = Math.min(bucket.tokens, rate.burst)
    rates.delete(device)
    rates.set(device, bucket)
    if (rates.size > BROKER_LIMITS.sourcesTrackedMax) {
      const oldest = rates.keys().next()
      if (oldest.done !== true) rates.delete(oldest.value)
    }
    return takeToken(bucket, rate, now)
  }
}
