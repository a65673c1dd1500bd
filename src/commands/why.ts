// sallyport why DEVICE: the last refusals in words, with the fix.

import { parseDeviceId } from '../core/ids.ts'
import { print, required, time, withDesk, type CommonOptions } from './context.ts'

export async function why(id: string, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk) => {
    const answer = await desk.why(device)
    print(options, answer, () =>
      answer.refusals.length === 0
        ? `${device} was not refused, as far as the audit log goes back.`
        : answer.refusals
            .map((r) => {
              const about = [r.claimed === true ? 'somebody who claimed to be this device' : undefined, r.topic === undefined ? undefined : `topic ${r.topic}`, r.clientId === undefined ? undefined : `client id ${r.clientId}`, r.source === undefined ? undefined : `from ${r.source}`, r.rule === undefined ? undefined : `rule ${r.rule}${r.ruleAt === undefined ? '' : ` at ${r.ruleAt}`}`, r.detail].filter((x) => x !== undefined)
              return `${time(r.at)}  ${r.sentence}${r.count === undefined ? '' : ` (${r.count} times)`}\n  step ${r.step}, reason ${r.reason}${about.length === 0 ? '' : `; ${about.join(', ')}`}\n  fix: ${r.fix}`
            })
            .join('\n'),
    )
  })
}
