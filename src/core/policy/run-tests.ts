// Asks a policy what the tests of a file expect of it. A test whose answer hangs on something that it does not say has failed:
// it would pass or not by where and when it is run.

import type { SourcePosition } from '../errors.ts'
import type { CompiledPolicy } from './compile.ts'
import { explain, type Explanation } from './explain.ts'
import type { PolicyTest } from './read-tests.ts'

export interface TestResult {
  readonly name: string
  readonly at: SourcePosition
  readonly passed: boolean
  /** In words: 'allow by rule sensor with QoS 1'. */
  readonly expected: string
  readonly got: Explanation
  /** Why it failed, where that is not plain from what was expected. */
  readonly note?: string
}

export function runTests(policy: CompiledPolicy, tests: readonly PolicyTest[]): readonly TestResult[] {
  const { grants, deny } = policy.document
  const rules = new Set([...grants, ...deny].map(({ id }) => id))
  return tests.map((test) => {
    const got = explain(policy, { ...test.who, clientId: test.clientId, now: test.now, connection: test.connection }, test.question)
    const note = noteOn(test, got, rules)
    const { name, at } = test
    return { name, at, passed: note === undefined && meets(test, got), expected: expectedWords(test), got, ...(note === undefined ? {} : { note }) }
  })
}

function meets({ expect, rule, grantedQos }: PolicyTest, got: Explanation): boolean {
  const effect = expect === 'allow' || expect === 'deny' ? got.effect === expect : got.reason === expect
  return effect && (rule === undefined || got.rule === rule) && (grantedQos === undefined || got.grantedQos === grantedQos)
}

function noteOn({ rule }: PolicyTest, { depends }: Explanation, rules: ReadonlySet<string>): string | undefined {
  if (rule !== undefined && !rules.has(rule)) return `the policy has no rule ${rule}`
  if (depends === undefined) return undefined
  const asked = new Set(depends.flatMap(({ conditions }) => conditions.map(({ condition }) => KEY_OF[condition] ?? condition)))
  return `the answer depends on what the test does not say: add when: { ${[...asked].map((key) => `${key}: …`).join(', ')} } (rule ${depends.map((each) => each.rule).join(', ')})`
}

/** What to say under `when` of a test, where it is not the name of the condition. */
const KEY_OF: Readonly<Record<string, string>> = { time: 'at', notBefore: 'at', notAfter: 'at', certificateAge: 'at' }

function expectedWords({ expect, rule, grantedQos }: PolicyTest): string {
  return `${expect}${rule === undefined ? '' : ` by rule ${rule}`}${grantedQos === undefined ? '' : ` with QoS ${grantedQos}`}`
}
