// Family Q: the door for WebSockets, by hand: requests that are no upgrade, pages of others, and frames that no library sends. RFC 6455.

import { createHash, randomBytes } from 'node:crypto'
import tls from 'node:tls'
import { connectBytes, packet, HEADER } from '../forge/mqtt-bytes.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Observed } from '../oracle.ts'
import type { Credentials } from '../raw-peer.ts'
import type { WebSocketDoor } from '../server-process.ts'
import { within } from '../within.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { NotOffered } from './powers.ts'

/** RFC 6455 §5.2. */
const OPCODE = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9 } as const
const FIN = 0x80
const MASK = 0x80

/** A frame of a client, masked as it must be. */
function frame(opcode: number, payload: Buffer, wishes: { readonly fin?: boolean; readonly bare?: true; readonly reserved?: true; readonly announced?: number } = {}): Buffer {
  const { fin = true, bare, reserved, announced = payload.length } = wishes
  const length = announced < 126 ? Buffer.from([announced]) : announced < 0x1_0000 ? Buffer.from([126, announced >> 8, announced & 0xff]) : Buffer.concat([Buffer.from([127]), bigEndian(announced)])
  const first = (fin ? FIN : 0) | (reserved === true ? 0x40 : 0) | opcode
  if (bare === true) return Buffer.concat([Buffer.from([first]), length, payload])
  length[0] = (length[0] ?? 0) | MASK
  const key = randomBytes(4)
  return Buffer.concat([Buffer.from([first]), length, key, Buffer.from(payload.map((byte, i) => byte ^ (key[i % 4] ?? 0)))])
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

interface Door {
  readonly socket: tls.TLSSocket
  readonly closed: Promise<void>
  /** Everything that has come. */
  answer(): Buffer
  /** The answer when it is long enough to please, or what there is at the deadline or the end. */
  until(enough: (answer: Buffer) => boolean): Promise<Buffer>
}

function openDoor(arena: Arena, door: WebSocketDoor, credentials: Credentials | undefined, source: string | undefined): Door {
  const socket = tls.connect({
    host: door.host, port: door.port, servername: arena.target.serverName, ca: arena.target.ca, ...(credentials === undefined ? {} : { cert: credentials.cert, key: credentials.key }),
    ...(source === undefined ? {} : { localAddress: source }),
  })
  let answer: Buffer = Buffer.alloc(0)
  let told = (): void => {}
  socket.on('data', (chunk: Buffer) => {
    answer = Buffer.concat([answer, chunk])
    told()
  })
  socket.on('error', () => {})
  socket.once('end', () => socket.destroy())
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
  return {
    socket, closed,
    answer: () => answer,
    async until(enough) {
      const pleased = new Promise<void>((resolve) => {
        told = () => void (enough(answer) && resolve())
        told()
      })
      await within(Promise.race([pleased, closed]), SIM_LIMITS.verdictMs)
      return answer
    },
  }
}

interface UpgradeWishes {
  readonly path?: string
  readonly method?: string
  readonly version?: string
  readonly protocol?: string | null
  readonly headers?: readonly string[]
}

const KEY = randomBytes(16).toString('base64')

function upgrade(door: WebSocketDoor, { path = door.path, method = 'GET', version = '13', protocol = 'mqtt', headers = [] }: UpgradeWishes = {}): string {
  return [
    `${method} ${path} HTTP/1.1`, `Host: localhost:${door.port}`, 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${KEY}`, `Sec-WebSocket-Version: ${version}`,
    ...(protocol === null ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]), ...headers, '', '',
  ].join('\r\n')
}

/** RFC 6455 §4.2.2. */
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const headEnds = (answer: Buffer): boolean => answer.includes('\r\n\r\n')

const REQUESTS: Readonly<Record<string, UpgradeWishes>> = {
  'another path': { path: '/' },
  'a path that climbs': { path: '/mqtt/../mqtt' },
  'POST': { method: 'POST' },
  'no subprotocol': { protocol: null },
  'another subprotocol': { protocol: 'mqttv3.1' },
  'another version of WebSocket': { version: '8' },
  'a body': { headers: ['Content-Length: 5'] },
  'a header of 20 kB': { headers: [`X: ${'x'.repeat(20_000)}`] },
}

const CONNACK = (answer: Buffer): Buffer => answer.subarray(answer.indexOf('\r\n\r\n') + 4)

async function upgrades(arena: Arena, bench: Bench, door: WebSocketDoor): Promise<void> {
  const device = await arena.identities.fresh('q43')
  const honest = openDoor(arena, door, device, arena.sources.next())
  honest.socket.write(upgrade(door))
  const head = (await honest.until(headEnds)).toString('latin1')
  honest.socket.write(frame(OPCODE.binary, connectBytes({ version: 4, clientId: device.id })))
  const answer = CONNACK(await honest.until((all) => CONNACK(all).length >= 6))
  bench.control('an honest WebSocket', head.startsWith('HTTP/1.1 101') && head.includes(ACCEPT) && answer[2] === HEADER.connack && answer[5] === 0, head.slice(0, 12))
  honest.socket.destroy()
  const stranger = arena.sources.next()
  const closedDoor = openDoor(arena, door, undefined, stranger)
  closedDoor.socket.write(upgrade(door))
  await closedDoor.until(headEnds)
  bench.attack('stranger', 'no certificate', closedDoor.answer().length === 0 ? { kind: 'refused-in-tls', how: 'closed' } : { kind: 'disturbed', how: 'it was answered' }, { address: stranger })
  closedDoor.socket.destroy()
  const asked = async (claim: string, label: string, request: string): Promise<void> => {
    const source = arena.sources.next()
    const asking = openDoor(arena, door, device, source)
    asking.socket.write(request)
    const status = Number((await asking.until(headEnds)).toString('latin1').split(' ')[1] ?? '0')
    bench.attack(claim, label, { kind: 'answered', status, code: undefined, recorded: 0 }, { address: source })
    asking.socket.destroy()
  }
  for (const [label, wishes] of Object.entries(REQUESTS)) await asked('request', label, upgrade(door, wishes))
  for (const origin of ['https://evil.example', 'null', 'https://localhost', '']) await asked('origin', `Origin: ${origin}`, upgrade(door, { headers: [`Origin: ${origin}`] }))
}

type Frames = (own: string) => readonly Buffer[]
const connect = (own: string): Buffer => connectBytes({ version: 4, clientId: own })

const FRAMES: Readonly<Record<string, Frames>> = {
  'MQTT in a text frame': (own) => [frame(OPCODE.text, connect(own))],
  'a frame without a mask': (own) => [frame(OPCODE.binary, connect(own), { bare: true })],
  'a reserved bit': (own) => [frame(OPCODE.binary, connect(own), { reserved: true })],
  'an unknown kind of frame': (own) => [frame(0x3, connect(own))],
  'a continuation of nothing': (own) => [frame(OPCODE.continuation, connect(own))],
  '1 GB announced': () => [frame(OPCODE.binary, Buffer.alloc(10), { announced: 1_073_741_824 })],
  '2^62 bytes announced': () => [frame(OPCODE.binary, Buffer.alloc(10), { announced: 2 ** 62 })],
  'a ping of 200 bytes': () => [frame(OPCODE.ping, Buffer.alloc(200))],
  'pieces without end': () => Array.from({ length: MQTT_LIMITS.webSocketPieces }, (_, i) => frame(i === 0 ? OPCODE.binary : OPCODE.continuation, Buffer.from([0x10]), { fin: false })),
  'PINGREQ before CONNECT': () => [frame(OPCODE.binary, packet(HEADER.pingreq))],
}

async function frames(arena: Arena, bench: Bench, door: WebSocketDoor): Promise<void> {
  const device = await arena.identities.fresh('q43')
  // What looks as strange and is allowed: a CONNECT in single bytes, each a frame.
  const crumbs = openDoor(arena, door, device, arena.sources.next())
  crumbs.socket.write(upgrade(door))
  await crumbs.until(headEnds)
  for (const byte of connect(device.id)) crumbs.socket.write(frame(OPCODE.binary, Buffer.from([byte])))
  const answer = CONNACK(await crumbs.until((all) => CONNACK(all).length >= 6))
  bench.control('a CONNECT in frames of one byte', answer[2] === HEADER.connack && answer[5] === 0, answer.toString('hex'))
  crumbs.socket.destroy()
  for (const [label, framesOf] of Object.entries(FRAMES)) {
    const source = arena.sources.next()
    const open = openDoor(arena, door, device, source)
    open.socket.write(upgrade(door))
    await open.until(headEnds)
    open.socket.write(Buffer.concat(framesOf(device.id)))
    const ended = await within(open.closed.then(() => true), SIM_LIMITS.verdictMs)
    const admitted = CONNACK(open.answer()).includes(Buffer.from([HEADER.connack, 2, 0, 0]))
    const seen: Observed = ended === true && !admitted ? { kind: 'withstood', how: 'closed' } : { kind: 'disturbed', how: admitted ? 'admitted' : 'still open' }
    bench.attack('frame', label, seen, { address: source })
    open.socket.destroy()
  }
}

export const WEBSOCKET_CASES = {
  async Q43(arena, bench) {
    arena.take('websocket')
    const door = arena.doors?.websocket
    if (door === undefined) throw new NotOffered('websocket')
    await upgrades(arena, bench, door)
    await frames(arena, bench, door)
  },
} as const satisfies Record<string, Runner>
