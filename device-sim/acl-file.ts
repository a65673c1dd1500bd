// The file behind --acl: in a few lines, what a broker's own access control list grants to devices, who may hear them, and who
// commands them. Its absence means the topics of Sallyport's starter policy, and nobody who hears all.

import { z } from 'zod'
import { ownTopic, STARTER_ACL, wellFormed, type Acl } from './acl.ts'
import type { Group } from './identities.ts'
import { filterMatches } from './policy-oracle.ts'
import { readYamlFile, type YamlFile } from './yaml-file.ts'

export interface TargetAcl {
  readonly acl: Acl
  /** The names that the list knows its roles by. */
  readonly roles: Readonly<Partial<Record<Group, string>>>
}

const TOPICS_MAX = 20
const NAME_CHARS_MAX = 64
const topics = z.array(z.string('must be a text in quotes.'), 'must be a list, as ["t/${id}/#"].').min(1, 'is empty.').max(TOPICS_MAX, `has more than ${TOPICS_MAX} entries.`)
const name = z.string('must be a name.').min(1, 'is empty.').max(NAME_CHARS_MAX, `is longer than ${NAME_CHARS_MAX} characters.`)
const AclDocument = z.strictObject({
  identity: z.enum(['certificate', 'client-id'], 'must be certificate or client-id.').optional(),
  publish: topics,
  subscribe: topics.optional(),
  will: topics.optional(),
  ears: z.strictObject({ id: name, subscribe: topics }, 'must have id and subscribe.').optional(),
  backend: z.strictObject({ id: name, publish: topics }, 'must have id and publish.').optional(),
}, 'must have at least the key publish.')
type AclDocument = z.infer<typeof AclDocument>

/** What is taken for granted where no file says otherwise. */
export const DEFAULT_ACL: TargetAcl = { acl: { ...STARTER_ACL, ears: undefined, backend: undefined, identity: 'certificate' }, roles: {} }

/** Failure: 'usage', with line, column and suggestion. */
export async function readAclFile(file: string): Promise<TargetAcl> {
  const source = await readYamlFile(file, AclDocument, [...Object.keys(AclDocument.shape), 'id'])
  const { value } = source
  for (const key of ['publish', 'subscribe', 'will'] as const) {
    for (const [i, template] of (value[key] ?? []).entries()) checkTemplate(source, [key, i], template, true)
  }
  for (const [i, filter] of (value.ears?.subscribe ?? []).entries()) checkTemplate(source, ['ears', 'subscribe', i], filter, false)
  for (const [i, filter] of (value.backend?.publish ?? []).entries()) checkTemplate(source, ['backend', 'publish', i], filter, false)
  const acl = aclOf(value)
  if (!acl.publish[0]?.includes('${id}')) throw source.wrong(['publish', 0], 'the first topic must have ${id} in it: on it a device speaks for itself alone.')
  const said = ownTopic(acl, 'device', 'witness')
  if (acl.ears !== undefined && !acl.ears.filters.some((filter) => filterMatches(filter, said))) throw source.wrong(['ears', 'subscribe'], `ears must hear what devices publish first: ${said} is matched by none of these.`)
  if (value.ears !== undefined && value.ears.id === value.backend?.id) throw source.wrong(['backend', 'id'], 'must be another than that of the ears: they are connected at the same time.')
  return { acl, roles: { ...(value.ears === undefined ? {} : { ears: value.ears.id }), ...(value.backend === undefined ? {} : { backend: value.backend.id }) } }
}

function aclOf({ identity = 'certificate', publish, subscribe = [], will = publish, ears, backend }: AclDocument): Acl {
  return { identity, publish, subscribe, will, ears: ears === undefined ? undefined : { group: 'ears', filters: ears.subscribe }, backend: backend?.publish }
}

function checkTemplate(source: YamlFile<AclDocument>, path: readonly (string | number)[], template: string, ofDevice: boolean): void {
  const bare = ofDevice ? template.replaceAll('${id}', 'd') : template
  if (/\$\{|%[cu]/.test(bare)) throw source.wrong(path, ofDevice ? `${template} has a variable that is not known. Did you mean \${id}?` : `${template} has a variable, and only topics of devices have one.`)
  if (template === '' || !wellFormed(bare)) throw source.wrong(path, `${JSON.stringify(template)} is no topic filter: + stands alone between slashes, # alone at the end.`)
}
