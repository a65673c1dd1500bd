// The registry in memory, for the door: every device, and every certificate that is in force or on its way, without its body, kept
// current by the change feed. Of certificates that have ended it remembers that, in a compact table, and reads the rest from the
// registry for whoever is being refused. It never writes. What a change does to a record is in apply.ts.

import type { Device } from '../core/device.ts'
import type { Decision } from '../core/decision.ts'
import { SallyportError } from '../core/errors.ts'
import type { CaName, DeviceId, EpochMs, Fingerprint, KeyHash, SerialNumber } from '../core/ids.ts'
import type { CertificateRecord, CertificateState, Change, Registry, RegistryView } from '../core/registry.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { certificateAfter, deviceAfter, isStep } from './apply.ts'
import { listeners } from '../core/listeners.ts'
import { openOperatorsInMemory, type OperatorsInMemory } from './operators-view.ts'
import { openSerialSet, type SerialSet } from './serial-set.ts'

export interface FeedRow {
  readonly sequence: number
  readonly change: Change
}

/** What a registry offers to its view beyond the contract: a start, and a word after every commit. */
export interface FollowedRegistry extends Pick<Registry, 'changesAfter' | 'certificate' | 'certificates'> {
  /**
   * Hands over, as of one moment, every device, every certificate that is not revoked or superseded, oldest first for each device, and of the
   * others their names; returns its place in the feed.
   */
  load(into: { device(device: Device): void; certificate(record: CertificateRecord): void; expectEnded(count: number): void; ended(issuer: CaName, serial: string, state: CertificateState): void } & Pick<OperatorsInMemory, 'operator' | 'operatorCertified'>): number
  /** The signed certificate of this hash, whatever its state. */
  certificateBySha256(sha256: Fingerprint): CertificateRecord | undefined
  /** Called with the rows of a commit of this process right after COMMIT, before its promise resolves. */
  onCommit(listener: (rows: readonly FeedRow[]) => void): () => void
}

export interface OpenView extends RegistryView, Disposable {
  /** Takes in what other processes have committed. Throws what the registry throws; the view stays as it was. */
  refresh(): void
  /** How many devices and certificates it knows; `ended`: of how many certificates only that. */
  readonly size: { readonly devices: number; readonly certificates: number; readonly ended: number }
}

/**
 * Loads the registry and follows it until disposed. Own commits are in the view, and its listeners called, before the
 * promise of `commit` resolves. Throws 'database-corrupt' when a change of the feed does not fit the records. What expired before
 * `expiredBefore` counts as ended.
 */
export function openView(registry: FollowedRegistry, expiredBefore: EpochMs = 0): OpenView {
  const tables = emptyTables(expiredBefore)
  const followers = listeners<FeedRow>()
  let sequence = registry.load({
    device: (device) => tables.device(device),
    certificate: (record) => tables.certificate(record),
    expectEnded: (count) => tables.ended.expect(count),
    ended: (issuer, serial, state) => tables.ended.set(issuer, serial, state),
    operator: tables.operators.operator,
    operatorCertified: tables.operators.operatorCertified,
  })
  let following = false
  let missed = false

  const take = (row: FeedRow): void => {
    tables.apply(row.change)
    sequence = row.sequence
    followers.tell(row)
  }

  const pull = (): void => {
    for (;;) {
      const rows = registry.changesAfter(sequence, REGISTRY_LIMITS.feedPageMax)
      for (const row of rows) take(row)
      if (rows.length < REGISTRY_LIMITS.feedPageMax) return
    }
  }

  /** Changes are taken in by one loop at a time; what a listener sets off while it runs is caught up with at its end. */
  const alone = (work: () => void): void => {
    missed = following
    if (following) return
    following = true
    try {
      work()
      while (missed) {
        missed = false
        pull()
      }
    } finally {
      following = false
    }
  }

  const stop = registry.onCommit((rows) => {
    alone(() => {
      // Another process committed in between: read the feed, which has its changes and ours in order.
      if (rows[0]?.sequence !== sequence + 1) pull()
      else for (const row of rows) take(row)
    })
  })

  return {
    get sequence() {
      return sequence
    },
    get size() {
      return { devices: tables.devices.size, certificates: tables.certificates() + tables.ended.size, ended: tables.ended.size }
    },
    device: (id) => tables.devices.get(id),
    certificate(issuer, serial) {
      const state = tables.byIssuer.get(issuer)?.get(serial) ?? tables.ended.get(issuer, serial)
      return typeof state === 'string' ? endedRecord(registry, issuer, serial, state) : state
    },
    certificateBySha256: (sha256) => tables.bySha256.get(sha256) ?? (tables.ended.size === 0 ? undefined : orNothing(() => registry.certificateBySha256(sha256))),
    certificatesOf(device) {
      const list = tables.byDevice.get(device) ?? NONE
      if (list.length > 0 || tables.ended.size === 0 || !tables.devices.has(device)) return list
      return orNothing(() => registry.certificates({ device, limit: REGISTRY_LIMITS.pageSizeMax }).items.toSorted((a, b) => a.createdAt - b.createdAt)) ?? NONE
    },
    operatorOf: tables.operators.operatorOf,
    onChange: (listener) => followers.add((row) => listener(row.change, row.sequence)),
    refresh: () => alone(pull),
    [Symbol.dispose]: stop,
  }
}

