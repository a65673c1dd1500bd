// What it takes until a change of policy is everybody's: a server with 10,000 live sessions, half of which lose one of two subscriptions,
// from the signal to reload to the last lost right, and how long the event loop stood still meanwhile. Runs alone:
// node bench/policy-apply.ts [--sessions N] [--rounds N] [--profile DIR for a CPU profile of the server].

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { parseArgs } from 'node:util'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { makeFleet } from './mqtt/fleet.ts'
import { percentile, spread, type Spread } from './process-cpu.ts'
import { openServers, type Served, type Servers } from './servers.ts'

export interface ApplyOptions {
  /** Half of them lose a subscription. */
  readonly sessions: number
  readonly rounds: number
  /** An empty folder. */
  readonly work: string
  readonly profile?: string | undefined
}

export interface Applied {
  readonly sessions: number
  readonly losing: number
  /** From the signal to the moment at which a right was lost, over the sessions that lost one; ms, over the rounds. */
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly lastMs: Spread
  /** The longest that the server's event loop was busy with one thing, ms, over the rounds. */
  readonly blockedMs: Spread
  /** The same of a reload of the same policy, which takes nothing from anybody. */
  readonly blockedByReloadMs: Spread
}

const SOURCES = 16
const CONNECTING_AT_ONCE = 16
const POLL_MS = 20
const PATIENCE_MS = 60_000

/** Sensors, which are half of all, and the rest. */
const policyOf = (sensors: string): string => `version: 1
grants:
  - { id: sensors, to: { group: sensors }, subscribe: [ ${sensors} ], publish: [ "t/\${device.id}/#" ] }
  - { id: rest, to: { group: backend }, subscribe: [ "a/#", "b/#" ], publish: [ "#" ] }
`

export async function measureApply(servers: Servers, { sessions, rounds, work, profile }: ApplyOptions): Promise<Applied> {
  const [home, certificates, loopFile] = [path.join(work, 'home'), path.join(work, 'certificates'), path.join(work, 'loop.json')]
  mkdirSync(certificates)
  const losing = Math.floor(sessions / 2)
  await makeFleet(home, certificates, losing, sessions - losing)
  const write = (sensors: string): void => writeFileSync(path.join(home, 'policy.yaml'), policyOf(sensors))
  write('"a/#", "b/#"')
  process.env['SALLYPORT_LOOP_FILE'] = loopFile
  const served = await servers.serve(home, { preload: path.join(import.meta.dirname, 'loop-watch.ts'), profile })
  const crowd = await connectCrowd(served, certificates, losing, sessions - losing)
  const results: { p50: number; p99: number; last: number; blocked: number; reload: number }[] = []
  for (let round = 0; round < rounds; round++) {
    await longestBlock(served, loopFile)
    await reload(served)
    const reloaded = await longestBlock(served, loopFile)
    write('"b/#"')
    const from = auditSize(home)
    const since = Date.now()
    process.kill(served.pid, 'SIGHUP')
    const lost = await lossesAfter(home, from, losing)
    const blocked = await longestBlock(served, loopFile)
    const late = lost.map((at) => at - since).toSorted((a, b) => a - b)
    results.push({ p50: percentile(late, 50), p99: percentile(late, 99), last: late.at(-1) ?? Number.NaN, blocked, reload: reloaded })
    await proveIt(crowd, losing)
    write('"a/#", "b/#"')
    await reload(served)
    await Promise.all(crowd.slice(0, losing).map((one) => one.subscribe('a/#')))
  }
  for (const one of crowd) one.end()
  await served.stop()
  const over = (name: keyof (typeof results)[number]): Spread => spread(results.map((r) => r[name]))
  return { sessions, losing, p50Ms: over('p50'), p99Ms: over('p99'), lastMs: over('last'), blockedMs: over('blocked'), blockedByReloadMs: over('reload') }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const auditFile = (home: string): string => path.join(home, 'data/audit.ndjson')
const auditSize = (home: string): number => statSync(auditFile(home)).size

/** Audit records behind this place of the log. */
function recordsAfter(home: string, from: number): readonly { readonly '@timestamp': string; readonly event: { readonly action: string } }[] {
  const text = readFileSync(auditFile(home)).subarray(from).toString('utf8')
  return text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { '@timestamp': string; event: { action: string } })
}

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(POLL_MS)) {
    const found = look()
    if (found !== undefined) return found
  }
  throw new Error(`no ${what} in ${PATIENCE_MS} ms`)
}

/** When each of so many subscriptions was lost. */
function lossesAfter(home: string, from: number, count: number): Promise<readonly number[]> {
  return until(`${count} lost subscriptions`, () => {
    const lost = recordsAfter(home, from).filter(({ event }) => event.action === 'subscription-lost')
    return lost.length >= count ? lost.map((record) => Date.parse(record['@timestamp'])) : undefined
  })
}

async function reload({ home, pid }: Served): Promise<void> {
  const from = auditSize(home)
  process.kill(pid, 'SIGHUP')
  await until('policy in force', () => recordsAfter(home, from).find(({ event }) => event.action === 'policy-loaded'))
}

