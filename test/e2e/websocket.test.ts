// The WebSocket door as an operator opens it: one section in sallyport.yaml, and the program says where it listens.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import mqtt from 'mqtt'
import { expect, test } from 'vitest'
import { Program } from './program.ts'

test('is named where it is configured: in the first lines, in endpoints.json, with a port of its own; a device connects there', async () => {
  await using program = new Program()
  writeFileSync(path.join(program.home, 'sallyport.yaml'), 'listen: { websocket: { host: 127.0.0.1, path: /iot } }\n')
  await program.serve()
  const { websocket, mqtt: other } = program.endpoints
  expect(websocket).toEqual({ host: '127.0.0.1', port: expect.any(Number) as number })
  expect(websocket!.port).not.toBe(other.port)
  expect(program.output).toContain(`MQTT over WebSocket   wss://127.0.0.1:${websocket!.port}/iot`)
  const bundle = program.device('browserless')
  const read = (name: string): string => readFileSync(path.join(bundle, name), 'utf8')
  const client = await mqtt.connectAsync(`wss://localhost:${websocket!.port}/iot`, { ca: read('ca.pem'), cert: read('device.pem'), key: read('device.key'), clientId: 'browserless', protocolVersion: 5, reconnectPeriod: 0 })
  // It would throw at a reason code that refuses.
  await client.publishAsync('t/browserless/x', '1', { qos: 1 })
  await client.endAsync()
  expect(await program.stop()).toBe(0)
})

test('is not there where it is not configured', async () => {
  await using program = new Program()
  await program.serve()
  expect(program.endpoints).not.toHaveProperty('websocket')
  expect(program.output).not.toContain('WebSocket')
})
