// Certificates and requests that our CA would refuse to make, for the tests: a good one, of which each field can be replaced
// by bytes of the caller's. It signs what it is told.

import { createHash, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { bits, explicit, hex, ia5, implicit, integer, nothing, octets, oid, seq, set, small, time, utf8, yes, type Bytes } from './asn1.ts'

export const NOW = Date.UTC(2030, 0, 15, 12, 0, 0)
export const DAY = 86_400_000

export const ALGORITHM = {
  ecdsaSha256: seq(oid('1.2.840.10045.4.3.2')),
  ecdsaSha384: seq(oid('1.2.840.10045.4.3.3')),
  ecdsaSha1: seq(oid('1.2.840.10045.4.1')),
  rsaSha256: seq(oid('1.2.840.113549.1.1.11'), nothing),
  rsaSha1: seq(oid('1.2.840.113549.1.1.5'), nothing),
  rsaMd5: seq(oid('1.2.840.113549.1.1.4'), nothing),
  ed25519: seq(oid('1.3.101.112')),
} as const

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
export const spkiOf = (key: KeyObject): Bytes => Uint8Array.from((key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' }))
export const keyIdOf = (spki: Bytes): Bytes => Uint8Array.from(createHash('sha1').update(spki).digest())

export const attribute = (type: string, value: Bytes): Bytes => seq(oid(type), value)
export const CN = '2.5.4.3'
export const O = '2.5.4.10'
export const cn = (value: string): Bytes => attribute(CN, utf8(value))
/** One attribute per RDN. */
export const name = (...attributes: readonly Bytes[]): Bytes => seq(...attributes.map((a) => set(a)))

export const extension = (id: string, value: Bytes, critical = false): Bytes => seq(oid(id), ...(critical ? [yes] : []), octets(value))
export const basicConstraints = (ca: boolean, pathLength?: number): Bytes => extension('2.5.29.19', seq(...(ca ? [yes] : []), ...(pathLength === undefined ? [] : [small(pathLength)])), true)
const USAGE_BIT = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const
export function keyUsage(...usages: readonly (keyof typeof USAGE_BIT)[]): Bytes {
  const byte = usages.reduce((all, usage) => all | (0x80 >> USAGE_BIT[usage]), 0)
  return extension('2.5.29.15', bits(Uint8Array.of(byte), 7 - Math.max(...usages.map((u) => USAGE_BIT[u]))), true)
}
export const EKU = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2', any: '2.5.29.37.0' } as const
export const extKeyUsage = (...usages: readonly string[]): Bytes => extension('2.5.29.37', seq(...usages.map(oid)))
export const subjectKeyId = (id: Bytes): Bytes => extension('2.5.29.14', octets(id))
export const authorityKeyId = (id: Bytes): Bytes => extension('2.5.29.35', seq(implicit(0, id)))
export const dns = (value: string): Bytes => implicit(2, ia5(value).subarray(2))
export const uri = (value: string): Bytes => implicit(6, ia5(value).subarray(2))
export const email = (value: string): Bytes => implicit(1, ia5(value).subarray(2))
export const ip = (bytes: Bytes): Bytes => implicit(7, bytes)
export const directory = (of: Bytes): Bytes => explicit(4, of)
export const altNames = (...names: readonly Bytes[]): Bytes => extension('2.5.29.17', seq(...names))
const subtrees = (tag: number, bases: readonly Bytes[]): readonly Bytes[] => (bases.length === 0 ? [] : [explicit(tag, ...bases.map((base) => seq(base)))])
export const nameConstraints = ({ permitted = [], excluded = [] }: { readonly permitted?: readonly Bytes[]; readonly excluded?: readonly Bytes[] }): Bytes =>
  extension('2.5.29.30', seq(...subtrees(0, permitted), ...subtrees(1, excluded)), true)

export interface Plan {
  /** Raw elements, in the order of RFC 5280 §4.1; what is not given is good. */
  readonly version: Bytes | null
  readonly serial: Bytes
  readonly innerAlgorithm: Bytes
  readonly outerAlgorithm: Bytes
  readonly issuer: Bytes
  readonly notBefore: Bytes
  readonly notAfter: Bytes
  readonly subject: Bytes
  readonly spki: Bytes
  /** Elements between key and extensions. */
  readonly between: readonly Bytes[]
  readonly extensions: readonly Bytes[] | null
  readonly hash: string | null
  readonly signWith: KeyObject
  /** Changes the signature's bits before they are put in. */
  readonly spoil: (signature: Bytes) => Bytes
}

let serials = 0
const nextSerial = (): Bytes => integer(hex(`4d${(++serials).toString(16).padStart(8, '0')}`))

function join(plan: Plan): Bytes {
  const tbs = seq(
    ...(plan.version === null ? [] : [plan.version]), plan.serial, plan.innerAlgorithm, plan.issuer, seq(plan.notBefore, plan.notAfter), plan.subject, plan.spki,
    ...plan.between, ...(plan.extensions === null ? [] : [explicit(3, seq(...plan.extensions))]),
  )
  const signature = Uint8Array.from(sign(plan.hash, tbs, plan.signWith))
  return seq(tbs, plan.outerAlgorithm, bits(plan.spoil(signature)))
}

function base(signWith: KeyObject): Pick<Plan, 'version' | 'serial' | 'innerAlgorithm' | 'outerAlgorithm' | 'notBefore' | 'notAfter' | 'between' | 'hash' | 'signWith' | 'spoil'> {
  const algorithm = signWith.asymmetricKeyType === 'ed25519' ? ALGORITHM.ed25519 : signWith.asymmetricKeyType === 'rsa' ? ALGORITHM.rsaSha256 : ALGORITHM.ecdsaSha256
  return {
    version: explicit(0, small(2)), serial: nextSerial(), innerAlgorithm: algorithm, outerAlgorithm: algorithm, between: [], signWith, spoil: (s) => s,
    hash: signWith.asymmetricKeyType === 'ed25519' ? null : 'sha256', notBefore: time(NOW - DAY), notAfter: time(NOW + 30 * DAY),
  }
}

export interface Ca {
  readonly key: KeyObject
  readonly subject: Bytes
  readonly keyId: Bytes
  readonly der: Bytes
}

export interface CaOptions {
  readonly name: string
  /** Undefined: self-signed. */
  readonly under?: Ca
  readonly key?: KeyObject
  readonly pathLength?: number
  readonly keyId?: Bytes
  /** Beyond basic constraints, key usage and key identifiers. */
  readonly more?: readonly Bytes[]
}

export function makeCa({ name: called, under, key = newKey(), pathLength, more = [], keyId }: CaOptions, change: Partial<Plan> = {}): Ca {
  const spki = spkiOf(key)
  const subject = name(attribute(O, utf8('Acme')), cn(called))
  const id = keyId ?? keyIdOf(spki)
  const plan: Plan = {
    ...base(under?.key ?? key), subject, spki, issuer: under?.subject ?? subject,
    extensions: [basicConstraints(true, pathLength), keyUsage('keyCertSign', 'cRLSign'), subjectKeyId(id), authorityKeyId(under?.keyId ?? id), ...more],
    ...change,
  }
  return { key, subject: plan.subject, keyId: id, der: join(plan) }
}

/** The extensions of a good device certificate, by name, so that one can be left out or replaced. */
const LEAF_EXTENSIONS = { basic: basicConstraints(false), usage: keyUsage('digitalSignature'), eku: extKeyUsage(EKU.client) } as const

export interface LeafOptions {
  readonly under: Ca
  readonly key?: KeyObject
  readonly subject?: Bytes
  readonly basic?: Bytes | null
  readonly usage?: Bytes | null
  readonly eku?: Bytes | null
  readonly keyIds?: readonly Bytes[]
  readonly more?: readonly Bytes[]
}

/** A device certificate that is good in everything that is not changed. */
export function makeLeaf({ under, key = newKey(), subject = name(cn('sensor-1')), basic = LEAF_EXTENSIONS.basic, usage = LEAF_EXTENSIONS.usage, eku = LEAF_EXTENSIONS.eku, keyIds, more = [] }: LeafOptions, change: Partial<Plan> = {}): Bytes {
  const spki = change.spki ?? spkiOf(key)
  return join({
    ...base(under.key), subject, spki, issuer: under.subject,
    extensions: [...[basic, usage, eku].filter((e) => e !== null), ...(keyIds ?? [subjectKeyId(keyIdOf(spki)), authorityKeyId(under.keyId)]), ...more],
    ...change,
  })
}

/** A PKCS#10 request; `attributes` are the elements inside [0]. RFC 2986. */
export function makeRequest(key: KeyObject, change: { readonly subject?: Bytes; readonly attributes?: readonly Bytes[]; readonly version?: Bytes; readonly spki?: Bytes; readonly algorithm?: Bytes; readonly hash?: string | null; readonly signWith?: KeyObject; readonly after?: readonly Bytes[] } = {}): Bytes {
  const info = seq(change.version ?? small(0), change.subject ?? name(cn('sensor-1')), change.spki ?? spkiOf(key), explicit(0, ...(change.attributes ?? [])), ...(change.after ?? []))
  const good = base(key)
  const signature = Uint8Array.from(sign(change.hash === undefined ? good.hash : change.hash, info, change.signWith ?? key))
  return seq(info, change.algorithm ?? good.outerAlgorithm, bits(signature))
}

/** The attribute that asks for extensions. RFC 2985 §5.4.2. */
export const extensionRequest = (...extensions: readonly Bytes[]): Bytes => seq(oid('1.2.840.113549.1.9.14'), set(seq(...extensions)))
