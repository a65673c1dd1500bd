// Progress: one changing line on a terminal, a plain line now and then elsewhere.

import { describe, expect, test } from 'vitest'
import { SIM_LIMITS } from '../../../device-sim/limits.ts'
import { openProgress } from '../../../device-sim/report/progress.ts'

function watched(isTTY: boolean) {
  let now = 0
  let text = ''
  const stream = { isTTY, columns: 20, write: (chunk: string | Uint8Array) => ((text += String(chunk)), true) }
  const progress = openProgress(stream, () => now)
  return { progress, written: () => text, pass: (ms: number) => (now += ms) }
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

  test('words that are not shown are not asked for', () => {
    const { progress } = watched(false)
    progress.step('connecting')
    progress.status(() => expect.unreachable())
  })
})

describe('on a terminal', () => {
  test('one line changes, no longer than the terminal is wide, and is taken away at the end', () => {
    const { progress, written, pass } = watched(true)
    progress.step('connecting a great many devices')
    pass(SIM_LIMITS.progressMs)
    progress.status(() => '1 of 9\n')
    progress.clear()
    progress.clear()
    expect(written()).toBe('\r\u001B[2Kconnecting a great \r\u001B[2K1 of 9 \r\u001B[2K')
  })
})
