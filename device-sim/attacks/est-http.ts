// Family E: HTTP itself, at the enrollment door, which anybody may open: bodies without end, requests that two programs read
// differently, and connections that are only held.

import { privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { Observed } from '../oracle.ts'
import { base64Of, basic, estHead, exchangeHttp, type HttpAnswer } from '../raw-https.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { doorOf, enrollsHonestly, seenOf } from './est-door.ts'

/** Bodies of which there is too much, or of which the rest never comes. */
async function endlessBodies(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e12')
  const token = await arena.admin.createToken(id)
  const authorization = basic(id, token)
  const send = (pieces: readonly (string | Buffer)[], more: { readonly pauseMs?: number; readonly untilClosed?: true } = {}): Promise<HttpAnswer> =>
    exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), pieces, waitMs: MQTT_LIMITS.slowRequestMs + SIM_LIMITS.verdictMs, ...more })
  const megabyte = Buffer.alloc(1_024 * 1_024, 'A')
  const large = await send([estHead(10 * megabyte.length, { authorization }), ...Array.from({ length: 10 }, () => megabyte)])
  bench.attack('large', '10 MB', large.status === 413 || (large.status === 0 && large.closed) ? { kind: 'withstood', how: 'HTTP 413' } : { kind: 'disturbed', how: `HTTP ${large.status}` })
  const chunks = await send([estHead(0, { authorization, framing: ['Transfer-Encoding: chunked'] }), ...Array.from({ length: 200 }, () => `400\r\n${'A'.repeat(1_024)}\r\n`)])
  bench.attack('large', 'chunks without end', chunks.status === 413 || (chunks.status === 0 && chunks.closed) ? { kind: 'withstood', how: 'HTTP 413' } : { kind: 'disturbed', how: `HTTP ${chunks.status}` })
  const slow: Readonly<Record<string, readonly (string | Buffer)[]>> = {
    'less than was announced': [estHead(1_000, { authorization }), 'AAAA'],
    'a chunk that is never ended': [estHead(0, { authorization, framing: ['Transfer-Encoding: chunked'] }), '400\r\nAAAA'],
    'a header that is never ended': ['POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nX: '],
    'nothing at all': [],
  }
  const drip = [estHead(1_000, { authorization }), ...Array.from({ length: 60 }, () => 'A')]
  const held = await Promise.all([
    ...Object.entries(slow).map(async ([label, pieces]) => ({ label, answer: await send(pieces, { untilClosed: true }) })),
    ...Array.from({ length: MQTT_LIMITS.slowRequests }, async () => ({ label: 'a byte now and then', answer: await send(drip, { pauseMs: MQTT_LIMITS.slowByteMs, untilClosed: true }) })),
    enrollsHonestly(arena, bench, 'an honest device meanwhile', id, token).then(() => undefined),
  ])
  const ended = held.filter((each) => each !== undefined)
  const closed = ended.filter(({ answer }) => answer.closed)
  bench.attack('slow', `${ended.length} requests that never become whole`, { kind: 'flood', tried: ended.length, refused: closed.length, slowestMs: Math.max(...closed.map(({ answer }) => answer.afterMs)) })
}

/** A second request, hidden where one of two programs would not look for it. */
const HIDDEN = 'GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n'

const headWith = (...lines: readonly string[]): string => ['POST /.well-known/est/simpleenroll HTTP/1.1', 'Host: localhost', ...lines, '', ''].join('\r\n')

