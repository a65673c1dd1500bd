// Family E: what stands in the body of a request to the enrollment door, and in its path. Each is sent with a good token: what is
// refused is the request, and the token is still good for an honest one.

import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { pem, unpem, type ForgedExtension } from '../forge/certificate.ts'
import { commonName, name, OID, tlv } from '../forge/der.ts'
import { privateKey } from '../forge/keys.ts'
import { challengePassword, forgeRequest } from '../forge/request.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { Observed } from '../oracle.ts'
import { base64Of, basic, estHead, exchangeHttp } from '../raw-https.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { surplusOf } from './enrollment.ts'
import { askEst, attackEst, doorOf, enrollsHonestly, issued, seenOf } from './est-door.ts'

const DAY_MS = 24 * 3_600_000
const daysOf = ({ validFromDate, validToDate }: X509Certificate): number => Math.round((validToDate.getTime() - validFromDate.getTime()) / DAY_MS)

async function plainCertificate(arena: Arena, bench: Bench): Promise<X509Certificate> {
  const id = await arena.identities.registered('plain')
  const certificate = issued(await askEst(arena, { id, token: await arena.admin.createToken(id) }))
  if (certificate === undefined) throw new Error('no certificate came back')
  bench.control('a request without wishes', surplusOf(certificate.raw, certificate.raw, id).length === 0, 'issued by the profile alone')
  return certificate
}

/** Asks with wishes: what the certificate holds beyond the profile, or how it was refused. */
async function wish(arena: Arena, bench: Bench, plain: X509Certificate, label: string, extensions: readonly ForgedExtension[]): Promise<void> {
  const id = await arena.identities.registered('wish')
  const source = arena.sources.next()
  const answer = await askEst(arena, { id, token: await arena.admin.createToken(id), source, wishes: { extensions } })
  const certificate = issued(answer)
  const longer = certificate !== undefined && daysOf(certificate) !== daysOf(plain) ? [`a life of ${daysOf(certificate)} days`] : []
  const seen: Observed = certificate === undefined ? seenOf(answer, await arena.admin.certificatesOf(id)) : { kind: 'issued', surplus: [...surplusOf(certificate.raw, plain.raw, id), ...longer] }
  bench.attack('attack', label, seen, { address: source })
}

/** GeneralName, by the tags of RFC 5280 §4.2.1.6. */
const GENERAL_NAME = { otherName: 0xa0, email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, address: 0x87 } as const
const altNames = (...names: readonly Buffer[]): ForgedExtension => ({ id: OID.subjectAltName, critical: false, value: tlv(0x30, Buffer.concat(names)) })
const named = (tag: number, text: string | Buffer): Buffer => tlv(tag, Buffer.from(text))

/** 1.3.6.1.4.1.311.20.2.3, the name with which Windows logs in. */
const PRINCIPAL = Buffer.concat([Buffer.from('060a2b060104018237140203', 'hex'), tlv(0xa0, tlv(0x0c, Buffer.from('administrator@example.org')))])

const SMUGGLED_NAMES: Readonly<Record<string, (other: string) => ForgedExtension>> = {
  'a host name': () => altNames(named(GENERAL_NAME.dns, 'mqtt.example.org')),
  'all host names': () => altNames(named(GENERAL_NAME.dns, '*')),
  'the name of another device': (other) => altNames(named(GENERAL_NAME.dns, other)),
  'an address': () => altNames(named(GENERAL_NAME.address, Buffer.from([127, 0, 0, 1]))),
  'a URI': () => altNames(named(GENERAL_NAME.uri, 'spiffe://example.org/admin')),
  'a mail address': () => altNames(named(GENERAL_NAME.email, 'admin@example.org')),
  'a login name': () => altNames(named(GENERAL_NAME.otherName, PRINCIPAL)),
  'a directory name': (other) => altNames(named(GENERAL_NAME.directory, name(commonName(other)))),
  'a name with NUL': (other) => altNames(named(GENERAL_NAME.dns, `${other}\0.example.org`)),
  'a thousand names': () => altNames(...Array.from({ length: 1_000 }, (_, i) => named(GENERAL_NAME.dns, `h${i}`))),
}

async function alternativeNames(arena: Arena, bench: Bench): Promise<void> {
  const plain = await plainCertificate(arena, bench)
  const other = await arena.identities.registered('e08')
  for (const [label, extension] of Object.entries(SMUGGLED_NAMES)) await wish(arena, bench, plain, label, [extension(other)])
}

const generalized = (tag: number, time: string): Buffer => tlv(tag, Buffer.from(time))

