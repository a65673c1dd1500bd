// The TLS door: what it rests on in Node that is not documented (docs/decisions/0003), how unfinished handshakes end, what
// is told of them, and reloading. The day one of the undocumented surfaces goes, the first tests here fail.

import net, { connect as connectTcp, type Socket } from 'node:net'
import { once } from 'node:events'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openListener, type Listener, type SecureConnection } from '../../src/broker/listener.ts'
import { openSourceGate } from '../../src/broker/source-gate.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { forgeIssuing, forgeLeaf, forgeRoot, type ForgedAuthority } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem, mismatchedKey, privateKey } from '../../device-sim/forge/keys.ts'
import { clientHello, HANDSHAKE, record, TLS_VERSION } from '../../device-sim/forge/client-hello.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected } from './wire.ts'

interface Refused {
  readonly reason: DenyReason
  readonly detail: string | undefined
  readonly leaf: Uint8Array | undefined
}

/** A listener of its own, without an engine behind it. */
interface Door {
  readonly listener: Listener
  readonly refused: Refused[]
  readonly secure: SecureConnection[]
  refusal(): Promise<Refused>
  entered(): Promise<SecureConnection>
  /** How many connections hold a place among the unfinished ones. */
  readonly places: () => number
}

let house: House
let device: Identity
const doors: Door[] = []

async function openDoor(): Promise<Door> {
  const refused: Refused[] = []
  const secure: SecureConnection[] = []
  const waiting = new Set<() => void>()
  const wake = (): void => waiting.forEach((check) => check())
  const next = <T>(list: T[]): Promise<T> =>
    new Promise((resolve) => {
      const check = (): void => {
        const [first] = list.splice(0, 1)
        if (first === undefined) return
        waiting.delete(check)
        resolve(first)
      }
      waiting.add(check)
      check()
    })
  const gate = openSourceGate({ perSecond: 1e6, burst: 1e6 })
  let places = 0
  const listener = await openListener({
    service: 'mqtt', host: '127.0.0.1', port: 0, material: house.material(), clock: Date.now,
    gate: {
      enter(address, now) {
        places += 1
        return gate.enter(address, now)
      },
      finished(address) {
        places -= 1
        gate.finished(address)
      },
    },
    onSecure(connection) {
      secure.push(connection)
      wake()
    },
    onRefused(_source, { reason, detail }, [leaf]) {
      refused.push({ reason, detail, leaf })
      wake()
    },
  })
  const door: Door = { listener, refused, secure, refusal: () => next(refused), entered: () => next(secure), places: () => places }
  doors.push(door)
  return door
}

