// The registry on SQLite: one writer, group commit, the change feed and the audit outbox in the same transaction. It owns
// the database file and the order of commits; what a change means is in write.ts, what is asked of it in read.ts.

import type { DatabaseSync } from 'node:sqlite'
import type { AuditEvent } from '../../core/audit.ts'
import { allow, deny, type Decision } from '../../core/decision.ts'
import { SallyportError } from '../../core/errors.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Change, Committed, Expectation, Registry } from '../../core/registry.ts'
import type { Timing } from '../../core/traffic.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { changeToJson } from '../change-json.ts'
import { listeners } from '../../core/listeners.ts'
import type { FeedRow, FollowedRegistry } from '../view.ts'
import { prepareOutbox, type AuditOutbox } from './audit-outbox.ts'
import { databaseFailure, guardFile, openDatabase, openingFailure, reserveRoom } from './database.ts'
import { prepareExpectations } from './expect.ts'
import { migrate } from './migrate.ts'
import { prepareReader } from './read.ts'
import { prepareDeliveries, type DeliveryStore } from './webhooks.ts'
import { prepareChanges } from './write.ts'

export interface SqliteRegistry extends Registry, FollowedRegistry, Disposable {
  readonly audit: AuditOutbox
  readonly deliveries: DeliveryStore
  /** Sets room aside in the registry's files for commits that find the disk full. Throws 'home-not-writable' when it is full already. */
  reserveRoom(): void
}

const MS_A_SECOND = 1_000

interface Waiting {
  readonly changes: readonly Change[]
  readonly expected: readonly Expectation[]
  readonly audit: readonly AuditEvent[]
  resolve(decision: Decision<Committed>): void
  reject(failure: SallyportError): void
}

interface Judged {
  readonly kind: 'judged'
  readonly decision: Decision<Committed>
  readonly rows: readonly FeedRow[]
}

type Outcome = Judged | { readonly kind: 'failed'; readonly failure: SallyportError }

/**
 * Opens the registry in `file`, making or migrating it. Throws 'database-corrupt', 'database-newer', 'home-not-writable',
 * 'internal'. Commits of one turn of the event loop share one transaction and one fsync, each in a savepoint of its own;
 * a commit that finds more than `changesWaitingMax` changes waiting is refused [registry-unavailable]. `close` first
 * writes what waits; afterwards every call fails.
 */
export function openRegistry(file: string, options: { readonly clock: () => EpochMs; readonly timing?: Timing | undefined }): SqliteRegistry {
  const db = openDatabase(file)
  try {
    migrate(db, file)
    db.exec(`PRAGMA wal_autocheckpoint = ${REGISTRY_LIMITS.logPagesMax}`)
    return registryOver(db, file, options)
  } catch (error) {
    db.close()
    throw openingFailure(file, error)
  }
}

