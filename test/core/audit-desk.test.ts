// Which records of the audit log fit a search.

import { expect, test } from 'vitest'
import { fitsQuery, type AuditQuery } from '../../src/core/audit-desk.ts'

const RECORD = { '@timestamp': '2026-11-28T02:10:00.000Z', event: { action: 'refusal', reason: 'The device is suspended.' }, device: { id: 'pump-7' }, detail: { step: 'registry', count: 412, text: 'a "quoted" \n word' }, user: { name: 'operator:anna' } }
const fits = (query: AuditQuery, record: Readonly<Record<string, unknown>> = RECORD): boolean => fitsQuery(query)(record, JSON.stringify(record))

test.each<[string, AuditQuery, boolean]>([
  ['nothing is asked for', {}, true],
  ['the action is this one', { action: 'refusal' }, true],
  ['the action is another one', { action: 'refusals-suppressed' }, false],
  ['it is of this device', { device: 'pump-7' }, true],
  ['the device only begins so', { device: 'pump' }, false],
  ['one of its texts has it, however it is written', { q: 'SUSPENDED' }, true],
  ['a number is it', { q: '412' }, true],
  ['a text with a quotation mark and a line break has it', { q: '"quoted" \n w' }, true],
  ['only the name of a field has it', { q: 'detail' }, false],
  ['two values have it together only as they stand in the file', { q: 'refusal","reason' }, false],
  ['one of two does not fit', { action: 'refusal', device: 'pump-8' }, false],
])('where %s', (_, query, expected) => {
  expect(fits(query)).toBe(expected)
})

test('who only claimed to be a device is found by its name', () => {
  expect(fits({ device: 'pump-8' }, { ...RECORD, device: undefined, detail: { claimed: 'pump-8' } })).toBe(true)
})

test('names of the language are no fields', () => {
  expect(fits({ action: 'function Object() { [native code] }' }, { event: {} })).toBe(false)
  expect(fits({ device: '__proto__' })).toBe(false)
})
