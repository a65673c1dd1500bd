// The broker while operators work: 10,000 devices connected, publishing at a set rate, and the latency from the time at which a message was due
// to its arrival; alternately without anybody at the admin API and with requests at a set rate. See ../README.md.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { buildGenerator, startLoad, type Load } from '../mqtt/generator.ts'
import { tailOf } from '../mqtt/verdict.ts'
import { coresToUse, pinned } from '../pinned.ts'
import { cpuMsOf, spread } from '../process-cpu.ts'
import { openServers, type Served } from '../servers.ts'
import type { Ask, Asked, AskPlan } from './asker.ts'
import { costsOf } from './costs.ts'
import { metricsOf, openHouse, operatorOf } from './house.ts'
import { partFlags, three, until } from './part.ts'
import { seededId } from './seed.ts'

const flags = partFlags()
const SIZE = flags.quick ? { connected: 100, registered: 1_000, perSecond: 200, seconds: 1, rounds: 1 } : { connected: Number(flags.connected ?? 10_000), registered: 100_000, perSecond: 2_000, seconds: Number(flags.seconds ?? 10), rounds: Number(flags.rounds ?? 5) }
const READS_PER_SECOND = Number(flags.rate ?? 100)
const WRITES_PER_SECOND = 10
const CONNECTIONS = 8
const COST_ROUNDS = 100
const SOURCES = 64
const NS_PER_MS = 1e6
/** It runs only while nobody else wants its core, so that the generator stays punctual. */
const IDLE_PRIORITY: readonly [string, ...string[]] = ['chrt', '--idle', '0']

/** What consoles and scripts ask for, one after the other. */
function reads(): readonly Ask[] {
  const get = (name: string, at: string): Ask => ({ name, method: 'GET', path: at })
  const middle = seededId(Math.floor(SIZE.registered / 2))
  return [
    get('overview', '/v1/overview'),
    get('devices, first page', '/v1/devices?limit=100'),
    get('devices, deep page', `/v1/devices?limit=100&after=${middle}`),
    get('devices, part of the id', '/v1/devices?limit=100&q=sensor-77'),
    get('devices, found nowhere', '/v1/devices?limit=100&q=nowhere'),
    get('devices, group and state', '/v1/devices?limit=100&group=line-3&state=suspended'),
    get('devices, ending soon', `/v1/devices?limit=100&expiringWithinMs=${7 * 86_400_000}`),
    get('devices, a page of the console', '/v1/devices?limit=200'),
    get('device', `/v1/devices/speaker-${7 % SIZE.connected}`),
    get('connections', '/v1/connections?limit=100'),
    get('connections, part of the id', '/v1/connections?limit=100&q=speaker-77'),
    get('refusals', '/v1/refusals?limit=100'),
    get('certificates', '/v1/certificates?limit=100'),
  ]
}

/** Of devices that are not connected: each is suspended and resumed. */
function writes(): readonly Ask[] {
  const ids = Array.from({ length: 20 }, (_, i) => seededId(i + 1)).filter((_, i) => (i + 1) % 500 !== 0)
  return ids.flatMap((id) => ['suspend', 'resume'].map((action): Ask => ({ name: action, method: 'POST', path: `/v1/devices/${id}/state`, body: { action } })))
}

async function startAsker(plan: AskPlan, core: number | undefined): Promise<{ readonly run: (seconds: number) => Promise<Asked> }> {
  const [command, ...args] = pinned(core, [...IDLE_PRIORITY, process.execPath, path.join(import.meta.dirname, 'asker.ts')])
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const said = lines[Symbol.asyncIterator]()
  child.stdin.write(`${JSON.stringify(plan)}\n`)
  if ((await said.next()).value !== 'ready') throw new Error('who asks the API could not begin')
  return {
    async run(seconds) {
      child.stdin.write(`${seconds}\n`)
      const line = await said.next()
      if (line.done === true) throw new Error('who asks the API ended')
      await once(child, 'close')
      return JSON.parse(line.value) as Asked
    },
  }
}

interface Stretch {
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of the server: its event loop, and CPU as a share of a core. */
  readonly loopP99Ms: number
  readonly loopMaxMs: number
  readonly cpu: number
  readonly lost: number
  readonly asked: readonly Asked[]
}

interface Room {
  readonly load: Load
  readonly served: Served
  readonly latencies: string
  readonly loopFile: string
  readonly core: number | undefined
}

/** Since this was last asked. */
async function loopOf({ served, loopFile }: Room): Promise<{ readonly maxMs: number; readonly p99Ms: number }> {
  rmSync(loopFile, { force: true })
  process.kill(served.pid, 'SIGUSR2')
  return await until('word of the event loop', () => {
    try {
      return JSON.parse(readFileSync(loopFile, 'utf8')) as { readonly maxMs: number; readonly p99Ms: number }
    } catch {
      return undefined
    }
  })
}

async function stretch(room: Room, plans: readonly AskPlan[]): Promise<Stretch> {
  const askers = await Promise.all(plans.map((plan) => startAsker(plan, room.core)))
  await loopOf(room)
  const cpu = cpuMsOf(room.served.pid)
  const asking = askers.map((asker) => asker.run(SIZE.seconds))
  const phase = await room.load.run(`rate ${SIZE.perSecond} ${SIZE.seconds} ${room.latencies}`)
  const used = cpuMsOf(room.served.pid) - cpu
  const loop = await loopOf(room)
  const asked = await Promise.all(asking)
  const bytes = readFileSync(room.latencies)
  const times = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)).map((ns) => ns / NS_PER_MS)
  const { p50, p99 } = tailOf(times)
  return { p50Ms: p50, p99Ms: p99, loopP99Ms: loop.p99Ms, loopMaxMs: loop.maxMs, cpu: used / (phase.seconds * 1_000), lost: phase.sent - phase.delivered, asked }
}

