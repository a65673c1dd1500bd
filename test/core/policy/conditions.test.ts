// When a rule applies: every condition with its yes, its nearest no, and what is neither, because it is not known. And how
// long an answer holds: never longer than it is true.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeConditions, type Judged } from '../../../src/core/policy/conditions.ts'
import type { LocalTime, TimeWindow } from '../../../src/core/policy/document.ts'
import type { Principal } from '../../../src/core/policy/grants.ts'
import { POLICY_TOOLS } from '../../../src/policy-file.ts'
import { device, leaf, NOW } from '../facts.ts'
import { documentOf, grant } from './policies.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Device d, of our own CA. */
const D = { device: device('d'), ca: 'issuing-1' as Principal['ca'], clientId: 'd' }
const at = (instant: string): number => Date.parse(instant)
/** Of a grant with this `when`, for whoever has these facts. */
function judged(when: string, facts: Partial<Principal> = {}): Judged {
  const conditions = documentOf(grant(`when: ${when}`)).grants[0]?.when
  return judgeConditions(conditions ?? expect.fail('there is no condition'), { ...D, ...facts })
}
const holds = (when: string, facts: Partial<Principal> = {}): string => judged(when, facts).holds
const from = (source: string, tls: '1.2' | '1.3' = '1.3'): Partial<Principal> => ({ connection: { source, tls } })

describe('source', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', '::FFFF:10.1.2.3'], ['9.255.255.255', '11.0.0.0', '::ffff:11.0.0.0', '::1', '']],
    ['192.168.1.7', ['192.168.1.7', '::ffff:192.168.1.7'], ['192.168.1.6', '192.168.1.8', '192.168.1.70']],
    ['192.168.1.128/25', ['192.168.1.128', '192.168.1.255'], ['192.168.1.127', '192.168.2.128']],
    ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255', '::ffff:1.2.3.4'], ['::1', '2001:db8::1']],
    ['2001:db8::/32', ['2001:db8::', '2001:DB8:ffff::1', '2001:0db8:0:0:0:0:0:1'], ['2001:db7:ffff::', '2001:db9::', '10.0.0.1']],
    ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '127.0.0.1', '::ffff:127.0.0.1']],
    // An address of IPv4 is its mapped form, too, so it is in what has that; and none is in any other network of IPv6.
    ['::/0', ['::', 'ffff::1', '1.2.3.4', '::ffff:1.2.3.4'], ['', 'x']],
    ['::ffff:0:0/96', ['1.2.3.4', '::ffff:1.2.3.4', '::ffff:102:304'], ['::1', '::fffe:1.2.3.4', '64:ff9b::102:304']],
    ['::ffff:a00:0/104', ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203'], ['11.0.0.0', '::a01:203']],
    ['10.0.0.0/8', ['::ffff:a01:203', '0:0:0:0:0:ffff:10.1.2.3'], ['::ffff:b00:0', '::10.1.2.3', '2002:a01:203::']],
    ['8000::/1', ['8000::', 'ffff::'], ['127.0.0.1', '255.255.255.255', '7fff::']],
    // A network of mapped addresses is one of IPv4.
    ['::ffff:10.0.0.0/104', ['10.9.9.9', '::ffff:10.9.9.9'], ['11.0.0.0', '::a00:1']],
  ])('%s has %j and not %j', (network, inside, outside) => {
    for (const address of inside) expect([address, holds(`{ source: ["${network}"] }`, from(address))]).toEqual([address, 'yes'])
    for (const address of outside) expect([address, holds(`{ source: ["${network}"] }`, from(address))]).toEqual([address, 'no'])
  })

  test.each(['', 'unknown', '10.0.0', '10.0.0.256', '10.0.0.1, 10.0.0.2', '010.0.0.1', '10.0.0.1 ', '10.0.0.1/8', '::ffff:10.0.0.999', 'localhost', 'fe80::1%eth0\n'])('what is no address is in no network: %j', (source) => {
    expect(holds('{ source: ["0.0.0.0/0", "::/0"] }', from(source))).toBe('no')
  })

  test('of several networks one is enough, and one alone needs no brackets', () => {
    expect([holds('{ source: [10.0.0.0/8, "::1"] }', from('::1')), holds('{ source: [10.0.0.0/8, "::1"] }', from('10.0.0.1')), holds('{ source: [10.0.0.0/8, "::1"] }', from('12.0.0.1')), holds('{ source: 10.0.0.0/8 }', from('10.0.0.1'))]).toEqual(['yes', 'yes', 'no', 'yes'])
  })

  test('without a connection it is not known', () => {
    expect(judged('{ source: [10.0.0.0/8] }')).toEqual({ holds: 'unknown' })
  })
})

