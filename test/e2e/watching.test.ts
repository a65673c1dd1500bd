// A running server, seen from outside: what it says of a connected device is what its schemas promise, and is true; who is ended is
// gone, and the stream has told it in between.

import { readFileSync } from 'node:fs'
import { get } from 'node:https'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import path from 'node:path'
import { connectAsync } from 'mqtt'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import { openClient } from '../../src/http/client.ts'
import { ROUTES } from '../../src/http/routes.ts'
import { Program } from './program.ts'

test('a device comes, is seen, is ended by an operator, and a stranger is refused; each is told as it happens', async () => {
  await using program = new Program()
  await program.serve()
  const folder = program.device('pump-7')
  const file = (name: string): string => readFileSync(path.join(program.home, name), 'utf8')
  const credential = { key: file('certs/local/operator/key.pem'), cert: file('certs/local/operator/cert.pem'), ca: file('certs/local/operator/ca.pem') }
  const { url } = program.endpoints.admin
  using api = openClient({ url, ...credential })
  const id = 'pump-7' as DeviceId

  const sent = get(`${url}/v1/events?kinds=connection,refusal&device=pump-7`, { ...credential, agent: false })
  const [stream] = (await once(sent, 'response')) as [IncomingMessage]
  let told = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    told += chunk
  })
  const actions = (): readonly (string | undefined)[] => [...told.matchAll(/"action":"([a-z-]+)"/g)].map(([, action]) => action)

  const device = (name: string): Buffer => readFileSync(path.join(folder, name))
  const client = await connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: device('ca.pem'), cert: device('device.pem'), key: device('device.key'), clientId: 'pump-7', protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 }, reconnectPeriod: 0, keepalive: 30 })
  await client.subscribeAsync('cmd/pump-7/+', { qos: 1 })

  const connections = await api.connections({ group: 'sensors' })
  expect(ROUTES.connections.answer.safeParse(connections).error).toBeUndefined()
  expect(connections).toMatchObject({ matched: 1, items: [{ device: 'pump-7', protocol: 5, keepAliveSeconds: 30, kept: true, subscriptions: 1, listener: 'mqtt' }] })
  const sessions = await api.deviceSessions({ id })
  expect(ROUTES.deviceSessions.answer.safeParse(sessions).error).toBeUndefined()
  expect(sessions).toMatchObject({ connected: [{ filters: ['cmd/pump-7/+'] }], kept: [] })
  const topics = await api.deviceTopics({ id })
  expect(ROUTES.deviceTopics.answer.safeParse(topics).error).toBeUndefined()
  expect(topics.subscribe.map(({ pattern }) => pattern)).toContain('cmd/pump-7/+')
  const timeline = await api.deviceTimeline({ id })
  expect(ROUTES.deviceTimeline.answer.safeParse(timeline).error).toBeUndefined()
  expect(timeline.items).toMatchObject([{ state: 'active', firstUsedAt: expect.any(Number) }])

  await client.publishAsync('t/another/x', 'x', { qos: 1 }).catch(() => {})
  const refusals = await api.refusals({ device: 'pump-7' })
  expect(refusals.items[0]).toMatchObject({ step: 'policy', reason: 'publish-not-granted', topic: 't/another/x', clientId: 'pump-7' })
  const refusal = await api.refusal({ refusal: refusals.items[0]!.id })
  expect(ROUTES.refusal.answer.safeParse(refusal).error).toBeUndefined()
  expect(refusal.path.at(-1)).toMatchObject({ name: 'policy', state: 'stopped' })

  const overview = await api.overview()
  expect(ROUTES.overview.answer.safeParse(overview).error).toBeUndefined()
  expect(overview).toMatchObject({ connected: { devices: 1, sessions: 1 }, refused: { hour: 1, day: 1, byReason: [{ reason: 'publish-not-granted', hour: 1 }] } })
  expect(overview.strip.buckets.at(-1)!.connections + overview.strip.buckets.at(-2)!.connections).toBe(1)

  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  await api.endConnection({ connection: connections.items[0]!.id })
  await closed
  await expect.poll(actions).toEqual(['admission', 'refusal', 'connection-ended', 'session-closed', 'connection-closed'])
  expect((await api.connections()).items).toEqual([])
  await expect.poll(async () => (await api.deviceSessions({ id })).kept).toMatchObject([{ clientId: 'pump-7', subscriptions: ['cmd/pump-7/+'] }])
  await expect(api.endConnection({ connection: connections.items[0]!.id })).rejects.toMatchObject({ reason: 'connection-not-found' })
  client.end(true)
  sent.destroy()
}, 60_000)