/** What the door is told of a certificate that has ended. It is refused in any case: a registry that cannot be read changes the words only. */
function endedRecord(registry: FollowedRegistry, issuer: CaName, serial: string, state: CertificateState): CertificateRecord | undefined {
  try {
    return registry.certificate(issuer, serial as SerialNumber)
  } catch {
    // In force for the judge of expiry, for nobody else: 'planned' is refused as unrecorded, the others by their own names.
    const unread = state === 'revoked' || state === 'superseded' ? state : 'planned'
    return { issuer, serial: serial as SerialNumber, profile: 'device', state: unread, spkiSha256: '' as KeyHash, notBefore: 0, notAfter: Number.POSITIVE_INFINITY, createdAt: 0 }
  }
}

/** Who is in force is in memory: what cannot be read is refused without it. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

interface Tables {
  readonly devices: Map<DeviceId, Device>
  readonly byIssuer: Map<CaName, Map<string, CertificateRecord>>
  readonly bySha256: Map<Fingerprint, CertificateRecord>
  /** A list is replaced, never changed: who holds one holds a moment. */
  readonly byDevice: Map<DeviceId, readonly CertificateRecord[]>
  /** Revoked, superseded, or expired long ago. None of them comes back. */
  readonly ended: SerialSet
  readonly operators: OperatorsInMemory
  /** Those that are not ended. */
  certificates(): number
  device(device: Device): void
  certificate(record: CertificateRecord): void
  apply(change: Change): void
}

const NONE: readonly CertificateRecord[] = []

function emptyTables(expiredBefore: EpochMs): Tables {
  const devices: Tables['devices'] = new Map()
  const byIssuer: Tables['byIssuer'] = new Map()
  const bySha256: Tables['bySha256'] = new Map()
  const byDevice: Tables['byDevice'] = new Map()
  const ended = openSerialSet()
  const operators = openOperatorsInMemory()
  let certificates = 0

  const putCertificate = (record: CertificateRecord): void => {
    const serials = byIssuer.get(record.issuer) ?? new Map<string, CertificateRecord>()
    const before = serials.get(record.serial)
    if (hasEnded(record)) {
      if (before !== undefined) dropCertificate(serials, before)
      ended.set(record.issuer, record.serial, record.state)
      return
    }
    if (before === undefined) certificates++
    byIssuer.set(record.issuer, serials.set(record.serial, record))
    if (record.sha256 !== undefined) bySha256.set(record.sha256, record)
    if (record.device === undefined) return
    const list = byDevice.get(record.device) ?? NONE
    byDevice.set(record.device, before === undefined ? [...list, record] : list.map((c) => (c === before ? record : c)))
  }

  const dropCertificate = (serials: Map<string, CertificateRecord>, record: CertificateRecord): void => {
    certificates--
    serials.delete(record.serial)
    if (record.sha256 !== undefined) bySha256.delete(record.sha256)
    if (record.device === undefined) return
    const list = (byDevice.get(record.device) ?? NONE).filter((c) => c !== record)
    if (list.length > 0) byDevice.set(record.device, list)
    else byDevice.delete(record.device)
  }

  const hasEnded = ({ state, notAfter }: CertificateRecord): boolean => state === 'revoked' || state === 'superseded' || notAfter < expiredBefore

  const apply = (change: Change): void => {
    switch (change.kind) {
      case 'device-added':
        devices.set(change.device.id, change.device)
        return
      case 'device-state':
      case 'device-described': {
        const device = devices.get(change.id)
        devices.set(change.id, fitting(device === undefined ? undefined : deviceAfter(device, change), change))
        return
      }
      case 'certificate-planned':
      case 'certificate-observed':
        putCertificate(change.certificate)
        return
      case 'certificate-issued':
      case 'certificate-state':
      case 'certificate-revoked': {
        const record = byIssuer.get(change.issuer)?.get(change.serial)
        const past = record === undefined ? ended.get(change.issuer, change.serial) : undefined
        if (past !== undefined && isStep(past, change)) {
          ended.set(change.issuer, change.serial, change.kind === 'certificate-revoked' ? 'revoked' : change.state)
          return
        }
        putCertificate(fitting(record === undefined ? undefined : certificateAfter(record, change), change))
        return
      }
      case 'operator-added':
      case 'operator-role':
      case 'operator-revoked':
      case 'operator-certified':
        operators.apply(change)
        return
      case 'ca-added':
      case 'ca-state':
      case 'token-added':
      case 'token-used':
      case 'token-revoked':
      case 'token-suspended':
      case 'enrollment-requested':
      case 'enrollment-decided':
      case 'crl-numbered':
      case 'renewal-ordered':
      case 'renewal-order-ended':
      case 'expiry-told':
      case 'webhook-added':
      case 'webhook-removed':
        return
    }
  }

  return {
    devices,
    byIssuer,
    bySha256,
    byDevice,
    ended,
    operators,
    certificates: () => certificates,
    device: (device) => void devices.set(device.id, device),
    certificate: putCertificate,
    apply,
  }
}

/** The registry judged this change by the same rules; if it does not fit here, feed and tables disagree. */
function fitting<T>(after: Decision<T> | undefined, change: Change): T {
  if (after?.allow) return after.value
  throw new SallyportError('database-corrupt', `The change feed has a ${change.kind} that does not fit the records it follows.`, {
    fix: 'Restore the registry from a backup.',
  })
}
