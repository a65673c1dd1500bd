// npm run bench:mqtt: what a message costs, beside mosquitto, in one interleaved run. Prints a table and writes
// results/mqtt.json. See README.md beside it for how it measures. Flags: --quick for a short run that proves the harness,
// --only NAME for one part (pairs, fan-in, fan-out, offline, idle), --generator ts to load from TypeScript where C is there,
// --profile DIR for a CPU profile of Sallyport. Only a whole, full and unprofiled run is written to results/mqtt.json.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { observeDurability } from './mqtt/durability.ts'
import { makeFleet, mosquittoAcl } from './mqtt/fleet.ts'
import { buildGenerator, type LoadPlace } from './mqtt/generator.ts'
import { measureIdle, type IdleRound } from './mqtt/idle.ts'
import { measureOffline, type OfflineRound, type Queues } from './mqtt/offline.ts'
import { interleaved, openTable, ratioBetween } from './mqtt/table.ts'
import { measureRound, type Round, type Scenario } from './mqtt/throughput.ts'
import { GENERATOR_BOUND, GENERATOR_LATE, TIMER_COARSE, type Ratio, type Wanted } from './mqtt/verdict.ts'
import { coresToUse } from './pinned.ts'
import { mosquittoVersion, openServers, type Target } from './servers.ts'

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, generator: { type: 'string' }, profile: { type: 'string' } },
})
const QUICK = flags.quick
const SCENARIOS: readonly Scenario[] = [
  { name: 'pairs', speakers: QUICK ? 10 : 100, listeners: QUICK ? 10 : 100, filter: 'own', window: 10, perSecond: QUICK ? 500 : 10_000 },
  { name: 'fan-in', speakers: QUICK ? 10 : 50, listeners: 1, filter: 'all', window: 20, perSecond: QUICK ? 500 : 10_000 },
  { name: 'fan-out', speakers: 1, listeners: QUICK ? 10 : 100, filter: 'own', window: 20, perSecond: QUICK ? 50 : 200 },
]
const PARTS = [...SCENARIOS.map((s) => s.name), 'offline', 'idle']
const ROUNDS = QUICK ? 1 : 5
const SECONDS = QUICK ? { warmUp: 0.3, saturated: 0.4, atRate: 0.4 } : { warmUp: 0.5, saturated: 2, atRate: 2.5 }
/** Before the first round that counts a just-in-time compiler is given this long. */
const FIRST_WARM_UP_S = QUICK ? 0.3 : 2
const QUEUES: Queues = { sessions: 10, messagesPerSession: QUICK ? 100 : 1_000, window: 20 }
const OFFLINE_ROUNDS = QUICK ? 1 : 3
const IDLE = QUICK ? 100 : 5_000
const IDLE_ROUNDS = QUICK ? 1 : 3
const SPEAKERS = Math.max(QUEUES.sessions, ...SCENARIOS.map((s) => s.speakers))
const LISTENERS = Math.max(QUEUES.sessions, ...SCENARIOS.map((s) => s.listeners))

/** At least so many times mosquitto's deliveries per CPU second. */
const CPU_GOALS: Readonly<Record<string, number>> = { 'fan-out QoS 0': 5, 'fan-out QoS 1': 4, 'fan-in QoS 0': 1.6, 'fan-in QoS 1': 2, 'pairs QoS 0': 1.5, 'pairs QoS 1': 1.6 }
const P50_GOAL = 1.3
const DURABLE_GOAL = 5
const IDLE_GOAL_KB = 60
/** Broker and generator alone come to about two. */
const BUSY_LOAD = 3

/** Neither side refuses a message because a queue is short, and nobody waits for 20 acknowledgements at a time. */
const MOSQUITTO_SETTINGS = ['max_queued_messages 0', 'max_inflight_messages 0']
/** What is set, and what the mosquitto of this version makes of it; what an acknowledgement is worth is observed. */
const DURABILITY = {
  sallyport: 'its default: nothing is set for this run',
  mosquitto: 'its most durable setting (persistence true, autosave_on_changes true, autosave_interval 1): it acknowledges first, and then writes and syncs its whole store, once for whatever has come meanwhile. It does not sync each message, and a crash takes what was acknowledged since the last save',
} as const

