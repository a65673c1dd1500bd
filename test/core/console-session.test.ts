import { describe, expect, test } from 'vitest'
import { CONSOLE_LIMITS } from '../../src/console-limits.ts'
import { isLoopback, judgeLink, judgeSession, sessionEnds, type ConsoleSession } from '../../src/core/console-session.ts'

const T = 1_800_000_000_000
const session: ConsoleSession = { id: '00c0ffee', by: { kind: 'local' }, openedAt: T, seenAt: T, source: '127.0.0.1', agent: 'a browser' }
const here = { address: '127.0.0.1', forwarded: false, now: T }

describe('where a browser may be', () => {
  test.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])('%s is this machine', (address) => {
    expect(isLoopback(address)).toBe(true)
  })

  test.each(['', '10.0.0.1', '192.168.1.7', '128.0.0.1', '127.0.0.1.evil.example', '1127.0.0.1', '::ffff:10.0.0.1', '::127.0.0.1', 'fe80::1', '::2', 'localhost'])('%s is not', (address) => {
    expect(isLoopback(address)).toBe(false)
  })
})

describe('a link', () => {
  const link = { by: { kind: 'local' }, expiresAt: T + CONSOLE_LIMITS.linkMs } as const

  test('opens until its ten minutes are over, and not at the millisecond of their end', () => {
    expect(judgeLink({ ...here, link, now: link.expiresAt - 1 }).allow).toBe(true)
    expect(judgeLink({ ...here, link, now: link.expiresAt })).toEqual({ allow: false, reason: 'console-link-invalid' })
  })

  test('that is not known opens nothing', () => {
    expect(judgeLink({ ...here, link: undefined })).toEqual({ allow: false, reason: 'console-link-invalid' })
  })

  test('from afar, or through a proxy, is refused before anybody learns whether it is good', () => {
    for (const known of [link, undefined]) {
      expect(judgeLink({ ...here, link: known, address: '10.0.0.1' })).toMatchObject({ allow: false, reason: 'console-link-remote' })
      expect(judgeLink({ ...here, link: known, forwarded: true })).toMatchObject({ allow: false, reason: 'console-link-remote' })
    }
  })
})

describe('a session', () => {
  test('ends when nobody has done anything for its idle time', () => {
    expect(judgeSession({ ...here, session, now: T + CONSOLE_LIMITS.sessionIdleMs - 1 }).allow).toBe(true)
    expect(judgeSession({ ...here, session, now: T + CONSOLE_LIMITS.sessionIdleMs })).toEqual({ allow: false, reason: 'console-session-ended' })
  })

  test('ends after its longest time, however busy somebody is', () => {
    const busy = { ...session, seenAt: T + CONSOLE_LIMITS.sessionMs - 1 }
    expect(sessionEnds(busy)).toBe(T + CONSOLE_LIMITS.sessionMs)
    expect(judgeSession({ ...here, session: busy, now: T + CONSOLE_LIMITS.sessionMs - 1 }).allow).toBe(true)
    expect(judgeSession({ ...here, session: busy, now: T + CONSOLE_LIMITS.sessionMs }).allow).toBe(false)
  })

  test('is of no use on another machine', () => {
    expect(judgeSession({ ...here, session, address: '192.168.1.7' })).toMatchObject({ allow: false, reason: 'console-link-remote' })
    expect(judgeSession({ ...here, session, forwarded: true })).toMatchObject({ allow: false, reason: 'console-link-remote' })
  })
})
