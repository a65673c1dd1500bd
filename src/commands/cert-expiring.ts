// sallyport cert expiring: what ends soon, of the organisation's own and of devices, soonest first. Exit code 1 where something does that
// does not renew itself.

import { isNear, type ExpiryKind } from '../core/expiry.ts'
import { parseGroupName } from '../core/ids.ts'
import type { ExpiringPage, ExpiringShown } from '../core/renewal-desk.ts'
import { EXPIRY_LIMITS } from '../renewal-limits.ts'
import { EXIT } from '../vocabulary.ts'
import { print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'
import { readDuration } from './duration.ts'

interface ExpiringOptions extends CommonOptions {
  readonly within: string
  readonly group?: string
  readonly after?: string
  readonly limit?: string
}

export async function expiring(options: ExpiringOptions): Promise<void> {
  const withinMs = readDuration('--within', options.within, EXPIRY_LIMITS.withinMsMax)
  const group = options.group === undefined ? undefined : required(parseGroupName(options.group))
  const limit = limitOf(options.limit)
  await withDesk(options, async (desk) => {
    const page = await desk.expiring({ withinMs, group, after: options.after, limit })
    const now = Date.now()
    const items = page.items.map((item) => ({ ...item, remark: remarkOf(item, now) }))
    print(options, { ...page, items }, () => textOf(page, items, options.within))
    // A page may hold none of those that are counted.
    if ((page.counted?.devices ?? 0) > 0 || items.some(({ remark }) => remark !== SELF)) process.exitCode = EXIT.failed
  })
}

const SELF = 'renews itself'
const SELF_KINDS: readonly ExpiryKind[] = ['server', 'operator', 'ocsp-responder', 'crl']
const selfKind = (kind: ExpiringShown['kind']): ExpiryKind | undefined => SELF_KINDS.find((each) => each === kind)

function remarkOf({ kind, notBefore, notAfter, nextWaits }: ExpiringShown, now: number): string {
  const self = selfKind(kind)
  if (notAfter <= now) return 'has ended'
  if (self !== undefined) return isNear({ kind: self, notBefore, notAfter }, now) ? 'should have renewed itself' : SELF
  return nextWaits === true ? 'its next one waits for its first use' : '-'
}

function textOf({ counted, next }: ExpiringPage, items: readonly (ExpiringShown & { readonly remark: string })[], within: string): string {
  const rows = items.map(({ kind, name, serial, notAfter, remark }) => [time(notAfter), kind, name, serial ?? '-', remark])
  const head = counted === undefined ? [] : [`Within ${within}: ${counted.devices} certificate${counted.devices === 1 ? '' : 's'} of devices, ${counted.own} of the organisation's own.`]
  return [...head, ...(rows.length === 0 ? [] : [table([['EXPIRES', 'KIND', 'NAME', 'SERIAL', 'REMARK'], ...rows])]), ...(next === undefined ? [] : [`more: --after ${next}`])].join('\n')
}
