// A policy that is compiled while others work: the same policy, the same problems; whatever becomes of the thread that
// parses, there is an answer and nothing is left behind.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PolicyText } from '../../src/core/policy-desk.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { POLICY_LIMITS } from '../../src/limits.ts'
import { compileInBackground, compileThrough, loadPolicyInBackground } from '../../src/policy-file/background.ts'
import { sha256OfTexts } from '../../src/policy-file/files.ts'
import { needPolicy, readTexts } from '../../src/policy-file.ts'
import { asLines, asYaml, policies, said, styles } from './both-forms.ts'

async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was compiled')
}

const yaml = (text: string, name = 'policy.yaml'): PolicyText => ({ name, text })
const manyGrants = (count: number): PolicyText => yaml(`version: 1\ngrants:\n${Array.from({ length: count }, (_, i) => `  - { id: r${i}, to: { group: g${i % 1_000} }, publish: [ { topic: "t/\${device.id}/${i}/#", qos: 1, rate: 20/s } ] }`).join('\n')}\n`)

describe('what is compiled in the background', () => {
  test('is what is compiled at once, of any files in any form', async () => {
    await fc.assert(fc.asyncProperty(policies, policies, styles, async (a, b, style) => {
      // One file says what is said once.
      const rest = { ...b, settings: {}, groups: {}, identity: [], quarantine: undefined, grants: b.grants.map((rule) => ({ ...rule, id: `b-${rule.id}` })), deny: b.deny.map((rule) => ({ ...rule, id: `b-${rule.id}` })) }
      const texts = [yaml(asYaml(a)), yaml(asLines(rest, style), 'policy.d/b.policy')]
      const { generation, document } = await compileInBackground(texts, 7)
      const here = needPolicy(readTexts(texts, 7)).document
      expect([generation, said(document)]).toEqual([7, said(here)])
      expect(JSON.stringify(document)).toBe(JSON.stringify(here))
    }), { numRuns: 15 })
  })

  test('has the same problems, of every file', async () => {
    const texts = [yaml('version: 1\ngrants:\n  - { id: a, to: any, publsh: [x], publish: [ { topic: a, qos: .inf, maxBytes: .nan } ] }\nonDeny: ~\n'), yaml('a: [', 'policy.d/b.yaml'), yaml('any\n  pub a+\n  pbu\n', 'policy.d/c.policy'), yaml('version: 1\ngrants: [ { id: a, to: any } ]\n', 'policy.d/d.yaml')]
    const failure = await failureOf(compileInBackground(texts, 1))
    const here = readTexts(texts, 1)
    expect('problems' in here && here.problems.length).toBeGreaterThan(6)
    await expect(Promise.resolve().then(() => needPolicy(here))).rejects.toThrow(failure.message)
    expect([failure.code, failure.at]).toEqual(['policy-invalid', { file: 'policy.d/b.yaml', line: 1, column: 5 }])
  })

  test('is not taken in where a part of it is larger than any rule: who asks about such a policy must not hold up the messages', async () => {
    const names = Array.from({ length: POLICY_LIMITS.shareNamesMax }, (_, i) => `"s${i}"`).join(', ')
    const entries = Array.from({ length: POLICY_LIMITS.patternsPerRuleMax }, (_, i) => `{ topic: "t/${i}/#", qos: 1, wildcard: contain, share: [${names}] }`).join(', ')
    const largest = yaml(`version: 1\ngrants:\n  - { id: r, to: any, publish: [${Array.from({ length: POLICY_LIMITS.patternsPerRuleMax }, (_, i) => `{ topic: "u/${i}", qos: 1, retain: true, maxBytes: 1KiB, rate: 5/s }`).join(', ')}], subscribe: [${entries}] }\n`)
    expect((await compileInBackground([largest], 1)).document.grants).toHaveLength(1)
    const values = Array.from({ length: POLICY_LIMITS.valuesPerRuleMax + 1 }, (_, i) => `k${i}: 1`).join(', ')
    for (const text of [`{ ${values} }\n`, `version: 1\ngrants:\n  - { ${values} }\n`, `version: 1\ngroups: { g: { ${values} } }\n`, `version: 1\nonDeny: { ${values} }\n`]) {
      const failure = await failureOf(compileInBackground([yaml(text)], 1))
      expect(failure.message).toMatch(/^policy.yaml:\d+:\d+: there are more than 100000 values in this\. No rule needs as many\.$/)
    }
  })

  test('of no files grants nothing', async () => {
    expect((await compileInBackground([], 3)).document.grants).toEqual([])
  })

  test('comes from the disk with its texts and their hash', async () => {
    const home = mkdtempSync(path.join(tmpdir(), 'sallyport-background-'))
    try {
      writeFileSync(path.join(home, 'p.policy'), 'any\n  pub a\n')
      const { policy, texts, sha256 } = await loadPolicyInBackground(path.join(home, 'p.policy'), 4)
      expect([policy.generation, policy.document.grants.length, texts, sha256]).toEqual([4, 1, [{ name: 'p.policy', text: 'any\n  pub a\n' }], sha256OfTexts(texts)])
      writeFileSync(path.join(home, 'p.policy'), 'any\n  pbu a\n')
      expect((await failureOf(loadPolicyInBackground(path.join(home, 'p.policy'), 4))).message).toBe('p.policy:2:3: a grant has no line "pbu". Did you mean "pub"? [rule any]')
      rmSync(path.join(home, 'p.policy'))
      expect((await loadPolicyInBackground(path.join(home, 'p.policy'), 5)).policy.document.grants).toEqual([])
    } finally {
      rmSync(home, { recursive: true })
    }
  })

  test('leaves everybody else their turns', async () => {
    const texts = [manyGrants(10_000)]
    let isDone = false
    let turns = 0
    let longest = 0
    let before = process.threadCpuUsage()
    // Time of this thread alone: a busy machine is not our doing.
    const tick = (): void => {
      const { user, system } = process.threadCpuUsage(before)
      longest = Math.max(longest, (user + system) / 1_000)
      before = process.threadCpuUsage()
      turns++
      if (!isDone) setTimeout(tick, 1)
    }
    tick()
    const policy = await compileInBackground(texts, 1)
    isDone = true
    expect(policy.document.grants).toHaveLength(10_000)
    expect(turns).toBeGreaterThan(20)
    // The whole of it takes a second at once. Slices of `sliceMs`, and what the collector of garbage takes.
    expect(longest).toBeLessThan(50)
  })

  test('two at a time do not meet', async () => {
    const [one, two] = await Promise.all([compileInBackground([manyGrants(2_000)], 1), compileInBackground([yaml('version: 1\n')], 2)])
    expect([one.generation, one.document.grants.length, two.generation, two.document.grants.length]).toEqual([1, 2_000, 2, 0])
  })
})

