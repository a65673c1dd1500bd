// The rules of an EMQX acl.conf as facts: for whom, which action, which topics, in their order. What EMQX would not load is a
// problem here, too; what no policy can say is kept as such, for whoever translates. emqx_authz_rule.erl of EMQX 5.

import type { SourcePosition } from '../errors.ts'
import { parseDeviceId, printable } from '../ids.ts'
import type { Problem } from '../source-tree.ts'
import { readTerms, type Term, type WrittenTerm } from './erlang-terms.ts'

/** All that is said must hold. */
export interface EmqxClient {
  readonly device?: string
  /** It is known by its client id, not by its user name. */
  readonly byClientId: boolean
  readonly source?: readonly string[]
  /** Conditions that no policy can say. */
  readonly unsaid: readonly string[]
  /** Why nobody can be meant. */
  readonly nobody?: string
}

export interface EmqxTopic {
  readonly at: SourcePosition
  readonly text: string
  /** Of a subscription, this very filter; of a message, this very topic. */
  readonly exactly: boolean
}

export interface EmqxRule {
  readonly at: SourcePosition
  readonly text: string
  readonly effect: 'allow' | 'deny'
  /** The rule is for each of them. */
  readonly clients: readonly EmqxClient[]
  readonly publish?: { readonly qos: readonly number[]; readonly retain: boolean | 'all' }
  readonly subscribe?: { readonly qos: readonly number[] }
  readonly topics: readonly EmqxTopic[]
}

export interface EmqxTools {
  /** What is wrong with the text of a network; anything else when nothing is. */
  network(text: string): unknown
}

/** Alternatives of one rule: beyond this it is said to be unsayable. */
const ALTERNATIVES_MAX = 256
const ALL_QOS = [0, 1, 2]
const EVERYBODY: EmqxClient = { byClientId: false, unsaid: [] }
/** A pattern for one text, which it must be in whole: dots and hyphens may be escaped. */
const ONE_NAME = /^\^((?:[A-Za-z0-9_:-]|\\[.:-])+)\$$/
const RULE_FORM = 'A rule is {allow|deny, Who, Action, [Topics]}, or {allow|deny, all}.'

export function readEmqxAcl(file: string, text: string, tools: EmqxTools): { readonly rules: readonly EmqxRule[]; readonly problems: readonly Problem[] } {
  const read = readTerms(file, text)
  if ('problem' in read) return { rules: [], problems: [read.problem] }
  const reader = new RuleReader(tools)
  return { rules: read.terms.flatMap((written) => reader.rule(written) ?? []), problems: reader.problems }
}

class RuleReader {
  readonly problems: Problem[] = []
  readonly #tools: EmqxTools

  constructor(tools: EmqxTools) {
    this.#tools = tools
  }

  rule({ term, text }: WrittenTerm): EmqxRule | undefined {
    const [permission, who, action, topics, ...more] = term.kind === 'tuple' ? term.items : []
    const effect = atomOf(permission)
    if (who === undefined || (effect !== 'allow' && effect !== 'deny') || more.length > 0) return this.#report(term.at, 'this is no rule.', RULE_FORM)
    const head = { at: term.at, text, effect } as const
    if (action === undefined && atomOf(who) === 'all') {
      return { ...head, clients: [EVERYBODY], ...actions('all', ALL_QOS, 'all'), topics: [{ at: who.at, text: '#', exactly: false }] }
    }
    if (action === undefined || topics === undefined) return this.#report(term.at, 'this is no rule.', RULE_FORM)
    const did = this.#action(action)
    const about = this.#topics(topics)
    return did && about && { ...head, clients: this.#who(who), ...did, topics: about }
  }

  #report(at: SourcePosition, message: string, fix: string): undefined {
    this.problems.push({ at, message, fix })
    return undefined
  }

