// The same load as generator.c, with the same options, commands and answers, for a machine without a C compiler or OpenSSL's
// headers. It costs several times as much CPU per message, so it is the bottleneck more often, and its timer is a
// millisecond coarse: no ratio of latencies is stated with it. It is a process of its own, on a core of its own.

import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import tls from 'node:tls'

const PAYLOAD = 128
const OPENING_AT_ONCE = 32
const KEEP_ALIVE_S = 600
const STALL_MS = 5_000
const LEAVE_MS = 3_000
const TICK_MS = 1
const NS_PER_MS = 1e6
const NS_PER_S = 1e9
const PACKET_IDS = 65_535

const told = new Map(process.argv.slice(2).map((option): [string, string] => [option.slice(0, option.indexOf('=')), option.slice(option.indexOf('=') + 1)]))
const number = (name: string): number => Number(told.get(name))
const is = (name: string): boolean => told.get(name) === '1'
const [speakers, listeners, qos] = [number('speakers'), number('listeners'), number('qos')]
const fan = is('all') || listeners < speakers ? 1 : listeners / Math.max(1, speakers)

interface Peer {
  readonly name: string
  readonly index: number
  readonly speaker: boolean
  readonly topic: Buffer
  socket: tls.TLSSocket | undefined
  rest: Buffer
  out: Buffer[]
  sent: number
  acked: number
  delivered: number
}

const peerOf = (kind: 'speaker' | 'listener', index: number): Peer => ({ name: `${kind}-${index}`, index, speaker: kind === 'speaker', topic: text(`t/${kind}-${index}/b`), socket: undefined, rest: Buffer.alloc(0), out: [], sent: 0, acked: 0, delivered: 0 })
const speaking = is('with_speakers') ? Array.from({ length: speakers }, (_, i) => peerOf('speaker', i)) : []
const peers = [...speaking, ...(is('with_listeners') ? Array.from({ length: listeners }, (_, i) => peerOf('listener', i)) : [])]
/** By listener and speaker: the number of the message that comes next. */
const expected = new Uint32Array(listeners * speakers)
const total = { sent: 0, acked: 0, delivered: 0, missing: 0, repeated: 0 }
let [resumed, isDraining, isLeaving, lastNs] = [0, false, false, 0]
let latencies: number[] | undefined
let opened: (() => void) | undefined
/** What the running phase does whenever something came. */
let onProgress = (): void => {}

