// Secret files and sealed keys: modes, writing whole or not at all, and every way in which a sealed key does not open.

import { spawnSync } from 'node:child_process'
import { createCipheriv, generateKeyPairSync, randomBytes, scryptSync, type KeyObject } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openPassphrase, readSecretFile, sealKey, unsealKey, writeSecretFile } from '../../src/ca/key-file.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { CA_LIMITS } from '../../src/limits.ts'
import { generateKey, KEY_KINDS, spkiOf } from '../../src/x509/keys.ts'
import { tempDir, type TempDir } from '../store/temp.ts'

let dir: TempDir
beforeEach(() => {
  dir = tempDir()
})
afterEach(() => dir[Symbol.dispose]())

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8)
function failure(work: () => unknown): SallyportError {
  try {
    work()
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was done')
}
async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  const error = await work.then(() => new Error('it was done'), (e: unknown) => e)
  if (error instanceof SallyportError) return error
  throw error as Error
}

describe('writing a secret file', () => {
  test('makes the folder 0700 and the file 0600, and leaves nothing else behind', () => {
    const file = dir.file('a/b/key')
    writeSecretFile(file, 'secret')
    expect([modeOf(dir.file('a')), modeOf(dir.file('a/b')), modeOf(file)]).toEqual(['700', '700', '600'])
    expect(readdirSync(dir.file('a/b'))).toEqual(['key'])
    expect(readFileSync(file, 'utf8')).toBe('secret')
  })

  test('is 0600 from the first moment, also over a file that was wider', () => {
    const file = dir.file('key')
    writeFileSync(file, 'old', { mode: 0o666 })
    chmodSync(file, 0o666)
    writeSecretFile(file, Uint8Array.of(1, 2))
    expect(modeOf(file)).toBe('600')
    expect([...readFileSync(file)]).toEqual([1, 2])
  })

  test('of what is public takes the mode that it is given', () => {
    const before = process.umask(0o022)
    try {
      writeSecretFile(dir.file('cert'), 'x', 0o644)
    } finally {
      process.umask(before)
    }
    expect(modeOf(dir.file('cert'))).toBe('644')
  })

  test('that cannot be put in its place leaves the old contents', () => {
    mkdirSync(dir.file('key'))
    expect(() => writeSecretFile(dir.file('key'), 'x')).toThrow('EISDIR')
    expect(statSync(dir.file('key')).isDirectory()).toBe(true)
  })

  test.skipIf(process.platform === 'win32')('that does not fit on the disk leaves the old contents, and no part of the new ones', () => {
    const file = dir.file('key')
    writeSecretFile(file, 'old')
    const program = `import { writeSecretFile } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../src/ca/key-file.ts'))}
try { writeSecretFile(${JSON.stringify(file)}, 'x'.repeat(100_000)); console.log('written') } catch (error) { console.log(error.code) }`
    // A limit on the size of files stands for a full disk: the first write is cut short, the next one fails.
    const child = spawnSync('sh', ['-c', 'ulimit -f 8 && exec "$0" --input-type=module -e "$1"', process.execPath, program], { encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '' } })
    expect(child.stdout.trim()).toBe('EFBIG')
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(dir.path)).toEqual(['key'])
  })
})

describe('reading a secret file', () => {
  test.skipIf(process.platform === 'win32')('is refused for every mode that lets others in, with the way out, and for no other', () => {
    const file = dir.file('key')
    writeSecretFile(file, 'secret')
    for (const mode of [0o400, 0o600, 0o700]) {
      chmodSync(file, mode)
      expect(readSecretFile(file).toString()).toBe('secret')
    }
    for (const mode of [0o604, 0o640, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777, 0o660]) {
      chmodSync(file, mode)
      const { code, message, fix } = failure(() => readSecretFile(file))
      expect([code, fix]).toEqual(['key-permissions', `chmod 600 ${file}`])
      expect(message).toContain(`mode ${mode.toString(8)}`)
      expect(message).not.toContain('secret')
    }
  })

  test('of a file that is not there, or is a folder, fails with a sentence', () => {
    for (const file of [dir.file('nothing'), dir.path]) expect(failure(() => readSecretFile(file))).toMatchObject({ code: 'key-unreadable', message: `The key file ${file} cannot be read.` })
  })
})

