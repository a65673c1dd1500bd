// The operator's desk, the part about the audit log. The log itself is observe's; which records fit is judged in core.

import { fitsQuery, type AuditDesk } from './core/audit-desk.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { AuditLog } from './observe/audit-log.ts'

/** When nobody says how many. */
const PAGE = 100
/** A place in the log, as bytes. */
const CURSOR = /^\d{1,15}$/

export function openAuditDesk(audit: Pick<AuditLog, 'flush' | 'tail' | 'page' | 'verify'>): AuditDesk {
  return {
    async auditTail(count) {
      await audit.flush()
      return audit.tail(count)
    },
    async auditRecords({ after, limit = PAGE, ...query }) {
      if (after !== undefined && !CURSOR.test(after)) throw failureOf(deny('request-invalid', 'after is no place of the audit log'))
      await audit.flush()
      const page = await audit.page(after === undefined ? undefined : Number(after), limit, fitsQuery(query))
      if (page === undefined) throw failureOf(deny('request-invalid', 'after is no place of this audit log: begin at its end again'))
      const { items, next } = page
      return next === undefined ? { items } : { items, next: String(next) }
    },
    async auditVerify() {
      await audit.flush()
      return audit.verify()
    },
  }
}
