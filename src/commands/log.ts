// sallyport log level | show | reset: how much the running server says in its log.

import type { LogLevel, LogLevelShown, LogRoom } from '../core/log-levels.ts'
import { LOG_LIMITS } from '../observe-limits.ts'
import { print, table, time, withDesk, type CommonOptions } from './context.ts'
import { readDuration } from './duration.ts'

export async function level(to: LogLevel, options: CommonOptions & { readonly room?: LogRoom; readonly for?: string }): Promise<void> {
  const forMs = options.for === undefined ? LOG_LIMITS.changedMs : readDuration('--for', options.for, LOG_LIMITS.changedMsMax)
  await withDesk(options, async (desk) => {
    const items = await desk.changeLogLevel({ level: to, room: options.room, forMs })
    const until = items.find(({ room }) => options.room === undefined || room === options.room)?.until ?? 0
    print(options, { items }, () => `${options.room ?? 'every room'}: ${to} until ${time(until)}, then ${items[0]?.configured ?? ''} again`)
  })
}

export async function show(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.logLevels()
    print(options, { items }, () => table([['ROOM', 'LEVEL', 'UNTIL', 'CONFIGURED'], ...items.map(row)]))
  })
}

const row = ({ room, level: at, configured, until }: LogLevelShown): readonly string[] => [room, at, until === undefined ? '-' : time(until), configured]

export async function reset(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.resetLogLevels()
    print(options, { items }, () => `every room: ${items[0]?.configured ?? ''}, as configured`)
  })
}
