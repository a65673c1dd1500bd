// npm run bench:api: what the operator's desk costs: lists, the console in a browser, the broker while operators work, the event stream, metrics.
// Each part is a program of its own. Flags: --quick proves the harness, --only NAME runs one part (filters, console, load, stream,
// counting). All of it needs half an hour; see README.md beside it.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'

const PARTS = { filters: 'api/filters.ts', console: 'browser/console.ts', load: 'api/load.ts', stream: 'api/stream.ts', counting: 'api/counting.ts' } as const
const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } })
const parts = Object.entries(PARTS).filter(([name]) => flags.only === undefined || flags.only === name)
if (parts.length === 0) throw new Error(`--only takes one of ${Object.keys(PARTS).join(', ')}`)

for (const [name, file] of parts) {
  process.stdout.write(`\n== ${name}\n`)
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, file), ...(flags.quick ? ['--quick'] : [])], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
if (flags.quick) process.stdout.write('A quick run: it proves the harness, and its figures are no figures.\n')
