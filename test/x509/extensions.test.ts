// Extensions to facts: each as it should be, and each as it should not.

import { describe, expect, test } from 'vitest'
import { X509_LIMITS } from '../../src/limits.ts'
import { readDer } from '../../src/x509/der.ts'
import { readExtensions } from '../../src/x509/extensions.ts'
import { bits, explicit, hex, ia5, implicit, integer, join, no, octets, oid, seq, set, small, tlv, utf8, yes, type Bytes } from './asn1.ts'
import { altNames, attribute, authorityKeyId, basicConstraints, cn, directory, dns, EKU, email, extension, extKeyUsage, ip, keyUsage, name, nameConstraints, O, subjectKeyId, uri } from './forge.ts'

function read(...extensions: readonly Bytes[]): ReturnType<typeof readExtensions> {
  const list = readDer(seq(...extensions), Number.MAX_SAFE_INTEGER)
  if (!list.allow) throw new Error(list.detail)
  return readExtensions(list.value)
}
const SAN = '2.5.29.17'
const NC = '2.5.29.30'

describe('the list', () => {
  test('no extensions are no facts', () => {
    expect(readExtensions(undefined)).toEqual({ hasNameConstraints: false, unknownCritical: [], duplicateExtensions: [], malformedExtensions: [] })
  })

  test('a good leaf', () => {
    expect(read(basicConstraints(false), keyUsage('digitalSignature', 'keyEncipherment'), extKeyUsage(EKU.client, EKU.server), subjectKeyId(hex('0102')), authorityKeyId(hex('03')), altNames(dns('a.example')))).toEqual({
      basicConstraints: { ca: false }, keyUsage: ['digitalSignature', 'keyEncipherment'], extendedKeyUsage: [EKU.client, EKU.server], subjectKeyId: '0102', authorityKeyId: '03',
      subjectAltNames: [{ kind: 'dns', value: 'a.example' }], hasNameConstraints: false, unknownCritical: [], duplicateExtensions: [], malformedExtensions: [],
    })
  })

  test('an unknown extension matters only when it is critical (T26)', () => {
    expect(read(extension('1.2.3.4', hex('0500')))).toMatchObject({ unknownCritical: [], malformedExtensions: [] })
    expect(read(extension('1.2.3.4', hex('0500'), true))).toMatchObject({ unknownCritical: ['1.2.3.4'] })
  })

  test('certificate policies are not processed here, so critical ones are unknown', () => {
    expect(read(extension('2.5.29.32', seq(seq(oid('2.5.29.32.0'))), true))).toMatchObject({ unknownCritical: ['2.5.29.32'] })
  })

  test('an extension that is there twice is told, known or not (T38)', () => {
    expect(read(extKeyUsage(EKU.client), extKeyUsage(EKU.server))).toMatchObject({ duplicateExtensions: ['2.5.29.37'] })
    expect(read(extension('1.2.3', hex('0500')), extension('1.2.3', hex('0500')))).toMatchObject({ duplicateExtensions: ['1.2.3'] })
  })

  test.each<[string, Bytes]>([
    ['an explicit critical FALSE, which DER leaves out', seq(oid('1.2.3'), no, octets(hex('0500')))],
    ['a SET', set(oid('1.2.3'), octets(hex('0500')))],
    ['no OID', seq(utf8('x'), octets(hex('0500')))],
    ['no OCTET STRING', seq(oid('1.2.3'), hex('0500'))],
    ['no value', seq(oid('1.2.3'))],
    ['critical in another type', seq(oid('1.2.3'), small(1), octets(hex('0500')))],
    ['a fourth element', seq(oid('1.2.3'), yes, octets(hex('0500')), hex('0500'))],
  ])('an extension with %s makes the list malformed', (_, bad) => {
    expect(read(bad)).toBeUndefined()
    expect(read(basicConstraints(false), bad)).toBeUndefined()
  })

  test('what is inside an extension must be DER', () => {
    expect(read(extension('2.5.29.37', hex('3080 0000')))).toMatchObject({ malformedExtensions: ['2.5.29.37'] })
    expect(read(extension('2.5.29.37', join(seq(oid(EKU.client)), hex('00'))))).toMatchObject({ malformedExtensions: ['2.5.29.37'] })
    // An extension that is not known is not looked into.
    expect(read(extension('1.2.3', hex('ffff')))).toMatchObject({ malformedExtensions: [] })
  })
})