describe('tls', () => {
  test.each<[string, '1.2' | '1.3', string]>([
    ['"1.2"', '1.2', 'yes'], ['"1.2"', '1.3', 'no'], ['"1.3"', '1.2', 'no'], ['"1.3"', '1.3', 'yes'],
    ['">=1.2"', '1.2', 'yes'], ['">=1.2"', '1.3', 'yes'], ['">=1.3"', '1.2', 'no'], ['">=1.3"', '1.3', 'yes'],
    // YAML reads it as a number.
    ['1.3', '1.3', 'yes'], ['1.3', '1.2', 'no'],
  ])('%s of a connection of TLS %s: %s', (version, tls, expected) => {
    expect(holds(`{ tls: ${version} }`, from('10.0.0.1', tls))).toBe(expected)
  })

  test('without a connection it is not known', () => {
    expect(holds('{ tls: "1.2" }')).toBe('unknown')
  })
})

describe('notBefore and notAfter', () => {
  const T = at('2027-03-01T06:00:00Z')

  test('from the one on, to the millisecond, and until before the other', () => {
    const within = '{ notBefore: 2027-03-01T06:00:00Z, notAfter: 2027-03-01T07:00:00Z }'
    expect([T - 1, T, T + HOUR - 1, T + HOUR].map((now) => judged(within, { now }))).toEqual([
      { holds: 'no', failing: 'notBefore', until: T },
      { holds: 'yes', until: T + HOUR },
      { holds: 'yes', until: T + HOUR },
      { holds: 'no', failing: 'notAfter' },
    ])
  })

  test('an offset is an offset', () => {
    expect([holds('{ notBefore: "2027-03-01T08:00:00+02:00" }', { now: T - 1 }), holds('{ notBefore: "2027-03-01T08:00:00+02:00" }', { now: T })]).toEqual(['no', 'yes'])
  })

  test('what has passed does not change any more', () => {
    expect([judged('{ notBefore: 2027-03-01T06:00:00Z }', { now: T }).until, judged('{ notAfter: 2027-03-01T06:00:00Z }', { now: T }).until]).toEqual([undefined, undefined])
  })

  test('without a time it is not known', () => {
    expect([holds('{ notBefore: 2027-03-01T06:00:00Z }'), holds('{ notAfter: 2027-03-01T06:00:00Z }')]).toEqual(['unknown', 'unknown'])
  })
})

describe('certificateAge', () => {
  const B = NOW
  const aged = (when: string, now: number): Judged => judged(`{ certificateAge: "${when}" }`, { now, certificate: leaf({ notBefore: B }) })

  test('is counted from notBefore of the certificate, to the millisecond', () => {
    expect([B + DAY - 1, B + DAY, B + 90 * DAY - 1, B + 90 * DAY].map((now) => aged('>=1d <90d', now))).toEqual([
      { holds: 'no', failing: 'certificateAge', until: B + DAY },
      { holds: 'yes', until: B + 90 * DAY },
      { holds: 'yes', until: B + 90 * DAY },
      { holds: 'no', failing: 'certificateAge' },
    ])
  })

  test('one bound is enough', () => {
    expect([aged('<1h', B), aged('<1h', B + HOUR), aged('>=1h', B), aged('>=1h', B + HOUR)].map((j) => [j.holds, j.until])).toEqual([['yes', B + HOUR], ['no', undefined], ['no', B + HOUR], ['yes', undefined]])
  })

  test('a certificate from the future is younger than anything', () => {
    expect([aged('<1h', B - DAY).holds, aged('>=1h', B - DAY).holds]).toEqual(['yes', 'no'])
  })

  test('without a time it is not known, and without a certificate it has none', () => {
    expect([holds('{ certificateAge: "<1h" }', { certificate: leaf() }), holds('{ certificateAge: "<1h" }', { now: B }), holds('{ certificateAge: ">=1h" }', { now: B })]).toEqual(['unknown', 'no', 'no'])
  })

  test('a certificate is asked only by a rule that speaks of its age', () => {
    const facts = { now: B, ...from('10.0.0.1'), get certificate(): never { throw new Error('it was read') } }
    const rest = '{ source: [10.0.0.0/8], tls: "1.3", time: { from: "00:00", to: "24:00" }, notBefore: 2020-01-01T00:00:00Z, attested: false, state: active }'
    expect(judgeConditions(documentOf(grant(`when: ${rest}`)).grants[0]!.when!, Object.defineProperties({ ...D }, Object.getOwnPropertyDescriptors(facts))).holds).toBe('yes')
  })
})