function registryOver(db: DatabaseSync, file: string, { clock, timing }: Parameters<typeof openRegistry>[1]): SqliteRegistry {
  const reader = prepareReader(db)
  const outbox = prepareOutbox(db)
  const deliveries = prepareDeliveries(db)
  const writeOne = prepareCommit(db, { clock, addAudit: (event) => outbox.add(event) })
  const sameFile = guardFile(file)
  const savepoint = prepareSavepoint(db)
  const onCommit = listeners<readonly FeedRow[]>()
  const onWaiting = listeners<void>()
  let waiting: Waiting[] = []
  let changesWaiting = 0
  let scheduled = false

  /** Everything that touches the database goes through here, so that every failure has its code and its sentence. */
  const guarded = <T>(work: () => T): T => {
    if (!db.isOpen) throw new SallyportError('internal', `The registry ${file} is closed.`)
    try {
      return work()
    } catch (error) {
      throw databaseFailure(file, error)
    }
  }

  const writeGroup = (): void => {
    const group = waiting.slice(0, REGISTRY_LIMITS.commitsPerTransactionMax)
    waiting = waiting.slice(group.length)
    changesWaiting -= group.reduce((sum, w) => sum + w.changes.length, 0)
    const begun = performance.now()
    const outcomes = writeTransaction(db, file, group, { lastSequence: () => reader.lastSequence(), writeOne, sameFile, savepoint })
    timing?.('registry-commit', (performance.now() - begun) / MS_A_SECOND)
    const rows = outcomes.flatMap((o) => (o.kind === 'judged' ? o.rows : []))
    // Followers first: whoever awaits its commit sees the view with that commit in it.
    if (rows.length > 0) onCommit.tell(rows)
    if (group.some((w, i) => w.audit.length > 0 && outcomes[i]?.kind === 'judged')) onWaiting.tell()
    for (const [i, w] of group.entries()) {
      const outcome = outcomes[i]
      if (outcome?.kind === 'judged') w.resolve(outcome.decision)
      else w.reject(outcome?.failure ?? new SallyportError('internal', 'a commit was left without an answer'))
    }
  }

  const schedule = (): void => {
    if (scheduled || waiting.length === 0) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      if (db.isOpen && waiting.length > 0) writeGroup()
      schedule()
    })
  }

  const close = (): void => {
    if (!db.isOpen) return
    while (waiting.length > 0) writeGroup()
    db.close()
  }

  return {
    commit(changes, expected, audit) {
      if (!db.isOpen) return Promise.reject(new SallyportError('internal', `The registry ${file} is closed.`))
      if (changesWaiting + changes.length > REGISTRY_LIMITS.changesWaitingMax) {
        return Promise.resolve(deny('registry-unavailable', 'too many changes are waiting to be written'))
      }
      changesWaiting += changes.length
      return new Promise((resolve, reject) => {
        waiting.push({ changes, expected, audit, resolve, reject })
        schedule()
      })
    },
    device: (id) => guarded(() => reader.device(id)),
    devices: (query) => guarded(() => reader.devices(query)),
    devicesByState: () => guarded(() => reader.devicesByState()),
    certificate: (issuer, serial) => guarded(() => reader.certificate(issuer, serial)),
    certificatesBySerial: (serial) => guarded(() => reader.certificatesBySerial(serial)),
    certificates: (query) => guarded(() => reader.certificates(query)),
    certificateDer: (issuer, serial) => guarded(() => reader.certificateDer(issuer, serial)),
    certificatePlan: (issuer, serial) => guarded(() => reader.certificatePlan(issuer, serial)),
    journal: (query) => guarded(() => reader.journal(query)),
    cas: () => guarded(() => reader.cas()),
    crossCertificates: () => guarded(() => reader.crossCertificates()),
    token: (name) => guarded(() => reader.token(name)),
    tokens: (query) => guarded(() => reader.tokens(query)),
    tokensProvenBy: (sha256) => guarded(() => reader.tokensProvenBy(sha256)),
    passwordOf: (device) => guarded(() => reader.passwordOf(device)),
    tokenUsed: (name, use) => guarded(() => reader.tokenUsed(name, use)),
    enrollment: (enrollmentId) => guarded(() => reader.enrollment(enrollmentId)),
    enrollments: (query) => guarded(() => reader.enrollments(query)),
    operator: (name) => guarded(() => reader.operator(name)),
    operators: (query) => guarded(() => reader.operators(query)),
    certificatesOfOperator: (name) => guarded(() => reader.certificatesOfOperator(name)),
    expiringCertificates: (query) => guarded(() => reader.expiringCertificates(query)),
    renewalOrders: () => guarded(() => reader.renewalOrders()),
    expiryToldAt: (what) => guarded(() => reader.expiryToldAt(what)),
    webhooks: () => guarded(() => reader.webhooks()),
    crls: (issuer) => guarded(() => reader.crls(issuer)),
    revokedAfter: (issuer, after) => guarded(() => reader.revokedAfter(issuer, after)),
    deviceOut: (device) => guarded(() => reader.deviceOut(device)),
    certificatesOut: (issuer, after) => guarded(() => reader.certificatesOut(issuer, after)),
    changesAfter: (sequence, limit) => guarded(() => reader.changesAfter(sequence, limit)),
    certificateBySha256: (sha256) => guarded(() => reader.certificateBySha256(sha256)),
    load: (into) => guarded(() => reader.load(into)),
    onCommit: onCommit.add,
    reserveRoom() {
      try {
        reserveRoom(db, REGISTRY_LIMITS.reservedBytes)
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw openingFailure(file, error)
      }
    },
    audit: {
      head: () => guarded(() => outbox.head()),
      saveHead: (head) => guarded(() => outbox.saveHead(head)),
      waiting: (position, limit) => guarded(() => outbox.waiting(position, limit)),
      onWaiting: onWaiting.add,
    },
    deliveries: {
      place: (webhook) => guarded(() => deliveries.place(webhook)),
      move: (webhook, place) => guarded(() => deliveries.move(webhook, place)),
      bury: (webhook, letter, place) => guarded(() => deliveries.bury(webhook, letter, place)),
      dead: (webhook, after) => guarded(() => deliveries.dead(webhook, after)),
      deadCount: (webhook) => guarded(() => deliveries.deadCount(webhook)),
      forget: (letter) => guarded(() => deliveries.forget(letter)),
    },
    close,
    [Symbol.dispose]: close,
  }
}

