// The judge: for every kind of expectation what fits it, and the nearest that does not.

import { describe, expect, test } from 'vitest'
import { agrees, describe as inWords, judgeAudit, selects, type Claim, type Expected, type Observed, type RefusalRecord } from '../../device-sim/oracle.ts'
import { SIM_LIMITS } from '../../device-sim/limits.ts'

const published = (changes: Partial<Extract<Observed, { kind: 'published' }>>): Observed => ({ kind: 'published', version: 5, qos: 1, acknowledged: 0x87, receivers: [], ...changes })
const answered = (changes: Partial<Extract<Observed, { kind: 'answered' }>>): Observed => ({ kind: 'answered', status: 400, code: 'key-weak', recorded: 0, ...changes })
const cut = (changes: Partial<Extract<Observed, { kind: 'cut' }>>): Observed => ({ kind: 'cut', version: 5, code: 0x98, afterMs: 10, ...changes })
const flood = (changes: Partial<Extract<Observed, { kind: 'flood' }>>): Observed => ({ kind: 'flood', tried: 10, refused: 10, slowestMs: 100, ...changes })
const trap = (bytes: number, complaint: string | undefined): Observed => ({ kind: 'trap', bytes, complaint })
const connack = (version: 4 | 5, code: number): Observed => ({ kind: 'refused-by-connack', version, code })
const suback = (granted: number | undefined, received = 0): Observed => ({ kind: 'subscribed', granted, received })
const inTls: Observed = { kind: 'refused-in-tls', how: 'ECONNRESET' }
const open: Observed = { kind: 'open', afterMs: SIM_LIMITS.verdictMs }
const admitted: Observed = { kind: 'admitted' }

interface Row {
  readonly expected: Expected
  readonly fits: readonly Observed[]
  readonly not: readonly Observed[]
}

const CODES = { v3: [0x05], v5: [0x87] }
const TABLE: Readonly<Record<Expected['kind'], Row>> = {
  admitted: { expected: { kind: 'admitted' }, fits: [admitted], not: [inTls, connack(4, 5), open] },
  tls: { expected: { kind: 'tls' }, fits: [inTls], not: [connack(4, 5), cut({}), open, admitted] },
  connack: { expected: { kind: 'connack', ...CODES }, fits: [connack(4, 0x05), connack(5, 0x87)], not: [connack(4, 0x87), connack(5, 0x05), connack(4, 0x02), inTls, open, admitted] },
  'tls-or-connack': { expected: { kind: 'tls-or-connack', ...CODES }, fits: [inTls, connack(4, 0x05), connack(5, 0x87)], not: [connack(4, 0x02), connack(5, 0x86), cut({}), open, admitted] },
  cut: {
    expected: { kind: 'cut', v5: [0x98] },
    fits: [cut({}), cut({ afterMs: SIM_LIMITS.kickMs }), cut({ version: 4, code: undefined })],
    not: [cut({ afterMs: SIM_LIMITS.kickMs + 1 }), cut({ code: 0x87 }), cut({ code: undefined }), open, admitted],
  },
  'publish-dropped': {
    expected: { kind: 'publish-dropped', v5: [0x87] },
    fits: [published({}), published({ version: 4, acknowledged: 0 }), published({ qos: 0, acknowledged: undefined })],
    not: [published({ receivers: ['the backend'] }), published({ acknowledged: 0 }), published({ acknowledged: undefined }), published({ version: 4, acknowledged: 0x87 }), published({ qos: 0, acknowledged: undefined, receivers: ['x'] }), cut({})],
  },
  'subscribe-refused': { expected: { kind: 'subscribe-refused' }, fits: [suback(0x80), suback(0x87), suback(undefined)], not: [suback(0), suback(2), suback(0x80, 1), suback(undefined, 1), admitted] },
  http: { expected: { kind: 'http', statuses: [400] }, fits: [answered({})], not: [answered({ status: 403 }), answered({ status: 200 }), answered({ recorded: 1 }), { kind: 'issued', surplus: [] }] },
  'post-refused': {
    expected: { kind: 'post-refused', statuses: [403] },
    fits: [{ kind: 'posted', status: 403, code: 'publish-not-granted', receivers: [] }],
    not: [{ kind: 'posted', status: 200, code: undefined, receivers: [] }, { kind: 'posted', status: 403, code: 'publish-not-granted', receivers: ['the backend'] }, answered({ status: 403 })],
  },
  'http-or-dropped': {
    expected: { kind: 'http-or-dropped', statuses: [400] },
    fits: [answered({}), { kind: 'issued', surplus: [] }],
    not: [{ kind: 'issued', surplus: ['CA:TRUE'] }, answered({ status: 500 }), answered({ recorded: 1 })],
  },
  'all-closed': { expected: { kind: 'all-closed', withinMs: 100 }, fits: [flood({})], not: [flood({ refused: 9 }), flood({ slowestMs: 101 }), flood({ tried: 0, refused: 0 }), open] },
  'some-refused': { expected: { kind: 'some-refused' }, fits: [flood({}), flood({ refused: 1 })], not: [flood({ refused: 0 }), open] },
  'silent-device': { expected: { kind: 'silent-device' }, fits: [trap(0, 'unable to verify')], not: [trap(1, 'unable to verify'), trap(0, undefined)] },
  withstood: { expected: { kind: 'withstood' }, fits: [{ kind: 'withstood', how: 'closed' }, inTls], not: [admitted, open, { kind: 'disturbed', how: 'x' }, { kind: 'undisturbed' }] },
  undisturbed: { expected: { kind: 'undisturbed' }, fits: [{ kind: 'undisturbed' }], not: [{ kind: 'disturbed', how: 'slow' }, admitted] },
}

