// Levels that an operator changes for a while: they end by themselves, once, whatever was changed in between; and each change is recorded.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AuditEvent } from '../src/core/audit.ts'
import { LOG_ROOMS, type Levels, type LogRoom } from '../src/core/log-levels.ts'
import { openLogDesk, openLogLevels, type LogLevels } from '../src/log-levels.ts'

const actor = { kind: 'local' } as const
let levels: LogLevels
let inForce: Levels | undefined
let audit: AuditEvent[]
beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
  inForce = undefined
  audit = []
  levels = openLogLevels({ log: { setLevels: (next) => { inForce = next } }, configured: 'info', record: (event) => void audit.push(event), clock: Date.now })
})
afterEach(() => {
  levels[Symbol.dispose]()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})
const at = (room: LogRoom): string => levels.shown().find((each) => each.room === room)?.level ?? ''
const said = (): readonly string[] => audit.map((event) => ('message' in event ? event.message : ''))

test('a part has its level until its time is over; the others keep theirs', () => {
  levels.change({ room: 'http', level: 'debug', forMs: 1_000 }, actor)
  expect([inForce?.http, inForce?.broker, levels.shown().find(({ room }) => room === 'http')?.until]).toEqual(['debug', 'info', 1_000])
  vi.advanceTimersByTime(999)
  expect(at('http')).toBe('debug')
  vi.advanceTimersByTime(1)
  expect([at('http'), inForce?.http]).toEqual(['info', 'info'])
  expect(audit.map(({ kind }) => kind)).toEqual(['log-level-changed', 'log-level-changed'])
  expect(audit).toMatchObject([{ actor: { kind: 'local' } }, { actor: { kind: 'system' } }])
  expect(said()).toEqual(['http: debug until 1970-01-01T00:00:01.000Z', 'http: info as configured, because its time is over'])
})

test('what is changed again has the time of the last change; the first one ends nothing', () => {
  levels.change({ level: 'debug', forMs: 1_000 }, actor)
  levels.change({ room: 'http', level: 'error', forMs: 5_000 }, actor)
  vi.advanceTimersByTime(1_000)
  expect([at('broker'), at('http')]).toEqual(['info', 'error'])
  vi.advanceTimersByTime(4_000)
  expect(at('http')).toBe('info')
  expect(said().slice(2)).toEqual([`${LOG_ROOMS.filter((room) => room !== 'http').join(', ')}: info as configured, because its time is over`, 'http: info as configured, because its time is over'])
})

test('a thousand changes leave one timer for each part', () => {
  for (let i = 0; i < 1_000; i++) levels.change({ room: LOG_ROOMS[i % LOG_ROOMS.length], level: 'debug', forMs: 86_400_000 }, actor)
  expect(vi.getTimerCount()).toBe(LOG_ROOMS.length)
})

test('the clock is set forward or back: the time that passes counts', () => {
  levels.change({ room: 'http', level: 'debug', forMs: 1_000 }, actor)
  vi.setSystemTime(999_999_999)
  vi.advanceTimersByTime(500)
  expect(at('http')).toBe('debug')
  vi.setSystemTime(0)
  vi.advanceTimersByTime(500)
  expect(at('http')).toBe('info')
})

test('a reset and a configuration that is read anew put all of them back, and say so where there was something', () => {
  levels.change({ level: 'debug', forMs: 1_000 }, actor)
  levels.reset(actor)
  levels.change({ room: 'pki', level: 'debug', forMs: 1_000 }, actor)
  levels.configure('warn', actor)
  expect(new Set(Object.values(inForce ?? {}))).toEqual(new Set(['warn']))
  levels.configure('warn', actor)
  levels.reset(actor)
  expect(said()).toEqual(['every room: debug until 1970-01-01T00:00:01.000Z', 'every room: info as configured, because somebody asked for it', 'pki: debug until 1970-01-01T00:00:01.000Z', 'pki: warn as configured, because the configuration was read anew'])
})

test('where no server runs there is nothing to change', async () => {
  await expect(openLogDesk(undefined, actor).changeLogLevel({ level: 'debug', forMs: 1 })).rejects.toMatchObject({ code: 'unreachable' })
})
