// First certificates over EST, each over a TLS connection of its own, beside `openssl x509 -req` in a loop: how many a second, and what
// one costs the server in CPU. The clients run in this process, which shares the cores with the server. Flag: --count N.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { makeCsr } from '../src/x509/csr.ts'
import { generateKey } from '../src/x509/keys.ts'
import { cpuMsOf } from './process-cpu.ts'

const { values: flags } = parseArgs({ options: { count: { type: 'string', default: '2000' } } })
const COUNT = Number(flags.count)
const AT_ONCE = 16
const OPENSSL_COUNT = Math.min(COUNT, 100)
const LAUNCH = path.resolve(import.meta.dirname, '../src/launch.cjs')

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const at = (name: string): string => path.join(folder, name)
const server = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', at('home')], { stdio: ['ignore', 'ignore', 'pipe'] })

/** Each of its own address: the door lets one address ask so many times a second and no more. */
function enroll(port: number, ca: string, token: string, id: number, csr: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1', port, ca, method: 'POST', path: '/.well-known/est/simpleenroll', agent: new Agent({ keepAlive: false }), localAddress: `127.0.${(id >> 7) & 255}.${(id & 127) + 1}`,
      headers: { 'content-type': 'application/pkcs10', authorization: `Bearer ${token}` },
    }, (response) => {
      response.resume().once('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`enrollment ${id} was answered with ${response.statusCode}: ${String(response.headers['sallyport-reason'])}`))))
    })
    sent.once('error', reject)
    sent.end(csr)
  })
}

try {
  await new Promise<void>((resolve) => {
    let said = ''
    server.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('"msg":"ready"')) resolve()
    })
  })
  const { pid, enroll: door } = JSON.parse(readFileSync(at('home/data/endpoints.json'), 'utf8')) as { readonly pid: number; readonly enroll: { readonly port: number } }
  // One for each lane: how often one token may be shown is bounded, too.
  const tokens = Array.from({ length: AT_ONCE }, () => {
    const made = spawnSync(process.execPath, [LAUNCH, 'token', 'create', '--home', at('home'), '--pattern', 'bench-*', '--register', '--group', 'sensors', '--uses', String(COUNT), '--json'], { encoding: 'utf8' })
    return (JSON.parse(made.stdout) as { readonly token: string }).token
  })
  const ca = readFileSync(at('home/certs/local/root.pem'), 'utf8')
  const requests = Array.from({ length: COUNT }, (_, i) => makeCsr(generateKey('P-256'), `bench-${i}`))
  const cpuBefore = cpuMsOf(pid)
  const begun = performance.now()
  let next = 0
  await Promise.all(tokens.map(async (token) => {
    while (next < COUNT) {
      const id = next++
      await enroll(door.port, ca, token, id, requests[id] ?? '')
    }
  }))
  const seconds = (performance.now() - begun) / 1_000
  const cpu = cpuMsOf(pid) - cpuBefore
  process.stdout.write(`EST, registered and certified: ${Math.round(COUNT / seconds)} a second; ${(cpu / COUNT).toFixed(2)} ms of the server's CPU each, that is ${Math.round((1_000 * COUNT) / cpu)} a second and core (wanted: ≥ 250)\n`)
  writeFileSync(at('request.csr'), requests[0] ?? '')
  spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('ca.key'), '-out', at('ca.pem'), '-subj', '/CN=bench'])
  const opensslBegun = performance.now()
  for (let i = 0; i < OPENSSL_COUNT; i++) {
    const { status, stderr } = spawnSync('openssl', ['x509', '-req', '-in', at('request.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-days', '365', '-out', at('leaf.pem')], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  process.stdout.write(`openssl x509 -req in a loop: ${Math.round((1_000 * OPENSSL_COUNT) / (performance.now() - opensslBegun))} a second\n`)
} finally {
  server.kill()
  rmSync(folder, { recursive: true, force: true })
}
