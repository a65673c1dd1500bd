// The leak oracle: who must hear what, once and in order, and nobody else.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openLedger } from '../../device-sim/ledger.ts'

const ownOnly = (receiver: string, topic: string): boolean => topic.startsWith(`t/${receiver}/`)
const count = (changes: Partial<Record<'expected' | 'received' | 'lost' | 'duplicates' | 'misordered' | 'leaks', number>>) =>
  ({ expected: 0, received: 0, lost: 0, duplicates: 0, misordered: 0, leaks: 0, ...changes })

test('what is delivered once, in order, to everyone it is for leaves nothing to say', async () => {
  const ledger = openLedger(() => true)
  const payloads = [1, 2, 3].map(() => ledger.write('a', 't/a/x', ['a', 'hub']))
  expect(ledger.missing).toBe(6)
  for (const payload of payloads) for (const receiver of ['a', 'hub']) ledger.receive(receiver, 't/a/x', payload)
  await ledger.complete()
  expect(ledger.count()).toEqual(count({ expected: 6, received: 6 }))
  expect(ledger.faults()).toEqual([])
})

test('complete() waits for the last delivery', async () => {
  const ledger = openLedger(() => true)
  const [first, second] = [ledger.write('a', 't', ['b']), ledger.write('a', 't', ['b'])]
  let done = false
  const complete = ledger.complete().then(() => (done = true))
  ledger.receive('b', 't', first)
  await Promise.resolve()
  expect(done).toBe(false)
  ledger.receive('b', 't', second)
  await complete
})

test('what did not come is lost, and told with its receiver, publisher and topic', () => {
  const ledger = openLedger(() => true)
  const [first] = [ledger.write('a', 't/a/x', ['hub']), ledger.write('a', 't/a/x', ['hub'])]
  ledger.receive('hub', 't/a/x', first)
  expect(ledger.count()).toEqual(count({ expected: 2, received: 1, lost: 1 }))
  expect(ledger.faults()).toEqual(['hub was to hear 2 messages of a on t/a/x, and heard 1: without #2'])
})

test('what comes twice is a duplicate, and what comes late is out of order', () => {
  const ledger = openLedger(() => true)
  const [first, second, third] = [1, 2, 3].map(() => ledger.write('a', 't', ['b'])) as [string, string, string]
  for (const payload of [second, first, third, third]) ledger.receive('b', 't', payload)
  expect(ledger.count()).toEqual(count({ expected: 3, received: 3, duplicates: 1, misordered: 1 }))
  expect(ledger.faults()).toEqual(['b was to hear 3 messages of a on t, and heard 3: 1 of them again, 1 out of order'])
})

describe('a leak is', () => {
  test('a topic that the receiver may not hear, whoever wrote the message', () => {
    const ledger = openLedger(ownOnly)
    ledger.receive('a', 't/a/x', 'not ours')
    expect(ledger.count().leaks).toBe(0)
    ledger.receive('a', 't/b/x', 'not ours')
    expect(ledger.faults()).toEqual(['a may not hear t/b/x, but was given a message on it'])
  })

  test('a message that was for nobody', () => {
    const ledger = openLedger(ownOnly)
    const stray = ledger.write('b', 't/a/stray', [])
    ledger.receive('a', 't/a/stray', stray)
    expect(ledger.faults()).toEqual(['a was given a message of b on t/a/stray that was not for it'])
  })

  test('a message under another topic than its own', () => {
    const ledger = openLedger(ownOnly)
    ledger.receive('a', 't/a/y', ledger.write('a', 't/a/x', ['a']))
    expect(ledger.faults()).toEqual(['a was given on t/a/y what a had sent to t/a/x'])
  })

  test('a message that nobody has written, in a stream of ours', () => {
    const ledger = openLedger(ownOnly)
    ledger.receive('a', 't/a/x', ledger.write('a', 't/a/x', ['a']))
    ledger.receive('a', 't/a/x', JSON.stringify({ from: 'a', topic: 't/a/x', sequence: 1 }))
    expect(ledger.count()).toEqual(count({ expected: 1, received: 1, leaks: 1 }))
  })
})

test.each(['', '{', '[]', 'null', '{"from":"__proto__","topic":"x","sequence":0}', '{"from":"a","topic":"t/a/x","sequence":-1}', '{"from":"a","topic":"t/a/x","sequence":0,"more":1}'])('somebody else\'s payload %j on a topic that may be heard is none of ours', (payload) => {
  const ledger = openLedger(ownOnly)
  ledger.write('a', 't/a/x', ['a'])
  ledger.receive('a', 't/a/x', payload)
  expect(ledger.count()).toEqual(count({ expected: 1, lost: 1 }))
})

test('whatever is delivered, received + lost = expected, and only the whole in order is without fault', () => {
  const deliveries = fc.array(fc.record({ receiver: fc.constantFrom('a', 'b', 'c'), message: fc.nat({ max: 4 }) }), { maxLength: 30 })
  fc.assert(fc.property(deliveries, (delivered) => {
    const ledger = openLedger(() => true)
    const payloads = Array.from({ length: 5 }, () => ledger.write('p', 't', ['a', 'b']))
    for (const { receiver, message } of delivered) ledger.receive(receiver, 't', payloads[message]!)
    const seen = ledger.count()
    const to = (receiver: string): number[] => delivered.filter((d) => d.receiver === receiver).map((d) => d.message)
    const whole = [0, 1, 2, 3, 4].join()
    expect(seen.received + seen.lost).toBe(seen.expected)
    expect(seen.received + seen.duplicates + seen.leaks).toBe(delivered.length)
    expect(seen.leaks).toBe(to('c').length)
    expect(ledger.faults().length === 0).toBe(to('a').join() === whole && to('b').join() === whole && to('c').length === 0)
  }))
})
