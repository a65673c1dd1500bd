// The door of HTTPS, for enrollment and for publishing: to whoever comes, with a client certificate or without. Everything that costs something comes after a
// bound: connections, handshakes, headers, bodies, requests of one address. It knows HTTP; what is answered is the business of est.ts and publish/.

import { constants } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, type TLSSocket } from 'node:tls'
import { REASONS } from '../vocabulary.ts'
import type { Source } from '../core/audit.ts'
import { deny, type Denied } from '../core/decision.ts'
import { SallyportError } from '../core/errors.ts'
import type { Caller, CallerId } from '../core/https-publish.ts'
import { printable, type EpochMs } from '../core/ids.ts'
import type { AuditSink } from '../core/registry.ts'
import { sourceAddress } from '../core/source.ts'
import { openSourceRates } from '../core/source-rates.ts'
import { ENROLL_LIMITS } from '../enrollment-limits.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { presentedChain, presentedFacts } from '../x509/presented.ts'
import { refusal, type EstAnswer } from './answer.ts'
import { bindingOf } from './channel-binding.ts'
import { answerEst, operationOf, type Enrollments } from './est.ts'
import { openGuesses } from './guesses.ts'
import { problem } from './publish/answer.ts'
import { openPublishDoor, type PublishAsked, type PublishPorts } from './publish/door.ts'
import { isPublish } from './publish/request.ts'
import { bodyOf } from './request-body.ts'

export interface EnrollTls {
  readonly key: string
  readonly cert: string
  /** PEM. Named to clients, so that they choose a certificate of these CAs. */
  readonly anchors: readonly string[]
}

export interface EnrollServerPorts {
  readonly listen: { readonly host: string; readonly port: number }
  readonly tls: EnrollTls
  readonly enrollments: Enrollments
  /** Who publishes what is posted. Absent: nothing is, and there is no such path. */
  readonly publish?: Omit<PublishPorts, 'refused'>
  readonly audit: AuditSink
  readonly clock: () => EpochMs
  readonly log: (level: 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface EnrollServer {
  readonly address: { readonly host: string; readonly port: number }
  /** Gets a new certificate ready; nothing fails once the way to put it in force is made. */
  prepare(tls: EnrollTls): () => void
  close(): Promise<void>
}

/** On its own thread. */
export interface DoorServer extends EnrollServer {
  /** Closes the connection of a caller that may publish no longer. */
  end(caller: CallerId): void
}

const TLS_OPTIONS = {
  minVersion: 'TLSv1.2',
  requestCert: true,
  // A certificate that has expired may still be renewed: it is judged here, by the registry. OpenSSL has seen the proof of possession in any case.
  rejectUnauthorized: false,
  // A session that is resumed shows no certificate, and yet counts as authorised.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  sessionIdContext: 'sallyport-enroll',
} as const

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The path that is asked for, with its query. */
  readonly target: string
  /** The client sends its body when it is told to: RFC 9110 §10.1.1. */
  readonly continues: boolean
  readonly socket: TLSSocket
  readonly source: Source
}

const RATE = { perSecond: ENROLL_LIMITS.sourcePerSecond, burst: ENROLL_LIMITS.sourceBurst }
const CONNECTION_RATE = { perSecond: ENROLL_LIMITS.connectionsPerSecond, burst: ENROLL_LIMITS.connectionsBurst }

/** Opens the port. Failure: 'port-in-use'. */
export async function openEnrollServer(ports: EnrollServerPorts): Promise<DoorServer> {
  const guesses = openGuesses()
  const withinRate = openSourceRates(RATE, ENROLL_LIMITS.sourcesRememberedMax)
  const mayConnect = openSourceRates(CONNECTION_RATE, ENROLL_LIMITS.sourcesRememberedMax)
  const context = ({ key, cert, anchors }: EnrollTls): { key: string; cert: string; ca: string[] } => ({ key, cert, ca: [...anchors] })
  const server = createServer({
    ...TLS_OPTIONS, ...context(ports.tls),
    // A client that asks for HTTP/1.0 by name would be turned away in its handshake.
    ALPNProtocols: ['http/1.1', 'http/1.0'],
    handshakeTimeout: ENROLL_LIMITS.handshakeMs,
    headersTimeout: ENROLL_LIMITS.requestMs, requestTimeout: ENROLL_LIMITS.requestMs, keepAliveTimeout: ENROLL_LIMITS.idleMs, connectionsCheckingInterval: 1_000,
    maxHeaderSize: ENROLL_LIMITS.headerBytesMax,
  })
  // HTTP knows a connection from its handshake on, and looks after none once it is closed: who says nothing would keep the program from its end.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    const source = sourceOf(socket)
    if (!mayConnect(source.address, ports.clock())) {
      socket.destroy()
      return ports.audit.record({ kind: 'refusal', at: ports.clock(), step: REASONS['source-rate'].step, reason: 'source-rate', source })
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.maxConnections = ENROLL_LIMITS.connectionsMax
  server.maxHeadersCount = ENROLL_LIMITS.headersMax
  // node:tls reports what fails and leaves the socket open.
  server.on('tlsClientError', (_, socket) => void socket.destroy())
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => void serve(request, response, false))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => void serve(request, response, true))
  /** Connections with a request that is not answered. One that sends the next before would have us hold the bodies of as many as it likes. */
  const answering = new WeakSet<Socket>()

