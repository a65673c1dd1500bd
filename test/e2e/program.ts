// The program as a new user runs it: a child process in a home of its own, driven by its command line. Shared by the
// end-to-end tests; it knows nothing of the program's insides.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../..')
export const LAUNCH = path.join(ROOT, 'src/launch.cjs')

export interface Endpoints {
  readonly pid: number
  readonly mqtt: { readonly host: string; readonly port: number }
  readonly websocket?: { readonly host: string; readonly port: number }
  readonly admin: { readonly url: string }
  readonly enroll: { readonly host: string; readonly port: number }
  readonly pki: { readonly host: string; readonly port: number }
  readonly metrics: { readonly url: string }
}

export interface Answer {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Is this tool on the machine? Tests that need one say so in their name and are skipped without it. */
export function has(tool: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
}

export class Program implements AsyncDisposable {
  readonly home = mkdtempSync(path.join(tmpdir(), 'sallyport-'))
  readonly #environment: Readonly<Record<string, string>>
  #server: ChildProcess | undefined
  #output = ''
  #exited: Promise<number | null> = Promise.resolve(0)

  /** `environment` is what server and commands are given besides that of the tests. */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.#environment = environment
  }

  /** Everything that `serve` has printed so far, on both streams. */
  get output(): string {
    return this.#output
  }

  get endpoints(): Endpoints {
    return JSON.parse(readFileSync(this.#endpointsFile, 'utf8')) as Endpoints
  }

  get #endpointsFile(): string {
    return path.join(this.home, 'data/endpoints.json')
  }

  /** Starts `serve` and resolves when it is ready. */
  async serve(...args: string[]): Promise<void> {
    const server = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', this.home, ...args], { env: { ...process.env, ...this.#environment }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#server = server
    this.#output = ''
    this.#exited = new Promise((resolve) => server.once('exit', (code) => resolve(code)))
    await new Promise<void>((resolve, reject) => {
      const onData = (chunk: Buffer): void => {
        this.#output += chunk.toString()
        // The last of the two streams: what a person reads at the start has been said by then, too.
        if (this.#output.includes('"msg":"ready"') && this.#output.includes('Ctrl-C ends it.')) resolve()
      }
      server.stdout.on('data', onData)
      server.stderr.on('data', onData)
      const ended = async (): Promise<void> => {
        const code = await this.#exited
        reject(new Error(`serve ended with ${code}:\n${this.#output}`))
      }
      void ended()
    })
  }

  /** Sends a signal to the server itself and resolves with its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#server === undefined) return 0
    const pid = existsSync(this.#endpointsFile) ? this.endpoints.pid : this.#server.pid
    if (pid !== undefined && this.#server.exitCode === null && this.#server.signalCode === null) process.kill(pid, signal)
    const code = await this.#exited
    this.#server = undefined
    return code
  }

  /** Runs one command to its end. */
  run(...args: string[]): Answer {
    return this.runWith({}, ...args)
  }

  /** The same, with this in its environment besides. */
  runWith(environment: Readonly<Record<string, string>>, ...args: readonly string[]): Answer {
    const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCH, ...args], { env: { ...process.env, ...this.#environment, ...environment, SALLYPORT_HOME: this.home, NO_COLOR: '1' }, encoding: 'utf8', timeout: 30_000 })
    return { status, stdout, stderr }
  }

  json(...args: string[]): unknown {
    const answer = this.run(...args, '--json')
    if (answer.status !== 0) throw new Error(`${args.join(' ')} ended with ${answer.status}: ${answer.stderr}`)
    return JSON.parse(answer.stdout)
  }

  /** Registers a device of a group and puts its bundle into a folder. */
  device(id: string, group = 'sensors'): string {
    const folder = path.join(this.home, 'bundles', id)
    for (const args of [['device', 'add', id, '--group', group], ['device', 'bundle', id, '--out', folder]]) {
      const answer = this.run(...args)
      if (answer.status !== 0) throw new Error(`${args.join(' ')} ended with ${answer.status}: ${answer.stderr}`)
    }
    return folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL')
    rmSync(this.home, { recursive: true, force: true })
  }
}

/** A client program, its output, and its end. */
export interface Client {
  readonly process: ChildProcess
  readonly output: () => string
  /** Resolves when this text has been printed, rejects when the program ends before. */
  saw(text: string): Promise<void>
  readonly ended: Promise<number | null>
}

export function client(command: string, args: readonly string[]): Client {
  // Into a pipe, C programs write in blocks: a line that a person would see at once would come when the client ends.
  const [program, before] = has('stdbuf') ? ['stdbuf', ['-oL', command]] : [command, []]
  const child = spawn(program, [...before, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  const watchers = new Set<() => void>()
  const onData = (chunk: Buffer): void => {
    text += chunk.toString()
    for (const check of watchers) check()
  }
  child.stdout.on('data', onData)
  child.stderr.on('data', onData)
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return {
    process: child,
    output: () => text,
    ended,
    saw: (wanted) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!text.includes(wanted)) return
          watchers.delete(check)
          resolve()
        }
        watchers.add(check)
        check()
        void ended.then((code) => reject(new Error(`${command} ended with ${code} before it said ${JSON.stringify(wanted)}:\n${text}`)))
      }),
  }
}
