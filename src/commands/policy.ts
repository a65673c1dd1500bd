// sallyport policy check | explain.

import path from 'node:path'
import { SallyportError } from '../core/errors.ts'
import { parseDeviceId } from '../core/ids.ts'
import { describeProblem, inOrder } from '../core/source-tree.ts'
import { readTexts } from '../policy-file.ts'
import { gatherPolicyTexts, isPolicyThere } from '../policy-file/files.ts'
import { EXIT, REASONS } from '../vocabulary.ts'
import { configOf, homeOf, print, required, withDesk, type CommonOptions } from './context.ts'

/** A file with what is in policy.d beside it, as the server reads them. */
export async function check(file: string | undefined, options: CommonOptions): Promise<void> {
  const target = file === undefined ? configOf(homeOf(options)).policyFile : path.resolve(file)
  if (!isPolicyThere(target)) throw new SallyportError('not-found', `There is no policy file ${target}.`, { fix: 'Name one: sallyport policy check FILE.' })
  const { texts, problems: unread } = await gatherPolicyTexts(target)
  const read = readTexts(texts, 1)
  const all = inOrder([...unread, ...('problems' in read ? read.problems : [])])
  const [files, others] = [texts.map(({ name }) => name), texts.length - 1]
  if (all.length === 0) return print(options, { file: target, files, ok: true, problems: [] }, () => (others === 0 ? `${target} is a policy.` : `${target} and ${others} more in policy.d are a policy.`))
  // Programs read the problems where they read the answer; people read them where they read failures.
  if (options.json !== true) throw new SallyportError('policy-invalid', all.map(describeProblem).join('\n'))
  const problems = all.map(({ at, ...problem }) => ({ ...at, ...problem }))
  print(options, { file: target, files, ok: false, problems }, () => '')
  process.exitCode = EXIT.configuration
}

interface ExplainOptions extends CommonOptions {
  readonly device: string
  readonly publish?: string
  readonly subscribe?: string
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
}

export async function explain(options: ExplainOptions): Promise<void> {
  if ((options.publish === undefined) === (options.subscribe === undefined)) throw new SallyportError('usage', 'Ask for --publish TOPIC or for --subscribe FILTER.')
  const device = required(parseDeviceId(options.device))
  const qos = options.qos === '1' ? 1 : options.qos === '2' ? 2 : options.qos === '0' ? 0 : undefined
  await withDesk(options, async (desk) => {
    const answer = await desk.explain({ device, publish: options.publish, subscribe: options.subscribe, qos, retain: options.retain })
    const where = answer.at === undefined ? '' : ` at ${answer.at.file}:${answer.at.line}`
    const by = answer.rule === undefined ? 'no rule grants it' : `rule ${answer.rule}${where}`
    const bindings = Object.entries(answer.bindings).map(([k, v]) => `\n  \${${k}} = ${v}`).join('')
    print(options, answer, () => `${answer.effect}: ${by} (${answer.reason === 'granted' ? 'granted' : REASONS[answer.reason].sentence})${bindings}`)
  })
}
