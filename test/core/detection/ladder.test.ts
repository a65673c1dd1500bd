// The ladder by itself: what leads up, what leads down, what never does either, and that it stays small. Numbers of the defaults
// are written down here again.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openLadder, type Ladder, type Step } from '../../../src/core/detection/ladder.ts'
import { DEFAULT_RULES, type DetectionRules, type Thresholds } from '../../../src/core/detection/rules.ts'
import type { Fact } from '../../../src/core/detection/signals.ts'
import type { DeviceId, GroupName } from '../../../src/core/ids.ts'
import { DETECTION_LIMITS } from '../../../src/detection-limits.ts'
import { RUNGS, SIGNALS, type Rung, type Signal } from '../../../src/vocabulary.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const NOW = 1_800_000_000_000
const SECRET = 0x5a11
const device = (id: string, ...groups: string[]) => ({ id: id as DeviceId, groups: groups as GroupName[] })
const A = device('a')

const refused = (topic: string): Fact => ({ kind: 'refused', topic })
const CONNECT: Fact = { kind: 'connect' }
const TWO_PLACES: Fact = { kind: 'two-places' }
const other = (id: string): Fact => ({ kind: 'named-other', other: id as DeviceId })

const tests = (observe: number, throttle: number, quarantine = Infinity, suspend = Infinity): Thresholds => ({ observe, throttle, quarantine, suspend })
/** All signals have the same few thresholds. */
function few(upTo: Rung, thresholds = tests(2, 4, 6, 8)): DetectionRules {
  const all = Object.fromEntries(Object.keys(SIGNALS).map((signal) => [signal, thresholds])) as Record<Signal, Thresholds>
  return { ...DEFAULT_RULES, upTo, thresholds: all }
}
const utmost: DetectionRules = { ...DEFAULT_RULES, upTo: 'suspend' }
const open = (rules: DetectionRules = few('suspend')): Ladder => openLadder(() => rules, SECRET)
const path = (steps: readonly Step[]): readonly string[] => steps.map(({ from, to }) => `${from}→${to}`)

/** Notes the same fact so many times, at one moment or one after the other. */
function repeat(ladder: Ladder, count: number, fact: (i: number) => Fact, at = NOW, everyMs = 0, who = A): Step[] {
  return Array.from({ length: count }, (_, i) => [...ladder.sweep(at + i * everyMs), ...ladder.note(who, fact(i), at + i * everyMs)]).flat()
}

describe('up', () => {
  test.each<[Signal, (i: number) => Fact]>([
    ['denials', () => refused('t/x')], ['topics', (i) => refused(`t/${i}`)], ['client-ids', (i) => other(`other-${i}`)], ['connects', () => CONNECT], ['two-places', () => TWO_PLACES],
  ])('%s lead to a rung with the very count of its threshold, and say so', (signal, fact) => {
    const only = { ...few('throttle', tests(Infinity, Infinity)), thresholds: { ...few('throttle', tests(Infinity, Infinity)).thresholds, [signal]: tests(3, 5) } }
    const ladder = open(only)
    expect(repeat(ladder, 2, fact)).toEqual([])
    expect(ladder.note(A, fact(2), NOW)).toEqual([{ device: 'a', from: 'none', to: 'observe', signal, count: 3, because: expect.stringMatching(/^[A-Z].*: 3 .* within \d+ minutes\.$/), until: NOW + HOUR }])
    expect(ladder.note(A, fact(3), NOW)).toEqual([])
    expect(ladder.note(A, fact(4), NOW)).toMatchObject([{ from: 'observe', to: 'throttle', count: 5, until: NOW + 10 * MINUTE }])
    expect(ladder.rungOf(A.id)).toBe('throttle')
  })

  test('too much sent leads there by the second', () => {
    const ladder = open({ ...few('throttle', tests(3, 5)) })
    const sent = (messages: number): Fact => ({ kind: 'sent', messages })
    for (let i = 0; i <= 3_600; i++) ladder.note(A, sent(1), NOW + i * SECOND)
    const flood = NOW + 3_601 * SECOND
    expect(path(repeat(ladder, 4, () => sent(99), flood, SECOND))).toEqual([])
    expect(path(repeat(ladder, 5, () => sent(1_000), flood + 4 * SECOND, SECOND))).toEqual(['none→observe', 'observe→throttle'])
  })

  test('one fact that reaches several rungs is one step', () => {
    expect(path(repeat(open(few('suspend', tests(3, 3))), 3, () => CONNECT))).toEqual(['none→throttle'])
  })

  test('of different topics each counts once, and each refusal counts for itself', () => {
    const ladder = open({ ...few('throttle', tests(Infinity, Infinity)), thresholds: { ...few('none', tests(Infinity, Infinity)).thresholds, topics: tests(3, 5) } })
    expect(repeat(ladder, 1_000, (i) => refused(`t/${i % 2}/${i}`))).toEqual([])
    expect(path(repeat(ladder, 1, () => refused('t/3')))).toEqual(['none→observe'])
  })

  test('what one device does takes no other anywhere', () => {
    const ladder = open()
    repeat(ladder, 100, () => CONNECT)
    expect([ladder.rungOf(A.id), ladder.rungOf('b' as DeviceId)]).toEqual(['throttle', 'none'])
    expect(repeat(ladder, 1, () => CONNECT, NOW, 0, device('b'))).toEqual([])
  })
})

