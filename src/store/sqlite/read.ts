// What the registry answers: single records, pages in the order of their key, the feed. It reads and never writes.

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { CertificatePlan, CertificateRecord, CertificateQuery, DeviceQuery, Page, Registry } from '../../core/registry.ts'
import type { Device, DeviceState } from '../../core/device.ts'
import type { Fingerprint } from '../../core/ids.ts'
import type { Operator } from '../../core/operator.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { parseChange } from '../change-json.ts'
import { prepareOperatorReads } from './operators.ts'
import { preparePublicationReads } from './publication.ts'
import { CA_COLUMNS, CERTIFICATE_COLUMNS, DEVICE_COLUMNS, parseCa, parseCertificate, parseCross, parseDevice, parseJournal, prepareTuples, type Interned, type Tuple, type TupleStatement } from './rows.ts'
import { endKey, prepareRenewalReads } from './renewals.ts'
import { prepareTokenReads } from './tokens.ts'
import { prepareWebhookReads } from './webhooks.ts'

type Reads = Omit<Registry, 'commit' | 'close'>

export interface Loaded {
  device(device: Device): void
  certificate(record: CertificateRecord): void
  /** How many have ended: said before the first of them. */
  expectEnded(count: number): void
  ended(issuer: CertificateRecord['issuer'], serial: string, state: CertificateRecord['state']): void
  operator(operator: Operator): void
  operatorCertified(issuer: CertificateRecord['issuer'], serial: string, name: Operator['name']): void
}

export interface Reader extends Reads {
  /** The place of the last change; 0 before the first. */
  lastSequence(): number
  /** The signed certificate whose bytes have this hash. */
  certificateBySha256(sha256: Fingerprint): CertificateRecord | undefined
  /** Hands over every device and certificate as of one moment, of those that have ended only their names, and returns its place in the feed. */
  load(into: Loaded): number
}

function pageSize(limit: number | undefined, max: number, preset: number): number {
  return limit === undefined || !Number.isFinite(limit) ? preset : Math.min(Math.max(1, Math.floor(limit)), max)
}

/** One row more than the page holds is asked for: it tells whether there is a next page, and is not shown. */
function toPage<T>(rows: readonly Tuple[], size: number, parse: (row: Tuple) => T, key: (item: T) => string): Page<T> {
  const items = rows.slice(0, size).map((row) => parse(row))
  const last = items.at(-1)
  return rows.length > size && last !== undefined ? { items, next: key(last) } : { items }
}

/** One prepared statement for each combination of filters; there are few, and they are made when first asked for. */
function filtered(db: DatabaseSync, select: (filters: readonly string[]) => string): (values: Readonly<Record<string, SQLInputValue | readonly SQLInputValue[] | undefined>>, rest: readonly SQLInputValue[]) => readonly Tuple[] {
  const prepared = new Map<string, TupleStatement>()
  return (values, rest) => {
    const filters = Object.keys(values).filter((name) => values[name] !== undefined)
    const key = filters.join(' ')
    const statement = prepared.get(key) ?? prepareTuples(db, select(filters))
    prepared.set(key, statement)
    return statement.all(...filters.flatMap((name) => values[name] ?? []), ...rest)
  }
}

const DEVICE_FILTERS: Readonly<Record<string, string>> = {
  group: 'id IN (SELECT device FROM device_groups WHERE group_name = ?)',
  state: 'state = ?',
  tenant: 'tenant = ?',
  // No LIKE: whoever looks for a percent sign finds it, and no pattern is slow.
  q: 'instr(lower(id), lower(?)) > 0',
  // As JSON has it, with both quotation marks: within a value they are escaped.
  attribute: 'instr(attributes, ?) > 0',
  expiring: "id IN (SELECT device FROM certificates INDEXED BY certificates_by_end WHERE state IN ('issued', 'active') AND device IS NOT NULL AND not_after > ? AND not_after < ?)",
  lasting: "NOT EXISTS (SELECT 1 FROM certificates WHERE device = devices.id AND state IN ('issued', 'active') AND not_after >= ?)",
}

const OF_TENANT = 'EXISTS (SELECT 1 FROM devices WHERE devices.id = certificates.device AND devices.tenant = ?)'

const CERTIFICATE_FILTERS: Readonly<Record<string, string>> = { device: 'device = ?', issuer: 'issuer = ?', state: 'state = ?', profile: 'profile = ?', through: 'through = ?', tenant: OF_TENANT }

const JOURNAL_FILTERS: Readonly<Record<string, string>> = { state: 'state = ?', through: 'through = ?', by: 'actor_kind = ?', name: 'actor_name = ?', tenant: OF_TENANT }

function whereAlso(table: Readonly<Record<string, string>>, filters: readonly string[]): string {
  return filters.map((name) => `${table[name]} AND `).join('')
}

