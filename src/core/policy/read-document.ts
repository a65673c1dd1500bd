// Reads a policy from trees with positions: every key that the grammar has, strictly. What is wrong is reported with its
// place and a suggestion, all of it at once. It knows no syntax: YAML and the line form make the same trees.

import { POLICY_LIMITS } from '../../limits.ts'
import { TreeReader, type MapEntry, type Problem, type SourceNode } from '../source-tree.ts'
import { groupCircles } from './groups.ts'
import { TOP_KEYS } from './keys.ts'
import { NOTHING_GRANTED, ON_DENY, RETAINED_FATES, WILL_ON_KICK, type DenyRule, type GrantRule, type GroupRule, type IdentityRule, type PolicyDocument } from './document.ts'
import { idOf, placeOf, RuleReader, type DocumentTools } from './read-rules.ts'

export interface PolicyReading {
  /** Absent when there are problems. */
  readonly document?: PolicyDocument
  readonly problems: readonly Problem[]
}

const NAMES_TOLD_MAX = 8

/** Reads a policy from one tree for each of its files. Their order does not matter. */
export function parsePolicyDocument(trees: readonly SourceNode[], tools: DocumentTools): PolicyReading {
  const reader = new PolicyReader(tools)
  for (const tree of trees) finished(reader.file(tree))
  return finished(reader.end())
}

function finished<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** A list or mapping at the top of a file that may be long. */
interface Section {
  readonly entry: MapEntry
  count: number
  /** One of its items, or of its entries. */
  readonly item?: (node: SourceNode) => void
  readonly each?: (entry: MapEntry) => void
}

type Settings = Pick<PolicyDocument, 'onDeny' | 'strictDeny' | 'retained' | 'willOnKick'>

/**
 * Reads a policy in steps of a millisecond or less, for whoever has something else to do meanwhile; and in pieces, for whom it
 * would be too much to have all of it at once: what is long in a file may come after it.
 */
export class PolicyReader {
  readonly #reader = new TreeReader()
  readonly #rules: RuleReader
  readonly #identity: IdentityRule[] = []
  readonly #groups: GroupRule[] = []
  readonly #grants: GrantRule[] = []
  readonly #quarantine: GrantRule[] = []
  readonly #deny: DenyRule[] = []
  /** What is said once for all files, and where. */
  readonly #said = new Map<string, MapEntry>()
  /** Of the file that is being read, by the number of the entry. */
  #sections: readonly (Section | undefined)[] = []

  constructor(tools: DocumentTools) {
    this.#rules = new RuleReader(this.#reader, tools)
  }

  /** A file. R1: an empty one is a policy, and grants nothing. */
  *file(tree: SourceNode): Generator<void, void> {
    this.#sections = []
    if (tree.kind === 'map' && tree.entries.length === 0) return
    const top = this.#reader.map(tree, 'the policy', TOP_KEYS)
    if (top === undefined || tree.kind !== 'map') return
    const version = top.get('version')
    if (version === undefined) this.#reader.report(tree.at, 'the policy has no version.', 'Begin the file with: version: 1')
    else this.#reader.integer(version.value, 'version', 1, 1)
    for (const key of ['onDeny', 'strictDeny', 'retained', 'willOnKick']) this.#once(top.get(key))
    const quarantine = this.#reader.inRule('quarantine', () => this.#rules.quarantine(top.get('quarantine')))
    if (quarantine !== undefined) this.#quarantine.push(quarantine)
    this.#sections = tree.entries.map((entry) => this.#section(entry))
    for (const [i, { value }] of tree.entries.entries()) yield* this.more(i, value)
  }

