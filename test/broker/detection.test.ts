// The detection ladder over the wire: each signal beside its nearest innocent, each rung beside what it must not do, and those who
// try to put somebody else on it. The numbers of the ladder itself are tested in test/core/detection.

import type { ConnectionOptions } from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { DEFAULT_RULES, type Thresholds } from '../../src/core/detection/rules.ts'
import type { DeviceId, GroupName } from '../../src/core/ids.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { DETECTION_LIMITS } from '../../src/detection-limits.ts'
import type { Rung, Signal } from '../../src/vocabulary.ts'
import { forgeLeaf } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import type { SessionStore } from '../../src/core/session-store.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, nextId, openWire, publishPacket, subscribe, tryConnect, type Version, type Wire } from './wire.ts'

type Detection = Extract<AuditEvent, { kind: 'detection' }>
const MINUTE = 60_000
const versions: readonly Version[] = [4, 5]

const never: Thresholds = { observe: Infinity, throttle: Infinity, quarantine: Infinity, suspend: Infinity }
/** Only this signal counts, from so many on. */
const only = (signal: Signal, thresholds: Partial<Thresholds>) => ({ ...DEFAULT_RULES.thresholds, ...Object.fromEntries(Object.keys(DEFAULT_RULES.thresholds).map((each) => [each, never])), [signal]: { ...never, ...thresholds } })

let house: House
/** What the session store says of itself, where it is not the truth. */
let health: SessionStore['health'] | undefined
beforeAll(async () => {
  house = await openHouse({ websocketOrigins: [], wrapStore: (store) => Object.create(store, { health: { get: () => health ?? store.health } }) as SessionStore })
})
afterEach(() => {
  house.policy(HOUSE_POLICY)
  house.detect({ upTo: 'none' })
  house.watch.sweep()
  house.forget()
})
afterAll(() => house[Symbol.asyncDispose]())

/** These thresholds for one signal, and no others. */
function watchFor(upTo: Rung, signal: Signal, thresholds: Partial<Thresholds> = { observe: 3 }): void {
  house.detect({ upTo, thresholds: only(signal, thresholds) })
}
let devices = 0
const fresh = (name: string, group?: string): Promise<Identity> => house.device(`${name}-${++devices}`, group)
const steps = (id?: string): readonly Detection[] => house.events.filter((e): e is Detection => e.kind === 'detection' && (id === undefined || e.device === id))
const rung = (id: string): Rung => house.watch.rungOf(id as DeviceId)
/** Another machine, as far as the server can tell. */
const elsewhere: { readonly tls: ConnectionOptions & { readonly localAddress: string } } = { tls: { localAddress: '127.0.0.2' } }

async function deny(wire: Wire, count: number, topic: (i: number) => string): Promise<void> {
  for (let i = 0; i < count; i++) wire.send(publishPacket(topic(i), 'x'))
  await wire.ping()
}