function report(what: string, stretches: readonly Stretch[], calm: readonly Stretch[]): void {
  const row = (name: string, of: (s: Stretch) => number, digits = 2): string => `${name} ${three(stretches.map(of), digits)}`
  console.log(`${what.padEnd(10)} ${row('p50', (s) => s.p50Ms)} ms, ${row('p99', (s) => s.p99Ms)} ms, ${row('loop p99', (s) => s.loopP99Ms, 1)} ms, ${row('loop max', (s) => s.loopMaxMs, 0)} ms, ${row('CPU', (s) => s.cpu)} of a core, ${stretches.reduce((sum, s) => sum + s.lost, 0)} lost`)
  if (stretches === calm) return
  const ratio = (of: (s: Stretch) => number): string => three(stretches.map((s, i) => of(s) / of(calm[i] ?? s)), 2)
  console.log(`  in times the stretch before it: p50 ${ratio((s) => s.p50Ms)} ×, p99 ${ratio((s) => s.p99Ms)} × (wanted: < 1.1)`)
  const asked = stretches.flatMap((s) => s.asked)
  const refused = asked.reduce((sum, a) => sum + a.refused, 0)
  console.log(`  the API meanwhile: ${three(stretches.map((s) => s.asked.reduce((sum, a) => sum + a.perSecond, 0)), 0)} answers a second, p50 ${three(asked.map((a) => a.p50Ms), 1)} ms, p99 ${three(asked.map((a) => a.p99Ms), 1)} ms, ${(asked.reduce((sum, a) => sum + a.bytes, 0) / Math.max(1, asked.reduce((sum, a) => sum + a.count, 0)) / 1_000).toFixed(1)} kB each, ${refused} refused`)
  for (const name of new Set(asked.flatMap((a) => Object.keys(a.byName)))) {
    const each = asked.flatMap((a) => a.byName[name] ?? [])
    console.log(`    ${name.padEnd(30)} p50 ${spread(each.map((e) => e.p50Ms)).median.toFixed(1)}, p99 ${spread(each.map((e) => e.p99Ms)).median.toFixed(1)} ms`)
  }
}

using house = await openHouse({ ...SIZE, kept: flags.kept })
const servers = openServers()
try {
  const cores = coresToUse()
  const loopFile = path.join(house.work, 'loop.json')
  process.env['SALLYPORT_LOOP_FILE'] = loopFile
  const served = await servers.serve(house.home, { core: cores?.broker, preload: path.join(import.meta.dirname, '../loop-watch.ts'), profile: flags.profile })
  const generator = buildGenerator(house.work, undefined)
  const load = startLoad({ generator, core: cores?.generator, ca: house.ca, certs: house.certs }, served.pid, { port: served.port, speakers: SIZE.connected, listeners: 1, filter: 'all', qos: 1, sources: SOURCES })
  await load.open()
  console.log(`${SIZE.connected} devices connected of ${SIZE.registered}, ${SIZE.perSecond} messages of QoS 1 a second, stretches of ${SIZE.seconds} s; minimum / median / maximum of ${SIZE.rounds}`)
  const room: Room = { load, served, latencies: path.join(house.work, 'latencies'), loopFile, core: cores?.generator }
  const operator = operatorOf(house.home)
  const reading: AskPlan = { operator, asks: reads(), perSecond: READS_PER_SECOND, connections: CONNECTIONS }
  for (const { name, msEach } of await costsOf(served, operator, reads(), flags.quick ? 5 : COST_ROUNDS)) console.log(`  of the loop that carries messages, ${name.padEnd(30)} ${msEach.toFixed(2)} ms`)
  const writing: AskPlan = { operator, asks: writes(), perSecond: WRITES_PER_SECOND, connections: 1 }
  const scraping: AskPlan = { operator, asks: [{ name: 'scrape', method: 'GET', path: `${metricsOf(house.home)}/metrics` }], perSecond: 1, connections: 1 }
  // What is not compiled yet is slow, and is nobody's figure.
  await stretch(room, [reading, writing, scraping])
  const seen: Record<'calm' | 'reads' | 'writes' | 'scrapes', Stretch[]> = { calm: [], reads: [], writes: [], scrapes: [] }
  const calmOf: Record<'reads' | 'writes' | 'scrapes', Stretch[]> = { reads: [], writes: [], scrapes: [] }
  for (let round = 0; round < SIZE.rounds; round++) {
    for (const [name, plans] of [['reads', [reading]], ['writes', [reading, writing]], ['scrapes', [scraping]]] as const) {
      const calm = await stretch(room, [])
      seen.calm.push(calm)
      calmOf[name].push(calm)
      seen[name].push(await stretch(room, plans))
    }
  }
  await load.end()
  await served.stop()
  report('nobody', seen.calm, seen.calm)
  report(`${READS_PER_SECOND} reads/s`, seen.reads, calmOf.reads)
  report(`and ${WRITES_PER_SECOND} writes/s`, seen.writes, calmOf.writes)
  report('1 scrape/s', seen.scrapes, calmOf.scrapes)
} finally {
  servers.killAll()
}
