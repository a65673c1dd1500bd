// npm run test:compat: clients of other people against a running server. Not part of `npm test`: some of them are npm packages with hundreds of
// dependencies, which the project has no other use for. They are installed as their own lockfile says (packages/), without their scripts, into
// the cache folder of whoever runs this, once for each lockfile. What is missing is skipped by name. Flags are vitest's own: -t 'Paho C',
// -u to take over what clients show (seen/, from which docs/clients.md is made).

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCLI, startVitest } from 'vitest/node'

const ROOT = path.resolve(import.meta.dirname, '../..')
const PACKAGES = path.join(import.meta.dirname, 'packages')
const TESTS = [import.meta.resolve('./sdks.compat.ts'), import.meta.resolve('./others.compat.ts'), import.meta.resolve('./bridge.compat.ts'), import.meta.resolve('./tools.compat.ts')]
const INSTALL_MS = 300_000

/** The folder with the clients that npm has, installed; undefined where it cannot be. */
function installed(): string | undefined {
  const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'sallyport')
  const lock = createHash('sha256').update(readFileSync(path.join(PACKAGES, 'package-lock.json'))).digest('hex')
  const folder = path.join(cache, `compat-${lock.slice(0, 16)}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const half = mkdtempSync(path.join(cache, 'half-'))
  try {
    for (const name of ['package.json', 'package-lock.json']) copyFileSync(path.join(PACKAGES, name), path.join(half, name))
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel', 'error'], { cwd: half, stdio: ['ignore', 'inherit', 'inherit'], timeout: INSTALL_MS })
    if (status !== 0) return undefined
    // Whole or not at all: two runs that install at the same time bring the same.
    if (!existsSync(folder)) renameSync(half, folder)
    return folder
  } finally {
    rmSync(half, { recursive: true, force: true })
  }
}

const folder = installed()
if (folder === undefined) console.error('the clients that npm has could not be installed; they are skipped')
else process.env['COMPAT_PACKAGES'] = folder

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
const vitest = await startVitest('test', filter, {
  ...options,
  root: ROOT,
  config: false,
  watch: false,
  include: TESTS.map((url) => path.relative(ROOT, fileURLToPath(url))),
  // Each has servers of its own; more at a time would meet the deadlines that clients have.
  maxWorkers: 2,
  pool: 'forks',
  testTimeout: 60_000,
  hookTimeout: 120_000,
  reporters: process.env['CI'] ? ['default', ['json', { outputFile: 'reports/compat.json' }]] : ['verbose'],
})
await vitest.close()