describe('what is seen, and its nearest innocent', () => {
  test.each(versions)('refused messages of MQTT %i: the very number of them is told of once; what is granted is not counted', async (version) => {
    watchFor('observe', 'denials')
    const device = await fresh('sensor')
    const wire = await connected(house, device, { version })
    await deny(wire, 2, () => 'wrong')
    await deny(wire, 100, () => `t/${device.id}/a`)
    expect(steps()).toEqual([])
    await deny(wire, 50, () => 'wrong')
    expect(steps()).toMatchObject([{ device: device.id, from: 'none', to: 'observe', signal: 'denials', count: 3, because: 'It was refused again and again: 3 refusals within 10 minutes.', until: expect.any(Number) }])
    expect(wire.open).toBe(true)
  })

  test('refused filters count as refused messages do, also of one SUBSCRIBE', async () => {
    watchFor('observe', 'denials')
    const device = await fresh('sensor')
    const wire = await connected(house, device, { version: 5 })
    expect(await subscribe(wire, 'cmd/other/a', `cmd/${device.id}/a`, 'cmd/other/b')).toEqual([0x87, 1, 0x87])
    expect(steps()).toEqual([])
    await subscribe(wire, 'cmd/other/c')
    expect(steps()).toHaveLength(1)
  })

  test('different topics, and not one that has a number at its end', async () => {
    watchFor('observe', 'topics', { observe: 5 })
    const [honest, curious] = [await fresh('honest'), await fresh('curious')]
    await deny(await connected(house, honest), 100, (i) => `rpc/response/${i}`)
    expect(steps()).toEqual([])
    await deny(await connected(house, curious), 5, (i) => `t/sensor-${i}/temperature`)
    expect(steps()).toMatchObject([{ device: curious.id, signal: 'topics', count: 5 }])
  })

  test.each(versions)('client ids of other devices in MQTT %i, and not random ones, nor one of nobody', async (version) => {
    watchFor('observe', 'client-ids', { observe: 2 })
    const device = await fresh('prober')
    const [one, two] = [await fresh('other'), await fresh('other')]
    const attempt = async (clientId: string): Promise<void> => {
      expect(await tryConnect(house, device, connectPacket(clientId, version), { version })).toBe(version === 5 ? 0x85 : 2)
      house.rest()
    }
    for (const clientId of ['mqttjs_1', 'mqttjs_2', 'paho-3', 'nobody', one.id, `${one.id}:a`, one.id]) await attempt(clientId)
    expect(steps()).toEqual([])
    await attempt(two.id)
    expect(steps()).toMatchObject([{ device: device.id, signal: 'client-ids', count: 2 }])
  })

  test('connecting over and over, and not what the server cannot do', async () => {
    watchFor('observe', 'connects')
    const device = await fresh('flapping')
    health = { ok: false, problem: 'the disk is full' }
    for (let i = 0; i < 10; i++) expect(await tryConnect(house, device, connectPacket(device.id, 4, { clean: false }))).toBe(3)
    expect(house.refusals()).toContain('store-unavailable')
    expect(steps()).toEqual([])
    health = undefined
    for (let i = 0; i < 3; i++) expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(0)
    expect(steps()).toMatchObject([{ device: device.id, signal: 'connects', count: 3 }])
  })

  test('connecting so often that it is refused for it does not count on', async () => {
    watchFor('observe', 'connects', { observe: BROKER_LIMITS.deviceConnectBurst + 10 })
    const device = await fresh('eager')
    for (let i = 0; i < BROKER_LIMITS.deviceConnectBurst + 20; i++) await tryConnect(house, device, connectPacket('other', 4))
    expect(house.refusals()).toContain('connect-rate')
    expect(steps()).toEqual([])
  })

  test('one certificate from two places at once, and not two from one, one after the other, or one each', async () => {
    watchFor('observe', 'two-places', { observe: 1 })
    const device = await fresh('cloned')
    const second = await house.certify(device.id)
    const first = await connected(house, device, { clientId: `${device.id}:1` })
    await connected(house, device, { clientId: `${device.id}:2` })
    await connected(house, second, { clientId: `${device.id}:3`, ...elsewhere })
    expect(steps()).toEqual([])
    await connected(house, device, { clientId: `${device.id}:4`, ...elsewhere })
    expect(steps()).toMatchObject([{ device: device.id, signal: 'two-places', count: 1 }])
    expect(first.open).toBe(true)
    const roaming = await fresh('roaming')
    const before = await connected(house, roaming)
    before.end()
    await house.looked()
    await connected(house, roaming, elsewhere)
    expect(steps(roaming.id)).toEqual([])
  })

  test('a copy that takes the client id over is seen at each turn', async () => {
    watchFor('observe', 'two-places', { observe: 3 })
    const device = await fresh('fought')
    await connected(house, device)
    for (const at of [elsewhere, {}, elsewhere]) await connected(house, device, at)
    expect(steps()).toMatchObject([{ signal: 'two-places', count: 3 }])
  })

  test('a quiet copy beside its original is seen by the minute, where both speak; a connection that only lingers is not', async () => {
    // Two for connecting and for the minute in which they did.
    watchFor('observe', 'two-places', { observe: 4 })
    const [cloned, roamed] = [await fresh('cloned'), await fresh('roamed')]
    const pair = async (device: Identity): Promise<readonly Wire[]> => [await connected(house, device, { clientId: `${device.id}:1` }), await connected(house, device, { clientId: `${device.id}:2`, ...elsewhere })]
    const [wires, lingering] = [await pair(cloned), await pair(roamed)]
    // What was said until now is looked at once.
    await house.looked()
    for (let minutes = 0; minutes < 3; minutes++) {
      for (const wire of [...wires, lingering[1]!]) await wire.ping()
      house.rest(MINUTE)
      await house.looked()
    }
    expect(steps(cloned.id)).toMatchObject([{ to: 'observe', signal: 'two-places', count: 4 }])
    expect(steps(roamed.id)).toEqual([])
  })

  test('far more than it usually sends, when it was watched for an hour, and not before', async () => {
    watchFor('observe', 'rate', { observe: 1 })
    const device = await fresh('loud')
    const wire = await connected(house, device)
    const send = async (count: number): Promise<void> => {
      wire.send(...Array.from({ length: count }, (_, i) => publishPacket(`t/${device.id}/a`, String(i))))
      await wire.ping()
      await house.looked()
    }
    await house.looked()
    await send(1)
    await send(1_000)
    expect(steps()).toEqual([])
    for (let hours = 0; hours < 3; hours++) {
      house.rest(60 * MINUTE)
      await send(1)
    }
    expect(steps()).toEqual([])
    await send(3_000)
    expect(steps()).toMatchObject([{ device: device.id, signal: 'rate', count: 1, because: expect.stringContaining('far more than it usually does: 1 seconds') }])
  })
})

