// The audit log: data/audit.ndjson, one hash chain of everything that was decided. Events that were committed with a change
// come from the registry's outbox, each exactly once; all others through `record`. Writing never blocks who records, and a
// full disk stops nothing but the log.

import { closeSync, fsync, fsyncSync } from 'node:fs'
import type { AuditEvent } from '../core/audit.ts'
import { listeners } from '../core/listeners.ts'
import type { AuditRecord, AuditVerdict, DetectionSeen, RefusalSeen } from '../core/desk.ts'
import type { AuditSink } from '../core/registry.ts'
import type { LogPlace } from '../core/webhook.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { chainLine, type ChainHead } from './chain.ts'
import { detectionOf, placeOf, recordOf, refusalOf } from './ecs.ts'
import { openFloodGate } from './flood.ts'
import { cutTo, openFile, reconcile, writeAt } from './log-file.ts'
import { backwards, isLineEnd, pageBack, readOn, verifyAuditFile, type PageBack, type PlacedRecord } from './read-back.ts'

/** What the registry remembers of the log, and the events that wait for it. */
export interface AuditOutboxPort {
  head(): { readonly records: number; readonly hash: string; readonly bytes: number; readonly position: number }
  saveHead(head: { readonly records: number; readonly hash: string; readonly bytes: number; readonly position: number }): void
  waiting(position: number, limit: number): readonly { readonly position: number; readonly event: AuditEvent }[]
  onWaiting(listener: () => void): () => void
}

/** A record in its place. */
export interface WrittenRecord {
  /** Counted from 1, over all starts. */
  readonly number: number
  /** Without its place. */
  readonly record: AuditRecord
  /** As it stands in the log. */
  readonly line: string
}

export interface AuditLog extends AuditSink {
  /** Everything recorded so far is on disk when it resolves, as far as the disk lets it. */
  flush(): Promise<void>
  /** Reads all of it, one reading at a time: whoever asks while one goes on shares the next one with all who do. */
  verify(): Promise<AuditVerdict>
  tail(count: number): Promise<readonly AuditRecord[]>
  /** A page of the records before this place, newest first; from the end where none is named. Undefined: no record ends there. */
  page(before: number | undefined, limit: number, pick: (record: AuditRecord, line: string) => boolean): Promise<PageBack<AuditRecord> | undefined>
  /** Newest first. */
  refusals(device: string, limit: number): Promise<readonly RefusalSeen[]>
  /** Newest first. */
  detections(device: string, limit: number): Promise<readonly DetectionSeen[]>
  /** Called with each record as it gets its place in the chain. Returns the way to stop. */
  follow(listener: (written: WrittenRecord) => void): () => void
  /** What is written by now, newest first, as far back as the log is read at all or until `take` says that it has enough. */
  walkBack(take: (written: WrittenRecord) => 'on' | 'enough'): Promise<void>
  /** How far the log is on disk, and known to be: no power cut takes that back. */
  readonly saved: LogPlace
  /** Everything recorded so far is saved when it returns, as far as the disk lets it. */
  settle(): void
  /** Called when `saved` has moved. Returns the way to stop. */
  onSaved(listener: () => void): () => void
  /** A page of what is saved behind this place; undefined where the log does not go on there. */
  readOn(place: LogPlace): readonly PlacedRecord[] | undefined
  /** Records and bytes that are in the file, and characters that wait for it. */
  readonly size: { readonly records: number; readonly bytes: number; readonly waiting: number }
  /** Called with every event as it comes, also with refusals that are only counted. Returns the way to stop. */
  onEvent(listener: (event: AuditEvent) => void): () => void
  /** The log could not be written the last time; what waits is kept up to a bound. */
  readonly degraded: boolean
  close(): void
}

