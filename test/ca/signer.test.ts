// The signer over a key in memory.

import { generateKeyPairSync, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { openSigner } from '../../src/ca/signer.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { generateKey, KEY_KINDS, openPublicKey } from '../../src/x509/keys.ts'
import { hashOfSignature } from '../../src/x509/signatures.ts'
import { oidText, readDer } from '../../src/x509/der.ts'

describe('a signer', () => {
  test.each(KEY_KINDS.filter((kind) => kind !== 'RSA-3072' && kind !== 'RSA-4096'))('over a key of kind %s signs as it says it does', async (kind) => {
    const signer = openSigner(generateKey(kind))
    const identifier = readDer(signer.signatureIdentifier)
    if (!identifier.allow) throw new Error(identifier.detail)
    const hash = hashOfSignature(oidText(identifier.value.children[0]!.contents))!
    const message = Buffer.from('to be signed')
    const signature = await signer.sign(message)
    expect(verify(hash.name, message, openPublicKey(signer.spki)!, signature)).toBe(true)
    expect(verify(hash.name, Buffer.from('to be signed!'), openPublicKey(signer.spki)!, signature)).toBe(false)
  })

  test('signs many things at the same time, each for itself', async () => {
    const signer = openSigner(generateKey('P-256'))
    const messages = Array.from({ length: 50 }, (_, i) => Buffer.from(`message ${i}`))
    const signatures = await Promise.all(messages.map((m) => signer.sign(m)))
    const key = openPublicKey(signer.spki)!
    expect(messages.every((m, i) => verify('sha256', m, key, signatures[i]!))).toBe(true)
  })

  test.each(['x25519', 'ed448'] as const)('is not opened over a key of kind %s', (kind) => {
    const { privateKey } = generateKeyPairSync(kind as 'ed448')
    expect(() => openSigner(privateKey)).toThrow(SallyportError)
    expect(() => openSigner(privateKey)).toThrow(`A CA key of type ${kind} is not supported.`)
  })
})
