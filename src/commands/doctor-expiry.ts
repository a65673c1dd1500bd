// doctor's look at what expires beside the files of the home: OCSP responders, CRLs, cross-certificates, and devices that should have renewed.

import { isNear, isOverdue, type ExpiryKind } from '../core/expiry.ts'
import { SallyportError } from '../core/errors.ts'
import { REGISTRY_LIMITS } from '../limits.ts'
import { EXPIRY_LIMITS } from '../renewal-limits.ts'
import { time, withDesk, type CommonOptions } from './context.ts'

const OTHERS: readonly ExpiryKind[] = ['ocsp-responder', 'crl', 'cross']
const FIX: Readonly<Partial<Record<ExpiryKind, string>>> = {
  'ocsp-responder': 'A running server issues it anew once a day: see its log for why it did not, and restart it.',
  'crl': 'A running server publishes it: see its log for why it did not. That of a root needs the root\'s key in the home.',
  'cross': 'Go on with the rotation: sallyport ca rotate.',
}

/** What is published, and what answers for it. */
export async function publishedLife(options: CommonOptions): Promise<string> {
  return withDesk(options, async (desk) => {
    const now = Date.now()
    const { items } = await desk.expiring({ withinMs: EXPIRY_LIMITS.warnMs, limit: 1 })
    for (const { kind, name, notBefore, notAfter } of items) {
      const own = OTHERS.find((each) => each === kind)
      if (own === undefined || !isNear({ kind: own, notBefore, notAfter }, now)) continue
      const fix = FIX[own]
      throw new SallyportError('certificate-unusable', `${name} ${notAfter <= now ? 'ended' : 'ends'} ${time(notAfter)}.`, fix === undefined ? {} : { fix })
    }
    return 'none ends before it is renewed'
  })
}

/** Devices that should have renewed by now, page by page. */
export async function fleetLife(options: CommonOptions): Promise<string> {
  return withDesk(options, async (desk) => {
    let [overdue, after]: [number, string | undefined] = [0, undefined]
    let soonest: number | undefined
    do {
      const page = await desk.expiring({ withinMs: EXPIRY_LIMITS.warnMs, after, limit: REGISTRY_LIMITS.pageSizeMax })
      for (const { kind, notBefore, notAfter } of page.items) {
        if (kind !== 'device' || !isOverdue({ notBefore, notAfter }, Date.now())) continue
        overdue += 1
        soonest ??= notAfter
      }
      after = page.next
    } while (after !== undefined)
    if (soonest !== undefined) throw new SallyportError('certificate-unusable', `${overdue} certificate${overdue === 1 ? '' : 's'} of devices should have been renewed by now, and ${overdue === 1 ? 'ends' : 'the first ends'} ${time(soonest)}.`, { fix: 'See whose: sallyport cert expiring. Ask them: sallyport cert renew --group G.' })
    return 'none is overdue for renewal'
  })
}
