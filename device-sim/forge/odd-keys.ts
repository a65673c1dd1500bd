// Public keys that nobody should accept: RSA of impossible sizes and exponents, curves of somebody's own, points that are on
// none. For some of them a proof of possession can be made all the same; that is what is wrong with them.

import { createECDH, createHash, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import type { BorrowedKey } from './authority.ts'
import { elements, OID, der, bits, integer, octets, oid, raw, sequence, tlv, type Encodable } from './der.ts'
import { privateKey, spki } from './keys.ts'
import { proofWith, type Proof } from './proof.ts'
import { certificateVerifyBody } from './tls12.ts'

export interface OddKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  readonly proof: Proof
}

/** The proof of who has no key: a signature with another one. */
const unprovable = (): Proof => proofWith(privateKey())

function held(key: KeyObject): OddKey {
  return { spki: spki(key), proof: proofWith(key) }
}

/** A positive INTEGER of these octets. */
const positive = (bytes: Buffer): Encodable => integer((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)

function rsaSpki(modulus: Buffer, exponent: Buffer): Buffer {
  return der(sequence(sequence(oid(OID.rsaEncryption), raw(Buffer.from([0x05, 0x00]))), bits(der(sequence(positive(modulus), positive(exponent))))))
}

/** As long as it should be, odd, and with its highest bit set: nobody knows its factors. */
function anyModulus(size: number): Buffer {
  const modulus = randomBytes(size / 8)
  modulus[0] = (modulus[0] ?? 0) | 0x80
  modulus[modulus.length - 1] = (modulus.at(-1) ?? 0) | 1
  return modulus
}

const E_65537 = Buffer.from([1, 0, 1])
const SHA256_PREFIX = Buffer.from('3031300d060960864801650304020105000420', 'hex')

/** With the exponent 1 a signature is its own padding, so everybody can make it. RFC 8017 §9.2. */
function exponentOne(): OddKey {
  const size = 2_048
  const proof: Proof = (content) => {
    const digest = Buffer.concat([SHA256_PREFIX, createHash('sha256').update(content).digest()])
    return certificateVerifyBody(0x0401, Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(size / 8 - 3 - digest.length, 0xff), Buffer.from([0]), digest]))
  }
  return { spki: rsaSpki(anyModulus(size), Buffer.from([1])), proof }
}

const rsa = (modulusLength: number, publicExponent = 65_537): OddKey => held(generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey)

/** Too short for the padding of TLS 1.3. */
function rsa512(): OddKey {
  const short = rsa(512)
  return { ...short, proof: (content, tls) => (tls === 'TLSv1.2' ? short.proof : unprovable())(content, tls) }
}

/** T31. */
export const ODD_RSA_KEYS: Readonly<Record<string, () => OddKey>> = {
  'RSA-512': rsa512,
  'RSA-1024': () => rsa(1_024),
  'RSA-2048 with exponent 3': () => rsa(2_048, 3),
  'RSA-2048 with exponent 1, signed by nobody': exponentOne,
  'RSA-2048 with an exponent as long': () => ({ spki: rsaSpki(anyModulus(2_048), anyModulus(2_040)), proof: unprovable() }),
  'RSA-16384': () => ({ spki: rsaSpki(anyModulus(16_384), E_65537), proof: unprovable() }),
}

/** P-256, to be said in full. SEC 2 §2.4.2. */
const P256 = {
  p: 'ffffffff00000001000000000000000000000000ffffffffffffffffffffffff',
  a: 'ffffffff00000001000000000000000000000000fffffffffffffffffffffffc',
  b: '5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b',
  n: 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
} as const

interface Curve {
  readonly p: string
  readonly a: string
  readonly b: string
  readonly n: string
  /** The base point, encoded. */
  readonly g: Buffer
}