describe('who is not watched', () => {
  test('an exempt device, an exempt group, and everybody where it is off', async () => {
    const thresholds = only('denials', { observe: 1 })
    const [exempt, server, watched] = [await fresh('exempt'), await fresh('server', 'backend'), await fresh('watched')]
    house.detect({ upTo: 'suspend', thresholds, exempt: { devices: new Set([exempt.id as DeviceId]), groups: new Set(['backend' as GroupName]) } })
    for (const device of [exempt, server]) await deny(await connected(house, device), 10, () => 'secret/x')
    expect(steps()).toEqual([])
    await deny(await connected(house, watched), 1, () => 'secret/x')
    expect(steps()).toMatchObject([{ device: watched.id }])
    house.detect({ upTo: 'none', thresholds })
    await deny(await connected(house, await fresh('sensor')), 10, () => 'secret/x')
    expect(steps()).toHaveLength(1)
  })
})

describe('nobody puts another device on the ladder', () => {
  let victim: Identity
  const all = Object.fromEntries(Object.keys(DEFAULT_RULES.thresholds).map((signal) => [signal, { observe: 1, throttle: 1, quarantine: 1, suspend: 1 }])) as typeof DEFAULT_RULES.thresholds
  beforeAll(async () => {
    victim = await house.device('victim')
  })
  beforeEach(() => house.detect({ upTo: 'suspend', thresholds: { ...all, connects: never } }))
  afterEach(() => {
    expect(steps('victim')).toEqual([])
    expect(rung('victim')).toBe('none')
  })

  test('a stranger with a certificate of its own making in the name of the device', async () => {
    const leaf = forgeLeaf(await house.issuing(), 'victim', { selfSigned: true })
    const impostor: Identity = { ...victim, cert: pem('CERTIFICATE', leaf.certificate), key: leaf.key.export({ type: 'pkcs8', format: 'pem' }).toString() }
    for (let i = 0; i < 5; i++) expect(await tryConnect(house, impostor, connectPacket('victim', 4))).toBe('closed')
    await house.refused('tls-self-signed')
  })

  test('a stranger with the certificate of the device and another key', async () => {
    const other = await fresh('other-key')
    for (let i = 0; i < 5; i++) expect(await tryConnect(house, { ...victim, key: other.key }, connectPacket('victim', 4)).catch(() => 'closed')).toBe('closed')
  })

  test('another device with the client id of the device, and with its topics: that other one is', async () => {
    const prober = await fresh('prober')
    await tryConnect(house, prober, connectPacket('victim', 4))
    expect(steps(prober.id)).toMatchObject([{ to: 'throttle', signal: 'client-ids' }])
    const shouter = await fresh('shouter')
    await deny(await connected(house, shouter), 3, () => 't/victim/a')
    expect(steps(shouter.id)).toMatchObject([{ to: 'throttle' }])
  })

  test('a thief with a certificate of the device that is revoked, however malformed what it says', async () => {
    house.detect({ upTo: 'suspend', thresholds: all })
    const stolen = await house.certify('victim')
    await house.revoke(stolen)
    for (const clientId of ['victim', 'prober', 'x/y', '']) expect(await tryConnect(house, stolen, connectPacket(clientId, 4, { clean: true }))).toBe(5)
    expect(await tryConnect(house, stolen, connectPacket('\uFFFD', 4))).toBeGreaterThan(0)
    await house.refused('certificate-revoked')
    await house.refused('client-id-invalid')
  })

  test('who publishes what the device may not receive any more, and an operator who takes its rights away', async () => {
    const wire = await connected(house, victim, { version: 5 })
    await subscribe(wire, 't/victim/#', 'open/#')
    const backend = await connected(house, await fresh('backend', 'backend'))
    house.policy(HOUSE_POLICY.replace('receive: ["t/+/private"]', 'receive: ["t/+/private", "open/#"]').replace('{ topic: "open/#", qos: 2, share: ["*"] }, ', ''))
    for (let i = 0; i < 5; i++) backend.send(publishPacket('t/victim/private', 'x'), publishPacket('open/x', 'x'))
    await backend.ping()
    await wire.ping()
    house.policy(HOUSE_POLICY)
    wire.end()
  })

  test('an operator who suspends it and lets it back in', async () => {
    await house.state('victim', 'suspended')
    for (let i = 0; i < 5; i++) expect(await tryConnect(house, victim, connectPacket('prober', 4))).toBe(5)
    await house.state('victim', 'active')
    expect(await tryConnect(house, victim, connectPacket('victim', 4))).toBe(0)
  })
})

