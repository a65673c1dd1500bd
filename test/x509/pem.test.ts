// PEM armour: what is read, and the many ways in which it is not.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { X509_LIMITS } from '../../src/limits.ts'
import { decodePem, encodePem } from '../../src/x509/pem.ts'
import { toHex } from './asn1.ts'

const A = encodePem('CERTIFICATE', Uint8Array.from({ length: 100 }, (_, i) => i))
const B = encodePem('CERTIFICATE', Uint8Array.of(1, 2, 3))
const KEY = encodePem('PRIVATE KEY', Uint8Array.of(9))

const decoded = (text: string): string | string[] => {
  const read = decodePem(text, 'CERTIFICATE')
  return read.allow ? read.value.map(toHex) : `${read.reason}: ${read.detail ?? ''}`
}

describe('writing', () => {
  test('lines of 64 characters, and a newline at the end', () => {
    const lines = A.split('\n')
    expect(lines[0]).toBe('-----BEGIN CERTIFICATE-----')
    expect(lines.slice(1, -2).map((l) => l.length)).toEqual([64, 64, 8])
    expect(A.endsWith('-----END CERTIFICATE-----\n')).toBe(true)
  })

  test('what is written is read back', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 16 }), (blocks) => {
      expect(decoded(blocks.map((b) => encodePem('CERTIFICATE', b)).join(''))).toEqual(blocks.map(toHex))
    }))
  })
})

describe('reading', () => {
  test.each<[string, string, string[]]>([
    ['one block', B, ['010203']],
    ['several blocks, in their order', B + encodePem('CERTIFICATE', Uint8Array.of(4)), ['010203', '04']],
    ['a block among blocks of other labels', KEY + B + KEY, ['010203']],
    ['text around the blocks, as tools write it', `Bag Attributes\nsubject=CN = a-b\n${B}issuer=x\n`, ['010203']],
    ['line ends of Windows', B.replaceAll('\n', '\r\n'), ['010203']],
    ['lines of another length', B.replace('AQID', 'AQ\nID'), ['010203']],
  ])('%s', (_, text, blocks) => {
    expect(decoded(text)).toEqual(blocks)
  })

  test.each<[string, string, string]>([
    ['nothing', '', 'there is no CERTIFICATE block'],
    ['only blocks of other labels', KEY, 'there is no CERTIFICATE block'],
    ['a label in lower case', B.replaceAll('CERTIFICATE', 'certificate'), 'there is no CERTIFICATE block'],
    ['a block that does not end', B.replace(/-----END.*/s, ''), 'a PEM block does not end'],
    ['a second block that does not end', A + B.replace(/-----END.*/s, ''), 'a PEM block does not end'],
    ['a block that begins within a block', `-----BEGIN CERTIFICATE-----\n${B}`, 'a PEM block does not end'],
    ['a block that ends as something else', B.replace('END CERTIFICATE', 'END PRIVATE KEY'), 'a PEM block begins and ends with different labels'],
    ['a block without contents', encodePem('CERTIFICATE', Uint8Array.of()), 'a PEM block is not base64'],
    ['base64 without its padding', B.replace('AQID', 'AQI'), 'a PEM block is not base64'],
    ['base64 with bits left over', B.replace('AQID', 'AQJ='), 'a PEM block is not base64'],
    ['base64 with padding in the middle', B.replace('AQID', 'AQ==AQ=='), 'a PEM block is not base64'],
    ['a stray character', B.replace('AQID', 'AQ!ID'), 'a PEM block is not base64'],
    ['the alphabet of URLs', B.replace('AQID', '____'), 'a PEM block is not base64'],
    ['headers inside, as of an encrypted key', B.replace('AQID', 'DEK: x\n\nAQID'), 'a PEM block is not base64'],
    ['headers with a hyphen inside', B.replace('AQID', 'Proc-Type: 4,ENCRYPTED\n\nAQID'), 'a PEM block does not end'],
    ['a NUL inside', B.replace('AQID', 'AQ\0ID'), 'a PEM block is not base64'],
    ['17 blocks', B.repeat(17), 'more than 16 PEM blocks'],
    ['text without an end', 'x'.repeat(40 * X509_LIMITS.certificateBytesMax), 'the PEM text is too large'],
  ])('%s is refused', (_, text, detail) => {
    expect(decoded(text)).toBe(`certificate-malformed: ${detail}`)
  })

  test('16 blocks are read', () => {
    expect(decoded(B.repeat(16))).toHaveLength(16)
  })

  test('whatever the text is, nothing is thrown', () => {
    const part = fc.oneof(fc.constantFrom('-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '\n', '-', 'AQID', '=', '-----BEGIN '), fc.string({ maxLength: 5 }))
    fc.assert(fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
      expect(decodePem(parts.join(''), 'CERTIFICATE').allow).toBeTypeOf('boolean')
    }))
  })
})