/** A key on a curve that is described in the certificate itself. X9.62. */
function explicitSpki({ p, a, b, n, g }: Curve, point: Buffer): Buffer {
  const hex = (text: string): Buffer => Buffer.from(text, 'hex')
  const parameters = sequence(integer(Buffer.from([1])), sequence(oid(OID.primeField), positive(hex(p))), sequence(octets(hex(a)), octets(hex(b))), octets(g), positive(hex(n)), integer(Buffer.from([1])))
  return der(sequence(sequence(oid(OID.ecPublicKey), parameters), bits(point)))
}

function p256Spki(point: Buffer): Buffer {
  const [algorithm] = elements(spki(privateKey()))
  return der(sequence(raw(algorithm ?? Buffer.alloc(0)), bits(point)))
}

function pointOf(key: KeyObject): Buffer {
  return spki(key).subarray(-65)
}

function offCurve(): Buffer {
  const point = Buffer.from(pointOf(privateKey()))
  point[64] = (point[64] ?? 0) ^ 1
  return p256Spki(point)
}

/** y² = x³ + 696 over 697, which is no prime: with the base point (0, ·) compressed, the search for the root of 696 never ended. */
const COMPOSITE: Curve = { p: '02b9', a: '0000', b: '02b8', n: '02bd', g: Buffer.from('020000', 'hex') }

function explicitP256(): OddKey {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).privateKey
  return { spki: createPublicKey(key).export({ format: 'der', type: 'spki' }), proof: proofWith(key) }
}

/** T32. */
export const ODD_EC_KEYS: Readonly<Record<string, () => OddKey>> = {
  'explicit parameters of P-256': explicitP256,
  'explicit parameters of a field that is none': () => ({ spki: explicitSpki(COMPOSITE, COMPOSITE.g), proof: unprovable() }),
  'secp256k1': () => held(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey),
  'P-192': () => held(generateKeyPairSync('ec', { namedCurve: 'prime192v1' }).privateKey),
  'a point that is not on the curve': () => ({ spki: offCurve(), proof: unprovable() }),
  'the point at infinity': () => ({ spki: p256Spki(Buffer.from([0])), proof: unprovable() }),
  'a point of zeros': () => ({ spki: p256Spki(Buffer.concat([Buffer.from([4]), Buffer.alloc(64)])), proof: unprovable() }),
}

const N = BigInt(`0x${P256.n}`)
const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`)

function inverse(value: bigint): bigint {
  let [power, base, result] = [N - 2n, value % N, 1n]
  for (; power > 0n; power >>= 1n) {
    if ((power & 1n) === 1n) result = (result * base) % N
    base = (base * base) % N
  }
  return result
}

/**
 * The public key of `victim` on a P-256 whose base point is that very key: its private key is 1. Who compares public keys
 * without their curves takes it for the victim's. CVE-2020-0601.
 */
export function curveball(victim: KeyObject): BorrowedKey {
  const point = pointOf(victim)
  return {
    spki: explicitSpki({ ...P256, g: point }, point),
    signature: () => ({ hash: 'sha256', inner: sequence(oid(OID.ecdsaWithSha256)), outer: sequence(oid(OID.ecdsaWithSha256)), sign: (data) => signWithOne(point, data) }),
  }
}

/** ECDSA with this point as G and d = 1: r is the x of kG, which is what ECDH computes. */
function signWithOne(point: Buffer, data: Buffer): Buffer {
  const ecdh = createECDH('prime256v1')
  ecdh.generateKeys()
  const r = number(ecdh.computeSecret(point)) % N
  const s = (inverse(number(ecdh.getPrivateKey())) * (number(createHash('sha256').update(data).digest()) + r)) % N
  const minimal = (value: bigint): Encodable => {
    const full = Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
    return positive(full.subarray(full.findIndex((byte) => byte !== 0)))
  }
  return der(sequence(minimal(r), minimal(s)))
}

/** BER that is not DER: the same SEQUENCE with a length that is not told before its end. */
export function withIndefiniteLength(certificate: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x30, 0x80]), ...elements(certificate), Buffer.from([0, 0])])
}

/** One more element behind the signature, within the certificate. */
export function withSurplus(certificate: Buffer): Buffer {
  return tlv(0x30, Buffer.concat([...elements(certificate), Buffer.from([0x05, 0x00])]))
}
