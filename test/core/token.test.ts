// Whether a token opens the door: each condition beside its nearest neighbour.

import { assert, constantFrom, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceId, TokenName } from '../../src/core/ids.ts'
import { enrollmentId, isTarget, judgeToken, parsePattern, type TokenFacts, type TokenRecord } from '../../src/core/token.ts'
import { keyOf } from '../contract/records.ts'

const NOW = 1_800_000_000_000
const id = (text: string): DeviceId => text as DeviceId
const token: TokenRecord = {
  name: 'ABCDEFGH' as TokenName, proof: { kind: 'secret', sha256: '0'.repeat(64) }, target: { device: id('sensor-1') }, register: false, groups: [], networks: [], approve: 'auto',
  usesMax: 2, uses: 1, createdAt: NOW - 10, expiresAt: NOW + 1,
}
const outcome = (facts: Partial<TokenFacts> = {}, of: Partial<TokenRecord> = {}): string => {
  const judged = judgeToken({ token: { ...token, ...of }, device: id('sensor-1'), usedBefore: false, sourceFits: true, now: NOW, ...facts })
  return judged.allow ? 'allowed' : judged.reason
}

describe('a token', () => {
  test('opens the door until the millisecond before it expires', () => {
    expect([outcome(), outcome({ now: NOW + 1 })]).toEqual(['allowed', 'token-expired'])
  })

  test('has its last use, and no use after that; the same use again is none', () => {
    expect([outcome({}, { uses: 2 }), outcome({ usedBefore: true }, { uses: 2 })]).toEqual(['token-used-up', 'allowed'])
  })

  test('that was revoked opens nothing, also to who used it before', () => {
    expect(outcome({ usedBefore: true }, { revokedAt: NOW })).toBe('token-revoked')
  })

  test('is for its device, as it is written', () => {
    expect(['sensor-1', 'sensor-10', 'Sensor-1', 'sensor-'].map((device) => outcome({ device: id(device) }))).toEqual(['allowed', 'token-device', 'token-device', 'token-device'])
  })

  test('is for the networks that it names', () => {
    expect(outcome({ sourceFits: false })).toBe('token-source')
  })

  test('says of what is wrong with it itself first', () => {
    expect(outcome({ device: id('x'), sourceFits: false, now: NOW + 1 }, { revokedAt: NOW, uses: 2 })).toBe('token-revoked')
    expect(outcome({ device: id('x'), sourceFits: false }, { uses: 2 })).toBe('token-device')
  })
})

describe('a pattern', () => {
  test('fits the whole id, and an asterisk any run of characters', () => {
    const fitting = (pattern: string, ...ids: readonly string[]): readonly boolean[] => ids.map((text) => isTarget({ pattern }, id(text)))
    expect(fitting('line-1-*', 'line-1-a', 'line-1-', 'line-1', 'line-10-a', 'xline-1-a')).toEqual([true, true, false, false, false])
    expect(fitting('*-gw', 'a-gw', '-gw', 'a-gw2', 'gw')).toEqual([true, true, false, false])
    expect(fitting('a*b*c', 'abc', 'axbxc', 'ac', 'abxcx', 'acb')).toEqual([true, true, false, false, false])
    expect(fitting('ab*ba', 'abba', 'aba', 'abxba')).toEqual([true, false, true])
    expect(fitting('sensor.1', 'sensor.1', 'sensor-1')).toEqual([true, false])
  })

  test('fits what a regular expression of the same meaning fits', () => {
    const piece = string({ unit: constantFrom('a', 'b', '-', '*'), minLength: 1, maxLength: 8 })
    assert(property(piece, string({ unit: constantFrom('a', 'b', '-'), minLength: 1, maxLength: 10 }), (pattern, text) => {
      expect(isTarget({ pattern }, id(text))).toBe(new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(text))
    }), { numRuns: 2_000 })
  })

  test('that fits everybody, or says what no id has, is none', () => {
    expect(['line-*', '*a', 'a', '*', '**', '', '/', 'a b', 'a+', `a${'*'.repeat(64)}`].map((text) => parsePattern(text).allow)).toEqual([true, true, true, false, false, false, false, false, false, false])
  })
})

test('a request is told apart by its token and its key', () => {
  const of = (key: string, name = 'ABCDEFGH'): string => enrollmentId(name as TokenName, { spkiSha256: keyOf(key) })
  expect(new Set([of('a'), of('b'), of('a', 'ABCDEFGJ')]).size).toBe(3)
  expect(of('a')).toMatch(/^ABCDEFGH-[0-9a-f]{12}$/)
})
