// What revoked certificates cost: memory and look-ups of the table that remembers them, the start of a server that has them, and
// a connect beside them, with mosquitto and the same number in its CRL. Rows are put into the registry by SQL: they were never issued,
// and the start reads of them what it reads of any. Flags: --quick for small numbers, which prove that everything works.

import { sign } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import { openPassphrase, unsealKey } from '../src/ca/key-file.ts'
import { openSerialSet } from '../src/store/serial-set.ts'
import { certificateParts } from '../src/x509/certificate.ts'
import { decodePem } from '../src/x509/pem.ts'
import { measureConnects } from './connect-client.ts'
import { residentKb, spread } from './process-cpu.ts'
import { enrollFleet } from './revocations.ts'
import { openServers, type Target } from './servers.ts'

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const COUNTS = flags.quick ? [0, 10_000, 100_000] : [0, 1_000_000, 10_000_000]
const CRLS = flags.quick ? [0, 1_000] : [0, 100_000, 1_000_000]
const [DEVICES, ROUNDS, CONNECTS] = flags.quick ? [20, 2, 40] : [100, 7, 100]
const LOOKUPS = 200_000

const work = mkdtempSync(path.join(os.tmpdir(), 'sallyport-bench-'))
const servers = openServers()
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const named = (count: number): string => count.toLocaleString('en')

function serialOf(i: number): string {
  return (BigInt(i) * 0x9e3779b97f4a7c15f39cc0605cedc835n & ((1n << 128n) - 1n)).toString(16).padStart(32, '0')
}

function table(count: number): void {
  const set = openSerialSet()
  let slowest = 0
  const since = performance.now()
  for (let i = 1; i <= count; i++) {
    const serial = serialOf(i)
    const before = process.threadCpuUsage()
    set.set('issuing-1', serial, 'revoked')
    const { user, system } = process.threadCpuUsage(before)
    slowest = Math.max(slowest, (user + system) / 1_000)
  }
  const filled = performance.now() - since
  const time = (offset: number): number => {
    const serials = Array.from({ length: LOOKUPS }, (_, i) => serialOf(offset + 1 + ((i * 7_919) % Math.max(1, count))))
    const start = performance.now()
    let found = 0
    for (const serial of serials) if (set.get('issuing-1', serial) !== undefined) found += 1
    const each = ((performance.now() - start) * 1e6) / LOOKUPS
    if (found !== (offset === 0 && count > 0 ? LOOKUPS : 0)) throw new Error(`${found} of ${LOOKUPS} were found`)
    return each
  }
  const [hit, miss] = [time(0), time(count)]
  say(`table, ${named(count)}: ${(set.bytes / 1e6).toFixed(1)} MB; look-up ${hit.toFixed(0)} ns (there), ${miss.toFixed(0)} ns (not there); filled in ${filled.toFixed(0)} ms, slowest entry ${slowest.toFixed(2)} ms of CPU`)
}