describe('attested and state', () => {
  test('a device is attested only when its enrollment proved it', () => {
    expect([holds('{ attested: true }'), holds('{ attested: true }', { attested: false }), holds('{ attested: true }', { attested: true })]).toEqual(['no', 'no', 'yes'])
    expect([holds('{ attested: false }'), holds('{ attested: false }', { attested: true })]).toEqual(['yes', 'no'])
  })

  test.each(['pending', 'active', 'suspended', 'quarantined', 'retired'] as const)('a state is that of the device and no other: %s', (state) => {
    const of = { device: device('d', { state }) }
    const yes = (condition: boolean): string => (condition ? 'yes' : 'no')
    expect([holds('{ state: active }', of), holds('{ state: quarantined }', of), holds('{ state: [active, quarantined] }', of)]).toEqual([yes(state === 'active'), yes(state === 'quarantined'), yes(state === 'active' || state === 'quarantined')])
  })
})

describe('several conditions', () => {
  const both = '{ source: [10.0.0.0/8], notAfter: 2027-03-01T06:00:00Z }'
  const before = at('2027-03-01T05:00:00Z')
  const after = at('2027-03-01T06:00:00Z')

  test('all must hold', () => {
    expect([[from('10.0.0.1'), before], [from('12.0.0.1'), before], [from('10.0.0.1'), after], [from('12.0.0.1'), after]].map(([facts, now]) => holds(both, { ...(facts as object), now: now as number }))).toEqual(['yes', 'no', 'no', 'no'])
  })

  test('one that does not hold outweighs what is not known, whichever stands first', () => {
    expect([holds(both, { now: before }), holds(both, { now: after }), holds(both, from('12.0.0.1')), holds(both, from('10.0.0.1')), holds(both)]).toEqual(['unknown', 'no', 'no', 'unknown', 'unknown'])
    expect([judged(both, { now: after }).failing, judged(both, from('12.0.0.1')).failing, judged(both, { ...from('12.0.0.1'), now: after }).failing]).toEqual(['notAfter', 'source', 'source'])
  })

  test('the answer is asked again at the first of the instants at which one of them may change', () => {
    const when = '{ notBefore: 2027-03-01T06:00:00Z, notAfter: 2027-03-02T00:00:00Z, certificateAge: "<1d" }'
    const certificate = leaf({ notBefore: at('2027-02-28T07:30:00Z') })
    const asked = (instant: string): unknown => judged(when, { now: at(instant), certificate })
    expect(asked('2027-03-01T05:00:00Z')).toEqual({ holds: 'no', failing: 'notBefore', until: at('2027-03-01T06:00:00Z') })
    expect(asked('2027-03-01T06:00:00Z')).toEqual({ holds: 'yes', until: at('2027-03-01T07:30:00Z') })
    expect(asked('2027-03-01T07:30:00Z')).toEqual({ holds: 'no', failing: 'certificateAge', until: at('2027-03-02T00:00:00Z') })
    expect(asked('2027-03-02T00:00:00Z')).toEqual({ holds: 'no', failing: 'notAfter' })
  })
})