const tcp = async (door: Door): Promise<Socket> => {
  const socket = connectTcp(door.listener.address.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

const handshake = (door: Door, options: tls.ConnectionOptions = {}): tls.TLSSocket => {
  const socket = tls.connect({ host: '127.0.0.1', port: door.listener.address.port, ca: house.root, cert: device.cert, key: device.key, servername: 'localhost', ...options })
  socket.on('error', () => {})
  return socket
}

const closed = async (socket: Socket): Promise<void> => {
  socket.resume()
  if (!socket.destroyed) await new Promise<void>((resolve) => void socket.once('close', () => resolve()))
}

/** Waits for a condition without a timer: timers may be faked. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => void setImmediate(resolve))
}

const hello = (serverName: string): Buffer => record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], clientHello({ version: TLS_VERSION['TLS 1.2'], serverName }))

const cnOf = (der: Uint8Array | undefined): string | undefined => {
  const parsed = parseCertificate(der ?? new Uint8Array())
  return parsed.allow ? (parsed.value.subject.flat().find((a) => a.short === 'CN')?.value ?? undefined) : undefined
}

beforeAll(async () => {
  house = await openHouse()
  device = await house.device('listener-device')
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  for (const { listener, secure } of doors.splice(0)) {
    listener.close()
    for (const { socket } of secure) socket.destroy()
  }
})
afterAll(() => house[Symbol.asyncDispose]())

describe('what the door rests on that Node does not document', () => {
  test("a TLSSocket of our own emits 'secure' when a chain does not verify, and the handle's verifyError names why", async () => {
    const foreign = forgeRoot('Foreign')
    const leaf = forgeLeaf(foreign, 'stranger')
    const door = await openDoor()
    handshake(door, { cert: pem('CERTIFICATE', leaf.certificate), key: keyPem(leaf.key) })
    const { socket } = await door.entered()
    const handle = (socket as unknown as { _handle: { verifyError(): { code: string } | null } })._handle
    expect(handle.verifyError()?.code).toMatch(/UNABLE_TO_(GET_ISSUER_CERT_LOCALLY|VERIFY_LEAF_SIGNATURE)/)
    expect(socket.getPeerX509Certificate()?.subject).toBe('CN=stranger')
  })

  test('verifyError is null for a chain that verifies', async () => {
    const door = await openDoor()
    handshake(door)
    const { socket } = await door.entered()
    const handle = (socket as unknown as { _handle: { verifyError(): { code: string } | null } })._handle
    expect(handle.verifyError()).toBeNull()
  })

  test("'_tlsError' comes while the presented leaf can still be read: a stolen certificate is named", async () => {
    const issuing = await house.issuing()
    const victim = forgeLeaf(issuing, 'victim')
    const door = await openDoor()
    handshake(door, { cert: pem('CERTIFICATE', victim.certificate) + pem('CERTIFICATE', issuing.certificate), key: keyPem(mismatchedKey(privateKey(), victim.key)) })
    const refused = await door.refusal()
    expect(refused.reason).toBe('tls-possession-unproven')
    expect(cnOf(refused.leaf)).toBe('victim')
  })
})

describe('who shows no certificate', () => {
  test('hears alert 116 in TLS 1.3, and is named', async () => {
    const door = await openDoor()
    const socket = handshake(door, { cert: undefined, key: undefined, minVersion: 'TLSv1.3' })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
    expect((await door.refusal()).reason).toBe('tls-no-certificate')
    expect(door.secure).toEqual([])
  })
  test('is refused in TLS 1.2', async () => {
    const door = await openDoor()
    await closed(handshake(door, { cert: undefined, key: undefined, maxVersion: 'TLSv1.2' }))
    expect((await door.refusal()).reason).toBe('tls-no-certificate')
  })
})

describe('what is no handshake', () => {
  test.each<[string, Buffer | string, DenyReason]>([
    ['plain MQTT', Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 0]), 'tls-not-tls'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'tls-not-tls'],
    ['a CONNECT of a proxy', 'CONNECT example.org:443 HTTP/1.1\r\n\r\n', 'tls-not-tls'],
    ['SSH', 'SSH-2.0-OpenSSH_9.9\r\n', 'tls-not-tls'],
    ['a PROXY header', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'tls-not-tls'],
    ['zeros', Buffer.alloc(64), 'tls-not-tls'],
  ])('%s is turned away', async (_, bytes, reason) => {
    const door = await openDoor()
    const socket = await tcp(door)
    socket.write(bytes)
    await closed(socket)
    expect((await door.refusal()).reason).toBe(reason)
    expect(door.secure).toEqual([])
  })

  test.each(['TLSv1', 'TLSv1.1'] as const)('%s is too old', async (version) => {
    const door = await openDoor()
    await closed(handshake(door, { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }))
    expect((await door.refusal()).reason).toBe('tls-protocol-version')
  })
  test.each(['ECDHE-ECDSA-AES128-SHA', 'ECDHE-RSA-AES128-GCM-SHA256', 'AES128-GCM-SHA256'])('the suite %s of TLS 1.2 is not shared', async (ciphers) => {
    const door = await openDoor()
    await closed(handshake(door, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }))
    expect((await door.refusal()).reason).toMatch(/tls-no-shared-parameters|tls-malformed/)
  })

  test('a peer that leaves before it says anything is an aborted handshake', async () => {
    const door = await openDoor()
    const socket = await tcp(door)
    socket.destroy()
    expect((await door.refusal()).reason).toBe('tls-aborted')
    expect(door.places()).toBe(0)
  })
})

describe('names in the ClientHello', () => {
  test('ALPN mqtt is agreed on, no ALPN is served, and another protocol is refused', async () => {
    const door = await openDoor()
    const agreed = handshake(door, { ALPNProtocols: ['x', 'mqtt'] })
    await once(agreed, 'secureConnect')
    expect(agreed.alpnProtocol).toBe('mqtt')
    await once(handshake(door), 'secureConnect')
    await closed(handshake(door, { ALPNProtocols: ['h2', 'http/1.1'] }))
    expect((await door.refusal()).reason).toBe('tls-no-shared-parameters')
  })
  test('a server name that is nobody, or none, is served', async () => {
    const door = await openDoor()
    for (const servername of ['', 'unknown.example', `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`]) {
      const socket = handshake(door, { servername, checkServerIdentity: () => undefined })
      await once(socket, 'secureConnect')
      socket.destroy()
    }
  })
  test.each<[string, string]>([
    ['NUL', 'local\0host'],
    ['300 bytes', 'a'.repeat(300)],
    ['../', '../../etc/passwd'],
  ])('a server name with %s ends in an answer or an alert, and the door stays open', async (_, name) => {
    const door = await openDoor()
    const socket = await tcp(door)
    socket.write(hello(name))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect([0x15, 0x16]).toContain(answer[0])
    socket.destroy()
    await once(handshake(door), 'secureConnect')
  })
})

describe('unfinished handshakes', () => {
  test('a socket that says nothing and one that stops in its ClientHello are destroyed at the deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const door = await openDoor()
    const silent = await tcp(door)
    const slow = await tcp(door)
    slow.write(hello('localhost').subarray(0, 20))
    await until(() => door.places() === 2)
    vi.advanceTimersByTime(BROKER_LIMITS.handshakeMs - 1)
    expect(door.refused).toEqual([])
    vi.advanceTimersByTime(1)
    expect(door.refused.map((r) => r.reason)).toEqual(['tls-handshake-timeout', 'tls-handshake-timeout'])
    await Promise.all([closed(silent), closed(slow)])
    await until(() => door.places() === 0)
  })

  test('a finished handshake has no deadline of the handshake any more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const door = await openDoor()
    const socket = handshake(door)
    await door.entered()
    vi.advanceTimersByTime(2 * BROKER_LIMITS.handshakeMs)
    expect(door.refused).toEqual([])
    expect(socket.destroyed).toBe(false)
  })

  test('a ClientHello in segments of one byte is a handshake', async () => {
    const door = await openDoor()
    const relay = net.createServer((from) => {
      const to = connectTcp(door.listener.address.port, '127.0.0.1')
      to.setNoDelay(true)
      from.on('data', (chunk) => chunk.forEach((byte) => to.write(Buffer.of(byte))))
      to.pipe(from)
      to.on('error', () => from.destroy())
      from.on('error', () => to.destroy())
    })
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    const socket = handshake(door, { port: (relay.address() as net.AddressInfo).port })
    await once(socket, 'secureConnect')
    await door.entered()
    socket.destroy()
    relay.close()
  })

  test('closing the door ends them and leaves established connections', async () => {
    const door = await openDoor()
    const silent = await tcp(door)
    const live = handshake(door)
    await door.entered()
    await until(() => door.places() === 2)
    door.listener.close()
    await closed(silent)
    expect(live.destroyed).toBe(false)
  })
})

test('an error while accepting, as when descriptors run out, does not end the door', async () => {
  const made = vi.spyOn(net, 'createServer')
  const door = await openDoor()
  const server = made.mock.results[0]?.value as net.Server
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  await once(handshake(door), 'secureConnect')
})

test('a port that is in use is a failure with a name', async () => {
  const door = await openDoor()
  const { port } = door.listener.address
  await expect(openListener({ service: 'mqtt', host: '127.0.0.1', port, material: house.material(), clock: Date.now, gate: openSourceGate({ perSecond: 1, burst: 1 }), onSecure: () => {}, onRefused: () => {} })).rejects.toMatchObject({ code: 'port-in-use' })
})

describe('reloading', () => {
  test('new connections see the new certificate and trust, a live session goes on, and what is unusable changes nothing', async () => {
    const other: ForgedAuthority = forgeRoot('Other')
    const issuing = forgeIssuing(other, 'Other')
    const server = forgeLeaf(issuing, 'localhost', { extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'], names: ['localhost'] })
    const live = await connected(house, device, { version: 5 })
    house.broker.prepareTls(house.material({ key: keyPem(server.key), cert: pem('CERTIFICATE', server.certificate) + pem('CERTIFICATE', issuing.certificate) }))()
    const after = tls.connect({ host: '127.0.0.1', port: house.port, ca: pem('CERTIFICATE', other.certificate), cert: device.cert, key: device.key, servername: 'localhost' })
    await once(after, 'secureConnect')
    expect(after.getPeerX509Certificate()?.subject).toBe('CN=localhost')
    after.destroy()
    await live.ping()
    expect(() => house.broker.prepareTls(house.material({ key: 'no key' }))).toThrowError(expect.objectContaining({ code: 'certificate-unusable' }))
    const still = tls.connect({ host: '127.0.0.1', port: house.port, ca: pem('CERTIFICATE', other.certificate), cert: device.cert, key: device.key, servername: 'localhost' })
    await once(still, 'secureConnect')
    still.destroy()
    house.broker.prepareTls(house.material())()
    await live.ping()
    live.end()
    ;(await connected(house, device)).end()
  })
})