describe('throttle', () => {
  const { throttledBurst: BURST, throttledPerSecond: PER_SECOND } = DETECTION_LIMITS
  const MORE = 12
  beforeEach(() => watchFor('throttle', 'topics', { observe: 1, throttle: 1 }))
  /** Puts it on the rung, and has the broker see that it speaks. */
  async function throttled(identity: Identity, options: Parameters<typeof connected>[2] = {}): Promise<Wire> {
    await deny(await connected(house, identity, { clientId: `${identity.id}:guilty` }), 1, () => 'wrong')
    expect(rung(identity.id)).toBe('throttle')
    return connected(house, identity, options)
  }
  const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
    const begun = performance.now()
    await work()
    return performance.now() - begun
  }

  test.each(versions)('in MQTT %i what is sent comes later, all of it, in its order, and acknowledged; a neighbour is not kept waiting', async (version) => {
    const [slow, neighbour] = [await fresh('slow'), await fresh('neighbour')]
    const backend = await connected(house, await fresh('backend', 'backend'))
    await subscribe(backend, 't/#')
    const [wire, other] = [await throttled(slow, { version }), await connected(house, neighbour, { version })]
    const burst = ({ id }: Identity) => Array.from({ length: BURST + MORE }, (_, i) => publishPacket(`t/${id}/a`, String(i), { qos: i % 3 as 0 | 1 | 2, messageId: i + 1 }))
    wire.send(...burst(slow))
    other.send(...burst(neighbour))
    const [slowMs, fastMs] = await Promise.all([elapsed(() => wire.ping()), elapsed(() => other.ping())])
    expect(slowMs).toBeGreaterThan((MORE - 2) * 1_000 / PER_SECOND)
    expect(fastMs).toBeLessThan(slowMs / 2)
    await backend.ping()
    for (const { id } of [slow, neighbour]) expect(backend.published().filter((p) => p.topic === `t/${id}/a`).map((p) => Number(p.payload.toString()))).toEqual(Array.from({ length: BURST + MORE }, (_, i) => i))
    expect(wire.received.filter((p) => p.cmd === 'puback')).toHaveLength(Math.ceil((BURST + MORE - 1) / 3))
    expect(house.refusals().filter((reason) => reason !== 'publish-not-granted')).toEqual([])
  })

  test('a session that was connected before is slowed down, too, and let go when the rung is left', async () => {
    const device = await fresh('slow')
    const wire = await connected(house, device, { clientId: `${device.id}:before` })
    await throttled(device)
    wire.send(publishPacket(`t/${device.id}/a`, 'x'))
    await house.looked()
    wire.send(...Array.from({ length: 500 }, () => publishPacket(`t/${device.id}/a`, 'x')))
    const free = elapsed(() => wire.ping())
    house.rest(DETECTION_LIMITS.throttleMs)
    await house.looked()
    expect(await free).toBeLessThan(5_000)
    expect(steps().map(({ from, to }) => `${from}→${to}`)).toEqual(['none→throttle', 'throttle→observe'])
    expect(await elapsed(async () => {
      wire.send(...Array.from({ length: 500 }, () => publishPacket(`t/${device.id}/a`, 'x')))
      await wire.ping()
    })).toBeLessThan(1_000)
  })

  test('a client that promises to speak every second is not taken for silent while it waits', async () => {
    const device = await fresh('slow')
    const hello = publishPacket(`t/${device.id}/a`, 'x')
    const all = await Promise.all(Array.from({ length: 18 }, (_, i) => connected(house, device, { clientId: `${device.id}:${i}`, keepalive: 1 })))
    const busy = await throttled(device)
    for (const wire of all) wire.send(hello)
    await house.looked()
    busy.send(...Array.from({ length: BURST }, () => hello))
    await busy.ping()
    // In turn, ten a second: each is read every other second, and is silent for longer than one and a half.
    for (const wire of all) wire.send(hello, hello)
    expect(await Promise.all(all.map((wire) => wire.ping()))).toHaveLength(18)
  })

  test('what is not read is held by nobody here: the memory of the server does not grow with what the client sends', async () => {
    const device = await fresh('slow')
    const wire = await throttled(device)
    const packets = Buffer.concat(Array.from({ length: 200 }, () => mqttPacket.generate(publishPacket(`t/${device.id}/a`, Buffer.alloc(65_535, 'x')))))
    wire.bytes(packets)
    await house.looked()
    await house.looked()
    // 13 MB were sent, 30 packets of them could be read by now; the rest waits on the other side of the network.
    expect(wire.socket.writableLength).toBeGreaterThan(3_000_000)
    wire.end()
  })

  test('CONNECTs are refused beyond their smaller rate, and who is connected stays', async () => {
    const device = await fresh('slow')
    const wire = await throttled(device)
    const codes: (number | 'closed')[] = []
    for (let i = 0; i < DETECTION_LIMITS.throttledConnectBurst + 3; i++) codes.push(await tryConnect(house, device, connectPacket(`${device.id}:again`, 4)))
    expect(codes.slice(0, 5)).toEqual([0, 0, 0, 0, 0])
    expect(codes.slice(-2)).toEqual([3, 3])
    house.rest(2_000)
    expect(await tryConnect(house, device, connectPacket(`${device.id}:again`, 4))).toBe(0)
    await wire.ping()
    expect(wire.open).toBe(true)
  })

  test('through the WebSocket door, too', async () => {
    const device = await fresh('slow')
    await throttled(device)
    const { default: mqtt } = await import('mqtt')
    const client = await mqtt.connectAsync(`wss://127.0.0.1:${house.broker.websocket!.port}/mqtt`, { ca: house.root, cert: device.cert, key: device.key, servername: 'localhost', clientId: `${device.id}:ws`, reconnectPeriod: 0 })
    const took = await elapsed(() => Promise.all(Array.from({ length: BURST + MORE }, (_, i) => client.publishAsync(`t/${device.id}/a`, String(i), { qos: 1 }))))
    expect(took).toBeGreaterThan((MORE - 2) * 1_000 / PER_SECOND)
    await client.endAsync()
  })

  test('a client that says goodbye behind what it has sent is heard out', async () => {
    const device = await fresh('slow')
    const backend = await connected(house, await fresh('backend', 'backend'))
    await subscribe(backend, 't/#')
    const wire = await throttled(device, { version: 5 })
    wire.send(...Array.from({ length: BURST + 3 }, (_, i) => publishPacket(`t/${device.id}/a`, String(i), { qos: 1 })), { cmd: 'disconnect', reasonCode: 0 })
    await wire.ended
    await backend.ping()
    expect(backend.published()).toHaveLength(BURST + 3)
  })
})