/** E13: each is one request, or none. */
const SMUGGLED: Readonly<Record<string, string>> = {
  'Content-Length and Transfer-Encoding': `${headWith(`Content-Length: ${HIDDEN.length + 5}`, 'Transfer-Encoding: chunked')}0\r\n\r\n${HIDDEN}`,
  'Transfer-Encoding and Content-Length': `${headWith('Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n${HIDDEN}`,
  'two lengths': `${headWith('Content-Length: 0', `Content-Length: ${HIDDEN.length}`)}${HIDDEN}`,
  'two lengths in one line': `${headWith(`Content-Length: 0, ${HIDDEN.length}`)}${HIDDEN}`,
  'a length with a sign': `${headWith('Content-Length: +0')}${HIDDEN}`,
  'a negative length': `${headWith('Content-Length: -1')}${HIDDEN}`,
  'a length in hexadecimal': `${headWith('Content-Length: 0x0')}${HIDDEN}`,
  'an encoding that is none': `${headWith('Transfer-Encoding: xchunked')}0\r\n\r\n${HIDDEN}`,
  'chunked, and then identity': `${headWith('Transfer-Encoding: chunked, identity')}0\r\n\r\n${HIDDEN}`,
  'chunked twice': `${headWith('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n${HIDDEN}`,
  'a space in front of the colon': `${headWith('Transfer-Encoding : chunked', `Content-Length: ${HIDDEN.length + 5}`)}0\r\n\r\n${HIDDEN}`,
  'a line that goes on in the next': `${headWith('X: a', ' Transfer-Encoding: chunked', 'Content-Length: 0')}${HIDDEN}`,
  'NUL in a header': `${headWith('X: a\0b', 'Content-Length: 0')}${HIDDEN}`,
  'a bare line feed': `POST /.well-known/est/simpleenroll HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n${HIDDEN}`,
  'a bare carriage return': `${headWith('X: a\rTransfer-Encoding: chunked', 'Content-Length: 0')}${HIDDEN}`,
  'a chunk size with a sign': `${headWith('Transfer-Encoding: chunked')}-5\r\n${HIDDEN}`,
  'a chunk size beyond 2^64': `${headWith('Transfer-Encoding: chunked')}10000000000000000\r\n${HIDDEN}`,
  'no host': `POST /.well-known/est/simpleenroll HTTP/1.1\r\nContent-Length: 0\r\n\r\n${HIDDEN}`,
  'HTTP/0.9': `POST /.well-known/est/simpleenroll\r\n\r\n${HIDDEN}`,
  'HTTP/2 without asking': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${HIDDEN}`,
  'headers of 20 kB': `${headWith(`X: ${'x'.repeat(20_000)}`, 'Content-Length: 0')}${HIDDEN}`,
  'a thousand headers': `${headWith(...Array.from({ length: 1_000 }, (_, i) => `X-${i}: some value`), 'Content-Length: 0')}${HIDDEN}`,
}

async function smuggling(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e13')
  const token = await arena.admin.createToken(id)
  const body = base64Of(forgeRequest(privateKey(), id))
  const honest = await exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), pieces: [`${estHead(body.length, { authorization: basic(id, token) })}${body}`] })
  bench.control('an honest request', honest.status === 200 && honest.answers === 1, `HTTP ${honest.status}`)
  const two = await exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), pieces: [HIDDEN, HIDDEN], untilClosed: true, waitMs: MQTT_LIMITS.smuggledMs })
  bench.control('two requests, which nobody hides', two.answers === 2, `${two.answers} answers`)
  for (const [label, bytes] of Object.entries(SMUGGLED)) {
    const answer = await exchangeHttp({ door: doorOf(arena), source: arena.sources.next(), pieces: [Buffer.from(bytes, 'latin1')], untilClosed: true, waitMs: MQTT_LIMITS.smuggledMs })
    bench.attack('attack', label, oneAnswer(answer))
  }
}

/** Refused, and the connection ended: whatever came behind it, nobody reads. */
function oneAnswer(answer: HttpAnswer): Observed {
  if (answer.answers > 1) return { kind: 'disturbed', how: `${answer.answers} answers to one request` }
  if (!answer.closed) return { kind: 'disturbed', how: `HTTP ${answer.status}, and the connection stays open` }
  return answer.status === 0 ? { kind: 'answered', status: 400, code: 'closed', recorded: 0 } : seenOf(answer)
}

export const EST_HTTP_CASES = {
  E12: endlessBodies,
  E13: smuggling,
} as const satisfies Record<string, Runner>
