// What a connection may put behind its CONNECT before that is answered, a number of packets and of bytes; that who does not
// read the answers cannot go on asking; and in which order SUBSCRIBE and UNSUBSCRIBE take effect while the store is slow.

import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { Verdict } from '../../../src/core/policy/grants.ts'
import { installPacketGate } from '../../../src/broker/engine/packet-gate.ts'
import type { EngineClient } from '../../../src/broker/engine/surface.ts'
import type { Session } from '../../../src/broker/sessions.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const QUIET = { session: () => undefined, filtersHeld: () => ({ ofSession: 0, ofDevice: 0 }), exchange: () => undefined, onPubrec: () => undefined, takeRetained: () => [], keep: () => undefined, onAnswered: () => undefined, parsing: (parse: () => number) => parse(), send: () => undefined, outputWaiting: () => 0, onRefusal: () => undefined, onThrow: () => undefined }

/** A gate over a parser that says what packets come, and what became of them. */
function gate(): { readonly arrive: (length: number) => void; readonly faults: string[] } {
  const parser = Object.assign(new EventEmitter(), { _pos: 0, parse: () => 0 })
  parser.on('packet', () => undefined)
  const faults: string[] = []
  installPacketGate({ _parser: parser, connackSent: false, closed: false, subscriptions: {} } as unknown as EngineClient, {
    ...QUIET, onFault: (fault) => void faults.push(`${fault.reason}: ${fault.detail}`),
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
  let waiting: number = BROKER_LIMITS.outboundBytesMax
  installPacketGate({ _parser: parser, connackSent: true, closed: false, subscriptions: {} } as unknown as EngineClient, {
    ...QUIET, session: () => ({ ending: undefined }) as Session, outputWaiting: () => waiting, onFault: (fault) => void faults.push(`${fault.reason}: ${fault.detail}`),
  })
  const publish = (topic: string): unknown => parser.emit('packet', { cmd: 'publish', topic, qos: 1, messageId: 1, length: 9 })
  publish('at the bound')
  expect([seen, faults]).toEqual([['at the bound'], []])
  waiting += 1
  publish('beyond')
  expect([seen, faults]).toEqual([['at the bound'], ['quota-exceeded: the client reads too slowly']])
})

test('a packet ends with its last field; only a message goes on to its end', () => {
  for (const [cmd, faults] of [['pingreq', 1], ['puback', 1], ['subscribe', 1], ['connect', 1], ['disconnect', 1], ['publish', 0]] as const) {
    const stage = subscriber(() => undefined)
    stage.arrive({ cmd, topic: 't', qos: 0, messageId: 1, length: 5, subscriptions: [] }, 4)
    expect(stage.faults.filter((f) => f.includes('1 bytes behind')), cmd).toHaveLength(faults)
  }
})

/** A gate whose session may hold every filter, over an engine that only remembers what it was handed. */
function subscriber(keep: (filters: readonly string[]) => Promise<void> | undefined, maximumPacketSize?: number) {
  const parser = Object.assign(new EventEmitter(), { _pos: 0, parse: () => 0 })
  parser.on('packet', () => undefined)
  const faults: string[] = []
  const answers: string[] = []
  const seen: string[] = []
  const subscriptions: Record<string, object> = Object.create(null)
  const client = {
    _parser: parser, connackSent: true, closed: false, subscriptions, maximumPacketSize,
    subscribe({ subscriptions: [filter] }: { subscriptions: [{ topic: string }] }, done: () => void) {
      seen.push(`+${filter.topic}`)
      // The engine asks its store in between.
      queueMicrotask(() => {
        subscriptions[filter.topic] = {}
        done()
      })
    },
    unsubscribe({ unsubscriptions: [filter] }: { unsubscriptions: [string] }, done: () => void) {
      seen.push(`-${filter}`)
      delete subscriptions[filter]
      done()
    },
  }
  const grants = { subscribe: (): Partial<Verdict> => ({ effect: 'allow', grantedQos: 0 }) }
  const gateOf = installPacketGate(client as unknown as EngineClient, {
    ...QUIET, session: () => ({ ending: undefined, protocol: 5, key: 'k', grants }) as unknown as Session, filtersHeld: () => ({ ofSession: 0, ofDevice: 0 }),
    keep: (_, changes) => keep(changes.map((c) => (c.kind === 'subscribed' ? `+${c.subscription.filter}` : `-${c.filter}`))),
    send: (bytes) => void answers.push(Buffer.from(bytes).toString('hex')), onFault: (fault) => void faults.push(`${fault.reason}: ${fault.detail}`),
  })
  const arrive = (packet: object, pos = 0): void => {
    parser._pos = pos
    parser.emit('packet', { length: pos, ...packet })
  }
  return {
    gate: gateOf, client, faults, answers, seen, held: () => Object.keys(subscriptions), arrive,
    subscribe: (...topics: string[]) => arrive({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 0 })) }),
    unsubscribe: (...unsubscriptions: string[]) => arrive({ cmd: 'unsubscribe', messageId: 2, unsubscriptions }),
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

