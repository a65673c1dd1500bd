// Publishing over HTTPS, with a broker behind it: who may and who may not, what arrives, and what HTTP can be bent to.

import { once } from 'node:events'
import { Agent } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { forgeIntermediate, forgeLeaf, forgeRoot, type ForgedAuthority, type ForgedLeaf } from '../../../device-sim/forge/authority.ts'
import { PUBLISH_LIMITS } from '../../../src/publish-limits.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { HOUSE_POLICY, type Identity } from '../../broker/house.ts'
import { client, message } from '../../broker/wire.ts'
import { openDoor, outcome, type Answered, type Door } from './door.ts'

let door: Door
let sensor: Identity
let backend: Identity
let listener: MqttClient

beforeAll(async () => {
  door = await openDoor({ packetBytesMax: 65_536 })
  sensor = await door.house.device('sensor')
  backend = await door.house.device('backend', 'backend')
  listener = await client(door.house, backend, { protocolVersion: 5 })
  await listener.subscribeAsync('#', { qos: 2 })
})
afterEach(() => {
  door.house.forget()
  door.house.rest()
})
afterAll(async () => {
  await listener.endAsync(true)
  await door[Symbol.asyncDispose]()
})

/** As a client shows it, with these CAs behind it. */
const credential = (leaf: ForgedLeaf, ...above: readonly ForgedAuthority[]): Pick<Identity, 'cert' | 'key'> => ({
  cert: [leaf, ...above].map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join(''), key: leaf.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
})
const heard = (payload: string): ReturnType<typeof message> => message(listener, (_, said) => said === payload)

/** What is written as it is, and what comes back until the connection ends. */
async function raw(identity: Identity | undefined, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = await door.connect(identity)
  return talk(socket, ...parts)
}
async function talk(socket: TLSSocket, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => void (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return text
}
const statuses = (text: string): readonly string[] => [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status = '']) => status)

