// The registry in memory: that it says what the registry says, whoever committed, in which order listeners hear of it, and
// what happens when a feed does not fit.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CaName, DeviceId } from '../../src/core/ids.ts'
import type { CertificateRecord, Change } from '../../src/core/registry.ts'
import { REGISTRY_LIMITS } from '../../src/limits.ts'
import { certificateAfter } from '../../src/store/apply.ts'
import { openRegistry } from '../../src/store/sqlite/registry.ts'
import { openView, type FeedRow, type FollowedRegistry, type OpenView } from '../../src/store/view.ts'
import { added, CA, ca, device, issued, NOW, plan, planned, printOf, revoked, serialOf, superseded } from '../contract/records.ts'
import { tempDir } from './temp.ts'

const id = (text: string): DeviceId => text as DeviceId

/** A registry that commits what it is told, judges nothing, and may keep silent about it, as another process does. */
function fakeRegistry(): FollowedRegistry & { commit(...changes: Change[]): void; elsewhere(...changes: Change[]): void; reads: number; followers: number; broken: boolean } {
  const feed: FeedRow[] = []
  const followers = new Set<(rows: readonly FeedRow[]) => void>()
  const records = new Map<string, CertificateRecord>()
  const keep = (change: Change): void => {
    if ('certificate' in change) records.set(change.certificate.serial, change.certificate)
    const record = 'serial' in change && change.kind !== 'operator-certified' ? records.get(change.serial) : undefined
    const after = record === undefined || !('serial' in change) || change.kind === 'operator-certified' ? undefined : certificateAfter(record, change)
    if (after?.allow === true) records.set(after.value.serial, after.value)
  }
  const write = (changes: readonly Change[]): readonly FeedRow[] => {
    changes.forEach(keep)
    const rows = changes.map((change, i) => ({ sequence: feed.length + i + 1, change }))
    feed.push(...rows)
    return rows
  }
  return {
    reads: 0,
    broken: false,
    get followers() {
      return followers.size
    },
    load: () => feed.length,
    certificate(issuer, serial) {
      this.reads++
      if (this.broken) throw new Error('the disk is gone')
      const record = records.get(serial)
      return record?.issuer === issuer ? record : undefined
    },
    certificateBySha256(sha256) {
      this.reads++
      if (this.broken) throw new Error('the disk is gone')
      return [...records.values()].find((record) => record.sha256 === sha256)
    },
    certificates({ device: owner }) {
      this.reads++
      if (this.broken) throw new Error('the disk is gone')
      return { items: [...records.values()].filter((record) => record.device === owner) }
    },
    changesAfter(sequence, limit) {
      this.reads++
      if (this.broken) throw new Error('the disk is gone')
      return feed.slice(sequence, sequence + limit)
    },
    onCommit(listener) {
      followers.add(listener)
      return () => followers.delete(listener)
    },
    commit(...changes) {
      const rows = write(changes)
      for (const follower of followers) follower(rows)
    },
    elsewhere(...changes) {
      write(changes)
    },
  }
}

const isEnded = ({ state }: CertificateRecord): boolean => state === 'revoked' || state === 'superseded'

const changesOf = (view: OpenView): [number, string][] => {
  const heard: [number, string][] = []
  view.onChange((change, sequence) => heard.push([sequence, change.kind]))
  return heard
}

