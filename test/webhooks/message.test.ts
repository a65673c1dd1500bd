// A message: signed as the standard says, the same under the same id, and its record as it stands in the log.

import { expect, test } from 'vitest'
import { headersOf, parseSecret, recordMessage, secretText, testMessage } from '../../src/webhooks/message.ts'

test('the signature is that of the example that receivers\' libraries are tested with', () => {
  const headers = headersOf({ id: 'msg_loFOjxBNrRLzqYUf', body: '{"event_type":"ping","data":{"success":true}}' }, parseSecret('whsec_plJ3nmyCDGBKInavdOK15jsl'), 1_731_705_121_999)
  expect(headers).toMatchObject({ 'webhook-id': 'msg_loFOjxBNrRLzqYUf', 'webhook-timestamp': '1731705121', 'webhook-signature': 'v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=', 'content-type': 'application/json' })
})

test('a secret comes back as it was written', () => {
  const secret = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7))
  expect(parseSecret(`${secretText(secret)}\n`)).toEqual(secret)
})

test('a record is in it unchanged, with what it is and when it was; its id is that of the record', () => {
  const line = '{"@timestamp":"2027-01-15T08:00:00.000Z","event":{"action":"device-added"},"device":{"id":"ü\\u2028"},"sallyport":{"seq":7}}'
  const message = recordMessage('pager', 7, line)
  expect([message.id, message.number]).toEqual(['pager_7', 7])
  expect(message.body).toBe(`{"type":"registry.device-added","timestamp":"2027-01-15T08:00:00.000Z","data":${line}}`)
  expect(recordMessage('pager', 7, line)).toEqual(message)
  expect(Number(headersOf(message, Buffer.alloc(32), 0)['content-length'])).toBe(Buffer.byteLength(message.body))
})

test('what another version of this program wrote has a type, too', () => {
  expect(JSON.parse(recordMessage('a', 1, '{"event":{"action":"teleported"}}').body)).toMatchObject({ type: 'server.teleported', timestamp: '1970-01-01T00:00:00.000Z' })
  expect(JSON.parse(recordMessage('a', 1, '{"event":{"action":"__proto__"}}').body)).toMatchObject({ type: 'server.__proto__' })
})

test('two tests are two messages', () => {
  expect(testMessage('a', 1).id).not.toBe(testMessage('a', 2).id)
})