describe('basic constraints', () => {
  const basic = (value: Bytes): unknown => read(extension('2.5.29.19', value, true))

  test.each<[string, Bytes, object]>([
    ['empty: not a CA', seq(), { ca: false }],
    ['cA', seq(yes), { ca: true }],
    ['cA with a path length of 0', seq(yes, small(0)), { ca: true, pathLength: 0 }],
    ['cA with a path length of 127', seq(yes, small(127)), { ca: true, pathLength: 127 }],
  ])('%s', (_, value, basicConstraints) => {
    expect(basic(value)).toMatchObject({ basicConstraints, malformedExtensions: [] })
  })

  test.each<[string, Bytes]>([
    ['an explicit FALSE', seq(no)],
    ['a path length without cA', seq(small(0))],
    ['a negative path length', seq(yes, small(0x80))],
    ['a path length of 128', seq(yes, integer(hex('0080')))],
    ['a third field', seq(yes, small(0), small(0))],
    ['a SET', set(yes)],
    ['another type in the place of cA', seq(utf8('x'))],
  ])('%s is malformed', (_, value) => {
    expect(basic(value)).toMatchObject({ malformedExtensions: ['2.5.29.19'] })
    expect(basic(value)).not.toHaveProperty('basicConstraints')
  })
})

describe('key usage and extended key usage', () => {
  test('all nine bits have their names', () => {
    expect(read(extension('2.5.29.15', bits(hex('ff80'), 7)))).toMatchObject({
      keyUsage: ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign', 'encipherOnly', 'decipherOnly'],
    })
  })

  test('no bits are no usages, which is not the same as no extension', () => {
    expect(read(extension('2.5.29.15', bits(hex(''))))).toMatchObject({ keyUsage: [] })
    expect(read()).not.toHaveProperty('keyUsage')
  })

  test('another type is malformed', () => {
    expect(read(extension('2.5.29.15', octets(hex('80'))))).toMatchObject({ malformedExtensions: ['2.5.29.15'] })
    expect(read(extension('2.5.29.37', seq(utf8('clientAuth'))))).toMatchObject({ malformedExtensions: ['2.5.29.37'] })
    expect(read(extension('2.5.29.37', set(oid(EKU.client))))).toMatchObject({ malformedExtensions: ['2.5.29.37'] })
  })

  test('an empty list of purposes stays visible (T19)', () => {
    expect(read(extension('2.5.29.37', seq()))).toMatchObject({ extendedKeyUsage: [] })
  })
})

describe('alternative names', () => {
  test('every kind', () => {
    expect(read(altNames(dns('a.example'), uri('urn:x:y'), email('a@b.example'), ip(hex('7f000001')), ip(hex('fe80000000000000000000000000abcd')), directory(name(cn('x'))), implicit(8, hex('2a03'))))).toMatchObject({
      subjectAltNames: [
        { kind: 'dns', value: 'a.example' }, { kind: 'uri', value: 'urn:x:y' }, { kind: 'email', value: 'a@b.example' }, { kind: 'ip', value: '127.0.0.1' },
        { kind: 'ip', value: 'fe80:0:0:0:0:0:0:abcd' }, { kind: 'other', value: '[4]' }, { kind: 'other', value: '[8]' },
      ],
    })
  })

  test.each<[string, Bytes]>([
    ['an empty list', altNames()],
    ['a DNS name with a NUL', altNames(dns('a.example\0.evil'))],
    ['a DNS name with a newline', altNames(dns('a\nb'))],
    ['a DNS name with a space', altNames(dns('a b'))],
    ['an empty DNS name', altNames(dns(''))],
    ['an umlaut in a URI', altNames(uri('urn:ü'))],
    ['an address of five octets', altNames(ip(hex('7f00000101')))],
    ['an address with a mask', altNames(ip(hex('7f000001ff000000')))],
    ['an unknown tag', altNames(implicit(9, ia5('x')))],
    ['a bare string', altNames(ia5('a.example'))],
    ['a SET', extension(SAN, set(dns('a')))],
    ['one name more than allowed', altNames(...Array.from({ length: X509_LIMITS.subjectAltNamesMax + 1 }, () => dns('a')))],
    ['10,000 names (T28)', altNames(...Array.from({ length: 10_000 }, () => dns('a')))],
  ])('%s is malformed', (_, bad) => {
    expect(read(bad)).toMatchObject({ malformedExtensions: [SAN] })
    expect(read(bad)).not.toHaveProperty('subjectAltNames')
  })

  test('as many names as allowed are read', () => {
    expect(read(altNames(...Array.from({ length: X509_LIMITS.subjectAltNamesMax }, () => dns('a'))))!.subjectAltNames).toHaveLength(X509_LIMITS.subjectAltNamesMax)
  })
})

