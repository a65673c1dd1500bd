import { describe, expect, test } from 'vitest'
import { wrongs, type HandedOut } from './handed-out.ts'

const record = { issuer: 'issuing-1', serial: '41', profile: 'device', state: 'active', device: 'd', sha256: 'aa' }
const held = { device: 'd', serial: '41', sha256: 'aa', verifies: true }
const GOOD: HandedOut = {
  held: [held], asked: ['41', '42'], recorded: [record, { ...record, serial: '42', state: 'planned', sha256: undefined }],
  tokens: [{ name: 'T', uses: 1, usesMax: 1, holders: 1 }],
  crls: [{ name: 'a.crl', number: 1, sha256: 'x' }, { name: 'b.crl', number: 1, sha256: 'y' }, { name: 'a.crl', number: 1, sha256: 'x' }, { name: 'a.crl', number: 3, sha256: 'z' }],
}

test('what is recorded, planned and used as it may be is right', () => {
  expect(wrongs(GOOD)).toEqual([])
})

describe('each of these is seen:', () => {
  const bad = (change: Partial<HandedOut>): readonly string[] => wrongs({ ...GOOD, ...change })
  const CASES: readonly (readonly [string, Partial<HandedOut>])[] = [
    ['d holds 41, which is not recorded', { recorded: [GOOD.recorded[1]!], asked: [] }],
    ['d holds 41, which is recorded as planned', { recorded: [{ ...record, state: 'planned' }, GOOD.recorded[1]!] }],
    ['d holds other bytes of 41 than are recorded', { recorded: [{ ...record, sha256: 'bb' }, GOOD.recorded[1]!] }],
    ['d holds 41, which is recorded for e', { recorded: [{ ...record, device: 'e' }, GOOD.recorded[1]!] }],
    ['d holds 41, which does not verify', { held: [{ ...held, verifies: false }] }],
    ['43 was to be signed and is not recorded', { asked: ['43'] }],
    ['41 is recorded twice', { recorded: [{ ...record, issuer: 'issuing-2', sha256: 'bb' }, ...GOOD.recorded] }],
    ['42 is recorded twice', { recorded: [...GOOD.recorded, { ...record, serial: '42', state: 'planned', sha256: undefined }] }],
    ['token T was used 2 times of 1', { tokens: [{ name: 'T', uses: 2, usesMax: 1, holders: 1 }] }],
    ['token T has 1 certificates and 0 uses', { tokens: [{ name: 'T', uses: 0, usesMax: 1, holders: 1 }] }],
    ['a.crl is no whole CRL that verifies', { crls: [{ name: 'a.crl', number: undefined, sha256: 'x' }] }],
    ['a.crl went back from 2 to 1', { crls: [{ name: 'a.crl', number: 2, sha256: 'x' }, { name: 'a.crl', number: 1, sha256: 'x' }] }],
    ['a.crl has the number 2 twice', { crls: [{ name: 'a.crl', number: 2, sha256: 'x' }, { name: 'a.crl', number: 2, sha256: 'y' }] }],
  ]
  test.each(CASES)('%s', (sentence, change) => {
    expect(bad(change)).toEqual([sentence])
  })

  test('a certificate given out with two contents, and a token with more certificates than uses', () => {
    expect(bad({ held: [held, { ...held, sha256: 'bb' }] })).toEqual(['d holds other bytes of 41 than are recorded', '41 was given to two certificates'])
    expect(bad({ tokens: [{ name: 'T', uses: 1, usesMax: 1, holders: 2 }] })).toEqual(['token T, good for 1, has 2 certificates', 'token T has 2 certificates and 1 uses'])
  })
})
