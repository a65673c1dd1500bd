// sallyport policy test: what files of tests expect of a policy. It asks no server and no registry, so that it runs in CI.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import type { CompiledPolicy } from '../core/policy/compile.ts'
import { junitXml, type TestSuite } from '../core/policy/junit.ts'
import { readPolicyTests, type PolicyTestFile } from '../core/policy/read-tests.ts'
import { runTests, type TestResult } from '../core/policy/run-tests.ts'
import { describeProblem } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { EXIT } from '../vocabulary.ts'
import { readYaml } from '../yaml-source.ts'
import { print, readText, type CommonOptions } from './context.ts'
import { explanationWords } from './explanation.ts'
import { policyAt } from './policy-source.ts'

interface TestOptions extends CommonOptions {
  readonly policy?: string
  readonly junit?: string
}

interface Suite extends TestSuite {
  /** The policy that was asked. */
  readonly policy: string
}

export async function test(files: readonly string[], options: TestOptions): Promise<void> {
  const known = new Map<string, { readonly file: string; readonly policy: CompiledPolicy }>()
  const suites: Suite[] = []
  for (const name of files) {
    const read = readTests(name)
    // The flag wins; what a file names is beside it; otherwise it is about the policy of the home.
    const named = options.policy ?? (read.policy === undefined ? undefined : path.join(path.dirname(name), read.policy))
    const { file, policy } = known.get(named ?? '') ?? (await policyAt(named, options))
    known.set(named ?? '', { file, policy })
    suites.push({ name, policy: file, results: runTests(policy, read.tests) })
  }
  if (options.junit !== undefined) writeReport(options.junit, junitXml(suites, failureWords))
  report(options, suites)
}

/** Failures: 'not-found', 'config-invalid' with all problems of the file. */
function readTests(file: string): PolicyTestFile {
  const { tree, problems } = readYaml(path.basename(file), readText(file, POLICY_LIMITS.documentBytesMax))
  const read = tree === undefined ? { problems } : readPolicyTests(tree)
  if ('file' in read) return read.file
  throw new SallyportError('config-invalid', read.problems.map(describeProblem).join('\n'))
}

/** A slip of the hand must not cost a file that is no report. */
function writeReport(file: string, xml: string): void {
  if (existsSync(file) && !readText(file, POLICY_LIMITS.documentBytesMax).startsWith('<?xml')) throw new SallyportError('refused', `${file} is there, and is no XML: it is not overwritten.`, { fix: 'Choose another --junit.' })
  writeSecretFile(path.resolve(file), xml, REPORT_MODE)
}

const REPORT_MODE = 0o644

function report(options: TestOptions, suites: readonly Suite[]): void {
  const results = suites.flatMap((suite) => suite.results)
  const failed = results.filter(({ passed }) => !passed).length
  const passed = results.length - failed
  print(options, { passed, failed, suites: suites.map(({ name, policy, results: of }) => ({ file: name, policy, tests: of })) }, () => [
    ...suites.flatMap((suite) => suiteLines(suite)),
    `${passed} passed, ${failed} failed`,
  ].join('\n'))
  if (failed > 0) process.exitCode = EXIT.failed
}

function suiteLines({ name, policy, results }: Suite): readonly string[] {
  const failed = results.filter(({ passed }) => !passed)
  return [
    `${name}: ${results.length - failed.length} of ${results.length} passed (${policy})`,
    ...failed.flatMap((result) => [`  FAILED line ${result.at.line}: ${result.name}`, ...failureWords(result).split('\n').map((line) => `    ${line}`)]),
  ]
}

function failureWords({ expected, got, note }: TestResult): string {
  return [`expected ${expected}`, ...(note === undefined ? [] : [`note: ${note}`]), `got ${explanationWords(got)}`].join('\n')
}
