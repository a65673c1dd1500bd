// What a connection may put behind its CONNECT before that is answered, a number of packets and of bytes; and that who does
// not read the answers cannot go on asking.

import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { installPacketGate } from '../../../src/broker/engine/packet-gate.ts'
import type { EngineClient } from '../../../src/broker/engine/surface.ts'
import type { Session } from '../../../src/broker/sessions.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

/** A gate over a parser that says what packets come, and what became of them. */
function gate(): { readonly arrive: (length: number) => void; readonly faults: string[] } {
  const parser = Object.assign(new EventEmitter(), { _pos: 0, parse: () => 0 })
  parser.on('packet', () => undefined)
  const faults: string[] = []
  installPacketGate({ _parser: parser, connackSent: false, closed: false, subscriptions: {} } as unknown as EngineClient, {
    session: () => undefined, filtersHeld: () => ({ ofSession: 0, ofDevice: 0 }), onRefusal: () => undefined, onThrow: () => undefined,
    onFault: (fault) => void faults.push(`${fault.reason}: ${fault.detail}`),
  })
  return { faults, arrive: (length) => void parser.emit('packet', { cmd: 'publish', topic: 't', qos: 0, length }) }
}

test('packets behind a CONNECT that waits have an end in bytes, to the byte', () => {
  const { arrive, faults } = gate()
  const piece = BROKER_LIMITS.bytesBeforeConnackMax / 4
  for (let i = 0; i < 4; i++) arrive(piece)
  expect(faults).toEqual([])
  arrive(1)
  expect(faults).toEqual(['quota-exceeded: bytes before CONNACK'])
})

test('packets behind a CONNECT that waits have an end in number, however small they are', () => {
  const { arrive, faults } = gate()
  for (let i = 0; i < BROKER_LIMITS.packetsBeforeConnackMax; i++) arrive(0)
  expect(faults).toEqual([])
  arrive(0)
  expect(faults).toEqual(['quota-exceeded: packets before CONNACK'])
})

test('who does not read what is answered is not heard further: the engine sees no packet beyond the bound', () => {
  const parser = Object.assign(new EventEmitter(), { _pos: 0, parse: () => 0 })
  const [seen, faults]: [string[], string[]] = [[], []]
  parser.on('packet', ({ topic }: { topic: string }) => void seen.push(topic))
  const conn = { writableLength: BROKER_LIMITS.outboundBytesMax }
  installPacketGate({ _parser: parser, connackSent: true, closed: false, subscriptions: {}, conn } as unknown as EngineClient, {
    session: () => ({ ending: undefined }) as Session, filtersHeld: () => ({ ofSession: 0, ofDevice: 0 }), onRefusal: () => undefined, onThrow: () => undefined,
    onFault: (fault) => void faults.push(`${fault.reason}: ${fault.detail}`),
  })
  const publish = (topic: string): unknown => parser.emit('packet', { cmd: 'publish', topic, qos: 1, messageId: 1, length: 9 })
  publish('at the bound')
  expect([seen, faults]).toEqual([['at the bound'], []])
  conn.writableLength += 1
  publish('beyond')
  expect([seen, faults]).toEqual([['at the bound'], ['quota-exceeded: the client reads too slowly']])
})