describe('SUBSCRIBE and UNSUBSCRIBE', () => {
  test('take effect in the order in which they came, whichever the store has first, and are acknowledged when it has them', async () => {
    const writes: (() => void)[] = []
    const stage = subscriber(() => new Promise((resolve) => void writes.push(resolve)))
    stage.subscribe('a')
    stage.unsubscribe('a')
    stage.subscribe('a', 'b')
    stage.unsubscribe('b')
    expect([stage.gate.waiting(), writes.length]).toEqual([4, 4])
    for (const write of writes.slice(1).toReversed()) write()
    await turn()
    expect([stage.seen, stage.answers]).toEqual([[], []])
    writes[0]?.()
    await turn()
    expect(stage.seen).toEqual(['+a', '-a', '+a', '+b', '-b'])
    expect(stage.answers).toEqual(['900400010000', 'b00400020000', '90050001000000', 'b00400020000'])
    expect([stage.held(), stage.gate.waiting(), stage.gate.granting()]).toEqual([['a'], 0, 0])
  })

  test('write what is held and no more: for a filter that is not held nothing is written, and what is named twice is written once', () => {
    const written: (readonly string[])[] = []
    const stage = subscriber((filters) => void written.push(filters))
    stage.unsubscribe('never', '#', 'a/#/b')
    expect([written, stage.seen, stage.answers]).toEqual([[], [], ['b00600020011118f']])
    stage.client.subscriptions['a'] = {}
    stage.unsubscribe('a', 'never', 'a')
    expect([written, stage.seen, stage.answers.at(-1)]).toEqual([[['-a']], ['-a'], 'b006000200001111'])
  })

  test('of a connection that is closed meanwhile do nothing more', async () => {
    const writes: (() => void)[] = []
    const stage = subscriber(() => new Promise((resolve) => void writes.push(resolve)))
    stage.subscribe('a')
    stage.client.closed = true
    writes[0]?.()
    await turn()
    expect([stage.seen, stage.answers]).toEqual([[], []])
  })

  test('that are ready by the thousand at once overflow no stack', async () => {
    let release: () => void = () => undefined
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    let writes = 0
    const stage = subscriber(() => (writes++ === 0 ? slow : undefined))
    stage.client.subscriptions['a'] = {}
    for (let i = 0; i < 20_000; i++) stage.unsubscribe('a')
    release()
    await turn()
    expect([stage.answers.length, stage.gate.waiting(), stage.seen]).toEqual([20_000, 0, ['-a']])
  })

  test('are answered as far as the client takes it: what cannot be answered ends the session', () => {
    const fits = subscriber(() => undefined, 7)
    fits.unsubscribe('x', 'y')
    expect([fits.answers.length, fits.faults]).toEqual([1, []])
    fits.unsubscribe('x', 'y', 'z')
    expect([fits.answers.length, fits.faults]).toEqual([1, ['packet-too-large: an answer of 8 bytes, of which the client takes 7']])
  })
})
