// The admin API: HTTPS with a client certificate, for operators and nobody else. Every request is judged anew (a revoked
// operator is out at the next one), every refusal is audited. What a request asks for is done by a Desk.

import { createHash, constants } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { createSecureContext } from 'node:tls'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ADMIN_PATHS, PROBLEM_MEDIA_TYPE, REASONS, type DenyReason } from '../vocabulary.ts'
import { AUDIT_LIMITS, HTTP_LIMITS } from '../limits.ts'
import type { Actor } from '../core/audit.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { printable, type EpochMs, type Fingerprint } from '../core/ids.ts'
import type { AuditSink, RegistryView } from '../core/registry.ts'
import { problemOf, problemOfError, type Problem } from './problem.ts'
import * as requests from './requests.ts'

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
  readonly deskFor: (actor: Actor) => Desk
  readonly status: () => unknown
  readonly log: (level: 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface AdminServer {
  readonly url: string
  reloadTls(tls: AdminTls): void
  close(): Promise<void>
}

const ALWAYS_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1']

const TLS_OPTIONS = {
  minVersion: 'TLSv1.2',
  // No session outlives its connection here: a ticket from another listener opens nothing, and a revoked operator resumes nothing.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  sessionIdContext: 'sallyport-admin',
} as const

/** Opens the port. Failure: 'port-in-use'. */
export async function openAdminServer(ports: AdminPorts): Promise<AdminServer> {
  const context = (tls: AdminTls): { key: string; cert: string; ca: string[] } => ({ key: tls.key, cert: tls.cert, ca: [...tls.anchors] })
  const app = Fastify({
    https: { ...TLS_OPTIONS, ...context(ports.tls), requestCert: true, rejectUnauthorized: true, handshakeTimeout: HTTP_LIMITS.headerMs, headersTimeout: HTTP_LIMITS.headerMs },
    bodyLimit: HTTP_LIMITS.bodyBytesMax,
    requestTimeout: HTTP_LIMITS.requestMs,
    connectionTimeout: HTTP_LIMITS.requestMs,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 128 },
    exposeHeadRoutes: false,
  })
  app.server.maxConnections = HTTP_LIMITS.connectionsMax
  const hosts = new Set([...ALWAYS_HOSTS, ports.listen.host, ...ports.hosts].map((h) => h.toLowerCase()))
  const operators = new WeakMap<FastifyRequest, Actor>()

  /** The certificate of this request's connection, against the registry of this moment. */
  function judgeOperator(socket: TLSSocket): Decision<Actor> {
    const leaf = socket.getPeerX509Certificate()
    if (leaf === undefined || !socket.authorized) return deny('operator-required', 'no certificate')
    const record = ports.view.certificateBySha256(createHash('sha256').update(leaf.raw).digest('hex') as Fingerprint)
    const now = ports.clock()
    if (record === undefined) return deny('certificate-unrecorded')
    if (record.profile !== 'operator') return deny('operator-required', `profile ${record.profile}`)
    if (record.state === 'revoked') return deny('certificate-revoked')
    if (record.state !== 'active') return deny('certificate-unrecorded', record.state)
    if (record.notAfter <= now) return deny('certificate-expired')
    return allow({ kind: 'operator', name: record.serial })
  }

  function judgeHost(header: string | undefined): Decision<void> {
    const name = (header ?? '').toLowerCase().replace(/:\d{1,5}$/, '').replaceAll(/^\[|\]$/g, '')
    return hosts.has(name) ? allow(undefined) : deny('host-not-allowed', printable(header ?? '(none)'))
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, reason: DenyReason, detail: string | undefined): FastifyReply {
    const { remoteAddress, remotePort } = request.socket
    ports.audit.record({
      kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason,
      source: { address: remoteAddress ?? 'unknown', port: remotePort ?? 0 },
      detail: printable(`${request.method} ${request.url}${detail === undefined ? '' : `: ${detail}`}`, AUDIT_LIMITS.fieldCharsMax),
    })
    return answer(reply, problemOf(reason))
  }

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'", 'referrer-policy': 'no-referrer' })
    const host = judgeHost(request.headers.host)
    if (!host.allow) return refuse(request, reply, host.reason, host.detail)
    const operator = judgeOperator(request.raw.socket as TLSSocket)
    if (!operator.allow) return refuse(request, reply, operator.reason, operator.detail)
    // No browser of another site acts for an operator: the API is for programs that know it.
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] === 'cross-site') return refuse(request, reply, 'operator-required', 'a request from a web page')
    operators.set(request, operator.value)
    return undefined
  })
  app.setNotFoundHandler((request, reply) => refuse(request, reply, 'route-unknown', undefined))
  app.setErrorHandler((error: unknown, request, reply) => {
    const problem = problemOfFailure(error)
    if (problem.status < 500) return refuseWith(request, reply, problem)
    ports.log('error', { error: error instanceof Error ? error.message : 'unknown', route: request.routeOptions.url }, 'a request failed')
    return answer(reply, problem)
  })

  function refuseWith(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
    const reason = Object.hasOwn(REASONS, problem.code) ? (problem.code as DenyReason) : 'request-invalid'
    // What is not there is an answer, not an attempt at something forbidden.
    if (problem.status !== 404) refuseAudited(request, reason, problem.detail)
    return answer(reply, problem)
  }

  function refuseAudited(request: FastifyRequest, reason: DenyReason, detail: string | undefined): void {
    const { remoteAddress, remotePort } = request.socket
    const id = (request.params as Record<string, string> | undefined)?.['id']
    ports.audit.record({
      kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason,
      source: { address: remoteAddress ?? 'unknown', port: remotePort ?? 0 },
      ...(id === undefined ? {} : { claimed: printable(id) }),
      ...(detail === undefined ? {} : { detail: printable(detail, AUDIT_LIMITS.fieldCharsMax) }),
    })
  }

  const desk = (request: FastifyRequest): Desk => ports.deskFor(operators.get(request) ?? { kind: 'system' })
  const id = (request: FastifyRequest) => parse(requests.deviceId, (request.params as Record<string, unknown>)['id'])
  const serial = (request: FastifyRequest) => parse(requests.serialNumber, (request.params as Record<string, unknown>)['serial'])

  app.get(ADMIN_PATHS.status, () => ports.status())
  app.get(ADMIN_PATHS.ca, async (r) => ({ items: await desk(r).cas() }))
  app.get(ADMIN_PATHS.devices, (r) => desk(r).devices(parse(requests.deviceQuery, r.query)))
  app.post(ADMIN_PATHS.devices, { bodyLimit: HTTP_LIMITS.bulkBodyBytesMax }, async (r, reply) => {
    const bulk = requests.newDevices.safeParse(r.body)
    if (bulk.success) return { results: await addAll(desk(r), bulk.data.devices) }
    return reply.code(201).send(await desk(r).addDevice(parse(requests.newDevice, r.body)))
  })
  app.get(ADMIN_PATHS.device, (r) => desk(r).device(id(r)))
  app.post(ADMIN_PATHS.deviceEnroll, (r) => desk(r).enroll(id(r), parse(requests.enrollment, r.body).csr))
  app.post(ADMIN_PATHS.deviceState, (r) => desk(r).changeDevice(id(r), parse(requests.stateChange, r.body).action))
  app.get(ADMIN_PATHS.deviceRefusals, (r) => desk(r).why(id(r)))
  app.get(ADMIN_PATHS.certificates, (r) => desk(r).certificates(parse(requests.certificateQuery, r.query)))
  app.get(ADMIN_PATHS.certificate, (r) => desk(r).certificate(serial(r)))
  app.post(ADMIN_PATHS.revocations, (r) => {
    const { reason, ...target } = parse(requests.revocation, r.body)
    return desk(r).revoke(target, reason)
  })
  app.post(ADMIN_PATHS.policyExplain, (r) => desk(r).explain(parse(requests.question, r.body)))
  app.get(ADMIN_PATHS.audit, async (r) => ({ items: await desk(r).auditTail(parse(requests.auditQuery, r.query).count ?? AUDIT_TAIL_DEFAULT) }))
  app.post(ADMIN_PATHS.auditVerify, (r) => desk(r).auditVerify())

  const url = await listen(app, ports.listen)
  return {
    url,
    reloadTls(tls) {
      const fresh = { ...TLS_OPTIONS, ...context(tls) }
      createSecureContext(fresh) // Throws before the old one is given up.
      app.server.setSecureContext(fresh)
    },
    async close() {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

const AUDIT_TAIL_DEFAULT = 50

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

/** Results in the order of the rows; a refused row does not stop the others. */
async function addAll(desk: Desk, rows: readonly unknown[]): Promise<readonly unknown[]> {
  return Promise.all(
    rows.map(async (row) => {
      try {
        const device = await desk.addDevice(parse(requests.newDevice, row))
        return { id: device.id, ok: true }
      } catch (error) {
        const { code, title, hint, detail } = problemOfFailure(error)
        const named = typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string' ? printable(row.id) : undefined
        return { ...(named === undefined ? {} : { id: named }), ok: false, code, message: detail ?? title, hint }
      }
    }),
  )
}

class InvalidRequest extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.title)
    this.problem = problem
  }
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `
  const named = issue?.code === 'custom' ? (issue.params?.['reason'] as DenyReason | undefined) : undefined
  throw new InvalidRequest(problemOf(named ?? 'request-invalid', printable(`${where}${issue?.message ?? 'invalid'}`, AUDIT_LIMITS.fieldCharsMax)))
}

/** fastify's own refusals (media type, size, broken JSON) keep their status and lose their text. */
function problemOfFailure(error: unknown): Problem {
  if (error instanceof InvalidRequest) return error.problem
  const status = (error as { statusCode?: unknown }).statusCode
  if (typeof status === 'number' && status >= 400 && status < 500) return { ...problemOf('request-invalid'), status }
  return problemOfError(error)
}

function answer(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(problem)
}
