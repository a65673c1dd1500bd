// PKCS#12 (RFC 7292): a key, its certificate, the chain and the roots under one password. PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA256
// (RFC 8018), and a MAC of HMAC-SHA256. It is written in DER, for readers in devices take nothing else.

import { createCipheriv, createHmac, createHash, hash, pbkdf2, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { encodeInteger, encodeOid, TAG, tlv } from './der.ts'

/** Certificates are DER. */
export interface KeyStore {
  /** By which readers list the key: ASCII. */
  readonly name: string
  readonly key: KeyObject
  readonly certificate: Uint8Array
  /** What signed it, leaf side first, without the root. */
  readonly chain: readonly Uint8Array[]
  /** Java takes them for trusted entries. */
  readonly roots: readonly Uint8Array[]
}

export interface KeyStoreLock {
  /** ASCII: what other letters are to the two derivations of a key, readers do not agree on. */
  readonly password: string
  /** How often each derivation hashes. */
  readonly rounds: number
  /** Unpredictable bytes. */
  readonly random: (count: number) => Uint8Array
}

const OID = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha256: '2.16.840.1.101.3.4.2.1',
  /** Oracle's: what a certificate is trusted for. Without it a Java key store has no entry for a certificate alone. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const

const EXPLICIT_0 = 0xa0
const IMPLICIT_0 = 0x80
const KEY_BYTES = 32
const IV_BYTES = 16
const SALT_BYTES = 16
const HASH_BLOCK_BYTES = 64
/** RFC 7292 appendix B.3: what is derived is the key of a MAC. */
const PURPOSE_MAC = 3

const derive = promisify(pbkdf2)
const octets = (bytes: Uint8Array): Uint8Array => tlv(TAG.octetString, bytes)
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => tlv(TAG.sequence, ...parts)

export async function encodeKeyStore(store: KeyStore, lock: KeyStoreLock): Promise<Uint8Array> {
  const { name, certificate, chain, roots } = store
  const pair = [friendlyName(name), attribute(OID.localKeyId, octets(createHash('sha256').update(certificate).digest()))]
  const certificates = sequence(
    certBag(certificate, pair),
    ...chain.map((der) => certBag(der, [])),
    ...roots.map((der, i) => certBag(der, [friendlyName(i === 0 ? 'root' : `root-${i + 1}`), attribute(OID.trustedKeyUsage, encodeOid(OID.anyExtendedKeyUsage))])),
  )
  const key = await encrypted(store.key.export({ type: 'pkcs8', format: 'der' }), lock)
  const safes = sequence(
    await encryptedSafe(certificates, lock),
    content(OID.data, octets(sequence(bag(OID.shroudedKeyBag, sequence(key.algorithm, octets(key.ciphertext)), pair)))),
  )
  return sequence(encodeInteger(3), content(OID.data, octets(safes)), macData(safes, lock))
}

const content = (type: string, value: Uint8Array): Uint8Array => sequence(encodeOid(type), tlv(EXPLICIT_0, value))

function bag(type: string, value: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  return sequence(encodeOid(type), tlv(EXPLICIT_0, value), ...(attributes.length === 0 ? [] : [setOf(attributes)]))
}

const certBag = (der: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array => bag(OID.certBag, content(OID.x509Certificate, octets(der)), attributes)
const attribute = (type: string, value: Uint8Array): Uint8Array => sequence(encodeOid(type), tlv(TAG.set, value))
const friendlyName = (name: string): Uint8Array => attribute(OID.friendlyName, tlv(TAG.bmp, bigEndian(name)))

/** DER writes the members of a SET OF in the order of their bytes. X.690 §11.6. */
const setOf = (members: readonly Uint8Array[]): Uint8Array => tlv(TAG.set, ...members.toSorted((a, b) => Buffer.compare(a, b)))

const bigEndian = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()

async function encryptedSafe(contents: Uint8Array, lock: KeyStoreLock): Promise<Uint8Array> {
  const { algorithm, ciphertext } = await encrypted(contents, lock)
  return content(OID.encryptedData, sequence(encodeInteger(0), sequence(encodeOid(OID.data), algorithm, tlv(IMPLICIT_0, ciphertext))))
}

/** PBES2. RFC 8018 §6.2. */
async function encrypted(plain: Uint8Array, { password, rounds, random }: KeyStoreLock): Promise<{ readonly algorithm: Uint8Array; readonly ciphertext: Uint8Array }> {
  const [salt, iv] = [random(SALT_BYTES), random(IV_BYTES)]
  const cipher = createCipheriv('aes-256-cbc', await derive(password, salt, rounds, KEY_BYTES, 'sha256'), iv)
  const derivation = sequence(encodeOid(OID.pbkdf2), sequence(octets(salt), encodeInteger(rounds), sequence(encodeOid(OID.hmacSha256), tlv(TAG.null))))
  return {
    algorithm: sequence(encodeOid(OID.pbes2), sequence(derivation, sequence(encodeOid(OID.aes256Cbc), octets(iv)))),
    ciphertext: Buffer.concat([cipher.update(plain), cipher.final()]),
  }
}

function macData(safes: Uint8Array, { password, rounds, random }: KeyStoreLock): Uint8Array {
  const salt = random(SALT_BYTES)
  const mac = createHmac('sha256', macKey(password, salt, rounds)).update(safes).digest()
  return sequence(sequence(sequence(encodeOid(OID.sha256), tlv(TAG.null)), octets(mac)), octets(salt), encodeInteger(rounds))
}

/** RFC 7292 appendix B.2, of which the first block of output is enough here. The password has its terminating zero. */
function macKey(password: string, salt: Uint8Array, rounds: number): Uint8Array {
  let derived: Uint8Array = Buffer.concat([Buffer.alloc(HASH_BLOCK_BYTES, PURPOSE_MAC), filled(salt), filled(bigEndian(`${password}\0`))])
  for (let i = 0; i < rounds; i++) derived = hash('sha256', derived, 'buffer')
  return derived
}

/** Repeated until it fills whole blocks of the hash. */
function filled(bytes: Uint8Array): Uint8Array {
  return Buffer.alloc(Math.ceil(bytes.length / HASH_BLOCK_BYTES) * HASH_BLOCK_BYTES, bytes)
}
