// What every command needs: the home, the way to a Desk (the running server's, or the files under the lock), and how
// answers are printed. Commands do the asking; nothing is decided here.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import { z } from 'zod'
import { loadConfig, type Config } from '../config.ts'
import type { Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { harmless } from '../core/ids.ts'
import { homePaths, isHome, settleRestore } from '../home.ts'
import { EXIT, REASONS } from '../vocabulary.ts'

const HTTPS_PORT = 443
/** Certificates, requests and keys that are named on the command line are small; a device file is not one of them. */
const INPUT_BYTES_MAX = 1024 * 1024

/** The options that every command has. */
export interface CommonOptions {
  readonly home?: string
  readonly json?: boolean
  readonly yes?: boolean
}

export function homeOf(options: CommonOptions): string {
  const home = path.resolve(options.home ?? process.env['SALLYPORT_HOME'] ?? '.')
  settleRestore(home)
  return home
}

export function configOf(home: string): Config {
  return loadConfig(home, process.env)
}

const endpointsSchema = z.object({ pid: z.number().int().positive(), mqtt: z.object({ host: z.string(), port: z.number() }), websocket: z.object({ host: z.string(), port: z.number() }).optional(), admin: z.object({ url: z.url({ protocol: /^https$/ }) }), enroll: z.object({ host: z.string(), port: z.number() }).optional(), metrics: z.object({ url: z.url() }).optional() })
export type Endpoints = z.infer<typeof endpointsSchema>

/** A server on this machine that does not take a connection in this time is not answering. */
const ANSWER_MS = 2_000

/**
 * What a running server says of itself, when it answers; undefined when none does. A file that a killed server left behind
 * counts as none: its process is gone, or another one has its number and nobody listens.
 */
export async function endpointsOf(home: string): Promise<Endpoints | undefined> {
  const file = homePaths(home).endpoints
  if (!existsSync(file)) return undefined
  const endpoints = parseEndpoints(readFileSync(file, 'utf8'))
  return endpoints !== undefined && isRunning(endpoints.pid) && (await isListening(new URL(endpoints.admin.url))) ? endpoints : undefined
}

function parseEndpoints(text: string): Endpoints | undefined {
  try {
    return endpointsSchema.parse(JSON.parse(text))
  } catch {
    return undefined // Not written by a server, or not whole.
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // It runs, as somebody else.
  }
}

function isListening({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replaceAll(/^\[|\]$/g, ''), port: Number(port === '' ? HTTPS_PORT : port), timeout: ANSWER_MS })
    const answer = (listening: boolean): void => {
      socket.destroy()
      resolve(listening)
    }
    socket.once('connect', () => answer(true)).once('timeout', () => answer(false)).once('error', () => answer(false))
  })
}

/** Runs `work` with the desk of this home. Failures: 'home-empty', 'home-in-use', 'unreachable'. */
export async function withDesk<T>(options: CommonOptions, work: (desk: Desk, home: string) => Promise<T>): Promise<T> {
  const home = homeOf(options)
  if (!isHome(home)) throw emptyHome(home)
  const endpoints = await endpointsOf(home)
  await using desk = endpoints === undefined ? await (await import('./local-desk.ts')).openLocalDesk(home) : await remoteDesk(home, endpoints)
  return await work(desk, home)
}

/** No command but those that begin a home makes anything in a folder that is none. */
export function emptyHome(home: string): SallyportError {
  return new SallyportError('home-empty', `There is no Sallyport home in ${home}.`, { fix: 'Name one with --home or SALLYPORT_HOME, or make one: sallyport ca init, or sallyport serve.' })
}

async function remoteDesk(home: string, endpoints: Endpoints): Promise<Desk> {
  const [{ openAdminClient }, { readSecretFile }] = await Promise.all([import('../http/admin-client.ts'), import('../ca/key-file.ts')])
  // Whoever works here as somebody else than the first operator names that one's folder.
  const file = (name: string): string => path.join(process.env['SALLYPORT_OPERATOR'] ?? homePaths(home).operator, name)
  return openAdminClient({ url: endpoints.admin.url, key: readSecretFile(file('key.pem')).toString('utf8'), cert: readText(file('cert.pem')), ca: readText(file('ca.pem')) })
}

/** A file that somebody named, as text. Failures: 'not-found', 'refused' when it is larger than anything it may be. */
export function readText(file: string, bytesMax = INPUT_BYTES_MAX): string {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new SallyportError('not-found', `There is no file ${file}.`)
  if (!found.isFile() || found.size > bytesMax) throw new SallyportError('refused', `${file} is not a file of at most ${bytesMax} bytes.`)
  return readFileSync(file, 'utf8')
}

/** The value of a decision about an argument, or a refusal that names it. */
export function required<T>(decision: Decision<T>): T {
  if (decision.allow) return decision.value
  const { sentence, fix } = REASONS[decision.reason]
  throw new SallyportError('refused', `${sentence.replace(/\.$/, '')}${decision.detail === undefined ? '' : `: ${decision.detail}`}.`, { fix, reason: decision.reason })
}

/** Prints an answer: JSON for programs, lines for people. What a device wrote into it is shown, and obeyed by no terminal. */
export function print(options: CommonOptions, answer: unknown, lines: () => string): void {
  process.stdout.write(`${harmless(options.json === true ? JSON.stringify(answer, null, 2) : lines())}\n`)
}

/** Columns, as wide as they need to be. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()).join('\n')
}

export function time(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/** Asks for the number of what is about to be done: a habit of saying yes is not enough for it. Without a person, --yes is needed. */
export async function confirmNumber(options: CommonOptions, count: number, question: string): Promise<void> {
  if (options.yes === true) return
  const not = (fix: string): SallyportError => new SallyportError('refused', 'Not done.', { fix })
  if (!process.stdin.isTTY) throw not(`This concerns ${count}: if that is meant, repeat with --yes.`)
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  prompt.once('SIGINT', () => process.exit(EXIT.interrupted))
  const ended = new Promise<string>((resolve) => prompt.once('close', () => resolve('')))
  const answer = await Promise.race([prompt.question(`${question} Type the number: `).catch(() => ''), ended])
  prompt.close()
  if (answer.trim() !== String(count)) throw not(`Type ${count}, or give --yes.`)
}

/** Asks before what cannot be undone, where there is a person to ask. */
export async function confirm(options: CommonOptions, question: string): Promise<void> {
  if (options.yes === true || options.json === true || !process.stdin.isTTY) return
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  prompt.once('SIGINT', () => process.exit(EXIT.interrupted))
  // The end of the input is no answer, and no answer is no.
  const ended = new Promise<string>((resolve) => prompt.once('close', () => resolve('')))
  const answer = await Promise.race([prompt.question(`${question} [y/N] `).catch(() => ''), ended])
  prompt.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new SallyportError('refused', 'Not done.', { fix: 'Answer y, or give --yes.' })
}
