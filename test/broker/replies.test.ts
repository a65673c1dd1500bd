// Refusals as bytes: every reason as a packet that a client may be sent. That they are sent is the business of other tests.

import mqttPacket from 'mqtt-packet'
import { expect, test } from 'vitest'
import { disconnectPacket } from '../../src/broker/replies.ts'
import { REASONS } from '../../src/vocabulary.ts'

/** MQTT 5 §3.14.2.1: what a server may say. */
const DISCONNECT_CODES = [0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]

test('a DISCONNECT has a code that a DISCONNECT may have, whatever the reason', () => {
  const sent = Object.entries(REASONS).map(([reason, { reason5, sentence }]) => {
    const bytes = disconnectPacket(reason5, sentence, undefined)
    if (bytes === undefined) throw new Error('no packet')
    let code: number | undefined
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    parser.on('packet', (packet) => void (code = packet.cmd === 'disconnect' ? packet.reasonCode : undefined))
    parser.on('error', (error) => { throw error })
    parser.parse(bytes)
    return [reason, code] as const
  })
  expect(sent.filter(([, code]) => code === undefined || !DISCONNECT_CODES.includes(code))).toEqual([])
  expect(Object.fromEntries(sent)).toMatchObject({ 'client-id-mismatch': 0x87, 'no-grant': 0x87, 'sessions-limit': 0x97, 'store-unavailable': 0x83, 'quota-exceeded': 0x97 })
})
