// Family H: who may post a message over HTTPS, and to which topics. Each attempt is a request of its own from an address of its own; its message
// carries a token, and whoever may hear most listens for it.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { forgeLeaf, forgeRoot, type ForgedLeaf } from '../forge/authority.ts'
import { pem } from '../forge/certificate.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Observed } from '../oracle.ts'
import { exchangeHttp, type HttpAnswer } from '../raw-https.ts'
import type { Credentials } from '../raw-peer.ts'
import { within } from '../within.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { doorOf } from './est-door.ts'
import { openLine, postHead } from './https-line.ts'
import { openWatcher, type Watcher } from './watcher.ts'

interface Posting {
  readonly credentials?: Credentials | undefined
  /** As it stands in the request line. */
  readonly target: string
  readonly method?: string
  readonly headers?: readonly string[]
}

interface Post {
  readonly answer: HttpAnswer
  readonly token: string
  readonly source: string | undefined
}

/** One message, whose payload nobody else has. */
async function post(arena: Arena, { credentials, target, method, headers }: Posting): Promise<Post> {
  const [token, source] = [randomUUID(), arena.sources.next()]
  const head = Buffer.from(postHead(target, token.length, { ...(method === undefined ? {} : { method }), ...(headers === undefined ? {} : { headers }) }), 'latin1')
  return { token, source, answer: await exchangeHttp({ door: doorOf(arena), source, credentials, pieces: [head, token] }) }
}

/** So many refusals of one device in a second are written down one by one. */
const RECORDED_AT_ONCE = 8

/** Tries each, and lays it on the bench when a message that may be heard has been. */
async function tryAll(arena: Arena, bench: Bench, watcher: Watcher, claim: string, postings: Readonly<Record<string, Posting>>): Promise<void> {
  const posts: (Post & { readonly label: string })[] = []
  for (const [label, posting] of Object.entries(postings)) {
    posts.push({ label, ...(await post(arena, posting)) })
    // Refusals that come faster the audit log counts, and this is about each.
    if (posts.length % RECORDED_AT_ONCE === 0) await delay(SIM_LIMITS.recordedAgainMs)
  }
  await watcher.witness()
  for (const { label, answer, token, source } of posts) bench.attack(claim, label, seenOf(answer, watcher.receiversOf(token)), { address: source })
}

function seenOf({ status, reason }: HttpAnswer, receivers: readonly string[]): Observed {
  return { kind: 'posted', status, code: reason, receivers }
}

/** The nearest that must work: this device, on a topic of its own. */
async function postsHonestly(arena: Arena, bench: Bench, watcher: Watcher, device: Identity, label = 'a message on a topic of its own'): Promise<void> {
  const { answer, token } = await post(arena, { credentials: device, target: `/topics/t/${device.id}/a?qos=1` })
  const heard = await watcher.heard(token)
  bench.control(label, answer.status === 200 && heard.length > 0, `HTTP ${answer.status}, ${heard.length === 0 ? 'not heard' : 'heard'}`)
}

/** A case of one claim, with a device that is honest first and another whose topics it wants. */
const ofTargets = (claim: string, label: string, targets: (own: string, other: string) => Readonly<Record<string, Omit<Posting, 'credentials'>>>): Runner => async (arena, bench) => {
  await using watcher = await openWatcher(arena)
  const [device, other] = [await arena.identities.fresh(label), await arena.identities.fresh(label)]
  await postsHonestly(arena, bench, watcher, device)
  await tryAll(arena, bench, watcher, claim, Object.fromEntries(Object.entries(targets(device.id, other.id)).map(([name, each]) => [name, { ...each, credentials: device }])))
}

const credentialsOf = ({ certificate, key }: ForgedLeaf, ...above: readonly Buffer[]): Credentials => ({ cert: [certificate, ...above].map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(key) })

