// npm run bench:door: what the door costs. Starts, connects, revokes, decides and issues for real, and prints a table.
// See README.md beside it for how it measures. Flags: --quick for a short run that proves the harness.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { measureConnects, type Identity } from './connect-client.ts'
import { measureDecisions } from './decisions.ts'
import { measureIssuance, prefill } from './issuance.ts'
import { measureRevocations } from './revocations.ts'
import { spread, type Spread } from './process-cpu.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const QUICK = process.argv.includes('--quick')
const ROUNDS = QUICK ? 2 : 7
const CONNECTS_PER_ROUND = QUICK ? 50 : 300
const DEVICES = QUICK ? 50 : 300
const REVOCATIONS = QUICK ? 20 : 200
const REGISTERED = QUICK ? 2_000 : 100_000
const STARTS = QUICK ? 1 : 3

const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-bench-'))
const children = new Set<ChildProcess>()

interface Served {
  readonly home: string
  readonly pid: number
  readonly port: number
  readonly adminUrl: string
  readonly readyMs: number
  stop(): Promise<void>
}

async function serve(home: string): Promise<Served> {
  const started = performance.now()
  const child = spawn(process.execPath, [path.join(ROOT, 'src/launch.cjs'), 'serve', '--ports', 'auto', '--home', home], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  mkdirSync(home, { recursive: true })
  child.stderr.pipe(createWriteStream(path.join(home, 'serve.log')))
  child.stdout.resume()
  const endpoints = path.join(home, 'data/endpoints.json')
  while (!existsSync(endpoints)) {
    if (child.exitCode !== null) throw new Error(`serve ended with ${child.exitCode}: ${readFileSync(path.join(home, 'serve.log'), 'utf8')}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const readyMs = performance.now() - started
  const { pid, mqtt, admin } = JSON.parse(readFileSync(endpoints, 'utf8')) as { pid: number; mqtt: { port: number }; admin: { url: string } }
  return {
    home, pid, port: mqtt.port, adminUrl: admin.url, readyMs,
    async stop() {
      process.kill(pid, 'SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
      children.delete(child)
    },
  }
}

async function bareServer(key: string, cert: string, ca: string): Promise<{ pid: number; port: number }> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'bare-server.ts'), key, cert, ca], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  const lines = createInterface({ input: child.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  return JSON.parse(line) as { pid: number; port: number }
}

async function mosquittoServer(key: string, cert: string, ca: string): Promise<{ pid: number; port: number } | undefined> {
  if (spawnSync('sh', ['-c', 'command -v mosquitto']).status !== 0) return undefined
  const port = 20_000 + Math.floor(Math.random() * 20_000)
  const conf = path.join(work, 'mosquitto.conf')
  writeFileSync(conf, `user root\nlistener ${port} 127.0.0.1\ncafile ${ca}\ncertfile ${cert}\nkeyfile ${key}\nrequire_certificate true\nuse_identity_as_username true\nallow_anonymous false\nlog_type error\npersistence false\n`)
  const child = spawn('mosquitto', ['-c', conf], { stdio: 'ignore' })
  children.add(child)
  await new Promise((resolve) => setTimeout(resolve, 500))
  return child.pid === undefined || child.exitCode !== null ? undefined : { pid: child.pid, port }
}

const results: Record<string, unknown> = {
  at: new Date().toISOString(),
  machine: { cpu: os.cpus()[0]?.model, cores: os.cpus().length, memoryGiB: Math.round(os.totalmem() / 2 ** 30), node: process.version, openssl: process.versions.openssl },
  mosquitto: (spawnSync('mosquitto', ['-h'], { encoding: 'utf8' }).stdout ?? '').split('\n')[0] ?? 'absent',
  command: `npm run bench:door${QUICK ? ' -- --quick' : ''}`,
}
const rows: string[][] = []
const ms = (s: Spread): string => `${s.min.toFixed(0)} / ${s.median.toFixed(0)} / ${s.max.toFixed(0)} ms`
const us = (s: Spread): string => `${s.min.toFixed(0)} / ${s.median.toFixed(0)} / ${s.max.toFixed(0)} µs`

async function starts(): Promise<void> {
  const first: number[] = []
  for (let i = 0; i < STARTS; i++) {
    const served = await serve(path.join(work, `first-${i}`))
    first.push(served.readyMs)
    await served.stop()
  }
  results['firstStartMs'] = spread(first)
  rows.push(['first start to ready', ms(spread(first)), '≤ 5,000 ms'])
  const home = path.join(work, 'first-0')
  await prefill(home, REGISTERED)
  const again: number[] = []
  for (let i = 0; i < STARTS; i++) {
    const served = await serve(home)
    again.push(served.readyMs)
    await served.stop()
  }
  results['startWithDevicesMs'] = { devices: REGISTERED, ...spread(again) }
  rows.push([`start to ready, ${REGISTERED.toLocaleString('en')} devices`, ms(spread(again)), '≤ 3,000 ms'])
}

async function connects(served: Served, identities: readonly Identity[]): Promise<void> {
  const server = path.join(served.home, 'certs/local/server')
  const ca = path.join(served.home, 'certs/local/root.pem')
  const targets: { name: string; pid: number; port: number }[] = [
    { name: 'sallyport', pid: served.pid, port: served.port },
    { name: 'bare tls.createServer', ...(await bareServer(`${server}/key.pem`, `${server}/cert.pem`, ca)) },
  ]
  const mosquitto = await mosquittoServer(`${server}/key.pem`, `${server}/cert.pem`, ca)
  if (mosquitto !== undefined) targets.push({ name: 'mosquitto', ...mosquitto })
  const measured = await measureConnects(targets, identities, readFileSync(ca, 'utf8'), ROUNDS, CONNECTS_PER_ROUND)
  results['connectCpuUs'] = measured
  const ours = measured.servers['sallyport']
  for (const [name, cpu] of Object.entries(measured.servers)) {
    const ratio = name === 'sallyport' || ours === undefined ? '' : ` (sallyport is ${(ours.median / cpu.median).toFixed(2)} ×)`
    rows.push([`connect, server CPU: ${name}`, us(cpu) + ratio, name === 'sallyport' ? '' : name === 'mosquitto' ? '≤ 1 ×' : '≤ 1.1 ×'])
  }
  rows.push(['connect, client CPU', us(measured.client), 'for comparison'])
}

async function main(): Promise<void> {
  await starts()
  const served = await serve(path.join(work, 'door'))
  const { identities, revocations } = await measureRevocations(served, DEVICES, REVOCATIONS, () => served)
  await connects(served, identities)
  const revoked = await revocations()
  results['revokeToClosedMs'] = revoked
  rows.push(['revoke → socket closed, seen by the client', `p50 ${revoked.client.p50.toFixed(1)}, p99 ${revoked.client.p99.toFixed(1)}, max ${revoked.client.max.toFixed(1)} ms`, 'p99 ≤ 100 ms'])
  rows.push(['revoke → closed, from the commit (closedMs)', `p50 ${revoked.server.p50.toFixed(1)}, p99 ${revoked.server.p99.toFixed(1)}, max ${revoked.server.max.toFixed(1)} ms`, ''])
  await served.stop()
  const decisions = measureDecisions()
  results['decisionUs'] = decisions
  rows.push(['policy decision, warm', `${decisions.warmUs.toFixed(3)} µs`, '≤ 1 µs'])
  rows.push([`policy decision, cold, ${decisions.grants} grants`, `${decisions.coldUs.toFixed(1)} µs`, '≤ 50 µs'])
  const issuance = await measureIssuance(path.join(work, 'issuing'), QUICK ? 300 : 3_000)
  results['issuance'] = issuance
  rows.push(['certificates issued per CPU second, with commits', issuance.perCpuSecond.toFixed(0), '≥ 1,000'])
  rows.push(['certificates issued per second, with commits', issuance.perSecond.toFixed(0), ''])

  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((r) => (r[i] ?? '').length)))
  for (const row of rows) console.log(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '))
  mkdirSync(path.join(import.meta.dirname, 'results'), { recursive: true })
  if (!QUICK) writeFileSync(path.join(import.meta.dirname, 'results/door.json'), `${JSON.stringify(results, null, 2)}\n`)
}

try {
  await main()
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
}
