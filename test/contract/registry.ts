// What every registry is held to, whatever it is built on: core/registry.ts as a suite. An adapter calls registryContract
// with a way to open an empty registry, to open the same one again, and to see which audit events wait in it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import type { Decision } from '../../src/core/decision.ts'
import type { DeviceId, GroupName, OperatorName, SerialNumber, TenantId } from '../../src/core/ids.ts'
import type { Operator } from '../../src/core/operator.ts'
import type { CaState, CertificateState, Change, Committed, Expectation, Registry } from '../../src/core/registry.ts'
import { added, CA, ca, certified, derOf, device, eventOf, issued, keyOf, NOW, operatorAdded, plan, planned, printOf, revoked, serialOf, superseded } from './records.ts'

export interface RegistryUnderTest {
  open(): Promise<Registry>
  /** All audit events that were committed and not shipped, in order. */
  audited(registry: Registry): Promise<readonly AuditEvent[]>
  remove(): Promise<void>
}

const id = (text: string): DeviceId => text as DeviceId
const reasonOf = (decision: Decision<Committed>): DenyReason | 'allowed' => (decision.allow ? 'allowed' : decision.reason)

export function registryContract(name: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`${name} as a registry`, () => {
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

    const commit = (changes: readonly Change[], expected: readonly Expectation[] = [], audit: readonly AuditEvent[] = []): Promise<Decision<Committed>> =>
      registry.commit(changes, expected, audit)
    const must = async (...changes: readonly Change[]): Promise<number> => {
      const decision = await commit(changes)
      if (!decision.allow) throw new Error(`${decision.reason}: ${decision.detail ?? ''}`)
      return decision.value.sequence
    }
    const outcome = async (changes: readonly Change[], ...expected: readonly Expectation[]): Promise<DenyReason | 'allowed'> => reasonOf(await commit(changes, expected))
    const everything = (): unknown => ({
      devices: registry.devices({ limit: 1_000 }).items, certificates: registry.certificates({ limit: 1_000 }).items, cas: registry.cas(), feed: registry.changesAfter(0, 1_000),
    })

    describe('what is committed is what is read', () => {
      test('a device, and what becomes of it, counting revisions', async () => {
        await must(added('a', { groups: ['sensors' as GroupName, 'lab' as GroupName], attributes: { der: 'text', site: 'süd' } }))
        expect(registry.device(id('a'))).toEqual(device('a', { groups: ['sensors' as GroupName, 'lab' as GroupName], attributes: { der: 'text', site: 'süd' } }))
        await must({ kind: 'device-state', id: id('a'), state: 'suspended' })
        await must({ kind: 'device-described', id: id('a'), groups: ['lab' as GroupName], attributes: {} })
        expect(registry.device(id('a'))).toEqual(device('a', { groups: ['lab' as GroupName], attributes: {}, state: 'suspended', revision: 3 }))
        expect(registry.devices({ group: 'sensors' as GroupName }).items).toEqual([])
        expect(registry.devices({ group: 'lab' as GroupName, state: 'suspended' }).items).toHaveLength(1)
        expect(registry.device(id('b'))).toBeUndefined()
      })

      test('how many devices are in each state, and none twice', async () => {
        expect(registry.devicesByState()).toEqual({ pending: 0, active: 0, suspended: 0, quarantined: 0, retired: 0 })
        await must(added('a'), added('b'), added('c'))
        await must({ kind: 'device-state', id: id('a'), state: 'suspended' })
        await must({ kind: 'device-state', id: id('b'), state: 'suspended' })
        await must({ kind: 'device-state', id: id('b'), state: 'retired' })
        expect(registry.devicesByState()).toEqual({ pending: 0, active: 1, suspended: 1, quarantined: 0, retired: 1 })
      })

      test('what a certificate will say, with its plan: as it was planned, when it is issued, and through a restart', async () => {
        const said = { commonName: 'a', organization: 'Acme', subjectAltNames: [{ kind: 'ip', value: '::1' }], actor: { kind: 'local' } } as const
        await must(added('a'), { kind: 'certificate-planned', certificate: planned('x', 'a'), plan: said }, plan('y', 'a'))
        await must(issued('x'))
        expect(registry.certificatePlan(CA, serialOf('x'))).toEqual(said)
        expect(registry.certificatePlan(CA, serialOf('y'))).toBeUndefined()
        expect(registry.certificatePlan(CA, serialOf('z'))).toBeUndefined()
        registry.close()
        registry = await home.open()
        expect(registry.certificatePlan(CA, serialOf('x'))).toEqual(said)
      })

      test('what holds a device, until its state is said again, and through a restart', async () => {
        const hold = { since: NOW, from: 'active', because: 'It said "no"; über alles' } as const
        await must(added('a'), { kind: 'device-state', id: id('a'), state: 'quarantined', hold })
        await must({ kind: 'device-described', id: id('a'), groups: [], attributes: {} })
        registry.close()
        registry = await home.open()
        expect(registry.device(id('a'))).toEqual(device('a', { groups: [], attributes: {}, state: 'quarantined', revision: 3, hold }))
        expect(registry.devices({ state: 'quarantined' }).items).toEqual([registry.device(id('a'))])
        await must({ kind: 'device-state', id: id('a'), state: 'quarantined' })
        expect(registry.device(id('a'))).toEqual(device('a', { groups: [], attributes: {}, state: 'quarantined', revision: 4 }))
        expect(await outcome([{ kind: 'device-state', id: id('a'), state: 'active', hold }])).toBe('state-transition')
      })

      test('a certificate from its plan to its revocation, body and all', async () => {
        await must(added('a'), plan('x', 'a'))
        expect(registry.certificate(CA, serialOf('x'))).toEqual(planned('x', 'a'))
        expect(registry.certificateDer(CA, serialOf('x'))).toBeUndefined()
        await must(issued('x', 'issued'))
        expect(registry.certificate(CA, serialOf('x'))).toEqual({ ...planned('x', 'a'), state: 'issued', sha256: printOf('x') })
        expect(registry.certificateDer(CA, serialOf('x'))).toEqual(derOf('x'))
        await must(revoked('x'))
        expect(registry.certificate(CA, serialOf('x'))).toEqual({ ...planned('x', 'a'), state: 'revoked', sha256: printOf('x'), revokedAt: NOW + 5, revocationReason: 'keyCompromise' })
        expect(registry.certificateDer(CA, serialOf('x'))).toEqual(derOf('x'))
      })

      test('a serial number belongs to its issuer only', async () => {
        await must(plan('x', undefined), plan('x', undefined, { issuer: 'other' as typeof CA }))
        expect(registry.certificatesBySerial(serialOf('x')).map((c) => c.issuer)).toEqual([CA, 'other'])
        expect(registry.certificatesBySerial('40ff' as SerialNumber)).toEqual([])
      })

      test('a CA, with its bytes', async () => {
        await must({ kind: 'ca-added', ca: ca('root') }, { kind: 'ca-added', ca: ca('issuing-1') })
        expect(registry.cas().toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([ca('issuing-1'), ca('root')])
      })

      test('the device ids that a CA may name are fixed with it', async () => {
        const bound = ca('issuing-1', 'k1', { state: 'created', ids: ['plant-7-*', 'spare'] })
        await must({ kind: 'ca-added', ca: bound }, { kind: 'ca-added', ca: ca('issuing-2', 'k2') })
        expect(registry.cas().toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([bound, ca('issuing-2', 'k2')])
        await must({ kind: 'ca-state', name: CA, state: 'trusted', at: NOW + 1 })
        expect(registry.cas().find(({ name }) => name === CA)?.ids).toEqual(['plant-7-*', 'spare'])
        expect(registry.changesAfter(0, 10)[0]?.change).toEqual({ kind: 'ca-added', ca: bound })
      })

      test('a CA lives from made to retired, one step at a time, and one of a role is current', async () => {
        const state = (name: string, to: CaState): Change => ({ kind: 'ca-state', name: name as typeof CA, state: to, at: NOW + 1 })
        await must({ kind: 'ca-added', ca: ca('issuing-1', 'k1', { state: 'current' }) }, { kind: 'ca-added', ca: ca('issuing-2', 'k2', { state: 'created' }) })
        expect(await outcome([{ kind: 'ca-added', ca: ca('issuing-3', 'k3', { state: 'current' }) }])).toBe('revision-conflict')
        expect(await outcome([state('issuing-2', 'current')])).toBe('ca-step')
        await must(state('issuing-2', 'trusted'))
        expect(await outcome([state('issuing-2', 'current')])).toBe('revision-conflict')
        expect(await outcome([state('issuing-1', 'retired')])).toBe('ca-step')
        await must(state('issuing-1', 'replaced'), state('issuing-2', 'current'))
        expect(registry.cas().map((c) => [c.name, c.state, c.since])).toEqual([['issuing-1', 'replaced', NOW + 1], ['issuing-2', 'current', NOW + 1]])
        await must(state('issuing-1', 'retired'))
        for (const to of ['trusted', 'current', 'replaced'] as const) expect(await outcome([state('issuing-1', to)])).toBe('ca-step')
        expect(await outcome([state('nobody', 'trusted')])).toBe('ca-step')
      })

      test('a CA of others has no such life', async () => {
        await must({ kind: 'ca-added', ca: ca('factory', 'k', { role: 'trusted' }) })
        expect(await outcome([{ kind: 'ca-state', name: 'factory' as typeof CA, state: 'current', at: NOW }])).toBe('ca-step')
      })

      test('ca-state: holds in the states that are named', async () => {
        await must({ kind: 'ca-added', ca: ca('issuing-1', 'k1', { state: 'current' }) })
        expect(await outcome([], { kind: 'ca-state', name: CA, states: ['current', 'replaced'] })).toBe('allowed')
        expect(await outcome([], { kind: 'ca-state', name: CA, states: ['replaced'] })).toBe('ca-step')
        expect(await outcome([], { kind: 'ca-state', name: 'nobody' as typeof CA, states: ['current'] })).toBe('ca-step')
      })

      test('ca-unused: nothing of it is planned or in force; what is revoked, expired, of a CA or of another CA does not count', async () => {
        const unused = (now = NOW): Promise<string> => outcome([], { kind: 'ca-unused', name: CA, now })
        await must(added('a'), plan('other', undefined, { issuer: 'other' as typeof CA }), plan('cross', undefined, { profile: 'root' }), plan('ocsp', undefined, { profile: 'ocsp-responder' }))
        expect(await unused()).toBe('allowed')
        await must(plan('x', 'a'))
        expect(await unused()).toBe('ca-in-use')
        expect(await unused(NOW + 1_000_000)).toBe('allowed')
        await must(issued('x'))
        expect(await unused()).toBe('ca-in-use')
        await must(revoked('x'))
        expect(await unused()).toBe('allowed')
      })

      test('crossCertificates: what CAs have given each other, while it is active', async () => {
        await must(plan('x', undefined), issued('x'), plan('cross', undefined, { profile: 'root' }))
        expect(registry.crossCertificates()).toEqual([])
        await must(issued('cross'))
        expect(registry.crossCertificates()).toEqual([{ issuer: CA, serial: serialOf('cross'), spkiSha256: keyOf('cross'), notAfter: planned('cross', undefined).notAfter, der: derOf('cross') }])
        await must(revoked('cross'))
        expect(registry.crossCertificates()).toEqual([])
      })

      test('certificates of one CA are found by it, page by page', async () => {
        await must(plan('x', undefined), plan('y', undefined), plan('z', undefined, { issuer: 'other' as typeof CA }))
        const first = registry.certificates({ issuer: CA, state: 'planned', limit: 1 })
        const second = registry.certificates({ issuer: CA, state: 'planned', limit: 1, after: first.next })
        expect([...first.items, ...second.items].map((c) => c.serial).toSorted()).toEqual([serialOf('x'), serialOf('y')].toSorted())
        expect(second.next).toBeUndefined()
      })

      test('an observed certificate comes with its device in one commit', async () => {
        const certificate = planned('x', 'a', { state: 'active', sha256: printOf('x') })
        await must(added('a'), { kind: 'certificate-observed', certificate, der: derOf('x') })
        expect(registry.certificate(CA, serialOf('x'))).toEqual(certificate)
        expect(registry.certificateDer(CA, serialOf('x'))).toEqual(derOf('x'))
      })

      test('a restart finds everything', async () => {
        await must(added('a'), plan('x', 'a'), { kind: 'ca-added', ca: ca('root') })
        await must(issued('x'))
        await commit([revoked('x')], [], [eventOf('a')])
        const before = everything()
        registry.close()
        registry = await home.open()
        expect(everything()).toEqual(before)
        expect(await home.audited(registry)).toEqual([eventOf('a')])
      })

      test('a closed registry fails, it does not answer', async () => {
        registry.close()
        await expect(commit([added('a')])).rejects.toMatchObject({ code: 'internal' })
        expect(() => registry.device(id('a'))).toThrow(expect.objectContaining({ code: 'internal' }))
      })

      test('what waits when the registry closes is written', async () => {
        const waiting = commit([added('a')])
        registry.close()
        expect(reasonOf(await waiting)).toBe('allowed')
        registry = await home.open()
        expect(registry.device(id('a'))).toEqual(device('a'))
      })
    })

    describe('atomicity', () => {
      test('a commit whose last change is refused leaves nothing: no change, no feed row, no audit event', async () => {
        await must(added('a'))
        const before = everything()
        const decision = await commit([added('b'), plan('x', 'b'), issued('x'), added('a')], [], [eventOf('b')])
        expect(reasonOf(decision)).toBe('device-exists')
        expect(everything()).toEqual(before)
        expect(await home.audited(registry)).toEqual([])
      })

      test('an expectation that does not hold leaves nothing either', async () => {
        const decision = await commit([added('b')], [{ kind: 'device-state', id: id('a'), states: ['active'] }], [eventOf('b')])
        expect(reasonOf(decision)).toBe('device-unknown')
        expect(registry.device(id('b'))).toBeUndefined()
        expect(await home.audited(registry)).toEqual([])
      })

      test('changes and their audit events are there together, in the order of their commits', async () => {
        await commit([added('a')], [], [eventOf('a'), eventOf('a2')])
        await commit([added('b')], [], [eventOf('b')])
        expect(await home.audited(registry)).toEqual([eventOf('a'), eventOf('a2'), eventOf('b')])
      })

      test('of commits made in one turn, refused ones do not touch their neighbours', async () => {
        const decisions = await Promise.all([
          commit([added('a')], [], [eventOf('a')]),
          commit([added('n1'), added('a')], [], [eventOf('n1')]),
          commit([added('b')]),
          commit([added('n2'), { kind: 'device-state', id: id('none'), state: 'active' }]),
          commit([plan('x', 'b')], [{ kind: 'device-revision', id: id('b'), revision: 1 }]),
        ])
        expect(decisions.map(reasonOf)).toEqual(['allowed', 'device-exists', 'allowed', 'device-not-found', 'allowed'])
        expect(registry.devices({}).items.map((d) => d.id)).toEqual(['a', 'b'])
        expect(registry.changesAfter(0, 100).map((r) => [r.sequence, r.change.kind])).toEqual([[1, 'device-added'], [2, 'device-added'], [3, 'certificate-planned']])
        expect(await home.audited(registry)).toEqual([eventOf('a')])
      })

      test('a commit that fails by a fault fails alone', async () => {
        const broken = added('broken', { createdAt: 1.5 })
        const [first, second, third] = await Promise.allSettled([commit([added('a')]), commit([added('n'), broken]), commit([added('b')])])
        expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
        expect(registry.devices({}).items.map((d) => d.id)).toEqual(['a', 'b'])
        expect(registry.changesAfter(0, 10).map((r) => r.sequence)).toEqual([1, 2])
      })
    })

    describe('expectations, each beside its nearest opposite', () => {
      const touch: readonly Change[] = [{ kind: 'device-described', id: id('a'), groups: [], attributes: {} }]

      test('device-revision: the present revision, and no other', async () => {
        await must(added('a'))
        expect(await outcome(touch, { kind: 'device-revision', id: id('a'), revision: 2 })).toBe('revision-conflict')
        expect(await outcome(touch, { kind: 'device-revision', id: id('a'), revision: 1 })).toBe('allowed')
        expect(await outcome(touch, { kind: 'device-revision', id: id('a'), revision: 1 })).toBe('revision-conflict')
        expect(await outcome([], { kind: 'device-revision', id: id('none'), revision: 1 })).toBe('revision-conflict')
      })

      test.each([
        ['pending', 'device-pending'], ['suspended', 'device-suspended'], ['quarantined', 'device-quarantined'], ['retired', 'device-retired'],
      ] as const)('device-state: a %s device is named as such, and passes where it is expected', async (state, reason) => {
        await must(added('a', { state }))
        expect(await outcome(touch, { kind: 'device-state', id: id('a'), states: ['active'] })).toBe(reason)
        expect(await outcome(touch, { kind: 'device-state', id: id('a'), states: ['active', state] })).toBe('allowed')
      })

      test('device-state: an active device where another state is expected, and a device that is not there', async () => {
        await must(added('a'))
        expect(await outcome(touch, { kind: 'device-state', id: id('a'), states: ['suspended'] })).toBe('state-transition')
        expect(await outcome([], { kind: 'device-state', id: id('b'), states: ['active'] })).toBe('device-unknown')
      })

      test.each(['planned', 'issued', 'active', 'superseded', 'revoked'] as const)('device-issuer: a certificate of another issuer that is %s speaks against it, one of the same issuer does not', async (state) => {
        await must(added('a'), added('b'), plan('x', 'a'))
        const steps: Record<CertificateState, readonly Change[]> = {
          planned: [], issued: [issued('x', 'issued')], active: [issued('x')], superseded: [issued('x'), superseded('x')], revoked: [issued('x'), revoked('x')],
        }
        await must(...steps[state])
        const factory = 'factory' as typeof CA
        expect(await outcome([], { kind: 'device-issuer', device: id('a'), issuer: factory })).toBe('device-issuer-mismatch')
        expect(await outcome([], { kind: 'device-issuer', device: id('a'), issuer: CA })).toBe('allowed')
        expect(await outcome([], { kind: 'device-issuer', device: id('b'), issuer: factory })).toBe('allowed')
        expect(await outcome([], { kind: 'device-issuer', device: id('none'), issuer: factory })).toBe('allowed')
      })

      test('key-free: nobody has it; the same device may have it again, another device not', async () => {
        await must(added('a'), added('b'), plan('x', 'a'))
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('y') })).toBe('allowed')
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('x'), device: id('a') })).toBe('allowed')
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('x'), device: id('b') })).toBe('key-in-use')
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('x') })).toBe('key-in-use')
      })

      test('key-free: a superseded certificate leaves its key to its device, a revoked one to nobody', async () => {
        await must(added('a'), plan('x', 'a'), issued('x'))
        await must(superseded('x'))
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('x'), device: id('a') })).toBe('allowed')
        await must(revoked('x'))
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('x'), device: id('a') })).toBe('key-in-use')
      })

      test('key-free: the key of a CA is nobody else\'s', async () => {
        await must({ kind: 'ca-added', ca: ca('root') })
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('root') })).toBe('key-in-use')
        expect(await outcome([], { kind: 'key-free', spkiSha256: keyOf('toor') })).toBe('allowed')
      })

      test('certificates-in-force: two are allowed, the third is not, and one that ended makes room', async () => {
        const limit: Expectation = { kind: 'certificates-in-force', device: id('a'), max: 2, now: NOW }
        await must(added('a'))
        expect(await outcome([plan('x', 'a')], limit)).toBe('allowed')
        expect(await outcome([plan('y', 'a')], limit)).toBe('allowed')
        expect(await outcome([plan('z', 'a')], limit)).toBe('certificates-limit')
        await must(revoked('x'))
        expect(await outcome([plan('z', 'a')], limit)).toBe('allowed')
        expect(await outcome([plan('w', 'a')], limit)).toBe('certificates-limit')
        await must(superseded('y'))
        expect(await outcome([plan('w', 'a')], limit)).toBe('allowed')
      })

      test('certificates-in-force: what the same commit ends makes room, and what it only touches does not', async () => {
        const limit: Expectation = { kind: 'certificates-in-force', device: id('a'), max: 2, now: NOW }
        await must(added('a'), plan('x', 'a'), plan('y', 'a'))
        expect(await outcome([plan('z', 'a')], limit)).toBe('certificates-limit')
        expect(await outcome([superseded('y'), plan('z', 'a')], limit)).toBe('allowed')
        expect(await outcome([issued('z'), plan('w', 'a')], limit)).toBe('certificates-limit')
      })

      test('certificates-in-force: a certificate is out of force at the very millisecond of notAfter', async () => {
        await must(added('a'), plan('x', 'a', { notAfter: NOW + 10 }))
        expect(await outcome([plan('y', 'a')], { kind: 'certificates-in-force', device: id('a'), max: 1, now: NOW + 9 })).toBe('certificates-limit')
        expect(await outcome([plan('y', 'a')], { kind: 'certificates-in-force', device: id('a'), max: 1, now: NOW + 10 })).toBe('allowed')
      })

      test('certificates-in-force: an older certificate of the same key does not count, of another key it does', async () => {
        await must(added('a'), plan('x', 'a'))
        const limit: Expectation = { kind: 'certificates-in-force', device: id('a'), max: 1, now: NOW }
        expect(await outcome([plan('x2', 'a', { spkiSha256: keyOf('x2') })], limit)).toBe('certificates-limit')
        expect(await outcome([plan('x2', 'a', { spkiSha256: keyOf('x') })], limit)).toBe('allowed')
      })

      describe('operators-remain', () => {
        const remain = (now = NOW): Expectation => ({ kind: 'operators-remain', now })
        const operators = async (...names: readonly string[]): Promise<void> => {
          for (const n of names) await must(plan(n, undefined, { profile: 'operator' }), issued(n))
        }

        test('the last one in force does not go, by whatever change; with another one it may', async () => {
          await operators('x')
          expect(await outcome([revoked('x')], remain())).toBe('last-admin')
          expect(await outcome([superseded('x')], remain())).toBe('last-admin')
          await operators('y')
          expect(await outcome([revoked('x'), revoked('y')], remain())).toBe('last-admin')
          expect(await outcome([revoked('x')], remain())).toBe('allowed')
          expect(await outcome([revoked('y')], remain())).toBe('last-admin')
        })

        test('whoever is no operator, or is not in force, does not stand in for one', async () => {
          await operators('x', 'old')
          await must(plan('server', undefined), issued('server'), plan('planned', undefined, { profile: 'operator' }), plan('issued', undefined, { profile: 'operator' }), issued('issued', 'issued'), revoked('old'))
          expect(await outcome([revoked('x')], remain())).toBe('last-admin')
          expect(await outcome([revoked('server')], remain())).toBe('allowed')
          await must({ kind: 'certificate-state', issuer: CA, serial: serialOf('issued'), state: 'active' })
          expect(await outcome([revoked('x')], remain())).toBe('allowed')
        })

        test('one is out of force at the very millisecond of notAfter', async () => {
          await operators('x')
          await must(plan('y', undefined, { profile: 'operator', notAfter: NOW + 10 }), issued('y'))
          expect(await outcome([revoked('x')], remain(NOW + 10))).toBe('last-admin')
          expect(await outcome([revoked('x')], remain(NOW + 9))).toBe('allowed')
        })

        test('where there is none, nothing goes', async () => expect(await outcome([], remain())).toBe('last-admin'))

        test('of 20 who are revoked in one turn, one stays', async () => {
          const names = Array.from({ length: 20 }, (_, i) => `o${i}`)
          await operators(...names)
          const decisions = await Promise.all(names.map((n) => commit([revoked(n)], [remain()])))
          expect(decisions.filter((d) => d.allow)).toHaveLength(19)
          expect(registry.certificates({ state: 'active' }).items).toHaveLength(1)
        })

        test('the certificate of a viewer, of an operator, of an admin of a tenant or of one who is revoked does not stand in for that of an admin; that of a second admin does', async () => {
          await operators('x')
          const others: readonly (readonly [string, Partial<Operator>])[] = [['viewer', { role: 'viewer' }], ['worker', { role: 'operator' }], ['tenant', { role: 'admin', tenant: 'acme' as TenantId }], ['gone', { role: 'admin' }], ['admin', { role: 'admin' }]]
          for (const [name, facts] of others) await must(operatorAdded(name, facts), plan(name, undefined, { profile: 'operator' }), certified(name, name), issued(name))
          await must({ kind: 'operator-revoked', name: 'gone' as OperatorName, at: NOW })
          const demoted = { kind: 'operator-role', name: 'admin' as OperatorName, role: 'operator' } as const
          expect(await outcome([revoked('x'), demoted], remain())).toBe('last-admin')
          expect(await outcome([revoked('x'), { kind: 'operator-revoked', name: 'admin' as OperatorName, at: NOW }], remain())).toBe('last-admin')
          expect(await outcome([revoked('x')], remain())).toBe('allowed')
          expect(await outcome([demoted], remain())).toBe('last-admin')
        })
      })

      test.each(['planned', 'issued', 'active', 'superseded', 'revoked'] as const)('certificate-state: %s where it is expected, and where it is not', async (state) => {
        await must(added('a'), plan('x', 'a'))
        const steps: Record<CertificateState, readonly Change[]> = {
          planned: [], issued: [issued('x', 'issued')], active: [issued('x')], superseded: [issued('x'), superseded('x')], revoked: [issued('x'), revoked('x')],
        }
        await must(...steps[state])
        const others = (['planned', 'issued', 'active', 'superseded', 'revoked'] as const).filter((s) => s !== state)
        expect(await outcome(touch, { kind: 'certificate-state', issuer: CA, serial: serialOf('x'), states: others })).toBe('revision-conflict')
        expect(await outcome(touch, { kind: 'certificate-state', issuer: CA, serial: serialOf('x'), states: [state] })).toBe('allowed')
      })

      test('certificate-state: a certificate that is not there is in no state', async () => {
        expect(await outcome([], { kind: 'certificate-state', issuer: CA, serial: serialOf('x'), states: ['planned', 'revoked'] })).toBe('revision-conflict')
      })
    })

    describe('invariants that need no expectation', () => {
      test('one device of one id', async () => {
        await must(added('a'))
        expect(await outcome([added('a', { state: 'retired' })])).toBe('device-exists')
        expect(await outcome([added('A')])).toBe('allowed')
      })

      test('one certificate of one issuer and serial, and of one fingerprint', async () => {
        await must(added('a'), plan('x', 'a'), issued('x'), plan('y', 'a'))
        expect(await outcome([plan('x', 'a')])).toBe('revision-conflict')
        expect(await outcome([{ ...issued('y'), sha256: printOf('x') } as Change])).toBe('revision-conflict')
        expect(await outcome([issued('y')])).toBe('allowed')
      })

      test('a key has one owner, be it device or CA', async () => {
        await must(added('a'), added('b'), plan('x', 'a'), { kind: 'ca-added', ca: ca('root') })
        expect(await outcome([plan('x2', 'b', { spkiSha256: keyOf('x') })])).toBe('key-in-use')
        expect(await outcome([plan('x3', undefined, { spkiSha256: keyOf('x') })])).toBe('key-in-use')
        expect(await outcome([plan('r2', 'b', { spkiSha256: keyOf('root') })])).toBe('key-in-use')
        expect(await outcome([{ kind: 'ca-added', ca: ca('evil', 'x') }])).toBe('key-in-use')
        expect(await outcome([plan('x2', 'a', { spkiSha256: keyOf('x') })])).toBe('allowed')
        expect(await outcome([plan('r1', undefined, { spkiSha256: keyOf('root'), profile: 'root' })])).toBe('allowed')
      })

      test('what is not there cannot change', async () => {
        expect(await outcome([{ kind: 'device-state', id: id('a'), state: 'active' }])).toBe('device-not-found')
        expect(await outcome([plan('x', 'a')])).toBe('device-not-found')
        expect(await outcome([issued('x')])).toBe('certificate-not-found')
        expect(await outcome([revoked('x')])).toBe('certificate-not-found')
        expect(await outcome([added('a'), plan('x', 'a'), issued('x'), revoked('x')])).toBe('allowed')
      })

      test('retirement is final', async () => {
        await must(added('a'))
        expect(await outcome([{ kind: 'device-state', id: id('a'), state: 'retired' }])).toBe('allowed')
        expect(await outcome([{ kind: 'device-state', id: id('a'), state: 'active' }])).toBe('state-transition')
        expect(await outcome([{ kind: 'device-state', id: id('a'), state: 'retired' }])).toBe('allowed')
      })

      test('revocation is final, and a certificate never goes back', async () => {
        await must(added('a'), plan('x', 'a'), plan('y', 'a'))
        expect(await outcome([{ kind: 'certificate-state', issuer: CA, serial: serialOf('x'), state: 'active' }])).toBe('state-transition')
        expect(await outcome([issued('x', 'issued')])).toBe('allowed')
        expect(await outcome([issued('x')])).toBe('state-transition')
        expect(await outcome([{ kind: 'certificate-state', issuer: CA, serial: serialOf('x'), state: 'active' }])).toBe('allowed')
        expect(await outcome([superseded('x')])).toBe('allowed')
        expect(await outcome([{ kind: 'certificate-state', issuer: CA, serial: serialOf('x'), state: 'active' }])).toBe('state-transition')
        expect(await outcome([revoked('x')])).toBe('allowed')
        expect(await outcome([superseded('x')])).toBe('state-transition')
        expect(await outcome([revoked('x')])).toBe('state-transition')
        // Revoked while it was being signed: the signature comes too late.
        expect(await outcome([revoked('y')])).toBe('allowed')
        expect(await outcome([issued('y')])).toBe('state-transition')
      })

      test('a plan is not signed, and an observed certificate is', async () => {
        await must(added('a'))
        expect(await outcome([plan('x', 'a', { state: 'active', sha256: printOf('x') })])).toBe('state-transition')
        expect(await outcome([{ kind: 'certificate-observed', certificate: planned('x', 'a'), der: derOf('x') }])).toBe('state-transition')
      })
    })

    describe('races', () => {
      test('50 for one device id: one winner', async () => {
        const decisions = await Promise.all(Array.from({ length: 50 }, (_, i) => commit([added('a', { createdAt: NOW + i })])))
        expect(decisions.filter((d) => d.allow)).toHaveLength(1)
        expect(new Set(decisions.map(reasonOf))).toEqual(new Set(['allowed', 'device-exists']))
      })

      test('50 devices for one key: one winner', async () => {
        const names = Array.from({ length: 50 }, (_, i) => `d${i}`)
        await must(...names.map((n) => added(n)))
        const decisions = await Promise.all(names.map((n) => commit([plan(`of ${n}`, n, { spkiSha256: keyOf('shared') })], [{ kind: 'key-free', spkiSha256: keyOf('shared'), device: id(n) }])))
        expect(decisions.filter((d) => d.allow)).toHaveLength(1)
        expect(registry.certificates({ limit: 100 }).items).toHaveLength(1)
      })

      test('50 for one revision: one winner, one revision', async () => {
        await must(added('a'))
        const decisions = await Promise.all(
          Array.from({ length: 50 }, () => commit([{ kind: 'device-described', id: id('a'), groups: [], attributes: {} }], [{ kind: 'device-revision', id: id('a'), revision: 1 }])),
        )
        expect(decisions.filter((d) => d.allow)).toHaveLength(1)
        expect(registry.device(id('a'))?.revision).toBe(2)
      })

      test('50 for the last place of a device: as many winners as there are places', async () => {
        await must(added('a'))
        const decisions = await Promise.all(Array.from({ length: 50 }, (_, i) => commit([plan(`x${i}`, 'a')], [{ kind: 'certificates-in-force', device: id('a'), max: 2, now: NOW }])))
        expect(decisions.filter((d) => d.allow)).toHaveLength(2)
      })
    })

    describe('the feed', () => {
      test('has every change once, in order, without gaps, whatever was refused in between', async () => {
        const decisions = await Promise.all(Array.from({ length: 100 }, (_, i) => commit(i % 3 === 0 ? [added('same')] : [added(`d${i}`), plan(`x${i}`, `d${i}`)])))
        const feed = registry.changesAfter(0, 1_000)
        expect(feed.map((r) => r.sequence)).toEqual(feed.map((_, i) => i + 1))
        expect(feed).toHaveLength(1 + 66 * 2)
        const sequences = decisions.flatMap((d) => (d.allow ? [d.value.sequence] : []))
        expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
        expect(sequences.at(-1)).toBe(feed.at(-1)?.sequence)
      })

      test('gives changes back as they were committed, bytes too', async () => {
        const changes = [
          added('a', { attributes: { der: 'AAAA' } }), plan('x', 'a'), issued('x', 'issued'), { kind: 'certificate-state', issuer: CA, serial: serialOf('x'), state: 'active' },
          revoked('x'), { kind: 'device-state', id: id('a'), state: 'suspended' }, { kind: 'device-described', id: id('a'), groups: [], attributes: { der: 'BBBB' } },
          { kind: 'ca-added', ca: ca('root') },
          { kind: 'certificate-observed', certificate: planned('y', 'a', { state: 'active', sha256: printOf('y') }), der: derOf('y') },
        ] satisfies readonly Change[]
        await must(...changes)
        expect(registry.changesAfter(0, 100).map((r) => r.change)).toEqual(changes)
      })

      test('is read from any place and at most as much as asked for', async () => {
        await must(...Array.from({ length: 10 }, (_, i) => added(`d${i}`)))
        expect(registry.changesAfter(3, 4).map((r) => r.sequence)).toEqual([4, 5, 6, 7])
        expect(registry.changesAfter(10, 4)).toEqual([])
      })

      test('a commit without changes has the place of the last change', async () => {
        expect(await commit([], [], [eventOf('a')])).toEqual({ allow: true, value: { sequence: 0 } })
        await must(added('a'))
        expect(await commit([])).toEqual({ allow: true, value: { sequence: 1 } })
      })
    })

    describe('pages', () => {
      test('are complete, in order, without duplicates, while devices are added', async () => {
        const before = Array.from({ length: 95 }, (_, i) => `m${String(i).padStart(3, '0')}`)
        await must(...before.map((n) => added(n)))
        const seen: string[] = []
        let after: string | undefined
        for (let i = 0; ; i++) {
          const page = registry.devices(after === undefined ? { limit: 10 } : { limit: 10, after })
          seen.push(...page.items.map((d) => d.id))
          // One lands before the cursor, one behind it.
          await must(added(`a${i}`), added(`z${i}`))
          after = page.next
          if (after === undefined) break
        }
        expect(new Set(seen).size).toBe(seen.length)
        expect(seen).toEqual(seen.toSorted())
        expect(before.every((n) => seen.includes(n))).toBe(true)
      })

      test('of certificates follow issuer and serial, whatever the filter', async () => {
        await must(added('a'), added('b'))
        for (let i = 0; i < 25; i++) await must(plan(`x${i}`, i % 2 === 0 ? 'a' : 'b'), plan(`y${i}`, undefined, { issuer: `ca-${i % 3}` as typeof CA }))
        const collect = (query: object): string[] => {
          const seen: string[] = []
          let after: string | undefined
          do {
            const page = registry.certificates({ ...query, limit: 4, ...(after === undefined ? {} : { after }) })
            expect(page.items.length).toBeLessThanOrEqual(4)
            seen.push(...page.items.map((c) => `${c.issuer}/${c.serial}`))
            after = page.next
          } while (after !== undefined)
          return seen
        }
        expect(collect({})).toHaveLength(50)
        expect(collect({})).toEqual(collect({}).toSorted())
        expect(collect({ device: 'a' })).toHaveLength(13)
        expect(collect({ device: 'a', state: 'planned' })).toHaveLength(13)
        expect(collect({ state: 'revoked' })).toEqual([])
      })

      test('the last page has no next, also when it is full', async () => {
        await must(...Array.from({ length: 4 }, (_, i) => added(`d${i}`)))
        const first = registry.devices({ limit: 2 })
        expect(first.next).toBe('d1')
        expect(registry.devices({ limit: 2, after: 'd1' }).next).toBeUndefined()
        expect(registry.devices({ limit: 2, after: 'zz' })).toEqual({ items: [] })
      })

      test.each([0, -5, 1e9, Number.NaN, 2.7])('a page size of %s is brought within bounds', async (limit) => {
        await must(added('a'), added('b'), added('c'))
        expect(registry.devices({ limit }).items.length).toBeGreaterThanOrEqual(1)
      })

      test.each(["' OR 1=1 --", '\u0000', '/'.repeat(1_000), '%'])('a hostile cursor is only a place in the order', async (after) => {
        await must(added('a'), plan('x', 'a'))
        expect(registry.certificates({ after }).items.length).toBeLessThanOrEqual(1)
        expect(registry.devices({ after }).items.length).toBeLessThanOrEqual(1)
      })
    })
  })
}
