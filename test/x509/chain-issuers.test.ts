// Certification paths: who may sign whom.

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { DEFAULT_TENANT, type CaName } from '../../src/core/ids.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { explicit, hex, small, time, type Bytes } from './asn1.ts'
import { ALGORITHM, authorityKeyId, basicConstraints, cn, EKU, extension, extKeyUsage, keyIdOf, keyUsage, makeCa, makeLeaf, name, newKey, NOW, spkiOf, subjectKeyId, type Ca } from './forge.ts'
import { below, factory, issuing, root, trusting, verdict } from './trust.ts'

describe('who may sign', () => {
  // Below a trusted CA stands an intermediate: what is wrong with it is named before that it is not listed itself.
  const GOOD = 'tls-untrusted-issuer'
  const through = (ca: Ca, ...more: readonly Ca[]): string => verdict([makeLeaf({ under: ca }), ca.der, ...more.map((c) => c.der)])
  const extensions = (ca: Ca, ...some: readonly Bytes[]): readonly Bytes[] => [...some, subjectKeyId(ca.keyId), authorityKeyId(ca.keyId)]
  const odd = (...some: readonly Bytes[]): Ca => below(factory, {}, { extensions: extensions(factory, ...some) })
  const weakKey = generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey

  test('the control: a good intermediate', () => {
    for (const ca of [odd(basicConstraints(true), keyUsage('keyCertSign')), odd(basicConstraints(true))]) {
      expect(through(ca)).toBe(GOOD)
      expect(verdict([makeLeaf({ under: ca })], trusting('listed', ca))).toBe('by listed')
    }
  })

  test.each<[string, () => string, string]>([
    ['T22: a leaf', () => through(odd(basicConstraints(false), keyUsage('digitalSignature'))), 'certificate-issuer-not-ca'],
    ['T22: a device of ours', () => {
      const key = newKey()
      const device = makeLeaf({ under: issuing, key, subject: name(cn('sensor-9')) })
      return verdict([makeLeaf({ under: { key, subject: name(cn('sensor-9')), keyId: keyIdOf(spkiOf(key)), der: device } }), device, issuing.der])
    }, 'certificate-issuer-not-ca'],
    ['T23: no basic constraints', () => through(odd(keyUsage('keyCertSign'))), 'certificate-issuer-not-ca'],
    ['a CA without keyCertSign', () => through(odd(basicConstraints(true), keyUsage('cRLSign'))), 'certificate-issuer-not-ca'],
    ['a v1 certificate', () => through(below(factory, {}, { version: null, extensions: null })), 'certificate-issuer-not-ca'],
    ['an expired CA', () => through(below(factory, {}, { notAfter: time(NOW) })), 'certificate-expired'],
    ['a CA that is not valid yet', () => through(below(factory, {}, { notBefore: time(NOW + 1_000) })), 'certificate-not-yet-valid'],
    ['a CA that may not issue for clientAuth', () => through(below(factory, { more: [extKeyUsage(EKU.server)] })), 'certificate-usage-wrong'],
    ['T26: a CA with an unknown critical extension', () => through(below(factory, { more: [extension('1.2.3', hex('0500'), true)] })), 'certificate-critical-extension'],
    ['T30: a CA certificate signed with SHA-1', () => through(below(factory, {}, { innerAlgorithm: ALGORITHM.ecdsaSha1, outerAlgorithm: ALGORITHM.ecdsaSha1, hash: 'sha1' })), 'certificate-signature-weak'],
    ['T31: a CA with RSA-1024', () => through(below(factory, { key: weakKey })), 'certificate-key-weak'],
    ['T38: a CA with serial zero', () => through(below(factory, {}, { serial: small(0) })), 'certificate-serial-invalid'],
    ['T38: a CA of version 4', () => through(below(factory, {}, { version: explicit(0, small(3)) })), 'certificate-version'],
  ])('%s', (_, run, reason) => {
    expect(run()).toBe(reason)
  })

  test('a CA for clientAuth, or for any purpose, may', () => {
    for (const usage of [EKU.client, EKU.any]) {
      const ca = below(factory, { more: [extKeyUsage(usage)] })
      expect(through(ca)).toBe(GOOD)
      expect(verdict([makeLeaf({ under: ca })], trusting('listed', ca))).toBe('by listed')
    }
  })

  test('T21: a CA certificate as a client: ours, one below ours, a stranger\'s', () => {
    expect(verdict([issuing.der])).toBe('certificate-is-ca')
    expect(verdict([root.der])).toBe('certificate-is-ca')
    expect(verdict([factory.der])).toBe('certificate-is-ca')
    expect(verdict([below(factory).der])).toBe('certificate-is-ca')
    expect(verdict([makeCa({ name: 'Stranger' }).der])).toBe('tls-self-signed')
  })

  test('T24: path lengths, each at its limit and one beyond', () => {
    const narrow = (pathLength: number): { ca: Ca; trust: ReturnType<typeof openTrust> } => {
      const ca = makeCa({ name: 'Narrow', pathLength })
      return { ca, trust: openTrust([{ name: 'narrow' as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: ca.der }]) }
    }
    for (const pathLength of [0, 1, 2]) {
      const { ca, trust: of } = narrow(pathLength)
      let under = ca
      const between: Ca[] = []
      for (let depth = 0; depth <= pathLength + 1; depth++) {
        expect([pathLength, depth, verdict([makeLeaf({ under }), ...between.map((c) => c.der)], of)]).toEqual([pathLength, depth, depth > pathLength ? 'certificate-path-length' : depth > 0 ? GOOD : 'by narrow'])
        under = below(under, { name: `Below ${depth}` })
        between.push(under)
      }
    }
  })

  test('T24: a CA below our issuing CA, which may have none', () => {
    const own = below(issuing)
    expect(verdict([makeLeaf({ under: own }), own.der, issuing.der])).toBe('certificate-path-length')
  })
})
