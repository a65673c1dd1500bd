// AWS IoT policies → a draft of a policy. There, too, a deny wins and order means nothing. Publish and RetainPublish become one
// grant with or without retain; Subscribe and Receive become one grant of what both allow. A thing is a device, and the policies
// that are attached to it together are imported together.

import { parseGroupName } from '../ids.ts'
import type { SourceNode } from '../source-tree.ts'
import { keyOfTerms, together, type AwsTerms, type AwsTools } from './import-aws-conditions.ts'
import { doorOf, type AwsDoor } from './import-aws-door.ts'
import { collectFacts, type AwsClause, type AwsFacts } from './import-aws-facts.ts'
import { Findings, RuleIds, tooMany, type Draft, type DraftDeny, type DraftGrant, type DraftRead, type DraftSend, type DraftTarget, type FindingKind, type Importing } from './import-draft.ts'
import { mayOverlap, meet, surelyContains, withoutHashFilters, type PatternLevels } from './import-patterns.ts'
import { readAwsPolicy, type AwsElement } from './read-aws-policy.ts'

export interface AwsSource {
  readonly file: string
  readonly tree: SourceNode
}

/** Whom the policies are attached to. */
export type AwsTarget = 'any' | { readonly group: string }

/** AWS IoT has no QoS 2. */
const QOS = 1

interface Piece {
  readonly levels: PatternLevels
  readonly terms: AwsTerms
  readonly clause: AwsClause
  readonly retain: boolean
  readonly withShares: boolean
}

export function importAws(sources: readonly AwsSource[], to: AwsTarget, tools: AwsTools): Importing {
  const read = sources.map(({ tree }) => readAwsPolicy(tree))
  const problems = read.flatMap((each) => each.problems)
  if (problems.length > 0) return { problems }
  const findings = new Findings()
  const facts = collectFacts(read.flatMap(({ statements }) => statements), to === 'any', findings, tools)
  const [first] = sources
  const count = (clauses: readonly (readonly unknown[])[]): number => clauses.flat().length
  const [allowed, denied] = [count(Object.values(facts.allowed)), count([...Object.values(facts.denied), facts.fences])]
  // A grant of Subscribe meets every Receive, and what both allow meets the denials.
  const excess = tooMany(first?.file ?? '', [allowed * allowed, denied + 1], [facts.connects.length, facts.connectDenials.length])
  if (excess !== undefined) return { problems: [excess] }
  return { draft: new AwsImport(facts, to, findings).draft(first?.tree) }
}

class AwsImport {
  readonly #facts: AwsFacts
  readonly #to: AwsTarget
  readonly #findings: Findings
  readonly #ids = new RuleIds()
  /** Topics that a grant has and no Receive allows: denied beside it. */
  readonly #stems: { readonly levels: PatternLevels; readonly clause: AwsClause }[] = []

  constructor(facts: AwsFacts, to: AwsTarget, findings: Findings) {
    this.#facts = facts
    this.#to = to
    this.#findings = findings
  }

