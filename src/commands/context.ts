// What every command needs: the home, the way to a Desk (the running server's, or the files under the lock), and how
// answers are printed. Commands do the asking; nothing is decided here.

import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import { z } from 'zod'
import { loadConfig, type Config } from '../config.ts'
import type { Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { EMPTY_POLICY } from '../core/policy/compile.ts'
import { openDesk } from '../desk.ts'
import { homePaths, isHome, openHome } from '../home.ts'
import { openAdminClient } from '../http/admin-client.ts'
import { loadPolicy } from '../policy-file.ts'
import { REASONS } from '../vocabulary.ts'

/** The options that every command has. */
export interface CommonOptions {
  readonly home?: string
  readonly json?: boolean
  readonly yes?: boolean
}

export function homeOf(options: CommonOptions): string {
  return path.resolve(options.home ?? process.env['SALLYPORT_HOME'] ?? '.')
}

export function configOf(home: string): Config {
  return loadConfig(home, process.env)
}

const endpointsSchema = z.object({ pid: z.number(), mqtt: z.object({ host: z.string(), port: z.number() }), admin: z.object({ url: z.string() }) })
export type Endpoints = z.infer<typeof endpointsSchema>

/** What a running server says of itself; undefined when none runs. A file that a killed server left behind counts as none. */
export function endpointsOf(home: string): Endpoints | undefined {
  const file = homePaths(home).endpoints
  if (!existsSync(file)) return undefined
  try {
    const endpoints = endpointsSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
    process.kill(endpoints.pid, 0)
    return endpoints
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? endpointsSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
  }
}

/** Runs `work` with the desk of this home. Failures: 'home-empty', 'home-in-use', 'unreachable'. */
export async function withDesk<T>(options: CommonOptions, work: (desk: Desk, home: string) => Promise<T>): Promise<T> {
  const home = homeOf(options)
  if (!isHome(home)) throw new SallyportError('home-empty', `There is no Sallyport home in ${home}.`, { fix: 'Name one with --home or SALLYPORT_HOME, or make one: sallyport ca init, or sallyport serve.' })
  const endpoints = endpointsOf(home)
  if (endpoints !== undefined) {
    const { operator } = homePaths(home)
    const read = (name: string): string => readFileSync(path.join(operator, name), 'utf8')
    await using desk = openAdminClient({ url: endpoints.admin.url, key: read('key.pem'), cert: read('cert.pem'), ca: read('ca.pem') })
    return await work(desk, home)
  }
  const config = configOf(home)
  await using opened = await openHome(home, config)
  const { authority } = await opened.organisation({ kind: 'local' }, 'open')
  const policy = existsSync(config.policyFile) ? loadPolicy(config.policyFile, path.basename(config.policyFile), 1).policy : EMPTY_POLICY
  await using desk = openDesk({ registry: opened.registry, view: opened.view, audit: opened.audit, authority, policy: () => policy, clock: Date.now }, { kind: 'local' })
  return await work(desk, home)
}

/** The value of a decision about an argument, or a refusal that names it. */
export function required<T>(decision: Decision<T>): T {
  if (decision.allow) return decision.value
  const { sentence, fix } = REASONS[decision.reason]
  throw new SallyportError('refused', `${sentence.replace(/\.$/, '')}${decision.detail === undefined ? '' : `: ${decision.detail}`}.`, { fix, reason: decision.reason })
}

/** Prints an answer: JSON for programs, lines for people. */
export function print(options: CommonOptions, answer: unknown, lines: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : `${lines()}\n`)
}

/** Columns, as wide as they need to be. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()).join('\n')
}

export function time(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/** Asks before what cannot be undone, where there is a person to ask. */
export async function confirm(options: CommonOptions, question: string): Promise<void> {
  if (options.yes === true || options.json === true || !process.stdin.isTTY) return
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await prompt.question(`${question} [y/N] `)
  prompt.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new SallyportError('refused', 'Not done.', { fix: 'Answer y, or give --yes.' })
}
