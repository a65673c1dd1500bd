// The handshakes that are written by hand, against a server of node:tls: what an honest client would send is taken, and each
// thing that can be changed in them is what the server sees.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { forgeIssuing, forgeLeaf, forgeRoot, forgeServer } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { HANDSHAKE, record, TLS_VERSION } from '../../device-sim/forge/client-hello.ts'
import { keyPem, privateKey } from '../../device-sim/forge/keys.ts'
import { proofWith, type HandmadeTls } from '../../device-sim/forge/proof.ts'
import { openTls12, TLS12_STEPS } from '../../device-sim/forge/tls12.ts'
import { openTls13, type Tls13Connection, type Tls13Options } from '../../device-sim/forge/tls13.ts'
import type { HandmadeConnection, HandmadeResult } from '../../device-sim/forge/wire.ts'

const root = forgeRoot('Acme')
const issuing = forgeIssuing(root, 'Acme')
const told: string[] = []
let server: tls.Server
let port: number

beforeAll(async () => {
  const own = forgeServer(issuing, ['localhost'])
  server = tls.createServer({ cert: pem('CERTIFICATE', own.certificate) + pem('CERTIFICATE', issuing.certificate), key: keyPem(own.key), ca: pem('CERTIFICATE', root.certificate), requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => {})
    // Who it is, whether it resumed, and what it says; the same comes back.
    const who = `${socket.getProtocol() ?? ''} ${socket.authorized ? 'authorized' : 'not authorized'}${socket.isSessionReused() ? ' resumed' : ''}`
    socket.on('data', (data: Buffer) => {
      told.push(`${who}: ${data.toString()}`)
      socket.write(data)
    })
  })
  server.on('tlsClientError', (fault: NodeJS.ErrnoException) => told.push(fault.code ?? fault.message))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
beforeEach(() => void told.splice(0))
afterAll(() => server.close())

const shown = (key: KeyObject = privateKey()) => ({ key, chain: [forgeLeaf(issuing, 'd', { key }).certificate, issuing.certificate] })
const options = (key?: KeyObject): Tls13Options => {
  const { key: own, chain } = shown(key)
  return { host: '127.0.0.1', port, chain, certificateVerify: (content) => proofWith(own)(content, 'TLSv1.3') }
}

function established<C extends HandmadeConnection>(result: HandmadeResult<C>): C {
  if (result.kind !== 'established') throw new Error(`it was ${result.kind}`)
  return result.connection
}

async function echo(connection: HandmadeConnection, text: string): Promise<string | undefined> {
  connection.send(Buffer.from(text))
  return (await connection.receive())?.toString()
}

const open = (version: HandmadeTls, key?: KeyObject): Promise<HandmadeResult> => {
  const { key: own, chain } = shown(key)
  const both = { host: '127.0.0.1', port, chain, certificateVerify: (content: Buffer) => proofWith(own)(content, version) }
  return version === 'TLSv1.2' ? openTls12(both) : openTls13(both)
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', (version) => {
  test.each<[string, () => KeyObject]>([
    ['P-256', () => privateKey()],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey],
    ['Ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ])('with a key of %s is authorized, and says and hears', async (_, key) => {
    const connection = established(await open(version, key()))
    expect(await echo(connection, 'hello')).toBe('hello')
    expect(told).toEqual([`${version} authorized: hello`])
    connection.end()
  })

  test('with the proof of another key is refused', async () => {
    const { chain } = shown()
    const both = { host: '127.0.0.1', port, chain, certificateVerify: (content: Buffer) => proofWith(privateKey())(content, version) }
    const result = version === 'TLSv1.2' ? await openTls12(both) : await openTls13(both)
    // In TLS 1.3 the client is ready before the server has looked.
    const seen = result.kind === 'established' ? await result.connection.receive() : undefined
    expect(seen).toBeUndefined()
    await expect.poll(() => told).toEqual([expect.stringContaining('SIGNATURE')])
  })
})

