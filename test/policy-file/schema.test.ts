// docs/policy.schema.json is generated: `npx vitest run test/policy-file/schema.test.ts -u` writes it anew. It accepts what
// the reader accepts, and refuses what has the wrong form; what it cannot see, it leaves to the reader.

import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SourceNode } from '../../src/core/source-tree.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { POLICY_SCHEMA, policySchemaText } from '../../src/policy-file/schema.ts'
import { STARTER_POLICY } from '../../src/starter.ts'
import { readYaml } from '../../src/yaml-source.ts'
import * as conditions from '../core/policy/forms/conditions.ts'
import * as rules from '../core/policy/forms/rules.ts'
import * as topics from '../core/policy/forms/topics.ts'
import { asYaml, policies } from './both-forms.ts'

const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(POLICY_SCHEMA)

/** What an editor sees of a text. */
function plain(node: SourceNode): unknown {
  if (node.kind === 'list') return node.items.map(plain)
  if (node.kind === 'map') return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]))
  return node.value
}

function accepts(text: string): boolean {
  const { tree } = readYaml('p.yaml', text)
  return tree !== undefined && validate(plain(tree))
}
const isPolicy = (text: string): boolean => 'policy' in readPolicy('p.yaml', text, 1)

test('docs/policy.schema.json is what sallyport policy schema prints', async () => {
  await expect(policySchemaText()).toMatchFileSnapshot('../../docs/policy.schema.json')
  expect(JSON.parse(policySchemaText())).toEqual(POLICY_SCHEMA)
})

describe('beside the reader', () => {
  test.each([...rules.GOOD, ...topics.GOOD, ...conditions.GOOD])('%j is accepted', (text) => {
    expect(accepts(text), JSON.stringify(validate.errors)).toBe(true)
  })

  test.each([...rules.BAD_FORM, ...topics.BAD_FORM, ...conditions.BAD_FORM].map(([text]) => text))('%j is refused', (text) => {
    expect(accepts(text)).toBe(false)
  })

  test('the starter policy is accepted', () => {
    expect(accepts(STARTER_POLICY), JSON.stringify(validate.errors)).toBe(true)
  })

  test('any policy is accepted', () => {
    fc.assert(fc.property(policies, (policy) => {
      expect(accepts(asYaml(policy)), JSON.stringify(validate.errors)).toBe(true)
    }), { numRuns: 500 })
  })
})

/** With every key of the language. */
const WHOLE = {
  version: 1, onDeny: 'drop', strictDeny: true, retained: 'keep', willOnKick: 'publish', groups: { plant: ['line'] },
  identity: [{ ca: 'f', device: 'x', idPattern: 'a', groups: ['g'], register: 'auto' }],
  grants: [{
    id: 'r', to: { attr: { model: ['X1'] } },
    when: { source: ['10.0.0.0/8'], tls: '1.3', time: { days: ['mon'], from: '06:00', to: '07:00', zone: 'UTC' }, notBefore: '2027-03-01T00:00:00Z', notAfter: '2027-04-01T00:00:00Z', certificateAge: '<1d', attested: true, state: ['active'] },
    connect: { clientId: ['a'], sessions: 1, sessionExpiryMax: '1h' },
    publish: [{ topic: 'a', qos: 1, retain: true, maxBytes: 1, rate: '1/s', burst: 1 }], subscribe: [{ topic: 'a', qos: 1, wildcard: 'filter', share: ['s'] }], will: [{ topic: 'a', qos: 1, retain: true, maxBytes: 1 }],
  }],
  deny: [{ id: 'd', to: 'any', when: { state: ['active'] }, publish: [{ topic: 'a' }], subscribe: ['a'], receive: ['a'], onDeny: 'drop' }],
  quarantine: { connect: { sessions: 1 }, publish: ['a'], subscribe: ['a'], will: ['a'] },
}

type Change = (value: unknown) => unknown

/** The same data, changed at each place in turn, with the name of the place. */
function* changedEverywhere(value: unknown, change: Change, place = ''): Generator<readonly [string, unknown]> {
  const changed = change(value)
  if (changed !== undefined) yield [place, changed]
  if (Array.isArray(value)) for (const [i, item] of value.entries()) for (const [where, inner] of changedEverywhere(item, change, `${place}[${i}]`)) yield [where, value.with(i, inner)]
  else if (typeof value === 'object' && value !== null) for (const [key, item] of Object.entries(value)) for (const [where, inner] of changedEverywhere(item, change, `${place}.${key}`)) yield [where, { ...value, [key]: inner }]
}

describe('at every place of a policy with every key', () => {
  const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

  test('it is one', () => {
    expect([isPolicy(JSON.stringify(WHOLE)), validate(WHOLE)]).toEqual([true, true])
  })

  test.each([...changedEverywhere(WHOLE, (value) => (isMap(value) ? { ...value, unknownKey: 1 } : undefined))])('an unknown key is refused, by both: in %s', (_, changed) => {
    expect([isPolicy(JSON.stringify(changed)), validate(changed)]).toEqual([false, false])
  })

  test.each<readonly [string, Change]>([
    ['a list in a list', (value) => [[value]]], ['a mapping of nonsense', () => ({ nonsense: { nonsense: 1 } })], ['half a number', () => -0.5],
    ['a text that is no word of the language', (value) => (typeof value === 'string' || Array.isArray(value) || (isMap(value) && 'topic' in value) ? undefined : 'nonsense')], ['true', (value) => (value === true ? undefined : true)],
  ])('%s is refused, by both', (_, change) => {
    const wrong = [...changedEverywhere(WHOLE, change)]
    expect(wrong.length).toBeGreaterThan(25)
    expect(wrong.filter(([, changed]) => isPolicy(JSON.stringify(changed)) !== validate(changed)).map(([place]) => place)).toEqual([])
    expect(wrong.filter(([, changed]) => validate(changed)).map(([place]) => place)).toEqual([])
  })

  test('every key has a description that an editor can show', () => {
    const silent: string[] = []
    const walk = (value: unknown, place: string): void => {
      if (Array.isArray(value)) for (const [i, item] of value.entries()) walk(item, `${place}[${i}]`)
      if (!isMap(value)) return
      if (isMap(value['properties'])) for (const [key, schema] of Object.entries(value['properties'])) if (!isMap(schema) || !/^.+\.$/.test(String(schema['description']))) silent.push(`${place}.${key}`)
      for (const [key, inner] of Object.entries(value)) walk(inner, `${place}.${key}`)
    }
    walk(POLICY_SCHEMA, '')
    expect(silent).toEqual([])
  })
})
