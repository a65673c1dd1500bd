// The WebSocket door: the upgrade and everything that is refused instead of it, frames of every shape, and that behind it
// all is as behind the MQTT door: the same handshake, the same judgements, the same bounds, the same quick end. Honest
// clients are MQTT.js and `ws`; hostile ones write HTTP and frames by hand.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import tls from 'node:tls'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket, type ClientOptions } from 'ws'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { forgeLeaf, forgeRoot } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, message, openWire, publishPacket, type Version } from './wire.ts'

const PAGE = 'https://console.example.org'
const PACKET_BYTES_MAX = 64 * 1024

let house: House
let device: Identity
let backend: Identity
beforeAll(async () => {
  house = await openHouse({ websocketOrigins: [PAGE], packetBytesMax: PACKET_BYTES_MAX })
  device = await house.device('sensor')
  backend = await house.device('backend', 'backend')
})
afterEach(() => {
  vi.useRealTimers()
  house.forget()
})
afterAll(() => house[Symbol.asyncDispose]())

const port = (): number => house.broker.websocket!.port

/** An open WebSocket, and what came over it. */
interface Socket {
  readonly ws: WebSocket
  readonly pongs: readonly string[]
  send(...packets: Packet[]): void
  take<Cmd extends Packet['cmd']>(cmd: Cmd): Promise<Extract<Packet, { cmd: Cmd }>>
  /** Resolves with the code of the Close; 1006: there was none. */
  readonly closed: Promise<number>
  /** The message that carried each packet. */
  readonly messages: readonly { readonly bytes: Buffer; readonly isBinary: boolean }[]
}

async function openSocket(identity: Pick<Identity, 'cert' | 'key'> = device, version: Version = 5, options: ClientOptions & { readonly protocols?: string[] } = {}): Promise<Socket> {
  const { protocols = ['mqtt'], ...rest } = options
  const secure = { ca: house.root, cert: identity.cert, key: identity.key, servername: 'localhost', perMessageDeflate: false, ...rest }
  const ws = new WebSocket(`wss://127.0.0.1:${port()}/mqtt`, protocols, secure)
  const parser = mqttPacket.parser({ protocolVersion: version })
  const messages: { bytes: Buffer; isBinary: boolean }[] = []
  const received: Packet[] = []
  const pongs: string[] = []
  const waiting = new Set<() => void>()
  let closed = false
  parser.on('packet', (packet) => received.push(packet))
  ws.on('message', (bytes: Buffer, isBinary) => {
    messages.push({ bytes, isBinary })
    parser.parse(bytes)
    waiting.forEach((check) => check())
  })
  ws.on('pong', (data) => {
    pongs.push(data.toString())
    waiting.forEach((check) => check())
  })
  const end = new Promise<number>((resolve) => {
    ws.once('close', (code) => {
      closed = true
      waiting.forEach((check) => check())
      resolve(code)
    })
  })
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve)
    ws.once('error', reject)
  })
  ws.on('error', () => {})
  return {
    ws, pongs, messages, closed: end,
    send: (...packets) => ws.send(Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: version })))),
    take: (cmd) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const at = received.findIndex((packet) => packet.cmd === cmd)
          if (at < 0 && !closed) return
          waiting.delete(check)
          const [packet] = at < 0 ? [] : received.splice(at, 1)
          if (packet === undefined) reject(new Error(`closed before a ${cmd} came`))
          else resolve(packet as Extract<Packet, { cmd: typeof cmd }>)
        }
        waiting.add(check)
        check()
      }),
  }
}

async function openSession(identity: Identity = device, version: Version = 5): Promise<Socket> {
  const socket = await openSocket(identity, version)
  socket.send(connectPacket(identity.id, version))
  const { reasonCode, returnCode } = await socket.take('connack')
  expect(reasonCode ?? returnCode).toBe(0)
  return socket
}

const alive = async (socket: Socket): Promise<void> => {
  socket.send({ cmd: 'pingreq' })
  await socket.take('pingresp')
}

