// kill -9 while a policy of two files is being applied: afterwards one of the two policies is there, whole; what is in force is what
// the files say and what the history ends with; what was acknowledged is not forgotten; and no number was given twice.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as moment } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { PolicyText } from '../../src/core/policy-desk.ts'
import { openAdminClient } from '../../src/http/admin-client.ts'
import { Program } from './program.ts'

/** How long after the first answer the server is killed, in ms: whatever it is doing then. */
const MOMENTS = [3, 40, 90, 150, 260, 400]
const REQUESTS_MAX = 1_000

const filesOf = (version: string): readonly PolicyText[] => [
  { name: 'policy.yaml', text: `version: 1\ngrants: [ { id: main, to: any, publish: ["${version}/#"] } ]\n` }, { name: 'policy.d/more.yaml', text: `version: 1\ngrants: [ { id: more, to: any, subscribe: ["${version}/#"] } ]\n` },
]

test('kill -9 in the middle of applying leaves one policy or the other, and a history that agrees', async () => {
  await using program = new Program()
  await program.serve()
  const file = (name: string): string => readFileSync(path.join(program.home, name), 'utf8')
  const client = () => openAdminClient({ url: program.endpoints.admin.url, key: file('certs/local/operator/key.pem'), cert: file('certs/local/operator/cert.pem'), ca: file('certs/local/operator/ca.pem') })
  for (const [round, ms] of MOMENTS.entries()) {
    await using desk = client()
    const acknowledged = [(await desk.applyPolicy({ files: filesOf(`r${round}-first`) })).generation]
    const applying = async (): Promise<void> => {
      for (let i = 0; i < REQUESTS_MAX; i++) acknowledged.push((await desk.applyPolicy({ files: filesOf(`r${round}-${i}`) })).generation)
    }
    const cut = applying().catch(() => {})
    await moment(ms)
    await program.stop('SIGKILL')
    await cut
    await program.serve()
    await using after = client()
    const { generation, files, edited } = await after.policy()
    const { items } = await after.policyHistory()
    const version = /"(r\d+-\w+)\/#"/.exec(file('policy.yaml'))?.[1] ?? ''
    expect([edited, files, items[0]?.generation], `killed after ${ms} ms`).toEqual([false, filesOf(version), generation])
    expect(generation).toBeGreaterThanOrEqual(acknowledged.at(-1) ?? 0)
    expect(new Set(items.map((item) => item.generation)).size).toBe(items.length)
    expect(items.map((item) => item.generation)).toEqual(items.map((item) => item.generation).toSorted((a, b) => b - a))
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
  }
}, 60_000)