describe('above throttle', () => {
  test('comes only who goes on for a minute on the rung below, however much comes at once', () => {
    const ladder = open()
    expect(path(repeat(ladder, 10_000, () => CONNECT))).toEqual(['none→observe', 'observe→throttle'])
    expect(ladder.note(A, CONNECT, NOW + MINUTE - 1)).toEqual([])
    expect(ladder.note(A, CONNECT, NOW + MINUTE)).toMatchObject([{ from: 'throttle', to: 'quarantine', because: expect.stringContaining('CONNECTs') }])
    expect(ladder.note(A, CONNECT, NOW + 2 * MINUTE - 1)).toEqual([])
    expect(path(ladder.note(A, CONNECT, NOW + 2 * MINUTE))).toEqual(['quarantine→suspend'])
  })

  test('who falls silent goes no higher', () => {
    const ladder = open()
    repeat(ladder, 10_000, () => CONNECT)
    expect(path(ladder.sweep(NOW + 5 * MINUTE))).toEqual([])
    expect(ladder.rungOf(A.id)).toBe('throttle')
  })

  test('nothing is left by itself: a person takes it back', () => {
    const ladder = open()
    repeat(ladder, 3, () => CONNECT)
    repeat(ladder, 5, () => CONNECT, NOW + SECOND, 20 * SECOND)
    expect(ladder.rungOf(A.id)).toBe('quarantine')
    expect(ladder.sweep(NOW + 1_000 * HOUR)).toEqual([])
    expect(ladder.list(NOW + 1_000 * HOUR)).toEqual([{ device: 'a', rung: 'quarantine', since: expect.any(Number), signal: 'connects', because: expect.any(String) }])
    expect(ladder.clear(A.id)).toBe('quarantine')
    expect(ladder.list(NOW + 1_000 * HOUR)).toEqual([])
  })

  test('a step that could not be taken is undone, and taken again after another minute', () => {
    const ladder = open()
    repeat(ladder, 4, () => CONNECT)
    expect(path(repeat(ladder, 2, () => CONNECT, NOW + MINUTE))).toEqual(['throttle→quarantine'])
    ladder.undo(A.id, 'quarantine')
    expect(ladder.rungOf(A.id)).toBe('throttle')
    expect(path(ladder.note(A, CONNECT, NOW + 2 * MINUTE - 1))).toEqual([])
    expect(path(ladder.note(A, CONNECT, NOW + 2 * MINUTE))).toEqual(['throttle→quarantine'])
    ladder.undo('b' as DeviceId, 'quarantine')
  })
})

describe('down', () => {
  test('throttle is left ten minutes, and observe an hour, after it was last reached', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT)
    expect(ladder.sweep(NOW + 10 * MINUTE - 1)).toEqual([])
    expect(ladder.sweep(NOW + 10 * MINUTE)).toEqual([{ device: 'a', from: 'throttle', to: 'observe', because: expect.stringMatching(/\.$/), until: NOW + HOUR }])
    expect(ladder.sweep(NOW + HOUR - 1)).toEqual([])
    expect(path(ladder.sweep(NOW + HOUR))).toEqual(['observe→none'])
    expect(ladder.sweep(NOW + 2 * HOUR)).toEqual([])
  })

  test('who goes on stays, and is told of once', () => {
    const ladder = open(few('throttle'))
    expect(path(repeat(ladder, 3_600, () => CONNECT, NOW, SECOND))).toEqual(['none→observe', 'observe→throttle'])
    expect(path(ladder.sweep(NOW + HOUR + 10 * MINUTE - SECOND))).toEqual(['throttle→observe'])
  })

  test('who does as much as before, and not more, within the cool-down is not let go of in between', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT)
    expect(path(repeat(ladder, 4, () => CONNECT, NOW + 9 * MINUTE))).toEqual([])
    expect(path(ladder.sweep(NOW + 18 * MINUTE))).toEqual([])
    expect(path(ladder.sweep(NOW + 19 * MINUTE))).toEqual(['throttle→observe'])
  })

  test('a fact that comes after the cool-down finds the device down already', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT)
    expect(path(ladder.note(A, CONNECT, NOW + 2 * HOUR))).toEqual(['throttle→none'])
  })

  test('an operator clears all of it: the count begins anew', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT)
    expect([ladder.clear(A.id), ladder.clear(A.id), ladder.rungOf(A.id), ladder.size]).toEqual(['throttle', 'none', 'none', 0])
    expect(path(repeat(ladder, 2, () => CONNECT))).toEqual(['none→observe'])
  })
})

