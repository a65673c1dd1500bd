// sallyport detection list | clear: who is on the ladder and why, and the way back off it.

import type { OnRung } from '../core/detection/ladder.ts'
import type { DetectionCleared } from '../core/desk.ts'
import { parseDeviceId } from '../core/ids.ts'
import { print, required, table, time, withDesk, type CommonOptions } from './context.ts'

export async function list(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.detections()
    print(options, { items }, () => (items.length === 0 ? 'Nobody is on the detection ladder.' : table([['DEVICE', 'RUNG', 'SINCE', 'UNTIL', 'WHY'], ...items.map(row)])))
  })
}

/** What has no end by itself is taken back by a person. */
function row({ device, rung, since, until, because }: OnRung): readonly string[] {
  return [device, rung, time(since), until === undefined ? 'cleared' : time(until), because]
}

export async function clear(id: string, options: CommonOptions): Promise<void> {
  const device = required(parseDeviceId(id))
  await withDesk(options, async (desk) => {
    const cleared = await desk.clearDetection(device)
    print(options, cleared, () => said(cleared))
  })
}

function said({ device, was, undone, state }: DetectionCleared): string {
  const found = was === 'none' ? `${device} was on no rung` : `${device} was on ${was}, and is on no rung now`
  if (undone) return `${found}; it is ${state} again.`
  return state === 'active' ? `${found}.` : `${found}. That it is ${state} is not the ladder's doing, and stays: sallyport device resume ${device}.`
}
