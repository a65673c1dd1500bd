// sallyport policy import mosquitto | emqx | aws: the policy that another broker has, in ours. What is written was read again first
// and is never wider than the original; what could not be said is told line by line, and makes the exit code.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import { importAws, parseAwsTarget } from '../core/policy/import-aws.ts'
import { isComplete, type Draft, type Importing } from '../core/policy/import-draft.ts'
import { importEmqx } from '../core/policy/import-emqx.ts'
import { importMosquitto } from '../core/policy/import-mosquitto.ts'
import { writeDraft } from '../core/policy/import-write.ts'
import { describeProblem, type Problem } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { POLICY_TOOLS, readPolicy } from '../policy-file.ts'
import { EXIT } from '../vocabulary.ts'
import { readYaml } from '../yaml-source.ts'
import { print, readText, type CommonOptions } from './context.ts'
import { asComments, describeFinding, findingsAnswer, summaryOf } from './findings.ts'

interface ImportOptions extends CommonOptions {
  readonly out?: string
  readonly force?: boolean
}

const POLICY_MODE = 0o644

export function mosquitto(file: string, options: ImportOptions): Promise<void> {
  const notes = ['A user name there is a device id here: use_identity_as_username with the certificate\'s common name.']
  return finish(importMosquitto(path.basename(file), read(file)), [file], notes, options)
}

export function emqx(file: string, options: ImportOptions): Promise<void> {
  const notes = ['A user name there is a device id here, and a client id belongs to its device. ${client_attrs.X} is the attribute X of the device.']
  return finish(importEmqx(path.basename(file), read(file), POLICY_TOOLS), [file], notes, options)
}

export function aws(files: readonly string[], options: ImportOptions & { readonly to?: string }): Promise<void> {
  const name = options.to ?? path.basename(files[0] ?? '').replace(/\.[^.]*$/, '')
  const to = parseAwsTarget(name)
  if (to === undefined) throw new SallyportError('usage', `"${printable(name)}" is no group.`, { fix: 'Say whom the policies are attached to: --to GROUP, or --to any.' })
  const read = files.map((file) => ({ file, ...readJson(file) }))
  const problems = read.flatMap((each) => each.problems)
  const notes = [
    to === 'any' ? 'The policies are taken to be attached to every thing. A thing is a device.' : `The policies are taken to be attached to the things of the group ${to.group}. A thing is a device.`,
    'Attributes[x] of a thing is the attribute x of the device, its thing type the attribute thingType.',
  ]
  const imported = problems.length > 0 ? { problems } : importAws(read.flatMap(({ file, tree }) => (tree === undefined ? [] : [{ file, tree }])), to, POLICY_TOOLS)
  return finish(imported, files, notes, options)
}

const read = (file: string): string => readText(file, POLICY_LIMITS.documentBytesMax)

/** JSON is YAML, but for tabs, which stand outside of its strings alone. */
function readJson(file: string): ReturnType<typeof readYaml> {
  return readYaml(path.basename(file), read(file).replaceAll('\t', ' '))
}

function finish(imported: Importing, files: readonly string[], notes: readonly string[], options: ImportOptions): Promise<void> {
  if ('problems' in imported) refuse(imported.problems, options)
  else write(imported.draft, files, notes, options)
  return Promise.resolve()
}

function refuse(problems: readonly Problem[], options: ImportOptions): void {
  if (options.json !== true) throw new SallyportError('policy-invalid', problems.map(describeProblem).join('\n'))
  print(options, { complete: false, problems: problems.map(({ at, message, fix }) => ({ ...at, message, ...(fix === undefined ? {} : { fix }) })) }, () => '')
  process.exitCode = EXIT.configuration
}

function write(draft: Draft, files: readonly string[], notes: readonly string[], options: ImportOptions): void {
  const { findings } = draft
  const complete = isComplete(draft)
  const text = `${writeDraft(draft, [`Imported from ${files.map((file) => path.basename(file)).join(', ')}. Never wider than that: ${summaryOf(findings)}.`, ...notes])}${asComments(findings, 'What is not as it was:')}`
  if (Buffer.byteLength(text) > POLICY_LIMITS.documentBytesMax) throw new SallyportError('refused', `The policy would be larger than ${POLICY_LIMITS.documentBytesMax} bytes.`, { fix: 'Import it in parts.' })
  const again = readPolicy('policy.yaml', text, 1)
  if ('problems' in again) throw new SallyportError('internal', `The translation is no policy, which is a mistake of this program:\n${again.problems.map(describeProblem).join('\n')}`)
  if (options.out !== undefined) {
    if (existsSync(options.out) && options.force !== true) throw new SallyportError('refused', `${options.out} is there already.`, { fix: 'Choose another file, or give --force.' })
    writeSecretFile(options.out, text, POLICY_MODE)
  }
  const answer = { complete, ...findingsAnswer(findings), ...(options.out === undefined ? { policy: text } : { out: options.out }) }
  if (options.json !== true) process.stderr.write(findings.map((finding) => `${describeFinding(finding)}\n`).join(''))
  print(options, answer, () => (options.out === undefined ? text.trimEnd() : `${options.out}: ${draft.grants.length + draft.deny.length} rules; ${summaryOf(findings)}.`))
  if (!complete) process.exitCode = EXIT.refused
}
