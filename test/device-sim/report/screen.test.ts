// Lines that are drawn anew in their place: whatever the terminal does meanwhile, what stood above them stays, and nothing of them.

import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { canDraw, openScreen, type Line } from '../../../device-sim/report/screen.ts'
import { openTerminal } from '../terminal.ts'

function opened(columns: number, rows = 10) {
  const terminal = openTerminal(columns)
  const events = new EventEmitter()
  const stream = { isTTY: true, columns, rows, write: (chunk: string | Uint8Array) => (terminal.write(String(chunk)), true), on: events.on.bind(events), off: events.off.bind(events) }
  const screen = openScreen(stream, (_, text) => `\u001B[1m${text}\u001B[0m`)
  terminal.write('$ npm run sim\n')
  return { terminal, stream, screen, events }
}
const lines = (...texts: readonly string[]) => (): readonly Line[] => texts.map((text) => [text])

test('the next picture stands where the last one stood, and is taken away with the cursor given back', () => {
  const { terminal, screen } = opened(30)
  screen.draw(lines('one', 'two', 'three'))
  expect([terminal.lines, terminal.cursor]).toEqual([['$ npm run sim', 'one', 'two', 'three'], false])
  screen.draw(lines('four', 'five'))
  expect(terminal.lines).toEqual(['$ npm run sim', 'four', 'five'])
  screen.close()
  terminal.write('the summary\n')
  expect([terminal.lines, terminal.cursor]).toEqual([['$ npm run sim', 'the summary', ''], true])
})

test('a line is cut at the width of the terminal, after the letters that take two places were counted', () => {
  const { terminal, screen } = opened(12)
  screen.draw(() => [['ab', { text: 'cdefghijklmn', style: 'bold' }, 'never'], ['工場の温度計'], ['fits in it!']])
  expect(terminal.lines).toEqual(['$ npm run si', 'm', 'abcdefghij…', '工場の温度…', 'fits in it!'])
  expect(terminal.colours).toBe(2)
})

test('what a server said does not move the cursor', () => {
  const { terminal, screen } = opened(30)
  screen.draw(lines('a\u001B[5A\nb'))
  expect(terminal.lines).toEqual(['$ npm run sim', 'a [5A b'])
})

test('a terminal that is low shows what stands on top', () => {
  const { terminal, screen } = opened(30, 3)
  screen.draw(lines('one', 'two', 'three', 'four'))
  expect(terminal.lines).toEqual(['$ npm run sim', 'one', 'two'])
})

describe('when its size changes', () => {
  test('the picture is drawn for it at once, and nothing of the broken lines stays', () => {
    const { terminal, stream, screen, events } = opened(30)
    screen.draw(({ columns }) => [[`${columns} wide, and so long`], ['two']])
    terminal.narrow(14)
    stream.columns = 14
    events.emit('resize')
    expect(terminal.lines).toEqual(['$ npm run sim', '14 wide, and…', 'two'])
    screen.close()
    expect(terminal.lines).toEqual(['$ npm run sim', ''])
  })

  test('after the end nobody listens any more', () => {
    const { terminal, screen, events } = opened(30)
    const listening = (): readonly number[] => ['exit', 'SIGTSTP', 'SIGCONT'].map((event) => process.listenerCount(event))
    const before = listening()
    screen.draw(lines('one'))
    expect(listening()).toEqual(before.map((count) => count + 1))
    screen.close()
    expect([events.listenerCount('resize'), listening()]).toEqual([0, before])
    events.emit('resize')
    expect(terminal.lines).toEqual(['$ npm run sim', ''])
  })
})

test('a terminal that cannot move its cursor is none', () => {
  expect([canDraw({ isTTY: true }, 'xterm'), canDraw({ isTTY: true }, undefined), canDraw({ isTTY: true }, 'dumb'), canDraw({ isTTY: false }, 'xterm')]).toEqual([true, true, false, false])
})
