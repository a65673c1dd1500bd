// What every registry is held to about orders to renew, about what ends when, and about what was said of it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, GroupName } from '../../src/core/ids.ts'
import type { Change, ExpiringCertificatesQuery, Registry } from '../../src/core/registry.ts'
import type { RenewalOrder } from '../../src/core/renewal-orders.ts'
import { added, issued, NOW, plan, revoked, superseded } from './records.ts'
import type { RegistryUnderTest } from './registry.ts'

export function registryRenewalsContract(title: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`renewals in ${title}`, () => {
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

    const outcome = async (...changes: readonly Change[]): Promise<string> => {
      const committed = await registry.commit(changes, [], [])
      return committed.allow ? 'allowed' : committed.reason
    }
    const order = (id: string, facts: Partial<RenewalOrder> = {}): RenewalOrder => ({ id, choice: { group: 'g' as GroupName }, at: NOW, overMs: 60_000, devices: 3, ...facts })
    const ordered = (id: string, facts: Partial<RenewalOrder> = {}): Change => ({ kind: 'renewal-ordered', order: order(id, facts) })

    test('an order is read as it was given, through a restart, in the order of time, until it is ended', async () => {
      const whole = order('00000001', { choice: { device: 'a' as DeviceId, issuedBefore: NOW }, at: NOW + 1 })
      expect(await outcome({ kind: 'renewal-ordered', order: whole }, ordered('00000002'))).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.renewalOrders()).toEqual([order('00000002'), whole])
      expect(registry.changesAfter(0, 10).map(({ change }) => change)).toEqual([{ kind: 'renewal-ordered', order: whole }, ordered('00000002')])
      const end: Change = { kind: 'renewal-order-ended', id: '00000002', at: NOW + 2 }
      expect([await outcome(end), await outcome(end)]).toEqual(['allowed', 'allowed'])
      expect(registry.renewalOrders()).toEqual([whole])
    })

    test('there are no two orders of one id, and none is ended that is not there', async () => {
      expect(await outcome(ordered('00000001'))).toBe('allowed')
      expect(await outcome(ordered('00000001', { overMs: 1 }))).toBe('revision-conflict')
      expect(await outcome({ kind: 'renewal-order-ended', id: '00000009', at: NOW })).toBe('renewal-order-not-found')
      expect(registry.renewalOrders()).toEqual([order('00000001')])
    })

    test('when it was said that something expires is known until it is said again', async () => {
      expect(registry.expiryToldAt('server')).toBeUndefined()
      await outcome({ kind: 'expiry-told', what: 'server', at: NOW }, { kind: 'expiry-told', what: 'root', at: NOW + 1 })
      await outcome({ kind: 'expiry-told', what: 'server', at: NOW + 5 })
      registry.close()
      registry = await home.open()
      expect([registry.expiryToldAt('server'), registry.expiryToldAt('root'), registry.expiryToldAt('x')]).toEqual([NOW + 5, NOW + 1, undefined])
    })

    describe('the certificates of devices by their ends', () => {
      /** Name → the seconds after NOW at which it ends. */
      const ends = { late: 50, soon: 10, twin: 10, other: 30 }
      beforeEach(async () => {
        const groups = (text: string) => ({ groups: [text as GroupName] })
        await outcome(added('a', groups('g')), added('b', groups('h')))
        for (const [name, seconds] of Object.entries(ends)) await outcome(plan(name, name === 'other' ? 'b' : 'a', { notAfter: NOW + seconds * 1_000 }), issued(name, name === 'soon' ? 'issued' : 'active'))
        await outcome(plan('server', undefined, { notAfter: NOW + 5_000 }), issued('server'))
        await outcome(plan('planned', 'a', { notAfter: NOW + 6_000 }))
        for (const [name, end] of [['gone', revoked], ['old', superseded]] as const) await outcome(plan(name, 'a', { notAfter: NOW + 7_000 }), issued(name), end(name))
      })
      const found = (query: Partial<ExpiringCertificatesQuery> = {}): readonly number[] => registry.expiringCertificates({ from: NOW, until: NOW + 100_000, ...query }).items.map(({ notAfter }) => (notAfter - NOW) / 1_000)

      test('those in force and on their way, soonest first; neither plans, nor what has ended, nor what is no device\'s', () => {
        expect(found()).toEqual([10, 10, 30, 50])
      })

      test('from the very millisecond, and until before it', () => {
        expect(found({ from: NOW + 10_000, until: NOW + 30_000 })).toEqual([10, 10])
        expect(found({ from: NOW + 10_001, until: NOW + 30_001 })).toEqual([30])
      })

      test('of one group', () => {
        expect(found({ group: 'h' as GroupName })).toEqual([30])
        expect(found({ group: 'nobody' as GroupName })).toEqual([])
      })

      test('in pages, of which none repeats or leaves out one, also where two end at once', () => {
        const all: unknown[] = []
        let after: string | undefined
        do {
          const page = registry.expiringCertificates({ from: NOW, until: NOW + 100_000, after, limit: 1 })
          all.push(...page.items.map(({ serial }) => serial))
          after = page.next
        } while (after !== undefined)
        expect(new Set(all).size).toBe(4)
        expect(all).toEqual(registry.expiringCertificates({ from: NOW, until: NOW + 100_000 }).items.map(({ serial }) => serial))
      })

      test.each(['x', '//', '9'.repeat(40), "'; DROP TABLE certificates"])('a place that no page named (%s) is a place like another, and no failure', (after) => {
        expect(found({ after }).length).toBeLessThanOrEqual(4)
        expect(found()).toHaveLength(4)
      })
    })
  })
}
