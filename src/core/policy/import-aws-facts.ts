// The statements of an AWS IoT policy, sorted by what they allow and deny, each as far as a policy can say it. What is lost on the
// way is told. import-aws.ts makes rules of them.

import { printable } from '../ids.ts'
import { termsOf, type AwsTerms, type AwsTools } from './import-aws-conditions.ts'
import { actionsOf, RESOURCE_OF, resourceOf, type AwsAction } from './import-aws-names.ts'
import { filtersOf, messagesOf, type AwsPattern } from './import-aws-topics.ts'
import type { FindingKind, Findings } from './import-draft.ts'
import type { PatternLevels } from './import-patterns.ts'
import type { AwsElement, AwsStatement } from './read-aws-policy.ts'

/** One resource of a statement, for one action. */
export interface AwsClause {
  readonly element: AwsElement
  readonly terms: AwsTerms
  readonly levels: PatternLevels
  /** Of filters: its name was "*". */
  readonly withShares: boolean
  /** Of filters: this very one, which ends in "#". */
  readonly isOneFilter: boolean
}

/** A resource of Connect. */
export interface AwsClient {
  readonly element: AwsElement
  readonly terms: AwsTerms
  readonly name: string
}

type Topical = Exclude<AwsAction, 'Connect'>

export interface AwsFacts {
  readonly connects: AwsClient[]
  readonly connectDenials: AwsClient[]
  readonly allowed: Readonly<Record<Topical, AwsClause[]>>
  readonly denied: Readonly<Record<Topical, AwsClause[]>>
  /** Denials outside of networks: what they are about is allowed within them alone. */
  readonly fences: { readonly action: AwsAction; readonly denial: AwsClause; readonly networks: readonly string[] }[]
  /** A denial of shared subscriptions. */
  deniesShares: boolean
}

const byAction = <T>(): Record<Topical, T[]> => ({ Publish: [], RetainPublish: [], Subscribe: [], Receive: [] })

export function collectFacts(statements: readonly AwsStatement[], mayAskAttributes: boolean, findings: Findings, tools: AwsTools): AwsFacts {
  const collector = new Collector(mayAskAttributes, findings, tools)
  for (const statement of statements) collector.take(statement)
  return collector.facts
}

class Collector {
  readonly facts: AwsFacts = { connects: [], connectDenials: [], allowed: byAction(), denied: byAction(), fences: [], deniesShares: false }
  readonly #mayAskAttributes: boolean
  readonly #findings: Findings
  readonly #tools: AwsTools

  constructor(mayAskAttributes: boolean, findings: Findings, tools: AwsTools) {
    this.#mayAskAttributes = mayAskAttributes
    this.#findings = findings
    this.#tools = tools
  }

