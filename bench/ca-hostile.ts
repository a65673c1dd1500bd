// The enrollment door under fire (E21), and beside it, in the same program, a fleet that speaks MQTT: what 10,000 bad requests a second are
// answered with, and what they do to the messages of others. Each flood has a calm stretch before it, and is compared with that one.
// Flags: --seconds N (of each stretch), --rounds N, --per-second N, --devices N, --profile DIR.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { privateKey } from '../device-sim/forge/keys.ts'
import { forgeRequest } from '../device-sim/forge/request.ts'
import { connectLight, type LightPeer } from '../device-sim/load/light-peer.ts'
import { makeFleet } from './mqtt/fleet.ts'
import { percentile, residentKb, spread, usageOf, usedBetween } from './process-cpu.ts'

const { values: flags } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '3' }, 'per-second': { type: 'string', default: '10000' }, devices: { type: 'string', default: '50' }, profile: { type: 'string' } } })
const SECONDS = Number(flags.seconds)
const ROUNDS = Number(flags.rounds)
const PER_SECOND = Number(flags['per-second'])
const DEVICES = Number(flags.devices)
const MESSAGES_PER_SECOND = 500
const TICK_MS = 2
const SETTLE_MS = 1_000
const LAUNCH = path.resolve(import.meta.dirname, '../src/launch.cjs')
const FLOOD = path.join(import.meta.dirname, 'ca-hostile-flood.ts')

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const at = (name: string): string => path.join(folder, name)

/** As bad as they come: no credential, a guessed token, a right one with a request that somebody else signed, garbage, and DER that only begins well. */
function badRequests(token: string): readonly string[] {
  const body = (csr: string, authorization?: string): string => `POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n${authorization === undefined ? '' : `Authorization: Bearer ${authorization}\r\n`}Content-Length: ${Buffer.byteLength(csr)}\r\n\r\n${csr}`
  const forged = forgeRequest(privateKey(), 'speaker-0', { signWith: privateKey() })
  const deep = Buffer.alloc(12_000, Buffer.from('30803080', 'hex')).toString('base64')
  return [body(forged), body(forged, '00000000-00000000000000000000000000'), body(forged, token), body('A'.repeat(2_000), token), body(deep, token), body('!'.repeat(60_000), token), 'GET /.well-known/est/fullcmc HTTP/1.1\r\nHost: localhost\r\n\r\n']
}

interface Stretch {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly lost: number
  /** Shares of a core. */
  readonly cores: number
  readonly loop: number
  readonly waited: number
  readonly residentMiB: number
}

/** CPU of the main thread, which has the number of the process. */
const loopMsOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6

interface Fleet {
  /** Publishes at the rate until it is told to stop; from the time at which a message was due to its arrival. */
  measure(ms: number): Promise<Pick<Stretch, 'p50Ms' | 'p99Ms' | 'maxMs' | 'lost'>>
  end(): void
}

async function openFleet(port: number, ca: string): Promise<Fleet> {
  let [due, latencies]: [number, number[]] = [0, []]
  const connectAs = (id: string, onMessage: (payload: Buffer) => void): Promise<LightPeer> => {
    const pem = readFileSync(at(`${id}.pem`), 'utf8')
    const [key, cert] = [pem.slice(0, pem.indexOf('-----BEGIN CERTIFICATE-----')), pem.slice(pem.indexOf('-----BEGIN CERTIFICATE-----'))]
    return connectLight({ target: { host: '127.0.0.1', port, serverName: 'localhost', ca }, id, credentials: { key, cert }, source: undefined, onMessage, onEnd: (why) => process.stdout.write(`${id} was cut off: ${why}\n`) })
  }
  const listener = await connectAs('listener-0', (payload) => {
    latencies.push(performance.now() - Number(payload.toString()))
  })
  await listener.subscribe('t/#', 0)
  const speakers = await Promise.all(Array.from({ length: DEVICES }, (_, i) => connectAs(`speaker-${i}`, () => {})))
  return {
    async measure(ms) {
      [due, latencies] = [0, []]
      const begun = performance.now()
      while (performance.now() - begun < ms) {
        for (const wanted = ((performance.now() - begun) / 1_000) * MESSAGES_PER_SECOND; due < wanted; due++) {
          speakers[due % DEVICES]?.publish(`t/speaker-${due % DEVICES}/b`, Buffer.from(String(begun + (due * 1_000) / MESSAGES_PER_SECOND)), 1)
        }
        await delay(TICK_MS)
      }
      await delay(SETTLE_MS)
      return { p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99), maxMs: percentile(latencies, 100), lost: due - latencies.length }
    },
    end: () => [listener, ...speakers].forEach((peer) => peer.end()),
  }
}

