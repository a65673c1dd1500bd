import { expect, test } from 'vitest'
import type { SessionKey } from '../../../src/core/ids.ts'
import type { Holder } from '../../../src/core/session-store.ts'
import { openHolders } from '../../../src/broker/engine/holders.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const holder = (name: string): Holder => ({
  key: `default/${name}/${name}` as SessionKey, session: 1,
  subscription: { filter: '#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: undefined },
})

/** A store that is answered by hand. */
function store() {
  const asked: { readonly topic: string; readonly answer: PromiseWithResolvers<readonly Holder[]> }[] = []
  return {
    asked, anySubscription: true,
    holders(topic: string) {
      const answer = Promise.withResolvers<readonly Holder[]>()
      asked.push({ topic, answer })
      return answer.promise
    },
  }
}

test('one topic is asked for once; what was answered is there at once from then on', async () => {
  const from = store()
  const holders = openHolders(from)
  const [first, second] = [holders.of('a'), holders.of('a')]
  from.asked[0]?.answer.resolve([holder('x')])
  expect(await first).toEqual([holder('x')])
  expect(await second).toEqual([holder('x')])
  expect(holders.of('a')).toEqual([holder('x')])
  expect(holders.of('b')).toBeInstanceOf(Promise)
  expect(from.asked.map(({ topic }) => topic)).toEqual(['a', 'b'])
})

test('what was asked before a change holds for those who asked then, and is not remembered; what was asked after it is', async () => {
  const from = store()
  const holders = openHolders(from)
  const before = holders.of('a')
  holders.changed()
  const after = holders.of('a')
  from.asked[1]?.answer.resolve([holder('new')])
  expect(await after).toEqual([holder('new')])
  // The answer to the older question comes last, and must not be taken for the newer truth.
  from.asked[0]?.answer.resolve([holder('old')])
  expect(await before).toEqual([holder('old')])
  expect(holders.of('a')).toEqual([holder('new')])
})

test('what is remembered is forgotten with a change', async () => {
  const from = store()
  const holders = openHolders(from)
  const first = holders.of('a')
  from.asked[0]?.answer.resolve([])
  await first
  expect(holders.of('a')).toEqual([])
  holders.changed()
  expect(holders.of('a')).toBeInstanceOf(Promise)
})

test('where there is no kept subscription the store is not asked', () => {
  const from = { ...store(), anySubscription: false }
  expect(openHolders(from).of('a')).toEqual([])
  expect(from.asked).toEqual([])
})

test('a question that failed is asked again', async () => {
  const from = store()
  const holders = openHolders(from)
  const failed = holders.of('a')
  from.asked[0]?.answer.reject(new Error('disk'))
  await expect(failed).rejects.toThrow('disk')
  const again = holders.of('a')
  from.asked[1]?.answer.resolve([holder('x')])
  expect(await again).toEqual([holder('x')])
})

test('topic after topic: the oldest are forgotten, the others are not', async () => {
  const holders = openHolders({ anySubscription: true, holders: async () => [] })
  for (let i = 0; i <= BROKER_LIMITS.holdersRememberedMax; i++) await holders.of(String(i))
  expect(holders.of('1')).toEqual([])
  expect(holders.of('0')).toBeInstanceOf(Promise)
})
