// `npm run sim` in a terminal that is one: a pseudo terminal of `script`, from util-linux. What a person sees while a scenario is played,
// and what is left on the terminal when it is over, interrupted, or has died.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { has } from '../e2e/program.ts'
import { openTerminal } from './terminal.ts'

const LAUNCH = path.resolve(import.meta.dirname, '../../device-sim/launch.cjs')
const SCREEN = path.resolve(import.meta.dirname, '../../device-sim/report/screen.ts')
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pty-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const COLUMNS = 90
const ESCAPE = '\u001B'

const scenario = path.join(folder, 'small.yaml')
writeFileSync(scenario, `version: 1
name: a small hall
groups:
  backend: { count: 1, role: backend }
  sensors: { count: 5 }
  rogues: { count: 2 }
phases:
  - name: arrive
    do:
      - connect: { group: [backend, sensors, rogues] }
  - name: at work
    for: 5s
    do:
      - publish: { group: sensors, rate: 50 }
      - misbehave: { group: rogues, rate: 20 }
`)

interface Session {
  readonly terminal: ReturnType<typeof openTerminal>
  /** All that came, with its escape sequences. */
  readonly raw: () => string
  readonly type: (keys: string) => void
  /** Resolves when the terminal shows it. */
  readonly shows: (text: string | RegExp) => Promise<void>
  readonly ended: Promise<number | null>
}

function inTerminal(command: string, environment: Readonly<Record<string, string>> = {}): Session {
  const terminal = openTerminal(COLUMNS)
  // What a person's terminal has not: each of these takes the colours away, or forces them.
  const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...inherited } = process.env
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', `stty cols ${COLUMNS} rows 30; exec ${command}`, '/dev/null'], { env: { ...inherited, TERM: 'xterm-256color', ...environment }, stdio: ['pipe', 'pipe', 'inherit'] })
  let raw = ''
  const watchers = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    raw += chunk
    terminal.write(chunk)
    for (const watch of watchers) watch()
  })
  const ended = once(child, 'close').then(([status]) => status as number | null)
  return {
    terminal, raw: () => raw, ended,
    type: (keys) => void child.stdin.write(keys),
    // Several pictures may come at once: of a clock that goes on not every time is seen.
    shows: (text) => new Promise((resolve, reject) => {
      const watch = (): void => void (terminal.lines.some((line) => (typeof text === 'string' ? line.includes(text) : text.test(line))) && resolve())
      watchers.add(watch)
      watch()
      void ended.then(() => reject(new Error(`it ended before it showed ${String(text)}:\n${terminal.lines.join('\n')}`)))
    }),
  }
}

const play = `'${process.execPath}' '${LAUNCH}' run '${scenario}'`

describe.skipIf(!has('script'))('in a terminal (script)', () => {
  test('a scenario shows rates, percentiles, refusals by reason and the last seconds as bars; afterwards the summary stands there and nothing else', async () => {
    const { terminal, shows, ended, raw } = inTerminal(play)
    await shows('last second')
    await shows('CONNACK 0x85 (client id not valid)')
    await shows(/at work {3}0:0[3-9]/)
    const [title, connected, sent, received] = terminal.lines
    expect([title, connected, sent, received]).toEqual([
      expect.stringMatching(/^a small hall {3}2 of 2: at work {3}0:0\d$/), expect.stringMatching(/^connected {3}8 of 8 {3}leaks 0 {3}not as expected 0$/),
      expect.stringMatching(/^sent {8}\d+\/s +[▁-█]+$/), expect.stringMatching(/^received {4}\d+\/s +[▁-█]+$/),
    ])
    expect(terminal.lines).toContainEqual(expect.stringMatching(/^ +p50 +p90 +p99 +max +count$/))
    expect(terminal.lines).toContainEqual(expect.stringMatching(/^publish→receive( +[\d.]+ ms){4} +\d+$/))
    expect([terminal.cursor, terminal.lines.every((line) => line.length < COLUMNS)]).toEqual([false, true])
    expect(await ended).toBe(EXIT.ok)
    expect([terminal.lines[0], terminal.cursor]).toEqual(['a small hall  ok', true])
    expect(terminal.lines.join('\n')).not.toContain('last second')
    expect(raw()).toContain(`${ESCAPE}[32m`)
  })

  test('Ctrl-C gives the cursor back and leaves the summary of what there was', async () => {
    const { terminal, shows, type, ended } = inTerminal(play)
    await shows('last second')
    type('\u0003')
    expect(await ended).toBe(EXIT.interrupted)
    expect(terminal.cursor).toBe(true)
    expect(terminal.lines.map((line) => line.replace(/^\^C/, ''))).toContain('a small hall  interrupted')
    expect(terminal.lines.join('\n')).not.toContain('last second')
  })

  test('with NO_COLOR it moves the cursor and has no colours', async () => {
    const { terminal, shows, type, ended } = inTerminal(play, { NO_COLOR: '1' })
    await shows('last second')
    type('\u0003')
    await ended
    expect([terminal.colours, terminal.cursor]).toEqual([0, true])
  })

  test('a terminal that cannot move its cursor (TERM=dumb) gets plain lines', async () => {
    const { raw, shows, type, ended } = inTerminal(play, { TERM: 'dumb', NO_COLOR: '1' })
    await shows('at work')
    type('\u0003')
    await ended
    expect(raw()).not.toContain(ESCAPE)
  })

  test('attacks show how many have come to what, and what is being tried', async () => {
    const { terminal, shows, ended } = inTerminal(`'${process.execPath}' '${LAUNCH}' attack --case T01,T10,Q09`)
    await shows('of 3 cases')
    expect(terminal.lines.join('\n')).toMatch(/sallyport [\d.]+ {3}0:\d\d\n[█░]+ {2}\d of 3 cases/)
    expect(await ended).toBe(EXIT.ok)
    expect([terminal.cursor, terminal.lines.join('\n')]).toEqual([true, expect.not.stringContaining('░')])
  })

  test('a program that dies of a mistake gives the cursor back', async () => {
    const code = `import(${JSON.stringify(SCREEN)}).then(({ openScreen }) => { openScreen(process.stdout, (_, text) => text).draw(() => [['alive']]); setTimeout(() => { throw new Error('a mistake') }, 50) })`
    writeFileSync(path.join(folder, 'dies.mjs'), code)
    const { terminal, ended } = inTerminal(`'${process.execPath}' '${path.join(folder, 'dies.mjs')}'`)
    expect(await ended).toBe(1)
    expect([terminal.cursor, terminal.lines.join('\n')]).toEqual([true, expect.stringContaining('a mistake')])
  })
})
