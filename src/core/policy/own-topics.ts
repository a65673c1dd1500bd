// The topics that every device has to itself, below $device/<its id>/: no policy is needed for them, and none can give them to
// another device or take them away. All others below $device/ stay reserved.

import type { DenyReason } from '../../vocabulary.ts'
import { X509_LIMITS } from '../../limits.ts'
import type { DeviceId } from '../ids.ts'
import { contains, type Levels } from '../topic.ts'

const ROOT = '$device'

/** Where a device asks for its next certificate; the answers come below it. */
export function renewTopicOf(device: DeviceId): string {
  return `${ROOT}/${device}/certificate/renew`
}

/** Where the server says that it is time to ask. Nobody may publish here. */
export function hintTopicOf(device: DeviceId): string {
  return `${renewTopicOf(device)}/hint`
}

export function isBelowDeviceRoot(topic: string): boolean {
  return topic.startsWith(`${ROOT}/`)
}

/** Is this a topic of the device itself? Ids have no slash, so that no device's topics begin with those of another. */
export function isOwnTopic(device: DeviceId, topic: string): boolean {
  return topic.startsWith(`${ROOT}/${device}/`)
}

/** Of a topic below $device/. A request is no message: nothing retains it, and QoS 2 would promise what its answer tells anyway. */
export function judgeOwnPublish(device: DeviceId, topic: string, qos: 0 | 1 | 2, retain: boolean, bytes: number): DenyReason | 'granted' {
  if (topic !== renewTopicOf(device)) return 'topic-reserved'
  if (qos > 1) return 'publish-qos'
  if (retain) return 'publish-retain'
  return bytes > X509_LIMITS.csrBytesMax ? 'publish-size' : 'granted'
}

/** Answers come with QoS 1 at most. */
export const OWN_QOS_MAX = 1

export function isOwnFilter(device: DeviceId, levels: Levels): boolean {
  return levels[0] === ROOT && contains([ROOT, device, '#'], levels)
}
