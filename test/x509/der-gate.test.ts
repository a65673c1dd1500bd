// The gate before every parser: each refusal with its words and its place, each beside what passes; and hostile input, whose
// cost is counted in looks at bytes, not in time.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { X509_LIMITS } from '../../src/limits.ts'
import { gateDer } from '../../src/x509/der-gate.ts'
import { hex, integer, join, octets, oid, seq, set, small, tlv, utf8, type Bytes } from './asn1.ts'
import { makeCa, makeLeaf } from './forge.ts'

const MAX = X509_LIMITS.certificateBytesMax
const says = (bytes: Bytes, max = MAX): string => {
  const gated = gateDer(bytes, max)
  return gated.allow ? 'passed' : `${gated.reason}: ${gated.detail ?? ''}`
}

/** Counts how often the gate looks at a byte: the work that an input costs, without a clock. */
function looksAt(bytes: Bytes): number {
  let looks = 0
  const counting = new Proxy(bytes, {
    get(target, property) {
      if (typeof property === 'string' && /^\d+$/.test(property)) looks++
      const value: unknown = Reflect.get(target, property, target)
      return value
    },
  })
  gateDer(counting, Number.POSITIVE_INFINITY)
  return looks
}

const nested = (depth: number): Bytes => {
  // From the inside out, so that every length is right.
  let element: Bytes = seq()
  for (let i = 1; i < depth; i++) element = seq(element)
  return element
}

describe('what is DER passes', () => {
  test.each<[string, Bytes]>([
    ['an empty sequence', seq()],
    ['a boolean TRUE', hex('0101ff')],
    ['a boolean FALSE', hex('010100')],
    ['zero', hex('020100')],
    ['128, with the octet that keeps it positive', hex('02020080')],
    ['-128', hex('020180')],
    ['an empty BIT STRING', hex('030100')],
    ['a BIT STRING of one bit', hex('03020780')],
    ['NULL', hex('0500')],
    ['an OID', oid('1.2.840.113549.1.1.11')],
    ['a length of 127', octets(new Uint8Array(127))],
    ['a length of 128', octets(new Uint8Array(128))],
    ['a length of 256', octets(new Uint8Array(256))],
    ['several children', seq(small(1), set(utf8('ü')), seq(seq(), seq()))],
    ['a primitive and a constructed context tag', seq(hex('8001ff'), hex('a0023000'))],
  ])('%s', (_, bytes) => {
    expect(says(bytes)).toBe('passed')
  })

  test('a certificate', () => {
    expect(says(makeLeaf({ under: makeCa({ name: 'R' }) }))).toBe('passed')
  })
})

describe('what is not DER is refused, with what is wrong and where', () => {
  test.each<[string, Bytes, string]>([
    ['nothing at all', hex(''), 'an element is cut off at byte 0'],
    ['a tag alone', hex('30'), 'an element is cut off at byte 0'],
    ['an element that is cut off', hex('3005020101'), 'an element reaches beyond its container at byte 0'],
    ['a length that is cut off', hex('3082'), 'an element is cut off at byte 0'],
    ['a child that is cut off', hex('300102'), 'an element is cut off at byte 2'],
    ['a child that reaches beyond its parent', hex('3003020201020101'), 'an element reaches beyond its container at byte 2'],
    ['bytes after the end', join(seq(), hex('00')), 'bytes after the end at byte 2'],
    ['a second element', join(seq(), seq()), 'bytes after the end at byte 2'],
    ['an indefinite length', hex('30800000'), 'an indefinite length at byte 0'],
    ['an indefinite length inside', seq(hex('a0800000')), 'an indefinite length at byte 2'],
    ['an end-of-contents marker', seq(hex('0000')), 'an end-of-contents marker at byte 2'],
    ['a long form where the short one does', hex('30810102'), 'a length that is not minimal at byte 0'],
    ['two length octets where one does', join(hex('04820080'), new Uint8Array(128)), 'a length that is not minimal at byte 0'],
    ['three length octets where two do', join(hex('0483000100'), new Uint8Array(256)), 'a length that is not minimal at byte 0'],
    ['a length whose octets lie outside of its container', hex('3004 3002 0482 0080'), 'an element is cut off at byte 4'],
    ['a length of 2^31', hex('308480000000'), 'a length of more than three bytes at byte 0'],
    ['a length of 2^64', hex('3088ffffffffffffffff'), 'a length of more than three bytes at byte 0'],
    ['a length of 127 octets', join(hex('30ff'), new Uint8Array(127)), 'a length of more than three bytes at byte 0'],
    ['a length beyond the input', hex('0483ffffff00'), 'an element reaches beyond its container at byte 0'],
    ['a tag of several octets', hex('1f810100'), 'a tag of several bytes at byte 0'],
    ['a primitive SEQUENCE', hex('1000'), 'a type in the wrong form at byte 0'],
    ['a primitive SET', seq(hex('1100')), 'a type in the wrong form at byte 2'],
    ['a constructed OCTET STRING, as BER has it', hex('2404 0402 abcd'), 'a type in the wrong form at byte 0'],
    ['a constructed UTF8String', hex('2c03 0c0161'), 'a type in the wrong form at byte 0'],
    ['a constructed INTEGER', hex('2203 020101'), 'a type in the wrong form at byte 0'],
    ['a BOOLEAN that is neither', hex('010101'), 'a BOOLEAN that is neither 00 nor FF at byte 0'],
    ['a BOOLEAN of two octets', hex('0102ffff'), 'a BOOLEAN that is neither 00 nor FF at byte 0'],
    ['an empty BOOLEAN', hex('0100'), 'a BOOLEAN that is neither 00 nor FF at byte 0'],
    ['an empty INTEGER', hex('0200'), 'an empty INTEGER at byte 0'],
    ['a positive INTEGER with a zero too many', hex('0202007f'), 'an INTEGER that is not minimal at byte 0'],
    ['a negative INTEGER with ones too many', hex('0202ff80'), 'an INTEGER that is not minimal at byte 0'],
    ['an empty BIT STRING without its count', hex('0300'), 'a malformed BIT STRING at byte 0'],
    ['a BIT STRING with eight unused bits', hex('03020800'), 'a malformed BIT STRING at byte 0'],
    ['a BIT STRING with unused bits of nothing', hex('030103'), 'a malformed BIT STRING at byte 0'],
    ['a BIT STRING whose unused bits are set', hex('03020781'), 'a BIT STRING whose unused bits are set at byte 0'],
    ['a NULL with contents', hex('050100'), 'a NULL with contents at byte 0'],
    ['an empty OID', hex('0600'), 'an OBJECT IDENTIFIER of an impossible length at byte 0'],
    ['an OID that ends within an arc', hex('06022a86'), 'a cut-off OBJECT IDENTIFIER at byte 0'],
    ['an OID whose arc begins with zeros', hex('06032a8001'), 'an OBJECT IDENTIFIER that is not minimal at byte 0'],
    ['an OID that begins with zeros', hex('06028001'), 'an OBJECT IDENTIFIER that is not minimal at byte 0'],
  ])('%s', (_, bytes, detail) => {
    expect(says(bytes)).toBe(`certificate-malformed: ${detail}`)
  })
})

