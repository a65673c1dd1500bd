// npm run test:faults: kills, freezes, starves and corrupts a running server. Not part of `npm test`: it takes minutes, and some
// of it needs root or strace. Flags: --times N (kills, 200), --seed N, --pages N (corrupted pages, 40), --subscribers N (1,000),
// --points N (places of each issuance at which it is killed, 40; 0 for all);
// everything else is vitest's own: -t 'disk full', or part of a file's name.

import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseCLI, startVitest } from 'vitest/node'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** One file for each kind. */
const FAULTS = [import.meta.resolve('./kill-nine.fault.ts'), import.meta.resolve('./frozen-store.fault.ts'), import.meta.resolve('./failing-disk.fault.ts'), import.meta.resolve('./corrupt-page.fault.ts'), import.meta.resolve('./bounded.fault.ts'), import.meta.resolve('./issuance.fault.ts'), import.meta.resolve('./issuance-errors.fault.ts'), import.meta.resolve('./issuance-signer.fault.ts'), import.meta.resolve('./issuance-crl.fault.ts')]
/** What a run may be told besides what vitest takes. */
const OWN = ['times', 'seed', 'pages', 'subscribers', 'points'] as const

const { values, tokens } = parseArgs({ strict: false, tokens: true, options: Object.fromEntries(OWN.map((name) => [name, { type: 'string' as const }])) })
const own = new Set(tokens.flatMap((token) => (token.kind === 'option' && OWN.some((name) => name === token.name) ? [token.index, ...(token.inlineValue === false ? [token.index + 1] : [])] : [])))
for (const name of OWN) {
  const value = values[name]
  if (typeof value === 'string') process.env[`TEST_FAULTS_${name.toUpperCase()}`] = value
}
/** Where a program wants to read what came of it. */
const report = process.env['TEST_FAULTS_REPORT']
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2).filter((_, i) => !own.has(i))])
const vitest = await startVitest('test', filter, {
  ...options,
  root: ROOT,
  config: false,
  watch: false,
  include: FAULTS.map((url) => path.relative(ROOT, fileURLToPath(url))),
  // One fault at a time: they measure, and they share two cores.
  fileParallelism: false,
  pool: 'forks',
  testTimeout: 180_000,
  hookTimeout: 180_000,
  reporters: report !== undefined ? [['json', { outputFile: report }]] : process.env['CI'] ? ['default', ['json', { outputFile: 'reports/faults.json' }]] : ['verbose'],
})
await vitest.close()
