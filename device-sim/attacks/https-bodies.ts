// Family H: the bodies of posted messages, and how many there are: a second message hidden behind the first, bodies without end, and a rate that
// was used up at the other door.

import { randomUUID } from 'node:crypto'
import { publishBytes } from '../forge/mqtt-bytes.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { exchangeHttp, type HttpAnswer } from '../raw-https.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { doorOf } from './est-door.ts'
import { openLine, postHead } from './https-line.ts'
import { admitted } from './sessions.ts'
import { openWatcher } from './watcher.ts'

/** H06: each is one request, or none; `hidden` stands behind it. */
const SMUGGLED: Readonly<Record<string, (target: string, hidden: string) => string>> = {
  'Content-Length and Transfer-Encoding': (target, hidden) => `${postHead(target, 0, { framing: [`Content-Length: ${hidden.length + 5}`, 'Transfer-Encoding: chunked'] })}0\r\n\r\n${hidden}`,
  'Transfer-Encoding and Content-Length': (target, hidden) => `${postHead(target, 0, { framing: ['Transfer-Encoding: chunked', 'Content-Length: 4'] })}0\r\n\r\n${hidden}`,
  'two lengths': (target, hidden) => `${postHead(target, 0, { framing: ['Content-Length: 0', `Content-Length: ${hidden.length}`] })}${hidden}`,
  'a length with a sign': (target, hidden) => `${postHead(target, 0, { framing: ['Content-Length: +0'] })}${hidden}`,
  'a length in hexadecimal': (target, hidden) => `${postHead(target, 0, { framing: ['Content-Length: 0x0'] })}${hidden}`,
  'an encoding that is none': (target, hidden) => `${postHead(target, 0, { framing: ['Transfer-Encoding: xchunked'] })}0\r\n\r\n${hidden}`,
  'chunked, and then identity': (target, hidden) => `${postHead(target, 0, { framing: ['Transfer-Encoding: chunked, identity'] })}0\r\n\r\n${hidden}`,
  'a space in front of the colon': (target, hidden) => `${postHead(target, 0, { framing: ['Transfer-Encoding : chunked', `Content-Length: ${hidden.length + 5}`] })}0\r\n\r\n${hidden}`,
  'a line that goes on in the next': (target, hidden) => `${postHead(target, 0, { framing: ['X: a', ' Transfer-Encoding: chunked', 'Content-Length: 0'] })}${hidden}`,
  'a chunk size with a sign': (target, hidden) => `${postHead(target, 0, { framing: ['Transfer-Encoding: chunked'] })}-5\r\n${hidden}`,
  'a line feed in the path': (target, hidden) => postHead(`${target}%0D%0A HTTP/1.1\nX: `, 0).replace('%0D%0A', '\r\n') + hidden,
  'in a body of the right length': (target, hidden) => `${postHead(target, hidden.length)}${hidden}`,
}

async function smuggling(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  const device = await arena.identities.fresh('h06')
  const target = `/topics/t/${device.id}/a?qos=1`
  const send = (bytes: string): Promise<HttpAnswer> => exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), credentials: device, pieces: [Buffer.from(bytes, 'latin1')], untilClosed: true, waitMs: MQTT_LIMITS.smuggledMs })
  const message = (token: string): string => `${postHead(target, token.length)}${token}`
  const honest = randomUUID()
  const { status } = await send(message(honest))
  bench.control('a message that nobody hides', status === 200 && (await watcher.heard(honest)).length > 0, `HTTP ${status}`)
  const hidden = Object.keys(SMUGGLED).map((label) => ({ label, token: randomUUID() }))
  const answers = new Map<string, number>()
  for (const { label, token } of hidden) answers.set(label, (await send(SMUGGLED[label]?.(target, message(token)) ?? '')).answers)
  await watcher.witness()
  for (const { label, token } of hidden) {
    const heard = watcher.receiversOf(token)
    const count = answers.get(label) ?? 0
    bench.attack('attack', label, heard.length > 0 || count > 1 ? { kind: 'disturbed', how: heard.length > 0 ? 'the hidden message was heard' : `${count} answers` } : { kind: 'withstood', how: `${count} answers, not heard` })
  }
}

/** H10: as many devices share in it. */
const SPEAKERS = 4

