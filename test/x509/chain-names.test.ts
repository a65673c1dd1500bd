// Certification paths: the names that a CA may give.

import { describe, expect, test } from 'vitest'
import { DEFAULT_TENANT, type CaName } from '../../src/core/ids.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { hex, seq, utf8, type Bytes } from './asn1.ts'
import { altNames, attribute, cn, directory, dns, email, extension, ip, makeCa, makeLeaf, name, nameConstraints, O, uri } from './forge.ts'
import { below, factory, trusting, verdict } from './trust.ts'

describe('name constraints (T25)', () => {
  const through = (constraints: Parameters<typeof nameConstraints>[0], subject: Bytes, ...names: readonly Bytes[]): string => {
    const ca = makeCa({ name: 'Narrow', more: [nameConstraints(constraints)] })
    return verdict([makeLeaf({ under: ca, subject, more: names.length === 0 ? [] : [altNames(...names)] })], trusting('narrow', ca))
  }
  const ACME = attribute(O, utf8('Acme'))
  const acme = name(ACME, cn('sensor-1'))
  const NO = 'certificate-name-constraints'

  test.each<[string, string, string]>([
    ['permitted directory, below it', through({ permitted: [directory(name(ACME))] }, acme), 'by narrow'],
    ['permitted directory, outside', through({ permitted: [directory(name(ACME))] }, name(cn('sensor-1'))), NO],
    ['permitted directory, in another order', through({ permitted: [directory(name(ACME))] }, name(cn('sensor-1'), ACME)), NO],
    ['excluded directory, below it', through({ excluded: [directory(name(ACME))] }, acme), NO],
    ['excluded directory, outside', through({ excluded: [directory(name(ACME))] }, name(cn('sensor-1'))), 'by narrow'],
    ['permitted DNS, below it', through({ permitted: [dns('example.org')] }, acme, dns('a.example.org')), 'by narrow'],
    ['permitted DNS, itself', through({ permitted: [dns('example.org')] }, acme, dns('EXAMPLE.org')), 'by narrow'],
    ['permitted DNS, a name that only ends alike', through({ permitted: [dns('example.org')] }, acme, dns('badexample.org')), NO],
    ['permitted DNS, one name inside and one outside', through({ permitted: [dns('example.org')] }, acme, dns('a.example.org'), dns('a.example.com')), NO],
    ['permitted DNS, no DNS name', through({ permitted: [dns('example.org')] }, acme), 'by narrow'],
    ['excluded DNS', through({ excluded: [dns('example.org')] }, acme, dns('a.example.org')), NO],
    ['all DNS excluded', through({ excluded: [dns('')] }, acme, dns('a')), NO],
    ['excluded within permitted', through({ permitted: [dns('example.org')], excluded: [dns('b.example.org')] }, acme, dns('a.b.example.org')), NO],
    ['permitted URI host', through({ permitted: [uri('.example.org')] }, acme, uri('spiffe://a.example.org/x')), 'by narrow'],
    ['permitted URI host, outside', through({ permitted: [uri('.example.org')] }, acme, uri('spiffe://example.com/x')), NO],
    ['permitted URI host, behind a user', through({ permitted: [uri('.example.org')] }, acme, uri('spiffe://a.example.org@evil.example/x')), NO],
    ['permitted URI host, a URI without one', through({ permitted: [uri('.example.org')] }, acme, uri('urn:x:y')), NO],
    ['excluded URI host, a URI without one', through({ excluded: [uri('.example.org')] }, acme, uri('urn:x:y')), NO],
    ['permitted mail host', through({ permitted: [email('example.org')] }, acme, email('a@example.org')), 'by narrow'],
    ['permitted mail host, outside', through({ permitted: [email('example.org')] }, acme, email('a@b.example.org')), NO],
    ['permitted network, inside', through({ permitted: [ip(hex('0a000000ff000000'))] }, acme, ip(hex('0a010203'))), 'by narrow'],
    ['permitted network, outside', through({ permitted: [ip(hex('0a000000ff000000'))] }, acme, ip(hex('0b010203'))), NO],
    ['permitted network of IPv4, an address of IPv6', through({ permitted: [ip(hex('0a000000ff000000'))] }, acme, ip(hex('fe80000000000000000000000000abcd'))), NO],
    ['excluded network of IPv6', through({ excluded: [ip(hex('fe800000000000000000000000000000ffc00000000000000000000000000000'))] }, acme, ip(hex('fe80000000000000000000000000abcd'))), NO],
  ])('%s', (_, seen, expected) => {
    expect(seen).toBe(expected)
  })

  test('the constraints of a CA hold for the CAs below it, and those of the anchor, too', () => {
    const narrow = makeCa({ name: 'Narrow', more: [nameConstraints({ excluded: [directory(name(ACME, cn('Bad')))] })] })
    const of = openTrust([{ name: 'narrow' as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: narrow.der }])
    const good = makeCa({ name: 'Good', under: narrow })
    const bad = makeCa({ name: 'Bad', under: narrow })
    // Within the constraints, all that is missing is an entry of its own.
    expect(verdict([makeLeaf({ under: good }), good.der], of)).toBe('tls-untrusted-issuer')
    expect(verdict([makeLeaf({ under: narrow })], of)).toBe('by narrow')
    expect(verdict([makeLeaf({ under: bad }), bad.der], of)).toBe(NO)
    expect(verdict([makeLeaf({ under: narrow, subject: name(ACME, cn('Bad')) })], of)).toBe(NO)
  })

  test('huge constraints are refused by their size', () => {
    const ca = below(factory, { more: [nameConstraints({ permitted: Array.from({ length: 3_000 }, (_, i) => dns(`${i}.example`)) })] })
    expect(verdict([makeLeaf({ under: ca }), ca.der])).toBe('certificate-malformed')
  })

  test('malformed constraints are refused', () => {
    const ca = below(factory, { more: [extension('2.5.29.30', seq(), true)] })
    expect(verdict([makeLeaf({ under: ca }), ca.der])).toBe('certificate-malformed')
  })
})
