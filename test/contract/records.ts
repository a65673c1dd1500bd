// Records for the tests of registry, view and audit log: well-formed, short, and told apart by a number.

import { createHash } from 'node:crypto'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { Device } from '../../src/core/device.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type Fingerprint, type GroupName, type KeyHash, type OperatorName, type SerialNumber } from '../../src/core/ids.ts'
import type { Operator } from '../../src/core/operator.ts'
import type { CaRecord, CertificateRecord, CertificateState, Change, Registry } from '../../src/core/registry.ts'

export const NOW = 1_800_000_000_000
export const CA = 'issuing-1' as CaName

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export const keyOf = (name: string): KeyHash => sha256(`key ${name}`) as KeyHash
export const printOf = (name: string): Fingerprint => sha256(`certificate ${name}`) as Fingerprint
export const serialOf = (name: string): SerialNumber => `40${sha256(`serial ${name}`).slice(0, 30)}` as SerialNumber
export const derOf = (name: string): Uint8Array => new Uint8Array(Buffer.from(`DER of ${name}`))

export function device(id: string, facts: Partial<Device> = {}): Device {
  return { id: id as DeviceId, tenant: DEFAULT_TENANT, groups: ['sensors' as GroupName], attributes: { site: 'north' }, state: 'active', createdAt: NOW, revision: 1, ...facts }
}

/** A planned certificate; `name` decides serial and key. */
export function planned(name: string, of: string | undefined, facts: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    issuer: CA, serial: serialOf(name), profile: of === undefined ? 'server' : 'device', state: 'planned', spkiSha256: keyOf(name),
    notBefore: NOW, notAfter: NOW + 1_000_000, createdAt: NOW, ...(of === undefined ? {} : { device: of as DeviceId }), ...facts,
  }
}

export function ca(name: string, key = name, facts: Partial<CaRecord> = {}): CaRecord {
  return { name: name as CaName, role: 'issuing', tenant: DEFAULT_TENANT, der: derOf(name), spkiSha256: keyOf(key), createdAt: NOW, state: 'trusted', since: NOW, ...facts }
}

export const added = (id: string, facts: Partial<Device> = {}): Change => ({ kind: 'device-added', device: device(id, facts) })
export const plan = (name: string, of: string | undefined, facts: Partial<CertificateRecord> = {}): Change => ({ kind: 'certificate-planned', certificate: planned(name, of, facts) })
export const issued = (name: string, state: 'issued' | 'active' = 'active'): Change =>
  ({ kind: 'certificate-issued', issuer: CA, serial: serialOf(name), sha256: printOf(name), der: derOf(name), state })
export const revoked = (name: string): Change => ({ kind: 'certificate-revoked', issuer: CA, serial: serialOf(name), at: NOW + 5, reason: 'keyCompromise' })
export const superseded = (name: string): Change => ({ kind: 'certificate-state', issuer: CA, serial: serialOf(name), state: 'superseded' })
export const operator = (name: string, facts: Partial<Operator> = {}): Operator => ({ name: name as OperatorName, role: 'operator', createdAt: NOW, ...facts })
export const operatorAdded = (name: string, facts: Partial<Operator> = {}): Change => ({ kind: 'operator-added', operator: operator(name, facts) })
/** The certificate of this name is this operator's. */
export const certified = (name: string, of: string): Change => ({ kind: 'operator-certified', name: of as OperatorName, issuer: CA, serial: serialOf(name) })
export const eventOf = (id: string): AuditEvent => ({ kind: 'device-added', at: NOW, device: id as DeviceId, actor: { kind: 'local' } })

/** The states of all certificates of a device, in the order in which they were planned. The view holds those that have not ended. */
export function statesOf(registry: Pick<Registry, 'changesAfter' | 'certificate'>, device: DeviceId): readonly CertificateState[] {
  const planned: CertificateRecord[] = []
  for (let after = 0; ; ) {
    const page = registry.changesAfter(after, FEED_PAGE)
    for (const { change } of page) if (change.kind === 'certificate-planned' && change.certificate.device === device) planned.push(change.certificate)
    const last = page.at(-1)
    if (last === undefined) break
    after = last.sequence
  }
  return planned.flatMap(({ issuer, serial }) => registry.certificate(issuer, serial)?.state ?? [])
}
const FEED_PAGE = 1_000
