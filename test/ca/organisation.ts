// An organisation's CA over a real registry in a folder of its own, for the tests of ca/. The clock is the test's.

import { randomBytes, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { ISSUING, type GenesisPorts } from '../../src/ca/genesis.ts'
import type { AuthorityPorts, Issued, IssueRequest } from '../../src/ca/issue.ts'
import { collectProfiles, parseProfile, type Profiles } from '../../src/ca/profiles.ts'
import { openSigner } from '../../src/ca/signer.ts'
import type { Actor } from '../../src/core/audit.ts'
import type { Decision } from '../../src/core/decision.ts'
import { DEFAULT_TENANT, type DeviceId } from '../../src/core/ids.ts'
import type { Change, Registry } from '../../src/core/registry.ts'
import { keyHash, spkiOf } from '../../src/x509/keys.ts'
import { openRegistry, type SqliteRegistry } from '../../src/store/sqlite/registry.ts'
import { readYaml } from '../../src/yaml-source.ts'
import { device as deviceRecord } from '../contract/records.ts'
import { tempDir, type TempDir } from '../store/temp.ts'
import { makeCa, newKey, NOW, type Ca } from '../x509/forge.ts'

const PROFILES = path.resolve(import.meta.dirname, '../../certs/profiles')

export function shippedProfiles(): Profiles {
  return collectProfiles(readdirSync(PROFILES).map((file) => parseProfile(readYaml(file, readFileSync(path.join(PROFILES, file), 'utf8')).tree!)))
}

export interface Place extends Disposable {
  readonly dir: TempDir
  readonly registry: SqliteRegistry
  /** The time that the place's clock shows. */
  now: number
  readonly clock: () => number
  make(...changes: readonly Change[]): Promise<void>
  /** Closes the registry and opens it again, as the next start does. */
  reopen(): void
}

export function openPlace(): Place {
  const dir = tempDir()
  let registry = openRegistry(dir.file('registry.db'), { clock: () => NOW })
  const place: Place = {
    dir,
    get registry() {
      return registry
    },
    now: NOW,
    clock: () => place.now,
    async make(...changes) {
      const made = await registry.commit(changes, [], [])
      if (!made.allow) throw new Error(`${made.reason}: ${made.detail ?? ''}`)
    },
    reopen() {
      registry.close()
      registry = openRegistry(dir.file('registry.db'), { clock: () => NOW })
    },
    [Symbol.dispose]() {
      registry.close()
      dir[Symbol.dispose]()
    },
  }
  return place
}

/** Ports of an authority over an issuing CA whose key lies in memory. */
export function authorityPorts(place: Place, ca: Ca = makeCa({ name: 'Issuing', pathLength: 0 })): AuthorityPorts {
  // What is committed later comes after it. A second authority of one place finds the CA there.
  void place.registry.commit([{ kind: 'ca-added', ca: { name: ISSUING, role: 'issuing', tenant: DEFAULT_TENANT, der: ca.der, spkiSha256: keyHash(spkiOf(ca.key)), createdAt: NOW, state: 'current', since: NOW } }], [], [])
  return { registry: place.registry, signer: openSigner(ca.key), issuer: { name: ISSUING, der: ca.der }, profiles: shippedProfiles(), clock: place.clock, random: (count) => randomBytes(count) }
}

export function genesisPorts(place: Place, hosts: readonly string[] = []): GenesisPorts {
  const local = place.dir.file('local')
  return { registry: place.registry, profiles: shippedProfiles(), paths: { local, passphrase: path.join(local, 'passphrase') }, organization: 'Acme', hosts, clock: place.clock, random: (count) => randomBytes(count), actor: { kind: 'system' } }
}

export const addDevice = (id: string): Change => ({ kind: 'device-added', device: deviceRecord(id) })

export const ACTOR: Actor = { kind: 'local' }

/** A request of a device, by its name, for a key of its own. */
export const requestOf = (device: string, key: KeyObject = newKey()): IssueRequest => ({ profile: 'device', commonName: device, device: device as DeviceId, spki: spkiOf(key) })

export function issued(decision: Decision<Issued>): Issued {
  if (!decision.allow) throw new Error(`${decision.reason}: ${decision.detail ?? ''}`)
  return decision.value
}

export const reasonOf = (decision: Decision<Issued>): string => (decision.allow ? 'issued' : decision.reason)

/** A registry that does something before, after or instead of each commit; everything else goes through. */
export function withCommits(registry: Registry, commit: (real: Registry['commit'], ...args: Parameters<Registry['commit']>) => ReturnType<Registry['commit']>): Registry {
  const real: Registry['commit'] = (...args) => registry.commit(...args)
  return new Proxy(registry, {
    get(target, name) {
      if (name === 'commit') return (...args: Parameters<Registry['commit']>) => commit(real, ...args)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Every file below a folder: name, mode and contents. */
export function filesOf(folder: string): Record<string, { readonly mode: string; readonly text: string }> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(path.join(folder, name)).isFile())
  return Object.fromEntries(names.toSorted().map((name) => [name, { mode: (statSync(path.join(folder, name)).mode & 0o777).toString(8), text: readFileSync(path.join(folder, name), 'utf8') }]))
}
