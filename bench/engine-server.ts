// aedes as it is published, behind the same TLS server: no registry, no policy, no audit, no hardening. What Sallyport costs
// beyond this is Sallyport's; what this costs beyond the bare server is the engine's. Never let it face a wire.

import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { Aedes } from 'aedes'

const [, , key, cert, ca] = process.argv
if (key === undefined || cert === undefined || ca === undefined) throw new Error('usage: engine-server KEY CERT CA')

const aedes = new Aedes({ concurrency: 0 })
await aedes.listen()
const server = tls.createServer({
  key: readFileSync(key), cert: readFileSync(cert), ca: readFileSync(ca),
  requestCert: true, rejectUnauthorized: true, noDelay: true,
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384', ecdhCurve: 'X25519MLKEM768:X25519:P-256', minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_CIPHER_SERVER_PREFERENCE | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
}, (socket) => {
  socket.on('error', () => socket.destroy())
  aedes.handle(socket)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${JSON.stringify({ pid: process.pid, port: address.port })}\n`)
})