/** H01. */
async function noDevice(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  const device = await arena.identities.fresh('h01')
  await postsHonestly(arena, bench, watcher, device)
  arena.take('ca-key')
  const { issuingAuthority } = arena
  if (issuingAuthority === undefined) throw new Error('the key of the CA is not at hand')
  const target = `/topics/t/${device.id}/a?qos=1`
  const stranger = forgeRoot('Stranger')
  const key = privateKey()
  const claim = await arena.admin.createClaim(`${device.id}-*`, forgeRequest(key, 'claim'))
  await tryAll(arena, bench, watcher, 'nothing', { 'no certificate': { target } })
  await tryAll(arena, bench, watcher, 'stranger', { 'one that it made itself': { target, credentials: credentialsOf(forgeLeaf(stranger, device.id, { selfSigned: true })) }, 'one of another CA': { target, credentials: credentialsOf(forgeLeaf(stranger, device.id), stranger.certificate) } })
  await tryAll(arena, bench, watcher, 'purpose', { 'that of an operator': { target, credentials: arena.admin.options }, 'that of a claim': { target, credentials: { cert: [claim.certificate, ...claim.chain].join(''), key: keyPem(key) } } })
  await tryAll(arena, bench, watcher, 'unrecorded', { 'one that our CA signed and nobody recorded': { target, credentials: credentialsOf(forgeLeaf(issuingAuthority, device.id), issuingAuthority.certificate) } })
}

const at = (target: string, more: Omit<Posting, 'target' | 'credentials'> = {}): Omit<Posting, 'credentials'> => ({ target, ...more })

const foreignTopics = ofTargets('attack', 'h02', (own, other) => ({
  'as it is': at(`/topics/t/${other}/a?qos=1`), encoded: at(`/topics/t%2F${other}%2fa`), 'encoded letter by letter': at(`/topics/%74/${Buffer.from(other).toString('hex').replaceAll(/../g, '%$&')}/a`), 'encoded twice': at(`/topics/t%252F${own}%252Fa`),
  'by way of dots': at(`/topics/t/${other}/../${own}/a`), 'dots in front': at(`/topics/../topics/t/${other}/a`), 'encoded dots': at(`/topics/t/${other}/%2e%2e/${own}/a`), 'a slash in front': at(`/topics//t/${own}/a`), 'two slashes': at(`/topics/t//${own}/a`),
  'a name that begins like its own': at(`/topics/t/${own}x/a`), 'in capitals': at(`/topics/T/${own}/a`), 'a parameter of the path': at(`/topics/t/${own};x/a`), 'retained': at(`/topics/t/${other}/a?retain=true&qos=1`), 'a backslash': at(`/topics/t%5C${own}%5Ca`), 'a space behind': at(`/topics/t/${own}%20/a`),
}))

const noTopics = ofTargets('attack', 'h03', (own) => ({
  'a plus sign': at(`/topics/t/${own}/+`), 'an encoded plus sign': at(`/topics/t/%2B/a`), 'an encoded number sign': at(`/topics/t/${own}/%23`), NUL: at(`/topics/t/${own}/a%00b`), 'a line feed': at(`/topics/t/${own}/a%0Ab`), 'nothing': at('/topics/'), 'not even a slash': at('/topics'),
  'overlong UTF-8': at(`/topics/t/${own}%C0%AFa`), 'half a surrogate pair': at(`/topics/t/${own}/%ED%A0%80`), 'half a percent sign': at(`/topics/t/${own}/%2`), 'no percent sign': at(`/topics/t/${own}/%u002F`), 'Latin-1': at(`/topics/t/${own}/%E9`),
  'sixty-five levels': at(`/topics/t/${own}${'/a'.repeat(63)}`), 'six hundred bytes': at(`/topics/t/${own}/${'a'.repeat(600)}`), 'three thousand slashes': at(`/topics/${'/'.repeat(3_000)}`),
}))

const serverTopics = ofTargets('attack', 'h04', (own, other) => ({
  '$SYS': at('/topics/$SYS/broker/uptime'), 'encoded': at('/topics/%24SYS/broker/uptime'), '$share': at(`/topics/$share/g/t/${own}/a`), 'its own renewal': at(`/topics/$device/${own}/renew`), 'the renewal of another': at(`/topics/%24device/${other}/renew`), 'a shadow': at(`/topics/$aws/things/${own}/shadow/update`),
}))

const parameters = ofTargets('attack', 'h05', (own) => Object.fromEntries([
  'qos=1&qos=1', 'qos=0&qos=1', 'qos=2', 'qos=3', 'qos=', 'qos=01', '%71os=1', 'QOS=1', 'retain=yes', 'retain=true&retain=false', 'topic=t/other/a', 'qos=1;retain=true', 'qos=1&', '__proto__=1', 'messageExpiry=-1', 'messageExpiry=4294967296', 'messageExpiry=1e3', 'responseTopic=a/%23', 'contentType=a%00b', 'contentType=%FF',
].map((query) => [query, at(`/topics/t/${own}/a?${query}`)])))

