// kill -9 while a receiver is being told what happens: afterwards it is told everything, in order; what it is told twice has the same id.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as moment } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { answering, isSigned, openReceiver } from '../webhooks/receiver.ts'
import { Program } from './program.ts'

/** How long after the first message the server is killed, in ms: whatever it is doing then. */
const MOMENTS = [0, 30, 250]
const DEVICES = 25

test('kill -9 in between loses nothing, changes no order, and repeats only what has the same id', async () => {
  await using receiver = await openReceiver()
  await using program = new Program()
  mkdirSync(program.home, { recursive: true })
  writeFileSync(path.join(program.home, 'receivers.pem'), receiver.ca)
  writeFileSync(path.join(program.home, 'sallyport.yaml'), 'webhooks: { allow: [127.0.0.1, "::1"], ca: receivers.pem }\n')
  await program.serve()
  const { secret } = program.json('webhook', 'add', receiver.url, '--name', 'pager', '--events', 'registry') as { secret: string }
  let made = 0
  for (const ms of MOMENTS) {
    const before = receiver.received.length
    const rows = Array.from({ length: DEVICES }, () => `k${made++}`)
    const file = path.join(program.home, `rows-${ms}.csv`)
    writeFileSync(file, `id\n${rows.join('\n')}\n`)
    expect(program.run('device', 'import', file)).toMatchObject({ status: 0 })
    await expect.poll(() => receiver.received.length, { timeout: 10_000 }).toBeGreaterThan(before)
    await moment(ms)
    await program.stop('SIGKILL')
    // Away for a moment, too: the first thing that it says to the next server is no.
    receiver.behave((message, response) => {
      receiver.behave(answering(204))
      answering(503)(message, response)
    })
    await program.serve()
  }
  const added = (): readonly string[] => [...new Map(receiver.received.filter(({ json }) => json.type === 'registry.device-added').map((each) => [each.id, (each.json.data['device'] as { id: string }).id])).values()]
  await expect.poll(() => added().length, { timeout: 20_000 }).toBe(MOMENTS.length * DEVICES)
  expect(added()).toEqual(Array.from({ length: made }, (_, i) => `k${i}`))
  const numbers = [...new Set(receiver.received.map(({ id }) => id))].map((id) => Number(id.split('_')[1]))
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  expect(receiver.received.every((message) => isSigned(message, secret))).toBe(true)
  expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
}, 120_000)
