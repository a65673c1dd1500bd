// A shell for the tests of the command line: runs the program as a child process and writes sessions down as people would
// see them, without what differs from day to day.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { LAUNCH, type Answer } from '../e2e/program.ts'

const RUN_MS = 30_000

/** A folder that is removed at the end. */
export function temporary(): Disposable & { readonly folder: string; readonly at: (name: string) => string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-cli-'))
  return { folder, at: (name) => path.join(folder, name), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Runs one command to its end, in a folder that is no home unless one is named. */
export function sallyport(args: readonly string[], options: { readonly home?: string; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string; readonly runtime?: string } = {}): Promise<Answer> {
  const { SALLYPORT_HOME: _, SALLYPORT_LOG_LEVEL: __, SALLYPORT_PASSPHRASE_FILE: ___, ...inherited } = process.env
  const child = spawn(options.runtime ?? process.execPath, [LAUNCH, ...args], {
    cwd: options.cwd ?? tmpdir(), env: { ...inherited, NO_COLOR: '1', ...(options.home === undefined ? {} : { SALLYPORT_HOME: options.home }), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
}

/** A session as it is written down. */
export class Session {
  readonly #folder: string
  readonly #lines: string[] = []

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Runs a command in the home HOME of the folder and writes it down. `DIR` in an argument is the folder. */
  async run(line: string): Promise<Answer> {
    const args = line.split(' ').map((word) => word.replaceAll('DIR', this.#folder))
    const answer = await sallyport(args, { home: path.join(this.#folder, 'home'), cwd: this.#folder })
    this.#lines.push(`$ sallyport ${line}`, this.#plain(answer.stdout), this.#plain(answer.stderr), ...(answer.status === 0 ? [] : [`[exit ${answer.status}]`]), '')
    return answer
  }

  get text(): string {
    return this.#lines.filter((line, i) => line !== '' || this.#lines[i - 1] !== '').join('\n')
  }

  #plain(text: string): string {
    return text
      .trimEnd()
      .replaceAll(this.#folder, 'DIR')
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'SHA256')
      .replaceAll(/\b[0-9a-f]{32}\b/g, 'SERIAL')
      // A time of whole seconds is shorter, and the column behind it wider.
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z( {2,})?/g, (_, __, gap) => (gap === undefined ? 'TIME' : 'TIME  '))
      .replaceAll(/\b1[78]\d{11}\b/g, 'MS')
      .replaceAll(/(?<= {2})[0-9a-f]{12}(?= {2})/g, 'DIGEST')
      .replaceAll(/"bytes": \d+/g, '"bytes": N')
      .replaceAll(/"closedMs": [\d.]+/g, '"closedMs": N')
      .replaceAll(/within [\d.]+ ms/g, 'within N ms')
  }
}
