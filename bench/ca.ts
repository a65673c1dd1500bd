// npm run bench:ca: what the certificate's life costs, part by part, each a program of its own. Flags: --only NAME for one part (enroll,
// import, revocation, revoked, hostile). All of it needs a quarter of an hour and 10 GB of disk; see README.md beside it.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'

const PARTS = ['enroll', 'import', 'revocation', 'revoked', 'hostile'] as const
const { values: flags } = parseArgs({ options: { only: { type: 'string' } } })
const parts = PARTS.filter((part) => flags.only === undefined || flags.only === part)
if (parts.length === 0) throw new Error(`--only takes one of ${PARTS.join(', ')}`)

for (const part of parts) {
  process.stdout.write(`\n== ${part}\n`)
  const { status } = spawnSync(process.execPath, [path.join(import.meta.dirname, `ca-${part}.ts`)], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
