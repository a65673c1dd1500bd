// Plants faults, each into a copy of the sources of its own, as many at a time as there are cores, and runs the simulator cases and the tests that must catch each. A
// fault that one of them does not catch means that a green run means less than it says: exit code 1. `npm run test:planted`, or
// with ids of faults.

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import type { CaseResult } from '../../device-sim/attacks/run.ts'
import { inParallel } from '../../device-sim/identities.ts'
import { FAULTS, type CatchingTest, type Fault } from './faults.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const RUN_MS = 240_000
/** The places at which a fault is looked for are the same each time. */
const SEED = '1'
/** Servers with faults, side by side. */
const PARALLEL = Math.min(4, availableParallelism())
/** A test that waits for what a fault takes away need not wait for long. */
const TEST_MS = 20_000

interface Outcome {
  readonly fault: Fault
  readonly caughtBy: readonly string[]
  readonly problem?: string
}

/** A copy of everything that runs, with the installed packages linked in. */
function copyOfSources(): string {
  const copy = mkdtempSync(path.join(tmpdir(), 'sallyport-planted-'))
  for (const name of ['src', 'device-sim', 'test', 'certs/profiles', 'package.json', 'tsconfig.json', 'vitest.config.ts']) cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true })
  // The folder itself, and not a link to it: the signer may read through one link, not through two.
  symlinkSync(realpathSync(path.join(ROOT, 'node_modules')), path.join(copy, 'node_modules'))
  return copy
}

function plant(copy: string, fault: Fault): string | undefined {
  for (const { file, find, replace } of fault.edits) {
    const target = path.join(copy, file)
    const text = readFileSync(target, 'utf8')
    const parts = text.split(find)
    if (parts.length !== 2) return `${file}: the text to replace occurs ${parts.length - 1} times, not once`
    writeFileSync(target, parts.join(replace))
  }
  return undefined
}

interface Ran {
  readonly status: number | null
  readonly output: string
}

/** To its end, or to the end of its time. */
function run(copy: string, args: readonly string[], environment: NodeJS.ProcessEnv = process.env): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: copy, env: environment, stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (output += chunk.toString()))
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, output }))
  })
}

async function runCases(copy: string, cases: readonly string[]): Promise<readonly CaseResult[] | string> {
  const report = path.join(copy, 'report.json')
  const { status, output } = await run(copy, [path.join(copy, 'device-sim/launch.cjs'), 'attack', '--case', cases.join(','), '--json', report])
  try {
    return (JSON.parse(readFileSync(report, 'utf8')) as { cases: CaseResult[] }).cases
  } catch {
    return `the simulator left no report (exit ${status}): ${output.trim().split('\n').slice(-3).join(' | ')}`
  }
}

const labelOf = ({ file, name }: CatchingTest): string => `${path.basename(file)}: ${name} …`

/** Tests that kill and disturb a server, which need more of a machine than the others. */
const isFault = ({ file }: CatchingTest): boolean => file.endsWith('.fault.ts')

/** Failed means that every test of this name failed; 'skipped': none can run here; undefined: it did not come to its end. */
async function failed(copy: string, test: CatchingTest): Promise<boolean | 'skipped' | undefined> {
  const { file, name } = test
  const report = path.join(copy, 'tests.json')
  rmSync(report, { force: true })
  const vitest = path.join(ROOT, 'node_modules/vitest/vitest.mjs')
  // In CI vitest.config.ts writes the report of the whole suite, and this one would not be written.
  if (isFault(test)) await run(copy, [path.join(copy, 'test/faults/run.ts'), path.basename(file), '-t', name, '--points', String(test.points ?? 1), '--seed', SEED], { ...process.env, CI: '', TEST_FAULTS_REPORT: report })
  else await run(copy, [vitest, 'run', file, '-t', name, '--testTimeout', String(TEST_MS), '--reporter', 'json', '--outputFile', report], { ...process.env, CI: '' })
  if (!existsSync(report)) return undefined
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as { testResults: { assertionResults: { status: string }[] }[] }
  const ran = testResults.flatMap((of) => of.assertionResults).filter(({ status }) => status === 'passed' || status === 'failed')
  return ran.length === 0 ? 'skipped' : ran.every(({ status }) => status === 'failed')
}

