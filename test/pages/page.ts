// A page of documentation, run as it is written: the fences marked `console` are one session of a shell, in the order of the page.
// `$ ` begins a command (it goes on after a backslash and through a here-document), what follows is what it prints. In it `…` stands for
// anything within a line, a line of `…` for any lines, `[exit 1]` for a command that is meant to fail. Times, serial numbers, hashes,
// milliseconds and ports are not compared. A page that shows what does not happen is a red test.

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { LAUNCH } from '../e2e/program.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const COMMAND_MS = 60_000

export interface Step {
  /** Of the page, counted from 1. */
  readonly line: number
  readonly command: string
  readonly expected: readonly string[]
  readonly exit: number
}

export interface Ran extends Step {
  readonly output: readonly string[]
  readonly status: number
}

/** The commands of a page with what they are said to print. `heading`: only those of this section. */
export function readPage(file: string, heading?: string): readonly Step[] {
  const steps: Step[] = []
  let [inFence, isHere] = [false, heading === undefined]
  let step: { line: number; command: string; expected: string[] } | undefined
  let here: string | undefined
  const done = (): void => {
    if (step === undefined) return
    const exit = /^\[exit (\d+)\]$/.exec(step.expected.at(-1) ?? '')?.[1]
    steps.push({ ...step, expected: exit === undefined ? step.expected : step.expected.slice(0, -1), exit: Number(exit ?? 0) })
    step = undefined
  }
  for (const [index, text] of readFileSync(path.join(ROOT, file), 'utf8').split('\n').entries()) {
    if (!inFence) {
      if (heading !== undefined && text.startsWith('## ')) isHere = text === `## ${heading}`
      inFence = isHere && text === '```console'
    } else if (text === '```') {
      done()
      inFence = false
    } else if (step !== undefined && here !== undefined) {
      step.command += `\n${text}`
      if (text === here) here = undefined
    } else if (step?.command.endsWith('\\') === true && step.expected.length === 0) {
      step.command += `\n${text}`
    } else if (text.startsWith('$ ')) {
      done()
      step = { line: index + 1, command: text.slice(2), expected: [] }
      here = /<<'(\w+)'/.exec(text)?.[1]
    } else step?.expected.push(text)
  }
  return steps
}

export interface PageOptions {
  /** Where the session begins. */
  readonly folder: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs the steps in one shell, as far as they end as they should. `sallyport` and `npx sallyport` are this program. */
export async function runPage(steps: readonly Step[], { folder, environment = {} }: PageOptions): Promise<readonly Ran[]> {
  const tools = path.join(folder, '.tools')
  mkdirSync(tools, { recursive: true })
  for (const [name, text] of [['sallyport', `exec '${process.execPath}' '${LAUNCH}' "$@"`], ['npx', 'exec "$@"']] as const) {
    writeFileSync(path.join(tools, name), `#!/bin/sh\n${text}\n`)
    chmodSync(path.join(tools, name), 0o755)
  }
  const shell = spawn('bash', ['--noprofile', '--norc'], {
    cwd: folder, detached: true, stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}`, NO_COLOR: '1', ...environment },
  })
  let said = ''
  shell.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  // What the page has started and not ended is ended with its shell; also where the test is over before the page is: an orphan would hold the
  // output of whoever runs the tests, and keep them from their end.
  const end = (): void => {
    try {
      if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL')
    } catch {
      // Nothing of it is left.
    }
  }
  onTestFinished(end)
  const ran: Ran[] = []
  try {
    for (const [index, step] of steps.entries()) {
      const file = path.join(tools, `${index}.out`)
      said = ''
      // In this shell and not in one of its own: what a command sets and starts is there for the next one.
      shell.stdin.write(`{ ${step.command}\n} > '${file}' 2>&1 < /dev/null; echo "ended:$?"\n`)
      const status = await ending(shell, () => /ended:(\d+)\n/.exec(said)?.[1])
      const output = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
      ran.push({ ...step, status, output: output.length === 1 && output[0] === '' ? [] : output })
      if (status !== step.exit) break
    }
  } finally {
    end()
  }
  return ran
}

function ending(shell: ReturnType<typeof spawn>, status: () => string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => settle(() => reject(new Error(`a command of the page did not end within ${COMMAND_MS} ms`))), COMMAND_MS)
    const look = (): void => {
      const found = status()
      if (found !== undefined) settle(() => resolve(Number(found)))
    }
    const gone = (): void => settle(() => reject(new Error('the shell of the page ended')))
    const settle = (how: () => void): void => {
      clearTimeout(deadline)
      shell.stdout?.off('data', look)
      shell.off('exit', gone)
      how()
    }
    shell.stdout?.on('data', look)
    shell.once('exit', gone)
  })
}

/** What differs from day to day, on both sides. */
const plain = (text: string): string =>
  text
    .trimEnd()
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME')
    .replaceAll(/\b[0-9a-f]{64}\b/gi, 'SHA256')
    .replaceAll(/\b[0-9a-f]{32}\b/gi, 'SERIAL')
    .replaceAll(/\b\d+(\.\d+)? ms\b/g, 'N ms')
    .replaceAll(/(?<=(localhost|127\.0\.0\.1):)\d+/g, 'PORT')

/** The first thing that is not as the page says, as a sentence; undefined where all is. */
export function difference(steps: readonly Step[], ran: readonly Ran[]): string | undefined {
  for (const step of ran) {
    const shown = `line ${step.line}: $ ${step.command}\n${step.output.join('\n')}`
    if (step.status !== step.exit) return `${shown}\n[exit ${step.status}] and not ${step.exit}`
    if (!matches(step.expected.map(plain), step.output.map(plain))) return `${shown}\nis not what the page shows:\n${step.expected.join('\n')}`
  }
  return ran.length === steps.length && steps.length > 0 ? undefined : `${ran.length} of ${steps.length} commands were run`
}

function matches(expected: readonly string[], output: readonly string[]): boolean {
  const pattern = expected.map((line) => (line === '…' ? '(?:.*\\n)*?' : `${line.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join('.*')}\\n`)).join('')
  return new RegExp(`^${pattern}$`).test(output.map((line) => `${line}\n`).join(''))
}
