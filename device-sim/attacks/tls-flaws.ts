// Family T: leaves with one flaw each. What is wrong with them stands here, how they are shown in flawed.ts.

import { randomBytes, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { forgeIntermediate, forgeLeaf } from '../forge/authority.ts'
import { keyUsage, rsaAlgorithm, type ForgedSignature } from '../forge/certificate.ts'
import { oid, OID, raw, sequence, tlv, type Encodable } from '../forge/der.ts'
import { ODD_RSA_KEYS, withIndefiniteLength, withSurplus, type OddKey } from '../forge/odd-keys.ts'
import { admittedControl, type Arena, type Bench, type Runner } from './arena.ts'
import { flawedByHand, flawedLeaf, type Flaw } from './flawed.ts'
import { admittedByHand, handWorks, rawOf, tryByHand } from './handmade.ts'
import { factoryId, factoryOf, presenting } from './impostors.ts'

const MINUTE = 60_000
const YEAR = 365 * 24 * 60 * MINUTE

/** A time as its octets say it. */
const utc = (digits: string): Encodable => raw(tlv(0x17, Buffer.from(digits)))
const generalized = (digits: string): Encodable => raw(tlv(0x18, Buffer.from(digits)))
const PAST = utc('250101000000Z')

const MALFORMED_TIMES: Readonly<Record<string, Flaw>> = {
  'UTCTime without seconds': { times: [PAST, utc('4901010000Z')] },
  'UTCTime with an offset': { times: [PAST, utc('490101000000+0000')] },
  'GeneralizedTime with a fraction': { times: [PAST, generalized('20490101000000.5Z')] },
  'GeneralizedTime without a zone': { times: [PAST, generalized('20490101000000')] },
  'the 31st of February': { times: [PAST, utc('490231000000Z')] },
  'letters': { times: [PAST, utc('49010100000xZ')] },
}

/** What is well-formed, though rare: it must be let in. */
const RARE_TIMES: Readonly<Record<string, Flaw>> = {
  'the last second of UTCTime': { times: [PAST, utc('491231235959Z')] },
  'the first second of GeneralizedTime': { times: [PAST, generalized('20500101000000Z')] },
  'no end, as RFC 5280 writes it': { times: [PAST, generalized('99991231235959Z')] },
}

async function oddTimes(arena: Arena, bench: Bench): Promise<void> {
  const factory = factoryOf(arena)
  for (const [label, rare] of Object.entries(RARE_TIMES)) {
    const id = factoryId()
    const peer = await admittedControl(arena, bench, label, { credentials: presenting(forgeLeaf(factory, id, rare)) }, id)
    peer.end()
  }
  await flawedByHand(() => MALFORMED_TIMES)(arena, bench)
}

export const withKeys = (keys: Readonly<Record<string, () => OddKey>>): Readonly<Record<string, Flaw>> => Object.fromEntries(Object.entries(keys).map(([label, make]) => [label, make()]))

const signedAs = (algorithm: string, hash: string) => (): ForgedSignature => ({ hash, inner: sequence(oid(algorithm)), outer: sequence(oid(algorithm)) })
const signedAsRsa = (algorithm: string, hash: string) => (): ForgedSignature => ({ hash, inner: rsaAlgorithm(algorithm), outer: rsaAlgorithm(algorithm) })

/** T30: only an RSA key signs with MD5, so a CA with one stands between. */
async function weakSignatures(arena: Arena, bench: Bench): Promise<void> {
  await flawedByHand(() => ({ 'ECDSA with SHA-1': { signature: signedAs(OID.ecdsaWithSha1, 'sha1') } }))(arena, bench)
  if (!arena.offers('second-ca')) return
  const rsa = forgeIntermediate(factoryOf(arena), 'RSA below the factory', { key: generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey })
  for (const [label, signature] of [['RSA with SHA-1', signedAsRsa(OID.sha1WithRsa, 'sha1')], ['RSA with MD5', signedAsRsa(OID.md5WithRsa, 'md5')]] as const) {
    const id = factoryId()
    await tryByHand(arena, bench, 'trusted', `${label}, below a trusted CA`, flawedLeaf(rsa, id, { signature }, rsa.certificate), id)
  }
}

/** T33: what the documentation says is accepted is accepted, and the others end in a refusal. */
async function newKinds(arena: Arena, bench: Bench): Promise<void> {
  const factory = factoryOf(arena)
  const id = factoryId()
  await admittedByHand(arena, bench, 'Ed25519, which is accepted', flawedLeaf(factory, id, { key: generateKeyPairSync('ed25519').privateKey }), id)
  const others: Readonly<Record<string, KeyObject>> = { 'Ed448': generateKeyPairSync('ed448').privateKey, 'ML-DSA-44': generateKeyPairSync('ml-dsa-44').privateKey }
  await flawedByHand(() => Object.fromEntries(Object.entries(others).map(([label, key]) => [label, { key }])))(arena, bench)
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  const place = at < 0 ? copy.length + at : at
  copy[place] = (copy[place] ?? 0) ^ 1
  return copy
}

/** T34: a real certificate of a real device, in which one bit has changed; it still has the key. */
async function flippedBits(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t34')
  await handWorks(arena, bench, device)
  const own = rawOf(device)
  const [leaf, issuing] = device.chain
  if (leaf === undefined || issuing === undefined) throw new Error('the chain of the device is too short')
  const nameAt = leaf.indexOf(device.id)
  const changed: Readonly<Record<string, readonly Buffer[]>> = {
    'in the signature of the leaf': [flipped(leaf, -1), issuing],
    'in the name of the leaf': [flipped(leaf, nameAt + device.id.length - 1), issuing],
    'in the signature of the intermediate': [leaf, flipped(issuing, -1)],
  }
  for (const [label, chain] of Object.entries(changed)) await tryByHand(arena, bench, 'attack', label, { ...own, chain }, device.id)
}

/** T38: bytes around a good signature can be changed by anybody, without a key. */
async function reencoded(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t38')
  const [leaf, ...above] = device.chain
  if (leaf === undefined) throw new Error('the device has no certificate')
  const forms: Readonly<Record<string, Buffer>> = { 'an element behind the signature': withSurplus(leaf), 'bytes behind the certificate': Buffer.concat([leaf, Buffer.from([0, 0])]) }
  for (const [label, form] of Object.entries(forms)) await tryByHand(arena, bench, 'attack', label, { ...rawOf(device), chain: [form, ...above] }, device.id)
  // Whoever knows a revoked certificate by its bytes must know it in other bytes, too.
  await arena.admin.revoke({ device: device.id }, 'keyCompromise')
  await tryByHand(arena, bench, 'revoked', 'revoked, then in BER', { ...rawOf(device), chain: [withIndefiniteLength(leaf), ...above] }, device.id)
  await flawedByHand(() => ({
    'a negative serial number': { serial: Buffer.concat([Buffer.from([0x80]), randomBytes(15)]) },
    'a serial number of 21 octets': { serial: Buffer.concat([Buffer.from([0x40]), randomBytes(20)]) },
    'the serial number zero': { serial: Buffer.from([0]) },
    'an extension twice': { more: [keyUsage('digitalSignature')] },
    'version 1': { version: 1, bare: true },
    'version 1 with extensions': { version: 1 },
  }))(arena, bench)
}

export const TLS_FLAW_CASES = {
  T07: flawedByHand(() => ({ 'valid in a minute': { notBefore: Date.now() + MINUTE }, 'valid in a year': { notBefore: Date.now() + YEAR, notAfter: Date.now() + 2 * YEAR } })),
  T08: oddTimes,
  T18: flawedByHand(() => ({ 'anyExtendedKeyUsage': { extendedKeyUsage: [OID.anyExtendedKeyUsage] } })),
  T19: flawedByHand(() => ({ 'an empty list of usages': { extendedKeyUsage: [] } })),
  T20: flawedByHand(() => ({ 'key agreement only': { keyUsage: keyUsage('keyAgreement') }, 'key encipherment only': { keyUsage: keyUsage('keyEncipherment') }, 'no bit at all': { keyUsage: keyUsage() } })),
  T26: flawedByHand(() => ({ 'an unknown critical extension': { more: [{ id: '1.3.6.1.4.1.32473.1', critical: true, value: Buffer.from([0x05, 0x00]) }] } })),
  T30: weakSignatures,
  T31: flawedByHand(() => withKeys(ODD_RSA_KEYS)),
  T33: newKinds,
  T34: flippedBits,
  T35: flawedByHand(() => ({
    'SHA-384 outside, SHA-256 inside': { signature: () => ({ hash: 'sha256', inner: sequence(oid(OID.ecdsaWithSha256)), outer: sequence(oid(OID.ecdsaWithSha384)) }) },
    'SHA-1 inside': { signature: () => ({ hash: 'sha256', inner: sequence(oid(OID.ecdsaWithSha1)), outer: sequence(oid(OID.ecdsaWithSha256)) }) },
  })),
  T38: reencoded,
} as const satisfies Record<string, Runner>