describe('a device', () => {
  test('publishes below its own topics, and whoever is subscribed hears it with the QoS that was asked for', async () => {
    for (const [query, qos] of [['', 0], ['?qos=0', 0], ['?qos=1', 1]] as const) {
      const coming = heard(`over ${query}`)
      const answer = await door.post(sensor, `/topics/t/sensor/flow${query}`, { body: `over ${query}` })
      expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([200, '{"message":"OK"}\n', 'application/json'])
      const { packet } = await coming
      expect([packet.topic, packet.qos, packet.retain]).toEqual(['t/sensor/flow', qos, false])
    }
    expect(await door.house.heard((event) => event.kind === 'admission' && 'door' in event)).toMatchObject({ device: 'sensor', clientId: 'sensor', serial: sensor.serial, door: 'https-publish' })
  })

  test('publishes bytes of any kind, and none', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    const coming = message(listener, (topic) => topic === 't/sensor/bytes')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/bytes?qos=1', { body: bytes }))).toBe('200')
    expect((await coming).packet.payload).toEqual(Buffer.from(bytes))
    const empty = message(listener, (topic) => topic === 't/sensor/empty')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/empty'))).toBe('200')
    expect((await empty).packet.payload).toHaveLength(0)
  })

  test('sends the properties of MQTT 5 along', async () => {
    const coming = heard('with properties')
    const headers = { 'x-amz-mqtt5-user-properties': Buffer.from('[{"b":"1"},{"a":"2"}]').toString('base64'), 'x-amz-mqtt5-correlation-data': 'aWQ=', 'x-amz-mqtt5-payload-format-indicator': 'UTF8_DATA' }
    expect(outcome(await door.post(sensor, '/topics/t/sensor/p?qos=1&contentType=text/plain&responseTopic=t/sensor/r&messageExpiry=600', { body: 'with properties', headers }))).toBe('200')
    expect((await coming).packet.properties).toMatchObject({ contentType: 'text/plain', responseTopic: 't/sensor/r', correlationData: Buffer.from('id'), payloadFormatIndicator: true, userProperties: { b: '1', a: '2' }, messageExpiryInterval: 600 })
    for (const query of ['responseTopic=a/%23', 'contentType=a%00b']) expect(outcome(await door.post(sensor, `/topics/t/sensor/p?${query}`))).toBe('400 publish-request')
  })

  test('leaves a retained message where its grant allows it, and takes it away', async () => {
    expect(outcome(await door.post(sensor, '/topics/t/sensor/state?retain=true&qos=1', { body: 'kept' }))).toBe('200')
    const late = await client(door.house, backend, { clientId: 'backend:late', protocolVersion: 5 })
    const coming = message(late)
    await late.subscribeAsync('t/sensor/state', { qos: 1 })
    expect(await coming).toMatchObject({ packet: { retain: true, payload: Buffer.from('kept') } })
    expect(outcome(await door.post(sensor, '/topics/t/sensor/state?retain=true&qos=1'))).toBe('200')
    await late.endAsync(true)
    const later = await client(door.house, backend, { clientId: 'backend:later', protocolVersion: 5 })
    const next = message(later)
    await later.subscribeAsync('t/sensor/state', { qos: 1 })
    expect(outcome(await door.post(sensor, '/topics/t/sensor/state', { body: 'live' }))).toBe('200')
    expect(await next).toMatchObject({ packet: { retain: false, payload: Buffer.from('live') } })
    await later.endAsync(true)
    expect(outcome(await door.post(sensor, '/topics/low/x?retain=true'))).toBe('403 publish-retain')
  })

  test.each([
    ['/topics/t/other/flow?qos=1', '403 publish-not-granted'], ['/topics/t/sensor2', '403 publish-not-granted'], ['/topics/secret/x', '403 publish-denied'], ['/topics/low/x?qos=1', '403 publish-qos'],
    ['/topics/$SYS/x', '403 topic-reserved'], ['/topics/$device/sensor/renew', '403 topic-reserved'], ['/topics/%24share/g/t/sensor/x', '403 topic-reserved'],
    ['/topics/t/sensor/+', '400 topic-invalid'], ['/topics/t/sensor/%2B', '400 topic-invalid'], ['/topics/t/sensor/%23', '400 topic-invalid'], ['/topics/t/sensor/%00', '400 topic-invalid'], ['/topics/t/sensor/%0a', '400 topic-invalid'],
    ['/topics/', '400 topic-invalid'], ['/topics', '400 topic-invalid'], ['/topics/t/sensor/%C0%AF', '400 topic-invalid'], [`/topics/t/sensor/${'x'.repeat(512)}`, '400 topic-invalid'], [`/topics/t/sensor${'/a'.repeat(64)}`, '400 topic-invalid'],
    ['/topics/t/sensor/../other/x', '200'], ['/topics/t/other/../sensor/x', '403 publish-not-granted'], ['/topics//t/sensor/x', '403 publish-not-granted'], ['/topics/t%2Fsensor%2Fx', '200'], ['/topics/t%252Fsensor%252Fx', '403 publish-not-granted'],
    ['/topics/t/sensor/x?qos=2', '400 publish-request'], ['/topics/t/sensor/x?qos=1&qos=0', '400 publish-request'], ['/topics/t/sensor/x?topic=t/other', '400 publish-request'],
  ])('that asks for %s is answered %s, and nobody hears what it may not say', async (target, said) => {
    let others = 0
    const onMessage = (): void => void others++
    listener.on('message', onMessage)
    const answer = await door.post(sensor, target, { body: 'a message' })
    expect(outcome(answer)).toBe(said)
    const last = heard('the last one')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/last?qos=1', { body: 'the last one' }))).toBe('200')
    await last
    listener.off('message', onMessage)
    expect(others).toBe(said === '200' ? 2 : 1)
    if (said === '200') return
    const [status, reason] = said.split(' ')
    expect([JSON.parse(answer.text), answer.headers['content-type']]).toMatchObject([{ type: `urn:sallyport:reason:${reason}`, status: Number(status), code: reason }, 'application/problem+json'])
    expect(await door.house.heard((event) => event.kind === 'refusal' && event.reason === reason)).toMatchObject({ device: 'sensor', door: 'https-publish' })
  })

  test('is told which rule said no in the audit log, and hears nothing of it itself', async () => {
    const { text } = await door.post(sensor, '/topics/secret/x')
    expect(text).not.toContain('no-secrets')
    expect(await door.house.refused('publish-denied')).toMatchObject({ step: 'policy', topic: 'secret/x', rule: 'no-secrets', clientId: 'sensor', source: { address: '127.0.0.1' } })
  })

  test('may send a message as large as MQTT would take, and not a byte more', async () => {
    const overhead = Buffer.byteLength('t/sensor/x') + 2 + 2 + 1 + 1 + 3
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { body: Buffer.alloc(65_536 - overhead) }))).toBe('200')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { body: Buffer.alloc(65_536 - overhead + 1) }))).toBe('413 packet-too-large')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { body: Buffer.alloc(65_537) }))).toBe('413 packet-too-large')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { body: Buffer.alloc(1_000_000) }))).toBe('413 packet-too-large')
  })
})

