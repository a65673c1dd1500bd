// A device and its life cycle: what may follow on what, as a table. It knows nothing of certificates or sessions.

import { REGISTRY_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from './decision.ts'
import { printable, type DeviceId, type EpochMs, type GroupName, type KeyHash, type TenantId } from './ids.ts'

export const DEVICE_STATES = ['pending', 'active', 'suspended', 'quarantined', 'retired'] as const
export type DeviceState = (typeof DEVICE_STATES)[number]

/** The detection ladder put the device into its state, and no operator has spoken since: so it may be taken back. */
export interface Hold {
  readonly since: EpochMs
  /** The state before, to which the device goes back. */
  readonly from: DeviceState
  readonly because: string
}

export interface Device {
  readonly id: DeviceId
  readonly tenant: TenantId
  readonly groups: readonly GroupName[]
  readonly attributes: Readonly<Record<string, string>>
  readonly state: DeviceState
  readonly createdAt: EpochMs
  /** Counts changes of this device, from 1; the `expected` of an optimistic commit. */
  readonly revision: number
  /** The key that its factory reported: no other one gets its first certificate. */
  readonly keySha256?: KeyHash
  /** Of a device that is quarantined or suspended, where the detection ladder did it. */
  readonly hold?: Hold
}

export const DEVICE_ACTIONS = ['suspend', 'resume', 'quarantine', 'retire'] as const
export type DeviceAction = (typeof DEVICE_ACTIONS)[number]

/** state × action → next state; what is not here is refused. Retirement is final. */
const TRANSITIONS: Readonly<Record<DeviceState, Partial<Readonly<Record<DeviceAction, DeviceState>>>>> = {
  pending: { resume: 'active', retire: 'retired' },
  active: { suspend: 'suspended', quarantine: 'quarantined', retire: 'retired', resume: 'active' },
  suspended: { resume: 'active', retire: 'retired', suspend: 'suspended' },
  quarantined: { resume: 'active', suspend: 'suspended', retire: 'retired', quarantine: 'quarantined' },
  retired: { retire: 'retired' },
}

/** The state after `action`, or `state-transition`. Repeating an action is allowed and changes nothing. */
export function nextDeviceState(state: DeviceState, action: DeviceAction): Decision<DeviceState> {
  const next = TRANSITIONS[state][action]
  return next === undefined ? deny('state-transition', `${action} of a device that is ${state}`) : allow(next)
}

const ATTRIBUTE_NAME = /^[A-Za-z][A-Za-z0-9_]*$/
// policy.md R3: what could end a topic level, be a wildcard or hide in a terminal: fillers, joiners and line separators, and
// every space but the one on the keyboard. U+FFFD stands where bytes were not UTF-8.
const ATTRIBUTE_VALUE_FORBIDDEN = /[/+#\p{Cc}\p{Cs}\p{Cn}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\uFFFD]|(?! )\p{Zs}/u

/**
 * Checks attributes as they are given by a person: names `[A-Za-z][A-Za-z0-9_]{0,31}`, values 1–128 bytes of NFC text
 * without separators, wildcards and invisible characters. `__proto__` is no attribute name: it begins with `_`.
 */
export function parseAttributes(pairs: Iterable<readonly [string, string]>): Decision<Readonly<Record<string, string>>> {
  const attributes: Record<string, string> = Object.create(null)
  let count = 0
  for (const [name, value] of pairs) {
    if (++count > REGISTRY_LIMITS.attributesPerDeviceMax) return deny('attribute-invalid', 'too many attributes')
    if (name.length > REGISTRY_LIMITS.attributeNameCharsMax || !ATTRIBUTE_NAME.test(name)) {
      return deny('attribute-invalid', `name ${printable(name)}`)
    }
    const bytes = new TextEncoder().encode(value).length
    if (bytes === 0 || bytes > REGISTRY_LIMITS.attributeValueBytesMax || ATTRIBUTE_VALUE_FORBIDDEN.test(value) || value.normalize('NFC') !== value) {
      return deny('attribute-invalid', `value of ${name}: ${printable(value)}`)
    }
    attributes[name] = value
  }
  return allow({ ...attributes })
}

/** Each group once. Reason: group-invalid, where they are too many. */
export function distinctGroups(groups: readonly GroupName[]): Decision<readonly GroupName[]> {
  const distinct = [...new Set(groups)]
  return distinct.length > REGISTRY_LIMITS.groupsPerDeviceMax ? deny('group-invalid', `at most ${REGISTRY_LIMITS.groupsPerDeviceMax} groups`) : allow(distinct)
}

/**
 * Groups and attributes of a device after a change: `groups` are all from then on, attributes are set, or taken away by null. Undefined
 * where nothing is another thing than before. Reasons: group-invalid, attribute-invalid.
 */
export function describedDevice(
  device: Pick<Device, 'groups' | 'attributes'>,
  change: { readonly groups?: readonly GroupName[] | undefined; readonly attributes?: Readonly<Record<string, string | null>> | undefined },
): Decision<Pick<Device, 'groups' | 'attributes'> | undefined> {
  const groups = distinctGroups(change.groups ?? device.groups)
  if (!groups.allow) return groups
  const pairs = new Map(Object.entries(device.attributes))
  for (const [name, value] of Object.entries(change.attributes ?? {})) {
    if (value === null) pairs.delete(name)
    else pairs.set(name, value)
  }
  const attributes = parseAttributes(pairs)
  if (!attributes.allow) return attributes
  const isSame = sameTexts(groups.value, device.groups) && sameTexts(texts(attributes.value), texts(device.attributes))
  return allow(isSame ? undefined : { groups: groups.value, attributes: attributes.value })
}

const texts = (attributes: Device['attributes']): readonly string[] => Object.entries(attributes).map(([name, value]) => `${name}=${value}`).toSorted()

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i])
}
