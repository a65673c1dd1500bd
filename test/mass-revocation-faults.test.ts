// Revoking many when the registry fails on the way: what was ordered is in force at once, the answer says what is recorded and
// what is not, and repeating it finishes it. A registry that fails on command, one that another process has locked, one on a disk
// that is full.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SallyportError } from '../src/core/errors.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type SerialNumber, type TokenName } from '../src/core/ids.ts'
import type { CertificateRecord, Change, Registry } from '../src/core/registry.ts'
import { revokeMany, type MassRevocationPorts } from '../src/mass-revocation.ts'
import { openDecreedView, type DecreedView } from '../src/store/decreed.ts'
import { openRegistry, type SqliteRegistry } from '../src/store/sqlite/registry.ts'
import { openView, type OpenView } from '../src/store/view.ts'
import { group } from './http/house.ts'
import { canMount, fillDisk, mountSmallDisk } from './faults/storage.ts'

const CA = 'issuing-1' as CaName
const NOW = 1_800_000_000_000
const PAGE = 500
const DISK_MEGABYTES = 8
const MOUNT = canMount()

const idOf = (i: number): DeviceId => `d-${String(i).padStart(5, '0')}` as DeviceId
const serialOf = (i: number): SerialNumber => `4${String(i).padStart(31, '0')}` as SerialNumber

/** A fleet, straight into the registry: a device of the group, and its certificate in force. */
async function enroll(registry: Registry, count: number, through?: TokenName): Promise<void> {
  for (let at = 0; at < count; at += PAGE) {
    const changes = Array.from({ length: Math.min(PAGE, count - at) }, (_, i): readonly Change[] => {
      const [id, serial, hash] = [idOf(at + i), serialOf(at + i), (at + i).toString(16).padStart(64, '0')]
      const certificate = { issuer: CA, serial, profile: 'device', device: id, state: 'planned', spkiSha256: hash, notBefore: NOW - 1, notAfter: NOW + 1e9, createdAt: NOW, ...(through === undefined ? {} : { through }) } as unknown as CertificateRecord
      return [
        { kind: 'device-added', device: { id, tenant: DEFAULT_TENANT, groups: [group('sensors')], attributes: {}, state: 'active', createdAt: NOW, revision: 1 } },
        { kind: 'certificate-planned', certificate },
        { kind: 'certificate-issued', issuer: CA, serial, sha256: hash, der: Uint8Array.of(0x30, 0), state: 'active' } as unknown as Change,
      ]
    })
    expect(await registry.commit(changes.flat(), [], [])).toMatchObject({ allow: true })
  }
}

interface Place extends Disposable {
  readonly registry: SqliteRegistry
  readonly view: OpenView
  readonly standing: DecreedView
  /** Sessions that have ended: of each certificate once, as soon as it is not in force any more. */
  readonly ended: Set<string>
  ports(failing?: Partial<Registry>, withServer?: boolean): MassRevocationPorts
}

function openPlace(folder: string): Place {
  const registry = openRegistry(path.join(folder, 'registry.db'), { clock: () => NOW })
  const view = openView(registry)
  const standing = openDecreedView(view)
  const ended = new Set<string>()
  standing.onChange((change) => {
    if (change.kind === 'certificate-revoked' && standing.certificate(change.issuer, change.serial)?.state === 'revoked') ended.add(change.serial)
  })
  const told = new Set<string>()
  const closed = (serial: string): number => {
    const fresh = ended.has(serial) && !told.has(serial)
    told.add(serial)
    return fresh ? 1 : 0
  }
  return {
    registry, view, standing, ended,
    ports: (failing = {}, withServer = true) => ({
      registry: new Proxy(registry, { get: (real, name: keyof SqliteRegistry) => (failing as Partial<SqliteRegistry>)[name] ?? real[name] }),
      view,
      sessions: withServer ? { closed: (match) => Promise.resolve('serial' in match ? closed(match.serial) : 0) } : undefined,
      decrees: withServer ? standing : undefined,
      clock: () => NOW, actor: { kind: 'local' },
    }),
    [Symbol.dispose]() {
      standing[Symbol.dispose]()
      view[Symbol.dispose]()
      registry.close()
    },
  }
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-mass-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const ORDER = { choice: { group: group('sensors') }, reason: 'keyCompromise', dryRun: false } as const

/** Lets so many commits through, and then fails as a disk does that is full. */
function failingAfter(registry: Registry, good: number, until = Infinity): { commit: Registry['commit']; calls: number } {
  const failing = {
    calls: 0,
    commit: (...commit: Parameters<Registry['commit']>): ReturnType<Registry['commit']> => {
      failing.calls += 1
      return failing.calls > good && failing.calls <= until ? Promise.reject(new SallyportError('internal', 'The file registry.db could not be written (database or disk is full).')) : registry.commit(...commit)
    },
  }
  return failing
}

async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it did not fail')
}

