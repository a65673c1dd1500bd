// Certification paths that are made to cost something: long ones, loops, and keys that are slow to verify with.

import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { X509_LIMITS } from '../../src/limits.ts'
import { openTrust } from '../../src/x509/chain.ts'
import type { Bytes } from './asn1.ts'
import { makeCa, makeLeaf, newKey, NOW, type Ca } from './forge.ts'
import { below, factory, issuing, leaf, OURS, trust, trusting, verdict } from './trust.ts'

afterEach(() => vi.restoreAllMocks())

describe('however the chain is built, judging it ends, after few verifications (T28, T29)', () => {
  function counted(presented: readonly Bytes[]): { verdict: string; verifications: number } {
    const verify = vi.spyOn(X509Certificate.prototype, 'verify')
    // A trust of its own: nothing is remembered from other tests.
    const seen = verdict(presented, openTrust(OURS))
    return { verdict: seen, verifications: verify.mock.calls.length }
  }

  test('a chain as long as allowed, and one longer', () => {
    const cas: Ca[] = [below(factory, { name: 'L1' })]
    while (cas.length < X509_LIMITS.chainLengthMax - 1) cas.unshift(below(cas[0]!, { name: `L${cas.length + 1}` }))
    const chain = [makeLeaf({ under: cas[0]! }), ...cas.map((c) => c.der)]
    expect(chain).toHaveLength(X509_LIMITS.chainLengthMax)
    // All that is missing is an entry of its own for the CA that signed the leaf; listed, it needs no chain.
    expect(trust.judge(chain, NOW)).toMatchObject({ reason: 'tls-untrusted-issuer', detail: expect.stringContaining('an intermediate of factory') })
    expect(verdict(chain, trusting('listed', cas[0]!))).toBe('by listed')
    const longer = below(cas[0]!, { name: 'Longer' })
    expect(verdict([makeLeaf({ under: longer }), longer.der, ...chain.slice(1)])).toBe('certificate-chain-too-long')
  })

  test.each([20, 100, 10_000])('%i certificates are refused before any is read', (count) => {
    const parse = vi.spyOn(X509Certificate.prototype, 'publicKey', 'get')
    expect(counted(Array<Bytes>(count).fill(leaf))).toEqual({ verdict: 'certificate-chain-too-long', verifications: 0 })
    // Those of the trust itself are opened.
    expect(parse.mock.calls.length).toBe(OURS.length)
  })

  test('two CAs that signed each other lead nowhere', () => {
    const [a, b] = [newKey(), newKey()]
    const selfA = makeCa({ name: 'A', key: a })
    const selfB = makeCa({ name: 'B', key: b })
    const aByB = makeCa({ name: 'A', key: a, under: selfB })
    const bByA = makeCa({ name: 'B', key: b, under: selfA })
    const { verdict: seen, verifications } = counted([makeLeaf({ under: aByB }), aByB.der, bByA.der])
    expect(seen).toBe('tls-untrusted-issuer')
    expect(verifications).toBeLessThan(10)
  })

  test('two CAs that signed each other, one of which our CA signed, too, lead to our CA, as an intermediate of it', () => {
    const [a, b] = [newKey(), newKey()]
    const selfB = makeCa({ name: 'B', key: b })
    const aByB = makeCa({ name: 'A', key: a, under: selfB })
    const bByA = makeCa({ name: 'B', key: b, under: aByB })
    const bByFactory = makeCa({ name: 'B', key: b, under: factory })
    const presented = [makeLeaf({ under: aByB }), aByB.der, bByA.der, bByFactory.der]
    expect(trust.judge(presented, NOW)).toMatchObject({ reason: 'tls-untrusted-issuer', detail: expect.stringContaining('an intermediate of factory') })
    expect(trust.judge(presented.slice(0, -1), NOW)).toEqual({ allow: false, reason: 'tls-untrusted-issuer' })
  })

  test('many CAs of one name that signed each other', () => {
    const keys = Array.from({ length: X509_LIMITS.chainLengthMax - 1 }, newKey)
    const same = (key: (typeof keys)[number]): Ca => makeCa({ name: 'Same', key })
    const tangled = keys.map((key, i) => makeCa({ name: 'Same', key, under: same(keys[(i + 1) % keys.length]!) }))
    const { verdict: seen, verifications } = counted([makeLeaf({ under: tangled[0]! }), ...tangled.map((c) => c.der)])
    expect(seen).toBe('tls-untrusted-issuer')
    // Each certificate under each key, once.
    expect(verifications).toBeLessThanOrEqual(X509_LIMITS.chainLengthMax * keys.length + keys.length)
  })

  test('one CA presented four times', () => {
    const stranger = makeCa({ name: 'Stranger' })
    const { verdict: seen, verifications } = counted([makeLeaf({ under: stranger }), stranger.der, stranger.der, stranger.der, stranger.der])
    expect(seen).toBe('tls-untrusted-issuer')
    expect(verifications).toBeLessThanOrEqual(10)
  })

  test('a signature is never verified with a stranger\'s key that would be refused anyhow', () => {
    const slow = makeCa({ name: 'Slow', key: generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey })
    expect(counted([makeLeaf({ under: slow }), slow.der])).toEqual({ verdict: 'certificate-key-weak', verifications: 0 })
  })

  test('what a good chain costs is remembered, but not for leaves', () => {
    const verify = vi.spyOn(X509Certificate.prototype, 'verify')
    const fresh = openTrust(OURS)
    for (let i = 0; i < 3; i++) expect(verdict([leaf, issuing.der], fresh)).toBe('by issuing-1')
    expect(verify.mock.calls.length).toBe(1 + 3)
  })
})
