// The names in an AWS IoT policy: which action, which kind of resource, and a name with * and ? as levels of the policy language.
// There * and ? stand for any characters, "/" among them, and + and # for themselves.

import { literalLevel } from './import-patterns.ts'

export const AWS_ACTIONS = ['Connect', 'Publish', 'Subscribe', 'Receive', 'RetainPublish'] as const
export type AwsAction = (typeof AWS_ACTIONS)[number]

/** The kind of resource that each action is about. */
export const RESOURCE_OF: Readonly<Record<AwsAction, string>> = { Connect: 'client', Publish: 'topic', Receive: 'topic', RetainPublish: 'topic', Subscribe: 'topicfilter' }

/** Does a text of these wildcards match? Linear in the length of both, but for their product. */
function likeAws(pattern: string, text: string): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0]
  while (t < text.length) {
    if (pattern[p] === '*') [star, mark, p] = [p, t, p + 1]
    else if (pattern[p] === '?' || (p < pattern.length && pattern[p] === text[t])) [p, t] = [p + 1, t + 1]
    else if (star === -1) return false
    else [p, mark, t] = [star + 1, mark + 1, mark + 1]
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** The actions of MQTT that an action of a policy names. Case means nothing. */
export function actionsOf(text: string): readonly AwsAction[] {
  return AWS_ACTIONS.filter((action) => likeAws(text.toLowerCase(), `iot:${action.toLowerCase()}`))
}

/** The parts of an ARN: a wildcard stays within one of them, and the last is the resource. */
const ARN = /^arn:[^:]*:([^:]*):[^:]*:[^:]*:(.*)$/s

/** 'client/x', '*': kind and name of a resource; undefined when it is none of AWS IoT. */
export function resourceOf(text: string): { readonly kind: string; readonly name: string } | undefined {
  if (/^\*+$/.test(text)) return { kind: '*', name: '*' }
  const [, service = '', resource = ''] = ARN.exec(text) ?? []
  if (!likeAws(service, 'iot') || resource === '') return undefined
  if (/^\*+$/.test(resource)) return { kind: '*', name: '*' }
  const slash = resource.indexOf('/')
  return slash === -1 ? undefined : { kind: resource.slice(0, slash), name: resource.slice(slash + 1) }
}

export interface NameLevel {
  /** In the policy language, without its wildcards. */
  readonly text: string
  /** whole: it is "*" and nothing else. */
  readonly wild: 'none' | 'whole' | 'part'
  /** A variable without a counterpart. */
  readonly unknown?: string
  /** A variable whose value may have a "/". */
  readonly mayHaveLevels?: string
}

const TOKEN = /\$\{([^{}]*)\}|\*+|\?|\/|[^$*?/]+|\$/g
const SPECIAL = ['*', '?', '$']

/** Splits a name at its slashes. */
export function levelsOf(name: string): readonly NameLevel[] {
  const levels: NameLevel[] = []
  let level: NameLevel = { text: '', wild: 'none' }
  let isEmpty = true
  const end = (): void => {
    levels.push(level)
    level = { text: '', wild: 'none' }
    isEmpty = true
  }
  for (const [token, variable] of name.matchAll(TOKEN)) {
    if (token === '/') {
      end()
      continue
    }
    if (variable !== undefined) level = { ...level, ...filledIn(variable, level), ...(level.wild === 'whole' ? { wild: 'part' } : {}) }
    else if (token === '?' || token.startsWith('*')) level = { ...level, wild: isEmpty && token !== '?' ? 'whole' : 'part' }
    else level = { ...level, text: joined(level.text, token), wild: level.wild === 'none' ? 'none' : 'part' }
    isEmpty = false
  }
  end()
  return levels
}

/** A "$" and what is behind it must not become a variable. */
function joined(text: string, literal: string): string {
  return text.endsWith('$') && literal.startsWith('{') ? text.slice(0, -1) + literalLevel(`$${literal}`) : text + literalLevel(literal)
}

function filledIn(name: string, { text }: NameLevel): Partial<NameLevel> {
  if (SPECIAL.includes(name)) return { text: joined(text, name) }
  const variable = awsVariable(name)
  // Behind a "$" a variable cannot be written.
  if (variable === undefined || text.endsWith('$')) return { unknown: name }
  return { text: `${text}\${${variable}}`, ...(variable.startsWith('cert.') ? { mayHaveLevels: name } : {}) }
}

const THING_ATTRIBUTE = /^iot:connection\.thing\.attributes\[([A-Za-z][A-Za-z0-9_]{0,31})\]$/i
const CERTIFICATE = /^iot:certificate\.(subject|issuer)\.([a-z]+)$/i
const ALTERNATIVE = /^iot:certificate\.subject\.alternativename\.([a-z0-9]+)(?:\.(\d))?$/i
/** Attributes of a name by what AWS calls them. */
const NAME_ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['commonname', 'CN'], ['organization', 'O'], ['organizationalunit', 'OU'], ['country', 'C'], ['state', 'ST'], ['serialnumber', 'serialNumber'],
  ['title', 'title'], ['surname', 'SN'], ['givenname', 'GN'], ['distinguishednamequalifier', 'dnQualifier'],
])
const ALTERNATIVES: ReadonlyMap<string, string> = new Map([['dnsname', 'dns'], ['rfc822name', 'email'], ['uniformresourceidentifier', 'uri'], ['ipaddress', 'ip']])

/** The name of the variable that stands for one of AWS, as it goes between ${ and }. A thing is a device. */
export function awsVariable(name: string): string | undefined {
  const plain = name.toLowerCase()
  if (plain === 'iot:clientid') return 'clientId'
  if (plain === 'iot:connection.thing.thingname') return 'device.id'
  if (plain === 'iot:connection.thing.thingtypename') return `device.attr.${THING_TYPE_ATTRIBUTE}`
  const attribute = THING_ATTRIBUTE.exec(name)?.[1]
  if (attribute !== undefined) return `device.attr.${attribute}`
  const [, alternative = '', index = '0'] = ALTERNATIVE.exec(name) ?? []
  const kind = ALTERNATIVES.get(alternative.toLowerCase())
  if (kind !== undefined) return `cert.san.${kind}[${index}]`
  const [, of = '', long = ''] = CERTIFICATE.exec(name) ?? []
  const short = NAME_ATTRIBUTES.get(long.toLowerCase())
  return short === undefined ? undefined : `cert.${of.toLowerCase()}.${short}`
}

/** A device has its thing type as this attribute. */
const THING_TYPE_ATTRIBUTE = 'thingType'
