// Rows ↔ records. The only place where a column becomes a branded type: what is read here was written by this program
// through the constructors of core/ids.ts, and the schema checked its shape.

import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import type { Device } from '../../core/device.ts'
import type { CaRecord, CertificateRecord, CrossCertificate, JournalEntry } from '../../core/registry.ts'

export const DEVICE_COLUMNS = 'id, tenant, groups, attributes, state, created_at, revision, hold, key_sha256'
export const CERTIFICATE_COLUMNS =
  'issuer, serial, profile, device, state, spki_sha256, sha256, not_before, not_after, created_at, revoked_at, revocation_reason, through'
export const CA_COLUMNS = 'name, role, tenant, der, spki_sha256, created_at, state, since, ids'

/** A row in the order of its columns: much cheaper than an object, and a fleet has 100,000 of them to load. */
export type Tuple = readonly SQLOutputValue[]

export interface TupleStatement {
  get(...values: SQLInputValue[]): Tuple | undefined
  all(...values: SQLInputValue[]): readonly Tuple[]
}

export function prepareTuples(db: DatabaseSync, sql: string): TupleStatement {
  const statement = db.prepare(sql, { returnArrays: true })
  // The types of node:sqlite do not follow the option.
  return {
    get: (...values) => statement.get(...values) as Tuple | undefined,
    all: (...values) => statement.all(...values) as unknown as readonly Tuple[],
  }
}

/** Devices share few group lists and attribute sets: one parsed copy of each text serves them all while a fleet is loaded. */
export type Interned = Map<string, unknown>

function parseJson(text: string, interned: Interned | undefined): unknown {
  if (interned === undefined) return JSON.parse(text)
  const known = interned.get(text)
  if (known !== undefined) return known
  const value: unknown = JSON.parse(text)
  if (interned.size < INTERNED_MAX) interned.set(text, value)
  return value
}
const INTERNED_MAX = 10_000

/** Of DEVICE_COLUMNS. */
export function parseDevice(row: Tuple, interned?: Interned): Device {
  const [id, tenant, groups, attributes, state, createdAt, revision, hold, keySha256] = row
  return {
    id: id as Device['id'],
    tenant: tenant as Device['tenant'],
    groups: parseJson(groups as string, interned) as Device['groups'],
    attributes: parseJson(attributes as string, interned) as Device['attributes'],
    state: state as Device['state'],
    createdAt: createdAt as number,
    revision: revision as number,
    ...(keySha256 === null ? {} : { keySha256: keySha256 as NonNullable<Device['keySha256']> }),
    ...(hold === null ? {} : { hold: JSON.parse(hold as string) as NonNullable<Device['hold']> }),
  }
}

export function deviceValues(device: Device): SQLInputValue[] {
  return [device.id, device.tenant, JSON.stringify(device.groups), JSON.stringify(device.attributes), device.state, device.createdAt, device.revision, device.hold === undefined ? null : JSON.stringify(device.hold), device.keySha256 ?? null]
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** Of CERTIFICATE_COLUMNS. */
export function parseCertificate(row: Tuple): CertificateRecord {
  const [issuer, serial, profile, device, state, spkiSha256, sha256, notBefore, notAfter, createdAt, revokedAt, revocationReason, through] = row
  const record: Writable<CertificateRecord> = {
    issuer: issuer as CertificateRecord['issuer'],
    serial: serial as CertificateRecord['serial'],
    profile: profile as CertificateRecord['profile'],
    state: state as CertificateRecord['state'],
    spkiSha256: spkiSha256 as CertificateRecord['spkiSha256'],
    notBefore: notBefore as number,
    notAfter: notAfter as number,
    createdAt: createdAt as number,
  }
  if (device !== null) record.device = device as NonNullable<CertificateRecord['device']>
  if (sha256 !== null) record.sha256 = sha256 as NonNullable<CertificateRecord['sha256']>
  if (revokedAt !== null) record.revokedAt = revokedAt as number
  if (revocationReason !== null) record.revocationReason = revocationReason as NonNullable<CertificateRecord['revocationReason']>
  if (through !== null) record.through = through as NonNullable<CertificateRecord['through']>
  return record
}

/** Of CERTIFICATE_COLUMNS, actor_kind, actor_name. */
export function parseJournal(row: Tuple): JournalEntry {
  const [kind, name] = row.slice(CERTIFICATE_COLUMN_COUNT)
  const record = parseCertificate(row)
  return kind === null ? record : { ...record, by: (name === null ? { kind } : { kind, name }) as NonNullable<JournalEntry['by']> }
}
const CERTIFICATE_COLUMN_COUNT = CERTIFICATE_COLUMNS.split(',').length

export function certificateValues(record: CertificateRecord): SQLInputValue[] {
  return [
    record.issuer, record.serial, record.profile, record.device ?? null, record.state, record.spkiSha256, record.sha256 ?? null,
    record.notBefore, record.notAfter, record.createdAt, record.revokedAt ?? null, record.revocationReason ?? null, record.through ?? null,
  ]
}

/** Of CA_COLUMNS. */
export function parseCa(row: Tuple): CaRecord {
  const [name, role, tenant, der, spkiSha256, createdAt, state, since, ids] = row
  return {
    name: name as CaRecord['name'],
    role: role as CaRecord['role'],
    tenant: tenant as CaRecord['tenant'],
    der: der as Uint8Array,
    spkiSha256: spkiSha256 as CaRecord['spkiSha256'],
    createdAt: createdAt as number,
    state: state as CaRecord['state'],
    since: since as number,
    ...(ids === null || ids === undefined ? {} : { ids: JSON.parse(ids as string) as readonly string[] }),
  }
}

/** Of issuer, serial, spki_sha256, not_after, der. */
export function parseCross(row: Tuple): CrossCertificate {
  const [issuer, serial, spkiSha256, notAfter, der] = row
  return {
    issuer: issuer as CrossCertificate['issuer'],
    serial: serial as CrossCertificate['serial'],
    spkiSha256: spkiSha256 as CrossCertificate['spkiSha256'],
    notAfter: notAfter as number,
    der: der as Uint8Array,
  }
}

export function caValues(ca: CaRecord): SQLInputValue[] {
  return [ca.name, ca.role, ca.tenant, ca.der, ca.spkiSha256, ca.createdAt, ca.state, ca.since, ca.ids === undefined ? null : JSON.stringify(ca.ids)]
}