const mqttClient = (identity: Identity, options: IClientOptions = {}): Promise<MqttClient> =>
  mqtt.connectAsync(`wss://127.0.0.1:${port()}/mqtt`, { ca: house.root, cert: identity.cert, key: identity.key, servername: 'localhost', clientId: identity.id, reconnectPeriod: 0, ...options })

/** What the door makes of bytes behind a finished handshake: the status of its answer, all of it, and the end. */
async function speak(...chunks: readonly (string | Buffer)[]): Promise<{ readonly status: number | undefined; readonly text: string }> {
  const wire = await openWire({ port: port(), root: house.root }, device)
  const socket = wire.socket
  socket.removeAllListeners('data')
  let text = ''
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1')
    if (text.startsWith('HTTP/1.1 101')) socket.destroy()
  })
  for (const chunk of chunks) socket.write(chunk)
  await wire.ended
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]
  return { status: status === undefined ? undefined : Number(status), text }
}

const UPGRADE: Readonly<Record<string, string>> = {
  Host: 'localhost', Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'), 'Sec-WebSocket-Protocol': 'mqtt',
}

/** A request that would be answered with 101, but for `change`: undefined takes a header away. */
function request(change: Readonly<Record<string, string | undefined>> = {}, line = 'GET /mqtt HTTP/1.1'): string {
  const headers = Object.entries({ ...UPGRADE, ...change }).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return [line, ...headers, '', ''].join('\r\n')
}

/** A frame as a client sends it: masked, with a mask of zeros. */
function frame(opcode: number, payload: Uint8Array | string, { fin = true, masked = true, reserved = 0 } = {}): Buffer {
  const bytes = Buffer.from(payload)
  const length = bytes.length < 126 ? Buffer.of(bytes.length) : bytes.length < 65_536 ? Buffer.of(126, bytes.length >> 8, bytes.length & 255) : Buffer.concat([Buffer.of(127), Buffer.from(bytes.length.toString(16).padStart(16, '0'), 'hex')])
  length[0]! |= masked ? 0x80 : 0
  return Buffer.concat([Buffer.of((fin ? 0x80 : 0) | reserved | opcode), length, ...(masked ? [Buffer.alloc(4)] : []), bytes])
}
const BINARY = 2
const CONTINUATION = 0

/** A PUBLISH of so many bytes in all. */
function publishOf(bytes: number, qos: 0 | 1 = 0): Buffer {
  const made = (size: number): Buffer => mqttPacket.generate(publishPacket('t/sensor/x', Buffer.alloc(size), { qos, ...(qos === 0 ? {} : { messageId: 7 }) }), { protocolVersion: 5 })
  const packet = made(bytes - (made(bytes / 2).length - Math.floor(bytes / 2)))
  expect(packet.length).toBe(bytes)
  return packet
}

/** Writes bytes below `ws`, as frames that it would never send. */
const raw = ({ ws }: Socket, ...chunks: readonly Uint8Array[]): void => void (ws as unknown as { readonly _socket: tls.TLSSocket })._socket.write(Buffer.concat(chunks))

