// What the simulator reads in the audit log and in the admin API's answers.

import { describe, expect, test } from 'vitest'
import { enrolledFrom, field, readRecord } from '../../device-sim/admin.ts'

describe('a field of a record', () => {
  test.each([
    ['nested', { event: { action: 'refusal' } }],
    ['dotted', { 'event.action': 'refusal' }],
    ['dotted below', { event: { action: 'refusal' }, 'event.reason': 'x' }],
  ])('is found when it is %s', (_, record) => expect(field(record, 'event.action')).toBe('refusal'))

  test('is found behind a dotted part', () => expect(field({ 'a.b': { c: 1 } }, 'a.b.c')).toBe(1))

  test.each([[{}], [{ event: 'refusal' }], [{ event: ['refusal'] }], [{ event: null }], [{ event: { actions: 1 } }]])('is not found in %j', (record) => {
    expect(field(record, 'event.action')).toBeUndefined()
  })
})

describe('a record', () => {
  test('of a refusal has its reason, address, port, device and topic', () => {
    const record = {
      'event.action': 'refusal', 'event.reason': 'publish-not-granted', 'sallyport.seq': 12, 'source.ip': '127.64.0.1', 'source.port': 4_711, 'device.id': 'd', 'mqtt.topic': 't/x',
    }
    expect(readRecord(record)).toEqual({ sequence: 12, reason: 'publish-not-granted', count: 1, address: '127.64.0.1', port: 4_711, device: 'd', topic: 't/x' })
  })

  test('of counted refusals has their number', () => {
    expect(readRecord({ event: { action: 'refusals-suppressed', reason: 'source-rate' }, sallyport: { seq: 3 }, detail: { count: 990 } })).toMatchObject({ sequence: 3, reason: 'source-rate', count: 990 })
  })

  test.each(['session-ended', 'admission', 'certificate-revoked'])('of %s is no refusal, though it may have a reason', (action) => {
    expect(readRecord({ event: { action, reason: 'certificate-revoked' }, sallyport: { seq: 4 } }).reason).toBeUndefined()
  })

  test('with values of the wrong type has none of them', () => {
    expect(readRecord({ event: { action: 'refusal', reason: 1 }, source: { ip: 7, port: '7' }, sallyport: { seq: '1' } })).toEqual({ sequence: 0, reason: undefined, count: 1, address: undefined, port: undefined, device: undefined, topic: undefined })
  })
})

test('an answer is an enrolled device when it says so and holds everything', () => {
  const body = { serial: '01', certificate: 'c', chain: ['i'], root: 'r' }
  expect(enrolledFrom({ status: 201, body, code: undefined })).toEqual(body)
  expect(enrolledFrom({ status: 400, body, code: undefined })).toBeUndefined()
  expect(enrolledFrom({ status: 201, body: { ...body, root: undefined }, code: undefined })).toBeUndefined()
})
