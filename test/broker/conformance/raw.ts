// One connection seen byte by byte, and the stage that the tests of conformance stand on: a broker, a device that may
// little (a sensor) and one that may everything (a backend). Frames are built by hand and compared by hand: a mistake that
// a packet library makes on both sides would not be seen. It judges nothing.

import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import type { ISubackPacket, ISubscription } from 'mqtt-packet'
import { openHouse, type House, type Identity } from '../house.ts'
import { connectPacket, nextId, openWire, publishPacket, type ConnectFields, type Version, type Wire, type WireOptions } from '../wire.ts'


/** Packet types, as they stand in the upper four bits of the first byte. MQTT 5 §2.1.2. */
export const TYPE = {
  connect: 1, connack: 2, publish: 3, puback: 4, pubrec: 5, pubrel: 6, pubcomp: 7, subscribe: 8, suback: 9, unsubscribe: 10,
  unsuback: 11, pingreq: 12, pingresp: 13, disconnect: 14, auth: 15,
} as const
export type TypeName = keyof typeof TYPE

export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])
export const u32 = (value: number): Buffer => Buffer.concat([u16(Math.floor(value / 65_536)), u16(value % 65_536)])
/** A length-prefixed field: UTF-8 text, or bytes that may be no text. */
export function field(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u16(bytes.length), bytes])
}
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])
export function frame(first: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)))
  return Buffer.concat([Buffer.from([first, ...varint(body.length)]), body])
}
/** The properties of a packet of MQTT 5, behind their length; nothing in MQTT 3.1.1. */
export function properties(version: Version, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)))
  return version === 5 ? Buffer.concat([Buffer.from(varint(body.length)), body]) : Buffer.alloc(0)
}
/** A CONNECT by hand: everything behind the flags is the test's own. */
export function rawConnect(version: number, flags: number, ...payload: readonly Uint8Array[]): Buffer {
  return frame(0x10, field('MQTT'), [version, flags, 0, 60], version === 5 ? [0] : [], ...payload)
}

export interface RawFrame {
  readonly first: number
  readonly body: Buffer
  /** The whole frame as it came, in hexadecimal. */
  readonly hex: string
}

export interface Raw extends Wire {
  readonly frames: readonly RawFrame[]
  /** The next frame of this type that was not taken yet; fails when the connection ends first. */
  next(type: TypeName): Promise<RawFrame>
  types(): readonly number[]
}

/** Opens a TLS connection whose every frame is kept as it came. */
export async function rawWire(house: Pick<House, 'port' | 'root'>, identity: Identity, options: WireOptions = {}): Promise<Raw> {
  const wire = await openWire(house, identity, options)
  const frames: RawFrame[] = []
  const taken = new Set<RawFrame>()
  const waiting = new Set<() => void>()
  let pending: Buffer = Buffer.alloc(0)
  const wake = (): void => {
    for (const check of waiting) check()
  }
  wire.socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (let end = frameEnd(pending); end !== undefined; end = frameEnd(pending)) {
      const { first, body } = end
      frames.push({ first, body, hex: pending.subarray(0, end.length).toString('hex') })
      pending = pending.subarray(end.length)
    }
    wake()
  })
  void wire.ended.then(wake)
  const next = (type: TypeName): Promise<RawFrame> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const found = frames.find((f) => f.first >> 4 === TYPE[type] && !taken.has(f))
        if (found === undefined && wire.open) return
        waiting.delete(check)
        if (found === undefined) return reject(new Error(`the connection ended before a ${type} came; it had sent ${frames.map((f) => f.hex).join(' ')}`))
        taken.add(found)
        resolve(found)
      }
      waiting.add(check)
      check()
    })
  const raw: Pick<Raw, 'frames' | 'next' | 'types'> = { frames, next, types: () => frames.map((f) => f.first >> 4) }
  return Object.defineProperties(wire, Object.getOwnPropertyDescriptors(raw)) as Raw
}

function frameEnd(bytes: Buffer): { readonly first: number; readonly body: Buffer; readonly length: number } | undefined {
  let length = 0
  for (let i = 1; i < bytes.length && i < 5; i++) {
    length += ((bytes[i] ?? 0) & 127) * 128 ** (i - 1)
    if (((bytes[i] ?? 0) & 128) !== 0) continue
    const end = i + 1 + length
    return bytes.length < end ? undefined : { first: bytes[0] ?? 0, body: bytes.subarray(i + 1, end), length: end }
  }
  return undefined
}

