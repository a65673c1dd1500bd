// HTTP by hand: what it says of an answer, of two, of none, and of a connection that ends.

import { once } from 'node:events'
import tls from 'node:tls'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { forgeIssuing, forgeRoot, forgeServer } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { basic, estHead, exchangeHttp } from '../../device-sim/raw-https.ts'

const root = forgeRoot('Door')
const issuing = forgeIssuing(root, 'Door')
const leaf = forgeServer(issuing, ['localhost'])
const servers: tls.Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A door that says this when it has heard something. */
async function door(say: (socket: tls.TLSSocket, heard: string) => void): Promise<{ host: string; port: number; ca: string }> {
  const server = tls.createServer({ cert: [leaf.certificate, issuing.certificate].map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(leaf.key) }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => say(socket, chunk.toString()))
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca: pem('CERTIFICATE', root.certificate) }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSallyport-Reason: none-at-all\r\n\r\nhi'

describe('an answer', () => {
  test('is taken as soon as it is whole, with its reason', async () => {
    const seen = await exchangeHttp({ door: await door((socket) => void socket.write(OK)), pieces: ['GET / HTTP/1.1\r\n\r\n'] })
    expect(seen).toMatchObject({ status: 200, reason: 'none-at-all', body: 'hi', answers: 1, closed: false })
  })

  test('of two is two, when the end is waited for', async () => {
    const seen = await exchangeHttp({ door: await door((socket) => void socket.end(OK + OK)), pieces: ['x'], untilClosed: true })
    expect(seen).toMatchObject({ status: 200, body: 'hi', answers: 2, closed: true })
  })

  test('that never comes is none, and the connection is open still', async () => {
    expect(await exchangeHttp({ door: await door(() => {}), pieces: ['x'], waitMs: 50 })).toMatchObject({ status: 0, answers: 0, closed: false })
  })

  test('of whoever hangs up is none, and the connection is closed', async () => {
    expect(await exchangeHttp({ door: await door((socket) => void socket.destroy()), pieces: ['x'] })).toMatchObject({ status: 0, answers: 0, closed: true })
  })
})

test('what depends on the connection is made when it is there', async () => {
  const heard: string[] = []
  const target = await door((socket, text) => {
    heard.push(text)
    socket.write(OK)
  })
  await exchangeHttp({ door: target, pieces: (socket) => [socket.getProtocol() ?? 'none'] })
  expect(heard).toEqual(['TLSv1.3'])
})

test('a head has the length of the body unless its framing says otherwise', () => {
  expect(estHead(5, { authorization: basic('a', 'b') })).toBe('POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\nAuthorization: Basic YTpi\r\nContent-Length: 5\r\n\r\n')
  expect(estHead(5, { framing: ['Transfer-Encoding: chunked'] })).not.toContain('Content-Length')
})