  #find(kind: FindingKind, { at, path, text }: AwsElement, why: string): undefined {
    this.#findings.add({ at, path, kind, original: text, why })
    return undefined
  }

  take(statement: AwsStatement): void {
    const { effect, inverted } = statement
    const terms = this.#terms(statement)
    if (terms === undefined) return
    if (inverted !== undefined) {
      if (effect === 'Allow') return this.#find('left-out', inverted, 'a policy names what it allows, not what it does not.')
      this.#find('narrowed', inverted, 'a policy names what it denies, not what it does not. Here everything is denied.')
    }
    const everything: AwsElement = { text: '*', at: inverted?.at ?? statement.at, path: inverted?.path ?? statement.path }
    const actions = new Set((inverted === undefined ? statement.actions : [everything]).flatMap((action) => this.#actions(action, effect)))
    for (const resource of inverted === undefined ? statement.resources : [everything]) this.#resource(resource, effect, [...actions], terms)
  }

  /** Undefined where the statement is for nobody, or cannot be said at all. */
  #terms(statement: AwsStatement): AwsTerms | undefined {
    const { effect, conditions } = statement
    const [first] = conditions
    const terms = termsOf(conditions, effect, this.#mayAskAttributes, this.#tools)
    const element: AwsElement = { text: conditions.map(({ operator, key }) => `${operator} ${key}`).join(', '), at: first?.at ?? statement.at, path: first?.path ?? statement.path }
    if (terms.isNever) return this.#find('remark', element, 'the condition never holds: a device that connects is registered.')
    const { outside, source, ...rest } = terms
    const isLone = source === undefined && Object.keys(terms.attributes).length === 0 && terms.unsaid.length === 0 && terms.connect === undefined
    const unsaid = [...terms.unsaid, ...(outside !== undefined && (effect === 'Allow' || !isLone) ? ['a rule is for networks, not for what is outside of them'] : [])]
    if (unsaid.length === 0) return terms
    const why = `${unsaid.join('; ')}.`
    if (effect === 'Allow') return this.#find('left-out', element, why)
    this.#find('narrowed', element, `${why} Here it is denied without that condition.`)
    return { ...rest, ...(source === undefined ? {} : { source }), unsaid }
  }

  #actions(element: AwsElement, effect: AwsStatement['effect']): readonly AwsAction[] {
    const actions = actionsOf(element.text)
    if (actions.length > 0) return actions
    if (effect === 'Allow') this.#find('left-out', element, 'this is no action of MQTT: there is no shadow, job or HTTP interface for devices here.')
    else this.#find('remark', element, 'this is no action of MQTT, and nothing grants it here.')
    return []
  }

  #resource(element: AwsElement, effect: AwsStatement['effect'], actions: readonly AwsAction[], terms: AwsTerms): void {
    const resource = resourceOf(element.text)
    const loss = effect === 'Allow' ? 'left-out' : 'remark'
    if (actions.length === 0) return
    if (resource === undefined) return this.#find(loss, element, 'this is no resource of AWS IoT, and matches nothing.')
    const isOpen = /[*?]/.test(resource.kind) && resource.kind !== '*'
    if (isOpen && effect === 'Allow') return this.#find('left-out', element, 'the kind of the resource is left open. Name it: client/, topic/ or topicfilter/.')
    if (isOpen) this.#find('narrowed', element, 'the kind of the resource is left open. Here all of them are denied.')
    const about = isOpen || resource.kind === '*' ? actions : actions.filter((action) => RESOURCE_OF[action] === resource.kind)
    if (about.length === 0) return this.#find('remark', element, `no action of the statement is about a ${printable(resource.kind)}, so AWS matches nothing with it.`)
    for (const action of about) this.#clause(element, effect, action, isOpen ? '*' : resource.name, terms)
  }

  #clause(element: AwsElement, effect: AwsStatement['effect'], action: AwsAction, name: string, terms: AwsTerms): void {
    if (action === 'Connect') {
      if (effect === 'Deny' && terms.outside !== undefined) return this.#fence(action, { element, terms, levels: ['#'], withShares: false, isOneFilter: false })
      return void (effect === 'Allow' ? this.facts.connects : this.facts.connectDenials).push({ element, terms, name })
    }
    // What a CONNECT asks for is known of a CONNECT alone.
    if (effect === 'Deny' && terms.connect !== undefined) return
    const pattern = action === 'Subscribe' ? filtersOf(name, effect) : messagesOf(name, effect)
    if (pattern.finding !== undefined) this.#find(pattern.finding.kind, element, pattern.finding.why)
    if (pattern.isShare === true) this.facts.deniesShares = true
    if (pattern.levels !== undefined) this.#topics(element, effect, action, { ...pattern, levels: pattern.levels }, terms)
  }

  #topics(element: AwsElement, effect: AwsStatement['effect'], action: Topical, pattern: AwsPattern & { readonly levels: PatternLevels }, terms: AwsTerms): void {
    const clause = { element, terms, levels: pattern.levels, withShares: pattern.withShares === true, isOneFilter: pattern.isOneFilter === true }
    if (effect === 'Allow') return void this.facts.allowed[action].push(clause)
    if (terms.outside === undefined) this.facts.denied[action].push(clause)
    else this.#fence(action, clause)
  }

  #fence(action: AwsAction, denial: AwsClause): void {
    this.facts.fences.push({ action, denial, networks: denial.terms.outside ?? [] })
  }
}