describe('a thread that does not do what it is for', () => {
  const script = (code: string): Worker => new Worker(`const { parentPort } = require('node:worker_threads'); ${code}`, { eval: true })
  const exited = (worker: Worker): Promise<boolean> => new Promise((resolve) => worker.once('exit', () => resolve(true)))

  test.each([
    ['ends before it is asked', 'process.exit(0)', 'the thread that parses has ended'],
    ['ends when it is asked', 'parentPort.on("message", () => process.exit(7))', 'the thread that parses has ended'],
    ['ends in the middle', 'let n = 0; parentPort.on("message", () => { if (n++ > 2) process.exit(0); parentPort.postMessage({ kind: "top", file: "f", json: "[1,1,[],1]" }) })', 'the thread that parses has ended'],
    ['throws', 'throw new Error("no parser here")', 'no parser here'],
    ['throws when it is asked', 'parentPort.on("message", () => { throw new TypeError("the parser is broken") })', 'the parser is broken'],
    ['rejects', 'Promise.reject(new Error("never mind"))', 'never mind'],
    ['speaks nonsense', 'parentPort.on("message", () => parentPort.postMessage({ kind: "top", file: "f", json: "{" }))', 'JSON'],
  ])('one that %s is a failure', async (_, code, words) => {
    const worker = script(code)
    const gone = exited(worker)
    const failure = await failureOf(compileThrough(worker, 1))
    expect(failure.code).toBe('policy-invalid')
    expect(failure.message).toMatch(/^The policy could not be read \(.+\)\.$/)
    expect(failure.message).toContain(words)
    expect(await gone).toBe(true)
  })

  test('one that ends when it has handed over everything has done what it is for', async () => {
    // All of it at once: it is read long after the end of the thread.
    const worker = script(`parentPort.once("message", () => {
      parentPort.postMessage({ kind: "top", file: "f", json: '[1,1,["version",1,1,[1,1,1,"1"],"grants",1,1,[1,1,[],0]],1]' })
      for (let i = 0; i < 100; i++) parentPort.postMessage({ kind: "more", entry: 1, json: JSON.stringify([1, 1, Array.from({ length: 300 }, (_, j) => [1, 1, ["id", 1, 1, [1, 1, "r" + i + "-" + j], "to", 1, 1, [1, 1, "any"]], 1]), 0]) })
      parentPort.postMessage({ kind: "end" })
      process.exit(0)
    })`)
    expect((await compileThrough(worker, 1)).document.grants).toHaveLength(30_000)
  })

  test('one that uses too much memory is ended, and nobody else is', async () => {
    const worker = new Worker(new URL('../../src/policy-file/worker.ts', import.meta.url), { workerData: { texts: [manyGrants(20_000)] }, resourceLimits: { maxOldGenerationSizeMb: 40 } })
    const failure = await failureOf(compileThrough(worker, 1))
    expect([failure.code, failure.message]).toEqual(['policy-invalid', expect.stringContaining('memory')])
  })

  test('one that never answers is waited for no longer than somebody wants', async () => {
    const worker = script('setInterval(() => {}, 1000); parentPort.on("message", () => {})')
    const gone = exited(worker)
    const enough = new AbortController()
    const compiling = compileThrough(worker, 1, enough.signal)
    enough.abort(new Error('the server ends'))
    await expect(compiling).rejects.toThrow('the server ends')
    expect(await gone).toBe(true)
    expect(POLICY_LIMITS.readMs).toBeLessThanOrEqual(60_000)
  })

  test('one that is busy for ever is ended too', async () => {
    const worker = script('parentPort.on("message", () => { for (;;); })')
    const gone = exited(worker)
    await expect(compileThrough(worker, 1, AbortSignal.timeout(200))).rejects.toThrow('timeout')
    expect(await gone).toBe(true)
  })
})

describe('somebody who does not want it any longer', () => {
  test('is obeyed before it begins, while it is parsed, and while it is read', async () => {
    const ended = new Error('the server ends')
    await expect(compileInBackground([yaml('version: 1\n')], 1, AbortSignal.abort(ended))).rejects.toBe(ended)
    const parsing = new AbortController()
    const compiling = compileInBackground([manyGrants(5_000)], 1, parsing.signal)
    setTimeout(() => parsing.abort(ended), 50)
    await expect(compiling).rejects.toBe(ended)
    await expect(loadPolicyInBackground(path.join(tmpdir(), 'no-such-policy.yaml'), 1, AbortSignal.abort(ended))).rejects.toBe(ended)
    expect(existsSync(path.join(tmpdir(), 'no-such-policy.yaml'))).toBe(false)
  })
})
