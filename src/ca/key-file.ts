// Secret files: private keys sealed at rest, and files that nobody but their owner may read. Node's own encrypted PKCS#8
// stretches a passphrase with 2,048 rounds of PBKDF2, which is too few; this uses scrypt and AES-256-GCM. No error message
// of this file holds a secret.

import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, scrypt, type KeyObject } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { SallyportError } from '../core/errors.ts'
import { CA_LIMITS } from '../limits.ts'

const OTHERS = 0o077
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SALT_BYTES = 16
/** Bounds on what an altered header may cost before it is found out: 128 · N · r bytes, p times. */
const LOG_N_MAX = 20
const R_MAX = 16
const P_MAX = 4
/** scrypt works on N + p + 2 blocks of 128 · r bytes. RFC 7914 §5. */
const BLOCK_BYTES = 128

/** Writes a file whole or not at all: temporary name, mode 0600, fsync, rename, fsync of the folder. */
export function writeSecretFile(file: string, contents: string | Uint8Array, mode = 0o600): void {
  const folder = path.dirname(file)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  const descriptor = openSync(temporary, 'wx', mode)
  try {
    // Not writeSync: on a disk that is nearly full it writes a part and says nothing.
    writeFileSync(descriptor, contents)
    fsyncSync(descriptor)
  } catch (cause) {
    rmSync(temporary, { force: true })
    throw cause
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, file)
  const directory = openSync(folder, 'r')
  fsyncSync(directory)
  closeSync(directory)
}

/** Reads a secret. Failures: 'key-unreadable'; 'key-permissions' when group or others may read it. */
export function readSecretFile(file: string): Buffer {
  let mode: number
  let contents: Buffer
  try {
    mode = statSync(file).mode
    contents = readFileSync(file)
  } catch (cause) {
    throw new SallyportError('key-unreadable', `The key file ${file} cannot be read.`, { fix: 'Restore it from your backup, and check who owns it.', cause })
  }
  if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
    throw new SallyportError('key-permissions', `The key file ${file} can be read by others than its owner (mode ${(mode & 0o777).toString(8)}).`, { fix: `chmod 600 ${file}` })
  }
  return contents
}

interface SealedHeader {
  readonly format: 'sallyport-sealed-key'
  readonly version: 1
  readonly kdf: { readonly name: 'scrypt'; readonly logN: number; readonly r: number; readonly p: number; readonly salt: string }
  readonly cipher: 'aes-256-gcm'
  readonly nonce: string
}

function stretch(passphrase: Uint8Array, kdf: SealedHeader['kdf']): Promise<Buffer> {
  const N = 2 ** kdf.logN
  return new Promise((resolve, reject) => {
    scrypt(passphrase, Buffer.from(kdf.salt, 'base64'), KEY_BYTES, { N, r: kdf.r, p: kdf.p, maxmem: BLOCK_BYTES * kdf.r * (N + kdf.p + 2) }, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}

/** A private key, sealed: JSON text with an authenticated header. */
export async function sealKey(key: KeyObject, passphrase: Uint8Array): Promise<string> {
  const header: SealedHeader = {
    format: 'sallyport-sealed-key', version: 1,
    kdf: { name: 'scrypt', logN: CA_LIMITS.scryptLogN, r: CA_LIMITS.scryptR, p: CA_LIMITS.scryptP, salt: randomBytes(SALT_BYTES).toString('base64') },
    cipher: 'aes-256-gcm', nonce: randomBytes(NONCE_BYTES).toString('base64'),
  }
  const cipher = createCipheriv('aes-256-gcm', await stretch(passphrase, header.kdf), Buffer.from(header.nonce, 'base64'))
  cipher.setAAD(Buffer.from(JSON.stringify(header)))
  const sealed = Buffer.concat([cipher.update(key.export({ type: 'pkcs8', format: 'der' })), cipher.final(), cipher.getAuthTag()])
  return `${JSON.stringify({ ...header, sealed: sealed.toString('base64') }, null, 2)}\n`
}

/** Opens a sealed key. Failures: 'key-unreadable' (not one of ours, or damaged), 'passphrase-wrong'. */
export async function unsealKey(text: string, passphrase: Uint8Array, file: string): Promise<KeyObject> {
  const { header, sealed } = parseSealed(text, file)
  const key = await stretch(passphrase, header.kdf).catch(() => {
    throw damaged(file) // Work factors that scrypt does not take: N must be less than 2^(16 r). RFC 7914 §6.
  })
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(header.nonce, 'base64'))
  decipher.setAAD(Buffer.from(JSON.stringify(header)))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  try {
    const der = Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()])
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch {
    // AES-GCM cannot tell a wrong passphrase from a changed file, and neither can we.
    throw new SallyportError('passphrase-wrong', `The passphrase does not open ${file}, or the file was changed.`, {
      fix: 'Restore certs/local/passphrase, or name the right file with SALLYPORT_PASSPHRASE_FILE.',
    })
  }
}

function damaged(file: string): SallyportError {
  return new SallyportError('key-unreadable', `${file} is not a sealed key of this program, or it is damaged.`, { fix: 'Restore it from your backup.' })
}

function parseSealed(text: string, file: string): { readonly header: SealedHeader; readonly sealed: Buffer } {
  let parsed: Partial<SealedHeader> & { sealed?: unknown }
  try {
    // `null` is JSON, too.
    parsed = (JSON.parse(text) as typeof parsed | null) ?? {}
  } catch {
    throw damaged(file)
  }
  const { format, version, kdf, cipher, nonce, sealed } = parsed
  if (format !== 'sallyport-sealed-key' || version !== 1 || cipher !== 'aes-256-gcm' || typeof nonce !== 'string' || typeof sealed !== 'string') throw damaged(file)
  if (kdf?.name !== 'scrypt' || typeof kdf.salt !== 'string' || !Number.isInteger(kdf.logN) || kdf.logN < 1 || kdf.logN > LOG_N_MAX || !Number.isInteger(kdf.r) || kdf.r < 1 || kdf.r > R_MAX || !Number.isInteger(kdf.p) || kdf.p < 1 || kdf.p > P_MAX) throw damaged(file)
  const bytes = Buffer.from(sealed, 'base64')
  // Written again it must be the same: Node skips what is not base64.
  if (bytes.length <= TAG_BYTES || bytes.toString('base64') !== sealed || Buffer.from(nonce, 'base64').length !== NONCE_BYTES) throw damaged(file)
  const { name, logN, r, p, salt } = kdf
  return { header: { format, version, kdf: { name, logN, r, p, salt }, cipher, nonce }, sealed: bytes }
}

/** The passphrase of this home: the file that is named, or certs/local/passphrase, made when it is not there. */
export function openPassphrase(file: string, mayMake: boolean): Buffer {
  try {
    statSync(file)
  } catch {
    if (mayMake) writeSecretFile(file, `${randomBytes(CA_LIMITS.passphraseBytes).toString('base64url')}\n`)
  }
  const text = readSecretFile(file).toString('utf8').trim()
  if (text === '') throw new SallyportError('passphrase-wrong', `The passphrase file ${file} is empty.`, { fix: 'Restore it from your backup.' })
  return Buffer.from(text)
}