  draft(tree: SourceNode | undefined): Draft {
    const door = doorOf(this.#facts, this.#findings)
    if (door === undefined) {
      if (tree !== undefined) this.#find('left-out', { text: '', at: tree.at, path: 'Statement' }, 'nothing that is left allows iot:Connect, and who may not connect may nothing. Import the policies that are attached together with one command.')
      return { grants: [], deny: [], findings: this.#findings.sorted }
    }
    this.#judgeClientIds(door)
    const publish = this.#behindDoor(this.#publish(), door, 'Publish')
    const subscribe = this.#behindDoor(this.#subscribe(), door, 'Subscribe')
    return { grants: this.#grants(door, publish, subscribe), deny: this.#denies(door), findings: this.#findings.sorted }
  }

  #find(kind: FindingKind, { at, path, text }: AwsElement, why: string): void {
    this.#findings.add({ at, path, kind, original: text, why })
  }

  /** A client id that is not the device's own fills in nothing. */
  #judgeClientIds({ clientIds }: AwsDoor): void {
    const foreign = clientIds?.find((id) => !id.startsWith('${device.id}'))
    const clause = Object.values(this.#facts.allowed).flat().find(({ levels }) => levels.some((level) => level.includes('${clientId}')))
    if (foreign !== undefined && clause !== undefined) this.#find('narrowed', clause.element, `\${clientId} is filled in where it is the id of the device, or that with ":" and a suffix. Register whoever connects as ${foreign} under that id.`)
  }

  #publish(): readonly Piece[] {
    const { Publish, RetainPublish } = this.#facts.allowed
    return Publish.flatMap((clause) => {
      const plain: Piece = { levels: clause.levels, terms: clause.terms, clause, retain: false, withShares: false }
      const retained = RetainPublish.flatMap((other) => this.#common(clause, other).map((both) => ({ ...plain, ...both, retain: this.#mayRetain(both.levels, clause) })))
      const isAll = retained.some(({ levels, terms }) => surelyContains(levels, clause.levels) && keyOfTerms(terms) === keyOfTerms(clause.terms))
      return [...(isAll ? [] : [plain]), ...retained]
    })
  }

  /** A deny of RetainPublish takes the flag, not the message. */
  #mayRetain(levels: PatternLevels, { element }: AwsClause): boolean {
    const denial = this.#facts.denied.RetainPublish.find((denied) => mayOverlap(denied.levels, levels))
    if (denial !== undefined && (!surelyContains(denial.levels, levels) || keyOfTerms(denial.terms) !== keyOfTerms({ attributes: {} }))) this.#find('narrowed', element, `${denial.element.path} denies some of its messages the retain flag; here it has none that are retained.`)
    return denial === undefined
  }

  /** What two clauses allow together. */
  #common(a: AwsClause, b: AwsClause): readonly { readonly levels: PatternLevels; readonly terms: AwsTerms }[] {
    const levels = meet(a.levels, b.levels)
    const terms = together(a.terms, b.terms)
    if (levels === 'empty' || terms.isNever) return []
    if (levels !== 'unknown' && terms.unsaid.length === 0) return [{ levels, terms }]
    this.#find('narrowed', a.element, `what it has in common with ${b.element.path} depends on what variables are, or on two conditions. It is not in the policy.`)
    return []
  }

