// The door for those who watch: /metrics, /healthz, /readyz. On this machine it speaks plain HTTP to whoever is here; anywhere else it
// speaks TLS, and says more than yes or no only to who has the token.

import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Health } from '../core/health.ts'
import { SallyportError } from '../core/errors.ts'
import { OBSERVE_LIMITS } from '../observe-limits.ts'
import type { Metrics } from './metrics.ts'

export interface ObserveTls {
  readonly key: string
  readonly cert: string
}

export interface ObservePorts {
  readonly listen: { readonly host: string; readonly port: number }
  /** Anywhere but on loopback: what the door shows, and what it asks for. */
  readonly guarded: { readonly tls: ObserveTls; readonly token: string } | undefined
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>
  readonly health: () => Promise<Health>
  readonly log: (level: 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface ObserveServer extends AsyncDisposable {
  readonly url: string
  /** Shows this certificate to new connections. */
  replaceTls(tls: ObserveTls): void
}

interface Said {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
const said = (status: number, sentence: string, headers: Readonly<Record<string, string>> = {}): Said => ({ status, type: TEXT, body: `${sentence}\n`, headers })
const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Opens the port. Failure: 'port-in-use'. */
export async function openObserveServer(ports: ObservePorts): Promise<ObserveServer> {
  const { listen: { host, port }, guarded } = ports
  const listener: RequestListener = (request, response) => void serve(request, response, ports)
  const limits = { maxHeaderSize: OBSERVE_LIMITS.headerBytesMax, headersTimeout: OBSERVE_LIMITS.requestMs, requestTimeout: OBSERVE_LIMITS.requestMs, keepAliveTimeout: OBSERVE_LIMITS.idleMs }
  const tls = guarded === undefined ? undefined : createTlsServer({ ...limits, ...guarded.tls, minVersion: 'TLSv1.2', handshakeTimeout: OBSERVE_LIMITS.requestMs }, listener)
  const server: Server | TlsServer = tls ?? createServer(limits, listener)
  server.maxConnections = OBSERVE_LIMITS.connectionsMax
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(new SallyportError('port-in-use', `Cannot listen on ${host}:${port} for metrics and health (${cause.code ?? ''}).`, { fix: 'Stop the program that has the port, set listen.metrics in sallyport.yaml, or start with --ports auto.', cause })))
    server.listen(port, host, resolve)
  })
  // A client that resets its connection must not end the program.
  server.on('error', () => {})
  const bound = server.address() as { address: string; port: number; family: string }
  const name = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return {
    url: `${guarded === undefined ? 'http' : 'https'}://${name}:${bound.port}`,
    replaceTls: (fresh) => tls?.setSecureContext({ ...fresh }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, ports: ObservePorts): Promise<void> {
  try {
    send(request, response, await answer(request, ports))
  } catch (error) {
    ports.log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'a request for metrics or health failed')
    send(request, response, said(500, 'This could not be answered. The log of the server says why.'))
  }
}

async function answer(request: IncomingMessage, { guarded, metrics, health }: ObservePorts): Promise<Said> {
  // A name that leads a browser here for somebody else's page (DNS rebinding) stands in this header.
  if (guarded === undefined && !LOOPBACK.includes((request.headers.host ?? '').replace(/:\d{1,5}$/, '').toLowerCase())) return said(421, 'This door answers to localhost, 127.0.0.1 and [::1].')
  if (request.method !== 'GET' && request.method !== 'HEAD') return said(405, 'Only GET is served here.', { allow: 'GET, HEAD' })
  const isKnown = guarded === undefined || holdsToken(request.headers.authorization, guarded.token)
  switch ((request.url ?? '').split('?')[0]) {
    case '/healthz':
      return said(200, 'alive')
    case '/readyz': {
      const found = await health()
      const status = found.ready ? 200 : 503
      return isKnown ? { status, type: JSON_TYPE, body: `${JSON.stringify(found, undefined, 2)}\n` } : said(status, found.ready ? 'ready' : 'not ready')
    }
    case '/metrics':
      if (!isKnown) return said(401, 'Metrics are for who has the token: Authorization: Bearer …', { 'www-authenticate': 'Bearer' })
      return { status: 200, type: metrics.contentType, body: await metrics.text() }
    default:
      return said(404, 'There is no such thing here. There are /metrics, /healthz and /readyz.')
  }
}

/** In constant time, whatever its length. */
function holdsToken(authorization: string | undefined, token: string): boolean {
  const shown = /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1] ?? ''
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(shown), hash(token))
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Said): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers })
  response.end(request.method === 'HEAD' ? undefined : body)
}
