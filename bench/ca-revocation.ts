// The CRL of a million entries and the OCSP responder, measured alone: how long a list takes to be built, signed and written,
// what it needs in memory, and for how long the event loop is held; and OCSP answers per second, each signed, and remembered.
// Run: node bench/ca-revocation.ts [entries]

import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { DatabaseSync } from 'node:sqlite'
import { openPublisher, type ListSigner } from '../src/pki/publisher.ts'
import { openResponder } from '../src/pki/responder.ts'
import { openRegistry } from '../src/store/sqlite/registry.ts'
import type { CaName } from '../src/core/ids.ts'
import { issuerHashes } from '../src/x509/ocsp.ts'
import { TAG, encodeOid, tlv } from '../src/x509/der.ts'
import { encodeName } from '../src/x509/names.ts'
import { signingAlgorithm } from '../src/x509/signatures.ts'
import { joinCertificate, openTemplate } from '../src/x509/template.ts'

const [, , COUNT = '1000000', FILL] = process.argv
const ENTRIES = Number(COUNT)
const OCSP_ASKED = 20_000
const OCSP_AT_ONCE = 64
const DAY_MS = 86_400_000
const MIB = 1024 * 1024
const ISSUER = 'issuing-1' as CaName

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = publicKey.export({ type: 'spki', format: 'der' })
const algorithm = signingAlgorithm(privateKey)
if (algorithm === undefined) throw new Error('no algorithm')
const signer: ListSigner = {
  signatureIdentifier: algorithm.identifier,
  sign: (tbs) => new Promise((resolve, reject) => {
    sign('sha256', tbs, privateKey, (error, signature) => (error === null ? resolve(signature) : reject(error)))
  }),
}
const subjectDer = encodeName({ commonName: 'Bench Issuing' })
const tbs = openTemplate({ issuerDer: new Uint8Array(), authorityKeyId: undefined, signatureIdentifier: algorithm.identifier, basicConstraints: { ca: true }, keyUsage: ['keyCertSign', 'cRLSign'], extendedKeyUsage: [] })({ serial: Uint8Array.of(0x41), notBefore: Date.now() - DAY_MS, notAfter: Date.now() + 3_650 * DAY_MS, subjectDer, spki, subjectAltNames: [] })
const der = joinCertificate(tbs, algorithm.identifier, await signer.sign(tbs))

if (FILL !== undefined) {
  fill(FILL)
  process.exit(0)
}

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
try {
  const file = path.join(folder, 'registry.db')
  openRegistry(file, { clock: Date.now }).close()
  // In a process of its own, whose memory is not measured.
  spawnSync(process.execPath, [import.meta.filename, COUNT, file], { stdio: 'inherit' })
  const registry = openRegistry(file, { clock: Date.now })
  // What a list of revoked certificates costs, and not what the view of a fleet does: nobody is suspended here.
  const view = { certificatesOf: () => [], onChange: () => () => {} }
  const log = (): void => {}
  const publisher = await openPublisher({ registry, view, issuers: () => [{ name: ISSUER, der, validityMs: DAY_MS, shards: 1, isAnewAtStart: true, signer: () => Promise.resolve(signer) }], folder, url: undefined, clock: Date.now, log })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const before = process.memoryUsage.rss()
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 10)
  delay.enable()
  const since = performance.now()
  await publisher.publish()
  const tookMs = performance.now() - since
  delay.disable()
  clearInterval(watch)
  const bytes = statSync(path.join(folder, 'issuing-1.crl')).size
  process.stdout.write(`CRL: ${ENTRIES} entries, ${(bytes / MIB).toFixed(1)} MiB, ${(tookMs / 1_000).toFixed(2)} s, event loop held for at most ${(delay.max / 1e6).toFixed(0)} ms, ${((peak - before) / MIB).toFixed(0)} MiB more memory\n`)

  const responder = openResponder({ issuer: { name: ISSUER, der }, credential: () => ({ ...signer, certificate: der, notAfter: Date.now() + DAY_MS }), registry, view, clock: Date.now, log })
  const requests = Array.from({ length: OCSP_ASKED }, () => request(randomBytes(16)))
  for (const [name, asked] of [['signed', requests], ['remembered', requests.slice(-5_000)]] as const) {
    const started = performance.now()
    for (let at = 0; at < asked.length; at += OCSP_AT_ONCE) await Promise.all(asked.slice(at, at + OCSP_AT_ONCE).map((each) => responder.answer(each)))
    process.stdout.write(`OCSP, ${name}: ${Math.round(asked.length / ((performance.now() - started) / 1_000))} answers/s\n`)
  }
  responder[Symbol.dispose]()
  await publisher[Symbol.asyncDispose]()
  registry.close()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A registry with so many revoked certificates, written by hand: through commits it would take minutes. */
function fill(file: string): void {
  const db = new DatabaseSync(file)
  // Quick to fill: nobody waits for this file, and no rule of the registry is measured here.
  db.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; DROP TRIGGER keys_have_one_owner; BEGIN')
  const insert = db.prepare("INSERT INTO certificates (issuer, serial, profile, state, spki_sha256, sha256, not_before, not_after, created_at, revoked_at, revocation_reason) VALUES (?, ?, 'server', 'revoked', ?, ?, 0, ?, 0, ?, 'keyCompromise')")
  for (let i = 0; i < ENTRIES; i++) {
    const serial = randomBytes(16)
    serial[0] = 0x40
    const key = randomBytes(32).toString('hex')
    insert.run(ISSUER, serial.toString('hex'), key, key, Date.now() + DAY_MS, Date.now() - i)
  }
  db.exec('COMMIT')
  db.close()
}

function request(serial: Uint8Array): Uint8Array {
  serial[0] = 0x40
  const { name, key } = issuerHashes(der).sha256
  const id = tlv(TAG.sequence, tlv(TAG.sequence, encodeOid('2.16.840.1.101.3.4.2.1')), tlv(TAG.octetString, Buffer.from(name, 'hex')), tlv(TAG.octetString, Buffer.from(key, 'hex')), tlv(TAG.integer, serial))
  return tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, id))))
}