describe('the rules', () => {
  test.each<[Rung, Rung]>([['none', 'none'], ['observe', 'observe'], ['throttle', 'throttle'], ['quarantine', 'quarantine'], ['suspend', 'suspend']])('up to %s is %s at most', (upTo, highest) => {
    const ladder = open(few(upTo))
    repeat(ladder, 1_000, () => CONNECT, NOW, SECOND)
    expect(ladder.rungOf(A.id)).toBe(highest)
  })

  test('a device or group that is exempt is not watched; its neighbour is', () => {
    const ladder = open({ ...few('suspend'), exempt: { devices: new Set(['gw-1' as DeviceId]), groups: new Set(['gateways' as GroupName]) } })
    repeat(ladder, 100, () => CONNECT, NOW, 0, device('gw-1', 'sensors'))
    repeat(ladder, 100, () => CONNECT, NOW, 0, device('gw-2', 'sensors', 'gateways'))
    expect(ladder.size).toBe(0)
    repeat(ladder, 100, () => CONNECT, NOW, 0, device('gw-3', 'sensors'))
    expect(ladder.rungOf('gw-3' as DeviceId)).toBe('throttle')
  })

  test('that become milder let go of what is in memory, and leave what a person has to take back', () => {
    let rules = few('suspend')
    const ladder = openLadder(() => rules, SECRET)
    repeat(ladder, 4, () => CONNECT, NOW, 0, device('slow'))
    repeat(ladder, 4, () => CONNECT)
    repeat(ladder, 2, () => CONNECT, NOW + MINUTE)
    rules = few('observe')
    expect(ladder.sweep(NOW + MINUTE)).toMatchObject([{ device: 'slow', from: 'throttle', to: 'observe', because: 'The configuration has this rung no longer.' }])
    rules = few('none')
    expect(path(ladder.sweep(NOW + MINUTE))).toEqual(['observe→none'])
    expect(ladder.rungOf(A.id)).toBe('quarantine')
  })
})

describe('innocents, with the numbers of the defaults, in a server that would go as far as to suspend', () => {
  const highest = (steps: readonly Step[]): Rung => RUNGS[Math.max(0, ...steps.map(({ to }) => RUNGS.indexOf(to)))] ?? 'none'

  test('a fleet that comes back after an outage, each device trying ten times, is on no rung', () => {
    const ladder = open(utmost)
    const steps = Array.from({ length: 2_000 }, (_, i) => repeat(ladder, 10, () => CONNECT, NOW, 0, device(`d-${i}`))).flat()
    expect(steps).toEqual([])
  })

  test('a gateway whose 32 sessions come back three times within minutes is on no rung', () => {
    expect(repeat(open(utmost), 3 * 32, () => CONNECT, NOW, 100)).toEqual([])
  })

  test('a device that tries every second for a day, and is refused every time, is slowed down and no more', () => {
    expect(highest(repeat(open(utmost), 86_400, () => CONNECT, NOW, SECOND))).toBe('throttle')
  })

  test('a bad topic in a tight loop for an hour is slowed down and no more', () => {
    expect(highest(repeat(open(utmost), 36_000, () => refused('wrong/topic'), NOW, 100))).toBe('throttle')
  })

  test('a device that numbers its bad topics is slowed down and no more', () => {
    expect(highest(repeat(open(utmost), 10_000, (i) => refused(`rpc/response/${i}`), NOW, 100))).toBe('throttle')
  })

  test('one bad topic every ten seconds is on no rung', () => {
    expect(repeat(open(utmost), 1_000, () => refused('wrong/topic'), NOW, 10 * SECOND)).toEqual([])
  })

  test('a gateway that lost its grant and asks for all of its 1,000 filters every minute is slowed down and no more', () => {
    const ladder = open(utmost)
    const steps = Array.from({ length: 120 }, (_, i) => repeat(ladder, 1_000, (n) => refused(`cmd/child-${n}/+`), NOW + i * MINUTE)).flat()
    expect(highest(steps)).toBe('throttle')
  })

  test('two devices that were swapped, each in a loop with the name of the other, are slowed down and no more', () => {
    const ladder = open(utmost)
    const steps = Array.from({ length: 7_200 }, (_, i) => [...ladder.note(A, CONNECT, NOW + i * SECOND), ...ladder.note(A, other('b'), NOW + i * SECOND)]).flat()
    expect(highest(steps)).toBe('throttle')
    expect(steps.map((step) => step.signal)).not.toContain('client-ids')
  })

  test('a device that roams among five networks in an hour is on no rung, and one that fights with its copy for hours is slowed down and no more', () => {
    expect(repeat(open(utmost), 5, () => TWO_PLACES, NOW, 12 * MINUTE)).toEqual([])
    expect(highest(repeat(open(utmost), 7_200, () => TWO_PLACES, NOW, 2 * SECOND))).toBe('throttle')
  })

  test('a device with a store of readings to send for four minutes is not slowed down', () => {
    const ladder = open(utmost)
    const sent = (messages: number): Fact => ({ kind: 'sent', messages })
    repeat(ladder, 7_200, () => sent(1), NOW, SECOND)
    expect(highest(repeat(ladder, 240, () => sent(2_000), NOW + 7_200 * SECOND, SECOND))).toBe('observe')
  })
})