describe('time', () => {
  /** Answers of one window at these instants. */
  const during = (window: string, ...instants: readonly string[]): readonly string[] => instants.map((instant) => holds(`{ time: ${window} }`, { now: at(instant) }))

  test('begins at its first minute and ends before its last, to the millisecond', () => {
    expect(during('{ from: "06:00", to: "22:00" }', '2027-03-01T05:59:59.999Z', '2027-03-01T06:00:00.000Z', '2027-03-01T21:59:59.999Z', '2027-03-01T22:00:00.000Z')).toEqual(['no', 'yes', 'yes', 'no'])
    expect(judged('{ time: { from: "06:00", to: "22:00" } }', { now: at('2027-03-01T05:59:59.999Z') })).toEqual({ holds: 'no', failing: 'time', until: at('2027-03-01T06:00:00Z') })
    expect(judged('{ time: { from: "06:00", to: "22:00" } }', { now: at('2027-03-01T06:00:00.001Z') })).toEqual({ holds: 'yes', until: at('2027-03-01T22:00:00Z') })
  })

  test('what is left out is the whole: all days, the beginning and the end of the day, UTC', () => {
    expect(during('{ days: [mon] }', '2027-02-28T23:59:59.999Z', '2027-03-01T00:00:00Z', '2027-03-01T23:59:59.999Z', '2027-03-02T00:00:00Z')).toEqual(['no', 'yes', 'yes', 'no'])
    expect(during('{ to: "06:00" }', '2027-03-01T00:00:00Z', '2027-03-01T06:00:00Z')).toEqual(['yes', 'no'])
    expect(during('{ from: "06:00" }', '2027-03-01T05:59:59Z', '2027-03-01T23:59:59Z', '2027-03-02T00:00:00Z')).toEqual(['no', 'yes', 'no'])
    expect(during('{ from: "06:00", to: "24:00" }', '2027-03-01T23:59:59Z', '2027-03-02T00:00:00Z')).toEqual(['yes', 'no'])
    expect(during('{ from: "06:00", to: "00:00" }', '2027-03-01T23:59:59Z', '2027-03-02T00:00:00Z')).toEqual(['yes', 'no'])
  })

  test('days are those that are named, and a range may go round the week', () => {
    const week = ['2027-03-01', '2027-03-02', '2027-03-03', '2027-03-04', '2027-03-05', '2027-03-06', '2027-03-07'].map((day) => `${day}T12:00:00Z`)
    expect(during('{ days: [mon-fri] }', ...week).map((h) => h === 'yes')).toEqual([true, true, true, true, true, false, false])
    expect(during('{ days: [sat-mon, wed] }', ...week).map((h) => h === 'yes')).toEqual([true, false, true, false, false, true, true])
    expect(during('{ days: sun }', ...week).map((h) => h === 'yes')).toEqual([false, false, false, false, false, false, true])
  })

  test('a window over midnight belongs to the day on which it begins', () => {
    // From Monday to Friday evening: early on Monday is Sunday's, early on Saturday is Friday's.
    expect(during('{ days: [mon-fri], from: "22:00", to: "06:00" }', '2027-03-01T05:59:59Z', '2027-03-01T21:59:59Z', '2027-03-01T22:00:00Z', '2027-03-02T05:59:59.999Z', '2027-03-02T06:00:00Z', '2027-03-06T05:59:59Z', '2027-03-06T22:00:00Z', '2027-03-07T03:00:00Z')).toEqual(['no', 'no', 'yes', 'yes', 'no', 'yes', 'no', 'no'])
    expect(during('{ days: [sun], from: "22:00", to: "06:00" }', '2027-02-28T03:00:00Z', '2027-02-28T22:00:00Z', '2027-03-01T05:59:59Z', '2027-03-01T22:00:00Z')).toEqual(['no', 'yes', 'yes', 'no'])
  })

  test('is that of its zone', () => {
    expect(during('{ days: [mon], from: "06:00", to: "22:00", zone: Asia/Kathmandu }', '2027-03-01T00:14:59Z', '2027-03-01T00:15:00Z', '2027-03-01T16:14:59Z', '2027-03-01T16:15:00Z')).toEqual(['no', 'yes', 'yes', 'no'])
    expect(during('{ days: [mon], zone: Pacific/Auckland }', '2027-02-28T10:59:59Z', '2027-02-28T11:00:00Z', '2027-03-01T10:59:59Z', '2027-03-01T11:00:00Z')).toEqual(['no', 'yes', 'yes', 'no'])
  })

  test('without a time it is not known', () => {
    expect(judged('{ time: { from: "06:00" } }', from('10.0.0.1'))).toEqual({ holds: 'unknown' })
  })

  describe('when the clock is put forward: in Berlin on 28 March 2027, 02:00 is 03:00', () => {
    const zone = 'zone: Europe/Berlin'

    test('a window begins and ends by the clock on the wall', () => {
      expect(during(`{ from: "06:00", to: "07:00", ${zone} }`, '2027-03-27T05:00:00Z', '2027-03-28T03:59:59Z', '2027-03-28T04:00:00Z', '2027-03-28T04:59:59Z', '2027-03-28T05:00:00Z')).toEqual(['yes', 'no', 'yes', 'yes', 'no'])
    })

    test('one that would be in the missing hour is not there that day', () => {
      expect(during(`{ from: "02:15", to: "02:45", ${zone} }`, '2027-03-27T01:30:00Z', '2027-03-28T00:59:59Z', '2027-03-28T01:00:00Z', '2027-03-28T01:30:00Z', '2027-03-29T00:30:00Z')).toEqual(['yes', 'no', 'no', 'no', 'yes'])
    })

    test('one that the missing hour is a part of begins, or ends, when the clock is put forward', () => {
      expect(during(`{ from: "02:30", to: "04:00", ${zone} }`, '2027-03-28T00:59:59.999Z', '2027-03-28T01:00:00Z', '2027-03-28T01:59:59Z', '2027-03-28T02:00:00Z')).toEqual(['no', 'yes', 'yes', 'no'])
      expect(during(`{ from: "01:00", to: "02:30", ${zone} }`, '2027-03-28T00:59:59.999Z', '2027-03-28T01:00:00Z')).toEqual(['yes', 'no'])
      expect(judged(`{ time: { from: "02:30", to: "04:00", ${zone} } }`, { now: at('2027-03-28T00:10:00Z') }).until).toBe(at('2027-03-28T01:00:00Z'))
      expect(judged(`{ time: { from: "01:00", to: "02:30", ${zone} } }`, { now: at('2027-03-28T00:10:00Z') }).until).toBe(at('2027-03-28T01:00:00Z'))
    })
  })

  describe('when the clock is put back: in Berlin on 31 October 2027, 03:00 is 02:00', () => {
    const zone = 'zone: Europe/Berlin'

    test('a window begins and ends by the clock on the wall', () => {
      expect(during(`{ from: "06:00", to: "07:00", ${zone} }`, '2027-10-30T04:00:00Z', '2027-10-31T04:59:59Z', '2027-10-31T05:00:00Z', '2027-10-31T05:59:59Z', '2027-10-31T06:00:00Z')).toEqual(['yes', 'no', 'yes', 'yes', 'no'])
    })

    test('one in the hour that comes twice is there twice', () => {
      const window = `{ from: "02:15", to: "02:45", ${zone} }`
      expect(during(window, '2027-10-31T00:15:00Z', '2027-10-31T00:45:00Z', '2027-10-31T01:00:00Z', '2027-10-31T01:14:59Z', '2027-10-31T01:15:00Z', '2027-10-31T01:45:00Z')).toEqual(['yes', 'no', 'no', 'no', 'yes', 'no'])
      expect(judged(`{ time: ${window} }`, { now: at('2027-10-31T00:50:00Z') }).until).toBe(at('2027-10-31T01:00:00Z'))
    })

    test('one that ended in it is open again when the clock is put back', () => {
      const window = `{ from: "01:00", to: "02:30", ${zone} }`
      expect(during(window, '2027-10-31T00:29:59Z', '2027-10-31T00:30:00Z', '2027-10-31T00:59:59.999Z', '2027-10-31T01:00:00Z', '2027-10-31T01:30:00Z')).toEqual(['yes', 'no', 'no', 'yes', 'no'])
      expect(judged(`{ time: ${window} }`, { now: at('2027-10-31T00:40:00Z') }).until).toBe(at('2027-10-31T01:00:00Z'))
    })
  })
})

