// What a certificate costs: issuance through the signer's process, the same with the key in this process, and `openssl x509 -req`
// in a loop. Registry, durability and audit as in the server; the requests wait side by side. `node bench/ca-issuance.ts [count]`.

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ISSUING, keyFileOf, openOrganisation, type GenesisPorts, type SeparateSigner } from '../src/ca/genesis.ts'
import type { IssueRequest } from '../src/ca/issue.ts'
import { DEFAULT_TENANT, type DeviceId } from '../src/core/ids.ts'
import type { CaRecord } from '../src/core/registry.ts'
import { loadProfiles } from '../src/shipped-profiles.ts'
import { openSeparateSigner } from '../src/signing.ts'
import { openRegistry } from '../src/store/sqlite/registry.ts'
import { generateKey, spkiOf } from '../src/x509/keys.ts'
import { cpuMsOf } from './process-cpu.ts'

const COUNT = Number(process.argv[2] ?? 2_000)
const IN_FLIGHT = 64
const OPENSSL_COUNT = 50

interface Measured {
  readonly perSecond: number
  readonly cpuMs: number
  readonly signerCpuMs: number
}

async function issuance(isSeparate: boolean): Promise<Measured> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
  const registry = openRegistry(path.join(folder, 'registry.db'), { clock: Date.now })
  const local = path.join(folder, 'local')
  const paths = { local, passphrase: path.join(local, 'passphrase') }
  const opened: { pid: number | undefined; close(): Promise<void> }[] = []
  const signerOf = (ca: CaRecord): SeparateSigner => {
    const signer = openSeparateSigner(ca, { registry: path.join(folder, 'registry.db'), keyFile: path.join(paths.local, keyFileOf(ISSUING)), passphraseFile: paths.passphrase }, () => {})
    opened.push({ pid: signer.pid, close: async () => await signer[Symbol.asyncDispose]() })
    return signer
  }
  const ports: GenesisPorts = {
    registry, paths, profiles: loadProfiles(), organization: 'Bench', hosts: [], clock: Date.now, random: (count) => randomBytes(count), actor: { kind: 'system' },
    ...(isSeparate ? { signerOf } : {}),
  }
  const { authority } = await openOrganisation(ports)
  const requests = Array.from({ length: COUNT }, (_, i): IssueRequest => ({ profile: 'device', commonName: `d-${i}`, device: `d-${i}` as DeviceId, spki: spkiOf(generateKey('P-256')) }))
  await registry.commit(requests.map(({ device }) => ({ kind: 'device-added', device: { id: device ?? ('' as DeviceId), tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: Date.now(), revision: 1 } })), [], [])
  const signerCpu = (): number => opened.reduce((sum, { pid }) => sum + (pid === undefined ? 0 : cpuMsOf(pid)), 0)
  const before = { at: performance.now(), own: process.cpuUsage(), signer: signerCpu() }
  let next = 0
  const lane = async (): Promise<void> => {
    for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
      const decision = await authority.issue(request, { kind: 'local' })
      if (!decision.allow) throw new Error(decision.reason)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  const seconds = (performance.now() - before.at) / 1_000
  const own = process.cpuUsage(before.own)
  const measured = { perSecond: COUNT / seconds, cpuMs: (own.user + own.system) / 1_000 / COUNT, signerCpuMs: (signerCpu() - before.signer) / COUNT }
  await Promise.all(opened.map((each) => each.close()))
  registry.close()
  rmSync(folder, { recursive: true })
  return measured
}

function openssl(): number {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
  const run = (...args: string[]): void => {
    if (spawnSync('openssl', args, { cwd: folder }).status !== 0) throw new Error(`openssl ${args.join(' ')}`)
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=CA')
  run('req', '-new', ...key, '-keyout', 'd.key', '-out', 'd.csr', '-subj', '/CN=d')
  writeFileSync(path.join(folder, 'loop.sh'), `for i in $(seq ${OPENSSL_COUNT}); do openssl x509 -req -in d.csr -CA ca.pem -CAkey ca.key -days 30 -out d.pem 2>/dev/null; done`)
  const at = performance.now()
  spawnSync('sh', ['loop.sh'], { cwd: folder })
  const perSecond = OPENSSL_COUNT / ((performance.now() - at) / 1_000)
  rmSync(folder, { recursive: true })
  return perSecond
}

const show = (name: string, { perSecond, cpuMs, signerCpuMs }: Measured): string => `${name}: ${perSecond.toFixed(0)} certificates/s, ${cpuMs.toFixed(2)} ms CPU here and ${signerCpuMs.toFixed(2)} ms in the signer for each\n`
process.stdout.write(show('key in this process', await issuance(false)))
process.stdout.write(show('signer process     ', await issuance(true)))
process.stdout.write(`openssl x509 -req in a loop: ${openssl().toFixed(0)} certificates/s, unrecorded\n`)