if (flags.only !== undefined && !PARTS.includes(flags.only)) throw new Error(`--only takes one of ${PARTS.join(', ')}, not ${flags.only}`)
if (flags.generator !== undefined && flags.generator !== 'c' && flags.generator !== 'ts') throw new Error('--generator takes c or ts')
const isWanted = (part: string): boolean => flags.only === undefined || flags.only === part

const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-bench-'))
const [home, certs] = [path.join(work, 'home'), path.join(work, 'fleet')]
const servers = openServers()
const cores = coresToUse()
const generator = buildGenerator(work, flags.generator === undefined ? undefined : flags.generator === 'c' ? 'C' : 'TypeScript')
const place: LoadPlace = { generator, core: cores?.generator, ca: path.join(home, 'certs/local/root.pem'), certs }
const latencyObjection = generator.language === 'C' ? GENERATOR_LATE : TIMER_COARSE
const loadBefore = os.loadavg()
/** Machine paths say nothing to a reader. */
const portable = (text: string): string => text.replaceAll(work, 'WORK').replaceAll(path.resolve(import.meta.dirname, '..'), '.')
const results: Record<string, unknown> = {
  at: new Date().toISOString(),
  machine: { cores: os.cpus().length, cpu: os.cpus()[0]?.model, linux: os.release().split('-')[0], pinnedTo: cores ?? 'nothing: one core, or no taskset' },
  versions: { node: process.version, openssl: process.versions.openssl, mosquitto: mosquittoVersion() ?? 'absent' },
  commands: { run: 'npm run bench:mqtt', sallyport: 'sallyport serve --ports auto --home WORK/home', mosquitto: 'mosquitto -c WORK/mosquitto.conf', generator: portable(generator.note) },
  generator: generator.language,
  payloadBytes: 128,
}
const table = openTable()

async function online(scenario: Scenario, qos: 0 | 1, ours: Target, theirs: Target | undefined): Promise<void> {
  const measure = (broker: Target) => (round: number): Promise<Round> => measureRound(place, broker, scenario, qos, { ...SECONDS, warmUp: round === 0 ? FIRST_WARM_UP_S : SECONDS.warmUp }, work)
  const sides = await interleaved(ROUNDS, measure(ours), theirs && measure(theirs))
  const { sallyport, mosquitto } = sides
  const name = `${scenario.name} QoS ${qos}`
  const cpu = ratioBetween(mosquitto, sallyport, (r) => r.cpuUs, (r) => r.wanted, GENERATOR_BOUND)
  const wall = ratioBetween(sallyport, mosquitto, (r) => r.perSecond, (r) => r.wanted, GENERATOR_BOUND)
  const p50 = ratioBetween(sallyport, mosquitto, (r) => r.atRate.latencyMs.p50, (r) => r.atRate.wanted, latencyObjection)
  const calm = ratioBetween(mosquitto, sallyport, (r) => r.atRate.cpuUs, (r) => r.atRate.wanted, latencyObjection)
  table.add(sides, { what: `${name}: broker CPU per delivery`, value: (r) => r.cpuUs, digits: 2, unit: 'µs' })
  table.add(sides, { what: '  deliveries per CPU second', value: (r) => r.perCpuSecond, digits: 0, unit: '' }, cpu, `≥ ${CPU_GOALS[name]} ×`)
  table.add(sides, { what: '  deliveries per second', value: (r) => r.perSecond, digits: 0, unit: '' }, wall)
  table.add(sides, { what: '  CPU of the generator, of one core', value: (r) => 100 * r.generatorCpu, digits: 0, unit: '%' })
  const deliveries = scenario.perSecond * (scenario.filter === 'own' ? scenario.listeners / scenario.speakers : 1)
  table.add(sides, { what: `  at ${deliveries.toLocaleString('en')} a second: p50`, value: (r) => r.atRate.latencyMs.p50, digits: 3, unit: 'ms' }, p50, `≤ ${P50_GOAL} ×`)
  table.add(sides, { what: '    p99', value: (r) => r.atRate.latencyMs.p99, digits: 3, unit: 'ms' })
  table.add(sides, { what: '    p99.9', value: (r) => r.atRate.latencyMs.p999, digits: 3, unit: 'ms' })
  table.add(sides, { what: '    broker CPU per delivery', value: (r) => r.atRate.cpuUs, digits: 2, unit: 'µs' }, calm)
  for (const [side, rounds] of Object.entries(sides)) {
    const lost = rounds.reduce((sum, r) => sum + r.atRate.lost, 0)
    if (lost > 0) table.addText(`    never delivered by ${side}`, String(lost), '', '', '0')
  }
  results[name] = { ...scenario, qos, seconds: SECONDS, ratios: { perCpuSecond: cpu, perSecond: wall, p50, cpuAtRate: calm }, rounds: sides }
}