async function judge(fault: Fault): Promise<Outcome> {
  const copy = copyOfSources()
  try {
    const problem = plant(copy, fault)
    if (problem !== undefined) return { fault, caughtBy: [], problem }
    const tests: string[] = []
    for (const test of fault.tests ?? []) if ((await failed(copy, test)) === true) tests.push(labelOf(test))
    if (fault.cases.length === 0) return { fault, caughtBy: tests }
    const results = await runCases(copy, fault.cases)
    if (typeof results === 'string') return { fault, caughtBy: [], problem: results }
    const missing = fault.cases.filter((c) => !results.some((r) => r.case === c && r.verdict !== 'not run'))
    if (missing.length > 0) return { fault, caughtBy: [], problem: `not run: ${missing.join(', ')}` }
    return { fault, caughtBy: [...results.filter((r) => r.verdict === 'FAILED').map((r) => r.case), ...tests] }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((id) => !FAULTS.some((fault) => fault.id === id))
if (unknown.length > 0) {
  console.error(`no such fault: ${unknown.join(', ')}\nfix: choose of ${FAULTS.map((fault) => fault.id).join(', ')}`)
  process.exit(2)
}
const chosen = wanted.length === 0 ? FAULTS : FAULTS.filter((f) => wanted.includes(f.id))

// Without a fault every case must pass, or being caught means nothing.
const baselineCases = [...new Set(chosen.flatMap((f) => f.cases))].toSorted()
const clean = copyOfSources()
const baseline = baselineCases.length === 0 ? [] : await runCases(clean, baselineCases)
const baselineTests = chosen.flatMap((f) => f.tests ?? [])
// Each in a copy of its own: two at a time would write the same report.
const inCalm = new Map(await inParallel(baselineTests, PARALLEL, async (test) => {
  const copy = copyOfSources()
  const red = await failed(copy, test)
  rmSync(copy, { recursive: true, force: true })
  return [test, red] as const
}))
const isImpossible = (test: CatchingTest): boolean => isFault(test) && inCalm.get(test) === 'skipped'
const redTests = baselineTests.filter((test) => inCalm.get(test) !== false && !isImpossible(test)).map(labelOf)
rmSync(clean, { recursive: true, force: true })
const red = typeof baseline === 'string' ? [baseline, ...redTests] : baseline.filter((r) => r.verdict !== 'ok').map((r) => `${r.case} ${r.verdict}: ${r.seen}\n    ${r.notes.join('\n    ')}`).concat(redTests)
if (red.length > 0) {
  console.log(`without any fault planted, these do not pass:\n  ${red.join('\n  ')}`)
  process.exit(1)
}
console.log(`without a fault all ${baselineCases.length} cases and ${baselineTests.length} tests pass\n`)

let missed = 0
const possible = chosen.filter((fault) => fault.tests?.some(isImpossible) !== true)
for (const fault of chosen) if (!possible.includes(fault)) console.log(`${fault.side.padEnd(6)}  ${fault.id.padEnd(30)}  not run: its tests need strace, curl and openssl`)
await inParallel(possible, PARALLEL, async (fault) => {
  const { caughtBy, problem } = await judge(fault)
  const blind = [...fault.cases, ...(fault.tests ?? []).map(labelOf)].filter((c) => !caughtBy.includes(c))
  const verdict = problem !== undefined ? `BROKEN: ${problem}` : blind.length === 0 ? `caught by ${caughtBy.join(', ')}` : `MISSED by ${blind.join(', ')}`
  if (problem !== undefined || blind.length > 0) missed += 1
  console.log(`${fault.side.padEnd(6)}  ${fault.id.padEnd(30)}  ${verdict}`)
})
console.log(`\n${possible.length - missed} of ${possible.length} planted faults caught`)
process.exitCode = missed === 0 ? 0 : 1