describe('the guilty, with the numbers of the defaults', () => {
  const rungs = (steps: readonly Step[]): readonly string[] => steps.map(({ to, signal }) => `${to} ${signal}`)

  test('who tries one topic after the other ends suspended, where the operator lets it', () => {
    expect(rungs(repeat(open(utmost), 36_000, (i) => refused(`t/sensor-${i}/temperature`), NOW, 100)).filter((step) => step.endsWith('topics'))).toEqual(['observe topics', 'throttle topics', 'quarantine topics', 'suspend topics'])
    expect(rungs(repeat(open(), 0, () => CONNECT))).toEqual([])
    expect(rungs(repeat(open(DEFAULT_RULES), 36_000, (i) => refused(`t/sensor-${i}/temperature`), NOW, 100)).at(-1)).toBe('throttle topics')
  })

  test('who tries one name after the other does, too', () => {
    expect(rungs(repeat(open(utmost), 1_000, (i) => other(`sensor-${i}`), NOW, 2 * SECOND))).toEqual(['observe', 'throttle', 'quarantine', 'suspend'].map((rung) => `${rung} client-ids`))
  })
})

describe('clocks', () => {
  test('one that is set back by a year does not keep what was counted for longer', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT)
    const back = NOW - 365 * 24 * HOUR
    expect(ladder.sweep(back)).toEqual([])
    expect(ladder.list(back)).toMatchObject([{ since: back, until: back + 10 * MINUTE }])
    expect(path(ladder.sweep(back + 10 * MINUTE))).toEqual(['throttle→observe'])
    expect(path(ladder.sweep(back + HOUR))).toEqual(['observe→none'])
    expect(repeat(ladder, 1, () => CONNECT, back + HOUR)).toEqual([])
  })

  test('one that is set forward lets go early, and takes nobody up', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 3, () => CONNECT)
    expect(path(ladder.note(A, CONNECT, NOW + 24 * HOUR))).toEqual(['observe→none'])
  })

  test('one that jumps about leads no higher than one that goes on', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: -2 * HOUR, max: 2 * HOUR }), { maxLength: 40 }), (jumps) => {
      const [jumping, still] = [open(few('throttle')), open(few('throttle'))]
      let at = NOW
      for (const jump of jumps) {
        at += jump
        jumping.note(A, CONNECT, at)
        still.note(A, CONNECT, NOW)
        expect(RUNGS.indexOf(jumping.rungOf(A.id))).toBeLessThanOrEqual(RUNGS.indexOf(still.rungOf(A.id)))
      }
    }))
  })
})

