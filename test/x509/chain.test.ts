// Certification paths: good ones, and who signed those that are none.

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { DEFAULT_TENANT, type CaName } from '../../src/core/ids.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { hex, type Bytes } from './asn1.ts'
import { ALGORITHM, cn, keyIdOf, makeCa, makeLeaf, name, newKey, NOW, spkiOf } from './forge.ts'
import { below, factory, issuing, leaf, OURS, root, trust, trusting, verdict } from './trust.ts'

describe('good paths', () => {
  test('leaf and issuing CA, up to our root', () => {
    expect(trust.judge([leaf, issuing.der], NOW)).toMatchObject({ allow: true, value: { issuer: 'issuing-1', role: 'issuing', tenant: 'default', leaf: { subject: [[{ value: 'sensor-1' }]] } } })
  })

  test('the root may be presented, and the order of the others does not matter', () => {
    expect(verdict([leaf, root.der, issuing.der])).toBe('by issuing-1')
    expect(verdict([leaf, makeCa({ name: 'Stranger' }).der, issuing.der])).toBe('by issuing-1')
  })

  test('a leaf directly below a trusted CA belongs to that CA and its tenant', () => {
    expect(trust.judge([makeLeaf({ under: factory })], NOW)).toMatchObject({ allow: true, value: { issuer: 'factory', role: 'trusted', tenant: 'other' } })
  })

  test('below a trusted CA, an intermediate signs for nobody before it is listed itself: serial numbers are unique below one key only', () => {
    const [line, twin] = [below(factory), below(factory)]
    const presented = [makeLeaf({ under: line }), line.der]
    expect(trust.judge(presented, NOW)).toMatchObject({ allow: false, reason: 'tls-untrusted-issuer', detail: expect.stringContaining('list the intermediate itself in trust:') })
    expect(verdict(presented, trusting('line', line))).toBe('by line')
    expect(verdict([makeLeaf({ under: line })], trusting('line', line))).toBe('by line')
    expect(verdict([makeLeaf({ under: twin }), twin.der], trusting('line', line))).toBe('tls-untrusted-issuer')
  })

  test('what a CA is to us is known by its name, while it is trusted', () => {
    expect((['root', 'issuing-1', 'factory', 'line'] as const).map((ca) => trust.roleOf(ca as CaName))).toEqual(['root', 'issuing', 'trusted', undefined])
    expect(openTrust(OURS.slice(0, 2)).roleOf('factory' as CaName)).toBeUndefined()
  })

  test('Ed25519 and P-384 and RSA paths verify', () => {
    for (const key of [generateKeyPairSync('ed25519').privateKey, generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey]) {
      const ca = makeCa({ name: 'Kind', key })
      const only = openTrust([{ name: 'kind' as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: ca.der }])
      expect(verdict([makeLeaf({ under: ca })], only)).toBe('by kind')
    }
  })

  test('the CA that a leaf claims is found by name and key id, and nothing is verified', () => {
    const claimed = (der: Bytes): CaName | undefined => {
      const facts = parseCertificate(der)
      return facts.allow ? trust.issuerOf(facts.value) : undefined
    }
    expect(claimed(leaf)).toBe('issuing-1')
    expect(claimed(makeLeaf({ under: { ...issuing, key: newKey() } }))).toBe('issuing-1')
    expect(claimed(makeLeaf({ under: { ...issuing, keyId: hex('00') } }))).toBeUndefined()
    expect(claimed(makeLeaf({ under: makeCa({ name: 'Stranger' }) }))).toBeUndefined()
  })
})

