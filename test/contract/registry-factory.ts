// What every registry is held to about what a factory reported: the key of a device, and its one-time password.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, TokenName } from '../../src/core/ids.ts'
import type { Change, Expectation, Registry } from '../../src/core/registry.ts'
import type { TokenRecord } from '../../src/core/token.ts'
import { added, ca, device as deviceOf, issued, keyOf, NOW, plan } from './records.ts'
import type { RegistryUnderTest } from './registry.ts'

const id = (text: string): DeviceId => text as DeviceId

export function registryFactoryContract(title: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`what a factory reported, in ${title}`, () => {
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
    const outcome = async (changes: readonly Change[], ...expected: readonly Expectation[]): Promise<string> => {
      const committed = await registry.commit(changes, expected, [])
      return committed.allow ? 'allowed' : committed.reason
    }
    const password = (name: string, of: string, facts: Partial<TokenRecord> = {}): Change => ({ kind: 'token-added', token: tokenOf(name, of, facts) })
    const tokenOf = (name: string, of: string, facts: Partial<TokenRecord> = {}): TokenRecord => ({
      name: name.padEnd(8, '0') as TokenName, proof: { kind: 'secret', sha256: keyOf(name) }, target: { device: id(of) }, register: false, groups: [], networks: [], approve: 'auto', usesMax: 1, uses: 0, createdAt: NOW, expiresAt: NOW + 1_000, password: true, ...facts,
    })

    test('a reported key is read as it was written, through a restart and whatever else becomes of the device', async () => {
      const whole = deviceOf('a', { keySha256: keyOf('k') })
      expect(await outcome([added('a', { keySha256: keyOf('k') }), added('b')])).toBe('allowed')
      expect(await outcome([{ kind: 'device-described', id: id('a'), groups: [], attributes: { x: 'y' } }, { kind: 'device-state', id: id('a'), state: 'suspended' }])).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.device(id('a'))).toMatchObject({ keySha256: keyOf('k'), attributes: { x: 'y' }, state: 'suspended' })
      expect(registry.device(id('b'))).not.toHaveProperty('keySha256')
      expect(registry.changesAfter(0, 1)).toEqual([{ sequence: 1, change: { kind: 'device-added', device: whole } }])
    })

    test('it has one owner: no second device, no certificate of another, no CA has it', async () => {
      await registry.commit([added('a', { keySha256: keyOf('k') }), added('b'), plan('x', 'b', { spkiSha256: keyOf('x') }), issued('x'), { kind: 'ca-added', ca: ca('root') }], [], [])
      expect(await outcome([added('c', { keySha256: keyOf('k') })])).toBe('key-in-use')
      expect(await outcome([added('c', { keySha256: keyOf('x') })])).toBe('key-in-use')
      expect(await outcome([added('c', { keySha256: keyOf('root') })])).toBe('key-in-use')
      expect(await outcome([plan('y', 'b', { spkiSha256: keyOf('k') })])).toBe('key-in-use')
      expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('k'), device: id('b') })).toBe('key-in-use')
      expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('k') })).toBe('key-in-use')
      expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('k'), device: id('a') })).toBe('allowed')
      expect(await outcome([plan('z', 'a', { spkiSha256: keyOf('k') })])).toBe('allowed')
      expect(await outcome([added('c', { keySha256: keyOf('free') })])).toBe('allowed')
      expect(registry.device(id('c'))?.keySha256).toBe(keyOf('free'))
    })

    test('of fifty devices with one key that come at once, one is there', async () => {
      const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => outcome([added(`d${i}`, { keySha256: keyOf('k') })])))
      expect(outcomes.toSorted()).toEqual(['allowed', ...Array.from({ length: 49 }, () => 'key-in-use')])
    })

    const { password: _, ...unnamed } = tokenOf('N', 'b')

    test('a password is found by its device alone, through a restart, as long as it is not revoked', async () => {
      expect(await outcome([added('a'), added('b'), password('P', 'a'), { kind: 'token-added', token: unnamed }])).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.passwordOf(id('a'))).toEqual({ name: 'P0000000', sha256: keyOf('P') })
      expect(registry.token('P0000000' as TokenName)).toEqual(tokenOf('P', 'a'))
      expect([registry.passwordOf(id('b')), registry.passwordOf(id('c'))]).toEqual([undefined, undefined])
      expect(registry.token('N0000000' as TokenName)).not.toHaveProperty('password')
      await registry.commit([{ kind: 'token-revoked', name: 'P0000000' as TokenName, at: NOW }], [], [])
      expect(registry.passwordOf(id('a'))).toBeUndefined()
    })

    test('a device has one password, another one when that is revoked, and of a device that is not there there is none', async () => {
      expect(await outcome([added('a'), password('P', 'a')])).toBe('allowed')
      expect(await outcome([password('Q', 'a')])).toBe('revision-conflict')
      expect(await outcome([{ kind: 'token-revoked', name: 'P0000000' as TokenName, at: NOW }, password('Q', 'a')])).toBe('allowed')
      expect(registry.passwordOf(id('a'))?.name).toBe('Q0000000')
      expect(await outcome([password('R', 'nobody')])).toBe('device-not-found')
      expect(registry.token('R0000000' as TokenName)).toBeUndefined()
    })
  })
}