interface CommitPorts {
  readonly clock: () => EpochMs
  addAudit(event: AuditEvent): void
}

/** Judges and makes one commit; the caller has opened a savepoint and undoes it when the decision is a denial. */
function prepareCommit(db: DatabaseSync, ports: CommitPorts): (commit: Waiting, lastSequence: number) => Judged {
  const judge = prepareExpectations(db)
  const make = prepareChanges(db, ports.clock)
  const feed = db.prepare('INSERT INTO feed (sequence, committed_at, change) VALUES (?, ?, ?)')
  return ({ changes, expected, audit }, lastSequence) => {
    for (const expectation of expected) {
      const holds = judge(expectation, changes)
      if (!holds.allow) return { kind: 'judged', decision: holds, rows: [] }
    }
    const rows: FeedRow[] = []
    for (const change of changes) {
      const made = make(change)
      if (!made.allow) return { kind: 'judged', decision: made, rows: [] }
      const sequence = lastSequence + rows.length + 1
      feed.run(sequence, ports.clock(), changeToJson(change))
      rows.push({ sequence, change })
    }
    for (const event of audit) ports.addAudit(event)
    return { kind: 'judged', decision: allow({ sequence: lastSequence + rows.length }), rows }
  }
}

/** Each commit of a group has one. Parsed once: it is what is said most often. */
interface Savepoint {
  begin(): void
  keep(): void
  undo(): void
}

function prepareSavepoint(db: DatabaseSync): Savepoint {
  const begin = db.prepare('SAVEPOINT one')
  const release = db.prepare('RELEASE one')
  const rollback = db.prepare('ROLLBACK TO one')
  return {
    begin: () => void begin.run(),
    keep: () => void release.run(),
    undo() {
      rollback.run()
      release.run()
    },
  }
}

interface TransactionPorts {
  readonly savepoint: Savepoint
  lastSequence(): number
  writeOne(commit: Waiting, lastSequence: number): Judged
  sameFile(): void
}

/**
 * One transaction for a group. A commit that is refused, or fails by itself, is undone alone; when the transaction as a
 * whole cannot be made durable, every commit of the group that would have been allowed fails with it.
 */
function writeTransaction(db: DatabaseSync, file: string, group: readonly Waiting[], ports: TransactionPorts): readonly Outcome[] {
  const outcomes: Outcome[] = []
  try {
    db.exec('BEGIN IMMEDIATE')
    let last = ports.lastSequence()
    for (const commit of group) {
      ports.savepoint.begin()
      const outcome = attempt(db, file, () => ports.writeOne(commit, last))
      const kept = outcome.kind === 'judged' && outcome.decision.allow
      if (kept) ports.savepoint.keep()
      else ports.savepoint.undo()
      if (kept) last += outcome.rows.length
      outcomes.push(outcome)
    }
    ports.sameFile()
    db.exec('COMMIT')
    return outcomes
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    const failed: Outcome = { kind: 'failed', failure: databaseFailure(file, error) }
    return group.map((_, i) => {
      const outcome = outcomes[i]
      return outcome?.kind === 'judged' && !outcome.decision.allow ? outcome : failed
    })
  }
}

function attempt(db: DatabaseSync, file: string, work: () => Judged): Outcome {
  try {
    return work()
  } catch (error) {
    // A full disk ends the whole transaction, not only this savepoint. https://www.sqlite.org/lang_transaction.html
    if (!db.isTransaction) throw error
    return { kind: 'failed', failure: databaseFailure(file, error) }
  }
}
