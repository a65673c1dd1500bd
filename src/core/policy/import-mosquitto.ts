// A Mosquitto ACL file → a draft of a policy. What is told from its lines is what Mosquitto does with them (security_default.c of
// 2.0): a client's own lines before patterns, in each of them deny before the rest, and no right without a line. A user name is a
// device id. SUBSCRIBE is never refused there: "read" says what is delivered, which is wildcard: filter.

import { parseDeviceId, printable } from '../ids.ts'
import type { SourcePosition } from '../errors.ts'
import { Findings, RuleIds, tooMany, type Draft, type DraftDeny, type DraftGrant, type FindingKind, type Importing } from './import-draft.ts'
import { literalLevel, mayOverlap, shortened, unsayable, type PatternLevels } from './import-patterns.ts'
import { readAcl, type AclLine } from './read-mosquitto-acl.ts'

/** %u and %c, with what stands for them. */
const SUBSTITUTES: ReadonlyMap<string, string> = new Map([['%u', '${device.id}'], ['%c', '${clientId}']])
const SHARED_BY_ALL = ['*']

/** A line whose topic is a pattern of ours. */
interface Said {
  readonly line: AclLine
  readonly levels: PatternLevels
}

type Section = { readonly allow: Said[]; readonly deny: Said[] }

export function importMosquitto(file: string, text: string): Importing {
  const { lines, problems } = readAcl(file, text)
  const grants = lines.filter(({ access }) => access !== 'deny').length
  const denies = lines.filter(({ access, isPattern }) => access === 'deny' && isPattern).length
  const excess = tooMany(file, [grants, denies])
  if (excess !== undefined) return { problems: [excess] }
  return problems.length > 0 ? { problems } : { draft: new MosquittoImport(lines).draft() }
}

class MosquittoImport {
  readonly #findings = new Findings()
  readonly #ids = new RuleIds()
  readonly #users = new Map<string, Section>()
  readonly #patterns: Section = { allow: [], deny: [] }

  constructor(lines: readonly AclLine[]) {
    for (const line of lines) this.#take(line)
  }

