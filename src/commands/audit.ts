// sallyport audit tail | verify.

import { SallyportError } from '../core/errors.ts'
import { EXIT } from '../vocabulary.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { print, withDesk, type CommonOptions } from './context.ts'

export async function tail(options: CommonOptions & { readonly count: string }): Promise<void> {
  const count = Number(options.count)
  if (!Number.isInteger(count) || count < 1 || count > AUDIT_LIMITS.tailRecordsMax) throw new SallyportError('usage', `--count takes a number from 1 to ${AUDIT_LIMITS.tailRecordsMax}.`)
  await withDesk(options, async (desk) => {
    const items = await desk.auditTail(count)
    print(options, { items }, () => items.map((record) => JSON.stringify(record)).join('\n'))
  })
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
