// Names and strings as they stand in DER, and the names that we write.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readDer } from '../../src/x509/der.ts'
import { decodeString, encodeName, readName } from '../../src/x509/names.ts'
import type { NameFacts } from '../../src/core/certificate.ts'
import { hex, ia5, oid, printable, seq, set, tlv, toHex, utf8, type Bytes } from './asn1.ts'
import { attribute, cn, CN, name, O } from './forge.ts'

function read(bytes: Bytes): NameFacts | undefined {
  const node = readDer(bytes)
  if (!node.allow) throw new Error(node.detail)
  return readName(node.value)
}

function text(bytes: Bytes): string | undefined {
  const node = readDer(bytes)
  if (!node.allow) throw new Error(node.detail)
  return decodeString(node.value)
}

describe('reading', () => {
  test('every RDN stays the set that it is, with short names where there are some', () => {
    expect(read(seq(set(attribute(O, utf8('Acme'))), set(cn('a'), attribute('0.9.2342.19200300.100.1.1', utf8('u'))), set(attribute('1.2.3.4', utf8('x')))))).toEqual([
      [{ type: O, short: 'O', value: 'Acme' }],
      [{ type: CN, short: 'CN', value: 'a' }, { type: '0.9.2342.19200300.100.1.1', short: 'UID', value: 'u' }],
      [{ type: '1.2.3.4', value: 'x' }],
    ])
  })

  test('an empty name is a name', () => {
    expect(read(seq())).toEqual([])
  })

  test.each<[string, Bytes]>([
    ['a SET in the place of the SEQUENCE', set(set(cn('a')))],
    ['an RDN that is a SEQUENCE', seq(seq(cn('a')))],
    ['an empty RDN', seq(set())],
    ['an attribute without a value', seq(set(seq(oid(CN))))],
    ['an attribute with two values', seq(set(seq(oid(CN), utf8('a'), utf8('b'))))],
    ['an attribute whose type is no OID', seq(set(seq(utf8('CN'), utf8('a'))))],
    ['an attribute that is a SET', seq(set(set(oid(CN), utf8('a'))))],
  ])('%s is no name', (_, bytes) => {
    expect(read(bytes)).toBeUndefined()
  })
})

describe('strings are what their tag says, or nothing (I04–I06, I12)', () => {
  test.each<[string, Bytes, string]>([
    ['UTF8String', utf8('größe'), 'größe'],
    ['UTF8String with a NUL, which is a legal character', utf8('a\0b'), 'a\0b'],
    ['UTF8String with a byte order mark, which stays visible', utf8('\ufeffa'), '\ufeffa'],
    ['UTF8String in NFD, which is not NFC', utf8('o\u0308'), 'o\u0308'],
    ['PrintableString', printable("Acme (1), x.y: A+B='?/-"), "Acme (1), x.y: A+B='?/-"],
    ['IA5String', ia5('a@b'), 'a@b'],
    ['NumericString', tlv(0x12, hex('31203233')), '1 23'],
    ['BMPString', tlv(0x1e, hex('00610062')), 'ab'],
  ])('%s', (_, bytes, value) => {
    expect(text(bytes)).toBe(value)
  })

  test.each<[string, Bytes]>([
    ['UTF-8 that is cut off', tlv(0x0c, hex('61c3'))],
    ['overlong UTF-8', tlv(0x0c, hex('c0af'))],
    ['a surrogate in UTF-8', tlv(0x0c, hex('eda080'))],
    ['latin-1 in a UTF8String', tlv(0x0c, hex('fc'))],
    ['an asterisk in a PrintableString', printable('a*')],
    ['an at sign in a PrintableString', printable('a@b')],
    ['a newline in a PrintableString', printable('a\n')],
    ['an umlaut in a PrintableString', printable('ü')],
    ['an umlaut in an IA5String', ia5('ü')],
    ['a letter in a NumericString', tlv(0x12, hex('3161'))],
    ['a BMPString of odd length', tlv(0x1e, hex('006100'))],
    ['a lone surrogate in a BMPString', tlv(0x1e, hex('d8000061'))],
    ['a T61String', tlv(0x14, hex('61'))],
    ['a UniversalString', tlv(0x1c, hex('00000061'))],
    ['an OCTET STRING', tlv(0x04, hex('61'))],
  ])('%s is no text', (_, bytes) => {
    expect(text(bytes)).toBeUndefined()
  })
})

describe('writing', () => {
  test('organisation first, each attribute in an RDN of its own, UTF8String', () => {
    expect(toHex(encodeName({ commonName: 'sensor-1', organization: 'Äcme' }))).toBe(toHex(name(attribute(O, utf8('Äcme')), cn('sensor-1'))))
    expect(toHex(encodeName({ commonName: 'sensor-1' }))).toBe(toHex(name(cn('sensor-1'))))
  })

  test('what is written is read back as it was', () => {
    const anyText = fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' })
    fc.assert(fc.property(anyText, anyText, (commonName, organization) => {
      expect(read(encodeName({ commonName, organization }))).toEqual([[{ type: O, short: 'O', value: organization }], [{ type: CN, short: 'CN', value: commonName }]])
    }))
  })

  test('names that differ in case or in spaces have different bytes', () => {
    const names = ['Dev1', 'dev1', 'dev1 ', ' dev1'].map((commonName) => toHex(encodeName({ commonName })))
    expect(new Set(names).size).toBe(4)
  })
})