describe('name constraints', () => {
  test('permitted and excluded subtrees of every kind', () => {
    const found = read(nameConstraints({ permitted: [dns('example'), directory(name(attribute(O, utf8('Acme'))))], excluded: [ip(hex('0a000000ff000000')), uri('.example'), email('b.example'), implicit(8, hex('2a03'))] }))
    expect(found).toMatchObject({
      hasNameConstraints: true,
      nameConstraints: {
        permitted: [{ kind: 'dns', value: 'example' }, { kind: 'directory', name: [[{ short: 'O', value: 'Acme' }]] }],
        excluded: [{ kind: 'ip', value: '0a000000ff000000' }, { kind: 'uri', value: '.example' }, { kind: 'email', value: 'b.example' }, { kind: 'other', value: '[8]' }],
      },
    })
  })

  test('an empty base, which is every name, is read', () => {
    expect(read(nameConstraints({ excluded: [dns('')] }))).toMatchObject({ nameConstraints: { excluded: [{ kind: 'dns', value: '' }] } })
  })

  test.each<[string, Bytes]>([
    ['neither list', seq()],
    ['an empty list', seq(explicit(0))],
    ['the lists in the wrong order', seq(explicit(1, seq(dns('a'))), explicit(0, seq(dns('a'))))],
    ['one list twice', seq(explicit(0, seq(dns('a'))), explicit(0, seq(dns('a'))))],
    ['a third list', seq(explicit(0, seq(dns('a'))), explicit(1, seq(dns('a'))), explicit(1, seq(dns('a'))))],
    ['another tag', seq(explicit(2, seq(dns('a'))))],
    ['a minimum', seq(explicit(0, seq(dns('a'), implicit(0, hex('01')))))],
    ['an address without a mask', seq(explicit(0, seq(ip(hex('0a000000')))))],
    ['a directory name that is none', seq(explicit(0, seq(explicit(4, utf8('x')))))],
    ['a base of unknown kind', seq(explicit(0, seq(implicit(9, hex('00')))))],
    ['a SET', set(explicit(0, seq(dns('a'))))],
  ])('%s is malformed, and still there', (_, value) => {
    expect(read(extension(NC, value, true))).toMatchObject({ hasNameConstraints: true, malformedExtensions: [NC] })
  })
})

describe('key identifiers', () => {
  test.each<[string, Bytes, object]>([
    ['an authority key identifier without a key identifier', extension('2.5.29.35', seq(implicit(2, hex('01')))), { malformedExtensions: [] }],
    ['an empty subject key identifier', subjectKeyId(hex('')), { malformedExtensions: ['2.5.29.14'] }],
    ['a subject key identifier in another type', extension('2.5.29.14', tlv(0x03, hex('0001'))), { malformedExtensions: ['2.5.29.14'] }],
    ['an authority key identifier in another type', extension('2.5.29.35', octets(hex('01'))), { malformedExtensions: ['2.5.29.35'] }],
  ])('%s', (_, bytes, facts) => {
    expect(read(bytes)).toMatchObject(facts)
    expect(read(bytes)).not.toHaveProperty('subjectKeyId')
    expect(read(bytes)).not.toHaveProperty('authorityKeyId')
  })
})