async function offline(ours: Target, theirs: Target | undefined): Promise<void> {
  const measure = (broker: Target) => (): Promise<OfflineRound> => measureOffline(place, broker, QUEUES)
  const sides = await interleaved(OFFLINE_ROUNDS, measure(ours), theirs && measure(theirs))
  const ratio = (leg: 'fill' | 'drain', value: 'perSecond' | 'cpuUs'): Ratio =>
    value === 'perSecond'
      ? ratioBetween(sides.sallyport, sides.mosquitto, (r) => r[leg].perSecond, (r) => r[leg].wanted, GENERATOR_BOUND)
      : ratioBetween(sides.mosquitto, sides.sallyport, (r) => r[leg].cpuUs, (r) => r[leg].wanted, GENERATOR_BOUND)
  const ratios = { fillPerSecond: ratio('fill', 'perSecond'), fillPerCpuSecond: ratio('fill', 'cpuUs'), drainPerSecond: ratio('drain', 'perSecond'), drainPerCpuSecond: ratio('drain', 'cpuUs') }
  table.add(sides, { what: 'offline fill: acknowledged per second', value: (r) => r.fill.perSecond, digits: 0, unit: '' }, ratios.fillPerSecond, `≥ ${DURABLE_GOAL} ×`)
  table.add(sides, { what: '  broker CPU per message', value: (r) => r.fill.cpuUs, digits: 1, unit: 'µs' }, ratios.fillPerCpuSecond)
  table.add(sides, { what: 'offline drain: delivered per second', value: (r) => r.drain.perSecond, digits: 0, unit: '' }, ratios.drainPerSecond)
  table.add(sides, { what: '  broker CPU per delivery', value: (r) => r.drain.cpuUs, digits: 1, unit: 'µs' }, ratios.drainPerCpuSecond)
  const observed = { sallyport: await observeDurability(place, ours, work), mosquitto: theirs && (await observeDurability(place, theirs, work)) }
  const synced = (side: keyof typeof observed): string => (observed[side] === undefined ? 'not observed' : `${observed[side].afterSync} of ${observed[side].acknowledged}`)
  table.addText('  acknowledged only after an fsync (strace)', synced('sallyport'), synced('mosquitto'), '', 'all')
  results['offline'] = { ...QUEUES, durability: DURABILITY, acknowledgedAfterSync: observed, ratios, rounds: sides }
}

const IDLE_WANTED: Wanted = { broker: 0, generator: 0 }

async function idle(mosquitto: () => Promise<Target & { stop(): Promise<void> } | undefined>): Promise<void> {
  const alone = async (broker: Target & { stop(): Promise<void> }): Promise<IdleRound> => {
    const round = await measureIdle(place, broker, IDLE)
    await broker.stop()
    return round
  }
  const sides = await interleaved(
    IDLE_ROUNDS,
    async () => alone({ name: 'sallyport', ...(await servers.serve(home, { core: cores?.broker })) }),
    mosquittoVersion() === undefined ? undefined : async () => {
      const broker = await mosquitto()
      if (broker === undefined) throw new Error('mosquitto does not start')
      return alone(broker)
    },
  )
  // Memory does not depend on how fast the generator is.
  const ratio = ratioBetween(sides.sallyport, sides.mosquitto, (r) => r.kbPerConnection, () => IDLE_WANTED, GENERATOR_BOUND)
  table.add(sides, { what: `idle connection, of ${IDLE.toLocaleString('en')}`, value: (r) => r.kbPerConnection, digits: 1, unit: 'kB' }, ratio, `≤ ${IDLE_GOAL_KB} kB`)
  // What nobody can leave out: the same TLS with nothing behind it.
  const server = path.join(home, 'certs/local/server')
  const bare = await measureIdle(place, await servers.bare({ key: path.join(server, 'key.pem'), cert: path.join(server, 'cert.pem'), ca: place.ca }), IDLE)
  table.addText('  bare tls.createServer, once', `${bare.kbPerConnection.toFixed(1)} kB`, '', '', '')
  results['idle'] = { connections: IDLE, ratio, rounds: sides, bare }
}

