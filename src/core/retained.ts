// May a retained message be shown, though its publisher is gone? Judged again each time, because of its publisher the registry and
// the policy may say something else by now. policy.md R7.

import type { Device } from './device.ts'
import type { Message } from './message.ts'
import type { RetainedFate } from './policy/document.ts'
import type { Grants } from './policy/grants.ts'
import type { CertificateRecord } from './registry.ts'

export interface RetainedFacts {
  readonly message: Pick<Message, 'topic' | 'qos' | 'payload'>
  /** What the policy wants to become of those whose publisher may not say them any longer. */
  readonly fate: RetainedFate
  readonly device: Device | undefined
  readonly record: CertificateRecord | undefined
  /** What the publisher is granted in the state in which this device is. */
  grantsOf(device: Device): Pick<Grants, 'publish' | 'will'>
}

/** gone: no resuming of its device makes it shown again; so it need not be kept. */
export type RetainedVerdict = 'shown' | 'hidden' | 'gone'

/**
 * What was said with a certificate that is revoked is gone with it, whatever the device has been given since: its key may have been
 * a thief's. One that expired, or was superseded, takes nothing back. A device that is quarantined shows what it may say even so.
 */
export function judgeRetained(facts: RetainedFacts): RetainedVerdict {
  const { message, fate, device, record } = facts
  if (fate === 'keep') return 'shown'
  // Nothing is thrown away for what is not known.
  if (device === undefined || record === undefined) return 'hidden'
  if (record.state === 'revoked' || device.state === 'retired') return 'gone'
  const may = (as: Device): boolean => {
    const grants = facts.grantsOf(as)
    const { topic, qos, payload: { length } } = message
    return grants.publish(topic, qos, true, length).effect === 'allow' || grants.will(topic, qos, true, length).effect === 'allow'
  }
  const isIn = device.state === 'active' || device.state === 'quarantined'
  if (isIn && may(device)) return 'shown'
  return device.state !== 'active' && may({ ...device, state: 'active' }) ? 'hidden' : 'gone'
}