describe('TLS 1.2', () => {
  test('in records of one byte is the same handshake', async () => {
    const { key, chain } = shown()
    const connection = established(await openTls12({ host: '127.0.0.1', port, chain, recordBytes: 1, certificateVerify: (content) => proofWith(key)(content, 'TLSv1.2') }))
    expect(await echo(connection, 'x')).toBe('x')
    connection.end()
  })

  test('stops where it is told, and the server has seen no more', async () => {
    const { key, chain } = shown()
    const steps: string[] = []
    const result = await openTls12({
      host: '127.0.0.1', port, chain, certificateVerify: (content) => proofWith(key)(content, 'TLSv1.2'),
      stopBefore(step, wire) {
        steps.push(step)
        if (step === 'finished') wire.destroy()
        return step === 'finished'
      },
    })
    expect(result.kind).toBe('closed')
    expect(steps).toEqual(TLS12_STEPS.slice(0, 5))
    expect(told.filter((line) => line.includes('authorized'))).toEqual([])
  })
})

describe('TLS 1.3', () => {
  async function withTicket(): Promise<Tls13Connection> {
    const connection = established(await openTls13(options()))
    await echo(connection, 'first')
    connection.end()
    return connection
  }

  test('keeps the tickets of the server, and resumes with one', async () => {
    const { tickets: [ticket] } = await withTicket()
    expect(ticket).toBeDefined()
    const again = established(await openTls13({ ...options(), ticket: ticket! }))
    expect(again.resumed).toBe(true)
    expect(await echo(again, 'second')).toBe('second')
    expect(told.at(-1)).toBe('TLSv1.3 authorized resumed: second')
    again.end()
  })

  test('with a ticket that nobody gave is a new handshake; early data is passed over, and the server hears what comes after', async () => {
    const ticket = { identity: Buffer.alloc(64, 7), key: Buffer.alloc(32, 7), ageAdd: 7 }
    const connection = established(await openTls13({ ...options(), ticket, earlyData: Buffer.from('too early') }))
    expect(connection.resumed).toBe(false)
    expect(await echo(connection, 'in time')).toBe('in time')
    expect(told).toEqual(['TLSv1.3 authorized: in time'])
    connection.end()
  })

  test('a ticket whose key is not that of the server breaks off', async () => {
    const { tickets: [ticket] } = await withTicket()
    const result = await openTls13({ ...options(), ticket: { ...ticket!, key: Buffer.alloc(32) } })
    expect(result.kind).toBe('alert')
  })

  test('says on with new keys', async () => {
    const connection = established(await openTls13(options()))
    connection.updateKeys(false)
    connection.updateKeys(false)
    expect(await echo(connection, 'with new keys')).toBe('with new keys')
    connection.end()
  })

  test('what is sent meanwhile reaches the server: some ChangeCipherSpec are passed over, another record is not', async () => {
    const changes = Buffer.concat(Array.from({ length: 5 }, () => record(HANDSHAKE.changeCipherSpec, TLS_VERSION['TLS 1.2'], Buffer.from([1]))))
    const connection = established(await openTls13({ ...options(), meanwhile: changes }))
    expect(await echo(connection, 'x')).toBe('x')
    connection.end()
    const result = await openTls13({ ...options(), meanwhile: record(99, TLS_VERSION['TLS 1.2'], Buffer.from([1])) })
    const seen = result.kind === 'established' ? await result.connection.receive() : undefined
    expect(seen).toBeUndefined()
  })

  test('a client without a certificate proves nothing', async () => {
    const connection = established(await openTls13({ ...options(), chain: [] }))
    expect(await echo(connection, 'nobody')).toBe('nobody')
    expect(told).toEqual(['TLSv1.3 not authorized: nobody'])
    connection.end()
  })
})

test('a proof names the scheme that its key has in each version', () => {
  const scheme = (key: KeyObject, version: HandmadeTls): number => proofWith(key)(Buffer.from('x'), version).readUInt16BE()
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey
  expect([scheme(rsa, 'TLSv1.2'), scheme(rsa, 'TLSv1.3')]).toEqual([0x0401, 0x0804])
  expect(scheme(generateKeyPairSync('ed448').privateKey, 'TLSv1.3')).toBe(0x0808)
  expect(scheme(generateKeyPairSync('ml-dsa-44').privateKey, 'TLSv1.3')).toBe(0x0904)
})
