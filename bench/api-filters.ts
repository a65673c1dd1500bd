// Filters over a registry of 100,000 devices, each with a certificate: how long one page takes, as the admin API asks for it. In a file of
// its own, on the disk; a filter that finds nothing has looked at everything.
//
//   node bench/api-filters.ts [devices]

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DEFAULT_TENANT, type CaName, type DeviceId, type Fingerprint, type GroupName, type KeyHash, type SerialNumber, type TenantId } from '../src/core/ids.ts'
import type { Change, DeviceQuery } from '../src/core/registry.ts'
import { openRegistry } from '../src/store/sqlite/registry.ts'

const DEVICES = Number(process.argv[2] ?? 100_000)
const BATCH = 1_000
const ROUNDS = 21
const NOW = Date.now()
const DAY = 86_400_000
const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

function changesOf(i: number): readonly Change[] {
  const id = `line-${i % 10}-sensor-${i}` as DeviceId
  const serial = `40${hash(`s${i}`).slice(0, 30)}` as SerialNumber
  const issuer = 'issuing-1' as CaName
  return [
    { kind: 'device-added', device: { id, tenant: i % 100 === 0 ? ('acme' as TenantId) : DEFAULT_TENANT, groups: [`line-${i % 10}` as GroupName], attributes: { site: `s${i % 50}`, rack: String(i % 1_000) }, state: i % 500 === 0 ? 'suspended' : 'active', createdAt: NOW, revision: 1 } },
    { kind: 'certificate-planned', certificate: { issuer, serial, profile: 'device', device: id, state: 'planned', spkiSha256: hash(`k${i}`) as KeyHash, notBefore: NOW, notAfter: NOW + (i % 365) * DAY + DAY, createdAt: NOW } },
    { kind: 'certificate-issued', issuer, serial, sha256: hash(`c${i}`) as Fingerprint, der: new Uint8Array(400), state: 'active' },
  ]
}

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-filters-'))
const registry = openRegistry(path.join(folder, 'registry.db'), { clock: Date.now })
try {
  for (let from = 0; from < DEVICES; from += BATCH) await registry.commit(Array.from({ length: Math.min(BATCH, DEVICES - from) }, (_, i) => changesOf(from + i)).flat(), [], [])
  const queries: Readonly<Record<string, DeviceQuery>> = {
    'the first page': {},
    'a page in the middle': { after: `line-5-sensor-${DEVICES / 2}` },
    'q, found at once': { q: 'SENSOR' },
    'q, found late': { q: `sensor-${DEVICES - 1}` },
    'q, found nowhere': { q: 'nowhere' },
    'a group': { group: 'line-3' as GroupName },
    'a state': { state: 'suspended' },
    'a tenant': { tenant: 'acme' as TenantId },
    'an attribute': { attribute: { name: 'rack', value: '77' } },
    'an attribute, found nowhere': { attribute: { name: 'rack', value: 'x' } },
    'expiring within 7 days': { expiring: { now: NOW, before: NOW + 7 * DAY } },
    'expiring, found nowhere': { expiring: { now: NOW, before: NOW + 1 } },
    'all of them': { q: 'sensor', group: 'line-3' as GroupName, state: 'active', tenant: DEFAULT_TENANT, attribute: { name: 'rack', value: '73' }, expiring: { now: NOW, before: NOW + 90 * DAY } },
  }
  for (const [name, query] of Object.entries(queries)) {
    const times = Array.from({ length: ROUNDS }, () => {
      const began = performance.now()
      registry.devices({ limit: 100, ...query })
      return performance.now() - began
    }).toSorted((a, b) => a - b)
    const ms = (at: number): string => (times[at] ?? 0).toFixed(1).padStart(8)
    process.stdout.write(`${name.padEnd(28)} ${String(registry.devices({ limit: 100, ...query }).items.length).padStart(4)} items  median ${ms(Math.floor(ROUNDS / 2))} ms  worst ${ms(ROUNDS - 1)} ms\n`)
  }
} finally {
  registry.close()
  rmSync(folder, { recursive: true })
}
