// sallyport why DEVICE: the last refusals in words, with the fix, and what the detection ladder did about it.

import type { DetectionSeen, RefusalSeen, Why } from '../core/desk.ts'
import { parseDeviceId } from '../core/ids.ts'
import { print, required, time, withDesk, type CommonOptions } from './context.ts'

export async function why(id: string, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk) => {
    const answer = await desk.why(device)
    print(options, answer, () => lines(answer).join('\n'))
  })
}

/** Newest first, refusals and steps of the ladder among each other. */
function lines({ device, refusals, detections }: Why): readonly string[] {
  if (refusals.length + detections.length === 0) return [`${device} was not refused, as far as the audit log goes back.`]
  return [...refusals.map((refusal) => ({ at: refusal.at, text: ofRefusal(refusal) })), ...detections.map((step) => ({ at: step.at, text: ofStep(device, step) }))]
    .toSorted((a, b) => b.at - a.at)
    .map(({ at, text }) => `${time(at)}  ${text}`)
}

function ofRefusal(r: RefusalSeen): string {
  const about = [r.claimed === true ? 'somebody who claimed to be this device' : undefined, r.topic === undefined ? undefined : `topic ${r.topic}`, r.clientId === undefined ? undefined : `client id ${r.clientId}`, r.source === undefined ? undefined : `from ${r.source}`, r.door === 'https-publish' ? 'published over HTTPS' : undefined, r.rule === undefined ? undefined : `rule ${r.rule}${r.ruleAt === undefined ? '' : ` at ${r.ruleAt}`}`, r.detail].filter((x) => x !== undefined)
  return `${r.sentence}${r.count === undefined ? '' : ` (${r.count} times)`}\n  step ${r.step}, reason ${r.reason}${about.length === 0 ? '' : `; ${about.join(', ')}`}\n  fix: ${r.fix}`
}

function ofStep(device: string, { from, to, because, until, fix }: DetectionSeen): string {
  const end = to === 'none' ? '' : until === undefined ? ', until it is cleared' : `, until ${time(until)} unless it goes on`
  const way = `To take it off the ladder: sallyport detection clear ${device}.`
  return `${because}\n  detection: from ${from} to ${to}${end}${fix === undefined ? '' : `\n  fix: ${fix} ${way}`}`
}
