// What a receiver has heard of a stream: missing, twice, late. Against a plain list as the second judge.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openChance } from '../../../device-sim/scenario/chance.ts'
import { castOf, fill, matches } from '../../../device-sim/scenario/cast.ts'
import { lostOf, openHearing, type Heard } from '../../../device-sim/scenario/hearing.ts'
import { readScenario } from '../../../device-sim/scenario/read-scenario.ts'
import { readTag, writeTag, type Tag } from '../../../device-sim/scenario/tag.ts'

function heardOf(sequences: readonly number[], isAgain = false): Heard {
  const hearing = openHearing()
  for (const sequence of sequences) hearing.hear(sequence, isAgain)
  return hearing.heard()
}

describe('a stream', () => {
  test('that came whole has nothing missing', () => expect(heardOf([0, 1, 2, 3])).toEqual({ next: 4, missing: [], received: 4, duplicates: 0, misordered: 0 }))
  test('with a gap has that missing', () => expect(heardOf([0, 3])).toEqual({ next: 4, missing: [1, 2], received: 2, duplicates: 0, misordered: 0 }))
  test('that came late is out of order, and not lost', () => expect(heardOf([0, 2, 1])).toEqual({ next: 3, missing: [], received: 3, duplicates: 0, misordered: 1 }))
  test('that came twice says so', () => expect(heardOf([0, 1, 1, 0])).toMatchObject({ received: 2, duplicates: 2 }))
  test('that was delivered again, and says so, is no repetition', () => expect(heardOf([0, 0], true)).toMatchObject({ received: 1, duplicates: 0 }))

  test('is judged as by a list of what came', () => {
    fc.assert(fc.property(fc.array(fc.nat(30), { maxLength: 60 }), fc.integer({ min: 0, max: 31 }), fc.uniqueArray(fc.nat(30)), (sequences, more, notDue) => {
      const sent = Math.max(more, ...sequences.map((sequence) => sequence + 1))
      const came = new Set(sequences)
      const due = Array.from({ length: sent }, (_, sequence) => sequence).filter((sequence) => !notDue.includes(sequence))
      const heard = heardOf(sequences)
      expect(heard.received).toBe(came.size)
      expect(heard.received + heard.duplicates).toBe(sequences.length)
      expect(lostOf(heard, sent, new Set(notDue))).toBe(due.filter((sequence) => !came.has(sequence)).length)
    }))
  })

  test('of which nothing came is lost, all that was due', () => expect(lostOf(undefined, 5, new Set([4]))).toBe(4))
})

test('a tag survives the way, and what nobody here wrote is none', () => {
  const tag: Tag = { speech: 3, owner: 70_000, publisher: 2, sequence: 4_000_000_000, answers: 7, at: Date.now() + 0.25 }
  expect(readTag(writeTag(tag, 64))).toEqual(tag)
  expect(writeTag(tag, 100)).toHaveLength(100)
  expect(readTag(Buffer.alloc(64))).toBeUndefined()
  expect(readTag(Buffer.from('21.5'))).toBeUndefined()
})

describe('chance', () => {
  test('repeats with the seed, and differs without', () => {
    const drawn = (seed: number): readonly number[] => {
      const chance = openChance(seed)
      return Array.from({ length: 20 }, () => chance.next())
    }
    expect(drawn(7)).toEqual(drawn(7))
    expect(drawn(7)).not.toEqual(drawn(8))
    expect(drawn(7).every((x) => x >= 0 && x < 1)).toBe(true)
  })
  test('picks each at most once, and in their order', () => {
    const items = Array.from({ length: 50 }, (_, i) => i)
    const picked = openChance(1).pick(items, 20)
    expect(picked).toHaveLength(20)
    expect(picked).toEqual([...new Set(picked)].toSorted((a, b) => a - b))
    expect(openChance(1).pick(items, 99)).toEqual(items)
    expect(openChance(1).pick(items, 20)).toEqual(picked)
  })
})

describe('the cast', () => {
  const scenario = readScenario('x.yaml', 'version: 1\nname: x\ngroups:\n  backend: { count: 1, role: backend }\n  sensors: { count: 3, session: kept }\n  old: { count: 1, protocol: "3.1.1" }\nphases: [ { name: p } ]\n')
  test('has every device of every group, with what it hears and may hear', () => {
    const cast = castOf(scenario, 'run')
    expect(cast.map(({ id }) => id)).toEqual(['run-backend-1', 'run-sensors-1', 'run-sensors-2', 'run-sensors-3', 'run-old-1'])
    expect(cast[2]).toMatchObject({ index: 2, version: 5, isKept: true, hears: ['cmd/run-sensors-2/+'], mayHear: ['t/run-sensors-2/#', 'cmd/run-sensors-2/+', '$device/run-sensors-2/certificate/renew/+'] })
    expect(cast[0]).toMatchObject({ hears: ['t/#'], role: 'backend' })
    expect(cast[4]?.version).toBe(4)
  })
  test('fills in itself and its neighbour', () => expect(fill('t/${id}/x/${neighbour}', 'a', 'b')).toBe('t/a/x/b'))
})

test.each([
  ['t/#', 't/a/b', true], ['t/#', 't', true], ['t/+/x', 't/a/x', true], ['t/+/x', 't/a/b/x', false], ['t/+', 't', false], ['#', '$SYS/x', false], ['#', 'a', true],
  ['t/a', 't/a/b', false], ['t/a/b', 't/a', false], ['+', 'a', true], ['cmd/a/+', 'cmd/b/set', false], ['$device/a/+', '$device/a/x', true],
])('%s and %s: %s', (filter, topic, expected) => expect(matches(filter, topic)).toBe(expected))