/** How many are revoked by what the registry says. */
function recorded(registry: Registry): number {
  let count = 0
  for (let after = ''; ; ) {
    const page = registry.revokedAfter(CA, after)
    count += page.length
    const last = page.at(-1)
    if (last === undefined) return count
    after = last.serial
  }
}

describe('a registry that fails half way', () => {
  test('all that is meant is in force at once, and the answer says what is recorded and what is not', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 1_200)
    const failure = await failureOf(revokeMany(place.ports(failingAfter(place.registry, 1)), ORDER))
    expect(failure.message).toBe('Of 1200 certificates 500 are revoked and recorded; the other 700 are revoked in this server for as long as it runs, and not recorded (The file registry.db could not be written (database or disk is full).). 1200 sessions closed.')
    expect(failure.fix).toContain('repeat the command')
    expect([recorded(place.registry), place.ended.size]).toEqual([500, 1_200])
    for (const i of [0, 499, 500, 1_199]) expect(place.standing.certificate(CA, serialOf(i))?.state).toBe('revoked')
  })

  test('a repeat finishes it, and revokes nothing twice', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 1_200)
    await failureOf(revokeMany(place.ports(failingAfter(place.registry, 1)), ORDER))
    expect(await revokeMany(place.ports(), ORDER)).toMatchObject({ certificates: 700, sessions: 0 })
    expect(await revokeMany(place.ports(), ORDER)).toMatchObject({ certificates: 0 })
    expect(recorded(place.registry)).toBe(1_200)
  })

  test('a failure that passes while access is being ended leaves nothing to repeat', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 1_200)
    expect(await revokeMany(place.ports(failingAfter(place.registry, 1, 2)), ORDER)).toMatchObject({ certificates: 1_200, sessions: 1_200 })
    expect(recorded(place.registry)).toBe(1_200)
  })

  test('who is not meant is not touched by any of it', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 3)
    await place.registry.commit([{ kind: 'device-described', id: idOf(1), groups: [group('lab')], attributes: {} }], [], [])
    await failureOf(revokeMany(place.ports(failingAfter(place.registry, 0)), ORDER))
    expect([0, 1, 2].map((i) => place.standing.certificate(CA, serialOf(i))?.state)).toEqual(['revoked', 'active', 'revoked'])
  })

  test('without a server the rest is as it was, and that is what is said', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 600)
    const failure = await failureOf(revokeMany(place.ports(failingAfter(place.registry, 1), false), ORDER))
    expect(failure.message).toContain('Of 600 certificates 500 are revoked and recorded; the other 100 are as they were')
    expect([recorded(place.registry), place.standing.certificate(CA, serialOf(599))?.state]).toEqual([500, 'active'])
  })

  test('a registry that is closed on the way: what was ordered is in force', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 1_200)
    const ports = place.ports()
    let commits = 0
    const closing: Partial<Registry> = {
      async commit(...commit) {
        const done = await place.registry.commit(...commit)
        commits += 1
        if (commits === 1) place.registry.close()
        return done
      },
    }
    const failure = await failureOf(revokeMany({ ...ports, registry: place.ports(closing).registry }, ORDER))
    expect(failure.message).toContain('Of 1200 certificates 500 are revoked and recorded; the other 700 are revoked in this server')
    expect(place.ended.size).toBe(1_200)
  })

  test('a registry that cannot be read has said nobody is meant, and nobody is revoked', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 3)
    const failure = await failureOf(revokeMany(place.ports({ devices: () => { throw new SallyportError('internal', 'The registry failed.') } }), ORDER))
    expect([failure.message, place.ended.size]).toEqual(['The registry failed.', 0])
  })

  test('a device that renews meanwhile does not get away with its new certificate', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 2)
    const serial = `5${'0'.repeat(31)}` as SerialNumber
    let commits = 0
    const renewing: Partial<Registry> = {
      async commit(...commit) {
        commits += 1
        const certificate = { issuer: CA, serial, profile: 'device', device: idOf(0), state: 'planned', spkiSha256: 'e'.repeat(64), notBefore: NOW - 1, notAfter: NOW + 1e9, createdAt: NOW } as unknown as CertificateRecord
        if (commits === 1) await place.registry.commit([{ kind: 'certificate-planned', certificate }], [], [])
        return place.registry.commit(...commit)
      },
    }
    expect(await revokeMany(place.ports(renewing), ORDER)).toMatchObject({ certificates: 3 })
    expect(place.registry.certificate(CA, serial)?.state).toBe('revoked')
  })
})