describe('bounds', () => {
  test('an element of exactly the allowed size passes, and one byte more does not', () => {
    const element = octets(new Uint8Array(200))
    expect(says(element, element.length)).toBe('passed')
    expect(says(element, element.length - 1)).toBe(`certificate-malformed: more than ${element.length - 1} bytes`)
  })

  test('depth: the last allowed level passes and the next does not', () => {
    expect(says(nested(X509_LIMITS.derDepthMax))).toBe('passed')
    expect(says(nested(X509_LIMITS.derDepthMax + 1))).toContain('nested too deep')
  })

  test('number of elements: the last allowed one passes and the next does not', () => {
    const many = (count: number): Bytes => seq(...Array.from({ length: count - 1 }, () => hex('0500')))
    expect(says(many(X509_LIMITS.derNodesMax))).toBe('passed')
    expect(says(many(X509_LIMITS.derNodesMax + 1))).toContain('too many elements')
  })

  test('an OID: the longest allowed one passes and the next does not', () => {
    const long = (bytes: number): Bytes => tlv(0x06, new Uint8Array(bytes).fill(0x2a))
    expect(says(long(X509_LIMITS.oidBytesMax))).toBe('passed')
    expect(says(long(X509_LIMITS.oidBytesMax + 1))).toContain('an OBJECT IDENTIFIER of an impossible length')
  })

  test('a megabyte of anything is refused by its size alone', () => {
    for (const bomb of [integer(new Uint8Array(1 << 20).fill(0x55)), tlv(0x06, new Uint8Array(1 << 20).fill(0x2a)), octets(new Uint8Array(1 << 20))]) expect(says(bomb)).toBe(`certificate-malformed: more than ${MAX} bytes`)
  })
})

describe('hostile input costs no more work than it has bytes', () => {
  // Even without the bound on size, which comes first: each of these stops early or reads each byte a few times.
  test.each<[string, () => Bytes]>([
    ['10,000 levels', () => Uint8Array.from(Buffer.alloc(20_000, Buffer.from([0x30, 0x80])))],
    ['2,000 levels with right lengths', () => nested(2_000)],
    ['a million elements', () => tlv(0x30, Uint8Array.from(Buffer.alloc(2_000_000, Buffer.from([0x05, 0x00]))))],
  ])('%s stop at a bound', (_, bomb) => {
    expect(looksAt(bomb())).toBeLessThan(6 * X509_LIMITS.derNodesMax)
  })

  test.each<[string, Bytes]>([
    ['a long INTEGER', integer(new Uint8Array(100_000).fill(0x55))],
    ['a long OCTET STRING', octets(new Uint8Array(100_000))],
    ['a long BIT STRING', tlv(0x03, new Uint8Array(100_000))],
    ['a long OID', tlv(0x06, new Uint8Array(100_000).fill(0x80))],
  ])('%s is not read to its end', (_, bomb) => {
    expect(looksAt(bomb)).toBeLessThan(100)
  })

  test('whatever the bytes are, the gate looks at each a few times at most', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      expect(looksAt(bytes)).toBeLessThanOrEqual(8 * bytes.length + 8)
    }))
  })
})

describe('the gate and a reader agree', () => {
  const element: fc.Arbitrary<Bytes> = fc.letrec<{ node: Bytes; leaf: Bytes }>((tie) => ({
    leaf: fc.oneof(fc.uint8Array({ maxLength: 300 }).map(octets), fc.constantFrom(hex('0101ff'), hex('0500'), hex('020100'), oid('2.5.4.3'))),
    node: fc.oneof({ maxDepth: 6 }, tie('leaf'), fc.array(tie('node'), { maxLength: 4 }).map((children) => seq(...children))),
  })).node

  test('every well-formed element passes', () => {
    fc.assert(fc.property(element, (bytes) => {
      expect(says(bytes, Number.MAX_SAFE_INTEGER)).toBe('passed')
    }))
  })

  test('no proper prefix of an element passes, and no element with a byte behind it', () => {
    fc.assert(fc.property(element, fc.nat(), (bytes, at) => {
      expect(says(bytes.subarray(0, at % bytes.length))).not.toBe('passed')
      expect(says(join(bytes, hex('00')))).not.toBe('passed')
    }))
  })
})