  draft(): Draft {
    const denied = this.#neededPatternDenies()
    const grants: DraftGrant[] = []
    const deny: DraftDeny[] = []
    for (const [user, section] of this.#users) {
      if (section.allow.length > 0) grants.push(grantOf(this.#ids.make(`user-${user}`), { device: user }, section.allow))
      if (section.deny.length > 0) deny.push(denyOf(this.#ids.make(`user-${user}-deny`), { device: user }, section.deny))
    }
    if (this.#patterns.allow.length > 0) grants.push(grantOf(this.#ids.make('patterns'), 'any', this.#patterns.allow))
    if (denied.length > 0) deny.push(denyOf(this.#ids.make('patterns-deny'), 'any', denied))
    return { grants, deny, findings: this.#findings.sorted }
  }

  #find(kind: FindingKind, line: AclLine, why: string, at: SourcePosition = line.at): void {
    this.#findings.add({ at, kind, original: line.text, why })
  }

  #take(line: AclLine): void {
    const section = line.isPattern ? this.#patterns : this.#sectionOf(line)
    const levels = section === undefined ? undefined : this.#levelsOf(line)
    if (section !== undefined && levels !== undefined) (line.access === 'deny' ? section.deny : section.allow).push({ line, levels })
  }

  /** Undefined, and told, where there is nobody whom the line is for. */
  #sectionOf(line: AclLine): Section | undefined {
    const { user } = line
    if (user !== undefined && parseDeviceId(user).allow) {
      const section = this.#users.get(user) ?? { allow: [], deny: [] }
      this.#users.set(user, section)
      return section
    }
    const nobody = user === undefined ? 'it is for clients without a user name, and every device has an id.' : `"${printable(user)}" is no device id.`
    if (line.access === 'deny') this.#find('remark', line, `${nobody} Nothing is denied for it here.`)
    else this.#find('left-out', line, `${nobody} ${user === undefined ? 'If all were to have it, write it as a pattern line.' : 'Register the device under an id, and write that here.'}`)
    return undefined
  }

  #levelsOf(line: AclLine): PatternLevels | undefined {
    // Left out by a slip: Mosquitto takes it for the topic "read", or "deny", with all rights.
    if (line.accessAsTopic) return this.#lose(line, `the topic is missing: Mosquitto takes "${line.topic}" for the topic, with all rights. Write the topic behind it.`)
    const denies = line.access === 'deny'
    const levels: string[] = []
    for (const level of line.topic.split('/')) {
      const substitute = line.isPattern ? SUBSTITUTES.get(level) : undefined
      const inPart = line.isPattern && substitute === undefined && /%[uc]/.test(level)
      if (inPart && !denies) return this.#lose(line, 'Mosquitto fills in %u and %c only where they are a level alone; some of its versions do it elsewhere, too. Make it a level alone.')
      if (inPart) this.#find('narrowed', line, 'Mosquitto fills in %u and %c only where they are a level alone; some of its versions do it elsewhere, too. Here any text in that level is denied.')
      levels.push(inPart ? '+' : substitute ?? literalLevel(level))
    }
    const problem = unsayable(levels)
    if (problem === undefined) return levels
    if (problem === 'reserved') return this.#lose(line, 'topics that begin with $ are reserved, and nothing grants them.')
    // What cannot be written is not a topic here, either; of a filter that is only too long some topics could be.
    const wider = denies ? shortened(levels) : undefined
    if (wider !== undefined) this.#find('narrowed', line, 'the filter is longer than one may be. Here everything is denied that begins like it.')
    return wider ?? this.#lose(line, 'this is no topic here: it is too long, or has a character that is not accepted.')
  }

  /** Of a deny nothing is lost where no grant can reach. */
  #lose(line: AclLine, why: string): undefined {
    this.#find(line.access === 'deny' ? 'remark' : 'left-out', line, why)
    return undefined
  }

  /**
   * Patterns come after a client's own lines in Mosquitto: one that denies takes nothing from those. Here a deny wins, so it
   * stands only where it takes something from another pattern.
   */
  #neededPatternDenies(): readonly Said[] {
    return this.#patterns.deny.filter((denied) => {
      if (!this.#patterns.allow.some(({ levels }) => mayOverlap(levels, denied.levels))) {
        this.#find('remark', denied.line, 'no pattern grants anything of it, and Mosquitto asks a pattern only after the lines of the user. It is not in the policy.')
        return false
      }
      for (const [user, { allow }] of this.#users) {
        const own = allow.find(({ levels }) => mayOverlap(levels, denied.levels.map((level) => (level === '${device.id}' ? user : level))))
        if (own !== undefined) this.#find('narrowed', denied.line, `Mosquitto lets line ${own.line.at.line} (${printable(own.line.text)}) of user ${user} win; here a deny wins.`)
      }
      return true
    })
  }
}

const fromOf = ({ at, text }: AclLine): string => `line ${at.line}: ${text}`

function grantOf(id: string, to: DraftGrant['to'], said: readonly Said[]): DraftGrant {
  const topics = (access: 'read' | 'write') => said.filter(({ line }) => line.access === access || line.access === 'readwrite')
  const sends = topics('write').map(({ line, levels }) => ({ topic: levels.join('/'), retain: true, from: fromOf(line) }))
  return {
    id, to, publish: sends, will: sends,
    subscribe: topics('read').map(({ line, levels }) => ({ topic: levels.join('/'), wildcard: 'filter', share: SHARED_BY_ALL, from: fromOf(line) })),
  }
}

function denyOf(id: string, to: DraftDeny['to'], said: readonly Said[]): DraftDeny {
  const topics = said.map(({ line, levels }) => ({ topic: levels.join('/'), from: fromOf(line) }))
  return { id, to, publish: topics, subscribe: topics, receive: [] }
}