/** E09: wishes for a longer life, in the words of those who have some. */
const LONGER_LIVES: Readonly<Record<string, ForgedExtension>> = {
  'a period of use until 2099': { id: '2.5.29.16', critical: false, value: tlv(0x30, Buffer.concat([generalized(0x80, '20000101000000Z'), generalized(0x81, '20990101000000Z')])) },
  'the wish of a Windows client': { id: '1.3.6.1.4.1.311.13.2.1', critical: false, value: tlv(0x30, Buffer.concat([tlv(0x1e, Buffer.from('ValidityPeriod', 'utf16le').swap16()), tlv(0x1e, Buffer.from('Years', 'utf16le').swap16())])) },
  'no revocation to be asked for': { id: '1.3.6.1.5.5.7.48.1.5', critical: false, value: Buffer.from([0x05, 0x00]) },
  'an extension that nobody knows, critical': { id: '1.3.6.1.4.1.99999.1', critical: true, value: Buffer.from([0x05, 0x00]) },
}

async function longerLife(arena: Arena, bench: Bench): Promise<void> {
  const plain = await plainCertificate(arena, bench)
  for (const [label, extension] of Object.entries(LONGER_LIVES)) await wish(arena, bench, plain, label, [extension])
}

const derOf = (csr: string): Buffer => unpem(csr, 'CERTIFICATE REQUEST')[0] ?? Buffer.alloc(0)

/** E14: bodies that are no request, or more than one. */
const BODIES: Readonly<Record<string, (csr: string) => string | Buffer>> = {
  'nothing': () => '',
  'letters that are no base64': () => '!"§$%&/()=?',
  'base64 of noise': () => Buffer.from('x'.repeat(500)).toString('base64'),
  'white space, 60 kB': () => ' \n'.repeat(30_000),
  'a request with one letter less': (csr) => base64Of(csr).slice(0, -5),
  'a request in DER with bytes behind it': (csr) => Buffer.concat([derOf(csr), Buffer.from('more')]),
  'two requests in DER': (csr) => Buffer.concat([derOf(csr), derOf(csr)]),
  'two requests in PEM': (csr) => csr + csr,
  'two requests in base64': (csr) => `${base64Of(csr)}\n${base64Of(csr)}`,
  'a request under the name of a certificate': (csr) => pem('CERTIFICATE', derOf(csr)),
  'a signed message in place': () => tlv(0x30, Buffer.concat([Buffer.from('06092a864886f70d010702', 'hex'), tlv(0xa0, Buffer.from([0x30, 0x00]))])),
  'JSON': (csr) => JSON.stringify({ csr }),
  'base64 of base64': (csr) => Buffer.from(base64Of(csr)).toString('base64'),
}

/** Sends each with the same good token, which at the end must still be good. */
async function bodies(arena: Arena, bench: Bench, given: Readonly<Record<string, (csr: string) => string | Buffer>>): Promise<void> {
  const id = await arena.identities.registered('body')
  const token = await arena.admin.createToken(id)
  for (const [label, bodyOf] of Object.entries(given)) {
    const since = performance.now()
    await attackEst(arena, bench, 'attack', label, { id, token, body: bodyOf(forgeRequest(privateKey(), id)) })
    const ms = performance.now() - since
    if (ms > MQTT_LIMITS.heavyPacketMs) bench.attack('time', label, { kind: 'disturbed', how: `it took ${ms.toFixed(0)} ms` })
  }
  bench.attack('time', 'all of them', { kind: 'withstood', how: 'each in time' })
  await enrollsHonestly(arena, bench, 'an honest request with the same token', id, token)
}

/** E15: DER that costs more to read than to send. The server takes 64 kB and says so: what is larger shows that bound. */
const nested = (depth: number): Buffer => {
  let bytes: Buffer = Buffer.from([0x05, 0x00])
  for (let i = 0; i < depth; i++) bytes = tlv(0x30, bytes)
  return bytes
}
const INDEFINITE = (depth: number): Buffer => Buffer.concat([Buffer.from('3080'.repeat(depth), 'hex'), Buffer.from('0000'.repeat(depth), 'hex')])

const BOMBS: Readonly<Record<string, (csr: string) => string | Buffer>> = {
  'nesting of 3,000': () => nested(3_000),
  'nesting of 10,000': () => nested(10_000),
  'indefinite lengths, 4,000 deep': () => INDEFINITE(4_000),
  'a length of 2^31': () => Buffer.from('3084800000000201', 'hex'),
  'a length of 2^64': () => Buffer.from('3088ffffffffffffffff0201', 'hex'),
  'an object identifier of 16,000 bytes': () => tlv(0x30, tlv(0x06, Buffer.concat([Buffer.alloc(16_000, 0xff), Buffer.from([0x7f])]))),
  'an integer of 60,000 bytes': () => tlv(0x30, tlv(0x02, Buffer.alloc(60_000, 0x7f))),
  'an integer of 1 MB': () => tlv(0x30, tlv(0x02, Buffer.alloc(1_000_000, 0x7f))),
  '8,000 empty elements': () => tlv(0x30, Buffer.alloc(16_000, Buffer.from([0x05, 0x00]))),
  '5,000 attributes': (csr) => tlv(0x30, Buffer.concat([derOf(csr).subarray(4), tlv(0xa0, Buffer.concat(Array.from({ length: 5_000 }, () => tlv(0x30, Buffer.alloc(0)))))])),
}