  #subscribe(): readonly Piece[] {
    const { Subscribe, Receive } = this.#facts.allowed
    return Subscribe.flatMap((clause) => {
      const pieces = this.#withoutFilters(clause).flatMap((levels) => this.#received({ ...clause, levels }, Receive))
      if (pieces.length > 0 && !pieces.some(({ terms }) => keyOfTerms(terms) === keyOfTerms(clause.terms))) this.#find('remark', clause.element, 'where iot:Receive does not allow its messages, the subscription is refused here.')
      if (pieces.length === 0) this.#find('left-out', clause.element, 'nothing that it takes is allowed by iot:Receive.')
      return pieces
    })
  }

  /** A deny of the filter a/# alone, and not of what is within it, makes the grants smaller. */
  #withoutFilters(clause: AwsClause): readonly PatternLevels[] {
    let left: readonly PatternLevels[] = [clause.levels]
    for (const denial of this.#facts.denied.Subscribe.filter(({ isOneFilter }) => isOneFilter)) {
      left = left.flatMap((levels) => {
        if (clause.isOneFilter && levels.join('/') === denial.levels.join('/')) return []
        const { patterns, exact } = withoutHashFilters(levels, denial.levels.slice(0, -1), true)
        if (!exact || (patterns[0] !== levels && keyOfTerms(denial.terms) !== keyOfTerms({ attributes: {} }))) this.#find('narrowed', clause.element, `${denial.element.path} denies the filter ${denial.levels.join('/')}: here other filters that end in "#" are refused, too.`)
        // topicfilter/a/* has no filter for the topic a but a/#.
        const stem = clause.levels.slice(0, -1).join('/')
        return levels === clause.levels && patterns[0] !== levels ? patterns.filter((pattern) => pattern.join('/') !== stem) : patterns
      })
    }
    return left
  }

  #received(clause: AwsClause, receive: readonly AwsClause[]): readonly Piece[] {
    const { levels, element } = clause
    const withShares = clause.withShares && !this.#facts.deniesShares
    const piece = { clause, retain: false, withShares }
    const whole = receive.filter((other) => surelyContains(other.levels, levels))
    const below = receive.filter((other) => levels.length > 1 && levels.at(-1) === '#' && surelyContains(other.levels, [...levels.slice(0, -1), '+', '#']))
    const stem = levels.slice(0, -1)
    if (whole.length > 0) {
      if (levels.at(-1) === '#' && levels.length > 1 && !element.text.endsWith('#')) this.#find('remark', element, `here it is also granted to subscribe to ${stem.join('/')}, which brings no message more than ${levels.join('/')}.`)
      return whole.flatMap((other) => this.#common(clause, other).map(({ terms }) => ({ ...piece, levels, terms })))
    }
    // topicfilter/a/* takes the filter a/#, and topic/a/* its messages but those of a.
    if (below.length > 0 && !receive.some((other) => mayOverlap(other.levels, stem))) {
      if (stem.join('/') !== '') this.#stems.push({ levels: stem, clause })
      return below.flatMap((other) => this.#common({ ...clause, levels: [...stem, '+', '#'] }, other).map(({ terms }) => ({ ...piece, levels, terms })))
    }
    const common = receive.flatMap((other) => this.#common(clause, other).map((both) => ({ ...piece, ...both })))
    if (common.length > 0) this.#find('narrowed', element, 'iot:Receive allows a part of what it takes: here a filter that takes more than that part is refused.')
    return common
  }

  /** Whoever may not connect may nothing; and what is denied outside of networks is allowed within them. */
  #behindDoor(pieces: readonly Piece[], door: AwsDoor, action: 'Publish' | 'Subscribe'): readonly Piece[] {
    return pieces.flatMap((piece) => {
      let terms = together(piece.terms, door.terms)
      for (const { action: fenced, denial, networks } of this.#facts.fences) {
        const isAbout = fenced === action || fenced === 'Connect' || (action === 'Publish' ? fenced === 'RetainPublish' && piece.retain : fenced === 'Receive')
        if (!isAbout || !mayOverlap(denial.levels, piece.levels)) continue
        if (fenced === 'RetainPublish' || denial.isOneFilter || !surelyContains(denial.levels, piece.levels)) this.#find('narrowed', piece.clause.element, `${denial.element.path} denies a part of it outside of ${networks.join(', ')}: here all of it is allowed within alone.`)
        terms = together(terms, { source: networks, attributes: {}, isNever: false, unsaid: [] })
      }
      if (terms.isNever) return []
      if (terms.unsaid.length === 0) return [{ ...piece, terms }]
      this.#find('left-out', piece.clause.element, 'it is allowed under two conditions of the same kind, and a rule has one.')
      return []
    })
  }

  #grants(door: AwsDoor, publish: readonly Piece[], subscribe: readonly Piece[]): readonly DraftGrant[] {
    const base = this.#name()
    const connect: DraftGrant = { id: this.#ids.make(base), to: this.#to, ...(door.clientIds === undefined ? {} : { clientIds: door.clientIds }), ...(door.keepsSessions ? {} : { endsWithConnection: true }), publish: [], subscribe: [], will: [] }
    const byTerms = Map.groupBy([...once(publish), ...once(subscribe)], ({ terms }) => keyOfTerms(terms))
    const free = keyOfTerms({ attributes: {} })
    const grants = [...byTerms].map(([key, pieces]): DraftGrant => {
      const sends = pieces.filter((piece) => publish.includes(piece)).map(sendOf)
      const [first] = pieces
      const body = { publish: sends, will: door.withWill ? sends : [], subscribe: pieces.filter((piece) => subscribe.includes(piece)).map(readOf) }
      return key === free || first === undefined ? { ...connect, ...body } : { id: this.#ids.make(`${base}-if`), ...this.#forWhom(first.terms), ...body }
    })
    if (grants.length === 0) return this.#facts.fences.some(({ action }) => action === 'Connect') ? [] : [{ ...connect, ...this.#forWhom(door.terms) }]
    // What CONNECT may ask for is said without conditions, where it narrows every grant.
    const saysConnect = door.clientIds !== undefined || !door.keepsSessions
    return byTerms.has(free) || !saysConnect ? grants : [connect, ...grants]
  }

  #denies(door: AwsDoor): readonly DraftDeny[] {
    const { denied, allowed } = this.#facts
    const base = this.#name()
    const rules: DraftDeny[] = []
    const add = (clause: Pick<AwsClause, 'element' | 'terms'>, body: Partial<DraftDeny>, to = this.#forWhom(clause.terms)): void =>
      void rules.push({ id: this.#ids.make(`${base}-deny`), publish: [], subscribe: [], receive: [], ...body, ...to })
    const topic = ({ levels, element }: Pick<AwsClause, 'levels' | 'element'>) => [{ topic: levels.join('/'), from: fromOf(element) }]
    for (const denial of denied.Publish) add(denial, { publish: topic(denial) })
    for (const denial of denied.Receive) add(denial, { receive: topic(denial) })
    for (const denial of denied.Subscribe) {
      if (denial.isOneFilter) continue
      add(denial, { subscribe: topic(denial) })
      const wider = allowed.Subscribe.find(({ levels }) => mayOverlap(levels, denial.levels) && !surelyContains(denial.levels, levels))
      const stem = denial.levels.at(-1) === '#' ? denial.levels.slice(0, -1) : undefined
      const own = stem && allowed.Subscribe.find(({ levels }) => levels.length === stem.length && mayOverlap(levels, stem))
      if (own !== undefined) this.#find('narrowed', denial.element, `here ${stem?.join('/') ?? ''} itself is denied, too, which ${own.element.path} allows.`)
      if (wider !== undefined) this.#find('narrowed', denial.element, `AWS refuses the filter and delivers its topics by a wider one, as ${wider.element.path} allows; here they are not delivered.`)
    }
    for (const { levels, clause } of this.#stems) add({ element: clause.element, terms: { attributes: {}, isNever: false, unsaid: [] } }, { subscribe: [{ topic: levels.join('/'), from: `${clause.element.path}: not ${levels.join('/')} itself` }] })
    for (const { device, element } of door.shutOut) {
      const everything = [{ topic: '#', from: fromOf(element) }]
      add({ element, terms: { attributes: {}, isNever: false, unsaid: [] } }, { publish: everything, subscribe: everything }, { to: { device } })
    }
    return rules
  }

  #name(): string {
    return this.#to === 'any' ? 'things' : this.#to.group
  }

  #forWhom({ source, attributes }: AwsTerms): { readonly to: DraftTarget; readonly source?: readonly string[] } {
    return { to: Object.keys(attributes).length === 0 ? this.#to : { attr: attributes }, ...(source === undefined ? {} : { source }) }
  }
}

/** Two clauses may say the same. */
function once(pieces: readonly Piece[]): readonly Piece[] {
  return [...new Map(pieces.map((piece) => [JSON.stringify([piece.levels, piece.retain, piece.withShares, keyOfTerms(piece.terms)]), piece])).values()]
}

const fromOf = ({ path, text }: AwsElement): string => `${path}: ${text}`
const sendOf = ({ levels, retain, clause }: Piece): DraftSend => ({ topic: levels.join('/'), qos: QOS, retain, from: fromOf(clause.element) })
const readOf = ({ levels, withShares, clause }: Piece): DraftRead => ({ topic: levels.join('/'), qos: QOS, ...(withShares ? { share: ['*'] } : {}), from: fromOf(clause.element) })

/** 'any' or a group, as a person names it; undefined when it is neither. */
export function parseAwsTarget(text: string): AwsTarget | undefined {
  if (text === 'any') return 'any'
  return parseGroupName(text).allow ? { group: text } : undefined
}
