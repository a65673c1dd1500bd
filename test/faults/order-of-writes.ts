// In which order a server wrote: was the registry's log on the disk when a certificate left? A kill cannot show it, for what was
// written is in the memory of the system even if nobody synced it; the order of the calls can.

import { serialsAsked } from './injection.ts'

/** More than a refusal in words, less than a certificate, as TLS carries them. */
const CERTIFICATE_BYTES = 800

interface Call {
  readonly thread: string
  readonly call: string
  /** What the first descriptor is open on. */
  readonly on: string
  readonly bytes: number
  /** Undefined while it is under way. */
  readonly result: string | undefined
}

/**
 * Answers as long as a certificate that left `port` while the last write to `log` was not synced, or since something was to be signed
 * nothing was: the lines that say so.
 */
export function earlyAnswers(lines: readonly string[], log: string, port: number): readonly string[] {
  const underWay = new Map<string, Call>()
  let unsynced = false
  return lines.filter((line) => {
    const call = callOf(line, underWay)
    if (call === undefined) return false
    // Whoever has a signature owes a record of it.
    if ((call.on === log && call.call === 'pwrite64') || serialsAsked([line]).length > 0) unsynced = true
    if (call.on === log && SYNCS.includes(call.call) && call.result === '0') unsynced = false
    return unsynced && call.call === 'write' && call.bytes >= CERTIFICATE_BYTES && call.result !== undefined && !call.result.startsWith('-') && call.on.includes(`:${port}->`)
  })
}

const SYNCS: readonly string[] = ['fsync', 'fdatasync']

/** One line is a whole call, its beginning, or its end; of the last two the other half is looked up. */
function callOf(line: string, underWay: Map<string, Call>): Call | undefined {
  const [, ended, result] = /^(\d+) +<\.\.\. \w+ resumed>.*\) += (\S+)/.exec(line) ?? []
  if (ended !== undefined && result !== undefined) {
    const begun = underWay.get(ended)
    underWay.delete(ended)
    return begun && { ...begun, result }
  }
  // The name of a descriptor ends at ">" before a comma or a bracket: that of a socket has another one in it.
  const [, thread, call, on, rest = ''] = /^(\d+) +(\w+)\(\d+<(.*?)>(?=[,)]| <unfinished)(.*)$/.exec(line) ?? []
  if (thread === undefined || call === undefined || on === undefined) return undefined
  const made: Call = { thread, call, on, bytes: Number(/, (\d+)(?:, \d+)?(?:\)| <unfinished)/.exec(rest)?.[1] ?? 0), result: /\) += (\S+)/.exec(rest)?.[1] }
  if (made.result !== undefined) return made
  underWay.set(thread, made)
  // A write is dirty from its beginning.
  return made
}
