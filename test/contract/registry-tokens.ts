// What every registry is held to about tokens and what waits for an operator.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, GroupName, TokenName } from '../../src/core/ids.ts'
import type { Change, Registry } from '../../src/core/registry.ts'
import type { EnrollmentRecord, TokenRecord } from '../../src/core/token.ts'
import { REGISTRY_LIMITS } from '../../src/limits.ts'
import { added, keyOf, NOW } from './records.ts'
import type { RegistryUnderTest } from './registry.ts'

const name = (text: string): TokenName => text.padEnd(8, '0') as TokenName
const id = (text: string): DeviceId => text as DeviceId

export function registryTokensContract(title: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`tokens in ${title}`, () => {
    let home: RegistryUnderTest
    let registry: Registry
    beforeEach(async () => {
      home = await make()
      registry = await home.open()
    })
    afterEach(async () => {
      registry.close()
      await home.remove()
    })

    const token = (text: string, facts: Partial<TokenRecord> = {}): TokenRecord => ({
      name: name(text), proof: { kind: 'secret', sha256: keyOf(text) }, target: { device: id('a') }, register: false, groups: [], networks: [], approve: 'auto', usesMax: 1, uses: 0, createdAt: NOW, expiresAt: NOW + 1_000, ...facts,
    })
    const used = (text: string, device = 'a', key = 'k'): Change => ({ kind: 'token-used', name: name(text), device: id(device), spkiSha256: keyOf(key), at: NOW })
    const outcome = async (...changes: readonly Change[]): Promise<string> => {
      const committed = await registry.commit(changes, [], [])
      return committed.allow ? 'allowed' : committed.reason
    }
    const enrollment = (text: string): EnrollmentRecord => ({ id: text, token: name('T'), device: id('a'), spkiSha256: keyOf(text), state: 'pending', source: '10.0.0.1', createdAt: NOW })

    test('a token is read as it was written, through a restart', async () => {
      const whole = token('T', { target: { pattern: 'line-*' }, register: true, groups: ['g' as GroupName], networks: ['10.0.0.0/8'], approve: 'operator', usesMax: 7 })
      expect(await outcome({ kind: 'token-added', token: whole })).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.token(name('T'))).toEqual(whole)
      expect(registry.token(name('U'))).toBeUndefined()
      expect(registry.changesAfter(0, 10)).toEqual([{ sequence: 1, change: { kind: 'token-added', token: whole } }])
      expect(await outcome({ kind: 'token-added', token: token('T') })).toBe('revision-conflict')
    })

    test('lists are pages in the order of their names', async () => {
      await registry.commit(['C', 'A', 'B'].map((text) => ({ kind: 'token-added', token: token(text) })), [], [])
      const first = registry.tokens({ limit: 2 })
      expect(first.items.map((t) => t.name)).toEqual([name('A'), name('B')])
      expect(registry.tokens({ limit: 2, after: first.next }).items.map((t) => t.name)).toEqual([name('C')])
      expect(registry.tokens({ limit: 3 }).next).toBeUndefined()
    })

    test('of fifty that race for two uses, two win', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T', { usesMax: 2 }) }], [], [])
      const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => outcome(used('T', 'a', `k${i}`))))
      expect(outcomes.filter((o) => o === 'allowed')).toHaveLength(2)
      expect(new Set(outcomes)).toEqual(new Set(['allowed', 'token-used-up']))
      expect(registry.token(name('T'))).toMatchObject({ uses: 2, usesMax: 2 })
    })

    test('one device with one key is one use, however often it is said', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T') }], [], [])
      expect(registry.tokenUsed(name('T'), { device: id('a'), spkiSha256: keyOf('k') })).toBe(false)
      expect([await outcome(used('T')), await outcome(used('T')), await outcome(used('T', 'a', 'other'))]).toEqual(['allowed', 'allowed', 'token-used-up'])
      expect(registry.tokenUsed(name('T'), { device: id('a'), spkiSha256: keyOf('k') })).toBe(true)
      expect(registry.tokenUsed(name('T'), { device: id('a'), spkiSha256: keyOf('other') })).toBe(false)
      expect(registry.token(name('T'))?.uses).toBe(1)
    })

    test('what goes wrong beside a use undoes the use', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T') }], [], [])
      expect(await outcome(used('T'), added('a'))).toBe('device-exists')
      expect(registry.token(name('T'))?.uses).toBe(0)
      expect(registry.tokenUsed(name('T'), { device: id('a'), spkiSha256: keyOf('k') })).toBe(false)
    })

    test('a token that was revoked, or is not there, is not used; it is revoked once', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T') }], [], [])
      const revoke: Change = { kind: 'token-revoked', name: name('T'), at: NOW }
      expect([await outcome(revoke), await outcome({ ...revoke, at: NOW + 5 }), await outcome(used('T')), await outcome(used('U')), await outcome({ ...revoke, name: name('U') })])
        .toEqual(['allowed', 'allowed', 'token-used-up', 'token-not-found', 'token-not-found'])
      expect(registry.token(name('T'))?.revokedAt).toBe(NOW)
    })

    test('a use needs its device', async () => {
      await registry.commit([{ kind: 'token-added', token: token('T') }], [], [])
      expect([await outcome(used('T')), await outcome(added('a'), used('T'))]).toEqual(['device-not-found', 'allowed'])
    })

    test('a request waits until it is decided, once', async () => {
      await registry.commit([{ kind: 'token-added', token: token('T') }, { kind: 'enrollment-requested', enrollment: enrollment('r') }, { kind: 'enrollment-requested', enrollment: enrollment('s') }], [], [])
      expect(registry.enrollments({}).items).toEqual([enrollment('r'), enrollment('s')])
      const decide = (state: 'approved' | 'rejected', request = 'r'): Change => ({ kind: 'enrollment-decided', id: request, state, at: NOW + 1 })
      expect([await outcome(decide('approved')), await outcome(decide('approved')), await outcome(decide('rejected')), await outcome(decide('rejected', 'nobody'))]).toEqual(['allowed', 'allowed', 'state-transition', 'enrollment-not-found'])
      expect(registry.enrollment('r')).toEqual({ ...enrollment('r'), state: 'approved', decidedAt: NOW + 1 })
      expect(registry.enrollments({}).items).toEqual([enrollment('s')])
      expect(registry.enrollments({ state: 'approved' }).items.map((e) => e.id)).toEqual(['r'])
      expect(await outcome({ kind: 'enrollment-requested', enrollment: enrollment('r') })).toBe('allowed')
      expect(registry.enrollment('r')?.state).toBe('approved')
    })

    test('only so many wait at once', async () => {
      await registry.commit([{ kind: 'token-added', token: token('T') }, ...Array.from({ length: REGISTRY_LIMITS.enrollmentsWaitingMax }, (_, i): Change => ({ kind: 'enrollment-requested', enrollment: enrollment(`r${i}`) }))], [], [])
      expect(await outcome({ kind: 'enrollment-requested', enrollment: enrollment('over') })).toBe('enrollment-rate')
      expect([await outcome({ kind: 'enrollment-decided', id: 'r0', state: 'rejected', at: NOW }), await outcome({ kind: 'enrollment-requested', enrollment: enrollment('over') })]).toEqual(['allowed', 'allowed'])
    })
  })
}
