// npm run bench:door: what the door costs. Starts, connects, revokes, decides and issues for real, and prints a table.
// See README.md beside it for how it measures. Flags: --quick for a short run that proves the harness, --only NAME for one
// part (starts, connects, revocations, decisions, issuance), --profile DIR for a CPU profile of the server that is connected to.
// Only a whole, full and unprofiled run is written to results/door.json.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { measureConnects, type Identity } from './connect-client.ts'
import { measureDecisions } from './decisions.ts'
import { measureIssuance, prefill, type Rate } from './issuance.ts'
import { spread, type Spread } from './process-cpu.ts'
import { enrollFleet, measureRevocations, type Percentiles } from './revocations.ts'
import { mosquittoVersion, openServers, type Served } from './servers.ts'

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, profile: { type: 'string' } } })
const PARTS = ['starts', 'connects', 'revocations', 'decisions', 'issuance'] as const
const QUICK = flags.quick
const ROUNDS = QUICK ? 2 : 9
const CONNECTS_PER_ROUND = QUICK ? 50 : 300
const DEVICES = QUICK ? 50 : 300
const REVOCATIONS = QUICK ? 20 : 200
const REGISTERED = QUICK ? 2_000 : 100_000
const STARTS = QUICK ? 1 : 5
const CERTIFICATES = QUICK ? 300 : 4_000

const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-bench-'))
const servers = openServers()
/** Over one, five and fifteen minutes: whether anybody else worked here. */
const loadBefore = os.loadavg()
const results: Record<string, unknown> = {
  at: new Date().toISOString(),
  machine: { cores: os.cpus().length, linux: os.release().split('-')[0] },
  versions: { node: process.version, openssl: process.versions.openssl, mosquitto: mosquittoVersion() ?? 'absent' },
  command: 'npm run bench:door',
}
/** What was measured, what came out, what was wanted. */
const rows: (readonly [string, string, string])[] = []
const three = ({ min, median, max }: Spread, digits: number, unit: string): string => `${[min, median, max].map((n) => n.toFixed(digits)).join(' / ')} ${unit}`
const percents = ({ p50, p99, max }: Percentiles): string => `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms`

async function starts(): Promise<void> {
  const first: Served[] = []
  for (let i = 0; i < STARTS; i++) first.push(await startAndStop(path.join(work, `first-${i}`), true))
  reportStarts('firstStart', 'first start to ready, no compile cache', first, '≤ 5,000 ms')
  const home = path.join(work, 'first-0')
  await prefill(home, REGISTERED)
  const again: Served[] = []
  for (let i = 0; i < STARTS; i++) again.push(await startAndStop(home, false))
  reportStarts('startWithDevices', `start to ready, ${REGISTERED.toLocaleString('en')} devices`, again, '≤ 3,000 ms')
}

async function startAndStop(home: string, cold: boolean): Promise<Served> {
  const served = await servers.serve(home, { cold })
  await served.stop()
  return served
}

/** The clock is what a person waits for, the CPU what a busy machine does not change. */
function reportStarts(key: string, what: string, starts: readonly Served[], goal: string): void {
  const ready = spread(starts.map((s) => s.readyMs))
  const cpu = spread(starts.map((s) => s.readyCpuMs))
  results[key] = { readyMs: ready, cpuMs: cpu, starts: starts.length, ...(key === 'startWithDevices' ? { devices: REGISTERED, certificates: REGISTERED } : {}) }
  rows.push([what, three(ready, 0, 'ms'), goal], ['  of which CPU, all threads', three(cpu, 0, 'ms'), ''])
}

const rootOf = (served: Served): string => path.join(served.home, 'certs/local/root.pem')

const CONNECT_GOALS: Readonly<Record<string, number>> = { 'bare tls.createServer': 1.1, mosquitto: 1 }