describe.each(Object.entries(TABLE))('expected %s', (_, { expected, fits, not }) => {
  test.each(fits.map((seen) => [inWords(seen), seen] as const))('fits: %s', (__, seen) => expect(agrees(expected, seen)).toBe(true))
  test.each(not.map((seen) => [inWords(seen), seen] as const))('does not fit: %s', (__, seen) => expect(agrees(expected, seen)).toBe(false))
})

describe('the audit log', () => {
  const record = (changes: Partial<RefusalRecord> = {}): RefusalRecord => ({ sequence: 7, reason: 'key-weak', count: 1, ...changes })
  const claim = (changes: Partial<Claim> = {}): Claim => ({ outcome: { kind: 'tls' }, reasons: ['key-weak', 'key-in-use'], ...changes })

  test('of one refusal it has exactly one record, with an accepted reason', () => {
    expect(judgeAudit(claim(), [record()])).toBe('fits')
    expect(judgeAudit(claim(), [record({ reason: 'key-in-use' })])).toBe('fits')
    expect(judgeAudit(claim(), [])).toBe('missing')
    expect(judgeAudit(claim(), [record({ reason: 'no-grant' })])).toBe('wrong')
    expect(judgeAudit(claim(), [record(), record()])).toBe('wrong')
    expect(judgeAudit(claim(), [record({ count: 2 })])).toBe('wrong')
  })

  test('of a flood it has as many as it likes, and none with another reason', () => {
    const counted = claim({ counted: true })
    expect(judgeAudit(counted, [record(), record({ count: 4_000 })])).toBe('fits')
    expect(judgeAudit(counted, [])).toBe('missing')
    expect(judgeAudit(counted, [record(), record({ reason: 'no-grant' })])).toBe('wrong')
  })

  test('of what is no refusal it has none', () => {
    expect(judgeAudit(claim({ reasons: [] }), [])).toBe('fits')
    expect(judgeAudit(claim({ reasons: [] }), [record()])).toBe('wrong')
  })

  test('a record belongs to an attempt when every field that is named is the same', () => {
    const found = record({ address: '127.64.0.1', port: 4_711, device: 'd', topic: 't/d' })
    expect(selects({ address: '127.64.0.1', port: 4_711, device: 'd', topic: 't/d' }, found)).toBe(true)
    expect(selects({ address: '127.64.0.1' }, found)).toBe(true)
    for (const other of [{ address: '127.64.0.2' }, { port: 4_712 }, { device: 'e' }, { topic: 't/e' }]) expect(selects({ address: '127.64.0.1', ...other }, found)).toBe(false)
  })

  test('a counted record stands for many ports, and for one address', () => {
    const counted = record({ count: 12, address: '127.64.0.1', port: 1 })
    expect(selects({ address: '127.64.0.1', port: 2 }, counted)).toBe(true)
    expect(selects({ address: '127.64.0.2', port: 2 }, counted)).toBe(false)
  })
})
