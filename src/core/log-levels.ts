// How much the program says of itself: the levels, the parts of it that have one of their own, and which level each has at a moment.

import type { EpochMs } from './ids.ts'

/** From what is said always to what is said only when somebody looks for something. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** The parts of the program by the names under which they speak (`room` in each line). */
export const LOG_ROOMS = ['server', 'broker', 'enroll', 'http', 'pki', 'signer', 'store', 'detection', 'renewal', 'webhooks', 'observe'] as const
export type LogRoom = (typeof LOG_ROOMS)[number]

export type Levels = Readonly<Record<LogRoom, LogLevel>>

export interface LogOrder {
  /** All, where none is named. */
  readonly room?: LogRoom | undefined
  readonly level: LogLevel
  /** How long it holds; then the configuration's level is back. */
  readonly forMs: number
}

export interface LogLevelShown {
  readonly room: LogRoom
  readonly level: LogLevel
  /** What it comes back to. */
  readonly configured: LogLevel
  /** Absent where the level is the configuration's. */
  readonly until?: EpochMs
}

/** Where no server runs, all of it fails with 'unreachable': what has ended says nothing more. */
export interface LogDesk {
  logLevels(): Promise<readonly LogLevelShown[]>
  /** In force when it resolves. */
  changeLogLevel(order: LogOrder): Promise<readonly LogLevelShown[]>
  /** The configuration's levels, at once. */
  resetLogLevels(): Promise<readonly LogLevelShown[]>
}

/** The same level for every room. */
export function levelsOf(level: LogLevel): Levels {
  return Object.fromEntries(LOG_ROOMS.map((room) => [room, level])) as Levels
}
