// sallyport config check, show, schema and sallyport reload: what the configuration says, where it says it, and putting it in force.

import path from 'node:path'
import { problemsOf, readConfig } from '../config.ts'
import { shown } from '../config/changes.ts'
import { invalid } from '../config/layers.ts'
import { configSchemaText } from '../config/schema.ts'
import { SECTIONS, TABLE } from '../config/table.ts'
import { SallyportError } from '../core/errors.ts'
import { describeWaiting } from '../core/reload.ts'
import { nearest } from '../core/source-tree.ts'
import { EXIT } from '../vocabulary.ts'
import { endpointsOf, homeOf, print, table, withDesk, type CommonOptions } from './context.ts'

/** Everything that is read, looked at and left as it is. Exit code 78 where something is wrong, a variable that means nothing included. */
export function check(file: string | undefined, options: CommonOptions): void {
  const home = homeOf(options)
  const { problems, warnings } = problemsOf(home, process.env, file === undefined ? undefined : path.resolve(file))
  // What is too much only together, as names for one certificate, has no line.
  if (problems.length === 0) readConfig(home, process.env, {}, file === undefined ? undefined : path.resolve(file))
  const isGood = problems.length === 0 && warnings.length === 0
  if (options.json === true) {
    print(options, { ok: isGood, problems: problems.map(({ at, message, fix }) => ({ ...at, message, ...(fix === undefined ? {} : { fix }) })), warnings }, () => '')
    if (!isGood) process.exitCode = EXIT.configuration
    return
  }
  if (problems.length > 0) throw invalid(problems)
  if (!isGood) throw new SallyportError('config-invalid', warnings.join('\n'), { fix: 'Correct the name, or unset the variable.' })
  process.stdout.write(`${file ?? 'sallyport.yaml'}: nothing is wrong.\n`)
}

interface ShowOptions extends CommonOptions {
  readonly origin?: boolean
}

/** What the next start would have; `below`: only these keys. */
export function show(below: string | undefined, options: ShowOptions): void {
  const { config, layers } = readConfig(homeOf(options), process.env)
  const keys = Object.keys(TABLE).filter((key) => below === undefined || key === below || key.startsWith(`${below}.`))
  if (below !== undefined && keys.length === 0) {
    const near = nearest(below, [...Object.keys(TABLE), ...Object.keys(SECTIONS)])
    throw new SallyportError('usage', `There is no key "${below}".`, { fix: near === undefined ? 'All of them: sallyport config show' : `Did you mean ${near}?` })
  }
  const isOff = (key: string): boolean => Object.entries(SECTIONS).some(([name, section]) => 'optional' in section && key.startsWith(`${name}.`) && !config.sections.includes(name))
  const rows = keys.map((key) => ({ key, value: isOff(key) ? null : config.written[key] ?? null, origin: layers.said(key)?.origin ?? 'default' }))
  const textOf = ({ key, value }: (typeof rows)[number]): string => (value === null ? (isOff(key) ? 'off' : 'not set') : shown(value))
  print(options, rows, () => table(rows.map((row) => [row.key, textOf(row), ...(options.origin === true ? [row.origin] : [])])))
}

export function schema(): void {
  process.stdout.write(configSchemaText())
}

export async function reload(options: CommonOptions): Promise<void> {
  if ((await endpointsOf(homeOf(options))) === undefined) throw new SallyportError('unreachable', 'No server runs in this home: there is nothing to reload.', { fix: 'The next start reads all files. To look at them now: sallyport config check' })
  const done = await withDesk(options, (desk) => desk.reload())
  const lines = [
    `reloaded: policy generation ${done.policyGeneration}, ${done.trustedCas} trusted CAs, and the server certificate`,
    ...done.changed.map(({ key, from, to }) => `${key} changed from ${from} to ${to}`),
    ...done.atNextStart.map(describeWaiting),
  ]
  print(options, done, () => lines.join('\n'))
}
