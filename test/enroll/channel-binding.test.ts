// E17: a request that is bound to its connection is good on that connection alone. Real TLS of both versions, requests of the
// project's own forge, and somebody in between who has TLS with both sides.

import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { privateKey } from '../../device-sim/forge/keys.ts'
import { unpem } from '../../device-sim/forge/certificate.ts'
import { challengePassword, forgeRequest, type ForgedAttribute } from '../../device-sim/forge/request.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { bindingOf as bindingFound } from '../../src/enroll/channel-binding.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { has } from '../e2e/program.ts'
import { cn, EKU, extKeyUsage, makeCa, makeLeaf, name } from '../x509/forge.ts'
import { CERTIFIED, exchange, openDoor, outcome, pemIn, type Door } from './door.ts'

let door: Door
beforeAll(async () => {
  door = await openDoor()
})
afterEach(() => door.rulesAre({}))
afterAll(() => door[Symbol.asyncDispose]())

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof VERSIONS)[number]
const only = (version: Version) => ({ minVersion: version, maxVersion: version })

const exported = (socket: TLSSocket, label = 'EXPORTER-Channel-Binding'): string => socket.exportKeyingMaterial(32, label, Buffer.alloc(0)).toString('base64')
/** As a client sees it: it has sent the first Finished. */
const unique = (socket: TLSSocket): string => socket.getFinished()!.toString('base64')
const bindingOf: Readonly<Record<Version, (socket: TLSSocket) => string>> = { 'TLSv1.2': unique, 'TLSv1.3': exported }

/** A request of a new key with these attributes. */
const bound = (id: DeviceId, ...attributes: readonly ForgedAttribute[]): string => forgeRequest(privateKey(), id, { attributes })

describe.each(VERSIONS)('over %s', (version) => {
  let id: DeviceId
  let token: string
  let socket: TLSSocket
  async function begin(): Promise<void> {
    id = await door.fresh()
    token = await door.tokenFor(id)
    socket = await door.connect(only(version))
  }
  const ask = async (...attributes: readonly ForgedAttribute[]): Promise<string> => outcome(await door.post('simpleenroll', bound(id, ...attributes), { token, socket }))

  test('the number of this connection is a certificate; that of another, none, or two are refused, and cost no use', async () => {
    await door.rulesAre({ channelBinding: 'required' })
    await begin()
    const other = await door.connect(only(version))
    expect(await ask()).toBe('403 channel-binding')
    expect(await ask(challengePassword(bindingOf[version](other)))).toBe('403 channel-binding')
    const right = challengePassword(bindingOf[version](socket))
    expect(await ask(right, right)).toBe('403 channel-binding')
    expect(await ask(challengePassword(bindingOf[version](socket), bindingOf[version](socket)))).toBe('403 channel-binding')
    expect(door.house.home.view.certificatesOf(id)).toHaveLength(0)
    // The first good one, on the same connection: the number is that of the connection, not of a request.
    expect(await ask(right)).toBe(CERTIFIED)
    other.destroy()
    socket.destroy()
  })

  test('one that is there must fit also where none is required; without one nobody is asked', async () => {
    await begin()
    const right = bindingOf[version](socket)
    for (const text of ['', 'secret', `${right}\n`, right.slice(0, -1), Buffer.from(right, 'base64').toString('hex'), `${right.startsWith('A') ? 'B' : 'A'}${right.slice(1)}`]) {
      expect(await ask(challengePassword(text)), JSON.stringify(text)).toBe('403 channel-binding')
    }
    expect(await ask({ id: challengePassword('').id, values: [] })).toBe('403 channel-binding')
    expect(await ask({ id: challengePassword('').id, values: [Buffer.from('0c02fffe', 'hex')] })).toBe('403 channel-binding')
    expect(await ask()).toBe(CERTIFIED)
    socket.destroy()
  })

  test('another number of the same connection is none', async () => {
    await begin()
    const others = version === 'TLSv1.2' ? [socket.getPeerFinished()!.toString('base64'), exported(socket)] : [unique(socket), socket.getPeerFinished()!.toString('base64'), exported(socket, 'EXPORTER-Token-Binding')]
    for (const text of others) expect(await ask(challengePassword(text))).toBe('403 channel-binding')
    expect(await ask(challengePassword(bindingOf[version](socket)))).toBe(CERTIFIED)
    socket.destroy()
  })

  test('the number put into a request that was signed without it is no request of that key', async () => {
    await door.rulesAre({ channelBinding: 'required' })
    await begin()
    const foreign = await door.connect(only(version))
    const right = bindingOf[version](socket)
    // Of the same length, so that nothing else of the request changes.
    const [der] = unpem(bound(id, challengePassword(bindingOf[version](foreign))), 'CERTIFICATE REQUEST')
    const at = der!.indexOf(bindingOf[version](foreign))
    const tampered = Buffer.concat([der!.subarray(0, at), Buffer.from(right), der!.subarray(at + right.length)])
    expect(outcome(await door.post('simpleenroll', tampered, { token, socket }))).toBe('400 csr-signature-invalid')
    expect(await ask(challengePassword(right))).toBe(CERTIFIED)
    foreign.destroy()
    socket.destroy()
  })

  test('a renewal is bound, too', async () => {
    await begin()
    const key = privateKey()
    const first = await door.post('simpleenroll', forgeRequest(key, id), { token, socket })
    socket.destroy()
    await door.rulesAre({ channelBinding: 'required' })
    const line = await door.connect({ ...only(version), cert: pemIn(first.text), key: key.export({ format: 'pem', type: 'pkcs8' }) })
    expect(outcome(await door.post('simplereenroll', bound(id), { socket: line }))).toBe('403 channel-binding')
    expect(outcome(await door.post('simplereenroll', bound(id, challengePassword(bindingOf[version](line))), { socket: line }))).toBe(CERTIFIED)
    line.destroy()
  })
})

