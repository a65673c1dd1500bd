// sallyport policy apply | rollback | history: another policy, into force for everybody, with what that means before it is done.

import path from 'node:path'
import type { Actor } from '../core/audit.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import type { ApplyRequest, DiffQuery, PolicyVersion } from '../core/policy-desk.ts'
import { configOf, confirm, homeOf, print, table, time, withDesk, type CommonOptions } from './context.ts'
import { differenceOf, differenceWords } from './policy-diff.ts'
import { numberOf, policyAt } from './policy-source.ts'

interface ApplyOptions extends CommonOptions {
  readonly base?: string
  readonly dryRun?: boolean
  readonly force?: boolean
}

export async function apply(file: string | undefined, options: ApplyOptions): Promise<void> {
  // It becomes the policy file of the home, by whatever name it was written.
  const main = path.basename(configOf(homeOf(options)).policyFile)
  const isLines = (name: string): boolean => path.extname(name) === '.policy'
  if (file !== undefined && isLines(file) !== isLines(main)) throw new SallyportError('refused', `${file} is written in another form than ${main}, whose place it would take.`, { fix: 'Name one of the same suffix, or another policy: in sallyport.yaml.' })
  // What is wrong with it is told by its own name.
  const files = file === undefined ? undefined : (await policyAt(file, options)).texts.map(({ name, text }) => ({ name: name === path.basename(file) ? main : name, text }))
  await withDesk(options, (desk) => inForce(desk, { files }, { files }, options))
}

export async function rollback(generation: string | undefined, options: ApplyOptions): Promise<void> {
  const asked = numberOf(generation, 'rollback')
  await withDesk(options, async (desk) => {
    const to = asked ?? (await before(desk))
    await inForce(desk, { rollback: to }, { to }, options)
  })
}

/** The one before the one in force, of whatever number. */
async function before(desk: Desk): Promise<number> {
  const { items, generation } = await desk.policyHistory()
  return items.find((version) => version.generation < generation)?.generation ?? generation
}

/** Shows first; what was shown is what comes into force, or nothing does. */
async function inForce(desk: Desk, request: Pick<ApplyRequest, 'files' | 'rollback'>, query: Pick<DiffQuery, 'files' | 'to'>, options: ApplyOptions): Promise<void> {
  const limit = options.json === true ? 0 : SHOWN
  const difference = await differenceOf(desk, { ...query, fleet: true }, limit)
  const base = numberOf(options.base, '--base') ?? difference.generation
  const judged = { ...request, base, sha256: difference.sha256, force: options.force }
  if (options.json !== true) process.stdout.write(`${differenceWords(difference)}\n\n`)
  // What is refused is refused before anybody is asked whether it is meant.
  const checked = await desk.applyPolicy({ ...judged, dryRun: true })
  if (options.dryRun !== true && checked.changed) await confirm(options, 'Put this policy in force?')
  const applied = options.dryRun === true ? checked : await desk.applyPolicy(judged)
  print(options, { ...applied, dryRun: options.dryRun === true, fleet: difference.fleet?.counts }, () => {
    if (!applied.changed) return `This is in force already, as generation ${applied.generation}.`
    return options.dryRun === true ? `Not done: it would be generation ${applied.generation}.` : `Generation ${applied.generation} is in force.`
  })
}

const SHOWN = 5

export async function history(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const answer = await desk.policyHistory()
    print(options, answer, () => (answer.items.length === 0
      ? 'No policy has been in force here yet.'
      : table([['GENERATION', 'SINCE', 'BY', 'HOW', 'SHA256', 'FILES'], ...answer.items.map((version) => [
          `${version.generation}${version.generation === answer.generation ? ' *' : ''}`, time(version.at), actorWords(version.actor), howWords(version), version.sha256.slice(0, DIGEST_SHOWN),
          `${version.files.map(({ name }) => name).join(', ')}${version.kept ? '' : ' (text not kept)'}`,
        ])])))
  })
}

const DIGEST_SHOWN = 12

const actorWords = (actor: Actor): string => ('name' in actor ? `${actor.kind}:${actor.name}` : actor.kind)
const howWords = ({ because, of }: PolicyVersion): string => (of === undefined ? because : `${because} to ${of}`)