  const publishing = ports.publish && openPublishDoor({ ...ports.publish, refused: (asked, denied, caller) => record(asked, denied, undefined, caller) })

  async function serve(request: IncomingMessage, response: ServerResponse, continues: boolean): Promise<void> {
    // Of a request whose connection is gone there is no socket to ask any more.
    const socket = request.socket as TLSSocket
    // A target may be a whole URL, as for a proxy. RFC 9112 §3.2.2.
    const target = (request.url ?? '').replace(/^https:\/\/[^/?#]+/i, '')
    const asked: Asked = { request, response, target, continues, socket, source: sourceOf(socket) }
    const publishes = publishing !== undefined && isPublish(target)
    if (answering.has(socket)) {
      record(asked, deny(publishes ? 'publish-request' : 'enrollment-rate', 'several requests at once over one connection'), undefined)
      return void socket.destroy()
    }
    answering.add(socket)
    try {
      send(asked, publishes ? await publishing.answer(known(asked)) : await answer(asked))
    } catch (error) {
      if (socket.destroyed) return
      ports.log('error', { error: error instanceof Error ? error.message : 'unknown' }, publishes ? 'a message could not be published over HTTPS' : 'an enrollment failed')
      send(asked, publishes ? problem(deny('store-unavailable')) : refusal(deny('issuance-unavailable')))
    }
  }

  /** Of a connection the chain is asked for once: a second time Node knows the leaf alone. */
  const chains = new WeakMap<TLSSocket, readonly Uint8Array[]>()
  function chainOf(socket: TLSSocket): readonly Uint8Array[] {
    const known = chains.get(socket)
    if (known !== undefined) return known
    const leaf = socket.getPeerX509Certificate()
    const chain = leaf === undefined ? [] : presentedChain(leaf)
    chains.set(socket, chain)
    return chain
  }

  const known = (asked: Asked): PublishAsked => ({ ...asked, chain: chainOf(asked.socket), withinRate: () => withinRate(asked.source.address, ports.clock()) })

  async function answer({ request, response, target: path, continues, socket, source }: Asked): Promise<EstAnswer> {
    if (!withinRate(source.address, ports.clock())) return refusal(deny('enrollment-rate'), { headers: { Connection: 'close' } })
    const { method = '' } = request
    // What nobody serves has no body that anybody reads.
    const serves = operationOf(method, path, ports.enrollments).allow
    if (continues && serves) response.writeContinue()
    const body = serves ? await bodyOf(request, ENROLL_LIMITS.bodyBytesMax) : Buffer.alloc(0)
    if (body === undefined) return refusal(deny('csr-malformed', `a body of more than ${ENROLL_LIMITS.bodyBytesMax} bytes`), { status: 413, headers: { Connection: 'close' } })
    const { authorization, 'user-agent': userAgent } = request.headers
    return answerEst({ method, path, body, source, authorization, userAgent, chain: chainOf(socket), binding: () => bindingOf(socket) }, { enrollments: ports.enrollments, guesses, clock: ports.clock })
  }

  function send(asked: Asked, { status, headers, body, denied, claimed, failure }: EstAnswer): void {
    if (failure !== undefined) ports.log('error', { error: failure }, 'an enrollment failed')
    if (denied !== undefined && denied.reason !== 'enrollment-pending') record(asked, denied, claimed)
    answering.delete(asked.socket)
    // Content-Length always: strongSwan does not read a chunked answer.
    asked.response.writeHead(status, { ...headers, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', 'Content-Length': String(Buffer.byteLength(body)) })
    asked.response.end(body)
  }

  function record({ request: { method, url }, target, socket, source }: Pick<Asked, 'request' | 'target' | 'socket' | 'source'>, { reason, detail }: Denied, claimed: string | undefined, caller?: Caller): void {
    const text = `${method ?? ''} ${url ?? ''}${detail === undefined ? '' : `: ${detail}`}`
    const [leaf] = chains.get(socket) ?? []
    const { presented } = presentedFacts(leaf)
    ports.audit.record({ kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason, source, ...(isPublish(target) ? { door: 'https-publish' as const } : {}), ...(caller === undefined ? {} : { device: caller.device }), detail: printable(text, AUDIT_LIMITS.fieldCharsMax), ...(claimed === undefined || claimed === '' ? {} : { claimed: printable(claimed) }), ...(presented === undefined ? {} : { presented }) })
  }

  await listening(server, ports.listen)
  const bound = server.address() as { address: string; port: number }
  return {
    address: { host: bound.address, port: bound.port },
    prepare(tls) {
      const fresh = { ...TLS_OPTIONS, ...context(tls) }
      createSecureContext(fresh) // Throws before anything is given up.
      return () => server.setSecureContext(fresh)
    },
    end: (caller) => publishing?.end(caller),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

const sourceOf = ({ remoteAddress, remotePort }: Socket): Source => ({ address: sourceAddress(remoteAddress), port: remotePort ?? 0 })

function listening(server: ReturnType<typeof createServer>, { host, port }: EnrollServerPorts['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new SallyportError('port-in-use', `Cannot listen on ${host}:${port} for enrollment (${cause.code ?? ''}).`, { fix: 'Stop the program that has the port, set listen.enroll in sallyport.yaml, or start with --ports auto.', cause }))
    })
    server.listen(port, host, () => resolve())
  })
}