describe('quarantine and suspend', () => {
  const WORK_ON = `${HOUSE_POLICY}\nquarantine: { publish: ["quarantine/\${device.id}"] }\n`
  beforeEach(() => watchFor('suspend', 'topics', { observe: 1, throttle: 1, quarantine: 2, suspend: 3 }))
  const state = ({ id }: Identity) => house.home.registry.device(id as DeviceId)
  const settled = ({ id }: Identity) => house.watch.settled(id as DeviceId)
  const records = async ({ id }: Identity, action: string): Promise<readonly Record<string, unknown>[]> => {
    await house.home.audit.flush()
    return (await house.home.audit.tail(100)).filter((r) => (r['event'] as { action: string }).action === action && (r['device'] as { id: string }).id === id)
  }

  test('end the sessions and keep the device out; why, since when, and who did it is in the registry and in the audit log', async () => {
    const device = await fresh('guilty')
    const wire = await connected(house, device, { version: 5 })
    await deny(wire, 5, (i) => `x/${i}`)
    expect(wire.open).toBe(true)
    house.rest(DETECTION_LIMITS.patienceMs)
    wire.send(publishPacket('y/1', 'x'))
    expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await settled(device)
    expect(state(device)).toMatchObject({ state: 'quarantined', hold: { from: 'active', because: expect.stringContaining('6 different topics within 60 minutes'), since: expect.any(Number) } })
    expect(await tryConnect(house, device, connectPacket(device.id, 5), { version: 5 })).toBe(0x87)
    expect((await house.refused('device-quarantined', (e) => e.device === device.id)).device).toBe(device.id)
    expect(await records(device, 'device-changed')).toMatchObject([{ user: { name: 'system' }, device: { id: device.id }, message: expect.stringContaining('different topics'), detail: { action: 'quarantine', state: 'quarantined' } }])
    expect(await records(device, 'detection')).toMatchObject([{ device: { id: device.id }, detail: { from: 'throttle', to: 'quarantine', signal: 'topics', count: 6 } }])
  })

  test('a device that is quarantined and may work on is suspended when it goes on', async () => {
    house.policy(WORK_ON)
    const device = await fresh('guilty')
    const wire = await connected(house, device, { version: 5 })
    for (const topics of ['x', 'y']) {
      await deny(wire, 5, (i) => `${topics}/${i}`)
      await settled(device)
      house.rest(DETECTION_LIMITS.patienceMs)
    }
    expect(state(device)?.state).toBe('quarantined')
    const messageId = nextId()
    wire.send(publishPacket(`quarantine/${device.id}`, 'x', { qos: 1, messageId }))
    expect((await wire.take('puback')).reasonCode ?? 0).toBeLessThan(0x80)
    wire.send(publishPacket('z/1', 'x'))
    await wire.ended
    await settled(device)
    expect(state(device)).toMatchObject({ state: 'suspended', hold: { from: 'active' } })
  })

  test('do not come by default, whatever the device does', async () => {
    house.detect({ thresholds: only('topics', { observe: 1, throttle: 1, quarantine: 1, suspend: 1 }) })
    const device = await fresh('guilty')
    const wire = await connected(house, device)
    for (let i = 0; i < 3; i++) {
      await deny(wire, 5, (n) => `x/${i}${n}`)
      house.rest(DETECTION_LIMITS.patienceMs)
    }
    expect([rung(device.id), state(device)?.state, wire.open]).toEqual(['throttle', 'active', true])
  })

  test('of what an operator has ordered nothing is changed', async () => {
    house.policy(WORK_ON)
    const device = await fresh('guilty')
    const wire = await connected(house, device)
    await house.state(device.id, 'quarantined')
    await deny(wire, 3, (i) => `x/${i}`)
    house.rest(DETECTION_LIMITS.patienceMs)
    await deny(wire, 1, () => 'y/1')
    await settled(device)
    expect(state(device)).toMatchObject({ state: 'quarantined' })
    expect(state(device)?.hold).toBeUndefined()
    house.rest(DETECTION_LIMITS.patienceMs)
    wire.send(publishPacket('z/1', 'x'))
    await wire.ended
    await settled(device)
    expect(state(device)).toMatchObject({ state: 'suspended', hold: { from: 'quarantined' } })
  })

  test('what the registry cannot record is not done, and is tried again a minute later', async () => {
    const device = await fresh('guilty')
    const wire = await connected(house, device)
    await deny(wire, 3, (i) => `x/${i}`)
    house.rest(DETECTION_LIMITS.patienceMs)
    const broken = vi.spyOn(house.home.registry, 'commit').mockRejectedValue(new Error('the disk is full'))
    await deny(wire, 1, () => 'y/1')
    await settled(device)
    broken.mockRestore()
    expect([rung(device.id), state(device)?.state, wire.open]).toEqual(['throttle', 'active', true])
    expect(house.logged.join('\n')).toContain('a step of the detection ladder cannot be recorded: it is not taken')
    await deny(wire, 5, (i) => `y/${i}`)
    expect(rung(device.id)).toBe('throttle')
    house.rest(DETECTION_LIMITS.patienceMs)
    wire.send(publishPacket('z/1', 'x'))
    await wire.ended
    await settled(device)
    expect(state(device)?.state).toBe('quarantined')
  })

  test('survive a restart, with what they were for; what was counted does not', async () => {
    const device = await fresh('guilty')
    const wire = await connected(house, device)
    await deny(wire, 3, (i) => `x/${i}`)
    house.rest(DETECTION_LIMITS.patienceMs)
    await connected(house, device, { clientId: `${device.id}:2` })
    wire.send(publishPacket('y/1', 'x'))
    await wire.ended
    await settled(device)
    await house.restart()
    expect([house.watch.list(), house.watch.isThrottled(device.id as DeviceId), rung(device.id)]).toEqual([[], true, 'none'])
    expect(state(device)).toMatchObject({ state: 'quarantined', hold: { from: 'active' } })
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(5)
  })
})

