// A registry with many devices, each with a certificate, for what is measured on lists: made by the same commits as registered ones, with
// random hashes and no real certificate, because a list reads none.

import { createHash } from 'node:crypto'
import { DEFAULT_TENANT, type CaName, type DeviceId, type Fingerprint, type GroupName, type KeyHash, type SerialNumber, type TenantId } from '../../src/core/ids.ts'
import type { Change, Registry } from '../../src/core/registry.ts'

const BATCH = 1_000
const DAY = 86_400_000
const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

/** As it is called that comes at this place. */
export const seededId = (i: number): string => `line-${i % 10}-sensor-${i}`

function changesOf(i: number, now: number): readonly Change[] {
  const id = seededId(i) as DeviceId
  const serial = `40${hash(`s${i}`).slice(0, 30)}` as SerialNumber
  const issuer = 'issuing-1' as CaName
  return [
    { kind: 'device-added', device: { id, tenant: i % 100 === 0 ? ('acme' as TenantId) : DEFAULT_TENANT, groups: [`line-${i % 10}` as GroupName], attributes: { site: `s${i % 50}`, rack: String(i % 1_000) }, state: i % 500 === 0 ? 'suspended' : 'active', createdAt: now, revision: 1 } },
    { kind: 'certificate-planned', certificate: { issuer, serial, profile: 'device', device: id, state: 'planned', spkiSha256: hash(`k${i}`) as KeyHash, notBefore: now, notAfter: now + (i % 365) * DAY + DAY, createdAt: now } },
    { kind: 'certificate-issued', issuer, serial, sha256: hash(`c${i}`) as Fingerprint, der: new Uint8Array(400), state: 'active' },
  ]
}

export async function seedDevices(registry: Pick<Registry, 'commit'>, count: number, now: number): Promise<void> {
  for (let from = 0; from < count; from += BATCH) {
    const made = await registry.commit(Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => changesOf(from + i, now)).flat(), [], [])
    if (!made.allow) throw new Error(`no devices: ${made.reason}`)
  }
}