describe('whatever happens', () => {
  const facts = fc.oneof(
    fc.constant(CONNECT), fc.constant(TWO_PLACES), fc.integer({ min: 0, max: 8 }).map((i) => refused(`t/${i}`)), fc.integer({ min: 0, max: 8 }).map((i) => other(`d${i}`)),
  )
  const history = fc.array(fc.record({ fact: facts, gap: fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 30 * MINUTE })), kept: fc.boolean(), swept: fc.boolean() }), { maxLength: 80 })

  test('fewer facts never lead to a higher rung, nor hold one for longer', () => {
    fc.assert(fc.property(history, fc.constantFrom<Rung>('throttle', 'quarantine', 'suspend'), (events, upTo) => {
      const rules = few(upTo, tests(2, 3, 4, 6))
      const [all, some] = [open(rules), open(rules)]
      let at = NOW
      for (const { fact, gap, kept, swept } of events) {
        at += gap
        if (swept) for (const ladder of [all, some]) ladder.sweep(at)
        all.note(A, fact, at)
        if (kept) some.note(A, fact, at)
        // Time alone leads down: whoever heard nothing has to be told of it.
        for (const ladder of [all, some]) ladder.sweep(at)
        expect(RUNGS.indexOf(some.rungOf(A.id))).toBeLessThanOrEqual(RUNGS.indexOf(all.rungOf(A.id)))
        const until = (ladder: Ladder): number => ladder.list(at)[0]?.until ?? Infinity
        const same = some.rungOf(A.id) === all.rungOf(A.id) && some.rungOf(A.id) !== 'none'
        expect(!same || until(some) <= until(all)).toBe(true)
      }
    }), { numRuns: 2_000 })
  })

  test('steps are a path: each begins where the one before ended, and the last ends where the device is', () => {
    fc.assert(fc.property(history, (events) => {
      const ladder = open(few('suspend', tests(2, 3, 4, 6)))
      let at = NOW
      let rung: Rung = 'none'
      for (const { fact, gap, swept } of events) {
        at += gap
        for (const step of [...(swept ? ladder.sweep(at) : []), ...ladder.note(A, fact, at)]) {
          expect(step.from).toBe(rung)
          expect(step.to).not.toBe(rung)
          rung = step.to
        }
        expect(ladder.rungOf(A.id)).toBe(rung)
        expect(ladder.list(at).map((on) => on.rung)).toEqual(rung === 'none' ? [] : [rung])
      }
    }), { numRuns: 1_000 })
  })

  test('after an hour of silence nobody is on observe or throttle', () => {
    fc.assert(fc.property(history, (events) => {
      const ladder = open(few('throttle'))
      let at = NOW
      for (const { fact, gap } of events) ladder.note(A, fact, (at += gap))
      ladder.sweep(at + HOUR)
      expect([ladder.rungOf(A.id), ladder.list(at + HOUR)]).toEqual(['none', []])
    }))
  })
})

describe('memory', () => {
  const MAX = DETECTION_LIMITS.devicesTrackedMax

  test('has an end, and those on a rung keep their place in it', () => {
    const ladder = open(few('throttle'))
    repeat(ladder, 4, () => CONNECT, NOW, 0, device('guilty'))
    for (let i = 0; i < MAX + 10_000; i++) ladder.note(device(`d-${i}`), CONNECT, NOW)
    expect(ladder.size).toBe(MAX)
    expect(ladder.rungOf('guilty' as DeviceId)).toBe('throttle')
    // Who was quiet for longest is forgotten: its count begins anew. Who came last is not.
    expect(ladder.note(device('d-0'), CONNECT, NOW)).toEqual([])
    expect(path(ladder.note(device(`d-${MAX + 9_999}`), CONNECT, NOW))).toEqual(['none→observe'])
  })

  test('has an end also when everybody is on a rung', () => {
    const ladder = open(few('throttle', tests(1, 2)))
    for (let i = 0; i < MAX + 1_000; i++) ladder.note(device(`d-${i}`), CONNECT, NOW)
    expect(ladder.size).toBe(MAX)
    expect(ladder.list(NOW).length).toBe(MAX)
  })

  test('of topics is no more than the tables that there are, whoever asks for how many', () => {
    const ladder = open({ ...few('throttle', tests(Infinity, Infinity)), thresholds: { ...few('none', tests(Infinity, Infinity)).thresholds, topics: tests(50, 200) } })
    repeat(ladder, 100, (i) => refused(`t/${i}`), NOW, 0, device('guilty'))
    for (let i = 0; i < DETECTION_LIMITS.varietiesTrackedMax + 1_000; i++) ladder.note(device(`d-${i}`), refused('t/x'), NOW)
    // The table of who is on a rung is among those that are kept.
    expect(path(repeat(ladder, 150, (i) => refused(`t/${i + 100}`), NOW, 0, device('guilty')))).toEqual(['observe→throttle'])
  })
})
