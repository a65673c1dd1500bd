// The tree behind the gate, object identifiers, and times, strictly.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { X509_LIMITS } from '../../src/limits.ts'
import { decodeTime, encodeTime, oidText, readDer, tlv as written, type DerNode } from '../../src/x509/der.ts'
import { generalizedTime, hex, octets, oid, seq, small, tlv, toHex, utcTime, utf8, type Bytes } from './asn1.ts'

function node(bytes: Bytes): DerNode {
  const read = readDer(bytes, Number.MAX_SAFE_INTEGER)
  if (!read.allow) throw new Error(read.detail)
  return read.value
}

describe('the tree', () => {
  test('a node is its tag, its bytes, its contents and its children', () => {
    const bytes = seq(small(5), seq(octets(hex('abcd'))))
    const root = node(bytes)
    expect(root).toMatchObject({ tag: 0x30 })
    expect(toHex(root.raw)).toBe(toHex(bytes))
    expect(root.children.map((c) => toHex(c.raw))).toEqual(['020105', '30040402abcd'])
    expect(toHex(root.children[1]!.children[0]!.contents)).toBe('abcd')
    expect(root.children[0]!.children).toEqual([])
  })

  test('what the gate refuses has no tree', () => {
    expect(readDer(hex('30800000'))).toMatchObject({ allow: false, reason: 'certificate-malformed' })
    expect(readDer(seq())).toMatchObject({ allow: true })
  })

  test('an element larger than a certificate may be is refused unless the caller says otherwise', () => {
    const large = octets(new Uint8Array(X509_LIMITS.certificateBytesMax))
    expect(readDer(large).allow).toBe(false)
    expect(readDer(large, large.length).allow).toBe(true)
  })

  test('what is written is what a second writer writes, at every length', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 255 }), fc.oneof(fc.nat(300), fc.integer({ min: 65_000, max: 66_000 })), (tag, length) => {
      expect(toHex(written(tag, new Uint8Array(length)))).toBe(toHex(tlv(tag, new Uint8Array(length))))
    }))
  })

  test('a node reads back from what was written', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 70_000, size: 'max' }), (contents) => {
      expect(toHex(node(written(0x04, contents)).contents)).toBe(toHex(contents))
    }), { numRuns: 30 })
  })
})

describe('object identifiers', () => {
  test.each(['0.9.2342.19200300.100.1.1', '1.2.840.113549.1.1.11', '2.5.4.3', '2.5.29.37.0', '1.3.6.1.5.5.7.3.2', '2.999.3'])('%s', (dotted) => {
    expect(oidText(node(oid(dotted)).contents)).toBe(dotted)
  })

  test('arcs beyond 2^64 are read as they are', () => {
    const contents = hex('2a' + '81'.repeat(9) + '00')
    expect(oidText(contents)).toBe(`1.2.${[...Array(9).keys()].reduce((sum, i) => sum + (1n << BigInt(7 * (i + 1))), 0n)}`)
  })
})

describe('times (T08)', () => {
  const read = (bytes: Bytes): string | undefined => {
    const ms = decodeTime(node(bytes))
    return ms === undefined ? undefined : new Date(ms).toISOString()
  }

  test.each<[string, Bytes, string]>([
    ['the last second of UTCTime', utcTime('491231235959Z'), '2049-12-31T23:59:59.000Z'],
    ['the first year of UTCTime', utcTime('500101000000Z'), '1950-01-01T00:00:00.000Z'],
    ['the first second of GeneralizedTime', generalizedTime('20500101000000Z'), '2050-01-01T00:00:00.000Z'],
    ['no well-defined expiration (RFC 5280 §4.1.2.5)', generalizedTime('99991231235959Z'), '9999-12-31T23:59:59.000Z'],
    ['the 29th of February of a leap year', utcTime('240229120000Z'), '2024-02-29T12:00:00.000Z'],
    ['a GeneralizedTime before 2050, which only writers are forbidden', generalizedTime('20300101000000Z'), '2030-01-01T00:00:00.000Z'],
  ])('%s is read', (_, bytes, iso) => {
    expect(read(bytes)).toBe(iso)
  })

  test.each<[string, Bytes]>([
    ['without seconds', utcTime('3001010000Z')],
    ['without Z', utcTime('300101000000')],
    ['with an offset', utcTime('300101000000+0100')],
    ['with an offset of zero', generalizedTime('20300101000000+0000')],
    ['with fractions', generalizedTime('20500101000000.5Z')],
    ['with four digits of year in a UTCTime', utcTime('20300101000000Z')],
    ['with two digits of year in a GeneralizedTime', generalizedTime('300101000000Z')],
    ['on the 31st of February', utcTime('300231000000Z')],
    ['on the 29th of February of another year', utcTime('230229000000Z')],
    ['in the thirteenth month', utcTime('301301000000Z')],
    ['on day zero', utcTime('300100000000Z')],
    ['at 24:00', utcTime('300101240000Z')],
    ['at second 60', utcTime('300101000060Z')],
    ['in the year 99', generalizedTime('00990101000000Z')],
    ['in a lower-case z', utcTime('300101000000z')],
    ['with a NUL behind', utcTime('300101000000Z\0')],
    ['with a newline behind', utcTime('300101000000Z\n')],
    ['with a letter in it', utcTime('3001010000O0Z')],
    ['with nothing in it', utcTime('')],
    ['in another type', utf8('300101000000Z')],
  ])('a time %s is none', (_, bytes) => {
    expect(read(bytes)).toBeUndefined()
  })

  test('what is written has whole seconds, and is read back', () => {
    const ms = fc.integer({ min: Date.UTC(1950, 0, 1), max: Date.UTC(9999, 11, 31, 23, 59, 59) })
    fc.assert(fc.property(ms, (at) => {
      expect(decodeTime(node(encodeTime(at)))).toBe(Math.floor(at / 1_000) * 1_000)
    }))
  })

  test('2049 is written as UTCTime and 2050 as GeneralizedTime', () => {
    expect(toHex(encodeTime(Date.UTC(2049, 11, 31, 23, 59, 59)))).toBe(toHex(utcTime('491231235959Z')))
    expect(toHex(encodeTime(Date.UTC(2050, 0, 1)))).toBe(toHex(generalizedTime('20500101000000Z')))
  })
})
