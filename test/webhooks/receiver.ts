// A receiver of webhooks: a real HTTPS server with a certificate of a CA of its own, which answers as a test wants it to and remembers
// what it was sent. It checks signatures by itself, with nothing of src/.

import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { forgeIssuing, forgeRoot, forgeServer } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'

export interface Received {
  readonly id: string
  readonly timestamp: number
  readonly signature: string
  readonly body: string
  readonly json: { readonly type: string; readonly timestamp: string; readonly data: { readonly [name: string]: unknown } }
  readonly headers: IncomingMessage['headers']
}

export type Behave = (received: Received, response: ServerResponse) => void

export interface Receiver extends AsyncDisposable {
  /** By name: it has to be looked up. */
  readonly url: string
  readonly port: number
  /** PEM: what a sender has to trust. */
  readonly ca: string
  readonly received: readonly Received[]
  /** Connections that were made, whether anything was sent on them or not. */
  readonly connections: () => number
  behave(behave: Behave): void
  /** The first message, received already or to come, that fits. */
  next(fits: (received: Received) => boolean): Promise<Received>
}

export const answering = (status: number, headers: Readonly<Record<string, string>> = {}): Behave => (_, response) => void response.writeHead(status, headers).end()

const root = forgeRoot('Receivers')
const issuing = forgeIssuing(root, 'Receivers')

export async function openReceiver(first: Behave = answering(204), port = 0): Promise<Receiver> {
  const leaf = forgeServer(issuing, ['localhost', 'hooks.test'])
  const received: Received[] = []
  const waiting = new Set<() => void>()
  const sockets = new Set<Socket>()
  let behaviour = first
  let connections = 0
  const server = createServer({ key: keyPem(leaf.key), cert: [leaf.certificate, issuing.certificate].map((der) => pem('CERTIFICATE', der)).join('') }, (request, response) => void take(request, response))
  server.on('connection', (socket: Socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString('utf8')
    const header = (name: string): string => String(request.headers[name])
    const message: Received = { id: header('webhook-id'), timestamp: Number(header('webhook-timestamp')), signature: header('webhook-signature'), body, json: JSON.parse(body) as Received['json'], headers: request.headers }
    received.push(message)
    behaviour(message, response)
    for (const look of waiting) look()
  }
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  return {
    url: `https://localhost:${bound}/hook`, port: bound, ca: pem('CERTIFICATE', root.certificate), received,
    connections: () => connections,
    behave(next) {
      behaviour = next
    },
    next: (fits) => new Promise((resolve) => {
      const look = (): void => {
        const found = received.find(fits)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    }),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** As the receivers' libraries do it: https://www.standardwebhooks.com */
export function isSigned({ id, timestamp, signature, body }: Received, secret: string): boolean {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  return signature === `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}
