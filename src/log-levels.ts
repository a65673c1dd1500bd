// The levels of the log in a running server: what the configuration says, and what an operator has changed for a while. A change ends by
// itself, so that nobody has to remember it; every one is audited, and so is its end.

import type { Actor, AuditEvent } from './core/audit.ts'
import { SallyportError } from './core/errors.ts'
import { LOG_ROOMS, type Levels, type LogDesk, type LogLevel, type LogLevelShown, type LogOrder, type LogRoom } from './core/log-levels.ts'

export interface LogLevelPorts {
  readonly log: { setLevels(levels: Levels): void }
  readonly configured: LogLevel
  readonly record: (event: AuditEvent) => void
  readonly clock: () => number
}

export interface LogLevels extends Disposable {
  shown(): readonly LogLevelShown[]
  change(order: LogOrder, actor: Actor): readonly LogLevelShown[]
  /** Back to the configuration's. */
  reset(actor: Actor): readonly LogLevelShown[]
  /** The configuration was read anew: all levels are its own, whatever was changed before. */
  configure(level: LogLevel, actor: Actor): void
}

interface Changed {
  readonly level: LogLevel
  readonly until: number
  /** Ends it, with the other rooms of the same order. */
  readonly timer: NodeJS.Timeout
}

export function openLogLevels({ log, configured: first, record, clock }: LogLevelPorts): LogLevels {
  let configured = first
  const changed = new Map<LogRoom, Changed>()

  const levelOf = (room: LogRoom): LogLevel => changed.get(room)?.level ?? configured
  const apply = (): void => log.setLevels(Object.fromEntries(LOG_ROOMS.map((room) => [room, levelOf(room)])) as Levels)

  /** Takes the changes of these rooms back. A timer that ends nothing any longer is no longer awaited. */
  function drop(rooms: readonly LogRoom[]): readonly LogRoom[] {
    const held = rooms.filter((room) => changed.has(room))
    for (const room of held) {
      const timer = changed.get(room)?.timer
      changed.delete(room)
      if (![...changed.values()].some((other) => other.timer === timer)) clearTimeout(timer)
    }
    return held
  }

  function note(rooms: readonly LogRoom[], message: string, actor: Actor): void {
    const named = rooms.length === LOG_ROOMS.length ? 'every room' : rooms.join(', ')
    record({ kind: 'log-level-changed', at: clock(), message: `${named}: ${message}`, actor })
  }

  const back = (rooms: readonly LogRoom[], because: string, actor: Actor): void => {
    const ended = drop(rooms)
    apply()
    if (ended.length > 0) note(ended, `${configured} as configured, ${because}`, actor)
  }

  const shown = (): readonly LogLevelShown[] => LOG_ROOMS.map((room) => {
    const until = changed.get(room)?.until
    return { room, level: levelOf(room), configured, ...(until === undefined ? {} : { until }) }
  })

  return {
    shown,
    change({ room, level, forMs }, actor) {
      const rooms = room === undefined ? LOG_ROOMS : [room]
      drop(rooms)
      const until = clock() + forMs
      // By the time that passes, and not by a clock that somebody may set.
      const timer = setTimeout(() => back(rooms.filter((each) => changed.get(each)?.timer === timer), 'because its time is over', { kind: 'system' }), forMs)
      timer.unref()
      for (const each of rooms) changed.set(each, { level, until, timer })
      note(rooms, `${level} until ${new Date(until).toISOString()}`, actor)
      apply()
      return shown()
    },
    reset(actor) {
      back(LOG_ROOMS, 'because somebody asked for it', actor)
      return shown()
    },
    configure(level, actor) {
      configured = level
      back(LOG_ROOMS, 'because the configuration was read anew', actor)
    },
    [Symbol.dispose]: () => void drop(LOG_ROOMS),
  }
}

/** `levels` is undefined where no server runs. */
export function openLogDesk(levels: LogLevels | undefined, actor: Actor): LogDesk {
  const need = (): LogLevels => {
    if (levels === undefined) throw new SallyportError('unreachable', 'No server runs in this home: nothing is said.', { fix: 'What the next start says: log.level in sallyport.yaml.' })
    return levels
  }
  return {
    logLevels: async () => need().shown(),
    changeLogLevel: async (order) => need().change(order, actor),
    resetLogLevels: async () => need().reset(actor),
  }
}
