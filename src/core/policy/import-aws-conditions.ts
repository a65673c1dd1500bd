// The conditions of a statement, as far as a policy can say them: networks, attributes of the thing, and what a CONNECT may ask
// for. What it cannot say is kept as a sentence: a grant then is left out, and a deny holds without it.

import { parseAttributes } from '../device.ts'
import { printable } from '../ids.ts'
import { awsVariable } from './import-aws-names.ts'
import type { AwsCondition } from './read-aws-policy.ts'

export interface AwsTerms {
  readonly source?: readonly string[]
  /** It holds outside of these networks. */
  readonly outside?: readonly string[]
  /** Each has one of its values. */
  readonly attributes: Readonly<Record<string, readonly string[]>>
  /** Of Connect: what a CONNECT that it is about may have, or, of a deny, what it has. */
  readonly connect?: { readonly persistent: boolean; readonly will: boolean }
  /** It never holds. */
  readonly isNever: boolean
  readonly unsaid: readonly string[]
}

export interface AwsTools {
  /** What is wrong with the text of a network; anything else when nothing is. */
  network(text: string): unknown
}

const NO_TERMS: AwsTerms = { attributes: {}, isNever: false, unsaid: [] }

/** Whether attributes may be asked for: a rule for a group asks for nothing else. */
export function termsOf(conditions: readonly AwsCondition[], effect: 'Allow' | 'Deny', mayAskAttributes: boolean, tools: AwsTools): AwsTerms {
  return conditions.map((condition) => termOf(condition, effect, mayAskAttributes, tools)).reduce(together, NO_TERMS)
}

function termOf(condition: AwsCondition, effect: 'Allow' | 'Deny', mayAskAttributes: boolean, tools: AwsTools): AwsTerms {
  const { operator, key, values } = condition
  const name = key.toLowerCase()
  if (name === 'aws:sourceip' && (operator === 'IpAddress' || operator === 'NotIpAddress')) {
    const bad = values.find((text) => typeof tools.network(text) === 'string')
    if (bad !== undefined || values.length === 0) return unsaid(`"${printable(bad ?? '')}" is no network`)
    return operator === 'IpAddress' ? { ...NO_TERMS, source: values } : { ...NO_TERMS, outside: values }
  }
  if (name === 'iot:connection.thing.isattached' && operator === 'Bool' && values.length === 1) return { ...NO_TERMS, isNever: values[0] !== 'true' }
  if (name === 'iot:connectattributes') return connectTerms(operator, values, effect) ?? unsaid(`no policy says ${operator} of iot:ConnectAttributes`)
  const attribute = /^device\.attr\.(.+)$/.exec(awsVariable(key) ?? '')?.[1]
  if (attribute === undefined || operator !== 'StringEquals' || values.length === 0) return unsaid(`no policy asks for ${printable(operator)} of ${printable(key)}`)
  if (!mayAskAttributes) return unsaid(`a rule for a group does not ask for the attribute ${attribute}: import with --to any, and it asks for that instead`)
  const isUsable = values.every((value) => parseAttributes([[attribute, value]]).allow)
  return isUsable ? { ...NO_TERMS, attributes: { [attribute]: values } } : unsaid(`no device has such a value of the attribute ${attribute}`)
}

const unsaid = (why: string): AwsTerms => ({ ...NO_TERMS, unsaid: [why] })

const CONNECT_ATTRIBUTES = ['PersistentConnect', 'LastWill']

function connectTerms(operator: string, values: readonly string[], effect: 'Allow' | 'Deny'): AwsTerms | undefined {
  if (!values.every((value) => CONNECT_ATTRIBUTES.includes(value))) return undefined
  const named = { persistent: values.includes('PersistentConnect'), will: values.includes('LastWill') }
  // A deny is of every CONNECT that has one of them.
  if (effect === 'Deny') return operator === 'ForAnyValue:StringEquals' ? { ...NO_TERMS, connect: named } : undefined
  if (operator === 'ForAllValues:StringEquals') return { ...NO_TERMS, connect: named }
  return operator === 'ForAllValues:StringNotEquals' ? { ...NO_TERMS, connect: { persistent: !named.persistent, will: !named.will } } : undefined
}

/** Both hold. */
export function together(a: AwsTerms, b: AwsTerms): AwsTerms {
  const source = a.source ?? b.source
  const outside = a.outside ?? b.outside
  const connect = a.connect ?? b.connect
  const attributes: Record<string, readonly string[]> = { ...a.attributes }
  for (const [name, values] of Object.entries(b.attributes)) attributes[name] = (attributes[name] ?? values).filter((value) => values.includes(value))
  const differ = (x: unknown, y: unknown): boolean => x !== undefined && y !== undefined && JSON.stringify(x) !== JSON.stringify(y)
  const twice = differ(a.source, b.source) || differ(a.outside, b.outside) || differ(a.connect, b.connect)
  return {
    attributes, isNever: a.isNever || b.isNever || Object.values(attributes).some((values) => values.length === 0),
    unsaid: [...a.unsaid, ...b.unsaid, ...(twice ? ['a rule names its networks once'] : [])],
    ...(source === undefined ? {} : { source }), ...(outside === undefined ? {} : { outside }), ...(connect === undefined ? {} : { connect }),
  }
}

/** The same conditions, in whatever order. */
export function keyOfTerms({ source, attributes }: Pick<AwsTerms, 'source' | 'attributes'>): string {
  return JSON.stringify([source ?? [], Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1))])
}
