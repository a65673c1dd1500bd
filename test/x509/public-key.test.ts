// Public keys that a factory reports: the encodings that are taken, and that what is kept of one is what a request of it will say.

import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { keyProblem } from '../../src/core/certificate-rules.ts'
import { parseCsr, makeCsr } from '../../src/x509/csr.ts'
import { generateKey, keyFacts, KEY_KINDS, privateKeyPem, spkiOf } from '../../src/x509/keys.ts'
import { parsePublicKey } from '../../src/x509/public-key.ts'
import { encodePem } from '../../src/x509/pem.ts'

const key = generateKey('P-256')
const der = Buffer.from(spkiOf(key))
const base64 = der.toString('base64')
const outcome = (text: string): string => {
  const parsed = parsePublicKey(text)
  return parsed.allow ? 'a key' : parsed.reason
}

describe('a public key', () => {
  test.each(KEY_KINDS)('of %s is the one of its request, as PEM and as base64', (kind) => {
    const one = generateKey(kind)
    const csr = parseCsr(makeCsr(one, 'x'))
    const expected = { allow: true, value: csr.allow ? csr.value.key : undefined }
    expect(parsePublicKey(encodePem('PUBLIC KEY', spkiOf(one)))).toEqual(expected)
    expect(parsePublicKey(Buffer.from(spkiOf(one)).toString('base64'))).toEqual(expected)
  })

  test('with line breaks and spaces around it is the same', () => {
    expect(outcome(`\n ${base64.match(/.{1,64}/g)?.join('\r\n') ?? ''} \n`)).toBe('a key')
    expect(outcome(`  ${encodePem('PUBLIC KEY', der)}\n`)).toBe('a key')
  })

  const compressed = (): string => {
    const point = der.subarray(-65)
    const header = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex')
    return Buffer.concat([header, Buffer.of(2 + ((point[64] ?? 0) & 1)), point.subarray(1, 33)]).toString('base64')
  }

  test.each<[string, string]>([
    ['nothing', ''], ['spaces', '  '], ['words', 'no key at all'], ['base64 with a stray letter', `${base64}!`], ['base64 without its padding', base64.replace(/=+$/, '')], ['hex', der.toString('hex')],
    ['cut off', der.subarray(0, -1).toString('base64')], ['with a byte more', Buffer.concat([der, Buffer.of(0)]).toString('base64')], ['with its point compressed', compressed()],
    ['a private key', privateKeyPem(key)], ['two keys', encodePem('PUBLIC KEY', der).repeat(2)], ['a request', makeCsr(key, 'x')], ['a point that is on no curve', Buffer.concat([der.subarray(0, -1), Buffer.of((der.at(-1) ?? 0) ^ 1)]).toString('base64')],
    ['PEM without an end', encodePem('PUBLIC KEY', der).replace(/-----END.*/, '')], ['a megabyte', 'A'.repeat(1_000_000)],
  ])('that is %s is none', (_, text) => {
    expect(outcome(text)).toBe('request-invalid')
  })

  test('with its curve spelled out is read, and refused by the key policy', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    const parsed = parsePublicKey(publicKey.export({ type: 'spki', format: 'pem' }).toString())
    expect(parsed.allow && keyProblem(parsed.value)).toBeTruthy()
    expect(keyProblem(keyFacts(der))).toBeUndefined()
  })

  test('the compressed point would be a key to OpenSSL: it is the hash that would never fit', () => {
    expect(createPublicKey({ key: Buffer.from(compressed(), 'base64'), format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec')
  })
})
