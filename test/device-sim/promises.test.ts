// At a broker that is not ours: what is otherwise than expected and no hole, and the nearest that is one.

import { describe, expect, test } from 'vitest'
import { agrees, describe as inWords, type Claim, type Expected, type Observed } from '../../device-sim/oracle.ts'
import { noHole } from '../../device-sim/promises.ts'
import { SIM_LIMITS } from '../../device-sim/limits.ts'

const NONE: ReadonlySet<string> = new Set()
const CODES = { v3: [0x05], v5: [0x87] }
const connack: Observed = { kind: 'refused-by-connack', version: 5, code: 0x86 }
const cut = (afterMs: number): Observed => ({ kind: 'cut', version: 5, code: undefined, afterMs })
const admitted: Observed = { kind: 'admitted' }
const open: Observed = { kind: 'open', afterMs: 5_000 }
const published = (acknowledged: number | undefined, ...receivers: readonly string[]): Observed => ({ kind: 'published', version: 5, qos: 1, acknowledged, receivers })
const suback = (received: number): Observed => ({ kind: 'subscribed', granted: 0, received })
const flood: Observed = { kind: 'flood', tried: 10, refused: 0, slowestMs: 1 }

interface Row {
  readonly expected: Expected
  readonly kept: readonly Observed[]
  readonly hole: readonly Observed[]
}

const TABLE: Readonly<Record<Expected['kind'], Row>> = {
  admitted: { expected: { kind: 'admitted' }, kept: [], hole: [connack, open] },
  tls: { expected: { kind: 'tls' }, kept: [connack, cut(1)], hole: [admitted, open] },
  connack: { expected: { kind: 'connack', ...CODES }, kept: [connack, { kind: 'refused-in-tls', how: 'closed' }, cut(1)], hole: [admitted, open] },
  'tls-or-connack': { expected: { kind: 'tls-or-connack', ...CODES }, kept: [connack, cut(1)], hole: [admitted, open] },
  cut: { expected: { kind: 'cut', v5: [0x98] }, kept: [cut(SIM_LIMITS.kickMs)], hole: [cut(SIM_LIMITS.kickMs + 1), open] },
  'publish-dropped': { expected: { kind: 'publish-dropped', v5: [0x87] }, kept: [published(0), published(undefined), cut(1)], hole: [published(0, 'the backend'), published(0x87, 'the backend'), open] },
  'subscribe-refused': { expected: { kind: 'subscribe-refused' }, kept: [suback(0)], hole: [suback(1), open] },
  http: { expected: { kind: 'http', statuses: [400] }, kept: [], hole: [{ kind: 'answered', status: 200, code: undefined, recorded: 0 }] },
  'post-refused': { expected: { kind: 'post-refused', statuses: [403] }, kept: [], hole: [{ kind: 'posted', status: 200, code: undefined, receivers: [] }] },
  'http-or-dropped': { expected: { kind: 'http-or-dropped', statuses: [400] }, kept: [], hole: [{ kind: 'issued', surplus: ['CA:TRUE'] }] },
  'all-closed': { expected: { kind: 'all-closed', withinMs: 1 }, kept: [flood], hole: [open] },
  'some-refused': { expected: { kind: 'some-refused' }, kept: [flood], hole: [open] },
  'silent-device': { expected: { kind: 'silent-device' }, kept: [], hole: [{ kind: 'trap', bytes: 1, complaint: 'no' }] },
  withstood: { expected: { kind: 'withstood' }, kept: [connack, cut(1)], hole: [admitted, open, { kind: 'disturbed', how: 'a second handshake' }] },
  undisturbed: { expected: { kind: 'undisturbed' }, kept: [], hole: [{ kind: 'disturbed', how: 'gone' }] },
}

describe.each(Object.entries(TABLE))('expected %s', (_, { expected, kept, hole }) => {
  const claim: Claim = { outcome: expected, reasons: [] }
  test('what is kept otherwise is not what was expected, and is told why it is no hole', () => {
    expect(kept.filter((seen) => agrees(expected, seen)).map(inWords)).toEqual([])
    expect(kept.filter((seen) => noHole(claim, seen, 'certificate', NONE) === undefined).map(inWords)).toEqual([])
  })
  test('what is a hole has no excuse', () => {
    expect(hole.filter((seen) => noHole(claim, seen, 'certificate', NONE) !== undefined).map(inWords)).toEqual([])
  })
})

test('being let in is no hole where the row says why, and only where a device is named by what the row says', () => {
  const claim: Claim = { outcome: TABLE.connack.expected, reasons: [], elsewhere: { because: 'Only a name.', where: 'certificate' } }
  expect(noHole(claim, admitted, 'certificate', NONE)).toBe('Only a name.')
  expect(noHole(claim, admitted, 'client-id', NONE)).toBeUndefined()
  expect(noHole(claim, open, 'certificate', NONE)).toBeUndefined()
  expect(noHole({ ...claim, elsewhere: { because: 'Judged elsewhere.' } }, admitted, 'client-id', NONE)).toBe('Judged elsewhere.')
  const judged: Claim = { ...claim, elsewhere: { because: 'Judged by what it can do.', judgedBy: 'speaks' } }
  expect(noHole(judged, admitted, 'certificate', new Set(['attack', 'speaks']))).toBe('Judged by what it can do.')
  expect(noHole(judged, admitted, 'certificate', new Set(['attack']))).toBeUndefined()
  const answered: Claim = { ...claim, elsewhere: { because: 'Passed over.', seen: 'disturbed' } }
  expect(noHole(answered, { kind: 'disturbed', how: 'answered' }, 'certificate', NONE)).toBe('Passed over.')
  expect(noHole(answered, admitted, 'certificate', NONE)).toBeUndefined()
  const either: Claim = { ...claim, elsewhere: { because: 'Borne with.', seen: ['open', 'admitted'] } }
  expect([open, admitted, suback(1)].map((seen) => noHole(either, seen, 'certificate', NONE))).toEqual(['Borne with.', 'Borne with.', undefined])
})
