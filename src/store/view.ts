// The registry in memory, for the door: every device and certificate without its body, kept current by the change feed. It
// answers without I/O and never writes. What a change does to a record is in apply.ts.

import type { Device } from '../core/device.ts'
import type { Decision } from '../core/decision.ts'
import { SallyportError } from '../core/errors.ts'
import type { CaName, DeviceId, Fingerprint } from '../core/ids.ts'
import type { CertificateRecord, Change, Registry, RegistryView } from '../core/registry.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { certificateAfter, deviceAfter } from './apply.ts'
import { listeners } from './listeners.ts'

export interface FeedRow {
  readonly sequence: number
  readonly change: Change
}

/** What a registry offers to its view beyond the contract: a start, and a word after every commit. */
export interface FollowedRegistry extends Pick<Registry, 'changesAfter'> {
  /** Hands over every device and certificate as of one moment and returns its place in the feed. */
  load(into: { device(device: Device): void; certificate(record: CertificateRecord): void }): number
  /** Called with the rows of a commit of this process right after COMMIT, before its promise resolves. */
  onCommit(listener: (rows: readonly FeedRow[]) => void): () => void
}

export interface OpenView extends RegistryView, Disposable {
  /** Takes in what other processes have committed. Throws what the registry throws; the view stays as it was. */
  refresh(): void
  /** How many devices and certificates it holds. */
  readonly size: { readonly devices: number; readonly certificates: number }
}

/**
 * Loads the registry and follows it until disposed. Own commits are in the view, and its listeners called, before the
 * promise of `commit` resolves. Throws 'database-corrupt' when a change of the feed does not fit the records.
 */
export function openView(registry: FollowedRegistry): OpenView {
  const tables = emptyTables()
  const followers = listeners<FeedRow>()
  let sequence = registry.load(tables)
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
      return { devices: tables.devices.size, certificates: tables.certificates() }
    },
    device: (id) => tables.devices.get(id),
    certificate: (issuer, serial) => tables.byIssuer.get(issuer)?.get(serial),
    certificateBySha256: (sha256) => tables.bySha256.get(sha256),
    certificatesOf: (device) => tables.byDevice.get(device) ?? NONE,
    onChange: (listener) => followers.add((row) => listener(row.change, row.sequence)),
    refresh: () => alone(pull),
    [Symbol.dispose]: stop,
  }
}

interface Tables {
  readonly devices: Map<DeviceId, Device>
  readonly byIssuer: Map<CaName, Map<string, CertificateRecord>>
  readonly bySha256: Map<Fingerprint, CertificateRecord>
  /** A list is replaced, never changed: who holds one holds a moment. */
  readonly byDevice: Map<DeviceId, readonly CertificateRecord[]>
  certificates(): number
  device(device: Device): void
  certificate(record: CertificateRecord): void
  apply(change: Change): void
}

const NONE: readonly CertificateRecord[] = []

function emptyTables(): Tables {
  const devices: Tables['devices'] = new Map()
  const byIssuer: Tables['byIssuer'] = new Map()
  const bySha256: Tables['bySha256'] = new Map()
  const byDevice: Tables['byDevice'] = new Map()
  let certificates = 0

  const putCertificate = (record: CertificateRecord): void => {
    let serials = byIssuer.get(record.issuer)
    if (serials === undefined) byIssuer.set(record.issuer, (serials = new Map()))
    const before = serials.get(record.serial)
    if (before === undefined) certificates++
    serials.set(record.serial, record)
    if (record.sha256 !== undefined) bySha256.set(record.sha256, record)
    if (record.device === undefined) return
    const list = byDevice.get(record.device) ?? NONE
    byDevice.set(record.device, before === undefined ? [...list, record] : list.map((c) => (c === before ? record : c)))
  }

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
        putCertificate(fitting(record === undefined ? undefined : certificateAfter(record, change), change))
        return
      }
      case 'ca-added':
      case 'crl-numbered':
        return
    }
  }

  return {
    devices,
    byIssuer,
    bySha256,
    byDevice,
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