  /** What stands in the list or mapping of an entry of the file that was read last, or more of it. */
  *more(entry: number, content: SourceNode): Generator<void, void> {
    const section = this.#sections[entry]
    if (section?.item !== undefined && content.kind === 'list') {
      for (const node of content.items) {
        yield
        if (this.#hasRoom(section)) this.#reader.inRule(idOf(node), () => section.item?.(node))
      }
    }
    if (section?.each !== undefined && content.kind === 'map') {
      for (const each of content.entries) {
        yield
        if (this.#hasRoom(section)) section.each(each)
      }
    }
  }

  /** There is no more. */
  *end(): Generator<void, PolicyReading> {
    yield* this.#circles()
    const document: PolicyDocument = { identity: this.#identity, groups: this.#groups, grants: [...this.#grants, ...this.#quarantine], deny: this.#deny, ...this.#settings() }
    const { problems } = this.#reader
    return problems.length > 0 ? { problems } : { document, problems }
  }

  /** A section with nothing in it is an empty one. */
  #section(entry: MapEntry): Section | undefined {
    const { key, value } = entry
    const lists: Readonly<Record<string, (node: SourceNode) => void>> = {
      identity: (node) => push(this.#identity, this.#rules.identity(node)),
      grants: (node) => push(this.#grants, this.#rules.grant(node)),
      deny: (node) => push(this.#deny, this.#rules.deny(node)),
    }
    const item = Object.hasOwn(lists, key) ? lists[key] : undefined
    if ((item === undefined && key !== 'groups') || (value.kind === 'scalar' && value.value === null)) return undefined
    if (item !== undefined) return this.#reader.list(value, key) && { entry, count: 0, item }
    if (value.kind === 'map') return { entry, count: 0, each: (each) => push(this.#groups, this.#rules.group(each)) }
    return this.#reader.report(value.at, 'groups must say which groups a group contains.', 'Write: groups: { plant: [line-1, line-2] }')
  }

  #hasRoom(section: Section): boolean {
    section.count++
    if (section.count === POLICY_LIMITS.rulesMax + 1) this.#reader.report(section.entry.keyAt, `${section.entry.key} has more than ${POLICY_LIMITS.rulesMax} entries.`)
    return section.count <= POLICY_LIMITS.rulesMax
  }

  /** What holds for the whole policy is said in one of its files. */
  #once(entry: MapEntry | undefined): void {
    if (entry === undefined) return
    const before = this.#said.get(entry.key)
    if (before === undefined) this.#said.set(entry.key, entry)
    else this.#reader.report(entry.keyAt, `${entry.key} is said already, in ${placeOf(before.keyAt)}.`, 'Say it in one file: the order of files must not matter.')
  }

  #settings(): Settings {
    const said = <T>(key: string, read: (node: SourceNode) => T | undefined): T | undefined => {
      const entry = this.#said.get(key)
      return entry && read(entry.value)
    }
    return {
      onDeny: said('onDeny', (node) => this.#reader.oneOf(node, 'onDeny', ON_DENY)) ?? NOTHING_GRANTED.onDeny,
      strictDeny: said('strictDeny', (node) => this.#reader.boolean(node, 'strictDeny')) ?? NOTHING_GRANTED.strictDeny,
      retained: said('retained', (node) => this.#reader.oneOf(node, 'retained', RETAINED_FATES)) ?? NOTHING_GRANTED.retained,
      willOnKick: said('willOnKick', (node) => this.#reader.oneOf(node, 'willOnKick', WILL_ON_KICK)) ?? NOTHING_GRANTED.willOnKick,
    }
  }

  *#circles(): Generator<void, void> {
    for (const circle of yield* groupCircles(this.#groups)) {
      const names = circle.slice(0, NAMES_TOLD_MAX).map(({ group }) => group)
      const [first] = circle
      if (first !== undefined) this.#reader.report(first.at, `the groups contain each other in a circle: ${[...names, ...(names.length < circle.length ? ['…'] : []), first.group].join(' → ')}.`, 'Take one of them out of the other.')
    }
  }
}

function push<T>(all: T[], one: T | undefined): void {
  if (one !== undefined) all.push(one)
}
