// What every registry is held to about operators: who there are, whose a certificate is, and that it is the same in memory.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { OperatorName, TenantId } from '../../src/core/ids.ts'
import { FIRST_OPERATOR } from '../../src/core/operator.ts'
import type { Change, Expectation, Registry } from '../../src/core/registry.ts'
import { OPERATOR_LIMITS } from '../../src/operator-limits.ts'
import { certified, issued, NOW, operator, operatorAdded, plan, serialOf } from './records.ts'
import type { RegistryUnderTest } from './registry.ts'

const name = (text: string): OperatorName => text as OperatorName
const certificate = (of: string): Change => plan(of, undefined, { profile: 'operator' })

export function registryOperatorsContract(title: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`operators in ${title}`, () => {
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

    const outcome = async (changes: readonly Change[], expected: readonly Expectation[] = []): Promise<string> => {
      const committed = await registry.commit(changes, expected, [])
      return committed.allow ? 'allowed' : committed.reason
    }

    test('one is read as it was made, through a restart, beside the first, who is always there', async () => {
      const anna = operator('anna', { role: 'viewer', tenant: 'acme' as TenantId })
      expect(await outcome([{ kind: 'operator-added', operator: anna }])).toBe('allowed')
      registry.close()
      registry = await home.open()
      expect(registry.operator(name('anna'))).toEqual(anna)
      expect(registry.operators({})).toEqual({ items: [anna, { name: FIRST_OPERATOR, role: 'admin', createdAt: 0 }] })
      expect(registry.operators({ limit: 1 })).toEqual({ items: [anna], next: 'anna' })
      expect(registry.operators({ limit: 1, after: 'anna' }).items.map((o) => o.name)).toEqual([FIRST_OPERATOR])
      expect(registry.operator(name('bob'))).toBeUndefined()
    })

    test('there is no second one of a name, and none is changed who is not there', async () => {
      expect(await outcome([operatorAdded('anna')])).toBe('allowed')
      expect(await outcome([operatorAdded('anna')])).toBe('operator-exists')
      expect(await outcome([operatorAdded('operator')])).toBe('operator-exists')
      expect(await outcome([{ kind: 'operator-role', name: name('bob'), role: 'admin' }])).toBe('operator-not-found')
      expect(await outcome([{ kind: 'operator-role', name: name('anna'), role: 'admin' }])).toBe('allowed')
      expect(registry.operator(name('anna'))?.role).toBe('admin')
    })

    test('who is revoked stays so: no role, no certificate, no second end, no return', async () => {
      await outcome([operatorAdded('anna')])
      expect(await outcome([], [{ kind: 'operator-open', name: name('anna') }])).toBe('allowed')
      expect(await outcome([{ kind: 'operator-revoked', name: name('anna'), at: NOW }])).toBe('allowed')
      expect(registry.operator(name('anna'))?.revokedAt).toBe(NOW)
      expect(await outcome([{ kind: 'operator-role', name: name('anna'), role: 'admin' }])).toBe('operator-revoked')
      expect(await outcome([{ kind: 'operator-revoked', name: name('anna'), at: NOW + 1 }])).toBe('operator-revoked')
      expect(await outcome([certificate('x'), certified('x', 'anna')])).toBe('operator-revoked')
      expect(await outcome([operatorAdded('anna')])).toBe('operator-exists')
      expect(await outcome([], [{ kind: 'operator-open', name: name('anna') }])).toBe('operator-revoked')
      expect(await outcome([], [{ kind: 'operator-open', name: name('bob') }])).toBe('operator-not-found')
    })

    test('a certificate is whose it is said to be, and otherwise the first operator\'s; nobody owns what is not there', async () => {
      await outcome([operatorAdded('anna')])
      expect(await outcome([certificate('x'), issued('x'), certificate('y'), certified('y', 'anna')])).toBe('allowed')
      expect(registry.certificatesOfOperator(FIRST_OPERATOR).map(({ serial }) => serial)).toEqual([serialOf('x')])
      expect(registry.certificatesOfOperator(name('anna')).map(({ serial }) => serial)).toEqual([serialOf('y')])
      expect(await outcome([certified('z', 'anna')])).toBe('certificate-not-found')
      await outcome([plan('server', undefined)])
      expect(await outcome([certified('server', 'anna')])).toBe('certificate-not-found')
    })

    test('there are not more than it keeps, the first one counted', async () => {
      const all = Array.from({ length: OPERATOR_LIMITS.operatorsMax - 1 }, (_, i) => operatorAdded(`o${i}`))
      expect(await outcome(all)).toBe('allowed')
      expect(await outcome([operatorAdded('one-more')])).toBe('operators-limit')
    })

    test('of 50 who make one of the same name at once, one does', async () => {
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcome([operatorAdded('anna')])))
      expect(outcomes.filter((o) => o === 'allowed')).toHaveLength(1)
      expect(new Set(outcomes)).toEqual(new Set(['allowed', 'operator-exists']))
    })
  })
}