const headers = ofTargets('attack', 'h07', (own, other) => {
  const foreign = `/topics/t/${other}/a?qos=1`
  const says = (...lines: readonly string[]): Omit<Posting, 'credentials'> => at(foreign, { headers: lines })
  return {
    'X-Forwarded-Client-Cert': says(`X-Forwarded-Client-Cert: Subject="CN=${other}"`), 'X-SSL-Client-S-DN': says(`X-SSL-Client-S-DN: CN=${other}`, `X-SSL-Client-Verify: SUCCESS`), 'Client-Cert of RFC 9440': says('Client-Cert: :AAAA:'), 'X-Forwarded-For': says('X-Forwarded-For: 127.0.0.1', 'Forwarded: for=127.0.0.1'),
    'a password': says(`Authorization: Basic ${Buffer.from(`${other}:secret`).toString('base64')}`), 'a token': says('Authorization: Bearer secret'), 'another path': says(`X-Original-URL: /topics/t/${own}/a`, `X-Rewrite-URL: /topics/t/${own}/a`), 'a cookie': says(`Cookie: device=${other}`),
    'a client id': at(`/topics/t/${other}/a?clientId=${other}`), 'another host': says(`X-Forwarded-Host: ${other}`),
  }
})

/** H08. */
async function pages(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  const device = await arena.identities.fresh('h08')
  await postsHonestly(arena, bench, watcher, device)
  const target = `/topics/t/${device.id}/a?qos=1`
  const page = (...lines: readonly string[]): Posting => ({ credentials: device, target, headers: lines })
  await tryAll(arena, bench, watcher, 'page', {
    'a form of another page': page('Origin: https://evil.example', 'Content-Type: application/x-www-form-urlencoded'), 'a page without an origin': page('Origin: null', 'Content-Type: text/plain'), 'a script of another page': page('Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors'), 'one that says it is from here': page('Origin: https://localhost:8443'),
  })
  await tryAll(arena, bench, watcher, 'method', {
    ...Object.fromEntries(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'].map((method) => [method, { credentials: device, target, method }])),
    'GET that says it is POST': { credentials: device, target, method: 'GET', headers: ['X-HTTP-Method-Override: POST'] },
  })
}

/** H09: the connection is open when the operator speaks; then the device comes back. */
async function thrownOut(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  const acts: Readonly<Record<string, (device: Identity) => Promise<unknown>>> = {
    revoked: (device) => arena.admin.revoke({ device: device.id }, 'keyCompromise'),
    suspended: (device) => arena.admin.changeState(device.id, 'suspend'),
    retired: (device) => arena.admin.changeState(device.id, 'retire'),
  }
  for (const [claim, act] of Object.entries(acts)) {
    const device = await arena.identities.fresh('h09')
    await postsHonestly(arena, bench, watcher, device, `before it is ${claim}`)
    const line = await openLine(doorOf(arena), device, arena.sources.next())
    const first = await line.say(`${postHead(`/topics/t/${device.id}/a`, 1)}x`)
    bench.control(`an open connection, before it is ${claim}`, first.startsWith('HTTP/1.1 200 '), first.slice(0, 12))
    await act(device)
    const closed = await within(line.closed, SIM_LIMITS.kickMs)
    bench.attack('open', `the connection of a device that is ${claim}`, closed === undefined ? { kind: 'disturbed', how: `open after ${SIM_LIMITS.kickMs} ms` } : { kind: 'withstood', how: 'closed in time' })
    line.end()
    await tryAll(arena, bench, watcher, claim, { [`a message of a device that is ${claim}`]: { credentials: device, target: `/topics/t/${device.id}/a?qos=1` } })
  }
}

export const HTTPS_CASES = {
  H01: noDevice,
  H02: foreignTopics,
  H03: noTopics,
  H04: serverTopics,
  H05: parameters,
  H07: headers,
  H08: pages,
  H09: thrownOut,
} as const satisfies Record<string, Runner>
