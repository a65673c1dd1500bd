// Progress: lines that change on a terminal, a plain line now and then elsewhere.

import { describe, expect, test } from 'vitest'
import { SIM_LIMITS } from '../../../device-sim/limits.ts'
import { openProgress } from '../../../device-sim/report/progress.ts'
import { openTerminal } from '../terminal.ts'

function watched(isTTY: boolean, term = 'xterm') {
  const terminal = openTerminal(20)
  let now = 0
  let text = ''
  const write = (chunk: string | Uint8Array): boolean => {
    text += String(chunk)
    terminal.write(String(chunk))
    return true
  }
  const progress = openProgress({ isTTY, columns: 20, rows: 10, write, on: () => {}, off: () => {} }, { term, clock: () => now })
  return { progress, terminal, written: () => text, pass: (ms: number) => (now += ms) }
}

describe('without a terminal', () => {
  test('steps are lines, and how far it is comes now and then', () => {
    const { progress, written, pass } = watched(false)
    progress.step('connecting')
    progress.status(() => '1 of 9')
    pass(SIM_LIMITS.progressPlainMs - 1)
    progress.status(() => '2 of 9')
    pass(1)
    progress.status(() => '3 of 9')
    progress.clear()
    expect(written()).toBe('connecting\n3 of 9\n')
  })

  test('the same is not said twice', () => {
    const { progress, written, pass } = watched(false)
    for (const text of ['1 of 9', '1 of 9', '2 of 9']) {
      pass(SIM_LIMITS.progressPlainMs)
      progress.status(() => text)
    }
    expect(written()).toBe('1 of 9\n2 of 9\n')
  })

  test('words that are not shown are not asked for', () => {
    const { progress } = watched(false)
    progress.step('connecting')
    progress.status(() => expect.unreachable())
  })
})

describe('on a terminal', () => {
  test('one line changes, no longer than the terminal is wide, and is taken away at the end', () => {
    const { progress, terminal, pass } = watched(true)
    progress.step('connecting a great many devices')
    expect(terminal.lines).toEqual(['connecting a great…'])
    pass(SIM_LIMITS.progressMs)
    progress.status(() => '1 of 9\n')
    expect(terminal.lines).toEqual(['1 of 9'])
    progress.clear()
    progress.clear()
    expect([terminal.lines, terminal.cursor]).toEqual([[''], true])
  })

  test('a picture takes the place of the line, and a step is not drawn over it', () => {
    const { progress, terminal, pass } = watched(true)
    progress.step('connecting')
    pass(SIM_LIMITS.progressMs)
    progress.status(() => expect.unreachable(), () => [['phase 1'], ['9 of 9']])
    progress.step('phase 1')
    expect(terminal.lines).toEqual(['phase 1', '9 of 9'])
    progress.clear()
    progress.step('the end')
    expect(terminal.lines).toEqual(['the end'])
    progress.clear()
  })

  test('that cannot move its cursor, lines are plain, and pictures are not asked for', () => {
    const { progress, written, pass } = watched(true, 'dumb')
    progress.step('connecting')
    pass(SIM_LIMITS.progressPlainMs)
    progress.status(() => '1 of 9', () => expect.unreachable())
    progress.clear()
    expect(written()).toBe('connecting\n1 of 9\n')
  })
})