describe('many at once', () => {
  test('thirty sessions of one device that misbehave at the same time are one device, and each step is taken once', async () => {
    watchFor('quarantine', 'topics', { observe: 5, throttle: 10, quarantine: 20 })
    const device = await fresh('crowd')
    const wires = await Promise.all(Array.from({ length: 30 }, (_, i) => connected(house, device, { clientId: `${device.id}:${i}` })))
    await Promise.all(wires.map((wire, n) => deny(wire, 10, (i) => `x${n}/${i}`)))
    expect(steps().map((step) => step.to)).toEqual(['observe', 'throttle'])
    house.rest(DETECTION_LIMITS.patienceMs)
    for (const [n, wire] of wires.entries()) wire.send(publishPacket(`y/${n}`, 'x'))
    await Promise.all(wires.map((wire) => wire.ended))
    await house.watch.settled(device.id as DeviceId)
    await house.home.audit.flush()
    expect((await house.home.audit.tail(100)).filter((r) => (r['event'] as { action: string }).action === 'device-changed' && (r['device'] as { id: string }).id === device.id)).toHaveLength(1)
    expect(house.home.registry.device(device.id as DeviceId)).toMatchObject({ state: 'quarantined', revision: 2 })
  })

  test('a fleet that comes back at once after a restart, with all its filters, is on no rung of the defaults', async () => {
    house.detect({ upTo: 'suspend' })
    const fleet = await Promise.all(Array.from({ length: 20 }, () => fresh('fleet')))
    const gateway = await fresh('gateway', 'backend')
    for (let outages = 0; outages < 3; outages++) {
      const wires = await Promise.all([...fleet.map((device) => connected(house, device)), ...Array.from({ length: 32 }, (_, i) => connected(house, gateway, { clientId: `${gateway.id}:${i}` }))])
      await Promise.all(wires.slice(0, 20).map((wire, i) => subscribe(wire, `t/${fleet[i]!.id}/#`, `cmd/${fleet[i]!.id}/a`)))
      for (let i = 0; i < 900; i += 100) await subscribe(wires.at(-1)!, ...Array.from({ length: 100 }, (_, n) => `cmd/child-${i + n}/a`))
      await house.restart()
    }
    expect(steps()).toEqual([])
  })
})

test('a wire that is closed while it waits for its turn leaves nothing behind', async () => {
  watchFor('throttle', 'topics', { observe: 1, throttle: 1 })
  const device = await fresh('slow')
  await deny(await connected(house, device, { clientId: `${device.id}:1` }), 1, () => 'wrong')
  const wire = await connected(house, device)
  wire.send(...Array.from({ length: 200 }, () => publishPacket(`t/${device.id}/a`, 'x')))
  await house.looked()
  wire.end()
  await wire.ended
  const again = await openWire(house, device)
  again.send(connectPacket(device.id, 4))
  expect((await again.take('connack')).returnCode).toBe(0)
  await again.ping()
})