describe('the passphrase', () => {
  test('is made once, with 256 bits, for its owner alone', () => {
    const file = dir.file('local/passphrase')
    const first = openPassphrase(file, true)
    expect(Buffer.from(first.toString(), 'base64url')).toHaveLength(CA_LIMITS.passphraseBytes)
    expect(modeOf(file)).toBe('600')
    expect(openPassphrase(file, true)).toEqual(first)
    expect(openPassphrase(dir.file('other'), true)).not.toEqual(first)
  })

  test('is not made where it should be there', () => {
    expect(failure(() => openPassphrase(dir.file('passphrase'), false))).toMatchObject({ code: 'key-unreadable' })
    expect(existsSync(dir.file('passphrase'))).toBe(false)
  })

  test('of a person may end in a newline, and may not be empty', () => {
    writeSecretFile(dir.file('p'), ' correct horse \n')
    expect(openPassphrase(dir.file('p'), false).toString()).toBe('correct horse')
    writeSecretFile(dir.file('p'), ' \n')
    expect(failure(() => openPassphrase(dir.file('p'), true))).toMatchObject({ code: 'passphrase-wrong' })
  })

  test.skipIf(process.platform === 'win32')('that others can read is refused', () => {
    writeSecretFile(dir.file('p'), 'x')
    chmodSync(dir.file('p'), 0o644)
    expect(failure(() => openPassphrase(dir.file('p'), true))).toMatchObject({ code: 'key-permissions', fix: `chmod 600 ${dir.file('p')}` })
  })
})