describe('whoever is no device', () => {
  test('without a certificate is told so', async () => {
    const answer = await door.post(undefined, '/topics/t/sensor/x', { body: 'no one' })
    expect([outcome(answer), answer.headers['connection'], answer.headers['www-authenticate']]).toEqual(['401 tls-no-certificate', 'close', 'ClientCertificate realm="devices"'])
    // Nothing is said about a topic, a method or a body to somebody who is nobody.
    expect(outcome(await door.post(undefined, '/topics/%zz?qos=9', { method: 'PUT', body: 'no one' }))).toBe('401 tls-no-certificate')
  })

  test('has a certificate of itself, of another CA, or of ours that was never recorded', async () => {
    const stranger = forgeRoot('Stranger')
    const own = await door.house.issuing()
    expect(outcome(await door.post(credential(forgeLeaf(stranger, 'sensor', { selfSigned: true })), '/topics/t/sensor/x'))).toBe('401 tls-self-signed')
    expect(outcome(await door.post(credential(forgeLeaf(stranger, 'sensor'), stranger), '/topics/t/sensor/x'))).toBe('401 tls-untrusted-issuer')
    expect(outcome(await door.post(credential(forgeLeaf(own, 'sensor'), own), '/topics/t/sensor/x'))).toBe('403 certificate-unrecorded')
    expect(await door.house.refused('certificate-unrecorded')).toMatchObject({ claimed: 'sensor', door: 'https-publish' })
  })

  test('has a certificate that was issued for something else: an operator, a claim, a factory', async () => {
    for (const profile of ['operator', 'claim'] as const) {
      expect(outcome(await door.post(await door.house.other(profile), '/topics/t/sensor/x'))).toBe('403 certificate-purpose')
    }
    const factory = forgeRoot('Factory')
    const leaf = credential(forgeLeaf(factory, 'sensor'), factory)
    expect(outcome(await door.post(leaf, '/topics/t/sensor/x'))).toBe('401 tls-untrusted-issuer')
    door.house.enrollsBy('factory', factory.certificate)
    expect(outcome(await door.post(leaf, '/topics/t/sensor/x'))).toBe('403 certificate-purpose')
  })
})