const nowNs = (): number => Number(process.hrtime.bigint())
function fail(why: string): never {
  process.stderr.write(`generator: ${why}\n`)
  process.exit(1)
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function flush(peer: Peer): void {
  if (peer.out.length > 0) peer.socket?.write(peer.out.length === 1 ? (peer.out[0] ?? '') : Buffer.concat(peer.out))
  peer.out = []
}

function sendConnect(peer: Peer): void {
  const body = Buffer.concat([text('MQTT'), Buffer.from([4, peer.speaker || is('clean') ? 2 : 0, KEEP_ALIVE_S >> 8, KEEP_ALIVE_S & 255]), text(peer.name)])
  peer.out.push(Buffer.from([0x10, body.length]), body)
  flush(peer)
}

function sendSubscribe(peer: Peer): void {
  const filter = text(is('all') ? 't/+/b' : `t/speaker-${peer.index % speakers}/b`)
  peer.out.push(Buffer.from([0x82, 3 + filter.length, 0, 1]), filter, Buffer.from([qos]))
  flush(peer)
}

function publish(peer: Peer, dueNs: number): void {
  const head = peer.topic.length + (qos === 0 ? 0 : 2)
  const packet = Buffer.alloc(3 + head + PAYLOAD, '.')
  packet[0] = 0x30 | (qos << 1)
  packet[1] = 128 | ((head + PAYLOAD) & 127)
  packet[2] = (head + PAYLOAD) >> 7
  peer.topic.copy(packet, 3)
  if (qos > 0) packet.writeUInt16BE(1 + (peer.sent % PACKET_IDS), 3 + peer.topic.length)
  packet.writeUInt32LE(peer.index, 3 + head)
  packet.writeUInt32LE(peer.sent, 7 + head)
  packet.writeDoubleLE(dueNs, 11 + head)
  peer.out.push(packet)
  peer.sent += 1
  total.sent += 1
}

function takePublish(peer: Peer, flags: number, body: Buffer, atNs: number): void {
  const head = 2 + body.readUInt16BE(0) + (qos === 0 ? 0 : 2)
  if (((flags >> 1) & 3) !== qos || body.length !== head + PAYLOAD) fail(`${peer.name} got a message that nobody sent`)
  if (qos > 0) peer.out.push(Buffer.from([0x40, 2, body[head - 2] ?? 0, body[head - 1] ?? 0]))
  const [from, which] = [body.readUInt32LE(head), body.readUInt32LE(head + 4)]
  if (from >= speakers) fail(`${peer.name} got a message of nobody`)
  const at = peer.index * speakers + from
  const next = expected[at] ?? 0
  if (which < next) total.repeated += 1
  else {
    total.missing += which - next
    expected[at] = which + 1
  }
  const speaker = speaking[from]
  if (speaker !== undefined) speaker.delivered += 1
  total.delivered += 1
  lastNs = atNs
  latencies?.push(atNs - body.readDoubleLE(head + 8))
}

function takePacket(peer: Peer, type: number, body: Buffer, atNs: number): void {
  switch (type >> 4) {
    case 2:
      if (body[1] !== 0) fail(`${peer.name}: CONNACK ${body[1]}`)
      resumed += body[0] ?? 0
      if (!peer.speaker && !isDraining && speakers > 0) sendSubscribe(peer)
      else opened?.()
      return
    case 3: return takePublish(peer, type & 15, body, atNs)
    case 4:
      peer.acked += 1
      total.acked += 1
      lastNs = atNs
      return
    case 9:
      if (body[2] !== qos) fail(`${peer.name}: SUBACK ${body[2]}`)
      opened?.()
      return
    default: fail(`${peer.name} got a packet of type ${type >> 4}`)
  }
}

function receive(peer: Peer, chunk: Buffer): void {
  const atNs = nowNs()
  const bytes = peer.rest.length === 0 ? chunk : Buffer.concat([peer.rest, chunk])
  let at = 0
  while (at + 2 <= bytes.length) {
    const head = (bytes[at + 1] ?? 0) & 128 ? 3 : 2
    if (at + head > bytes.length) break
    const length = ((bytes[at + 1] ?? 0) & 127) | (head === 3 ? (bytes[at + 2] ?? 0) << 7 : 0)
    if (at + head + length > bytes.length) break
    takePacket(peer, bytes[at] ?? 0, bytes.subarray(at + head, at + head + length), atNs)
    at += head + length
  }
  peer.rest = bytes.subarray(at)
  flush(peer)
  onProgress()
}

const ca = readFileSync(told.get('ca') ?? '')

function connect(peer: Peer): void {
  const pem = readFileSync(path.join(told.get('certs') ?? '', `${peer.name}.pem`))
  const socket = tls.connect({
    socket: net.connect({ host: '127.0.0.1', port: number('port'), localAddress: `127.0.0.${1 + (peer.index % number('sources'))}`, noDelay: true }),
    servername: 'localhost', ca, key: pem, cert: pem, minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256', ecdhCurve: 'X25519',
  }, () => (is('hold') ? opened?.() : sendConnect(peer)))
  socket.on('data', (chunk: Buffer) => receive(peer, chunk))
  socket.on('error', (error) => isLeaving || fail(`${peer.name} was cut off: ${error.message}`))
  socket.on('close', () => isLeaving || fail(`${peer.name} was cut off`))
  peer.socket = socket
}

async function openAll(): Promise<object> {
  let [next, done] = [0, 0]
  const { promise, resolve } = Promise.withResolvers<void>()
  const more = (): void => {
    while (next < peers.length && next - done < OPENING_AT_ONCE) {
      const peer = peers[next++]
      if (peer !== undefined) connect(peer)
    }
  }
  opened = () => {
    done += 1
    if (done === peers.length) resolve()
    else more()
  }
  more()
  await promise
  opened = undefined
  return { opened: peers.length, resumed }
}

function waitedSeconds(): number {
  return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1] ?? 0) / NS_PER_S
}

