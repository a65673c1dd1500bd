// The program's own log, for the person who runs it: pino on stderr behind a small interface. Each part of the program speaks under its
// name, at a level of its own. Secrets have no way in: fields of these names are never printed. What a peer had a hand in forges no line,
// moves no cursor and fills no disk: it is cut, and its control and direction characters are escaped.

import { pino } from 'pino'
import { harmless } from '../core/ids.ts'
import { LOG_ROOMS, type Levels, type LogLevel, type LogRoom } from '../core/log-levels.ts'
import type { Trace } from '../core/trace.ts'
import { LOG_LIMITS } from '../observe-limits.ts'

export type LogFields = Readonly<Record<string, unknown>>
export type Say = (level: LogLevel, fields: LogFields, message: string) => void

const SECRETS = ['key', 'password', 'passphrase', 'token', 'secret'].flatMap((name) => [name, `*.${name}`])

export interface OpenLog {
  /** How this part of the program speaks. */
  of(room: LogRoom): Say
  /** From here on; what is below its level is not said. */
  setLevels(levels: Levels): void
}

/** One JSON line per message on stderr. */
export function openLog(levels: Levels): OpenLog {
  const root = pino({ level: 'debug', redact: { paths: SECRETS, censor: '(secret)' }, base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks: { streamWrite: harmless } }, pino.destination({ dest: 2, sync: true }))
  const rooms = new Map(LOG_ROOMS.map((room) => [room, { log: root.child({ room }, { level: levels[room] }), spent: openSpent() }]))
  return {
    of(room) {
      const at = rooms.get(room)
      return (level, fields, message) => {
        if (at?.log.isLevelEnabled(level) !== true) return
        const left = level === 'debug' ? at.spent() : 0
        if (left === 'spent') return
        if (left > 0) at.log.warn({ lines: left }, 'more was to be said at debug than is written in a second')
        at.log[level](short(fields), message)
      }
    },
    setLevels(next) {
      for (const [room, { log }] of rooms) log.level = next[room]
    },
  }
}

/** Says each span at debug, in the part of the program that it is of: what came of each connection, each enrollment, each revocation. */
export function traceTo(log: OpenLog, trace: Trace): Trace {
  const says = { connect: log.of('broker'), enroll: log.of('enroll'), revoke: log.of('server') }
  return (span) => {
    const { name, begunAt, endedAt, attributes, reason } = span
    says[name]('debug', { ...attributes, ms: endedAt - begunAt, ...(reason === undefined ? {} : { reason }) }, reason === undefined ? name : `${name}: refused`)
    trace(span)
  }
}

/** A text of somebody else's may be as long as it likes. */
function short(fields: LogFields): LogFields {
  const long = Object.entries(fields).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1].length > LOG_LIMITS.fieldCharsMax)
  return long.length === 0 ? fields : { ...fields, ...Object.fromEntries(long.map(([name, text]) => [name, `${text.slice(0, LOG_LIMITS.fieldCharsMax)}…(${text.length} characters)`])) }
}

/** Lines are written at once, on the loop that carries messages: of what strangers can cause, no more than so many in a second. How many were left out since the last time it was asked, or 'spent'. */
function openSpent(): () => number | 'spent' {
  let second = 0
  let said = 0
  let leftOut = 0
  return () => {
    const now = Math.floor(performance.now() / 1_000)
    if (now !== second) [second, said] = [now, 0]
    if (++said > LOG_LIMITS.debugLinesPerSecondMax) {
      leftOut++
      return 'spent'
    }
    const before = leftOut
    leftOut = 0
    return before
  }
}
