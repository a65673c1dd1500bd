// The names that everything else is keyed by, as branded strings. Each type has one constructor, which parses; code
// that holds a DeviceId need not ask again whether it contains a slash.

import { REGISTRY_LIMITS, X509_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from './decision.ts'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** 1–64 characters `[A-Za-z0-9_.-]`, the first a letter or digit: never a topic wildcard, separator or look-alike. */
export type DeviceId = Branded<'DeviceId'>
export type TenantId = Branded<'TenantId'>
export type GroupName = Branded<'GroupName'>
/** The local name of a CA, bound to its key; never its distinguished name. */
export type CaName = Branded<'CaName'>
/** A serial number as lower-case hex of its DER content octets without a leading zero octet, 2–40 characters. */
export type SerialNumber = Branded<'SerialNumber'>
/** SHA-256 of a whole certificate in DER, as 64 lower-case hex characters. */
export type Fingerprint = Branded<'Fingerprint'>
/** SHA-256 of a SubjectPublicKeyInfo in DER, as 64 lower-case hex characters. */
export type KeyHash = Branded<'KeyHash'>
/** The part of an enrollment token by which it is found; its secret is another part. */
export type TokenName = Branded<'TokenName'>
/** Who works at the desk: 1–64 characters as a device id has them. */
export type OperatorName = Branded<'OperatorName'>
/** What the engine calls a session: tenant/device/client id. Only `sessionKey` makes one. */
export type SessionKey = Branded<'SessionKey'>
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number

/** That of everything of which nothing else is said. */
export const DEFAULT_TENANT = 'default' as TenantId

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const HEX = /^(?:[0-9a-f]{2})+$/

function isName(text: string, charsMax: number): boolean {
  return text.length <= charsMax && NAME.test(text)
}

/** What a person may be shown of a hostile text: no control characters, no look-alikes, not long. */
export function printable(text: string, charsMax = 64): string {
  const safe = text.replace(/[^\x20-\x7e]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
  return safe.length > charsMax ? `${safe.slice(0, charsMax)}…(${text.length} characters)` : safe
}

/** What a terminal obeys, or shows in another order than it stands: control characters but the end of a line and a tabulator, marks of direction, separators that are lines to some. */
const OBEYED = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** A text for a terminal or a log, with everybody's letters: what a peer wrote into it moves no cursor and turns nothing round. In JSON it stays the same text. */
export function harmless(text: string): string {
  return text.replaceAll(OBEYED, (found) => Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''))
}

export function parseDeviceId(text: string): Decision<DeviceId> {
  return isName(text, REGISTRY_LIMITS.deviceIdCharsMax) ? allow(text as DeviceId) : deny('device-id-invalid', printable(text))
}

export function parseGroupName(text: string): Decision<GroupName> {
  return isName(text, REGISTRY_LIMITS.groupCharsMax) ? allow(text as GroupName) : deny('group-invalid', printable(text))
}

export function parseTenantId(text: string): Decision<TenantId> {
  return isName(text, REGISTRY_LIMITS.groupCharsMax) ? allow(text as TenantId) : deny('request-invalid', `tenant ${printable(text)}`)
}

export function parseCaName(text: string): Decision<CaName> {
  return isName(text, REGISTRY_LIMITS.groupCharsMax) ? allow(text as CaName) : deny('request-invalid', `CA name ${printable(text)}`)
}

export function parseOperatorName(text: string): Decision<OperatorName> {
  return isName(text, REGISTRY_LIMITS.deviceIdCharsMax) ? allow(text as OperatorName) : deny('request-invalid', `operator name ${printable(text)}`)
}

/** Crockford's base 32: no letter that is taken for a digit. */
const TOKEN_NAME = /^[0-9A-HJKMNP-TV-Z]{8}$/

export function parseTokenName(text: string): Decision<TokenName> {
  return TOKEN_NAME.test(text) ? allow(text as TokenName) : deny('request-invalid', `token name ${printable(text)}`)
}

export function parseSerialNumber(text: string): Decision<SerialNumber> {
  // Some tools show the sign octet of a positive INTEGER: the same number must be the same key.
  const hex = text.toLowerCase().replaceAll(':', '').replace(/^(?:00)+(?=[0-9a-f]{2})/, '')
  return HEX.test(hex) && hex.length <= 2 * X509_LIMITS.serialOctetsMax
    ? allow(hex as SerialNumber)
    : deny('request-invalid', `serial number ${printable(text)}`)
}

export function parseFingerprint(text: string): Decision<Fingerprint> {
  const hex = text.toLowerCase().replaceAll(':', '')
  return HEX.test(hex) && hex.length === 64 ? allow(hex as Fingerprint) : deny('request-invalid', `fingerprint ${printable(text)}`)
}

export function parseKeyHash(text: string): Decision<KeyHash> {
  const hex = text.toLowerCase()
  return HEX.test(hex) && hex.length === 64 ? allow(hex as KeyHash) : deny('request-invalid', `key hash ${printable(text)}`)
}

/**
 * policy.md R9, the default rule: a client id is the device's own when it is the device id, or begins with it and ":", which
 * no device id contains. So no device can have a client id that another device could call its own.
 */
export function isOwnClientId(device: DeviceId, clientId: string): boolean {
  return clientId === device || (clientId.startsWith(`${device}:`) && clientId.length > device.length + 1)
}

/**
 * The one name under which the engine knows a session. Neither tenant nor device contains "/", so the first two
 * segments cannot be forged by a client id, and `constructor` or `__proto__` never stand alone as an object key.
 */
export function sessionKey(tenant: TenantId, device: DeviceId, clientId: string): SessionKey {
  return `${tenant}/${device}/${clientId}` as SessionKey
}
