// One-time passwords that were chosen elsewhere: printed or flashed in a factory before anybody knew the device here. Their strength can
// only be estimated; what is refused is what nobody would take for chance.

import { PASSWORD_LIMITS } from '../enrollment-limits.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { DeviceId } from './ids.ts'

declare const brand: unique symbol
/** Printable ASCII without spaces, judged for one device. */
export type DevicePassword = string & { readonly [brand]: 'DevicePassword' }

/** Alphabets that a letter is taken to be of; who uses several has chosen among all their letters. */
const ALPHABETS = [[/[0-9]/, 10], [/[a-z]/, 26], [/[A-Z]/, 26], [/[^0-9A-Za-z]/, 32]] as const
/** An id of fewer letters may stand in a password by chance. */
const ID_CHARS_MIN = 4

/** Reason: password-weak, which never says the password. */
export function parseDevicePassword(text: string, device: DeviceId): Decision<DevicePassword> {
  const { charsMin, charsMax, bitsMin } = PASSWORD_LIMITS
  if (!/^[!-~]*$/.test(text)) return deny('password-weak', 'it is not of printable ASCII without spaces')
  if (text.length < charsMin || text.length > charsMax) return deny('password-weak', `it has ${text.length} letters, and not ${charsMin} to ${charsMax}`)
  if (device.length >= ID_CHARS_MIN && text.toLowerCase().includes(device.toLowerCase())) return deny('password-weak', 'it contains the device id')
  const bits = Math.floor(estimatedBits(text))
  return bits < bitsMin ? deny('password-weak', `about ${bits} bits, and not ${bitsMin}`) : allow(text as DevicePassword)
}

/** At most what chance would need for it: letters that go on with a row (aaaa, 1234, 9630), or repeat three that were there, count for nothing. */
export function estimatedBits(text: string): number {
  const letters = ALPHABETS.reduce((sum, [alphabet, size]) => sum + (alphabet.test(text) ? size : 0), 0)
  const seen = new Set<string>()
  let counted = 0
  for (let i = 0; i < text.length; i++) {
    const three = text.slice(Math.max(0, i - 2), i + 1)
    const goesOn = i >= 2 && text.charCodeAt(i) - text.charCodeAt(i - 1) === text.charCodeAt(i - 1) - text.charCodeAt(i - 2)
    if (!goesOn && !seen.has(three)) counted++
    seen.add(three)
  }
  return counted * Math.log2(Math.max(1, letters))
}