/** A raw connection whose CONNECT is admitted; its CONNACK is the first frame. */
export async function rawConnected(house: House, identity: Identity, options: WireOptions & ConnectFields = {}): Promise<Raw> {
  const { version = 4, tls, acknowledge, ...fields } = options
  const raw = await rawWire(house, identity, { version, ...(tls === undefined ? {} : { tls }), ...(acknowledge === undefined ? {} : { acknowledge }) })
  raw.send(connectPacket(identity.id, version, fields))
  const { hex, body } = await raw.next('connack')
  if (body[1] !== 0) throw new Error(`CONNACK ${hex}`)
  return raw
}

/** A session that goes on without its connection, in the words of the version. */
export function kept(version: Version, clean = false, seconds = 600): WireOptions & ConnectFields {
  return version === 5 ? { version, clean, properties: { sessionExpiryInterval: seconds } } : { version, clean }
}


/** SUBSCRIBE with options of MQTT 5 for each filter, and an identifier; the granted codes. */
export async function subscribeWith(wire: Wire, subscriptions: readonly ISubscription[], identifier?: number): Promise<ISubackPacket['granted']> {
  const messageId = nextId()
  wire.send({ cmd: 'subscribe', messageId, subscriptions: [...subscriptions], ...(identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }) })
  return (await wire.take('suback', (p) => p.messageId === messageId)).granted
}

/** The end of the connection, which MQTT 5 hears with this code. */
export async function cut(wire: Wire, code: number): Promise<void> {
  if (wire.version === 5) {
    const { reasonCode } = await wire.take('disconnect')
    if (reasonCode !== code) throw new Error(`DISCONNECT 0x${reasonCode?.toString(16)} instead of 0x${code.toString(16)}`)
  }
  await wire.ended
}

/** Publishes with QoS 1, as many messages as there are payloads, and waits for every PUBACK: the broker has taken them. */
export async function publishAll(wire: Wire, topic: string, sent: readonly (string | Buffer)[], fields: Parameters<typeof publishPacket>[2] = {}): Promise<void> {
  for (const payload of sent) {
    const packet = publishPacket(topic, payload, { qos: 1, ...fields })
    wire.send(packet)
    if (packet.qos === 1) await wire.take('puback', (p) => p.messageId === packet.messageId)
    if (packet.qos === 2) {
      await wire.take('pubrec', (p) => p.messageId === packet.messageId)
      wire.send({ cmd: 'pubrel', messageId: packet.messageId! })
      await wire.take('pubcomp', (p) => p.messageId === packet.messageId)
    }
  }
  await wire.ping()
}

export interface Stage {
  readonly house: House
  readonly sensor: Identity
  readonly backend: Identity
  /** A device of its own for one test, named by its number. */
  fresh(group?: string): Promise<Identity>
  /** Breaks the connection and waits until the broker has noticed. */
  left(wire: Wire): Promise<void>
  /** Another connection of the backend, under a client id of its own. */
  another(options?: WireOptions & ConnectFields): Promise<Raw>
}

/** Opens a house before the tests of this file and closes it behind them; clocks are real again after every test. */
export function openStage(options: Parameters<typeof openHouse>[0] = {}): Stage {
  let house: House | undefined
  let identities: readonly [Identity, Identity] | undefined
  let count = 0
  const opened = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('the stage opens before the first test')
    return value
  }
  beforeAll(async () => {
    house = await openHouse(options)
    identities = [await house.device('sensor'), await house.device('backend', 'backend')]
  })
  afterEach(() => {
    vi.useRealTimers()
    opened(house).forget()
    opened(house).rest()
  })
  afterAll(() => house?.[Symbol.asyncDispose]())
  const stage: Stage = {
    get house() {
      return opened(house)
    },
    get sensor() {
      return opened(identities)[0]
    },
    get backend() {
      return opened(identities)[1]
    },
    fresh: (group) => stage.house.device(`device-${++count}`, group),
    async left(wire) {
      const before = stage.house.broker.sessionCount
      wire.end()
      while (stage.house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
    },
    another: (connect = {}) => rawConnected(stage.house, stage.backend, { clientId: `backend:${++count}`, ...connect }),
  }
  return stage
}

/** Lets so much time pass at once, for every clock and timer that is asked from now on; `vi.useRealTimers` is called by the stage. */
export async function pass(ms: number): Promise<void> {
  if (!vi.isFakeTimers()) vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  await vi.advanceTimersByTimeAsync(ms)
}
