// What every registry is held to about tokens and what waits for an operator.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Actor } from '../../src/core/audit.ts'
import type { CaName, DeviceId, GroupName, TokenName } from '../../src/core/ids.ts'
import type { CertificateRecord, Change, JournalQuery, Registry } from '../../src/core/registry.ts'
import type { EnrollmentRecord, TokenRecord } from '../../src/core/token.ts'
import { REGISTRY_LIMITS } from '../../src/limits.ts'
import { added, CA, issued, keyOf, NOW, plan, planned, serialOf, superseded } from './records.ts'
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

    test('a use is handed on to another key of its device, once, and is not counted again', async () => {
      await registry.commit([added('a'), added('b'), { kind: 'token-added', token: token('T') }, used('T')], [], [])
      const on = (from: string, to: string, device = 'a'): Change => ({ ...used('T', device, to), instead: keyOf(from) }) as Change
      expect([await outcome(on('k', 'x', 'b')), await outcome(on('k', 'l')), await outcome(on('k', 'm')), await outcome(on('l', 'm'))]).toEqual(['token-used-up', 'allowed', 'token-used-up', 'allowed'])
      expect([registry.tokenUses(name('T'), id('a')), registry.tokenUses(name('T'), id('b')), registry.token(name('T'))?.uses]).toEqual([[keyOf('m')], [], 1])
    })

    test('token-use: it was counted; unspent, when no certificate of its key is signed or on its way, but for one that the commit ends', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T') }, used('T', 'a', 'x')], [], [])
      const expecting = async (key: string, unspent: boolean, ...changes: readonly Change[]): Promise<string> => {
        const committed = await registry.commit(changes, [{ kind: 'token-use', name: name('T'), device: id('a'), spkiSha256: keyOf(key), unspent }], [])
        return committed.allow ? 'allowed' : committed.reason
      }
      expect([await expecting('x', false), await expecting('x', true), await expecting('y', false)]).toEqual(['allowed', 'allowed', 'token-used-up'])
      await registry.commit([plan('x', 'a', { spkiSha256: keyOf('x') })], [], [])
      expect([await expecting('x', false), await expecting('x', true), await expecting('x', true, superseded('x')), await expecting('x', true)]).toEqual(['allowed', 'token-used-up', 'allowed', 'allowed'])
      await registry.commit([plan('z', 'a', { spkiSha256: keyOf('x') }), issued('z')], [], [])
      expect([await expecting('x', true), await expecting('x', true, superseded('z'))]).toEqual(['token-used-up', 'token-used-up'])
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

    test('what proves a token is read as it was written, and tokens are found by the certificate that proves them', async () => {
      const claim = token('C', { proof: { kind: 'claim', sha256: keyOf('claim') } })
      const rule = (text: string, prefix: string): TokenRecord => token(text, { proof: { kind: 'manufacturer', sha256: keyOf('factory'), ca: 'factory' as CaName, nameFrom: 'serialNumber', prefix } })
      const secret = token('S', { proof: { kind: 'secret', sha256: keyOf('factory') } })
      for (const each of [claim, rule('N', 'b-'), rule('M', 'a-'), secret]) expect(await outcome({ kind: 'token-added', token: each })).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.token(name('C'))).toEqual(claim)
      expect(registry.tokensProvenBy(keyOf('claim'))).toEqual([claim])
      expect(registry.tokensProvenBy(keyOf('factory'))).toEqual([rule('M', 'a-'), rule('N', 'b-')])
      expect(registry.tokensProvenBy(keyOf('nobody'))).toEqual([])
    })

    test('one key proves one claim', async () => {
      const claim = (text: string, key: string): Change => ({ kind: 'token-added', token: token(text, { proof: { kind: 'claim', sha256: keyOf(key) } }) })
      expect([await outcome(claim('A', 'x')), await outcome(claim('B', 'x')), await outcome(claim('C', 'y'))]).toEqual(['allowed', 'key-in-use', 'allowed'])
    })

    test('a suspended token is not used, and no token is open that is suspended, revoked or not there', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T', { usesMax: 9 }) }], [], [])
      const suspend = (at?: number): Change => ({ kind: 'token-suspended', name: name('T'), ...(at === undefined ? {} : { at }) })
      const open = async (text = 'T'): Promise<string> => {
        const committed = await registry.commit([], [{ kind: 'token-open', name: name(text) }], [])
        return committed.allow ? 'allowed' : committed.reason
      }
      expect([await open(), await outcome(suspend(NOW)), await open(), await outcome(used('T'))]).toEqual(['allowed', 'allowed', 'token-suspended', 'token-used-up'])
      expect(registry.token(name('T'))?.suspendedAt).toBe(NOW)
      expect([await outcome(suspend()), await open(), await outcome(used('T'))]).toEqual(['allowed', 'allowed', 'allowed'])
      expect(registry.token(name('T'))).not.toHaveProperty('suspendedAt')
      expect([await outcome({ kind: 'token-revoked', name: name('T'), at: NOW }), await open(), await open('U'), await outcome({ kind: 'token-suspended', name: name('U') })]).toEqual(['allowed', 'token-revoked', 'token-not-found', 'token-not-found'])
    })

    test('a certificate is found by the token that it came through, which must be there', async () => {
      await registry.commit([added('a'), { kind: 'token-added', token: token('T') }], [], [])
      expect(await outcome(plan('x', 'a', { through: name('U') }))).toBe('token-not-found')
      expect(await outcome(plan('x', 'a', { through: name('T') }), plan('c', undefined, { profile: 'claim', through: name('T') }), plan('y', 'a'))).toBe('allowed')
      expect(registry.certificates({ through: name('T') }).items.map((c) => c.serial).toSorted()).toEqual([serialOf('x'), serialOf('c')].toSorted())
      expect(registry.certificates({ through: name('T'), profile: 'claim' }).items).toEqual([planned('c', undefined, { profile: 'claim', through: name('T') })])
      expect(registry.certificate(CA, serialOf('y'))).not.toHaveProperty('through')
      const page = registry.certificates({ through: name('T'), limit: 1 })
      expect(registry.certificates({ through: name('T'), limit: 1, after: page.next }).items).toHaveLength(1)
    })

    test('the journal says who planned what, in the order of the plans, in pages, and by each of its filters', async () => {
      const by = (called: string, actor: Actor, facts: Partial<CertificateRecord> = {}): Change => ({ kind: 'certificate-planned', certificate: planned(called, 'a', facts), plan: { commonName: 'a', subjectAltNames: [], actor } })
      await registry.commit([
        added('a'), { kind: 'token-added', token: token('T') },
        by('z', { kind: 'operator', name: 'o1' }), by('y', { kind: 'claim', name: 'T' }, { through: name('T') }), by('x', { kind: 'operator', name: 'o2' }), by('w', { kind: 'system' }), plan('v', 'a'), issued('x'),
      ], [], [])
      const found = (query: JournalQuery): readonly string[] => registry.journal(query).items.map((entry) => ['z', 'y', 'x', 'w', 'v'].find((called) => serialOf(called) === entry.serial) ?? '?')
      expect(found({})).toEqual(['z', 'y', 'x', 'w', 'v'])
      expect(registry.journal({}).items.map((entry) => entry.by)).toEqual([{ kind: 'operator', name: 'o1' }, { kind: 'claim', name: 'T' }, { kind: 'operator', name: 'o2' }, { kind: 'system' }, undefined])
      const first = registry.journal({ limit: 2 })
      expect(found({ limit: 2, after: first.next })).toEqual(['x', 'w'])
      expect(found({ by: 'operator' })).toEqual(['z', 'x'])
      expect(found({ by: 'operator', name: 'o2' })).toEqual(['x'])
      expect(found({ by: 'claim', name: 'o2' })).toEqual([])
      expect(found({ through: name('T') })).toEqual(['y'])
      expect(found({ state: 'planned', by: 'operator' })).toEqual(['z'])
      expect(registry.journal({ limit: 5 }).next).toBeUndefined()
    })
  })
}