describe('what ends a device’s right', () => {
  test('is seen by a connection that is open: revoked means gone, and its next connection is told why', async () => {
    const other = await door.house.device('revoked')
    const socket = await door.connect(other)
    socket.write('POST /topics/t/revoked/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
    await once(socket, 'data')
    const closed = once(socket, 'close')
    const before = performance.now()
    await door.house.revoke(other)
    socket.resume()
    await closed
    expect(performance.now() - before).toBeLessThan(1_000)
    expect(await door.house.heard((event) => event.kind === 'session-closed')).toMatchObject({ device: 'revoked', reason: 'certificate-revoked', door: 'https-publish' })
    expect(outcome(await door.post(other, '/topics/t/revoked/x'))).toBe('403 certificate-revoked')
    expect(await door.house.refused('certificate-revoked')).toMatchObject({ device: 'revoked', presented: { serial: other.serial } })
  })

  test.each([['suspended', '403 device-suspended'], ['quarantined', '403 device-quarantined'], ['retired', '403 device-retired']] as const)('%s, a device is answered %s, and comes back where it can', async (state, said) => {
    const other = await door.house.device(`to-be-${state}`)
    const agent = door.agent(other)
    expect(outcome(await door.post(other, `/topics/t/to-be-${state}/x`, { agent }))).toBe('200')
    await door.house.state(other.id, state)
    expect(outcome(await door.post(other, `/topics/t/to-be-${state}/x`))).toBe(said)
    if (state === 'retired') return
    await door.house.state(other.id, 'active')
    expect(outcome(await door.post(other, `/topics/t/to-be-${state}/x`))).toBe('200')
  })

  test('a policy that changes is in force for the next message of a connection that goes on', async () => {
    const agent = door.agent(sensor)
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x', { agent }))).toBe('200')
    door.house.policy('version: 1\ngrants: [ { id: else, to: { group: sensors }, publish: ["else/#"] }, { id: backend, to: { group: backend }, publish: ["#"], subscribe: [{ topic: "#", qos: 2 }] } ]\n')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x', { agent }))).toBe('403 publish-not-granted')
    expect(outcome(await door.post(sensor, '/topics/else/x', { agent }))).toBe('200')
    door.house.policy('version: 1\ngrants: [ { id: backend, to: { group: backend }, publish: ["#"], subscribe: [{ topic: "#", qos: 2 }] } ]\n')
    expect(outcome(await door.post(sensor, '/topics/else/x'))).toBe('403 no-grant')
    door.house.policy(HOUSE_POLICY)
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x'))).toBe('200')
  })
})

describe('a CA of others', () => {
  test('that is trusted speaks for its devices, also when it is no root; and no longer when it is taken out of trust', async () => {
    const plant = forgeIntermediate(forgeRoot('Plant'), 'Plant')
    const leaf = credential(forgeLeaf(plant, 'P-1'))
    expect(outcome(await door.post(leaf, '/topics/t/P-1/x'))).toBe('401 tls-untrusted-issuer')
    door.house.policy(HOUSE_POLICY.replace('version: 1', `version: 1\nidentity:\n  - { ca: plant, device: "\${cert.subject.CN}", idPattern: "^P-[0-9]+$", groups: ["sensors"], register: auto }`))
    door.house.trustAlso('plant', plant.certificate)
    expect(outcome(await door.post(leaf, '/topics/t/P-1/x'))).toBe('200')
    expect(outcome(await door.post(credential(forgeLeaf(plant, 'Q-1')), '/topics/t/P-1/x'))).toBe('403 device-unknown')
    const agent = door.agent(leaf)
    expect(outcome(await door.post(leaf, '/topics/t/P-1/x', { agent }))).toBe('200')
    door.house.distrust('plant')
    expect(await door.house.heard((event) => event.kind === 'session-closed')).toMatchObject({ device: 'P-1', reason: 'tls-untrusted-issuer' })
    expect(outcome(await door.post(leaf, '/topics/t/P-1/x'))).toBe('401 tls-untrusted-issuer')
    door.house.policy(HOUSE_POLICY)
  })

  test('whose device is seen for the first time while the thread of the door ends leaves no connection behind that nobody has', async () => {
    const works = forgeIntermediate(forgeRoot('Works'), 'Works')
    door.house.policy(HOUSE_POLICY.replace('version: 1', `version: 1\nidentity:\n  - { ca: works, device: "\${cert.subject.CN}", idPattern: "^W-[0-9]+$", groups: ["sensors"], register: auto }`))
    door.house.trustAlso('works', works.certificate)
    const { desk } = door.house.broker
    const shown = { chain: [forgeLeaf(works, 'W-1').certificate, works.certificate], failure: undefined, source: { address: '127.0.0.1', port: 1 }, tls: '1.3' } as const
    const orphan = desk.introduce(shown)
    desk.allGone()
    expect(await orphan).toMatchObject({ allow: false, reason: 'publish-busy' })
    expect(await desk.introduce(shown)).toMatchObject({ allow: true, value: { device: 'W-1' } })
    desk.allGone()
    door.house.policy(HOUSE_POLICY)
  })
})

describe('HTTP', () => {
  const head = (target: string, ...lines: readonly string[]): string => `POST ${target} HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s is answered 405, and names POST', async (method) => {
    const answer = await door.post(sensor, '/topics/t/sensor/x', { method })
    expect([answer.status, answer.headers['allow'], answer.headers['sallyport-reason']]).toEqual([405, 'POST', 'publish-request'])
  })

  test('a page in a browser cannot use the certificate of its user', async () => {
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x', { headers: { origin: 'https://evil.example', 'content-type': 'text/plain' } }))).toBe('403 publish-origin')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x', { method: 'OPTIONS', headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } }))).toBe('405 publish-request')
  })

  test('a body in chunks is a body, and one without an end is cut off at its bound', async () => {
    const coming = heard('in two')
    expect(statuses(await raw(sensor, head('/topics/t/sensor/x?qos=1', 'Transfer-Encoding: chunked', 'Connection: close'), '3\r\nin \r\n', '3\r\ntwo\r\n', '0\r\n\r\n'))).toEqual(['200'])
    await coming
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const socket = await door.connect(sensor)
    const text = talk(socket, head('/topics/t/sensor/x', 'Transfer-Encoding: chunked'), ...Array.from({ length: 5 }, () => chunk))
    expect(await text).toContain('413')
  })

  test.each([
    ['two lengths', ['Content-Length: 1', 'Content-Length: 2']], ['a length and chunks', ['Content-Length: 1', 'Transfer-Encoding: chunked']], ['a length that is none', ['Content-Length: +1']],
    ['an encoding that nobody knows', ['Transfer-Encoding: xchunked']], ['a header over two lines', ['X: a', ' b']], ['a header without an end', ['X: a\rY: b']],
  ])('%s is no request', async (_, lines) => {
    expect(statuses(await raw(sensor, head('/topics/t/sensor/x', ...lines), 'x'))).toEqual(['400'])
  })

  test('a target in absolute form, as for a proxy, is a target (RFC 9112 §3.2.2); of another scheme it is none', async () => {
    const coming = heard('absolute')
    expect(statuses(await raw(sensor, head('https://localhost:8443/topics/t/sensor/x?qos=1', 'Content-Length: 8', 'Connection: close'), 'absolute'))).toEqual(['200'])
    await coming
    expect(statuses(await raw(sensor, head('ftp://localhost/topics/t/sensor/x', 'Content-Length: 0', 'Connection: close')))).toEqual(['404'])
  })

  test('a request of HTTP/1.0 is answered, and its connection ends', async () => {
    const coming = heard('old')
    expect(await raw(sensor, 'POST /topics/t/sensor/x?qos=1 HTTP/1.0\r\nContent-Length: 3\r\n\r\nold')).toContain(' 200 ')
    await coming
  })

  test('who waits to be told is told after it was judged: to go on, or that it need not', async () => {
    const coming = heard('waited')
    const socket = await door.connect(sensor)
    socket.write(head('/topics/t/sensor/x?qos=1', 'Expect: 100-continue', 'Content-Length: 6', 'Connection: close'))
    const [first] = (await once(socket, 'data')) as [Buffer]
    expect(first.toString()).toContain('100 Continue')
    expect(statuses(await talk(socket, 'waited'))).toEqual(['200'])
    await coming
    expect(statuses(await raw(sensor, head('/topics/t/sensor/x?qos=1', 'Expect: 100-continue', 'Content-Length: 70000')))).toEqual(['413'])
    expect(statuses(await raw(undefined, head('/topics/t/sensor/x?qos=1', 'Expect: 100-continue', 'Content-Length: 6')))).toEqual(['401'])
    expect(statuses(await raw(sensor, head('/topics/t/sensor/x?qos=1', 'Expect: 200-ok', 'Content-Length: 0', 'Connection: close')))).toEqual(['417'])
  })

  test('one connection has one message under way: who sends the next before is disconnected', async () => {
    const one = head('/topics/t/sensor/x?qos=1', 'Content-Length: 0')
    expect(statuses(await raw(sensor, one + one + one)).length).toBeLessThanOrEqual(1)
    expect(await door.house.refused('publish-request')).toMatchObject({ door: 'https-publish', detail: expect.stringContaining('several requests at once') })
  })

  test('many messages of one connection keep their order', async () => {
    const agent = door.agent(sensor)
    const got: string[] = []
    const onMessage = (topic: string, payload: Buffer): void => void (topic === 't/sensor/order' && got.push(payload.toString()))
    listener.on('message', onMessage)
    const last = heard('49')
    for (let i = 0; i < 50; i++) expect(outcome(await door.post(sensor, `/topics/t/sensor/order?qos=${i % 2}`, { body: String(i), agent }))).toBe('200')
    await last
    listener.off('message', onMessage)
    expect(got).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
  })

  test('a body that is cut off is no message, and leaves nothing behind', async () => {
    const socket = await door.connect(sensor)
    socket.write(head('/topics/t/sensor/cut?qos=1', 'Content-Length: 10'))
    socket.end('half')
    socket.resume()
    await once(socket, 'close')
    let cut = 0
    listener.on('message', (topic) => void (topic === 't/sensor/cut' && cut++))
    const last = heard('after the cut')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { body: 'after the cut' }))).toBe('200')
    await last
    expect(cut).toBe(0)
  })

  test('what is refused before its body is read leaves the connection usable where the body is small, and closes it where not', async () => {
    const agent = door.agent(sensor)
    const refused = await door.post(sensor, '/topics/t/sensor/x?qos=7', { agent, body: 'small' })
    expect([outcome(refused), refused.headers['connection']]).toEqual(['400 publish-request', 'keep-alive'])
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x?qos=1', { agent, body: 'small' }))).toBe('200')
    const large = await raw(sensor, head('/topics/t/sensor/x?qos=7', 'Content-Length: 1000000'))
    expect(large).toMatch(/^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/)
  })
})

describe('too much', () => {
  test('a device that makes a connection for each message is held to its rate of connections', async () => {
    const other = await door.house.device('eager')
    const answers: Answered[] = []
    for (let i = 0; i < 60; i++) answers.push(await door.post(other, '/topics/t/eager/x'))
    const refused = answers.filter((answer) => answer.status !== 200)
    expect(outcome(answers[0]!)).toBe('200')
    expect(new Set(refused.map((answer) => `${outcome(answer)} ${String(answer.headers['retry-after'])} ${String(answer.headers['connection'])}`))).toEqual(new Set(['429 connect-rate 1 close']))
    door.house.rest()
    expect(outcome(await door.post(other, '/topics/t/eager/x'))).toBe('200')
  })

  test('a device has so many connections, and others are not concerned', async () => {
    const other = await door.house.device('many')
    const agents = Array.from({ length: PUBLISH_LIMITS.connectionsPerDeviceMax + 1 }, () => door.agent(other))
    const answers = await Promise.all(agents.map(async (agent) => outcome(await door.post(other, '/topics/t/many/x', { agent }))))
    expect(answers.filter((said) => said === '200')).toHaveLength(PUBLISH_LIMITS.connectionsPerDeviceMax)
    expect(answers).toContain('429 sessions-limit')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x'))).toBe('200')
    for (const agent of agents) agent.destroy()
    await expect.poll(async () => outcome(await door.post(other, '/topics/t/many/x')), { timeout: 5_000 }).toBe('200')
  })

  test('a device sends so many bytes of bodies at once; others are not concerned, and what it holds is free again when it goes', async () => {
    const other = await door.house.device('hoarder')
    const held = await Promise.all(Array.from({ length: PUBLISH_LIMITS.bodyBytesPerDeviceMax / 65_536 }, async () => {
      const socket = await door.connect(other)
      // The answer to what waits says that its room is taken.
      socket.write(`POST /topics/t/hoarder/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\nExpect: 100-continue\r\n\r\n`)
      const [first] = (await once(socket, 'data')) as [Buffer]
      return { socket, first: first.toString() }
    }))
    expect(new Set(held.map(({ first }) => first))).toEqual(new Set(['HTTP/1.1 100 Continue\r\n\r\n']))
    const answer = await door.post(other, '/topics/t/hoarder/x', { body: 'one more' })
    expect([outcome(answer), answer.headers['retry-after']]).toEqual(['429 quota-exceeded', '1'])
    expect(outcome(await door.post(other, '/topics/t/hoarder/x'))).toBe('200')
    expect(outcome(await door.post(sensor, '/topics/t/sensor/x', { body: 'of another' }))).toBe('200')
    for (const { socket } of held) socket.destroy()
    await expect.poll(async () => outcome(await door.post(other, '/topics/t/hoarder/x', { body: 'one more' })), { timeout: 5_000 }).toBe('200')
  })

  test('fifty at once are all published, once', async () => {
    const got = new Map<string, number>()
    const onMessage = (_: string, payload: Buffer): void => void got.set(payload.toString(), (got.get(payload.toString()) ?? 0) + 1)
    listener.on('message', onMessage)
    const names = Array.from({ length: 50 }, (_, i) => `at-once-${i}`)
    const devices = await Promise.all(names.slice(0, 10).map((name) => door.house.device(name)))
    // From an address of their own: what the tests before have asked counts for theirs.
    const all = names.map(async (name, i) => outcome(await door.post(devices[i % 10], `/topics/t/at-once-${i % 10}/x?qos=1`, { body: name, agent: new Agent({ keepAlive: false, localAddress: '127.0.0.50' }) })))
    expect(new Set(await Promise.all(all))).toEqual(new Set(['200']))
    await expect.poll(() => names.filter((name) => got.get(name) === 1).length).toBe(50)
    listener.off('message', onMessage)
  })
})
