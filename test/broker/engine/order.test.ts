import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openAnswerOrder } from '../../../src/broker/engine/order.ts'

test('answers leave in the order of their questions, whatever the order in which they settle, each as soon as its turn has come', () => {
  const shuffled = fc.integer({ min: 1, max: 30 }).chain((n) => fc.shuffledSubarray(Array.from({ length: n }, (_, i) => i), { minLength: n, maxLength: n }))
  fc.assert(fc.property(shuffled, (settling) => {
    const said: number[] = []
    let told = 0
    const order = openAnswerOrder(() => void told++)
    const places = settling.map(() => order.enter())
    expect(order.open()).toBe(settling.length)
    const settled = new Set<number>()
    for (const place of settling) {
      places[place]?.(() => void said.push(place))
      settled.add(place)
      let due = 0
      while (settled.has(due)) due++
      expect(said).toEqual(Array.from({ length: due }, (_, i) => i))
      expect([order.open(), told]).toEqual([settling.length - due, due])
    }
  }))
})

test('a question that comes while an answer is given has its place behind those that are open', () => {
  const said: string[] = []
  const order = openAnswerOrder(() => {})
  const [first, second] = [order.enter(), order.enter()]
  first(() => {
    said.push('first')
    order.enter()(() => void said.push('third'))
  })
  expect(said).toEqual(['first'])
  second(() => void said.push('second'))
  expect(said).toEqual(['first', 'second', 'third'])
})

test('fifty thousand answers that wait for one overflow no stack', () => {
  let said = 0
  const order = openAnswerOrder(() => {})
  const [first, ...others] = Array.from({ length: 50_000 }, () => order.enter())
  for (const answer of others) answer(() => void said++)
  expect(said).toBe(0)
  first?.(() => void said++)
  expect([said, order.open()]).toEqual([50_000, 0])
})
