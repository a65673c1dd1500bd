// Spans as a tracing SDK sees them: the real one of OpenTelemetry, given to the API as a user's own set-up does.

import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTraces } from '../../src/observe/traces.ts'
import { openHouse, type House } from '../broker/house.ts'
import { connected, connectPacket, tryConnect } from '../broker/wire.ts'

const spans = new InMemorySpanExporter()
let house: House
beforeAll(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
  house = await openHouse({ trace: openTraces('1.2.3') })
})
afterAll(async () => {
  trace.disable()
  await house[Symbol.asyncDispose]()
})

const seen = () => spans.getFinishedSpans().map(({ name, status, attributes, instrumentationScope, duration }) => ({ name, status: status.code, attributes, scope: `${instrumentationScope.name} ${instrumentationScope.version}`, took: duration[0] < 60 }))

test('a CONNECT is a span from the first byte of the connection to CONNACK, with the device', async () => {
  spans.reset()
  await connected(house, await house.device('one'))
  expect(seen()).toEqual([{ name: 'sallyport.connect', status: 1, scope: 'sallyport 1.2.3', took: true, attributes: { 'sallyport.device': 'one', 'network.protocol.name': 'mqtt', 'network.protocol.version': '3.1.1', 'client.address': '127.0.0.1' } }])
})

test('one that is refused has the reason, and is no error of the server', async () => {
  spans.reset()
  await tryConnect(house, await house.device('two'), connectPacket('somebody-else', 5))
  expect(seen()).toEqual([{ name: 'sallyport.connect', status: 0, scope: 'sallyport 1.2.3', took: true, attributes: { 'sallyport.device': 'two', 'network.protocol.name': 'mqtt', 'client.address': '127.0.0.1', 'sallyport.reason': 'client-id-mismatch' } }])
})

test('where nobody traces, nothing is kept', () => {
  trace.disable()
  spans.reset()
  openTraces('1')({ name: 'revoke', begunAt: 0, endedAt: 1, attributes: {} })
  expect(seen()).toEqual([])
})
