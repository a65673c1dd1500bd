// sallyport policy check.

import path from 'node:path'
import { SallyportError } from '../core/errors.ts'
import { describeProblem, inOrder } from '../core/source-tree.ts'
import { readTexts } from '../policy-file.ts'
import { gatherPolicyTexts, isPolicyThere } from '../policy-file/files.ts'
import { EXIT } from '../vocabulary.ts'
import { configOf, homeOf, print, type CommonOptions } from './context.ts'

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
