// The server that does nothing but what nobody can leave out: TLS with a client certificate, and a fixed CONNACK. What
// Sallyport costs beyond this is what Sallyport costs. Its TLS is configured as src/broker/listener.ts configures its own:
// suites, groups and options. In TLS 1.3 SSL_OP_NO_TICKET is a name that misleads: OpenSSL still writes two tickets, stateful
// ones, which nothing here keeps and nobody can resume; both Node servers pay for them.

import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import tls from 'node:tls'

const [, , key, cert, ca] = process.argv
if (key === undefined || cert === undefined || ca === undefined) throw new Error('usage: bare-server KEY CERT CA')

const CONNACK_ACCEPTED = Buffer.from([0x20, 0x02, 0x00, 0x00])

const server = tls.createServer({
  key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(ca),
  requestCert: true, rejectUnauthorized: true, noDelay: true,
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384', ecdhCurve: 'X25519MLKEM768:X25519:P-256', minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_CIPHER_SERVER_PREFERENCE | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
}, (socket) => {
  socket.once('data', () => socket.write(CONNACK_ACCEPTED))
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${JSON.stringify({ pid: process.pid, port: address.port })}\n`)
})