/** E16, E31: what nobody has said that it is there. */
const PATHS: Readonly<Record<string, { readonly path: string; readonly method?: string }>> = {
  'fullcmc': { path: '/.well-known/est/fullcmc' },
  'serverkeygen': { path: '/.well-known/est/serverkeygen' },
  'CMC of another server': { path: '/.well-known/est/cmc' },
  'an unknown operation': { path: '/.well-known/est/simpleenrol' },
  'an unknown label': { path: '/.well-known/est/nobody/simpleenroll' },
  'a label that climbs': { path: '/.well-known/est/../est/simpleenroll' },
  'a label that is encoded': { path: '/.well-known/est/%2e%2e/simpleenroll' },
  'capitals': { path: '/.well-known/EST/simpleenroll' },
  'a slash more': { path: '/.well-known/est//simpleenroll' },
  'a slash behind': { path: '/.well-known/est/simpleenroll/' },
  'a query': { path: '/.well-known/est/simpleenroll?admin=1' },
  // Whole URLs are served (RFC 9112 §3.2.2), but not those of a door that has no TLS.
  'the whole URL, without TLS': { path: 'http://localhost/.well-known/est/simpleenroll' },
  '__proto__': { path: '/.well-known/est/__proto__' },
  'constructor': { path: '/.well-known/est/constructor' },
  'the admin API': { path: '/v1/devices' },
  'the root': { path: '/' },
  'GET where a request belongs': { path: '/.well-known/est/simpleenroll', method: 'GET' },
  'PUT': { path: '/.well-known/est/simpleenroll', method: 'PUT' },
  'POST where nothing belongs': { path: '/.well-known/est/cacerts', method: 'POST' },
  'OPTIONS': { path: '/.well-known/est/simpleenroll', method: 'OPTIONS' },
}

const CMC = ['fullcmc', 'serverkeygen', 'CMC of another server']

async function paths(arena: Arena, bench: Bench, wanted: (label: string) => boolean): Promise<void> {
  const id = await arena.identities.registered('path')
  const token = await arena.admin.createToken(id)
  for (const [label, where] of Object.entries(PATHS)) if (wanted(label)) await attackEst(arena, bench, 'attack', label, { id, token, ...where })
  await enrollsHonestly(arena, bench, 'simpleenroll with the same token', id, token)
}

/** E16: a document that would grow, at a path that nobody serves: it is not even read. */
async function bombs(arena: Arena, bench: Bench): Promise<void> {
  await paths(arena, bench, (label) => CMC.includes(label))
  const laughs = `<?xml version="1.0"?><!DOCTYPE l [${Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('')}]><l>&l9;</l>`
  const source = arena.sources.next()
  const answer = await exchangeHttp({ door: doorOf(arena), source, pieces: [estHead(laughs.length, { path: '/.well-known/est/fullcmc' }), laughs] })
  bench.attack('attack', 'a billion laughs', seenOf(answer), { address: source })
}

/** RFC 9266: what both sides of one connection of TLS 1.3 know, and nobody else. */
const exporterOf = (socket: TLSSocket): string => socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)).toString('base64')

/** E17: a request that somebody passes on comes from another connection than the one that it was made for. */
async function channelBinding(arena: Arena, bench: Bench): Promise<void> {
  const id = await arena.identities.registered('e17')
  const token = await arena.admin.createToken(id)
  const send = (source: string | undefined, challengeOf: (socket: TLSSocket) => string) => exchangeHttp({
    door: doorOf(arena), source,
    pieces: (socket) => {
      const body = base64Of(forgeRequest(privateKey(), id, { attributes: [challengePassword(challengeOf(socket))] }))
      return [estHead(body.length, { authorization: basic(id, token) }), body]
    },
  })
  let elsewhere = ''
  await exchangeHttp({
    door: doorOf(arena), source: arena.sources.next(),
    pieces: (socket) => {
      elsewhere = exporterOf(socket)
      return ['GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n']
    },
  })
  for (const [label, challenge] of Object.entries({ 'of another connection': elsewhere, 'of nothing': Buffer.alloc(32).toString('base64'), 'a word': 'password', 'half of it': elsewhere.slice(0, 20) })) {
    const source = arena.sources.next()
    const before = await arena.admin.certificatesOf(id)
    const answer = await send(source, () => challenge)
    bench.attack('attack', label, seenOf(answer, (await arena.admin.certificatesOf(id)) - before), { address: source })
  }
  const honest = await send(arena.sources.next(), exporterOf)
  bench.control('of this connection, with the same token', issued(honest) !== undefined, `HTTP ${honest.status}${honest.reason === undefined ? '' : ` ${honest.reason}`}`)
}

export const EST_REQUEST_CASES = {
  E08: alternativeNames,
  E09: longerLife,
  E14: (arena, bench) => bodies(arena, bench, BODIES),
  E15: (arena, bench) => bodies(arena, bench, BOMBS),
  E16: bombs,
  E17: channelBinding,
  E31: (arena, bench) => paths(arena, bench, (label) => !CMC.includes(label)),
} as const satisfies Record<string, Runner>