async function connects(served: Served, identities: readonly Identity[]): Promise<void> {
  const folder = path.join(served.home, 'certs/local/server')
  const files = { key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem'), ca: rootOf(served) }
  const mosquitto = await servers.mosquitto(files, work)
  const ours = { name: 'sallyport', pid: served.pid, port: served.port }
  const targets = [ours, await servers.bare(files), await servers.engine(files), ...(mosquitto === undefined ? [] : [mosquitto])]
  const measured = await measureConnects(targets, identities, readFileSync(files.ca, 'utf8'), ROUNDS, CONNECTS_PER_ROUND)
  const ratios = Object.fromEntries(targets.slice(1).map(({ name }) => [name, ratio(measured.samples[ours.name] ?? [], measured.samples[name] ?? [])]))
  results['connectCpuUs'] = { ...measured, ratios }
  for (const { name } of targets) {
    const cpu = measured.servers[name]
    if (cpu !== undefined) rows.push([`connect, server CPU: ${name}`, three(cpu, 0, 'µs'), ''])
  }
  for (const [name, r] of Object.entries(ratios)) rows.push([`connect, sallyport ÷ ${name}`, three(r, 2, '×'), CONNECT_GOALS[name] === undefined ? 'for comparison' : `≤ ${CONNECT_GOALS[name]} ×`])
  rows.push(['connect, client CPU', three(measured.client, 0, 'µs'), 'for comparison'])
}

/** Round by round: what slows the machine down for a while slows both down. */
function ratio(ours: readonly number[], theirs: readonly number[]): Spread {
  return spread(ours.map((cpu, round) => cpu / (theirs[round] ?? Number.NaN)))
}

async function revocations(served: Served, identities: readonly Identity[]): Promise<void> {
  const revoked = await measureRevocations(served, identities, readFileSync(rootOf(served), 'utf8'), REVOCATIONS)
  results['revokeToClosedMs'] = revoked
  rows.push([`revoke → socket closed, at the device (${revoked.publishedPerSecond.toFixed(0)} msg/s)`, percents(revoked.client), 'p99 ≤ 100 ms'])
  rows.push(['revoke → closed, from the commit (closedMs)', percents(revoked.server), ''])
}

function decisions(): void {
  const measured = measureDecisions()
  results['decisionUs'] = measured
  rows.push(['policy decision, warm, topic read from bytes', three(measured.warmUs, 3, 'µs'), '≤ 1 µs'])
  rows.push(['policy decision, warm, the decision alone', three(measured.repeatedUs, 3, 'µs'), ''])
  rows.push([`policy decision, cold, ${measured.grants} grants`, three(measured.coldUs, 1, 'µs'), ''])
  rows.push([`grants of one session, ${measured.grants} grants`, three(measured.sessionUs, 0, 'µs'), ''])
}

async function issuance(): Promise<void> {
  const measured = await measureIssuance(path.join(work, 'issuing'), CERTIFICATES)
  results['issuance'] = measured
  const rate = (r: Rate): string => `${r.perCpuSecond.toFixed(0)} per CPU second, ${r.perSecond.toFixed(0)} per second`
  rows.push(['certificates issued, with commits', rate(measured.authority), '≥ 1,000 per core'])
  rows.push(['devices enrolled from a CSR, with commits', rate(measured.enrollment), ''])
}

async function main(): Promise<void> {
  if (flags.only !== undefined && !PARTS.some((part) => part === flags.only)) throw new Error(`--only takes one of ${PARTS.join(', ')}, not ${flags.only}`)
  const wanted = (part: (typeof PARTS)[number]): boolean => flags.only === undefined || flags.only === part
  if (wanted('starts')) await starts()
  if (wanted('connects') || wanted('revocations')) {
    const served = await servers.serve(path.join(work, 'door'), { profile: flags.profile })
    const identities = await enrollFleet(served, DEVICES)
    if (wanted('connects')) await connects(served, identities)
    if (wanted('revocations')) await revocations(served, identities)
    await served.stop()
  }
  if (wanted('decisions')) decisions()
  if (wanted('issuance')) await issuance()

  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((r) => (r[i] ?? '').length)))
  for (const row of rows) console.log(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd())
  if (QUICK || flags.only !== undefined || flags.profile !== undefined) return
  results['loadAverage'] = { before: loadBefore, after: os.loadavg() }
  const folder = path.join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'door.json'), `${JSON.stringify(results, null, 2)}\n`)
}

try {
  await main()
} finally {
  servers.killAll()
  rmSync(work, { recursive: true, force: true })
}
