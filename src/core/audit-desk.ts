// What an operator asks of the audit log: its last records, all of them page by page, those that fit a search, and whether it is whole.

import type { AuditRecord, AuditVerdict } from './desk.ts'
import type { Page } from './registry.ts'

/** What is undefined is not asked for. */
export interface AuditQuery {
  /** The `next` of the page before. */
  readonly after?: string | undefined
  readonly limit?: number | undefined
  /** What happened: the event.action of the record. */
  readonly action?: string | undefined
  /** Of this device, or of who claimed to be it. */
  readonly device?: string | undefined
  /** Somewhere in what the record says; without regard to case. */
  readonly q?: string | undefined
}

export interface AuditDesk {
  auditTail(count: number): Promise<readonly AuditRecord[]>
  /** Newest first. A page may be short, and even empty, and not be the last. Reason: request-invalid, of a cursor that is none of this log. */
  auditRecords(query: AuditQuery): Promise<Page<AuditRecord>>
  auditVerify(): Promise<AuditVerdict>
}

/** Is this one of those that are asked for? `line`: the record as it stands in the log. */
export function fitsQuery({ action, device, q }: AuditQuery): (record: AuditRecord, line: string) => boolean {
  const wanted = q?.toLowerCase()
  // As JSON writes it: lines without it are not even looked into.
  const written = wanted === undefined ? undefined : JSON.stringify(wanted).slice(1, -1)
  return (record, line) =>
    (action === undefined || fieldAt(record, 'event', 'action') === action)
    && (device === undefined || fieldAt(record, 'device', 'id') === device || fieldAt(record, 'detail', 'claimed') === device)
    && (wanted === undefined || written === undefined || (line.toLowerCase().includes(written) && says(record, wanted)))
}

/** The field `outer.inner` of a record, where it is one word or number. */
export function fieldAt(record: AuditRecord, outer: string, inner: string): string | undefined {
  const part = record[outer]
  const found: unknown = typeof part === 'object' && part !== null ? new Map<string, unknown>(Object.entries(part)).get(inner) : undefined
  return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined
}

/** Does one of its values have this text? The names of fields are ours, and nobody looks for them. Records are a few levels deep. */
function says(value: unknown, wanted: string): boolean {
  if (typeof value === 'string' || typeof value === 'number') return String(value).toLowerCase().includes(wanted)
  return typeof value === 'object' && value !== null && Object.values(value).some((part) => says(part, wanted))
}