test('of a session that is resumed the first Finished is the server\'s (TLS 1.2)', async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((file) => readFileSync(path.join(door.house.folder, 'certs/local/server', file), 'utf8'))
  const server = createServer({ ...only('TLSv1.2'), key, cert })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  async function visit(session?: Buffer): Promise<{ readonly ours: TLSSocket; readonly theirs: TLSSocket }> {
    const coming = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const theirs = connect({ ...only('TLSv1.2'), host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca: door.house.root, servername: 'localhost', ...(session === undefined ? {} : { session }) })
    await once(theirs, 'secureConnect')
    return { ours: (await coming)[0], theirs }
  }
  const full = await visit()
  expect(full.ours.isSessionReused()).toBe(false)
  expect(bindingFound(full.ours)).toBe(full.theirs.getFinished()!.toString('base64'))
  const resumed = await visit(full.theirs.getSession())
  expect(resumed.ours.isSessionReused()).toBe(true)
  expect(bindingFound(resumed.ours)).toBe(resumed.theirs.getPeerFinished()!.toString('base64'))
  for (const { ours, theirs } of [full, resumed]) for (const socket of [ours, theirs]) socket.destroy()
  server.close()
})

test('csrattrs asks for it where it is required, from the moment at which it is', async () => {
  const listed = async (): Promise<string> => {
    const socket = await door.connect()
    socket.end('GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
    return spawnSync('openssl', ['asn1parse', '-inform', 'DER'], { input: Buffer.from(text.split('\r\n\r\n')[1] ?? '', 'base64'), encoding: 'utf8' }).stdout
  }
  expect(await listed()).not.toContain('challengePassword')
  await door.rulesAre({ channelBinding: 'required' })
  expect(await listed()).toContain('challengePassword')
})

test('the refusal is in the audit log, and its number is not', async () => {
  const id = await door.fresh()
  // An address of its own: of those that refuse much the log counts the rest.
  const socket = await door.connect({ localAddress: '127.0.0.5' })
  const other = await door.connect()
  expect(outcome(await door.post('simpleenroll', bound(id, challengePassword(exported(other))), { token: await door.tokenFor(id), socket }))).toBe('403 channel-binding')
  await expect.poll(async () => (await door.house.refusals()).at(-1)).toBe('channel-binding')
  const log = readFileSync(door.house.home.paths.audit, 'utf8')
  expect(log).not.toContain(exported(other))
  for (const line of [socket, other]) line.destroy()
})

describe('on-path: somebody who has TLS with the device and with the server', () => {
  /** He bears a certificate that this device was made to trust, takes its request and passes it on as his own. */
  async function attacked(id: DeviceId, token: string, version: Version, isBinding: boolean): Promise<string> {
    const rogue = makeCa({ name: 'rogue' })
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const leaf = encodePem('CERTIFICATE', makeLeaf({ under: rogue, key, subject: name(cn('localhost')), eku: extKeyUsage(EKU.server) }))
    const attacker = createServer({ ...only(version), key: key.export({ format: 'pem', type: 'pkcs8' }), cert: leaf })
    await once(attacker.listen(0, '127.0.0.1'), 'listening')
    const taken = once(attacker, 'secureConnection') as Promise<[TLSSocket]>
    // What a phished device does: it checks nothing.
    const victim = connect({ ...only(version), host: '127.0.0.1', port: (attacker.address() as AddressInfo).port, rejectUnauthorized: false })
    await once(victim, 'secureConnect')
    const [inside] = await taken
    const csr = isBinding ? bound(id, challengePassword(bindingOf[version](victim))) : bound(id)
    const heard = once(inside, 'data') as Promise<[Buffer]>
    victim.write(csr)
    const [stolen] = await heard
    const outside = await door.connect(only(version))
    const answer = outcome(await exchange(outside, 'simpleenroll', stolen, token))
    for (const socket of [victim, inside, outside]) socket.destroy()
    attacker.close()
    return answer
  }

  test.each(VERSIONS)('gets a certificate for the device\'s request where it is not bound, and none where it is: %s', async (version) => {
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    expect(await attacked(id, token, version, true)).toBe('403 channel-binding')
    await door.rulesAre({ channelBinding: 'required' })
    expect(await attacked(id, token, version, true)).toBe('403 channel-binding')
    expect(await attacked(id, token, version, false)).toBe('403 channel-binding')
    await door.rulesAre({})
    // The control: without a binding the attack is one.
    expect(await attacked(id, token, version, false)).toBe(CERTIFIED)
  })
})

describe.skipIf(!has('openssl'))('a client that is not ours (needs openssl)', () => {
  test('s_client says the same number, and a request that openssl req made with it is taken', async () => {
    await door.rulesAre({ channelBinding: 'required' })
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    const at = (file: string): string => path.join(door.house.folder, file)
    const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${door.server.address.port}`, '-servername', 'localhost', '-CAfile', at('certs/local/root.pem'), '-verify_return_error', '-tls1_3', '-ign_eof', '-keymatexport', 'EXPORTER-Channel-Binding', '-keymatexportlen', '32'])
    let said = ''
    client.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await expect.poll(() => said).toMatch(/Keying material: [0-9A-F]{64}/)
    const number = Buffer.from(/Keying material: ([0-9A-F]{64})/.exec(said)?.[1] ?? '', 'hex').toString('base64')
    writeFileSync(at('bound.cnf'), `[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=${id}\n[at]\nchallengePassword=${number}\n`)
    const made = spawnSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('bound.key'), '-config', at('bound.cnf')], { encoding: 'utf8' })
    client.stdin.write(`POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\nContent-Length: ${made.stdout.length}\r\n\r\n${made.stdout}`)
    await once(client, 'close')
    expect(said).toContain('HTTP/1.1 200 OK')
    const certificate = new X509Certificate(pemIn(/\r\n\r\n(M[A-Za-z0-9+/]+=*)/.exec(said)?.[1] ?? ''))
    expect(certificate.subject).toBe(`CN=${id}`)
    client.kill()
  })
})