async function main(): Promise<void> {
  mkdirSync(certs, { recursive: true })
  await makeFleet(home, certs, SPEAKERS, isWanted('idle') ? Math.max(IDLE, LISTENERS) : LISTENERS)
  const folder = path.join(home, 'certs/local')
  const trusted = path.join(work, 'trusted.pem')
  const chain = readFileSync(path.join(folder, 'server/cert.pem'), 'utf8').split(/(?=-----BEGIN)/)
  writeFileSync(trusted, chain.slice(1).join('') + readFileSync(place.ca, 'utf8'))
  const files = { key: path.join(folder, 'server/key.pem'), cert: path.join(folder, 'server/cert.pem'), ca: trusted }
  const start = (settings: readonly string[], listeners: number) =>
    servers.mosquitto(files, work, { core: cores?.broker, acl: mosquittoAcl(SPEAKERS, listeners), settings: [...MOSQUITTO_SETTINGS, ...settings] })

  const served = await servers.serve(home, { core: cores?.broker, profile: flags.profile })
  const ours = { name: 'sallyport', pid: served.pid, port: served.port }
  const theirs = await start([], LISTENERS)
  results['configurations'] = {
    sallyport: { policy: readFileSync(path.join(home, 'policy.yaml'), 'utf8'), settings: readFileSync(path.join(home, 'sallyport.yaml'), 'utf8') },
    mosquitto: { conf: portable(theirs?.configuration ?? ''), acl: `for each device; for one of each kind:\n${mosquittoAcl(1, 1)}` },
  }
  for (const scenario of SCENARIOS.filter((s) => isWanted(s.name))) for (const qos of [0, 1] as const) await online(scenario, qos, ours, theirs)
  await theirs?.stop()
  if (isWanted('offline')) {
    const store = path.join(work, 'mosquitto')
    mkdirSync(store)
    const durable = ['persistence true', `persistence_location ${store}/`, 'autosave_on_changes true', 'autosave_interval 1']
    const lasting = await start(durable, LISTENERS)
    await offline(ours, lasting)
    await lasting?.stop()
  }
  await served.stop()
  if (isWanted('idle')) await idle(() => start([], IDLE))
  finish()
}

function finish(): void {
  console.log(table.text())
  console.log(`\nMinimum / median / maximum of ${ROUNDS} rounds (offline ${OFFLINE_ROUNDS}, idle ${IDLE_ROUNDS}). Payload 128 B. Generator: ${generator.language} (${portable(generator.note)}).`)
  const [lately = 0] = os.loadavg()
  if (lately > BUSY_LOAD) console.log(`Others worked here, too: the load average is ${lately.toFixed(1)}. Their work is in the latencies, and ratios of those may be refused.`)
  if (cores === undefined) console.log('Nothing was pinned to a core: brokers and generator shared what there is.')
  if (isWanted('offline')) for (const [side, said] of Object.entries(DURABILITY)) console.log(`Durability, ${side}: ${said}.`)
  if (QUICK) console.log('A quick run: it proves the harness, and its figures are no figures.')
  if (QUICK || flags.only !== undefined || flags.profile !== undefined || flags.generator !== undefined) return
  results['table'] = table.rows
  results['loadAverage'] = { before: loadBefore, after: os.loadavg() }
  const folder = path.join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'mqtt.json'), `${JSON.stringify(results, null, 2)}\n`)
}

try {
  await main()
} finally {
  servers.killAll()
  rmSync(work, { recursive: true, force: true })
}