describe('an honest client', () => {
  test.each<[string, IClientOptions]>([['3.1.1', { protocolVersion: 4 }], ['5', { protocolVersion: 5 }]])('MQTT.js of %s connects, publishes and hears, with a client certificate over wss', async (_, options) => {
    const [speaker, listener] = [await mqttClient(device, options), await mqttClient(backend, options)]
    await listener.subscribeAsync('t/#', { qos: 1 })
    const heard = message(listener)
    await speaker.publishAsync('t/sensor/x', 'over a WebSocket', { qos: 1 })
    expect(await heard).toMatchObject({ topic: 't/sensor/x', payload: 'over a WebSocket' })
    expect(house.events.find((e) => e.kind === 'admission')).toMatchObject({ device: 'sensor', clientId: 'sensor', source: { address: '127.0.0.1' } })
    await Promise.all([speaker.endAsync(), listener.endAsync()])
  })

  test('what is not granted is refused as at the MQTT door, and what comes in at one door is heard behind the other', async () => {
    const socket = await openSession()
    const behind = await connected(house, backend, { version: 5 })
    behind.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/#', qos: 0 }] })
    await behind.take('suback')
    socket.send({ ...publishPacket('t/other/x', 'x', { qos: 1, messageId: 1 }) }, { ...publishPacket('t/sensor/x', 'mine', { qos: 1, messageId: 2 }) })
    expect([await socket.take('puback'), await socket.take('puback')].map(({ messageId, reasonCode }) => [messageId, reasonCode])).toEqual([[1, 0x87], [2, 0]])
    expect((await behind.take('publish')).payload.toString()).toBe('mine')
    await house.refused('publish-not-granted')
    socket.ws.terminate()
    behind.end()
  })

  test('a session is one session: the WebSocket takes over from MQTT, and back', async () => {
    const first = await connected(house, device, { version: 5 })
    const second = await openSession()
    expect((await first.take('disconnect')).reasonCode).toBe(0x8e)
    const third = await connected(house, device, { version: 5 })
    expect((await second.take('disconnect')).reasonCode).toBe(0x8e)
    await second.closed
    third.end()
  })

  test('an end without DISCONNECT lets the Will speak, with it the Will is silent', async () => {
    const listener = await connected(house, backend, { version: 5 })
    listener.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'state/#', qos: 0 }] })
    await listener.take('suback')
    const will = (payload: string): Parameters<typeof connectPacket>[2] => ({ will: { topic: 'state/sensor', payload: Buffer.from(payload), qos: 0, retain: false } })
    const polite = await openSocket()
    polite.send(connectPacket('sensor', 5, will('polite')))
    await polite.take('connack')
    polite.send({ cmd: 'disconnect' })
    await polite.closed
    const abrupt = await openSocket()
    abrupt.send(connectPacket('sensor', 5, will('closed')))
    await abrupt.take('connack')
    abrupt.ws.close()
    expect((await listener.take('publish')).payload.toString()).toBe('closed')
    expect(listener.published()).toHaveLength(1)
    listener.end()
  })
})

