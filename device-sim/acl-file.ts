// The file behind --acl: in a few lines, what a broker's own access control list grants to devices, who may hear them, and who
// commands them. Its absence means the topics of Sallyport's starter policy, and nobody who hears all.

import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { readYaml } from '../src/yaml-source.ts'
import { ownTopic, STARTER_ACL, wellFormed, type Acl } from './acl.ts'
import { SimError } from './failure.ts'
import type { Group } from './identities.ts'
import { SIM_LIMITS } from './limits.ts'
import { filterMatches } from './policy-oracle.ts'
import { parsed, placeOf, quoted, refusal, type Mistake } from './yaml-file.ts'

export interface TargetAcl {
  readonly acl: Acl
  /** The names that the list knows its roles by. */
  readonly roles: Readonly<Partial<Record<Group, string>>>
}

const TOPICS_MAX = 20
const NAME_CHARS_MAX = 64
const topics = z.array(z.string('must be a text in quotes'), 'must be a list, as ["t/${id}/#"]').min(1, 'is empty').max(TOPICS_MAX, `has more than ${TOPICS_MAX} entries`)
const name = z.string('must be a name').min(1, 'is empty').max(NAME_CHARS_MAX, `is longer than ${NAME_CHARS_MAX} characters`)
const AclDocument = z.strictObject({
  identity: z.enum(['certificate', 'client-id'], 'must be certificate or client-id').optional(),
  publish: topics,
  subscribe: topics.optional(),
  will: topics.optional(),
  ears: z.strictObject({ id: name, subscribe: topics }, 'must have id and subscribe').optional(),
  backend: z.strictObject({ id: name, publish: topics }, 'must have id and publish').optional(),
}, 'must have at least the key publish')
type AclDocument = z.infer<typeof AclDocument>

/** What is taken for granted where no file says otherwise. */
export const DEFAULT_ACL: TargetAcl = { acl: { ...STARTER_ACL, ears: undefined, backend: undefined, identity: 'certificate' }, roles: {} }

/** Failure: 'usage', with line, column and suggestion. */
export async function readAclFile(file: string): Promise<TargetAcl> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SimError('usage', `--acl ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`)
  })
  if (text.length > SIM_LIMITS.aclCharsMax) throw new SimError('usage', `--acl ${file} is longer than ${SIM_LIMITS.aclCharsMax} characters.`)
  const { tree, problems } = readYaml(file, text)
  if (tree === undefined) throw refusal(problems.map(({ at, message, fix }) => ({ at, message: fix === undefined ? message : `${message} ${fix}` })))
  const mistakes: Mistake[] = []
  const value = parsed(AclDocument, tree, mistakes)
  if (value === undefined) throw refusal(mistakes)
  const wrong = (path: Path, message: string): void => void mistakes.push({ at: placeOf(tree, path), message })
  checkTopics(value, wrong)
  const acl = aclOf(value)
  if (mistakes.length === 0) checkRoles(value, acl, wrong)
  if (mistakes.length > 0) throw refusal(mistakes)
  return { acl, roles: { ...(value.ears === undefined ? {} : { ears: value.ears.id }), ...(value.backend === undefined ? {} : { backend: value.backend.id }) } }
}

type Path = readonly (string | number)[]
type Wrong = (path: Path, message: string) => void

function checkTopics({ publish, subscribe = [], will = [], ears, backend }: AclDocument, wrong: Wrong): void {
  for (const [key, list] of [['publish', publish], ['subscribe', subscribe], ['will', will]] as const) {
    for (const [i, template] of list.entries()) checkTemplate([key, i], template, true, wrong)
  }
  for (const [i, filter] of (ears?.subscribe ?? []).entries()) checkTemplate(['ears', 'subscribe', i], filter, false, wrong)
  for (const [i, filter] of (backend?.publish ?? []).entries()) checkTemplate(['backend', 'publish', i], filter, false, wrong)
}

function checkRoles({ ears, backend }: AclDocument, acl: Acl, wrong: Wrong): void {
  if (acl.publish[0]?.includes('${id}') !== true) return wrong(['publish', 0], 'the first topic must have ${id} in it: on it a device speaks for itself alone.')
  const said = ownTopic(acl, 'device', 'witness')
  if (acl.ears !== undefined && !acl.ears.filters.some((filter) => filterMatches(filter, said))) wrong(['ears', 'subscribe'], `ears must hear what devices publish first: ${said} is matched by none of these.`)
  if (ears !== undefined && ears.id === backend?.id) wrong(['backend', 'id'], 'must be another than that of the ears: they are connected at the same time.')
}

function aclOf({ identity = 'certificate', publish, subscribe = [], will = publish, ears, backend }: AclDocument): Acl {
  return { identity, publish, subscribe, will, ears: ears === undefined ? undefined : { group: 'ears', filters: ears.subscribe }, backend: backend?.publish }
}

function checkTemplate(path: Path, template: string, ofDevice: boolean, wrong: Wrong): void {
  const bare = ofDevice ? template.replaceAll('${id}', 'd') : template
  if (/\$\{|%[cu]/.test(bare)) wrong(path, ofDevice ? `${quoted(template)} has a variable that is not known. Did you mean \${id}?` : `${quoted(template)} has a variable, and only topics of devices have one.`)
  else if (template === '' || !wellFormed(bare)) wrong(path, `${quoted(template)} is no topic filter: + stands alone between slashes, # alone at the end.`)
}