  #who(term: Term): readonly EmqxClient[] {
    const [name, value] = term.kind === 'tuple' ? term.items : []
    if (atomOf(term) === 'all') return [EVERYBODY]
    const kind = atomOf(name)
    if (value !== undefined && (kind === 'user' || kind === 'username')) return [this.#named(value, false)]
    if (value !== undefined && (kind === 'client' || kind === 'clientid')) return [this.#named(value, true)]
    if (value?.kind === 'string' && kind === 'ipaddr') return [this.#from([value])]
    if (value?.kind === 'list' && kind === 'ipaddrs') return [this.#from(value.items)]
    if (value?.kind === 'list' && kind === 'or') return value.items.flatMap((each) => this.#who(each))
    if (value?.kind === 'list' && kind === 'and') {
      let all: readonly EmqxClient[] = [EVERYBODY]
      for (const each of value.items) {
        const some = this.#who(each)
        if (all.length * some.length > ALTERNATIVES_MAX) return [unsaid(`it has more than ${ALTERNATIVES_MAX} alternatives`)]
        all = all.flatMap((one) => some.map((other) => both(one, other)))
      }
      return all
    }
    return [unsaid(`no policy knows the condition ${kind === undefined ? 'that stands here' : `{${printable(kind)}, …}`}`)]
  }

  #named(value: Term, byClientId: boolean): EmqxClient {
    const [re, pattern] = value.kind === 'tuple' ? value.items : []
    const isPattern = atomOf(re) === 're' && pattern?.kind === 'string'
    const name = isPattern ? ONE_NAME.exec(pattern.value)?.[1]?.replaceAll('\\', '') : value.kind === 'string' ? value.value : undefined
    if (name === undefined) return unsaid(`no policy asks whether ${byClientId ? 'a client id' : 'a user name'} is like a pattern`)
    if (parseDeviceId(name).allow) return { device: name, byClientId, unsaid: [] }
    const [owner = ''] = name.split(':')
    if (byClientId && owner !== name && parseDeviceId(owner).allow) return { device: owner, byClientId, unsaid: ['a rule is for a device, not for one of its client ids'] }
    return { ...EVERYBODY, nobody: byClientId ? `no device has the client id "${printable(name)}"` : `"${printable(name)}" is no device id` }
  }

  #from(networks: readonly Term[]): EmqxClient {
    const texts = networks.map((term) => (term.kind === 'string' ? term.value : ''))
    const bad = texts.find((text) => typeof this.#tools.network(text) === 'string')
    if (texts.length === 0) return { ...EVERYBODY, nobody: 'no address is in an empty list' }
    return bad === undefined ? { ...EVERYBODY, source: texts } : unsaid(`"${printable(bad)}" is no network`)
  }

  #action(term: Term): Pick<EmqxRule, 'publish' | 'subscribe'> | undefined {
    const [name, options] = term.kind === 'tuple' ? term.items : [term]
    const kind = KINDS.get(atomOf(name))
    if (kind === undefined) return this.#report(term.at, 'this is no action.', 'An action is publish, subscribe or all, or {publish, [{qos, 1}, {retain, false}]}.')
    if (options === undefined) return actions(kind, ALL_QOS, 'all')
    let qos: readonly number[] | undefined
    let retain: boolean | 'all' | undefined
    for (const option of options.kind === 'list' ? options.items : [options]) {
      const [key, value] = option.kind === 'tuple' ? option.items : []
      const name = atomOf(key)
      const levels = (value?.kind === 'list' ? value.items : [value]).flatMap((each) => (each?.kind === 'integer' && ALL_QOS.includes(each.value) ? [each.value] : []))
      if (name === 'qos' && levels.length === (value?.kind === 'list' ? value.items.length : 1)) qos = [...(qos ?? []), ...levels]
      else if (name === 'retain' && kind !== 'subscribe' && ['true', 'false', 'all'].includes(atomOf(value) ?? '')) retain ??= atomOf(value) === 'all' ? 'all' : atomOf(value) === 'true'
      else return this.#report(option.at, 'this is no option of an action.', 'Options are {qos, 0|1|2}, {qos, [0, 1]} and, not for subscribe, {retain, true|false|all}.')
    }
    return actions(kind, qos ?? ALL_QOS, retain ?? 'all')
  }

  #topics(term: Term): readonly EmqxTopic[] | undefined {
    if (term.kind !== 'list') return this.#report(term.at, 'the topics must be a list.', 'Write [ "t/#" ].')
    return term.items.flatMap((each) => this.#topic(each) ?? [])
  }

  #topic(term: Term): EmqxTopic | undefined {
    const [eq, inner] = term.kind === 'tuple' ? term.items : []
    if (term.kind === 'string') return term.value.startsWith('eq ') ? { at: term.at, text: term.value.slice('eq '.length), exactly: true } : { at: term.at, text: term.value, exactly: false }
    return atomOf(eq) === 'eq' && inner?.kind === 'string' ? { at: term.at, text: inner.value, exactly: true } : this.#report(term.at, 'this is no topic.', 'A topic is "t/#" or {eq, "t/#"}.')
  }
}

/** pubsub is what EMQX 4 called all. */
const KINDS: ReadonlyMap<string | undefined, 'publish' | 'subscribe' | 'all'> = new Map([['publish', 'publish'], ['subscribe', 'subscribe'], ['all', 'all'], ['pubsub', 'all']])

const atomOf = (term: Term | undefined): string | undefined => (term?.kind === 'atom' ? term.value : undefined)

const unsaid = (why: string): EmqxClient => ({ ...EVERYBODY, unsaid: [why] })

function actions(kind: 'publish' | 'subscribe' | 'all', qos: readonly number[], retain: boolean | 'all'): Pick<EmqxRule, 'publish' | 'subscribe'> {
  return { ...(kind === 'subscribe' ? {} : { publish: { qos, retain } }), ...(kind === 'publish' ? {} : { subscribe: { qos } }) }
}

function both(a: EmqxClient, b: EmqxClient): EmqxClient {
  const device = a.device ?? b.device
  const source = a.source ?? b.source
  const twoDevices = a.device !== undefined && b.device !== undefined && a.device !== b.device
  const twoSources = a.source !== undefined && b.source !== undefined && a.source.join() !== b.source.join()
  const nobody = a.nobody ?? b.nobody ?? (twoDevices ? `no client is both ${a.device} and ${b.device}` : undefined)
  return {
    byClientId: a.byClientId || b.byClientId,
    unsaid: [...a.unsaid, ...b.unsaid, ...(twoSources ? ['a rule names its networks once'] : [])],
    ...(device === undefined ? {} : { device }), ...(source === undefined ? {} : { source }), ...(nobody === undefined ? {} : { nobody }),
  }
}
