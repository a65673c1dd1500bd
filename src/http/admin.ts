// The admin API: HTTPS with a client certificate, for operators and nobody else. Every request is judged anew (a revoked
// operator is out at the next one), every refusal is audited. What a request asks for is done by a Desk.

import { constants } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { createSecureContext } from 'node:tls'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { PROBLEM_MEDIA_TYPE, REASONS, type DenyReason } from '../vocabulary.ts'
import { HTTP_LIMITS } from '../http-limits.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import type { Actor } from '../core/audit.ts'
import { allow, type Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import { limitToTenant } from '../core/tenant-desk.ts'
import { isAtLeast } from '../core/operator.ts'
import { limitToDevices } from '../core/role-desk.ts'
import { failureOf, SallyportError } from '../core/errors.ts'
import type { FeedEvent } from '../core/feed.ts'
import { printable, type DeviceId, type EpochMs } from '../core/ids.ts'
import type { AuditSink, RegistryView } from '../core/registry.ts'
import { addConsole, isOpen } from './console.ts'
import { REFRESH_HEADER, type ConsoleAccess } from './console-access.ts'
import type { ConsoleFiles } from './console-files.ts'
import { openEventStreams, type EventSource } from './event-stream.ts'
import { judgeRole, openOperatorGate, type Admitted } from './operator-gate.ts'
import { openApiOf } from './openapi.ts'
import { openPlaces } from './places.ts'
import { problemOfFailure } from './parse-request.ts'
import { problemOf, type Problem } from './problem.ts'
import { ROUTES } from './routes.ts'
import { parseStrictJson } from './strict-json.ts'
import { rowOf, serveRoutes } from './serve-routes.ts'

/** PEM. `anchors` is our own root alone: foreign CAs make no operators. */
export interface AdminTls {
  readonly key: string
  readonly cert: string
  readonly anchors: readonly string[]
}

export interface AdminPorts {
  readonly listen: { readonly host: string; readonly port: number }
  /** Names and addresses by which a request may call this server. */
  readonly hosts: readonly string[]
  readonly tls: AdminTls
  readonly view: RegistryView
  readonly audit: AuditSink
  readonly clock: () => EpochMs
  /** Of this program. */
  readonly version: string
  readonly deskFor: (actor: Actor) => Desk
  readonly status: () => Readonly<Record<string, unknown>>
  /** The console, which is served on the same port. */
  readonly console: { readonly access: ConsoleAccess; readonly files: ConsoleFiles }
  readonly events: EventSource
  readonly log: (level: 'debug' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface AdminServer {
  readonly url: string
  /** Every route that it has, as in 'GET /v1/status'. */
  readonly served: readonly string[]
  /**
   * Gets a new server certificate ready, with the names by which requests may call this server, and returns the way to put
   * both in force. Throws when the certificate cannot be used; nothing fails once it is made.
   */
  prepare(tls: AdminTls, hosts: readonly string[]): () => void
  close(): Promise<void>
}

const TLS_OPTIONS = {
  minVersion: 'TLSv1.2',
  // No session outlives its connection here: a ticket from another listener opens nothing, and a revoked operator resumes nothing.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  sessionIdContext: 'sallyport-admin',
} as const

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** One reader takes the host of the target or the second Host, another the first: nobody who means well sends either. RFC 9112 §3.2. */
const isAmbiguous = ({ url = '', headersDistinct }: IncomingMessage): boolean => !url.startsWith('/') || (headersDistinct['host']?.length ?? 0) > 1

/** What the parser of HTTP gives up on, where it is not simply malformed. */
const BELOW_HTTP: Readonly<Record<string, number>> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }

/** Opens the port. Failure: 'port-in-use'. */
export async function openAdminServer(ports: AdminPorts): Promise<AdminServer> {
  /** Connections whose handshake is complete: only they speak HTTP. */
  const secured = new WeakSet<object>()
  const context = (tls: AdminTls): { key: string; cert: string; ca: string[] } => ({ key: tls.key, cert: tls.cert, ca: [...tls.anchors] })
  const app = Fastify({
    // A browser without a certificate gets the page on which to sign in; the gate refuses it everything else.
    https: { ...TLS_OPTIONS, ...context(ports.tls), requestCert: true, rejectUnauthorized: false, handshakeTimeout: HTTP_LIMITS.headerMs, headersTimeout: HTTP_LIMITS.headerMs },
    bodyLimit: HTTP_LIMITS.bodyBytesMax,
    requestTimeout: HTTP_LIMITS.requestMs,
    connectionTimeout: HTTP_LIMITS.requestMs,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 128 },
    exposeHeadRoutes: false,
    // A path that cannot be decoded is refused like any other that is unknown.
    frameworkErrors: (error, request, reply) => void refuse(request, reply.headers(SECURITY_HEADERS), problemOf('request-invalid'), error.code),
    clientErrorHandler(error, socket) {
      // Somebody hung up, or never finished the handshake: node:tls reports that, and leaves the socket open.
      if (error.code === 'ECONNRESET' || !socket.writable || !secured.has(socket)) return void socket.destroy()
      refused(socket, 'request-invalid', `HTTP: ${error.code}`)
      const problem = { ...problemOf('request-invalid'), status: BELOW_HTTP[error.code] ?? 400 }
      socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\ncontent-type: ${PROBLEM_MEDIA_TYPE}\r\nconnection: close\r\n\r\n${JSON.stringify(problem)}`)
    },
  })
  const served: string[] = []
  app.addHook('onRoute', ({ method, url }) => void served.push(`${String(method)} ${url}`))
  const places = openPlaces(app.server, HTTP_LIMITS.connectionsMax)
  app.server.on('secureConnection', (socket) => void secured.add(socket))
  // JSON and nothing else: what a form of a web page can send without asking (text/plain) is not even parsed.
  app.removeContentTypeParser(['text/plain', 'application/json'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, bytes: Buffer) => {
    // Many send the header whether there is a body or not.
    if (bytes.length === 0) return undefined
    const parsed = parseStrictJson(bytes)
    if (!parsed.allow) throw failureOf(parsed)
    return parsed.value
  })
  let { hosts } = ports
  const gate = openOperatorGate({ hosts: () => [ports.listen.host, ...hosts], view: ports.view, access: ports.console.access, clock: ports.clock })
  const admitted = new WeakMap<FastifyRequest, Admitted>()

  function refused(socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined }, reason: DenyReason, detail: string | undefined, claimed?: string): void {
    ports.audit.record({
      kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason,
      source: { address: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 },
      ...(claimed === undefined ? {} : { claimed: printable(claimed) }),
      ...(detail === undefined ? {} : { detail: printable(detail, AUDIT_LIMITS.fieldCharsMax) }),
    })
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, problem: Problem, detail: string | undefined): FastifyReply {
    const reason = Object.hasOwn(REASONS, problem.code) ? (problem.code as DenyReason) : 'request-invalid'
    const asked = `${request.method} ${request.url}`
    refused(request.socket, reason, detail === undefined ? asked : `${asked}: ${detail}`, (request.params as Record<string, string> | undefined)?.['id'])
    return answer(reply, problem)
  }

  // Refused below HTTP: handshakes that fail, and bytes that are no request.
  app.server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // Whoever only looks whether the port answers, as our own commands do, asks for nothing.
    if (error.code === 'ECONNRESET') return
    // It was the other side that ended it: a browser that does not know our CA says so, for each of its connections, before it asks its user.
    if (error.code?.includes('_ALERT_') === true) return
    refused(socket, 'operator-required', `TLS: ${error.code ?? error.message}`)
  })
  /** By what holds at this moment. What is not in the table has no role, and is answered as unknown. */
  function judge(request: FastifyRequest, headers = request.headers): Decision<Admitted> {
    const operator = gate.judge(headers, request.raw.socket as TLSSocket, request.method)
    if (!operator.allow) return operator
    const row = rowOf(request)
    const may = row === undefined ? allow(undefined) : judgeRole(operator.value.operator, row)
    return may.allow ? operator : may
  }

  function admit(request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
    const judged = judge(request)
    if (!judged.allow) return refuse(request, reply, problemOf(judged.reason), judged.detail)
    if (!admitted.has(request)) reply.raw.once('close', places.work(request.raw.socket))
    admitted.set(request, judged.value)
    return undefined
  }

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS)
    if (isAmbiguous(request.raw)) return refuse(request, reply, problemOf('request-invalid'), 'a target that is no path, or a second Host')
    if (isOpen(request)) {
      const host = gate.judgeHost(request.headers)
      return host.allow ? undefined : refuse(request, reply, problemOf(host.reason), host.detail)
    }
    return admit(request, reply)
  })
  // A body may take half a minute to come: what is done is done for who may have it done then.
  app.addHook('preHandler', async (request, reply) => (isOpen(request) || request.body === undefined ? undefined : admit(request, reply)))
  app.addHook('onResponse', async (request, reply) => ports.log('debug', { method: request.method, route: request.routeOptions.url ?? '(none)', status: reply.statusCode, ms: Math.round(reply.elapsedTime), address: request.ip, operator: admitted.get(request)?.operator.name }, 'asked'))
  app.setNotFoundHandler((request, reply) => refuse(request, reply, problemOf('route-unknown'), undefined))
  app.setErrorHandler((error: unknown, request, reply) => {
    const problem = problemOfFailure(error)
    // What is not there is an answer, not an attempt at something forbidden.
    if (problem.status === 404) return answer(reply, problem)
    if (problem.status < 500) return refuse(request, reply, problem, problem.detail)
    ports.log('error', { error: error instanceof Error ? error.message : 'unknown', route: request.routeOptions.url }, 'a request failed')
    return answer(reply, problem)
  })

  addConsole(app, { ...ports.console, gate, refuse: (request, reply, { reason, detail }) => refuse(request, reply, problemOf(reason), detail) })
  function deskOf(who: Admitted | undefined): Desk {
    // The gate stands before every route: nobody comes here without having passed it.
    if (who === undefined) throw new SallyportError('internal', 'A request was not judged.')
    const { role, tenant } = who.operator
    const desk = isAtLeast(role, 'admin') ? ports.deskFor(who.actor) : limitToDevices(ports.deskFor(who.actor))
    return tenant === undefined ? desk : limitToTenant(desk, tenant)
  }

  const events = openEventStreams({ source: ports.events, view: ports.view })
  serveRoutes(app, ROUTES, { deskFor: (request) => deskOf(admitted.get(request)), nameOf: (request) => admitted.get(request)?.operator.name ?? '', clock: ports.clock, status: ports.status, events, standing, document: once(() => openApiOf(ROUTES, ports.version)) })

  /** By the certificate of its connection and by its role, at the moment of asking. */
  function standing(request: FastifyRequest): { readonly operator: string; isAllowed(): boolean; maySee(event: FeedEvent): boolean } {
    const tenant = admitted.get(request)?.operator.tenant
    return {
      operator: admitted.get(request)?.operator.name ?? '',
      isAllowed() {
        // A stream that goes on is nobody who does something.
        const now = judge(request, { ...request.headers, [REFRESH_HEADER]: '1' })
        return now.allow && now.value.operator.tenant === tenant
      },
      maySee: ({ device }) => tenant === undefined || (device !== undefined && ports.view.device(device as DeviceId)?.tenant === tenant),
    }
  }

  const url = await listen(app, ports.listen).catch((failure: unknown) => {
    events[Symbol.dispose]()
    throw failure
  })
  return {
    url, served,
    prepare(tls, nextHosts) {
      const fresh = { ...TLS_OPTIONS, ...context(tls) }
      createSecureContext(fresh) // Throws before anything is given up.
      return () => {
        app.server.setSecureContext(fresh)
        hosts = nextHosts
      }
    },
    async close() {
      events[Symbol.dispose]()
      const closed = app.close()
      places.closeAll()
      await closed
    },
  }
}

/** Made when it is first asked for: most servers are never asked. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

type App = { listen(options: { host: string; port: number }): Promise<string>; readonly server: { address(): unknown } }

async function listen(app: App, { host, port }: AdminPorts['listen']): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause
    throw new SallyportError('port-in-use', `Cannot listen on ${host}:${port} for the admin API (${(cause as NodeJS.ErrnoException).code ?? ''}).`, { fix: 'Stop the program that has the port, set listen.admin in sallyport.yaml, or start with --ports auto.', cause })
  }
  const bound = app.server.address() as { address: string; port: number }
  const name = bound.address === '::' || bound.address === '0.0.0.0' ? 'localhost' : bound.address.includes(':') ? `[${bound.address}]` : bound.address
  return `https://${name}:${bound.port}`
}

function answer(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(problem)
}
