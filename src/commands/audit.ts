// sallyport audit tail | list | verify.

import { SallyportError } from '../core/errors.ts'
import { EXIT } from '../vocabulary.ts'
import { fieldAt } from '../core/audit-desk.ts'
import type { AuditRecord } from '../core/desk.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { print, table, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'

export async function tail(options: CommonOptions & { readonly count: string }): Promise<void> {
  const count = Number(options.count)
  if (!Number.isInteger(count) || count < 1 || count > AUDIT_LIMITS.tailRecordsMax) throw new SallyportError('usage', `--count takes a number from 1 to ${AUDIT_LIMITS.tailRecordsMax}.`)
  await withDesk(options, async (desk) => {
    const items = await desk.auditTail(count)
    print(options, { items }, () => items.map((record) => JSON.stringify(record)).join('\n'))
  })
}

interface ListOptions extends CommonOptions {
  readonly action?: string
  readonly device?: string
  readonly find?: string
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.auditRecords({ action: options.action, device: options.device, q: options.find, after: options.after, limit })
    print(options, page, () => {
      const rows = page.items.length === 0 ? 'No record of this part of the log fits.' : table([['RECORD', 'TIME', 'WHAT', 'WHO', 'ABOUT', 'WORDS'], ...page.items.map(rowOf)])
      return page.next === undefined ? rows : `${rows}\nmore: --after ${page.next}`
    })
  })
}

function rowOf(record: AuditRecord): readonly string[] {
  const at = (outer: string, inner: string): string => fieldAt(record, outer, inner) ?? ''
  const first = (...words: readonly string[]): string => words.find((word) => word !== '') ?? ''
  const time = record['@timestamp']
  return [at('sallyport', 'seq'), typeof time === 'string' ? time : '', at('event', 'action'), first(at('user', 'full_name'), at('user', 'name')), first(at('device', 'id'), at('detail', 'claimed')), first(at('event', 'reason'), at('detail', 'text'))]
}

export async function verify(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const verdict = await desk.auditVerify()
    print(options, verdict, () =>
      verdict.intact ? `The audit log is intact: ${verdict.records} records.` : `The audit log is NOT intact: line ${verdict.firstBad?.line ?? 0}: ${verdict.firstBad?.problem ?? 'unknown'}.`,
    )
    if (!verdict.intact) process.exitCode = EXIT.failed
  })
}