describe('a token and all that came through it', () => {
  const T = 'abcdefgh' as TokenName
  const token = { name: T, proof: { kind: 'secret', sha256: 'a'.repeat(64) }, target: { pattern: 'd-*' }, register: true, groups: [], networks: [], approve: 'auto', usesMax: 9_999, uses: 0, createdAt: NOW, expiresAt: NOW + 1e9 } as const
  const order = { ...ORDER, choice: { token: T } }

  test.each([
    ['that cannot be shut at first: all is ended, and it is shut when it can be', 2, true],
    ['that cannot be shut: all is ended all the same, and a repeat shuts it', Infinity, false],
  ])('%s', async (_, until, healed) => {
    using place = openPlace(folder)
    await place.registry.commit([{ kind: 'token-added', token }], [], [])
    await enroll(place.registry, 600, T)
    const work = revokeMany(place.ports(failingAfter(place.registry, 0, until)), order)
    if (healed) expect(await work).toMatchObject({ certificates: 600, sessions: 600 })
    else expect((await failureOf(work)).message).toContain('Of 600 certificates 0 are revoked and recorded; the other 600 are revoked in this server')
    expect(place.ended.size).toBe(600)
    expect(place.registry.token(T)?.revokedAt).toBe(healed ? NOW : undefined)
    await revokeMany(place.ports(), order)
    expect([place.registry.token(T)?.revokedAt, recorded(place.registry)]).toEqual([NOW, 600])
  })

  test('without a server: it cannot be shut, and nothing is done', async () => {
    using place = openPlace(folder)
    await place.registry.commit([{ kind: 'token-added', token }], [], [])
    await enroll(place.registry, 3, T)
    expect((await failureOf(revokeMany(place.ports(failingAfter(place.registry, 0), false), order))).message).toContain('could not be written')
    expect([place.registry.token(T)?.revokedAt, recorded(place.registry)]).toEqual([undefined, 0])
  })
})

describe('real faults', () => {
  test('another process holds the write lock: in force when the first commit gives up, and recorded when it lets go', async () => {
    using place = openPlace(folder)
    await enroll(place.registry, 1_200)
    using other = new DatabaseSync(path.join(folder, 'registry.db'))
    other.exec('BEGIN IMMEDIATE')
    const failure = await failureOf(revokeMany(place.ports(), ORDER))
    expect(failure.message).toContain('Of 1200 certificates 0 are revoked and recorded; the other 1200 are revoked in this server')
    expect(failure.message).toContain('1200 sessions closed.')
    other.exec('ROLLBACK')
    expect(await revokeMany(place.ports(), ORDER)).toMatchObject({ certificates: 1_200 })
    expect(recorded(place.registry)).toBe(1_200)
  })

  test.skipIf(!MOUNT)('a disk that is full (needs root for a tmpfs): all is in force; with room again a repeat records the rest', async () => {
    using _disk = mountSmallDisk(folder, DISK_MEGABYTES)
    using place = openPlace(folder)
    await enroll(place.registry, 3_000)
    await using full = fillDisk(folder)
    const since = performance.now()
    const failure = await failureOf(revokeMany(place.ports(), ORDER))
    expect(performance.now() - since).toBeLessThan(10_000)
    const now = recorded(place.registry)
    expect(now).toBeLessThan(3_000)
    expect(failure.message).toContain(`Of 3000 certificates ${now} are revoked and recorded; the other ${3_000 - now} are revoked in this server`)
    expect(place.ended.size).toBe(3_000)
    await full.cure()
    expect(await revokeMany(place.ports(), ORDER)).toMatchObject({ certificates: 3_000 - now })
    expect(recorded(place.registry)).toBe(3_000)
  })
})
