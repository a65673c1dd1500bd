// What the commands about a policy have in common: a policy that is named on the command line, and who would ask for what.

import { isIP } from 'node:net'
import path from 'node:path'
import { SallyportError, type SourcePosition } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import type { ExplainQuestion, PolicyText } from '../core/policy-desk.ts'
import { loadPolicy, type LoadedPolicy } from '../policy-file.ts'
import { isPolicyThere, readPolicyTexts } from '../policy-file/files.ts'
import { configOf, homeOf, type CommonOptions } from './context.ts'

/** The files of a policy that somebody named: it, and what is in policy.d beside it. Failures: 'not-found', 'policy-invalid'. */
export async function textsOf(file: string): Promise<readonly PolicyText[]> {
  return readPolicyTexts(there(file))
}

/** That of a file, or of the home, from the disk: no server is asked. Failures: 'not-found', 'policy-invalid'. */
export async function policyAt(file: string | undefined, options: CommonOptions): Promise<LoadedPolicy & { readonly file: string }> {
  const named = file ?? configOf(homeOf(options)).policyFile
  return { file: named, ...(await loadPolicy(there(named), 1)) }
}

function there(file: string): string {
  const main = path.resolve(file)
  if (!isPolicyThere(main)) throw new SallyportError('not-found', `There is no policy file ${file}.`)
  return main
}

/** How a question is asked, as options. */
export interface CircumstanceOptions {
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
  readonly bytes?: string
  readonly source?: string
  readonly tls?: '1.2' | '1.3'
  readonly at?: string
}

export function circumstancesOf({ qos, retain, bytes, source, tls, at }: CircumstanceOptions): Pick<ExplainQuestion, 'qos' | 'retain' | 'bytes' | 'source' | 'tls' | 'at'> {
  if (source !== undefined && isIP(source) === 0) throw new SallyportError('usage', `--source takes an address, not ${printable(source)}.`)
  return { qos: qos === '1' ? 1 : qos === '2' ? 2 : qos === '0' ? 0 : undefined, retain, bytes: numberOf(bytes, '--bytes'), source, tls, at: instantOf(at) }
}

export function numberOf(text: string | undefined, option: string, max = Number.MAX_SAFE_INTEGER): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!/^\d+$/.test(text) || number > max) throw new SallyportError('usage', `${option} takes a whole number${max === Number.MAX_SAFE_INTEGER ? '' : ` up to ${max}`}, not ${printable(text)}.`)
  return number
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/

function instantOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const at = Date.parse(text)
  if (!INSTANT.test(text) || Number.isNaN(at)) throw new SallyportError('usage', `--at takes an instant such as 2027-03-01T06:00:00Z, not ${printable(text)}.`)
  return at
}

export const placeWords = ({ file, line }: SourcePosition): string => `${file}:${line}`