async function flood(plan: Readonly<Record<string, unknown>>): Promise<string> {
  const child = spawn(process.execPath, [FLOOD, JSON.stringify(plan)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await once(child, 'close')
  const { sent, answered, broken, handshakes, seconds, statuses } = JSON.parse(said) as { readonly sent: number; readonly answered: number; readonly broken: number; readonly handshakes: number; readonly seconds: number; readonly statuses: Readonly<Record<string, number>> }
  const rate = (n: number): number => Math.round(n / seconds)
  return `${rate(sent)} sent and ${rate(answered)} answered a second (${Object.entries(statuses).map(([status, n]) => `${status}: ${n}`).join(', ')}), ${rate(handshakes)} handshakes a second, ${broken} connections broken`
}

await makeFleet(at('home'), folder, DEVICES, 1)
const server = spawn(process.execPath, [...(flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`]), LAUNCH, 'serve', '--ports', 'auto', '--home', at('home')], { stdio: ['ignore', 'ignore', 'pipe'] })
try {
  let log = ''
  server.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-10_000)))
  while (!log.includes('"msg":"ready"')) await delay(50)
  const { pid, mqtt, enroll } = JSON.parse(readFileSync(at('home/data/endpoints.json'), 'utf8')) as { readonly pid: number; readonly mqtt: { readonly port: number }; readonly enroll: { readonly port: number } }
  const made = spawnSync(process.execPath, [LAUNCH, 'token', 'create', '--home', at('home'), '--id', 'speaker-0', '--json'], { encoding: 'utf8' })
  const { token } = JSON.parse(made.stdout) as { readonly token: string }
  const ca = readFileSync(at('home/certs/local/root.pem'), 'utf8')
  const fleet = await openFleet(mqtt.port, ca)
  const base = { port: enroll.port, ca, seconds: SECONDS, perSecond: PER_SECOND, requests: badRequests(token) }
  const floods = [
    ['one address', { ...base, connections: 1, isEachNew: false }],
    ['500 addresses, connections that stay open', { ...base, connections: 500, isEachNew: false }],
    ['an address and a connection for each request', { ...base, connections: 200, isEachNew: true }],
  ] as const
  /** One stretch of the fleet, and what the server used meanwhile: in all, and of the thread that carries the messages. */
  const stretch = async (): Promise<Stretch> => {
    const [before, loopBefore] = [usageOf(pid), loopMsOf(pid)]
    const { p50Ms, p99Ms, maxMs, lost } = await fleet.measure(SECONDS * 1_000)
    const used = usedBetween(before, usageOf(pid))
    const cores = (ms: number): number => ms / (SECONDS * 1_000 + SETTLE_MS)
    return { p50Ms, p99Ms, maxMs, lost, cores: cores(used.cpuMs), waited: cores(used.waitMs), loop: cores(loopMsOf(pid) - loopBefore), residentMiB: residentKb(pid) / 1_024 }
  }
  const told = (s: Stretch): string => `p50 ${s.p50Ms.toFixed(2)}, p99 ${s.p99Ms.toFixed(2)}, max ${s.maxMs.toFixed(0)} ms, ${s.lost} lost; server ${s.cores.toFixed(2)} cores, its loop ${s.loop.toFixed(2)}, waited for a core ${s.waited.toFixed(2)}; ${s.residentMiB.toFixed(0)} MiB`
  process.stdout.write(`to warm up: ${told(await stretch())}\n`)
  const ratios = new Map<string, { p50: number[]; p99: number[]; loop: number[] }>()
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, plan] of floods) {
      const calm = await stretch()
      const attack = flood(plan)
      const fired = await stretch()
      process.stdout.write(`round ${round}, ${name}\n  calm:  ${told(calm)}\n  flood: ${told(fired)}\n         ${await attack}\n`)
      const seen = ratios.get(name) ?? { p50: [], p99: [], loop: [] }
      seen.p50.push(fired.p50Ms / calm.p50Ms)
      seen.p99.push(fired.p99Ms / calm.p99Ms)
      seen.loop.push(fired.loop - calm.loop)
      ratios.set(name, seen)
      await delay(SETTLE_MS)
    }
  }
  const three = (samples: readonly number[]): string => {
    const { min, median, max } = spread(samples)
    return [min, median, max].map((n) => n.toFixed(2)).join(' / ')
  }
  for (const [name, { p50, p99, loop }] of ratios) process.stdout.write(`${name}: p99 ${three(p99)} × calm (wanted: < 2), p50 ${three(p50)} ×; of the loop that carries messages it takes ${three(loop)}\n`)
  fleet.end()
} finally {
  server.kill()
  await once(server, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