describe('the handshake is the same', () => {
  test('who shows no certificate hears alert 116; who shows one of the organisation comes to the upgrade', async () => {
    const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: house.root, servername: 'localhost', minVersion: 'TLSv1.3' })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
    await house.refused('tls-no-certificate')
    ;(await openSocket()).ws.terminate()
  })
  test('a certificate of nobody is closed without a byte of HTTP, and named', async () => {
    const stranger = forgeLeaf(forgeRoot('Foreign'), 'stranger')
    await expect(openSocket({ cert: pem('CERTIFICATE', stranger.certificate), key: keyPem(stranger.key) })).rejects.toThrow(/socket hang up|ECONNRESET|disconnected/)
    expect((await house.refused('tls-untrusted-issuer')).presented?.subject).toBe('CN=stranger')
  })
  test('a revoked device comes no further than its CONNECT', async () => {
    const identity = await house.device('revoked-before')
    await house.revoke(identity)
    const socket = await openSocket(identity)
    socket.send(connectPacket(identity.id, 5))
    expect((await socket.take('connack')).reasonCode).toBe(0x87)
    await socket.closed
    expect((await house.refused('certificate-revoked')).device).toBe('revoked-before')
  })
  test('HTTP/2 is not agreed on, HTTP/1.1 and no ALPN at all are', async () => {
    // In TLS 1.2 the server speaks last: an end here is no end of its handshake.
    const agreed = async (ALPNProtocols: string[] | undefined): Promise<string | false | null> => {
      const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: house.root, cert: device.cert, key: device.key, servername: 'localhost', maxVersion: 'TLSv1.2', ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }) })
      socket.on('error', () => {})
      await new Promise<void>((resolve) => {
        socket.once('secureConnect', resolve)
        socket.once('close', () => resolve())
      })
      const { alpnProtocol, destroyed } = socket
      socket.destroy()
      return destroyed ? null : alpnProtocol
    }
    expect([await agreed(['h2', 'http/1.1']), await agreed(undefined), await agreed(['h2']), await agreed(['mqtt'])]).toEqual(['http/1.1', false, null, null])
  })
  test('both doors share one source gate', async () => {
    await using small = await openHouse({ websocketOrigins: [], sourceRate: { perSecond: 1, burst: 2 } })
    const identity = await small.device('d')
    ;(await connected(small, identity)).end()
    const second = await openWire({ port: small.broker.websocket!.port, root: small.root }, identity)
    second.end()
    await (await openWire({ port: small.broker.websocket!.port, root: small.root }, identity)).ended
    await small.refused('source-rate')
    small.rest()
    ;(await connected(small, identity)).end()
  })
  test('a reload reaches both doors, and leaves what is open', async () => {
    const socket = await openSession()
    const other = forgeRoot('Other')
    const server = forgeLeaf(other, 'localhost', { extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'], names: ['localhost'] })
    const issuers = async (): Promise<readonly string[]> => {
      const seen: string[] = []
      for (const at of [house.port, port()]) {
        const fresh = tls.connect({ host: '127.0.0.1', port: at, cert: device.cert, key: device.key, servername: 'localhost', rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
        await once(fresh, 'secureConnect')
        seen.push(fresh.getPeerX509Certificate()!.issuer)
        fresh.destroy()
      }
      return seen
    }
    const before = await issuers()
    house.broker.prepareTls(house.material({ key: keyPem(server.key), cert: pem('CERTIFICATE', server.certificate) }))()
    const [ofMqtt, ofWebSocket] = await issuers()
    expect(ofWebSocket).toBe(ofMqtt)
    expect(before).not.toContain(ofMqtt)
    expect(() => house.broker.prepareTls(house.material({ key: 'no key' }))).toThrowError(expect.objectContaining({ code: 'certificate-unusable' }))
    await alive(socket)
    house.broker.prepareTls(house.material())()
    expect(await issuers()).toEqual(before)
    socket.ws.terminate()
  })
})

describe('the upgrade', () => {
  test('is answered with 101 and the subprotocol mqtt, also where others are offered beside it, and compression is not taken up', async () => {
    const { status, text } = await speak(request({ 'Sec-WebSocket-Protocol': 'mqttv3.1, mqtt', 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }))
    expect(status).toBe(101)
    expect(text).toMatch(/^sec-websocket-protocol: mqtt\r$/im)
    expect(text).not.toMatch(/extensions/i)
    expect(house.refusals()).toEqual([])
  })

  // What differs from the request above, the status, what the audit says.
  test.each<[string, string, number, string]>([
    ['another path', request({}, 'GET /mqtt/ HTTP/1.1'), 404, 'another path'],
    ['a query behind the path', request({}, 'GET /mqtt?x=1 HTTP/1.1'), 404, 'another path'],
    ['a whole URL', request({}, 'GET https://localhost/mqtt HTTP/1.1'), 404, 'another path'],
    ['another method', request({}, 'POST /mqtt HTTP/1.1'), 405, 'another method than GET'],
    ['a CONNECT of a proxy', request({}, 'CONNECT localhost:1883 HTTP/1.1'), 404, 'another path'],
    ['HTTP/1.0', request({}, 'GET /mqtt HTTP/1.0'), 400, 'another version of HTTP than 1.1'],
    ['no upgrade: plain HTTP', request({ Connection: undefined, Upgrade: undefined }), 426, 'no upgrade to a WebSocket'],
    ['an upgrade that the connection does not name', request({ Connection: 'keep-alive' }), 426, 'no upgrade to a WebSocket'],
    ['an upgrade to something else', request({ Upgrade: 'h2c' }), 426, 'no upgrade to a WebSocket'],
    ['an old version of WebSocket', request({ 'Sec-WebSocket-Version': '8' }), 426, 'another version of WebSocket than 13'],
    ['no version of WebSocket', request({ 'Sec-WebSocket-Version': undefined }), 426, 'another version of WebSocket than 13'],
    ['no Host', request({ Host: undefined }), 400, 'no Host'],
    ['a body', request({ 'Content-Length': '2' }) + 'ab', 400, 'a request with a body'],
    ['a body in pieces', request({ 'Transfer-Encoding': 'chunked' }) + '0\r\n\r\n', 400, 'a request with a body'],
    ['an expectation', request({ Connection: 'close', Upgrade: undefined, Expect: 'wonders' }), 426, 'no upgrade to a WebSocket'],
    ['no subprotocol', request({ 'Sec-WebSocket-Protocol': undefined }), 400, 'the subprotocol mqtt is not offered'],
    ['another subprotocol', request({ 'Sec-WebSocket-Protocol': 'mqttv3.1' }), 400, 'the subprotocol mqtt is not offered'],
    ['a subprotocol in another case', request({ 'Sec-WebSocket-Protocol': 'MQTT' }), 400, 'the subprotocol mqtt is not offered'],
    ['a list of subprotocols that is none', request({ 'Sec-WebSocket-Protocol': 'mqtt, @' }), 400, 'Invalid Sec-WebSocket-Protocol header'],
    ['no key', request({ 'Sec-WebSocket-Key': undefined }), 400, 'Missing or invalid Sec-WebSocket-Key header'],
    ['a key that is none', request({ 'Sec-WebSocket-Key': 'short' }), 400, 'Missing or invalid Sec-WebSocket-Key header'],
    ['a header that is too large', request({ Filler: 'x'.repeat(BROKER_LIMITS.upgradeHeaderBytesMax) }), 431, 'the header of the request is too large'],
    ['no HTTP: a CONNECT of MQTT', mqttPacket.generate(connectPacket('sensor', 5)).toString('latin1'), 400, 'not a request of HTTP'],
    ['a line that is folded', request({ Folded: 'a\r\n b' }), 400, 'not a request of HTTP'],
    ['a bare line feed between headers', request().replaceAll('\r\n', '\n'), 400, 'not a request of HTTP'],
  ])('with %s is refused in HTTP, closed, and in the audit', async (_, bytes, status, detail) => {
    const answer = await speak(Buffer.from(bytes, 'latin1'))
    expect(answer.status).toBe(status)
    expect(answer.text).toMatch(/\r\nConnection: close\r\n/)
    expect(await house.refused('websocket-upgrade')).toMatchObject({ step: 'connect', device: 'sensor', detail, presented: { serial: device.serial }, source: { address: '127.0.0.1' } })
    expect(house.refusals()).toHaveLength(1)
  })

  test('is asked once: what follows a refused request is not answered', async () => {
    const { text } = await speak(request({}, 'GET /other HTTP/1.1') + request())
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(house.refusals()).toEqual(['websocket-upgrade'])
  })

  test('in bytes one by one is an upgrade', async () => {
    const bytes = request()
    expect((await speak(...bytes.split('').map((byte) => Buffer.from(byte)))).status).toBe(101)
  })

  test('that is not complete at the deadline is told so, closed and named', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const armed = vi.spyOn(globalThis, 'setTimeout')
    const slow = speak(request().slice(0, -2))
    while (!armed.mock.calls.some(([, ms]) => ms === BROKER_LIMITS.upgradeMs)) await new Promise((resolve) => void setImmediate(resolve))
    vi.advanceTimersByTime(BROKER_LIMITS.upgradeMs - 1)
    expect(house.refusals()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(house.refusals()).toEqual(['connect-timeout'])
    vi.useRealTimers()
    expect((await slow).status).toBe(408)
    expect(await house.refused('connect-timeout')).toMatchObject({ device: 'sensor', detail: 'no complete WebSocket upgrade' })
  })

  test('that is complete has no such deadline any more, and then that of CONNECT', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const socket = await openSocket()
    vi.advanceTimersByTime(BROKER_LIMITS.connectMs - 1)
    expect(house.refusals()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(house.refusals()).toEqual(['connect-timeout'])
    vi.useRealTimers()
    await socket.closed
  })

  test('that never comes leaves nothing behind', async () => {
    // In TLS 1.2 the server speaks last: it has finished, too.
    const wire = await openWire({ port: port(), root: house.root }, device, { tls: { maxVersion: 'TLSv1.2' } })
    wire.end()
    await wire.ended
    await alive(await openSession())
    expect(house.refusals()).toEqual([])
  })
})

describe('a web page', () => {
  test.each(['https://evil.example', 'null', `${PAGE}.evil.example`, `${PAGE}:8443`, 'http://console.example.org', `${PAGE}, ${PAGE}`, PAGE.toUpperCase(), ''])('of the origin %j may not connect', async (origin) => {
    expect((await speak(request({ Origin: origin }))).status).toBe(403)
    expect(await house.refused('websocket-origin')).toMatchObject({ device: 'sensor', detail: `origin ${origin}` })
  })
  test('of an origin that is listed may, and a device, which has none', async () => {
    for (const origin of [PAGE, undefined]) expect((await speak(request({ Origin: origin }))).status, origin).toBe(101)
    const socket = await openSocket(device, 5, { origin: PAGE })
    socket.send(connectPacket('sensor', 5))
    expect((await socket.take('connack')).reasonCode).toBe(0)
    socket.ws.terminate()
  })
  test('of an origin that is not listed learns nothing of the path', async () => {
    expect((await speak(request({ Origin: 'https://evil.example', 'Sec-WebSocket-Protocol': undefined }))).status).toBe(403)
  })
})

describe('frames', () => {
  test('packets come in binary messages, however they are cut: byte by byte, in fragments, two in one', async () => {
    const socket = await openSocket()
    for (const byte of mqttPacket.generate(connectPacket('sensor', 5), { protocolVersion: 5 })) socket.ws.send(Buffer.of(byte))
    await socket.take('connack')
    socket.send({ cmd: 'pingreq' }, { cmd: 'pingreq' })
    await socket.take('pingresp')
    await socket.take('pingresp')
    const ping = mqttPacket.generate({ cmd: 'pingreq' })
    raw(socket, frame(BINARY, ping.subarray(0, 1), { fin: false }), frame(9, 'between'), frame(CONTINUATION, '', { fin: false }), frame(CONTINUATION, ping.subarray(1)))
    await socket.take('pingresp')
    raw(socket, frame(BINARY, ''), frame(BINARY, ping.subarray(0, 1)), frame(BINARY, ping.subarray(1)))
    await socket.take('pingresp')
    expect(socket.messages.every(({ isBinary }) => isBinary)).toBe(true)
    expect(socket.ws.protocol).toBe('mqtt')
    socket.ws.terminate()
  })

  test('what one turn has to say to a client is one message', async () => {
    const socket = await openSession()
    const before = socket.messages.length
    socket.send(...Array.from({ length: 20 }, () => ({ cmd: 'pingreq' as const })))
    for (let i = 0; i < 20; i++) await socket.take('pingresp')
    expect(socket.messages.length - before).toBe(1)
    socket.ws.terminate()
  })

  test.each<Version>([4, 5])('a text message closes the connection with 1003, in MQTT %i', async (version) => {
    const socket = await openSession(device, version)
    socket.ws.send(mqttPacket.generate({ cmd: 'pingreq' }).toString('latin1'))
    socket.send({ cmd: 'pingreq' })
    if (version === 5) expect((await socket.take('disconnect')).reasonCode).toBe(0x82)
    expect(await socket.closed).toBe(1003)
    await expect(socket.take('pingresp')).rejects.toThrow('closed')
    expect(await house.refused('protocol-error')).toMatchObject({ device: 'sensor', clientId: 'sensor', detail: 'a WebSocket text message' })
  })

  test('a text message before CONNECT does, too', async () => {
    const socket = await openSocket()
    socket.ws.send('hello')
    socket.send(connectPacket('sensor', 5))
    expect(await socket.closed).toBe(1003)
    expect(await house.refused('protocol-error')).toMatchObject({ device: 'sensor', detail: 'a WebSocket text message' })
    expect(house.events.some((e) => e.kind === 'admission')).toBe(false)
  })

  test.each<[string, Buffer, number, string]>([
    ['that is not masked', frame(BINARY, [0xc0, 0] as never, { masked: false }), 1002, 'malformed-packet'],
    ['of a reserved kind', frame(3, ''), 1002, 'malformed-packet'],
    ['with a bit of an extension that was not agreed on', frame(BINARY, '', { reserved: 0x40 }), 1002, 'malformed-packet'],
    ['that continues nothing', frame(CONTINUATION, ''), 1002, 'malformed-packet'],
    ['of control, in fragments', frame(9, '', { fin: false }), 1002, 'malformed-packet'],
    ['of control, with more than 125 bytes', frame(9, 'x'.repeat(126)), 1002, 'malformed-packet'],
    ['of control that announces a terabyte', Buffer.from('82ff0000010000000000', 'hex'), 1009, 'packet-too-large'],
    ['of a size beyond any number', Buffer.from('82ffffffffffffffffff', 'hex'), 1009, 'packet-too-large'],
  ])('a frame %s closes the connection', async (_, bytes, code, reason) => {
    const socket = await openSession()
    raw(socket, bytes)
    expect(await socket.closed).toBe(code)
    expect((await house.refused(reason as never)).device).toBe('sensor')
  })

  test('a message may be as large as the largest packet and some more, and one byte beyond closes with 1009 before it is sent', async () => {
    const bytesMax = PACKET_BYTES_MAX + BROKER_LIMITS.messageSlackBytes
    const socket = await openSession()
    socket.ws.send(Buffer.concat([publishOf(PACKET_BYTES_MAX), publishOf(bytesMax - PACKET_BYTES_MAX)]))
    await alive(socket)
    const length = (bytesMax + 1).toString(16).padStart(16, '0')
    raw(socket, Buffer.from(`82ff${length}00000000`, 'hex'))
    expect(await socket.closed).toBe(1009)
    await house.refused('packet-too-large', (e) => e.clientId === 'sensor')
  })

  test('before CONNACK less is buffered: a message that does not end closes the connection', async () => {
    const bytes = frame(BINARY, Buffer.concat([publishOf(BROKER_LIMITS.connectPacketBytesMax), publishOf(BROKER_LIMITS.connectPacketBytesMax)]))
    expect(bytes.length - 5).toBeGreaterThan(2 * BROKER_LIMITS.connectPacketBytesMax)
    const stranger = await openSocket()
    raw(stranger, bytes.subarray(0, -5))
    expect(await stranger.closed).toBe(1009)
    expect(await house.refused('packet-too-large')).toMatchObject({ device: 'sensor', detail: 'a WebSocket message before CONNACK' })
    const session = await openSession()
    raw(session, bytes.subarray(0, -5))
    raw(session, bytes.subarray(-5))
    await alive(session)
    session.ws.terminate()
  })

  test('a message of too many fragments closes the connection, one of as many as allowed does not', async () => {
    const socket = await openSession()
    const fragments = (count: number): Buffer => Buffer.concat([frame(BINARY, '', { fin: false }), ...Array.from({ length: count - 2 }, () => frame(CONTINUATION, '', { fin: false })), frame(CONTINUATION, '')])
    raw(socket, fragments(BROKER_LIMITS.messageFragmentsMax))
    await alive(socket)
    raw(socket, fragments(BROKER_LIMITS.messageFragmentsMax + 1))
    expect(await socket.closed).toBe(1008)
    await house.refused('quota-exceeded')
  })

  test('a flood of pings is answered by its last, and the session goes on', async () => {
    const socket = await openSession()
    raw(socket, ...Array.from({ length: 5_000 }, (_, i) => frame(9, String(i))))
    while (!socket.pongs.includes('4999')) await once(socket.ws, 'pong')
    expect(socket.pongs.length).toBeLessThan(100)
    await alive(socket)
    socket.ws.terminate()
  })
})

describe('the bounds are the same', () => {
  test('a packet that is larger than allowed hears 0x95, whether in one message or in many; the largest is taken', async () => {
    const socket = await openSession()
    socket.ws.send(publishOf(PACKET_BYTES_MAX, 1))
    expect((await socket.take('puback')).reasonCode).toBe(0)
    socket.ws.send(publishOf(PACKET_BYTES_MAX + 1, 1))
    expect((await socket.take('disconnect')).reasonCode).toBe(0x95)
    await socket.closed
    const another = await openSession()
    const bytes = publishOf(PACKET_BYTES_MAX + 1, 1)
    for (let at = 0; at < bytes.length; at += 1_000) another.ws.send(bytes.subarray(at, at + 1_000), () => {})
    expect((await another.take('disconnect')).reasonCode).toBe(0x95)
    await another.closed
  })

  test('Receive Maximum is', async () => {
    const socket = await openSession()
    const open = Array.from({ length: BROKER_LIMITS.receiveMaximum + 1 }, (_, i) => publishPacket('t/sensor/x', 'x', { qos: 2, messageId: i + 1 }))
    socket.send(...open)
    expect((await socket.take('disconnect')).reasonCode).toBe(0x93)
    await socket.closed
    await house.refused('receive-maximum')
  })
})

describe('the end', () => {
  test.each<Version>([4, 5])('of a revoked device is there at once, whatever its client thinks of a closing handshake, in MQTT %i', async (version) => {
    const identity = await house.device(`revoked-${version}`)
    const socket = await openSession(identity, version)
    // A peer that reads and answers nothing any more.
    const below = (socket.ws as unknown as { readonly _socket: tls.TLSSocket })._socket
    below.pause()
    // Nor is there any time in which the server could wait for it.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await house.revoke(identity)
    expect(await house.broker.closed({ issuer: house.organisation.issuing.name, serial: identity.serial })).toBe(1)
    expect(house.broker.sessionCount).toBe(0)
    vi.useRealTimers()
    below.resume()
    await socket.closed
    expect((await house.heard((e) => e.kind === 'session-closed'))).toMatchObject({ device: identity.id, reason: 'certificate-revoked' })
  })

  test('of a session is said in MQTT 5 and with a Close', async () => {
    const identity = await house.device('suspended')
    const socket = await openSession(identity)
    await house.state('suspended', 'suspended')
    expect((await socket.take('disconnect')).reasonCode).toBe(0x98)
    expect(await socket.closed).toBe(1000)
  })

  test('of a refused CONNECT comes behind the CONNACK', async () => {
    const socket = await openSocket()
    socket.send(connectPacket('somebody-else', 5))
    expect((await socket.take('connack')).reasonCode).toBe(0x85)
    expect(await socket.closed).toBe(1000)
  })

  test('by the client leaves no session, with a Close and without', async () => {
    for (const leave of ['close', 'terminate'] as const) {
      const socket = await openSession()
      expect(house.broker.sessionCount).toBe(1)
      socket.ws[leave]()
      await socket.closed
      while (house.broker.sessionCount > 0) await new Promise((resolve) => void setImmediate(resolve))
    }
  })

  test('of the broker ends sessions with 0x8B, upgrades that were not finished, and the door', async () => {
    const other = await openHouse({ websocketOrigins: [] })
    const identity = await other.device('d')
    const at = other.broker.websocket!.port
    const client = await mqtt.connectAsync(`wss://127.0.0.1:${at}/mqtt`, { ca: other.root, cert: identity.cert, key: identity.key, servername: 'localhost', clientId: 'd', reconnectPeriod: 0, protocolVersion: 5 })
    const unfinished = await openWire({ port: at, root: other.root }, identity)
    unfinished.socket.write('GET /mqtt HTTP/1.1\r\n')
    const told = new Promise<Packet>((resolve) => void client.once('disconnect', resolve))
    await other[Symbol.asyncDispose]()
    expect(await told).toMatchObject({ reasonCode: 0x8b })
    await unfinished.ended
    expect((await openWire({ port: at, root: other.root }, identity)).open).toBe(false)
  })
})

test('without a section in the configuration there is no such door', async () => {
  await using closed = await openHouse()
  expect(closed.broker.websocket).toBeUndefined()
})