/** Revoked certificates, straight into the tables; indexes and triggers are made again afterwards. */
function insertRevoked(home: string, count: number): void {
  const db = new DatabaseSync(path.join(home, 'data/registry.db'))
  db.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000')
  const later = db.prepare("SELECT name, type, sql FROM sqlite_schema WHERE tbl_name = 'certificates' AND type IN ('index', 'trigger') AND sql IS NOT NULL").all()
  db.exec('BEGIN')
  for (const { name, type } of later) db.exec(`DROP ${String(type)} ${String(name)}`)
  db.prepare(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    INSERT INTO certificates (issuer, serial, profile, device, state, spki_sha256, sha256, not_before, not_after, created_at, revoked_at, revocation_reason)
    SELECT 'issuing-1', printf('%016x', i * ?) || lower(hex(randomblob(8))), 'device', NULL, 'revoked', lower(hex(randomblob(32))), lower(hex(randomblob(32))), ?, ?, ?, ?, 'unspecified' FROM n`)
    // In the order of the index: ten million in any other take ten minutes.
    .run(count, Math.floor(2 ** 53 / count), Date.now(), Date.now() + 31_536_000_000, Date.now(), Date.now())
  for (const { sql } of later) db.exec(String(sql))
  db.exec('COMMIT')
  db.close()
}

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const length = body.length < 0x80 ? [body.length] : ((bytes) => [0x80 | bytes.length, ...bytes])([...Buffer.from(body.length.toString(16).padStart(2 * Math.ceil(body.length.toString(16).length / 2), '0'), 'hex')])
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const utcTime = (at: Date): Buffer => der(0x17, Buffer.from(`${at.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`))

/** A CRL of the issuing CA with this many strangers in it. RFC 5280 §5.1. */
async function crlOf(home: string, count: number): Promise<string> {
  const local = path.join(home, 'certs/local')
  const key = await unsealKey(readFileSync(path.join(local, 'issuing.key'), 'utf8'), openPassphrase(path.join(local, 'passphrase'), false), 'issuing.key')
  const pem = decodePem(readFileSync(path.join(local, 'issuing.pem'), 'utf8'), 'CERTIFICATE')
  if (!pem.allow) throw new Error(pem.reason)
  const parts = certificateParts(pem.value[0] ?? new Uint8Array())
  if (!parts.allow) throw new Error(parts.reason)
  const now = utcTime(new Date())
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))
  const entries = Array.from({ length: count }, (_, i) => der(0x30, der(0x02, Buffer.from(`4${serialOf(i + 1).slice(1)}`, 'hex')), now))
  const list = der(0x30, der(0x02, Buffer.from([1])), algorithm, parts.value.subject.raw, now, utcTime(new Date(Date.now() + 86_400_000)), ...(count === 0 ? [] : [der(0x30, Buffer.concat(entries))]))
  const whole = der(0x30, list, algorithm, der(0x03, Buffer.from([0]), sign('sha256', list, key)))
  return `-----BEGIN X509 CRL-----\n${whole.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END X509 CRL-----\n`
}

async function main(): Promise<void> {
  for (const count of COUNTS) table(count)
  const first = path.join(work, 'home-0')
  const enrolling = await servers.serve(first)
  const identities = await enrollFleet(enrolling, DEVICES)
  await enrolling.stop()
  const targets: Target[] = []
  for (const count of COUNTS) {
    const home = path.join(work, `home-${count}`)
    if (count > 0) {
      cpSync(first, home, { recursive: true })
      insertRevoked(home, count)
    }
    const served = await servers.serve(home)
    targets.push({ name: `sallyport, ${named(count)} revoked`, pid: served.pid, port: served.port })
    say(`start, ${named(count)} revoked: ready in ${served.readyMs.toFixed(0)} ms, CPU ${served.readyCpuMs.toFixed(0)} ms, resident ${(residentKb(served.pid) / 1_024).toFixed(0)} MiB`)
    if (count === 0) await served.stop().then(() => targets.pop())
  }
  // Started anew: its folder was copied while nobody worked in it.
  const none = await servers.serve(first)
  targets.unshift({ name: 'sallyport, 0 revoked', pid: none.pid, port: none.port })
  const local = path.join(first, 'certs/local')
  for (const count of CRLS) {
    const crl = path.join(work, `crl-${count}.pem`)
    writeFileSync(crl, await crlOf(first, count))
    const folder = path.join(work, `mosquitto-${count}`)
    cpSync(path.join(local, 'server'), folder, { recursive: true })
    const mosquitto = await servers.mosquitto({ key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem'), ca: path.join(local, 'root.pem') }, folder, { listener: [`crlfile ${crl}`] })
    if (mosquitto !== undefined) targets.push({ name: `mosquitto, ${named(count)} in its CRL`, pid: mosquitto.pid, port: mosquitto.port })
  }
  const measured = await measureConnects(targets, identities, readFileSync(path.join(local, 'root.pem'), 'utf8'), ROUNDS, CONNECTS)
  const base = (name: string): readonly number[] => measured.samples[targets.find((t) => t.name.startsWith(name))?.name ?? ''] ?? []
  for (const { name, pid } of targets) {
    const samples = measured.samples[name] ?? []
    const zero = base(name.startsWith('sallyport') ? 'sallyport, 0' : 'mosquitto, 0')
    const ratio = spread(samples.map((cpu, round) => cpu / (zero[round] ?? Number.NaN)))
    const { min, median, max } = spread(samples)
    say(`connect, ${name}: ${min.toFixed(0)} / ${median.toFixed(0)} / ${max.toFixed(0)} µs of server CPU; ÷ none ${ratio.min.toFixed(3)} / ${ratio.median.toFixed(3)} / ${ratio.max.toFixed(3)}; resident ${(residentKb(pid) / 1_024).toFixed(0)} MiB`)
  }
}

try {
  await main()
} finally {
  servers.killAll()
  rmSync(work, { recursive: true, force: true })
}