/** Opens the log and goes on where it stopped. Failure: 'audit-unwritable'. */
export async function openAuditLog({ file, outbox, clock }: { readonly file: string; readonly outbox: AuditOutboxPort; readonly clock: () => number }): Promise<AuditLog> {
  const descriptor = openFile(file)
  const gate = openFloodGate()
  let { head, bytes, position } = reconcile(descriptor, outbox.head())
  /** What has been written; what of it is synced, and so on disk, is what the registry may remember. */
  let written = { head, position }
  let syncing = false
  /** Lines that are chained and not yet written. */
  let lines: string[] = []
  let waitingChars = 0
  let lost = 0
  let degraded = false
  /** The log, a sync that is under way, and everybody who reads: the last to let go of the descriptor closes it. */
  let holders = 1
  /** The registry has events that were not taken over for want of room. */
  let behind = false
  let closed = false
  let headSavedAt = 0
  let scheduled: NodeJS.Timeout | undefined

  const followers = new Set<(written: WrittenRecord) => void>()
  const hearers = listeners<AuditEvent>()

  const isFull = (): boolean => waitingChars > AUDIT_LIMITS.waitingCharsMax

  function append(event: AuditEvent, place: number | undefined): void {
    // A full disk: the log stops growing in memory, counts what it loses, and says so when it can write again.
    if (isFull() && place === undefined) {
      lost += 1
      return
    }
    const record = recordOf(event)
    const made = chainLine(record, head, place)
    head = made.head
    lines.push(made.line)
    waitingChars += made.line.length
    schedule()
    for (const tell of followers) tell({ number: head.records, record, line: made.line })
  }

  function schedule(): void {
    scheduled ??= setTimeout(write, AUDIT_LIMITS.writeDelayMs)
  }

  function takeOutbox(): void {
    behind = false
    for (;;) {
      // What the disk has no room for waits in the registry: it is not lost there.
      if (isFull()) {
        behind = true
        return
      }
      const events = outbox.waiting(position, AUDIT_LIMITS.outboxPage)
      for (const waiting of events) {
        append(waiting.event, waiting.position)
        hearers.tell(waiting.event)
        position = waiting.position
      }
      if (events.length < AUDIT_LIMITS.outboxPage) return
    }
  }

  function write(): void {
    clearTimeout(scheduled)
    scheduled = undefined
    if (closed) return
    for (const counted of gate.sweep(clock())) append(counted, undefined)
    if (!writeLines()) return
    if (lost > 0) {
      const count = lost
      lost = 0
      const lostEvent: AuditEvent = { kind: 'audit-lost', at: clock(), count }
      append(lostEvent, undefined)
      hearers.tell(lostEvent)
      if (!writeLines()) return
    }
    if (behind) takeOutbox()
    const since = clock() - headSavedAt
    // A clock that was set back must not keep the registry from learning of the head.
    if (since >= AUDIT_LIMITS.headDelayMs || since < 0) syncLater()
  }

  /** The disk takes its time: devices are not kept waiting for it, and the registry hears of it afterwards. */
  function syncLater(): void {
    if (syncing || isHeadSaved()) return
    syncing = true
    holders += 1
    headSavedAt = clock()
    const synced = { ...written, bytes }
    fsync(descriptor, (failure) => {
      syncing = false
      if (!closed && failure === null) saveHead(synced)
      release()
    })
  }

  function release(): void {
    holders -= 1
    if (holders === 0) closeSync(descriptor)
  }

  /** What is written by now, newest first. What is written meanwhile lies beyond the end, and is not asked for. */
  async function read<T>(limit: number, pick: (record: AuditRecord, line: string) => T | undefined): Promise<T[]> {
    if (closed) return []
    write()
    holders += 1
    try {
      return await backwards(descriptor, bytes, limit, pick)
    } finally {
      release()
    }
  }

  /** False when the disk fails: the registry then remembers what was on it before. */
  function syncNow(): boolean {
    try {
      fsyncSync(descriptor)
      return true
    } catch {
      return false
    }
  }

  function saveHeadNow(): void {
    if (!isHeadSaved() && syncNow()) saveHead({ ...written, bytes })
  }

  const isHeadSaved = (): boolean => written.head.records === savedRecords && written.position === savedPosition

  /** Writes what waits; false when the disk would not take it. */
  function writeLines(): boolean {
    clearTimeout(scheduled)
    scheduled = undefined
    if (lines.length > 0) {
      const text = Buffer.from(`${lines.join('\n')}\n`)
      try {
        writeAt(descriptor, text, bytes)
      } catch {
        degraded = true
        cutTo(descriptor, bytes)
        scheduled = setTimeout(write, AUDIT_LIMITS.retryMs)
        scheduled.unref()
        return false
      }
      bytes += text.length
      lines = []
      waitingChars = 0
      written = { head, position }
    }
    degraded = false
    return true
  }

  function saveHead(synced: { readonly head: ChainHead; readonly position: number; readonly bytes: number }): void {
    // A later head may have been saved while this one was being synced.
    if (synced.head.records < savedRecords) return
    try {
      outbox.saveHead({ ...synced.head, bytes: synced.bytes, position: synced.position })
    } catch {
      // The registry cannot write either. It will be told with the next records; until then its memory is short.
      return
    }
    headSavedAt = clock()
    savedRecords = synced.head.records
    savedPosition = synced.position
    saved = { number: synced.head.records, offset: synced.bytes }
    for (const tell of saving) tell()
  }
  let savedRecords = -1
  let savedPosition = -1
  let saved: LogPlace = { number: outbox.head().records, offset: outbox.head().bytes }
  const saving = new Set<() => void>()

  let reading: Promise<unknown> = Promise.resolve()
  let askedFor: Promise<AuditVerdict> | undefined

  async function verifyNext(): Promise<AuditVerdict> {
    await reading
    askedFor = undefined
    write()
    saveHeadNow()
    const verdict = verifyAuditFile(file, { ...outbox.head(), bytesNow: bytes })
    reading = verdict.catch(() => {})
    return verdict
  }

  const stopWaiting = outbox.onWaiting(takeOutbox)
  takeOutbox()
  // Counted refusals are written even when nothing follows them.
  const sweeping = setInterval(write, AUDIT_LIMITS.refusalWindowMs)
  sweeping.unref()

  return {
    get size() {
      return { records: written.head.records, bytes, waiting: waitingChars }
    },
    onEvent: hearers.add,
    get degraded() {
      return degraded
    },
    record(event) {
      if (closed) return
      hearers.tell(event)
      if (event.kind === 'refusal' && !gate.pass(event)) return
      append(event, undefined)
    },
    flush() {
      write()
      if (!isHeadSaved()) syncNow()
      return Promise.resolve()
    },
    async page(before, limit, pick) {
      if (closed) return { items: [] }
      write()
      if (before !== undefined && !isLineEnd(descriptor, before, bytes)) return undefined
      holders += 1
      try {
        return await pageBack(descriptor, before ?? bytes, limit, (record, line) => (pick(record, line) ? record : undefined))
      } finally {
        release()
      }
    },
    verify: () => (askedFor ??= verifyNext()),
    tail: async (count) => (await read(count, (record) => record)).toReversed(),
    refusals: (device, limit) => read(limit, (record) => refusalOf(record, device)),
    detections: (device, limit) => read(limit, (record) => detectionOf(record, device)),
    follow(listener) {
      followers.add(listener)
      return () => void followers.delete(listener)
    },
    get saved() {
      return saved
    },
    settle() {
      write()
      saveHeadNow()
    },
    onSaved(listener) {
      saving.add(listener)
      return () => void saving.delete(listener)
    },
    readOn: (place) => (closed ? [] : readOn(descriptor, place, saved)),
    walkBack: async (take) => void (await read(1, (record, line) => (take({ number: placeOf(record), record, line }) === 'enough' ? true : undefined))),
    close() {
      if (closed) return
      stopWaiting()
      clearInterval(sweeping)
      for (const counted of gate.sweep(Number.POSITIVE_INFINITY)) append(counted, undefined)
      write()
      // A last time for what `write` itself has brought up.
      writeLines()
      closed = true
      clearTimeout(scheduled)
      saveHeadNow()
      release()
    },
  }
}