/** Since this was last asked. */
async function longestBlock({ pid }: Served, file: string): Promise<number> {
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  return until('answer of the event loop', () => {
    const found = statSync(file, { throwIfNoEntry: false })
    return found === undefined ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as { maxMs: number }).maxMs
  })
}

interface One {
  readonly heard: string[]
  subscribe(...filters: readonly string[]): Promise<void>
  publish(topic: string): Promise<void>
  end(): void
}

/** A session of MQTT 3.1.1; every second one is kept. */
async function connectOne(served: Served, name: string, file: string, n: number): Promise<One> {
  const pem = readFileSync(file, 'utf8')
  const raw = net.connect({ host: '127.0.0.1', port: served.port, localAddress: `127.0.0.${1 + (n % SOURCES)}`, noDelay: true })
  const socket = tls.connect({ socket: raw, servername: 'localhost', ca: readFileSync(path.join(served.home, 'certs/local/root.pem')), key: pem, cert: pem })
  const waiting: ((packet: Packet) => void)[] = []
  const heard: string[] = []
  const parser = mqttPacket.parser()
  const failed = new Promise<never>((_, reject) => void socket.once('close', () => reject(new Error(`${name}: the connection is closed`))))
  failed.catch(() => undefined)
  parser.on('packet', (packet) => {
    if (packet.cmd !== 'publish') return waiting.shift()?.(packet)
    heard.push(packet.topic)
    if (packet.qos === 1 && packet.messageId !== undefined) socket.write(mqttPacket.generate({ cmd: 'puback', messageId: packet.messageId }))
  })
  socket.on('data', (chunk: Buffer) => void parser.parse(chunk))
  socket.on('error', () => {})
  const ask = (packet: Packet): Promise<Packet> => {
    const answer = new Promise<Packet>((resolve) => void waiting.push(resolve))
    socket.write(mqttPacket.generate(packet))
    return Promise.race([answer, failed])
  }
  await ask({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: n % 2 === 0, clientId: name, keepalive: 600 })
  return {
    heard,
    async subscribe(...filters) {
      const granted = await ask({ cmd: 'subscribe', messageId: 1, subscriptions: filters.map((topic) => ({ topic, qos: 1 })) })
      if (granted.cmd !== 'suback' || granted.granted.some((code) => code !== 1)) throw new Error(`${name} was not granted ${filters.join(', ')}`)
    },
    async publish(topic) {
      await ask({ cmd: 'publish', topic, payload: 'x', qos: 1, retain: false, dup: false, messageId: 2 })
    },
    end: () => socket.destroy(),
  }
}

/** Those who lose first. */
async function connectCrowd(served: Served, certificates: string, losing: number, others: number): Promise<readonly One[]> {
  const names = [...Array.from({ length: losing }, (_, n) => `speaker-${n}`), ...Array.from({ length: others }, (_, n) => `listener-${n}`)]
  const crowd: One[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < names.length) {
      const n = next++
      const name = names[n] ?? ''
      const one = await connectOne(served, name, path.join(certificates, `${name}.pem`), n)
      await one.subscribe('a/#', 'b/#')
      crowd[n] = one
    }
  }
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, lane))
  return crowd
}

/** What is said of "a" reaches those who may hear it still, and nobody else; what is said of "b" reaches everybody. */
async function proveIt(crowd: readonly One[], losing: number): Promise<void> {
  const last = crowd.at(-1)
  await last?.publish('a/x')
  await last?.publish('b/x')
  await until('message to everybody', () => (crowd.every(({ heard }) => heard.includes('b/x')) ? true : undefined))
  const wrong = crowd.filter(({ heard }, n) => heard.includes('a/x') !== n >= losing)
  if (wrong.length > 0) throw new Error(`${wrong.length} sessions heard what they lost, or did not hear what they have`)
  for (const { heard } of crowd) heard.length = 0
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sessions: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '3' }, profile: { type: 'string' } } })
  const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-apply-'))
  const servers = openServers()
  try {
    const { sessions, losing, p50Ms, p99Ms, lastMs, blockedMs, blockedByReloadMs } = await measureApply(servers, { sessions: Number(values.sessions), rounds: Number(values.rounds), work, profile: values.profile })
    const three = ({ min, median, max }: Spread): string => `${[min, median, max].map((n) => n.toFixed(0)).join(' / ')} ms`
    console.log(`${losing} of ${sessions} live sessions lose one of two subscriptions; minimum / median / maximum of ${values.rounds} rounds`)
    for (const [what, seen] of [['reload → right lost, p50', p50Ms], ['reload → right lost, p99', p99Ms], ['reload → last right lost', lastMs], ['longest block of the event loop', blockedMs], ['the same, of a reload that takes nothing', blockedByReloadMs]] as const) console.log(`${what.padEnd(42)} ${three(seen)}`)
  } finally {
    servers.killAll()
    rmSync(work, { recursive: true, force: true })
  }
}

if (import.meta.main) await main()
