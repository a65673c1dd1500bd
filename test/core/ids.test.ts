// Names: what is one, at every edge, and that no hostile text becomes one.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_TENANT, isOwnClientId, parseCaName, parseDeviceId, parseFingerprint, parseGroupName, parseKeyHash, parseSerialNumber, printable, sessionKey, type DeviceId } from '../../src/core/ids.ts'
import { anyText, reasonOf, valueOf } from './facts.ts'

const id = (text: string): DeviceId => valueOf(parseDeviceId(text))

describe('device ids, group and CA names', () => {
  const NAMES = ['a', 'Z', '0', 'sensor-7', 'a_b.c-d', 'a.', 'a--', '00', 'constructor', 'toString', 'hasOwnProperty', 'a'.repeat(64)]
  const NO_NAMES = [
    '', '-a', '.a', '_a', '..', '__proto__', 'a/b', '../x', '/a', 'a/', '+', '#', '$SYS', '$share/g/x', 'a+', 'a#', 'a b', ' a', 'a ', 'a:b', 'a,b', 'a=b', "a'", 'a"', 'a\\b', '%c', '${device.id}',
    'a\0', 'a\n', 'a\r\nb', '\u001B[2J', 'ä', 'а', 'a\u0301', 'a\u200Db', '\u202Ea', 'ａ', '😀', '\uD800', '\uFFFD', 'a'.repeat(65), 'a'.repeat(65_536),
  ]

  test.each(NAMES)('%j is one', (text) => {
    expect([valueOf(parseDeviceId(text)), valueOf(parseGroupName(text)), valueOf(parseCaName(text))]).toEqual([text, text, text])
  })

  test.each(NO_NAMES)('%j is none', (text) => {
    expect([reasonOf(parseDeviceId(text)), reasonOf(parseGroupName(text)), reasonOf(parseCaName(text))]).toEqual(['device-id-invalid', 'group-invalid', 'request-invalid'])
  })

  test('case tells names apart', () => {
    expect(id('Dev1')).not.toBe(id('dev1'))
  })

  test('no text that is a name holds a separator, a wildcard or anything outside ASCII', () => {
    fc.assert(fc.property(anyText(80), (text) => {
      expect(parseDeviceId(text).allow).toBe(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text))
    }))
  })
})

describe('serial numbers', () => {
  test.each([
    ['40AB', '40ab'], ['40:ab', '40ab'], ['00ab', 'ab'], ['00:FF', 'ff'], ['0000ab', 'ab'], ['00', '00'], ['7f'.repeat(20), '7f'.repeat(20)], [`00${'ff'.repeat(20)}`, 'ff'.repeat(20)],
  ])('%s is read as %s: one number has one text', (text, expected) => {
    expect(valueOf(parseSerialNumber(text))).toBe(expected)
  })

  test.each(['', '4', '40a', '0x40', 'zz', '40 ab', '-1', ':', '7f'.repeat(21), '40\n', '４0'])('%j is none', (text) => {
    expect(reasonOf(parseSerialNumber(text))).toBe('request-invalid')
  })
})

describe('hashes', () => {
  const hex = 'ab'.repeat(32)

  test('are 64 hex characters; a fingerprint may be written with colons', () => {
    expect(valueOf(parseFingerprint(hex.toUpperCase()))).toBe(hex)
    expect(valueOf(parseFingerprint(hex.replaceAll(/..(?=.)/g, '$&:')))).toBe(hex)
    expect(valueOf(parseKeyHash(hex.toUpperCase()))).toBe(hex)
  })

  test.each(['', 'ab', hex.slice(2), `${hex}ab`, hex.replace('a', 'g')])('%j is none', (text) => {
    expect(reasonOf(parseFingerprint(text))).toBe('request-invalid')
    expect(reasonOf(parseKeyHash(text))).toBe('request-invalid')
  })

  test('a leading zero octet of a hash is a part of it', () => {
    expect(valueOf(parseFingerprint(`00${hex.slice(2)}`))).toBe(`00${hex.slice(2)}`)
  })
})

describe('session keys and client ids', () => {
  test('two devices never have one session key, whatever they call their clients', () => {
    const ids = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,8}$/)
    fc.assert(fc.property(ids, ids, fc.string(), fc.string(), (a, b, one, two) => {
      fc.pre(a !== b)
      expect(sessionKey(DEFAULT_TENANT, id(a), one)).not.toBe(sessionKey(DEFAULT_TENANT, id(b), two))
    }))
  })

  test.each([['a', true], ['a:1', true], ['a:b:c', true], ['a::', true], ['a:', false], ['a:a', true], ['ab', false], ['ab:1', false], ['A', false], ['', false], [':', false], ['b:a', false], [' a', false]])('device a may call %j its own: %s', (clientId, expected) => {
    expect(isOwnClientId(id('a'), clientId)).toBe(expected)
  })

  test('no client id is the own one of two devices', () => {
    const ids = fc.stringMatching(/^[ab][ab.]{0,2}$/)
    fc.assert(fc.property(ids, ids, fc.stringMatching(/^[ab.:]{0,6}$/), (a, b, clientId) => {
      fc.pre(a !== b)
      expect(isOwnClientId(id(a), clientId) && isOwnClientId(id(b), clientId)).toBe(false)
    }), { numRuns: 5_000 })
  })
})

describe('what a person is shown', () => {
  test.each([
    ['plain text 1+1', 'plain text 1+1'], ['a\nb', 'a\\u{a}b'], ['\u001B[2J', '\\u{1b}[2J'], ['\0', '\\u{0}'], ['dеv', 'd\\u{435}v'], ['\u202E', '\\u{202e}'], ['😀', '\\u{1f600}'], ['\uD800', '\\u{d800}'], ['', ''],
  ])('%j is shown as %s', (text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  test('is ASCII, and as long as was asked for, plus a count', () => {
    fc.assert(fc.property(anyText(300), fc.integer({ min: 1, max: 100 }), (text, max) => {
      const shown = printable(text, max)
      expect(shown).toMatch(new RegExp(`^(?:[\\x20-\\x7e]{0,${max}}|[\\x20-\\x7e]{${max}}…\\(${text.length} characters\\))$`))
    }))
  })
})