async function endlessBodies(arena: Arena, bench: Bench): Promise<void> {
  // More connections than these the door would refuse to one device.
  const devices = await arena.identities.batch('h10', SPEAKERS)
  const [device] = devices
  if (device === undefined) throw new Error('no device')
  const target = `/topics/t/${device.id}/a?qos=1`
  const send = (pieces: readonly (string | Buffer)[], more: { readonly pauseMs?: number; readonly untilClosed?: true; readonly by?: Identity } = {}): Promise<HttpAnswer> =>
    exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), credentials: more.by ?? device, pieces, waitMs: MQTT_LIMITS.slowRequestMs + SIM_LIMITS.verdictMs, ...more })
  const honest = await send([postHead(target, 5), 'hello'])
  bench.control('a message of five bytes', honest.status === 200, `HTTP ${honest.status}`)
  const refused = ({ status, closed }: HttpAnswer): boolean => status === 413 || (status === 0 && closed)
  const megabyte = Buffer.alloc(1_024 * 1_024, 'A')
  const large = await send([postHead(target, 10 * megabyte.length), ...Array.from({ length: 10 }, () => megabyte)])
  bench.attack('large', '10 MB', refused(large) ? { kind: 'withstood', how: 'HTTP 413' } : { kind: 'disturbed', how: `HTTP ${large.status}` })
  const chunks = await send([postHead(target, 0, { framing: ['Transfer-Encoding: chunked'] }), ...Array.from({ length: 600 }, () => `400\r\n${'A'.repeat(1_024)}\r\n`)])
  bench.attack('large', 'chunks without end', refused(chunks) ? { kind: 'withstood', how: 'HTTP 413' } : { kind: 'disturbed', how: `HTTP ${chunks.status}` })
  const slow: Readonly<Record<string, readonly string[]>> = {
    'less than was announced': [postHead(target, 1_000), 'AAAA'],
    'a chunk that is never ended': [postHead(target, 0, { framing: ['Transfer-Encoding: chunked'] }), '400\r\nAAAA'],
    'a body that waits to be told, and never comes': [postHead(target, 1_000, { headers: ['Expect: 100-continue'] })],
  }
  const drip = [postHead(target, 1_000), ...Array.from({ length: 60 }, () => 'A')]
  const held = await Promise.all([
    ...Object.values(slow).map((pieces) => send(pieces, { untilClosed: true })),
    ...Array.from({ length: MQTT_LIMITS.slowRequests }, (_, i) => send(drip, { pauseMs: MQTT_LIMITS.slowByteMs, untilClosed: true, by: devices[i % SPEAKERS] ?? device })),
  ])
  const closed = held.filter((answer) => answer.closed)
  bench.attack('slow', `${held.length} messages that never become whole`, { kind: 'flood', tried: held.length, refused: closed.length, slowestMs: Math.max(...closed.map(({ afterMs }) => afterMs)) })
}

/** H11. */
async function oneAccount(arena: Arena, bench: Bench): Promise<void> {
  arena.take('own-policy')
  await using watcher = await openWatcher(arena)
  const device = await arena.identities.fresh('h11', 'metered')
  const line = await openLine(doorOf(arena), device, arena.sources.next())
  const say = (body: string): Promise<string> => line.say(`${postHead(`/topics/t/${device.id}/a?qos=1`, body.length)}${body}`)
  const first = randomUUID()
  bench.control('one message is within the rate', (await say(first)).startsWith('HTTP/1.1 200 ') && (await watcher.heard(first)).length > 0, 'heard')
  const peer = await admitted(arena, device, 5)
  for (let id = 1; id < MQTT_LIMITS.meteredMessages; id++) peer.sendBytes(publishBytes({ version: 5, topic: `t/${device.id}/a`, qos: 1, messageId: id, payload: 'x' }))
  await peer.take((packet) => packet.cmd === 'puback' && packet.messageId === MQTT_LIMITS.meteredMessages - 1, MQTT_LIMITS.floodAnswerMs)
  const began = performance.now()
  let refused = 0
  // By the time that its own account of twenty would be used up.
  for (let i = 0; i < MQTT_LIMITS.meteredPosts; i++) if ((await say('x')).startsWith('HTTP/1.1 429 ')) refused += 1
  bench.attack('attack', `${MQTT_LIMITS.meteredPosts} by HTTPS`, { kind: 'flood', tried: MQTT_LIMITS.meteredPosts, refused, slowestMs: performance.now() - began }, { device: device.id })
  line.end()
  peer.end()
}

export const HTTPS_BODY_CASES = {
  H06: smuggling,
  H10: endlessBodies,
  H11: oneAccount,
} as const satisfies Record<string, Runner>
