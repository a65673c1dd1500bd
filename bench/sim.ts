// npm run bench:sim: what the simulator itself can do, so that nobody takes its limits for those of a server: messages for a second of
// CPU beside mosquitto_pub, devices connected and their memory, its own delay at half load, enrollments, and the time of the attack
// catalogue. The other side is mosquitto, to which nobody is subscribed. Flags: --quick.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { forgeIssuing, forgeLeaf, forgeRoot, forgeServer } from '../device-sim/forge/authority.ts'
import { pem } from '../device-sim/forge/certificate.ts'
import { keyPem } from '../device-sim/forge/keys.ts'
import { identityOf, openIdentities, type Identities } from '../device-sim/identities.ts'
import type { ScenarioResult } from '../device-sim/scenario/outcome.ts'
import { loadScenario } from '../device-sim/scenario/ready-made.ts'
import { runScenario } from '../device-sim/scenario/run-scenario.ts'
import type { Scenario } from '../device-sim/scenario/scenario.ts'
import { startOwnServer } from '../device-sim/server-process.ts'
import type { Target } from '../device-sim/target.ts'
import { mosquittoVersion, openServers } from './servers.ts'

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const SIZE = flags.quick ? { devices: 50, connected: 200, seconds: 2, lines: 5_000, enrolled: 50 } : { devices: 200, connected: 5_000, seconds: 10, lines: 300_000, enrolled: 10_000 }
const OFFERED = flags.quick ? 2_000 : 60_000

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-sim-'))
const at = (name: string): string => path.join(folder, name)
const servers = openServers()
const rows: (readonly [string, string])[] = []
const row = (what: string, seen: string): void => {
  rows.push([what, seen])
  process.stdout.write(`${what.padEnd(58)} ${seen}\n`)
}

const root = forgeRoot('Bench')
const issuing = forgeIssuing(root, 'Bench')
const chainOf = (certificate: Buffer): string => [certificate, issuing.certificate].map((der) => pem('CERTIFICATE', der)).join('')
function device(id: string) {
  const { certificate, key } = forgeLeaf(issuing, id)
  return identityOf(id, chainOf(certificate), keyPem(key))
}
/** Of the forge, made one after the other: what is measured here is not enrollment. */
const identities: Identities = {
  fresh: (label) => Promise.resolve(device(label)),
  named: (id) => Promise.resolve(device(id)),
  again: (id) => Promise.resolve(device(id)),
  registered: (label) => Promise.resolve(label),
  batch: (label, count) => Promise.resolve(Array.from({ length: count }, (_, i) => device(`${label}-${i}`))),
  all: (ids, _, each) => Promise.resolve(ids.forEach((id) => each(device(id)))),
}

async function play(target: Target, scenario: Scenario): Promise<ScenarioResult> {
  return await runScenario({
    scenario, target, identities, home: undefined, pid: () => Promise.resolve(undefined), sources: { next: () => undefined }, prefix: 'bench',
    signal: new AbortController().signal, onPhase: () => {}, onProgress: () => {},
  })
}

/** Nobody hears it, so that the server's part is small. */
function deaf(scenario: Scenario): Scenario {
  return { ...scenario, groups: new Map([...scenario.groups].map(([name, group]) => [name, { ...group, hears: [] }])) }
}

async function messages(target: Target): Promise<void> {
  const { phases, timeline, generator, messages: { sent, unsent } } = await play(target, deaf(loadScenario({ devices: SIZE.devices, rate: OFFERED, seconds: SIZE.seconds, qos: 0 })))
  const load = phases.find(({ name }) => name === 'load')
  const seconds = load === undefined ? 1 : load.toSecond - load.fromSecond
  const perCore = sent / generator.cpuSeconds
  row(`publishes of QoS 0, ${SIZE.devices} devices, ${OFFERED}/s offered`, `${(sent / seconds).toFixed(0)}/s for ${seconds.toFixed(1)} s, ${unsent} not sent, ${perCore.toFixed(0)} for a second of CPU (${timeline.length} samples)`)
  const beside = mosquittoPub(target)
  if (beside !== undefined) row(`mosquitto_pub -l, ${SIZE.lines} lines on one connection`, `${beside.toFixed(0)} for a second of CPU; the simulator ${(perCore / beside).toFixed(2)} × of that`)
  const half = await play(target, deaf(loadScenario({ devices: SIZE.devices, rate: Math.max(100, Math.round(perCore / 2)), seconds: SIZE.seconds, qos: 0 })))
  const late = half.timings.generator
  row(`its own delay at half of that, ${(half.generator.busiest * 100).toFixed(0)} % of a core at most`, late === undefined ? 'none' : `p50 ${late.p50Ms.toFixed(2)} ms, p99 ${late.p99Ms.toFixed(2)} ms, max ${late.maxMs.toFixed(1)} ms`)
}