describe('until', () => {
  // With every kind of change of the clock: an hour, half an hour (Lord Howe), two hours (Troll), at 00:00, at odd offsets, and none.
  const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Chatham', 'Asia/Kathmandu', 'Africa/Casablanca', 'Antarctica/Troll', 'America/Santiago', 'Asia/Beirut', 'Africa/Cairo']
  const clocks = new Map(ZONES.map((name) => [name, POLICY_TOOLS.zone(name) as LocalTime]))
  const YEAR_2026 = at('2026-01-01T00:00:00Z')
  /** Minutes at which a zone's clock was put forward or back, in three years. */
  const changes = ZONES.flatMap((zone) => {
    const clock = clocks.get(zone)!
    const offset = (t: number): number => (((clock(t).day * 1_440 + clock(t).minute - Math.floor(t / MINUTE)) % 10_080) + 10_080) % 10_080
    const days = Array.from({ length: 3 * 365 }, (_, i) => YEAR_2026 + i * DAY).filter((t) => offset(t) !== offset(t + DAY))
    return days.map((t) => {
      let minute = t
      while (offset(minute) === offset(t)) minute += MINUTE
      return { zone, change: minute }
    })
  })
  const minuteOfDay = fc.oneof(fc.integer({ min: 0, max: 1_439 }), fc.integer({ min: 0, max: 47 }).map((n) => n * 30))
  const windows = (zone: string): fc.Arbitrary<TimeWindow> => fc.record({
    days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), fromMinute: minuteOfDay, toMinute: minuteOfDay.map((m) => m + 1), zone: fc.constant(zone), localTime: fc.constant(clocks.get(zone)!),
  }).filter(({ fromMinute, toMinute }) => fromMinute !== toMinute)
  const anywhere = fc.tuple(fc.constantFrom(...ZONES), fc.integer({ min: YEAR_2026, max: YEAR_2026 + 3 * 365 * DAY }))
  const nearAChange = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -26 * HOUR, max: 3 * HOUR })).map(([{ zone, change }, before]) => [zone, change + before] as const)
  const asked = fc.oneof(anywhere, nearAChange).chain(([zone, now]) => fc.tuple(windows(zone), fc.constant(now)))
  const judge = (time: TimeWindow, now: number): Judged => judgeConditions({ at: { file: 'f', line: 1, column: 1 }, time }, { ...D, now })

  test('there are clocks that are put forward and back, all through the years', () => {
    expect(new Set(changes.map(({ zone }) => zone)).size).toBeGreaterThanOrEqual(9)
    expect(changes.length).toBeGreaterThan(50)
  })

  test('at every instant before it the answer is what it is now', () => {
    fc.assert(fc.property(asked, fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { minLength: 12, maxLength: 12 }), ([window, now], places) => {
      const { holds: is, until = now } = judge(window, now)
      expect(until).toBeGreaterThan(now)
      const instants = [until - 1, ...places.map((p) => now + Math.floor(p * (until - now)))]
      expect(instants.filter((t) => judge(window, t).holds !== is)).toEqual([])
    }), { numRuns: 4_000 })
  })

  test('minute by minute through a change of the clock, no answer lasts longer than it is true', () => {
    fc.assert(fc.property(fc.constantFrom(...changes).chain(({ zone, change }) => fc.tuple(windows(zone), fc.constant(change))), ([window, change]) => {
      let last: Judged | undefined
      for (let t = change - 90 * MINUTE; t < change + 150 * MINUTE; t += MINUTE) {
        if (last !== undefined && t < (last.until ?? t)) expect(judge(window, t).holds).toBe(last.holds)
        else last = judge(window, t)
      }
    }), { numRuns: 150 })
  })

  test('a day is asked about six times at most, one on which the clock is changed included', () => {
    fc.assert(fc.property(asked, ([window, now]) => {
      let count = 0
      for (let t = now; t < now + DAY; t = judge(window, t).until ?? expect.fail('it never changes')) count += 1
      expect(count).toBeLessThanOrEqual(6)
    }), { numRuns: 1_000 })
  })
})
