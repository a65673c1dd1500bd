// Starts a script of the tests as a process of its own and lets a test wait for what it says.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess
  /** Every line so far. */
  readonly lines: readonly string[]
  /** Resolves with the first line, said already or later, that fits; rejects when the process ends without it. */
  until(fits: (line: string) => boolean): Promise<string>
  /** kill -9, and all that it had said until then. */
  kill(): Promise<readonly string[]>
  exited(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/** `through`: a command that runs it, such as a tracer. */
export function startChild(script: URL, args: readonly string[], through: readonly string[] = []): Child {
  const [command = process.execPath, ...rest] = [...through, process.execPath, script.pathname, ...args]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  const errors: Buffer[] = []
  const waiting = new Set<() => void>()
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }))
  let over = false
  const wake = (): void => {
    for (const look of waiting) look()
  }
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line)
    wake()
  })
  const end = async (): Promise<void> => {
    await ended
    over = true
    wake()
  }
  void end()
  const kill = async (): Promise<readonly string[]> => {
    child.kill('SIGKILL')
    await ended
    return lines
  }
  return {
    process: child,
    lines,
    kill,
    exited: () => ended,
    until: (fits) =>
      new Promise((resolve, reject) => {
        let from = 0
        const look = (): void => {
          const found = lines.slice(from).find(fits)
          from = lines.length
          if (found === undefined && !over) return
          waiting.delete(look)
          if (found === undefined) reject(new Error(`the process ended: ${Buffer.concat(errors).toString()}`))
          else resolve(found)
        }
        waiting.add(look)
        look()
      }),
    [Symbol.asyncDispose]: async () => void (await kill()),
  }
}
