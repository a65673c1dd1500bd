// A home and the server process that serves it, as the fault tests need them: started, killed and started again in the same
// home, listened to, and administered with the operator's credential. It knows nothing of the program's insides.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openIdentities, type Group, type Identity } from '../../device-sim/identities.ts'
import { openHome, type OpenedHome } from '../../device-sim/server-process.ts'
import type { Target } from '../../device-sim/target.ts'
import { within } from '../../device-sim/within.ts'
import { LAUNCH, type Answer } from '../e2e/program.ts'

/** Sensors speak below t/<id>/, a backend hears them all. */
const POLICY = `version: 1
grants:
  - id: sensor
    to: { group: sensors }
    publish: [{ topic: "t/\${device.id}/#", qos: 2, retain: true }]
    subscribe: [{ topic: "t/\${device.id}/#", qos: 2 }]
  - id: backend
    to: { group: backend }
    subscribe: [{ topic: "t/#", qos: 2 }]
`

const READY = '"msg":"ready"'
const START_MS = 60_000
const COMMAND_MS = 60_000
const OUTPUT_CHARS_MAX = 1_000_000

/** How one start ended: with a server that answers, or with an exit code. */
export type Started = { readonly kind: 'ready' } | { readonly kind: 'ended'; readonly code: number | null }

export class Stage implements AsyncDisposable {
  readonly home = mkdtempSync(path.join(tmpdir(), 'sallyport-faults-'))
  readonly data = path.join(this.home, 'data')
  /** The database of sessions, queues and retained messages. */
  readonly sessions = path.join(this.data, 'sessions.db')
  #server: ChildProcess | undefined
  #opened: OpenedHome | undefined
  #exited: Promise<number | null> = Promise.resolve(null)
  #output = ''
  readonly #listeners = new Set<() => void>()
  #identities = 0
  readonly #environment: Readonly<Record<string, string>>

  /** `environment` is what the server is given besides that of the tests. */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.#environment = environment
    mkdirSync(this.data)
    writeFileSync(path.join(this.home, 'policy.yaml'), POLICY)
  }

  /** What the server has printed since it was started, on both streams; the newest of it. */
  get output(): string {
    return this.#output
  }

  get pid(): number {
    const pid = this.#server?.pid
    if (pid === undefined) throw new Error('nothing is running')
    return pid
  }

  get target(): Target {
    return this.#running.target
  }

  get admin(): OpenedHome['admin'] {
    return this.#running.admin
  }

  get #running(): OpenedHome {
    if (this.#opened === undefined) throw new Error('the server is not running')
    return this.#opened
  }

  /** Starts the server without waiting for it. */
  launch(): void {
    rmSync(path.join(this.data, 'endpoints.json'), { force: true })
    const server = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', this.home], { env: { ...process.env, ...this.#environment, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#output = ''
    this.#server = server
    this.#exited = new Promise((resolve) => server.once('exit', (code) => resolve(code)))
    // A run that is broken off leaves no server behind.
    const take = (): void => void server.kill('SIGKILL')
    process.once('exit', take)
    server.once('exit', () => process.off('exit', take))
    const onData = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
      for (const listener of this.#listeners) listener()
    }
    server.stdout.on('data', onData)
    server.stderr.on('data', onData)
  }

  /** Starts the server and waits until it answers or has ended. */
  async tryStart(): Promise<Started> {
    this.launch()
    const ended = this.#exited.then((code) => ({ kind: 'ended', code }) as const)
    const started = await Promise.race([this.said(READY, START_MS).then((said) => (said ? ({ kind: 'ready' } as const) : undefined)), ended])
    if (started === undefined) throw new Error(`the server did not become ready in ${START_MS} ms:\n${this.#output}`)
    if (started.kind === 'ready') this.#opened = await openHome(this.home)
    else this.#server = undefined
    return started
  }

  async start(): Promise<void> {
    const started = await this.tryStart()
    if (started.kind === 'ended') throw new Error(`the server ended with ${started.code}:\n${this.#output}`)
  }

  /** Sends a signal and resolves with the exit code; null when the signal was the end of it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const server = this.#server
    if (server === undefined) return null
    this.#opened?.admin.close()
    this.#opened = undefined
    server.kill(signal)
    const code = await this.#exited
    this.#server = undefined
    return code
  }

  /** Resolves when the server is gone, by itself or because somebody killed it. */
  get gone(): Promise<number | null> {
    return this.#exited
  }

  get alive(): boolean {
    return this.#server !== undefined && this.#server.exitCode === null && this.#server.signalCode === null
  }

  /** Has the server said this since it was started, or does it within this time? */
  async said(text: string, ms: number): Promise<boolean> {
    return (await within(new Promise<true>((resolve) => {
      const look = (): void => {
        if (!this.#output.includes(text)) return
        this.#listeners.delete(look)
        resolve(true)
      }
      this.#listeners.add(look)
      look()
    }), ms)) === true
  }

  /** Devices that nobody else has used. */
  identities(label: string, count: number, group: Group): Promise<readonly Identity[]> {
    return openIdentities(this.admin, `f${(this.#identities += 1)}`).batch(label, count, group)
  }

  async identity(label: string, group: Group = 'sensors'): Promise<Identity> {
    const [identity] = await this.identities(label, 1, group)
    if (identity === undefined) throw new Error('no identity')
    return identity
  }

  /** Resident memory of the server, bytes. */
  get residentBytes(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]
    if (kilobytes === undefined) throw new Error('the resident memory of the server cannot be read')
    return Number(kilobytes) * 1_024
  }

  /** Runs one command of the program on this home to its end. */
  async command(...args: readonly string[]): Promise<Answer> {
    const child = spawn(process.execPath, [LAUNCH, ...args, '--home', this.home], { env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'], timeout: COMMAND_MS })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { status, stdout, stderr }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL')
    rmSync(this.home, { recursive: true, force: true })
  }
}