export function prepareReader(db: DatabaseSync): Reader {
  const device = prepareTuples(db, `SELECT ${DEVICE_COLUMNS} FROM devices WHERE id = ?`)
  const devicePage = filtered(db, (filters) => `SELECT ${DEVICE_COLUMNS} FROM devices WHERE ${whereAlso(DEVICE_FILTERS, filters)}id > ? ORDER BY id LIMIT ?`)
  const byState = db.prepare('SELECT state, count(*) AS devices FROM devices GROUP BY state')
  const certificate = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS} FROM certificates WHERE issuer = ? AND serial = ?`)
  const bySerial = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS} FROM certificates WHERE serial = ? ORDER BY issuer`)
  const certificatePage = filtered(
    db,
    (filters) => `SELECT ${CERTIFICATE_COLUMNS} FROM certificates WHERE ${whereAlso(CERTIFICATE_FILTERS, filters)}(issuer, serial) > (?, ?) ORDER BY issuer, serial LIMIT ?`,
  )
  const journalPage = filtered(
    db,
    (filters) => {
      // Whoever asks for an actor walks through the plans, everybody else through the certificates: in both the next page goes on where the last one ended.
      const [first, then] = filters.includes('by') ? ['certificate_plans', 'CROSS JOIN certificates'] : ['certificates', 'LEFT JOIN certificate_plans']
      return `SELECT ${CERTIFICATE_COLUMNS}, actor_kind, actor_name, ${first}.number FROM ${first} ${then} ON certificates.number = certificate_plans.number WHERE ${whereAlso(JOURNAL_FILTERS, filters)}${first}.number > ? ORDER BY ${first}.number LIMIT ?`
    },
  )
  const body = db.prepare('SELECT der FROM certificates JOIN certificate_bodies USING (number) WHERE issuer = ? AND serial = ?')
  const plan = db.prepare('SELECT plan FROM certificates JOIN certificate_plans USING (number) WHERE issuer = ? AND serial = ?')
  const cas = prepareTuples(db, `SELECT ${CA_COLUMNS} FROM cas ORDER BY created_at, name`)
  // By name: left to itself SQLite walks through every certificate in force, a hundred thousand for each scrape of the metrics.
  const crosses = prepareTuples(db, "SELECT issuer, serial, spki_sha256, not_after, der FROM certificates INDEXED BY certificates_of_cas JOIN certificate_bodies USING (number) WHERE profile IN ('root', 'issuing') AND state = 'active' ORDER BY number")
  const feed = db.prepare('SELECT sequence, change FROM feed WHERE sequence > ? ORDER BY sequence LIMIT ?')
  const last = db.prepare('SELECT max(sequence) AS sequence FROM feed')
  const allDevices = prepareTuples(db, `SELECT ${DEVICE_COLUMNS} FROM devices WHERE id > ? ORDER BY id LIMIT ?`)
  const bySha256 = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS} FROM certificates WHERE sha256 = ?`)
  // By the index of states: of the ended ones no row is read, and there may be millions of them.
  const standing = db.prepare(`SELECT ${CERTIFICATE_COLUMNS}, number FROM certificates WHERE state IN ('planned', 'issued', 'active')`, { returnArrays: true })
  // By the index of devices: by that of states it would read those of everybody.
  const standingOf = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS} FROM certificates WHERE device = ? AND +state IN ('planned', 'issued', 'active') ORDER BY number`)
  const endedCount = db.prepare("SELECT count(*) AS count FROM certificates WHERE state IN ('superseded', 'revoked')")
  const ended = db.prepare('SELECT issuer, serial FROM certificates WHERE state = ?', { returnArrays: true })
  const tokenReads = prepareTokenReads(db)
  const renewals = prepareRenewalReads(db)
  const { loadOperators, ...operatorReads } = prepareOperatorReads(db)
  const lastSequence = (): number => Number(last.get()?.['sequence'] ?? 0)

  return {
    ...preparePublicationReads(db),
    webhooks: prepareWebhookReads(db),
    renewalOrders: renewals.renewalOrders,
    expiryToldAt: renewals.expiryToldAt,
    expiringCertificates(query) {
      const size = pageSize(query.limit, REGISTRY_LIMITS.pageSizeMax, REGISTRY_LIMITS.pageSizeDefault)
      return toPage(renewals.expiringRows(query, size + 1), size, parseCertificate, endKey)
    },
    lastSequence,
    ...tokenReads,
    ...operatorReads,
    device(id) {
      const row = device.get(id)
      return row === undefined ? undefined : parseDevice(row)
    },
    devices(query: DeviceQuery) {
      const size = pageSize(query.limit, REGISTRY_LIMITS.pageSizeMax, REGISTRY_LIMITS.pageSizeDefault)
      const { group, state, tenant, q, attribute, expiring } = query
      const filters = { group, state, tenant, q, attribute: attribute && `${JSON.stringify(attribute.name)}:${JSON.stringify(attribute.value)}`, expiring: expiring && [expiring.now, expiring.before], lasting: expiring?.before }
      return toPage(devicePage(filters, [query.after ?? '', size + 1]), size, (row) => parseDevice(row), (d) => d.id)
    },
    certificate(issuer, serial) {
      const row = certificate.get(issuer, serial)
      return row === undefined ? undefined : parseCertificate(row)
    },
    certificatesBySerial(serial) {
      return bySerial.all(serial).map((row) => parseCertificate(row))
    },
    certificates(query: CertificateQuery) {
      const size = pageSize(query.limit, REGISTRY_LIMITS.pageSizeMax, REGISTRY_LIMITS.pageSizeDefault)
      const [issuer = '', serial = ''] = (query.after ?? '').split('/')
      return toPage(certificatePage({ device: query.device, issuer: query.issuer, state: query.state, profile: query.profile, through: query.through, tenant: query.tenant }, [issuer, serial, size + 1]), size, parseCertificate, (c) => `${c.issuer}/${c.serial}`)
    },
    standingCertificates: (device) => standingOf.all(device).map((row) => parseCertificate(row)),
    certificateDer(issuer, serial) {
      const row = body.get(issuer, serial)
      return row === undefined ? undefined : (row['der'] as Uint8Array)
    },
    certificateBySha256(sha256) {
      const row = bySha256.get(sha256)
      return row === undefined ? undefined : parseCertificate(row)
    },
    certificatePlan(issuer, serial) {
      const row = plan.get(issuer, serial)
      return row === undefined ? undefined : (JSON.parse(String(row['plan'])) as CertificatePlan)
    },
    journal({ after, limit, ...filters }) {
      const size = pageSize(limit, REGISTRY_LIMITS.pageSizeMax, REGISTRY_LIMITS.pageSizeDefault)
      const rows = journalPage({ state: filters.state, through: filters.through, by: filters.by, name: filters.name, tenant: filters.tenant }, [Number(after ?? 0), size + 1])
      const last = rows[size - 1]
      const items = rows.slice(0, size).map(parseJournal)
      return rows.length > size && last !== undefined ? { items, next: String(last.at(-1)) } : { items }
    },
    devicesByState() {
      const counted = new Map(byState.all().map((row) => [String(row['state']), Number(row['devices'])]))
      const of = (state: DeviceState): number => counted.get(state) ?? 0
      return { pending: of('pending'), active: of('active'), suspended: of('suspended'), quarantined: of('quarantined'), retired: of('retired') }
    },
    cas() {
      return cas.all().map((row) => parseCa(row))
    },
    crossCertificates() {
      return crosses.all().map(parseCross)
    },
    changesAfter(sequence, limit) {
      return feed
        .all(sequence, pageSize(limit, REGISTRY_LIMITS.feedPageMax, REGISTRY_LIMITS.feedPageMax))
        .map((row) => ({ sequence: Number(row['sequence']), change: parseChange(String(row['change'])) }))
    },
    load(into) {
      db.exec('BEGIN')
      try {
        const interned: Interned = new Map()
        for (const row of pages(allDevices, '', (last) => last[0])) into.device(parseDevice(row, interned))
        loadStanding(standing, into)
        into.expectEnded(Number(endedCount.get()?.['count'] ?? 0))
        for (const state of ['superseded', 'revoked'] as const) {
          for (const row of ended.iterate(state)) {
            const [issuer, serial] = row as unknown as Tuple
            into.ended(issuer as CertificateRecord['issuer'], serial as string, state)
          }
        }
        loadOperators(into)
        return lastSequence()
      } finally {
        if (db.isTransaction) db.exec('COMMIT')
      }
    },
  }
}

/** In the order in which they were recorded: a device's newest certificate is its last. */
function loadStanding(standing: StatementSync, into: Loaded): void {
  const found: { readonly number: number; readonly record: CertificateRecord }[] = []
  for (const row of standing.iterate()) {
    const tuple = row as unknown as Tuple
    found.push({ number: Number(tuple.at(-1)), record: parseCertificate(tuple) })
  }
  found.sort((a, b) => a.number - b.number)
  for (const { record } of found) into.certificate(record)
}

/** All rows, a page at a time: neither a call for each row nor the whole table at once. */
function* pages(statement: TupleStatement, first: SQLInputValue, key: (last: Tuple) => SQLInputValue | undefined): Generator<Tuple> {
  let after: SQLInputValue | undefined = first
  while (after !== undefined) {
    const rows: readonly Tuple[] = statement.all(after, REGISTRY_LIMITS.feedPageMax)
    yield* rows
    const last = rows.at(-1)
    after = last === undefined ? undefined : key(last)
  }
}
