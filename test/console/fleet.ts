// A small fleet with something on every page: devices in several states, sessions, refusals of several kinds, tokens, a request that
// waits, a report.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { MqttClient } from 'mqtt'
import type { Program } from '../e2e/program.ts'
import { broken, closing, connectDevice, readBundle } from './device.ts'

const REPORT = {
  startedAt: '2026-11-28T02:10:00.000Z', durationMs: 61_500, interrupted: false, ok: false, target: { name: 'sallyport', host: 'localhost', port: 8883, own: true },
  cases: [
    { case: 'T01', title: 'no certificate', verdict: 'ok', seen: 'closed during the handshake' }, { case: 'T02', title: 'a certificate that has expired', verdict: 'ok', seen: 'CONNACK 0x87' },
    { case: 'P03', title: 'a topic of another device', verdict: 'FAILED', seen: 'PUBACK 0x00' },
  ],
  scenario: {
    name: 'storm', about: 'everybody comes back at once', devices: 2_000,
    timings: { connect: { count: 2_000, p50Ms: 41.2, p90Ms: 88, p99Ms: 143.7, maxMs: 210 }, publish: { count: 60_000, p50Ms: 1.2, p90Ms: 2.4, p99Ms: 9.1, maxMs: 44 } },
    refused: { 'source-rate': 120, 'certificate-expired': 4 },
    timeline: Array.from({ length: 60 }, (_, second) => ({ second, connected: Math.min(2_000, second * 90), sent: 1_000, received: second < 20 ? second * 50 : 1_000, unsent: 0, refused: second < 8 ? { 'source-rate': 15 } : {}, timings: {} })),
  },
}

export async function openFleet(program: Program): Promise<AsyncDisposable> {
  const run = (...args: string[]): string => program.run(...args).stdout
  const clients: MqttClient[] = []
  const { port } = program.endpoints.mqtt
  const bundles = new Map<string, ReturnType<typeof readBundle>>()
  for (const id of ['pump-7', 'pump-8', 'valve-1', 'meter-12']) {
    run('device', 'add', id, '--group', 'sensors', '--attr', 'site=north')
    const folder = path.join(program.home, id)
    run('device', 'bundle', id, '--out', folder)
    bundles.set(id, readBundle(folder))
  }
  const bundle = (id: string): ReturnType<typeof readBundle> => {
    const found = bundles.get(id)
    if (found === undefined) throw new Error(`no bundle of ${id}`)
    return found
  }
  run('device', 'add', 'spare-1')
  run('device', 'quarantine', 'valve-1', '--yes')
  for (const id of ['pump-7', 'pump-8']) clients.push(await connectDevice(port, id, bundle(id)))
  const [speaker] = clients
  await speaker?.subscribeAsync('cmd/pump-7/+')
  if (speaker !== undefined) await Promise.race([closing(speaker), speaker.publishAsync('t/other/x', 'x', { qos: 1 }).catch(() => undefined)])
  for (const id of ['pump-8', 'meter-12']) await connectDevice(port, id, broken(bundle(id))).catch(() => undefined)
  run('device', 'suspend', 'meter-12', '--yes')
  for (let times = 0; times < 3; times++) await connectDevice(port, 'meter-12', bundle('meter-12')).catch(() => undefined)
  run('token', 'create', '--id', 'spare-1')
  const { token } = program.json('token', 'create', '--pattern', 'line-*', '--register', '--approve', 'operator', '--uses', '50') as { readonly token: string }
  askToEnroll(program, 'line-3', token)
  mkdirSync(path.join(program.home, 'reports'), { recursive: true })
  writeFileSync(path.join(program.home, 'reports/storm.json'), JSON.stringify(REPORT))
  return {
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.endAsync(true)
    },
  }
}

/** With openssl and curl, as a device in the field does: the answer is to wait for a person. */
function askToEnroll(program: Program, id: string, token: string): void {
  const folder = path.join(program.home, 'field')
  mkdirSync(folder, { recursive: true })
  const { enroll } = program.endpoints
  const shell = `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=${id} -outform DER -out line.der && \
    curl -s --cacert ${path.join(program.home, 'certs/local/root.pem')} -u "${id}:${token}" -H 'Content-Type: application/pkcs10' --data-binary @line.der https://localhost:${enroll.port}/.well-known/est/simpleenroll`
  spawnSync('sh', ['-c', shell], { cwd: folder })
}
