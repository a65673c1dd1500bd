// Requests as strangers send them to the enrollment door, read: what is bound to its connection, what wants a key that it cannot have, and
// what is no request at all. Each is refused for little: gate first, parse after.

import { describe, expect, test } from 'vitest'
import { privateKey } from '../device-sim/forge/keys.ts'
import { unpem } from '../device-sim/forge/certificate.ts'
import { challengePassword, forgeRequest, type ForgedAttribute } from '../device-sim/forge/request.ts'
import { readRequest, type AskedHow } from '../src/est-request.ts'
import { X509_LIMITS } from '../src/limits.ts'
import { reasonOf } from './core/facts.ts'
import { explicit, hex, join, oid, seq, set, small, tlv, utf8, type Bytes } from './x509/asn1.ts'
import { ALGORITHM, makeRequest, name } from './x509/forge.ts'

const EXPECTED = 'b3VyIGNvbm5lY3Rpb24='
const key = privateKey()
const read = (attributes: readonly ForgedAttribute[], how: AskedHow = {}): string => reasonOf(readRequest(forgeRequest(key, 'sensor-1', { attributes }), how))
const binding = (rule: 'optional' | 'required', expected: string | undefined = EXPECTED): AskedHow => ({ binding: { expected, rule } })

describe('a binding', () => {
  test.each<[string, readonly ForgedAttribute[], string, string]>([
    ['that fits', [challengePassword(EXPECTED)], 'allowed', 'allowed'],
    ['that is not there', [], 'allowed', 'channel-binding'],
    ['that is empty', [challengePassword('')], 'channel-binding', 'channel-binding'],
    ['without a value', [challengePassword()], 'channel-binding', 'channel-binding'],
    ['that is there twice', [challengePassword(EXPECTED), challengePassword(EXPECTED)], 'channel-binding', 'channel-binding'],
    ['with two values', [challengePassword(EXPECTED, 'x')], 'channel-binding', 'channel-binding'],
    ['in other letters', [challengePassword(EXPECTED.toLowerCase())], 'channel-binding', 'channel-binding'],
    ['of another length', [challengePassword(`${EXPECTED}=`)], 'channel-binding', 'channel-binding'],
  ])('%s', (_, attributes, optional, required) => {
    expect([read(attributes, binding('optional')), read(attributes, binding('required'))]).toEqual([optional, required])
  })

  test('of a connection that has no number fits nothing, least of all nothing', () => {
    const none: AskedHow = { binding: { expected: undefined, rule: 'optional' } }
    expect([read([challengePassword('')], none), read([challengePassword('undefined')], none), read([], none)]).toEqual(['channel-binding', 'channel-binding', 'allowed'])
  })

  test('is not asked about at a door that has no connection to bind to', () => {
    expect(read([challengePassword('the password of an old tool')])).toBe('allowed')
  })

  test.each([['PrintableString', 0x13], ['UTF8String', 0x0c], ['IA5String', 0x16]])('may be a %s', (_, tag) => {
    expect(read([{ id: challengePassword('').id, values: [Buffer.from(tlv(tag, Buffer.from(EXPECTED)))] }], binding('required'))).toBe('allowed')
  })
})

test('a wish for encryption is looked at only where a key is to be made', () => {
  const wish = { id: '1.2.840.113549.1.9.16.2.37', values: [Buffer.from('0400', 'hex')] }
  expect([read([wish]), read([wish], { serverKey: 'P-256' }), read([], { serverKey: 'P-256' })]).toEqual(['allowed', 'server-key-encryption', 'allowed'])
})

describe('what is hostile', () => {
  const CPU_MS_MAX = 20
  const [good = Buffer.alloc(0)] = unpem(forgeRequest(key, 'sensor-1'), 'CERTIFICATE REQUEST')
  const full = (one: Bytes): readonly Bytes[] => Array.from({ length: Math.floor((X509_LIMITS.csrBytesMax - 400) / one.length) }, () => one)
  const longOid = tlv(0x06, join(...Array.from({ length: 60 }, () => hex('ff')), hex('7f')))
  const password = seq(oid('1.2.840.113549.1.9.7'), set(utf8(EXPECTED)))
  test.each<[string, () => Bytes]>([
    ['nothing', () => hex('')],
    ['a length beyond the end', () => hex('3084ffffffff')],
    ['nested without end', () => Uint8Array.from(Buffer.alloc(16_000, Buffer.from('3080', 'hex')))],
    ['as many attributes as there is room for', () => makeRequest(key, { attributes: full(password) })],
    ['attributes with names as long as may be', () => makeRequest(key, { attributes: full(seq(longOid, set())) })],
    ['one attribute with as many values', () => makeRequest(key, { attributes: [seq(oid('1.2.840.113549.1.9.7'), set(...full(utf8('x'))))] })],
    ['a password as large as a request', () => makeRequest(key, { attributes: [seq(oid('1.2.840.113549.1.9.7'), set(utf8('A'.repeat(15_000))))] })],
    ['a name with as many parts', () => makeRequest(key, { subject: name(...full(seq(longOid, utf8('x')))) })],
    ['an unsigned request', () => seq(seq(small(0), name(), hex('3000'), explicit(0)), ALGORITHM.ecdsaSha256, hex('030100'))],
    ['more than a request may have', () => join(good, new Uint8Array(X509_LIMITS.csrBytesMax))],
  ])('%s is refused, or nothing fits, for less than 20 ms of CPU', (_, make) => {
    const request = make()
    const spent = Array.from({ length: 5 }, () => {
      const before = process.threadCpuUsage()
      expect(reasonOf(readRequest(request, { ...binding('required'), serverKey: 'P-256' }))).toBeOneOf(['csr-malformed', 'channel-binding'])
      const { user, system } = process.threadCpuUsage(before)
      return (user + system) / 1_000
    })
    expect(Math.min(...spent)).toBeLessThan(CPU_MS_MAX)
  })
})