describe('following', () => {
  test('a commit is in the view before anybody hears of it, change by change', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    const heard: unknown[] = []
    view.onChange((change, sequence) => heard.push([change.kind, sequence, view.sequence, view.device(id('a'))?.state]))
    registry.commit(added('a'), { kind: 'device-state', id: id('a'), state: 'suspended' })
    expect(heard).toEqual([['device-added', 1, 1, 'active'], ['device-state', 2, 2, 'suspended']])
  })

  test('a certificate is found by number, by fingerprint and by device, from its plan to its revocation', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    const states = (): unknown => [view.certificate(CA, serialOf('x'))?.state, view.certificateBySha256(printOf('x'))?.state, view.certificatesOf(id('a')).map((c) => c.state)]
    expect(states()).toEqual([undefined, undefined, []])
    registry.commit(added('a'), plan('x', 'a'))
    expect(states()).toEqual(['planned', undefined, ['planned']])
    registry.commit(issued('x'))
    expect(states()).toEqual(['active', 'active', ['active']])
    registry.commit(plan('y', 'a'), superseded('x'))
    expect(states()).toEqual(['superseded', 'superseded', ['planned']])
    registry.commit(revoked('x'))
    expect(states()).toEqual(['revoked', 'revoked', ['planned']])
    // Of a device that has nothing in force, what it had is told: it says why it is refused.
    registry.commit(revoked('y'))
    expect(states()).toEqual(['revoked', 'revoked', ['revoked', 'revoked']])
    expect(view.certificate('other' as CaName, serialOf('x'))).toBeUndefined()
    expect(view.certificate(CA, 'constructor')).toBeUndefined()
    expect(view.size).toEqual({ devices: 1, certificates: 2, ended: 2 })
  })

  test('an observed certificate, and one without a device, are there; a CA is not its business', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit({ kind: 'ca-added', ca: ca('root') }, plan('server', undefined), added('a'), { kind: 'certificate-observed', certificate: planned('x', 'a', { state: 'active', sha256: printOf('x') }), der: new Uint8Array() })
    expect([view.sequence, view.size.certificates, view.certificateBySha256(printOf('x'))?.device, view.certificate(CA, serialOf('server'))?.profile]).toEqual([4, 2, 'a', 'server'])
  })

  test('who holds a list of certificates holds a moment', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'), plan('x', 'a'))
    const before = view.certificatesOf(id('a'))
    registry.commit(issued('x'), plan('y', 'a'))
    expect([before.length, before[0]?.state, view.certificatesOf(id('a')).length]).toEqual([1, 'planned', 2])
  })

  test('own commits are taken from their rows; what another process committed in between is read from the feed first', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    const heard = changesOf(view)
    registry.commit(added('a'))
    expect(registry.reads).toBe(0)
    registry.elsewhere(added('b'))
    expect(view.device(id('b'))).toBeUndefined()
    registry.commit(added('c'))
    expect(heard.map(([sequence]) => sequence)).toEqual([1, 2, 3])
    expect(view.size.devices).toBe(3)
  })

  test('refresh takes in what others committed, all of it, and twice is once', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    const heard = changesOf(view)
    const many = 2 * REGISTRY_LIMITS.feedPageMax
    registry.elsewhere(...Array.from({ length: many }, (_, i) => added(`d${i}`)))
    view.refresh()
    view.refresh()
    expect([view.sequence, view.size.devices, heard.length, new Set(heard.map(([s]) => s)).size]).toEqual([many, many, many, many])
  })

  test('a change that a listener sets off is heard after the one that set it off, by all, in order', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    view.onChange((change) => {
      if (change.kind === 'device-added' && change.device.id === 'a') registry.commit(added('b'))
    })
    const heard = changesOf(view)
    registry.commit(added('a'), added('c'))
    expect(heard.map(([sequence]) => sequence)).toEqual([1, 2, 3])
    expect(view.size.devices).toBe(3)
  })

  test('a listener that asks for a refresh in the middle does not make others hear a change twice', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    view.onChange(() => view.refresh())
    const heard = changesOf(view)
    registry.elsewhere(added('a'))
    registry.commit(added('b'))
    expect(heard.map(([sequence]) => sequence)).toEqual([1, 2])
  })

  test('who stopped listening, and a view that was disposed, hear nothing', () => {
    const registry = fakeRegistry()
    const view = openView(registry)
    const heard: string[] = []
    const stop = view.onChange((change) => heard.push(change.kind))
    registry.commit(added('a'))
    stop()
    registry.commit(added('b'))
    view[Symbol.dispose]()
    registry.commit(added('c'))
    expect([heard, view.size.devices, registry.followers]).toEqual([['device-added'], 2, 0])
  })
})

describe('what has ended', () => {
  test('who is in force is told without a read, and only what has ended is read', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'), plan('x', 'a'), issued('x'), plan('y', 'a'), issued('y'), revoked('y'))
    registry.reads = 0
    expect([view.certificate(CA, serialOf('x'))?.state, view.certificateBySha256(printOf('x'))?.state, view.certificatesOf(id('a')).length, registry.reads]).toEqual(['active', 'active', 1, 0])
    expect([view.certificate(CA, serialOf('y'))?.revocationReason, registry.reads]).toEqual(['keyCompromise', 1])
  })

  test('a registry that cannot be read lets nobody in who is revoked, and keeps nobody out who is in force', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'), plan('x', 'a'), issued('x'), plan('y', 'a'), issued('y'), revoked('y'))
    registry.broken = true
    expect([view.certificate(CA, serialOf('y'))?.state, view.certificateBySha256(printOf('y')), view.certificate(CA, serialOf('x'))?.state]).toEqual(['revoked', undefined, 'active'])
  })

  test('a superseded certificate can still be revoked, and a revoked one has no step left', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'), plan('x', 'a'), issued('x'), superseded('x'), revoked('x'))
    expect(view.certificate(CA, serialOf('x'))?.state).toBe('revoked')
    registry.elsewhere(revoked('x'))
    expect(() => view.refresh()).toThrow(expect.objectContaining({ code: 'database-corrupt' }))
  })

  test('what expired before the given moment has ended, and one a millisecond later has not', async () => {
    using dir = tempDir()
    using registry = openRegistry(dir.file('r.db'), { clock: () => NOW })
    await registry.commit([added('a'), plan('x', 'a'), issued('x')], [], [])
    const [record] = registry.certificates({}).items
    const notAfter = record?.notAfter ?? 0
    using one = openView(registry, notAfter + 1)
    using other = openView(registry, notAfter)
    expect([one.size.ended, other.size.ended]).toEqual([1, 0])
    expect(one.certificate(CA, serialOf('x'))).toEqual(record)
    // It is not lost for the life cycle.
    await registry.commit([revoked('x')], [], [])
    expect([one.certificate(CA, serialOf('x'))?.state, other.certificate(CA, serialOf('x'))?.state]).toEqual(['revoked', 'revoked'])
  })
})

