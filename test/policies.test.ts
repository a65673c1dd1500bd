// The starter policies of docs/policies: each is a policy, each of its test.yaml says what it does, and no line of it is without a
// test that it decides, nor any kind of right without one that is refused.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { CaName } from '../src/core/ids.ts'
import type { Device } from '../src/core/device.ts'
import { grantsFor, type Grants, type Verdict } from '../src/core/policy/grants.ts'
import type { CompiledPolicy } from '../src/core/policy/compile.ts'
import type { TlsVersion } from '../src/core/policy/document.ts'
import { describeProblem } from '../src/core/source-tree.ts'
import { readPolicy } from '../src/policy-file.ts'
import { device, NOW } from './core/facts.ts'

const FOLDER = path.resolve(import.meta.dirname, '../docs/policies')
const KINDS = ['publish', 'will', 'subscribe', 'receive', 'connect'] as const
type Kind = (typeof KINDS)[number]

interface Case extends Partial<Record<Kind, string>> {
  readonly name?: string
  readonly device: string
  readonly clientId?: string
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly bytes?: number
  readonly when?: { readonly source?: string; readonly tls?: TlsVersion; readonly at?: string }
  readonly expect: string
  readonly rule?: string
  readonly grantedQos?: number
}
interface Tests {
  readonly version: 1
  readonly policy: string
  readonly devices: Readonly<Record<string, Partial<Device> & { readonly ca?: string }>>
  readonly tests: readonly Case[]
}

function policyOf(folder: string, name: string): CompiledPolicy {
  const read = readPolicy(name, readFileSync(path.join(FOLDER, folder, name), 'utf8'), 1)
  if ('problems' in read) throw new Error(read.problems.map(describeProblem).join('\n'))
  return read.policy
}

const kindOf = (asked: Case): Kind => KINDS.find((kind) => asked[kind] !== undefined) ?? 'publish'

function answerTo(policy: CompiledPolicy, devices: Tests['devices'], asked: Case): Partial<Verdict> {
  const { ca = 'issuing-1', ...facts } = devices[asked.device] ?? {}
  const { source = '192.0.2.1', tls = '1.3', at } = asked.when ?? {}
  const grants: Grants = grantsFor(policy, {
    device: device(asked.device, { groups: [], attributes: {}, ...facts }), ca: ca as CaName, clientId: asked.clientId ?? asked.device, connection: { source, tls }, now: at === undefined ? NOW : Date.parse(at),
  })
  const { qos = 0, retain = false, bytes = 0 } = asked
  const subject = asked[kindOf(asked)] ?? ''
  switch (kindOf(asked)) {
    case 'publish':
      return grants.publish(subject, qos, retain, bytes)
    case 'will':
      return grants.will(subject, qos, retain, bytes)
    case 'subscribe':
      return grants.subscribe(subject, qos)
    case 'connect':
      return grants.connect(subject)
    case 'receive':
      return { effect: grants.mayReceive(subject) ? 'allow' : 'deny' }
  }
}

const folders = readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name)

test('there is a starter policy for each kind of fleet that the README lists', () => {
  const listed = [...readFileSync(path.join(FOLDER, 'README.md'), 'utf8').matchAll(/\]\(([a-z-]+)\/policy\.yaml\)/g)].map(([, name]) => name)
  expect(new Set(listed)).toEqual(new Set(folders))
})

describe.each(folders)('%s', (folder) => {
  const tests = parse(readFileSync(path.join(FOLDER, folder, 'test.yaml'), 'utf8')) as Tests
  const policy = policyOf(folder, tests.policy)

  test.each(tests.tests.map((asked) => [`${asked.name === undefined ? '' : `${asked.name}: `}${asked.device} ${kindOf(asked)} ${asked[kindOf(asked)] ?? ''}`, asked] as const))('%s', (_, asked) => {
    const { effect, reason, rule, grantedQos } = answerTo(policy, tests.devices, asked)
    expect(asked.expect === 'allow' || asked.expect === 'deny' ? effect : reason).toBe(asked.expect)
    if (asked.rule !== undefined) expect(rule).toBe(asked.rule)
    if (asked.grantedQos !== undefined) expect(grantedQos).toBe(asked.grantedQos)
  })

  test('a test asks one thing, of a device that is described', () => {
    expect(tests.tests.filter((asked) => KINDS.filter((kind) => asked[kind] !== undefined).length !== 1 || tests.devices[asked.device] === undefined)).toEqual([])
  })

  test('every line of the policy decides some test', () => {
    const decided = new Set(tests.tests.map((asked) => answerTo(policy, tests.devices, asked).at?.line))
    const { grants, deny } = policy.document
    const lines = [...grants.flatMap((rule) => [...rule.publish, ...rule.subscribe, ...rule.will]), ...deny.flatMap((rule) => [...rule.publish, ...rule.subscribe, ...rule.receive])]
    expect(lines.filter(({ at }) => !decided.has(at.line)).map(({ topic, at }) => `${at.line}: ${topic.text}`)).toEqual([])
  })

  test('where a device is allowed something, something of that kind is refused to it', () => {
    const of = (effect: string) => new Set(tests.tests.filter((asked) => (asked.expect === 'allow') === (effect === 'allow')).map((asked) => `${asked.device} ${kindOf(asked)}`))
    expect([...of('allow')].filter((kind) => !of('deny').has(kind))).toEqual([])
  })
})
