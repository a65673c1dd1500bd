// npm run bench:policy: what the policy costs. Single decisions, compiling, a published message beside mosquitto with the same rules,
// and a change that reaches live sessions. Prints a table and writes results/policy.json. See README.md beside it for how it
// measures. Flags: --quick for a short run that proves the harness, --only NAME for one part (decisions, compile, publish, apply).
// Only a whole and full run is written to results/policy.json.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { buildGenerator, type LoadPlace } from './mqtt/generator.ts'
import { makeFleet } from './mqtt/fleet.ts'
import { interleaved, openTable, ratioBetween } from './mqtt/table.ts'
import { GENERATOR_BOUND } from './mqtt/verdict.ts'
import { coresToUse } from './pinned.ts'
import { measureApply } from './policy-apply.ts'
import { measureCompile } from './policy/compile.ts'
import { isDisturbed, measureDecisionTimes, type DecisionTimes } from './policy/decision-times.ts'
import { aclOf, measurePublish, writePolicy, type Publishing, type PublishRound } from './policy/publish.ts'
import type { Spread } from './process-cpu.ts'
import { mosquittoVersion, openServers, type Target } from './servers.ts'

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } })
const QUICK = flags.quick
const DECISION_ROUNDS = QUICK ? 1 : 9
const SIZES = [[10, 5], [1_000, 500], [10_000, 1_000]] as const
const COMPILE_ROUNDS = QUICK ? 1 : 7
/** Rules for every speaker. */
const RULES = QUICK ? [10, 100] : [10, 100, 1_000]
const PUBLISHING: Publishing = { speakers: QUICK ? 4 : 10, messagesPerSpeaker: QUICK ? 200 : 10_000, window: 20 }
const PUBLISH_ROUNDS = QUICK ? 1 : 7
/** Where a just-in-time compiler is, it has this many messages before the first round that counts. */
const WARM_UP_ROUNDS = QUICK ? 1 : 3
const APPLY = { sessions: QUICK ? 60 : 10_000, rounds: QUICK ? 1 : 5 }

const [WARM_GOAL_US, COLD_GOAL_US, COMPILE_GOAL_MS, APPLY_GOAL_MS, BLOCK_GOAL_MS] = [1, 50, 1_000, 1_000, 20]

const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-policy-'))
const servers = openServers()
const cores = coresToUse()
const loadBefore = os.loadavg()
const results: Record<string, unknown> = {
  at: new Date().toISOString(),
  machine: { cores: os.cpus().length, cpu: os.cpus()[0]?.model, linux: os.release().split('-')[0], pinnedTo: cores ?? 'nothing: one core, or no taskset' },
  versions: { node: process.version, mosquitto: mosquittoVersion() ?? 'absent' },
  command: 'npm run bench:policy',
}
const table = openTable()
const three = ({ min, median, max }: Spread, digits: number, unit: string): string => `${[min, median, max].map((n) => n.toFixed(digits)).join(' / ')} ${unit}`
const own = (what: string, seen: string, wanted = ''): void => table.addText(what, seen, '', '', wanted)

function decisions(): void {
  const measured = measureDecisionTimes(DECISION_ROUNDS)
  const goal = (what: string): string => (what.startsWith('publish') ? `p99 ≤ ${what.includes('warm') ? WARM_GOAL_US : COLD_GOAL_US} µs` : '')
  const shown = (times: DecisionTimes): string => {
    if (isDisturbed(times)) return `none: others had this core for ${(100 * times.waited).toFixed(0)} % of a round`
    return `p50 ${times.tail.p50.toFixed(3)}, p99 ${times.tail.p99.toFixed(3)} µs`
  }
  for (const [what, times] of Object.entries(measured)) own(what, shown(times), goal(what))
  results['decisionUs'] = measured
}

function compile(): void {
  const measured = measureCompile(SIZES, COMPILE_ROUNDS)
  for (const c of measured) {
    own(`compile ${c.grants.toLocaleString('en')} grants, ${c.groups.toLocaleString('en')} groups`, three(c.totalMs, 0, 'ms'), `≤ ${COMPILE_GOAL_MS.toLocaleString('en')} ms`)
    own('  of which YAML', three(c.yamlMs, 0, 'ms'))
    own('  of which the document', three(c.documentMs, 0, 'ms'))
    own('  of which the index', three(c.indexMs, 1, 'ms'))
    own('  memory that it holds', three(c.memoryMb, 1, 'MB'))
  }
  results['compile'] = measured
}