/** Runs `progress` after everything that comes and every tick, until `isDone`. What is `lossy` may end without. */
async function phase(progress: (atNs: number) => void, isDone: () => boolean, lossy: () => boolean): Promise<object> {
  Object.assign(total, { sent: 0, acked: 0, delivered: 0, missing: 0, repeated: 0 })
  const [cpu, waited, beganNs] = [process.cpuUsage(), waitedSeconds(), nowNs()]
  lastNs = beganNs
  const { promise, resolve } = Promise.withResolvers<void>()
  let [moved, movedNs] = [0, beganNs]
  const step = (): void => {
    const atNs = nowNs()
    progress(atNs)
    if (isDone()) return resolve()
    if (moved !== total.acked + total.delivered) [moved, movedNs] = [total.acked + total.delivered, atNs]
    else if (atNs > movedNs + STALL_MS * NS_PER_MS) {
      if (lossy()) return resolve()
      if (total.sent > 0) fail(`a stall: ${total.sent} sent, ${total.acked} acknowledged, ${total.delivered} delivered`)
    }
  }
  onProgress = step
  const ticks = setInterval(step, TICK_MS)
  step()
  await promise
  clearInterval(ticks)
  onProgress = () => {}
  const { user, system } = process.cpuUsage(cpu)
  return { ...total, resumed, seconds: (lastNs - beganNs) / NS_PER_S, cpuSeconds: (user + system) / 1e6, waitSeconds: waitedSeconds() - waited }
}

const isQuiet = (): boolean => total.delivered >= total.sent * fan && (qos === 0 || total.acked === total.sent)

function topUp(window: number, isFilling: boolean, quota: number): void {
  const nowIs = nowNs()
  for (const peer of speaking) {
    const done = isFilling ? peer.acked : Math.min(peer.delivered / fan, qos === 0 ? Number.POSITIVE_INFINITY : peer.acked)
    while (peer.sent < done + window && peer.sent < quota) publish(peer, nowIs)
    flush(peer)
  }
}

function saturate(seconds: number, window: number): Promise<object> {
  const stopNs = nowNs() + seconds * NS_PER_S
  return phase((atNs) => atNs < stopNs && topUp(window, false, Number.POSITIVE_INFINITY), () => nowNs() >= stopNs && isQuiet(), () => false)
}

async function rate(perSecond: number, seconds: number, file: string): Promise<object> {
  const [beganNs, quota] = [nowNs(), perSecond * seconds]
  let due = 0
  latencies = []
  const dueNs = (n: number): number => beganNs + (n * NS_PER_S) / perSecond
  const answer = await phase((atNs) => {
    for (; due < quota && dueNs(due) <= atNs; due++) {
      const peer = speaking[due % speakers]
      if (peer === undefined) continue
      publish(peer, dueNs(due))
      flush(peer)
    }
  }, () => due >= quota && isQuiet(), () => due >= quota)
  writeFileSync(file, new Float64Array(latencies))
  latencies = undefined
  return answer
}

function drain(count: number): Promise<object> {
  isDraining = true
  for (const peer of peers) sendConnect(peer)
  return phase(() => {}, () => total.delivered >= count, () => false)
}

/** Waits for the broker to close: a socket that is closed over unread bytes is reset, and acknowledgements are lost with it. */
async function leave(): Promise<void> {
  isLeaving = true
  const closed = peers.map(({ socket }) => new Promise((resolve) => socket === undefined ? resolve(undefined) : socket.once('close', resolve)))
  for (const { socket } of peers) socket?.write(Buffer.from([0xe0, 0]))
  await Promise.race([Promise.all(closed), new Promise((resolve) => setTimeout(resolve, LEAVE_MS))])
  process.exit(0)
}

function obey(line: string): Promise<object> {
  const [command, ...words] = line.split(' ')
  const [first = 0, second = 0] = words.map(Number)
  switch (command) {
    case 'open': return openAll()
    case 'saturate': return saturate(first, second)
    case 'rate': return rate(first, second, words[2] ?? '')
    case 'fill': return phase(() => topUp(second, true, first), () => total.acked === first * speakers, () => false)
    case 'drain': return drain(first)
    default: return fail(`no command: ${line}`)
  }
}

for await (const line of createInterface({ input: process.stdin })) process.stdout.write(`${JSON.stringify(await obey(line))}\n`)
await leave()
