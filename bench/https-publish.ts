// Publishing over HTTPS, and beside it, in the same program, a fleet that speaks MQTT: how many messages a second the door takes, and what they
// do to the messages of others, compared with as many that come by MQTT. Each stretch has a calm one before it.
// Flags: --seconds N (of each stretch), --rounds N, --devices N (that publish over HTTPS).

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connectLight, type LightPeer } from '../device-sim/load/light-peer.ts'
import { makeFleet } from './mqtt/fleet.ts'
import { percentile, spread } from './process-cpu.ts'

const { values: flags } = parseArgs({ options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' }, devices: { type: 'string', default: '16' } } })
const [SECONDS, ROUNDS, DEVICES] = [Number(flags.seconds), Number(flags.rounds), Number(flags.devices)]
const FLEET = 50
const MESSAGES_PER_SECOND = 500
const TICK_MS = 2
const SETTLE_MS = 500
const LAUNCH = path.resolve(import.meta.dirname, '../src/launch.cjs')
const FLOOD = path.join(import.meta.dirname, 'https-publish-flood.ts')

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const at = (name: string): string => path.join(folder, name)

interface Flood {
  readonly perSecond: number
  readonly refused: number
  readonly p50Ms: number
  readonly p99Ms: number
}
interface Calm {
  readonly p50Ms: number
  readonly p99Ms: number
  /** What the thread that carries messages used: a share of a core. */
  readonly loop: number
}

async function flood(plan: Readonly<Record<string, unknown>>): Promise<Flood> {
  const child = spawn(process.execPath, [FLOOD, JSON.stringify(plan)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await once(child, 'close')
  return JSON.parse(said) as Flood
}

async function connectAs(id: string, port: number, ca: string, onMessage: (payload: Buffer, topic: string) => void): Promise<LightPeer> {
  const pem = readFileSync(at(`${id}.pem`), 'utf8')
  const cut = pem.indexOf('-----BEGIN CERTIFICATE-----')
  return connectLight({ target: { host: '127.0.0.1', port, serverName: 'localhost', ca }, id, credentials: { key: pem.slice(0, cut), cert: pem.slice(cut) }, source: undefined, onMessage, onEnd: (why) => process.stdout.write(`${id} was cut off: ${why}\n`) })
}

await makeFleet(at('home'), folder, FLEET + DEVICES, 1)
const server = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', at('home')], { stdio: ['ignore', 'ignore', 'pipe'] })
try {
  let log = ''
  server.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-10_000)))
  while (!log.includes('"msg":"ready"')) await delay(50)
  const { pid, mqtt, enroll } = JSON.parse(readFileSync(at('home/data/endpoints.json'), 'utf8')) as { readonly pid: number; readonly mqtt: { readonly port: number }; readonly enroll: { readonly port: number } }
  const ca = readFileSync(at('home/certs/local/root.pem'), 'utf8')
  const loopMs = (): number => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  let latencies: number[] = []
  const listener = await connectAs('listener-0', mqtt.port, ca, (payload, topic) => void (topic.endsWith('/f') && latencies.push(performance.now() - Number(payload.toString()))))
  await listener.subscribe('t/#', 0)
  const fleet = await Promise.all(Array.from({ length: FLEET }, (_, i) => connectAs(`speaker-${i}`, mqtt.port, ca, () => {})))
  const stretch = async (): Promise<Calm> => {
    latencies = []
    const [begun, loop] = [performance.now(), loopMs()]
    for (let due = 0; performance.now() - begun < SECONDS * 1_000; await delay(TICK_MS)) {
      for (const wanted = ((performance.now() - begun) / 1_000) * MESSAGES_PER_SECOND; due < wanted; due++) fleet[due % FLEET]?.publish(`t/speaker-${due % FLEET}/f`, Buffer.from(String(begun + (due * 1_000) / MESSAGES_PER_SECOND)), 1)
    }
    const used = (loopMs() - loop) / (performance.now() - begun)
    await delay(SETTLE_MS)
    return { p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99), loop: used }
  }
  const devices = Array.from({ length: DEVICES }, (_, i) => ({ id: `speaker-${FLEET + i}`, file: at(`speaker-${FLEET + i}.pem`) }))
  const base = { ca, seconds: SECONDS, devices }
  await stretch()
  const seen = { https: { p50: [] as number[], p99: [] as number[], loop: [] as number[] }, mqtt: { p50: [] as number[], p99: [] as number[], loop: [] as number[] } }
  const rates: number[] = []
  const told = (s: Calm): string => `p50 ${s.p50Ms.toFixed(2)}, p99 ${s.p99Ms.toFixed(2)} ms, loop ${s.loop.toFixed(2)}`
  for (let round = 1; round <= ROUNDS; round++) {
    let perSecond: number | undefined
    for (const by of ['https', 'mqtt'] as const) {
      const calm = await stretch()
      const attack = flood({ ...base, by, port: by === 'https' ? enroll.port : mqtt.port, ...(perSecond === undefined ? {} : { perSecond }) })
      const fired = await stretch()
      const said = await attack
      if (by === 'https') rates.push(said.perSecond)
      perSecond = said.perSecond
      process.stdout.write(`round ${round}, by ${by}: ${said.perSecond.toFixed(0)} messages a second, answered in p50 ${said.p50Ms.toFixed(2)}, p99 ${said.p99Ms.toFixed(2)} ms, ${said.refused} refused\n  the fleet, calm:      ${told(calm)}\n  the fleet, meanwhile: ${told(fired)}\n`)
      seen[by].p50.push(fired.p50Ms / calm.p50Ms)
      seen[by].p99.push(fired.p99Ms / calm.p99Ms)
      seen[by].loop.push(((fired.loop - calm.loop) * 1e6) / said.perSecond)
    }
  }
  const three = (samples: readonly number[], digits = 2): string => {
    const { min, median, max } = spread(samples)
    return [min, median, max].map((n) => n.toFixed(digits)).join(' / ')
  }
  process.stdout.write(`HTTPS takes ${three(rates, 0)} messages of QoS 1 a second from ${DEVICES} connections\n`)
  for (const by of ['https', 'mqtt'] as const) process.stdout.write(`by ${by}: the fleet's p99 ${three(seen[by].p99)} × calm, p50 ${three(seen[by].p50)} ×; ${three(seen[by].loop, 0)} µs of the loop for each message\n`)
  listener.end()
  for (const peer of fleet) peer.end()
} finally {
  server.kill()
  await once(server, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
