// What the broker sees, as facts for the ladder, and which refusals are any. Every fact is of a connection whose certificate
// proved the device, and of something that the device itself did: what others do to it, what the server cannot do for it, and
// what a stranger claims, is none.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { DenyReason } from '../../vocabulary.ts'
import { parseDeviceId, type DeviceId } from '../ids.ts'
import { SHARE_ROOT } from '../topic.ts'

export type Fact =
  /** A message or a filter that its session may not have. */
  | { readonly kind: 'refused'; readonly topic: string }
  /** A CONNECT that was judged for what it asks. */
  | { readonly kind: 'connect' }
  /** A CONNECT with the client id of another device that is registered. */
  | { readonly kind: 'named-other'; readonly other: DeviceId }
  /** Its certificate speaks, or spoke just now, from another place as well. */
  | { readonly kind: 'two-places' }
  /** It sent so many messages and SUBSCRIBEs since the last look, about a second ago. */
  | { readonly kind: 'sent'; readonly messages: number }

/**
 * Refusals of the policy that a session meets with what it asks. Not among them: `publish-rate`, for which the grant has a bound
 * already, quotas, and `receive-denied`, which is about what others publish.
 */
const OF_REQUESTS: ReadonlySet<DenyReason> = new Set([
  'publish-not-granted', 'publish-denied', 'publish-qos', 'publish-retain', 'publish-size',
  'subscribe-not-granted', 'subscribe-denied', 'share-not-granted', 'topic-invalid', 'topic-reserved', 'filter-invalid',
])

/**
 * Refusals of a CONNECT that are about what it asks. Not among them: what is wrong with a certificate or a device (whoever shows a
 * revoked certificate is not the device any more), what the server cannot do at the moment, and `connect-rate`, which is what the
 * ladder itself answers: it would hold a device where it is for being held there.
 */
const OF_CONNECTS: ReadonlySet<DenyReason> = new Set([
  'client-id-mismatch', 'client-id-invalid', 'client-id-empty', 'no-grant', 'sessions-limit', 'will-not-granted', 'will-invalid',
  'publish-denied', 'publish-qos', 'publish-retain', 'publish-size', 'topic-invalid', 'topic-reserved', 'protocol-version', 'authentication-method',
])

export function factOfRequest(reason: DenyReason, topic: string | undefined): Fact | undefined {
  return topic !== undefined && OF_REQUESTS.has(reason) ? { kind: 'refused', topic } : undefined
}

/** Of a CONNECT of `device`: admitted, where there is no reason. `isRegistered` says whether there is such a device. */
export function factsOfConnect(device: DeviceId, reason: DenyReason | undefined, clientId: string | undefined, isRegistered: (id: DeviceId) => boolean): readonly Fact[] {
  if (reason === undefined) return [{ kind: 'connect' }]
  if (!OF_CONNECTS.has(reason)) return []
  const other = reason === 'client-id-mismatch' ? parseDeviceId(clientId?.split(':', 1)[0] ?? '') : undefined
  const named = other?.allow === true && other.value !== device && isRegistered(other.value)
  return named ? [{ kind: 'connect' }, { kind: 'named-other', other: other.value }] : [{ kind: 'connect' }]
}

/** The beginning of a topic or filter, by which different ones are told apart; of a shared subscription, of the filter in it. */
export function beginningOf(topic: string): string {
  const levels = topic.slice(0, DETECTION_LIMITS.topicCharsMax).split('/')
  const own = topic.startsWith(SHARE_ROOT) ? levels.slice(2) : levels
  return own.slice(0, DETECTION_LIMITS.topicLevels).join('/')
}

/** FNV-1a, begun with a number that nobody outside knows: topics that count as one are not for the choosing. */
export function hashOf(text: string, secret: number): number {
  let hash = (secret ^ 0x811c9dc5) >>> 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return (hash ^ (hash >>> 15)) >>> 0
}