/** PEM files as mosquitto wants them: what it trusts is the root and the issuing certificate. */
function filesOf(home: string): { key: string; cert: string; ca: string } {
  const folder = path.join(home, 'certs/local')
  const [cert, trusted] = [path.join(folder, 'server/cert.pem'), path.join(work, 'trusted.pem')]
  const chain = readFileSync(cert, 'utf8').split(/(?=-----BEGIN)/)
  writeFileSync(trusted, chain.slice(1).join('') + readFileSync(path.join(folder, 'root.pem'), 'utf8'))
  return { key: path.join(folder, 'server/key.pem'), cert, ca: trusted }
}

async function publish(): Promise<void> {
  const [home, certs] = [path.join(work, 'home'), path.join(work, 'fleet')]
  mkdirSync(certs)
  await makeFleet(home, certs, PUBLISHING.speakers, 0)
  const files = filesOf(home)
  const place: LoadPlace = { generator: buildGenerator(work, undefined), core: cores?.generator, ca: path.join(home, 'certs/local/root.pem'), certs }
  const measured: Record<string, unknown> = { ...PUBLISHING, generator: place.generator.language }
  for (const rules of RULES) {
    writePolicy(home, rules)
    const served = await servers.serve(home, { core: cores?.broker })
    const theirs = await servers.mosquitto(files, work, { core: cores?.broker, acl: aclOf(rules, PUBLISHING.speakers), settings: ['max_inflight_messages 0'] })
    const measure = (broker: Target) => (): Promise<PublishRound> => measurePublish(place, broker, PUBLISHING)
    const ours = measure({ name: 'sallyport', pid: served.pid, port: served.port })
    await interleaved(WARM_UP_ROUNDS, ours, theirs && measure(theirs))
    const sides = await interleaved(PUBLISH_ROUNDS, ours, theirs && measure(theirs))
    const cpu = ratioBetween(sides.sallyport, sides.mosquitto, (r) => r.cpuUs, (r) => r.wanted, GENERATOR_BOUND)
    table.add(sides, { what: `publish QoS 1, ${rules.toLocaleString('en')} rules each: broker CPU`, value: (r) => r.cpuUs, digits: 2, unit: 'µs' }, cpu)
    table.add(sides, { what: '  CPU of the generator, of one core', value: (r) => 100 * r.generatorCpu, digits: 0, unit: '%' })
    measured[`${rules} rules`] = { ratio: cpu, rounds: sides }
    await served.stop()
    await theirs?.stop()
  }
  results['publish'] = measured
}

async function apply(): Promise<void> {
  const folder = path.join(work, 'apply')
  mkdirSync(folder)
  const measured = await measureApply(servers, { ...APPLY, work: folder })
  own(`change of policy, ${measured.sessions.toLocaleString('en')} live sessions: right lost, p99`, three(measured.p99Ms, 0, 'ms'), `≤ ${APPLY_GOAL_MS.toLocaleString('en')} ms`)
  own('  last right lost', three(measured.lastMs, 0, 'ms'))
  own('  longest block of the event loop', three(measured.blockedMs, 0, 'ms'), `≤ ${BLOCK_GOAL_MS} ms`)
  results['apply'] = measured
}

const PARTS: Readonly<Record<string, () => void | Promise<void>>> = { decisions, compile, publish, apply }

async function main(): Promise<void> {
  const wanted = Object.keys(PARTS).filter((part) => flags.only === undefined || flags.only === part)
  if (wanted.length === 0) throw new Error(`--only takes one of ${Object.keys(PARTS).join(', ')}, not ${flags.only}`)
  for (const part of wanted) await PARTS[part]?.()
  console.log(table.text())
  console.log(`\nThree figures are minimum, median and maximum of ${COMPILE_ROUNDS} compilations, ${PUBLISH_ROUNDS} rounds of publishing, ${APPLY.rounds} changes. A ratio is Sallyport ÷ mosquitto, round by round.`)
  if (cores === undefined) console.log('Nothing was pinned to a core: brokers and generator shared what there is.')
  if (QUICK) console.log('A quick run: it proves the harness, and its figures are no figures.')
  if (QUICK || flags.only !== undefined) return
  results['table'] = table.rows
  results['loadAverage'] = { before: loadBefore, after: os.loadavg() }
  const folder = path.join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'policy.json'), `${JSON.stringify(results, null, 2)}\n`)
}

try {
  await main()
} finally {
  servers.killAll()
  rmSync(work, { recursive: true, force: true })
}