function mosquittoPub({ port }: Target): number | undefined {
  const { cert, key } = device('bench-pub')
  writeFileSync(at('pub.pem'), cert)
  writeFileSync(at('pub.key'), key)
  const script = `yes ${'x'.repeat(63)} | head -n ${SIZE.lines} | { TIMEFORMAT='%U %S'; time mosquitto_pub -h localhost -p ${port} --cafile ${at('root.pem')} --cert ${at('pub.pem')} --key ${at('pub.key')} -i bench-pub -q 0 -t t/bench-pub/load -l; }`
  const { status, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
  const [user = NaN, system = NaN] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
  return status === 0 ? SIZE.lines / (user + system) : undefined
}

async function connections(target: Target): Promise<void> {
  const before = process.memoryUsage().rss
  let peak = before
  const watch = setInterval(() => void (peak = Math.max(peak, process.memoryUsage().rss)), 100)
  const result = await play(target, deaf(loadScenario({ devices: SIZE.connected, rate: SIZE.connected / 10, seconds: SIZE.seconds, qos: 0 })))
  clearInterval(watch)
  const arrive = result.phases.find(({ name }) => name === 'arrive')
  const connected = Math.max(...result.timeline.map((point) => point.connected))
  const seconds = arrive === undefined ? 1 : arrive.toSecond - arrive.fromSecond
  row(`${SIZE.connected} devices, each with its own certificate`, `${connected} connected, ${(connected / seconds).toFixed(0)} connects/s, on ${result.threads} threads`)
  row('memory of a connected device, in the simulator', `${((peak - before) / connected / 1_024).toFixed(0)} KiB: ${Math.floor((connected * 2 ** 30) / Math.max(1, peak - before))} for each GiB`)
}

async function enrollments(): Promise<void> {
  await using server = await startOwnServer(new AbortController().signal)
  const begun = performance.now()
  let done = 0
  await openIdentities(server.home.admin, 'bench').all(Array.from({ length: SIZE.enrolled }, (_, i) => `bench-${i}`), 'sensors', () => void (done += 1))
  const seconds = (performance.now() - begun) / 1_000
  row(`enrollment of ${SIZE.enrolled} devices, key and request made here`, `${done} in ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(0)}/s, server on the same cores`)
}

function catalogue(): void {
  const begun = performance.now()
  const { stdout } = spawnSync(process.execPath, [path.resolve(import.meta.dirname, '../device-sim/launch.cjs'), 'attack', ...(flags.quick ? ['--case', 'T01,Q01'] : [])], { encoding: 'utf8' })
  row('the attack catalogue', `${((performance.now() - begun) / 1_000).toFixed(0)} s: ${stdout.trimEnd().split('\n').at(-1) ?? ''}`)
}

try {
  const leaf = forgeServer(issuing, ['localhost'])
  writeFileSync(at('root.pem'), pem('CERTIFICATE', root.certificate))
  writeFileSync(at('server.pem'), chainOf(leaf.certificate))
  writeFileSync(at('server.key'), keyPem(leaf.key), { mode: 0o600 })
  const sink = await servers.mosquitto({ key: at('server.key'), cert: at('server.pem'), ca: at('root.pem') }, folder)
  if (sink === undefined) process.stdout.write('mosquitto is not installed: messages and connections are not measured\n')
  else {
    process.stdout.write(`${mosquittoVersion() ?? 'mosquitto'}\n`)
    const target = { host: '127.0.0.1', port: sink.port, serverName: 'localhost', ca: pem('CERTIFICATE', root.certificate) }
    await messages(target)
    await connections(target)
  }
  await enrollments()
  catalogue()
} finally {
  servers.killAll()
  rmSync(folder, { recursive: true, force: true })
}