describe('who signed it', () => {
  const selfSigned = (subject: Bytes): Bytes => {
    const key = newKey()
    return makeLeaf({ under: { key, subject, keyId: keyIdOf(spkiOf(key)), der: hex('') }, key, subject })
  }
  const stranger = makeCa({ name: 'Stranger' })
  const strangersIssuing = below(stranger)
  const falseRoot = makeCa({ name: 'Root', pathLength: 1, keyId: root.keyId })
  const falseIssuing = makeCa({ name: 'Issuing', under: falseRoot, pathLength: 0, keyId: issuing.keyId })
  const serialOfIssuing = ((): Bytes => {
    const facts = parseCertificate(issuing.der)
    if (!facts.allow) throw new Error(facts.detail)
    const contents = hex(facts.value.serialDerHex)
    return Uint8Array.of(0x02, contents.length, ...contents)
  })()
  const falseIssuingOfRoot = makeCa({ name: 'Issuing', under: { ...root, key: newKey() }, pathLength: 0, keyId: issuing.keyId }, { serial: serialOfIssuing })

  test.each<[string, readonly Bytes[], string]>([
    ['T01: nobody', [], 'tls-no-certificate'],
    ['T02: itself, with a good common name', [selfSigned(name(cn('sensor-1')))], 'tls-self-signed'],
    ['T02: itself, under the name of our root', [selfSigned(root.subject)], 'tls-self-signed'],
    ['T02: itself, under the name of our issuing CA', [selfSigned(issuing.subject), issuing.der], 'tls-self-signed'],
    ['T03: a stranger', [makeLeaf({ under: stranger })], 'tls-untrusted-issuer'],
    ['T03: a stranger who brings its root along', [makeLeaf({ under: stranger }), stranger.der], 'tls-untrusted-issuer'],
    ['T03: a stranger who brings its whole chain along', [makeLeaf({ under: strangersIssuing }), strangersIssuing.der, stranger.der], 'tls-untrusted-issuer'],
    ['T03: a stranger who brings our chain along', [makeLeaf({ under: stranger }), issuing.der, root.der], 'tls-untrusted-issuer'],
    ['T04: a look-alike of our CAs, name and key id', [makeLeaf({ under: falseIssuing }), falseIssuing.der, falseRoot.der], 'tls-signature-invalid'],
    ['T04: a look-alike of our root alone', [makeLeaf({ under: falseRoot }), falseRoot.der], 'tls-signature-invalid'],
    ['T04: a look-alike of a trusted CA', [makeLeaf({ under: { ...factory, key: newKey() } })], 'tls-signature-invalid'],
    ['T05: a look-alike of our issuing CA, serial and issuer, too', [makeLeaf({ under: falseIssuingOfRoot }), falseIssuingOfRoot.der], 'tls-signature-invalid'],
    ['T05: the same beside the real one', [makeLeaf({ under: falseIssuingOfRoot }), falseIssuingOfRoot.der, issuing.der], 'tls-signature-invalid'],
    ['T05: the same the other way round', [makeLeaf({ under: falseIssuingOfRoot }), issuing.der, falseIssuingOfRoot.der], 'tls-signature-invalid'],
    ['T27: our issuing CA, which is not presented', [leaf], 'tls-chain-incomplete'],
    ['T27: somebody who claims to be our issuing CA, which is not presented', [makeLeaf({ under: { ...issuing, key: newKey() } })], 'tls-signature-invalid'],
    ['a CA below our root that we never recorded', ((): Bytes[] => { const own = below(root); return [makeLeaf({ under: own }), own.der] })(), 'certificate-unrecorded'],
  ])('%s', (_, presented, reason) => {
    expect(verdict(presented)).toBe(reason)
  })

  test('T34: one bit of the signature, of the leaf or of the issuing CA', () => {
    const flip = (signature: Bytes): Bytes => Uint8Array.from(signature, (byte, i) => (i === signature.length - 1 ? byte ^ 1 : byte))
    expect(verdict([makeLeaf({ under: issuing }, { spoil: flip }), issuing.der])).toBe('tls-signature-invalid')
    const spoilt = makeCa({ name: 'Issuing', under: root, pathLength: 0, key: issuing.key }, { spoil: flip })
    expect(verdict([leaf, spoilt.der])).toBe('tls-signature-invalid')
    expect(verdict([leaf, spoilt.der, issuing.der])).toBe('by issuing-1')
  })

  test('T34: one bit anywhere in leaf or issuing CA', () => {
    for (const which of [0, 1]) {
      const chain = [leaf, issuing.der]
      for (let at = 0; at < chain[which]!.length; at += 3) {
        const changed = chain.map((der, i) => (i === which ? Uint8Array.from(der, (byte, j) => (j === at ? byte ^ (1 << (at % 8)) : byte)) : der))
        expect([at, trust.judge(changed, NOW).allow]).toEqual([at, false])
      }
    }
  })

  test('T35: two signature algorithms', () => {
    expect(verdict([makeLeaf({ under: issuing }, { innerAlgorithm: ALGORITHM.ecdsaSha384 }), issuing.der])).toBe('certificate-malformed')
    expect(verdict([makeLeaf({ under: issuing }, { outerAlgorithm: ALGORITHM.ecdsaSha384 }), issuing.der])).toBe('certificate-malformed')
  })

  test('a certificate that does not parse spoils the chain wherever it stands', () => {
    expect(verdict([hex('3000'), issuing.der])).toBe('certificate-malformed')
    expect(verdict([leaf, issuing.der, hex('3000')])).toBe('certificate-malformed')
  })

  test('T32: a key that nobody can use', () => {
    const spki = spkiOf(newKey())
    spki[spki.length - 1]! ^= 1
    expect(verdict([makeLeaf({ under: issuing }, { spki }), issuing.der])).toBe('certificate-key-weak')
  })
})

describe('opening the trust', () => {
  test('our own certificates must be readable', () => {
    expect(() => openTrust([{ name: 'broken' as CaName, role: 'root', tenant: DEFAULT_TENANT, der: hex('3000') }])).toThrow('the certificate of CA broken cannot be read')
  })

  test('without CAs nobody is trusted', () => {
    expect(verdict([leaf, issuing.der, root.der], openTrust([]))).toBe('tls-untrusted-issuer')
  })

  test('an issuing CA is no anchor', () => {
    const only = openTrust([OURS[1]!])
    expect(verdict([leaf, issuing.der], only)).toBe('tls-untrusted-issuer')
  })
})
