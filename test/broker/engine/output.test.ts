import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { newTraffic } from '../../../src/core/traffic.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { openOutputs, type Output } from '../../../src/broker/engine/output.ts'

/** A connection whose network takes a write when it is told to. */
function connection(highWaterMark = 1_000) {
  const writes: string[] = []
  const taking: (() => void)[] = []
  const socket = new Duplex({
    highWaterMark, read() {},
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk.toString())
      taking.push(() => done())
    },
    // Without this each would be one write of its own behind the first that is not taken.
    writev(chunks, done) {
      writes.push(...chunks.map(({ chunk }) => String(chunk)))
      taking.push(() => done())
    },
  })
  let drained = 0
  let mayEngineWrite = true
  const output = (outputs: ReturnType<typeof openOutputs>): Output => outputs.of(socket, { mayEngineWrite: () => mayEngineWrite, onDrained: () => void drained++ })
  return {
    socket, writes, output,
    take: () => taking.splice(0).forEach((done) => done()),
    get drained() {
      return drained
    },
    silence() {
      mayEngineWrite = false
    },
  }
}
const bytes = (text: string): Buffer => Buffer.from(text)

test('what is written in one turn of the event loop leaves as one write; in the next turn there is another', async () => {
  const outputs = openOutputs(newTraffic())
  const [a, b] = [connection(), connection()]
  const [toA, toB] = [a.output(outputs), b.output(outputs)]
  toA.write(bytes('one '))
  toB.write(bytes('other'))
  a.socket.write('by the engine ')
  a.socket.cork()
  toA.write(bytes('two'))
  expect(a.writes).toEqual([])
  await turn()
  expect([a.writes, b.writes]).toEqual([['one by the engine two'], ['other']])
  a.take()
  toA.write(bytes('three'))
  await turn()
  expect(a.writes).toEqual(['one by the engine two', 'three'])
})

test('it knows how much the network has not taken, and how much it has', async () => {
  const a = connection()
  const output = a.output(openOutputs(newTraffic()))
  output.write(bytes('12345'))
  expect([output.waiting, output.taken]).toEqual([5, 0])
  await turn()
  expect([output.waiting, output.taken]).toEqual([5, 0])
  a.take()
  await turn()
  expect([output.waiting, output.taken]).toEqual([0, 5])
})

test('a full socket that has taken everything says so, one that was not full does not', async () => {
  const [full, empty] = [connection(4), connection()]
  const outputs = openOutputs(newTraffic())
  for (const each of [full, empty]) each.output(outputs).write(bytes('12345'))
  await turn()
  for (const each of [full, empty]) each.take()
  await turn()
  expect([full.drained, empty.drained]).toEqual([1, 0])
})

test('callbacks are called when their bytes are taken, and also when the connection is gone before they could leave', async () => {
  const outputs = openOutputs(newTraffic())
  const [a, gone] = [connection(), connection()]
  const called: string[] = []
  const toGone = gone.output(outputs)
  a.output(outputs).write(bytes('x'), () => called.push('taken'))
  toGone.write(bytes('x'), () => called.push('gone'))
  gone.socket.destroy()
  await turn()
  expect(called).toEqual(['gone'])
  expect(gone.writes).toEqual([])
  a.take()
  await turn()
  expect(called).toEqual(['gone', 'taken'])
})

test('what the engine writes while it may not is dropped; what we write is not', async () => {
  const a = connection()
  const output = a.output(openOutputs(newTraffic()))
  a.silence()
  a.socket.write('its CONNACK')
  output.write(bytes('ours'))
  await turn()
  expect(a.writes).toEqual(['ours'])
})

test('last words leave before the end, not after it', async () => {
  const a = connection()
  const output = a.output(openOutputs(newTraffic()))
  output.write(bytes('why'))
  a.socket.end()
  expect(a.writes).toEqual(['why'])
  a.take()
  await turn()
  expect(a.socket.writableFinished).toBe(true)
})

test('behind the last packet nothing is sent, and nobody waits for it for ever; what was written before it goes [MQTT-3.14.4-1]', async () => {
  const a = connection()
  const output = a.output(openOutputs(newTraffic()))
  const called: string[] = []
  output.write(bytes('before '))
  output.finish(bytes('last'), () => called.push('last'))
  output.write(bytes('behind'), () => called.push('behind'))
  a.socket.write('by the engine')
  await turn()
  await turn()
  expect(a.writes).toEqual(['before last'])
  expect(called).toEqual(['behind'])
  a.take()
  await turn()
  expect(called).toEqual(['behind', 'last'])
})

test('there is room for QoS 0 up to its bound, and only up to the lower one while too much waits for all together', () => {
  const a = connection()
  const outputs = openOutputs(newTraffic())
  const output = a.output(outputs)
  const room = (): boolean => output.hasRoomForQos0
  output.write(Buffer.alloc(BROKER_LIMITS.outboundHighBytes))
  outputs.weigh(BROKER_LIMITS.outboundAllBytesMax + 1)
  expect(room()).toBe(true)
  output.write(bytes('x'))
  expect(room()).toBe(false)
  outputs.weigh(BROKER_LIMITS.outboundAllBytesMax)
  expect(room()).toBe(true)
  output.write(Buffer.alloc(BROKER_LIMITS.outboundQos0BytesMax - output.waiting))
  expect(room()).toBe(true)
  output.write(bytes('x'))
  expect(room()).toBe(false)
})