describe('failing', () => {
  test.each<[string, Change]>([
    ['a state of a device that is not there', { kind: 'device-state', id: id('none'), state: 'active' }], ['a description of one', { kind: 'device-described', id: id('none'), groups: [], attributes: {} }],
    ['a signature without a plan', issued('none')], ['a revocation of nothing', revoked('none')], ['a second signature', issued('x')], ['the return of a retired device', { kind: 'device-state', id: id('gone'), state: 'active' }],
  ])('%s in the feed is corruption, and is not taken in', (_, change) => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'), plan('x', 'a'), issued('x'), added('gone', { state: 'retired' }))
    const { sequence } = view
    registry.elsewhere(change, added('later'))
    expect(() => view.refresh()).toThrow(expect.objectContaining({ code: 'database-corrupt' }))
    expect([view.sequence, view.device(id('later')), view.device(id('a'))]).toEqual([sequence, undefined, device('a')])
  })

  test('a feed that cannot be read leaves the view as it was, and the next time it catches up', () => {
    const registry = fakeRegistry()
    using view = openView(registry)
    registry.commit(added('a'))
    registry.elsewhere(added('b'))
    registry.broken = true
    expect(() => view.refresh()).toThrow('the disk is gone')
    expect([view.sequence, view.size.devices]).toEqual([1, 1])
    registry.broken = false
    registry.commit(added('c'))
    expect([view.sequence, view.size.devices]).toEqual([3, 3])
  })
})

describe('beside SQLite', () => {
  test('after any commits, here and in another process, it says what the registry says, and so does a view that was opened late', async () => {
    const names = fc.constantFrom('a', 'b', 'c')
    const change: fc.Arbitrary<Change> = fc.oneof(
      names.map((n) => added(n)),
      fc.tuple(names, fc.constantFrom('active' as const, 'suspended' as const, 'retired' as const)).map(([n, state]) => ({ kind: 'device-state', id: id(n), state }) as const),
      names.map((n) => ({ kind: 'device-described', id: id(n), groups: [], attributes: { k: n } }) as const),
      fc.tuple(names, names).map(([n, of]) => plan(`${n}${of}`, of)),
      fc.tuple(names, names, fc.constantFrom(issued, revoked, superseded)).map(([n, of, step]) => step(`${n}${of}`)),
    )
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), fc.array(change, { minLength: 1, maxLength: 3 })), { maxLength: 15 }), async (commits) => {
      using dir = tempDir()
      using here = openRegistry(dir.file('r.db'), { clock: () => NOW })
      using there = openRegistry(dir.file('r.db'), { clock: () => NOW })
      using view = openView(here)
      const heard = changesOf(view)
      for (const [isHere, changes] of commits) await (isHere ? here : there).commit(changes, [], [])
      view.refresh()
      using late = openView(here)
      const certificates: readonly CertificateRecord[] = here.certificates({ limit: 100 }).items
      for (const one of [view, late]) {
        expect(one.sequence).toBe(here.changesAfter(0, 1_000).length)
        for (const found of here.devices({ limit: 100 }).items) expect(one.device(found.id)).toEqual(found)
        for (const found of certificates) {
          expect(one.certificate(found.issuer, found.serial)).toEqual(found)
          if (!isEnded(found)) expect(one.certificatesOf(id(found.device ?? ''))).toContainEqual(found)
        }
        const signed = certificates.filter((c) => c.sha256 !== undefined)
        expect(signed.map((c) => c.sha256 && one.certificateBySha256(c.sha256))).toEqual(signed)
        expect(one.size).toEqual({ devices: here.devices({ limit: 100 }).items.length, certificates: certificates.length, ended: certificates.filter(isEnded).length })
      }
      expect(heard.map(([sequence]) => sequence)).toEqual(heard.map((_, i) => i + 1))
      expect(heard.length).toBe(view.sequence)
    }), { numRuns: 25 })
  })
})
