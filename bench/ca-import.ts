// How fast a file of devices is imported, in a home without a server: rows that only register, and rows with certificate requests.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makeCsr } from '../src/x509/csr.ts'
import { generateKey } from '../src/x509/keys.ts'

const REGISTERED = 100_000
const WITH_REQUEST = 10_000
const LAUNCH = path.resolve(import.meta.dirname, '../src/launch.cjs')

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const sallyport = (...args: string[]): void => {
  const { status, stderr } = spawnSync(process.execPath, [LAUNCH, ...args, '--home', path.join(folder, 'home')], { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}

function measure(what: string, rows: number, ...args: string[]): void {
  const begun = performance.now()
  sallyport('device', 'import', ...args)
  const seconds = (performance.now() - begun) / 1_000
  process.stdout.write(`${what}: ${rows} rows in ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} rows/s\n`)
}

try {
  sallyport('ca', 'init')
  writeFileSync(path.join(folder, 'plain.csv'), `id,group,model\n${Array.from({ length: REGISTERED }, (_, i) => `plain-${i},sensors,k${i % 7}`).join('\n')}\n`)
  measure('registered', REGISTERED, 'plain.csv')
  writeFileSync(path.join(folder, 'csr.csv'), `id,csr\n${Array.from({ length: WITH_REQUEST }, (_, i) => `csr-${i},"${makeCsr(generateKey('P-256'), `csr-${i}`)}"`).join('\n')}\n`)
  measure('registered and certified', WITH_REQUEST, 'csr.csv', '--out', 'certs')
} finally {
  rmSync(folder, { recursive: true })
}