describe('a sealed key', () => {
  const key = generateKey('P-256')
  const PASSPHRASE = Buffer.from('correct horse')

  test('is stretched as limits.ts says, with a salt and a nonce of its own each time, shows nothing, and opens again', async () => {
    const texts = [await sealKey(key, PASSPHRASE), await sealKey(key, PASSPHRASE)] as const
    const [a, b] = texts.map((text) => JSON.parse(text) as { kdf: { salt: string }; nonce: string })
    expect(a).toMatchObject({ format: 'sallyport-sealed-key', version: 1, kdf: { name: 'scrypt', logN: CA_LIMITS.scryptLogN, r: CA_LIMITS.scryptR, p: CA_LIMITS.scryptP }, cipher: 'aes-256-gcm' })
    expect(a!.kdf.salt).not.toBe(b!.kdf.salt)
    expect(a!.nonce).not.toBe(b!.nonce)
    expect(Buffer.from(a!.kdf.salt, 'base64')).toHaveLength(16)
    expect(texts[0]).not.toContain(key.export({ type: 'pkcs8', format: 'der' }).toString('base64').slice(4, 40))
    expect(texts[0]).not.toContain('correct')
    expect((await unsealKey(texts[0], PASSPHRASE, 'root.key')).equals(key)).toBe(true)
  })

  interface Header { readonly format: string; readonly version: number; readonly kdf: { readonly name: string; readonly logN: number; readonly r: number; readonly p: number; readonly salt: string }; readonly cipher: string; readonly nonce: string }

  /** A second writer of the format, with little work: what it writes opens, so what it is spoilt to fails for the spoiling. */
  function seal(of: KeyObject = key, kdf: Partial<Header['kdf']> = {}): string {
    const header: Header = { format: 'sallyport-sealed-key', version: 1, kdf: { name: 'scrypt', logN: 1, r: 1, p: 1, salt: randomBytes(16).toString('base64'), ...kdf }, cipher: 'aes-256-gcm', nonce: randomBytes(12).toString('base64') }
    const cipher = createCipheriv('aes-256-gcm', scryptSync(PASSPHRASE, Buffer.from(header.kdf.salt, 'base64'), 32, { N: 2 ** header.kdf.logN, r: header.kdf.r, p: header.kdf.p }), Buffer.from(header.nonce, 'base64'))
    cipher.setAAD(Buffer.from(JSON.stringify(header)))
    const sealed = Buffer.concat([cipher.update(of.export({ type: 'pkcs8', format: 'der' })), cipher.final(), cipher.getAuthTag()])
    return JSON.stringify({ ...header, sealed: sealed.toString('base64') })
  }
  const codeOf = async (text: string): Promise<string> => (await failureOf(unsealKey(text, PASSPHRASE, 'k'))).code

  test('opens with its passphrase and with no other, and the failure holds no secret', async () => {
    const text = seal()
    expect((await unsealKey(text, PASSPHRASE, 'root.key')).equals(key)).toBe(true)
    const wrong = await failureOf(unsealKey(text, Buffer.from('correct horsf'), 'root.key'))
    expect(wrong).toMatchObject({ code: 'passphrase-wrong', message: 'The passphrase does not open root.key, or the file was changed.' })
    expect(wrong.fix).toContain('SALLYPORT_PASSPHRASE_FILE')
    expect(`${wrong.message}${wrong.fix ?? ''}${String(wrong.cause)}`).not.toContain('horse')
  })

  test.each(KEY_KINDS.filter((kind) => kind !== 'RSA-3072' && kind !== 'RSA-4096'))('of kind %s, from a second writer of the format, opens', async (kind) => {
    const own = generateKey(kind)
    expect(spkiOf(await unsealKey(seal(own), PASSPHRASE, 'k'))).toEqual(spkiOf(own))
  })

  test('whose file has any byte changed does not open', async () => {
    const text = seal()
    expect((await unsealKey(text, PASSPHRASE, 'k')).equals(key)).toBe(true)
    // Bits 0 to 4 keep letters letters and digits digits, which is where a lenient reader would not notice.
    for (let at = 0; at < text.length; at++) {
      const changed = text.slice(0, at) + String.fromCodePoint(text.codePointAt(at)! ^ (1 << (at % 5))) + text.slice(at + 1)
      expect(['key-unreadable', 'passphrase-wrong'], `byte ${at}: ${changed.slice(Math.max(0, at - 10), at + 10)}`).toContain(await codeOf(changed))
    }
  })

  test('that is cut off anywhere does not open', async () => {
    const text = seal()
    for (let length = 0; length < text.length; length += 7) expect(await codeOf(text.slice(0, length))).toBe('key-unreadable')
  })

  test.each<[string, (header: Record<string, unknown> & { kdf: Record<string, unknown> }) => void]>([
    ['another format', (h) => (h['format'] = 'other')],
    ['another version', (h) => (h['version'] = 2)],
    ['another cipher', (h) => (h['cipher'] = 'aes-128-gcm')],
    ['another stretching', (h) => (h.kdf['name'] = 'pbkdf2')],
    ['no stretching', (h) => Object.assign(h, { kdf: null })],
    ['no work', (h) => (h.kdf['logN'] = 0)],
    ['work of a year', (h) => (h.kdf['logN'] = 40)],
    ['the least work that is too much', (h) => (h.kdf['logN'] = 21)],
    ['half a power', (h) => (h.kdf['logN'] = 1.5)],
    ['work in words', (h) => (h.kdf['logN'] = '17')],
    ['work factors that scrypt does not take', (h) => Object.assign(h.kdf, { logN: 17, r: 1 })],
    ['an r of zero', (h) => (h.kdf['r'] = 0)],
    ['an r that takes gigabytes', (h) => (h.kdf['r'] = 1_000)],
    ['a p that takes hours', (h) => (h.kdf['p'] = 1_000)],
    ['a salt that is a number', (h) => (h.kdf['salt'] = 5)],
    ['a short nonce', (h) => (h['nonce'] = 'AAAA')],
    ['no nonce', (h) => delete h['nonce']],
    ['no contents', (h) => (h['sealed'] = '')],
    ['contents of a tag alone', (h) => (h['sealed'] = 'A'.repeat(20) + 'A=')],
    ['contents that are not base64', (h) => (h['sealed'] = `!${h['sealed'] as string}`)],
    ['contents in the alphabet of URLs', (h) => (h['sealed'] = Buffer.alloc(60, 0xff).toString('base64url'))],
  ])('with %s is damaged', async (_, spoil) => {
    const header = JSON.parse(seal()) as Record<string, unknown> & { kdf: Record<string, unknown> }
    spoil(header)
    expect(await codeOf(JSON.stringify(header))).toBe('key-unreadable')
  })

  test.each(['', 'null', '5', '"x"', '[]', '{}', '{"format":"sallyport-sealed-key"}', '-----BEGIN PRIVATE KEY-----', '\0'])('that is %j is none', async (text) => {
    expect(await codeOf(text)).toBe('key-unreadable')
  })

  test('with header fields of another key does not open', async () => {
    const [a, b] = [JSON.parse(seal()) as Header & { sealed: string }, JSON.parse(seal()) as Header & { sealed: string }]
    for (const mixed of [{ ...a, nonce: b.nonce }, { ...a, kdf: b.kdf }, { ...a, sealed: b.sealed }]) expect(await codeOf(JSON.stringify(mixed))).toBe('passphrase-wrong')
  })

  test('with a weaker header in front of the same contents does not open', async () => {
    const strong = JSON.parse(seal(key, { logN: 4 })) as Header
    expect(await codeOf(JSON.stringify({ ...strong, kdf: { ...strong.kdf, logN: 1 } }))).toBe('passphrase-wrong')
  })

  test('with more fields than ours opens, as a later writer may add some', async () => {
    const text = JSON.stringify({ ...(JSON.parse(seal()) as Header), note: 'kept by Ann' })
    expect((await unsealKey(text, PASSPHRASE, 'k')).equals(key)).toBe(true)
  })

  test('that does not hold a private key does not open', async () => {
    // AES-GCM is content; what it held is no PKCS#8.
    const secret = { export: () => Buffer.from('no key') } as unknown as KeyObject
    expect(await codeOf(seal(secret))).toBe('passphrase-wrong')
  })

  test('is the same key afterwards', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    expect((await unsealKey(seal(privateKey), PASSPHRASE, 'k')).export({ type: 'pkcs8', format: 'pem' })).toBe(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  })
})
