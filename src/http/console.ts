// The console on the admin port: its files, which hold nothing of the fleet and are for whoever asks, and the three requests
// by which a browser signs in, is told who it is, and signs out. What the console shows it asks the admin API for.

import type { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { CONSOLE_LIMITS } from '../console-limits.ts'
import { sessionEnds, sessionOperator, SESSION_NAME } from '../core/console-session.ts'
import type { Decision } from '../core/decision.ts'
import { REFRESH_HEADER, type ConsoleAccess, type Visitor } from './console-access.ts'
import { CONSOLE_BASE, encodingFor, type ConsoleFile, type ConsoleFiles } from './console-files.ts'
import type { Admitted, OperatorGate } from './operator-gate.ts'

export interface ConsoleRoutesPorts {
  readonly access: ConsoleAccess
  readonly files: ConsoleFiles
  readonly gate: OperatorGate
  /** Answers with the problem of a refusal, and records it. */
  readonly refuse: (request: FastifyRequest, reply: FastifyReply, refusal: Extract<Decision<never>, { readonly allow: false }>) => FastifyReply
}

/** Scripts and styles of our own files alone, and nothing that a text from outside could become: no frame, no form, no markup. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
].join('; ')

const CONSOLE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'accelerometer=(), camera=(), clipboard-read=(), clipboard-write=(self), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}
const FOR_EVER = 'public, max-age=31536000, immutable'
const NOT_BUILT = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sallyport</title><h1>The console was not built</h1><p>The server runs; only its web pages are missing. In the folder of the program, run <code>npm run build:console</code> and start it again.</p></html>\n'

/** Requests that need no operator: whoever may call this server by its name may ask them. */
const OPEN = { config: { open: true } } as const
export const isOpen = (request: FastifyRequest): boolean => (request.routeOptions.config as { readonly open?: boolean }).open === true

const linkShown = z.strictObject({ link: z.string().min(1).max(2 * CONSOLE_LIMITS.secretBytes) })

const visitorOf = ({ headers, raw: { socket } }: FastifyRequest): Visitor => ({ headers, socket })

/** Adds the routes. The host of a request is judged before any of them; operators are judged by the gate. */
export function addConsole(app: FastifyInstance, { access, files, gate, refuse }: ConsoleRoutesPorts): void {
  const page = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    reply.headers(CONSOLE_HEADERS)
    return files.page === undefined ? reply.code(503).type('text/html; charset=utf-8').send(NOT_BUILT) : send(request, reply, files.page)
  }
  app.get('/', OPEN, (_request, reply) => reply.redirect(CONSOLE_BASE))
  app.get(CONSOLE_BASE.slice(0, -1), OPEN, (_request, reply) => reply.redirect(CONSOLE_BASE))
  app.get(CONSOLE_BASE, OPEN, page)
  // Pages are made in the browser, from their path. A path that is none of theirs is shown as such, there.
  app.get(`${CONSOLE_BASE}*`, OPEN, (request, reply) => {
    const [path = ''] = request.url.split('?')
    if (!path.startsWith(`${CONSOLE_BASE}assets/`)) return page(request, reply)
    const file = files.assets.get(path)
    return file === undefined ? refuse(request, reply, { allow: false, reason: 'route-unknown' }) : send(request, reply.headers(CONSOLE_HEADERS), file)
  })

  app.get(`${CONSOLE_BASE}session`, OPEN, (request, reply) => {
    const admitted = gate.judge(request.headers, request.raw.socket as TLSSocket, request.method)
    return reply.send(admitted.allow ? { signedIn: true, ...whoIs(admitted.value, request) } : { signedIn: false, ended: access.shows(visitorOf(request)) })
  })
  app.post(`${CONSOLE_BASE}session`, OPEN, (request, reply) => {
    const ours = gate.judgePage(request.headers, request.method)
    if (!ours.allow) return refuse(request, reply, ours)
    const shown = linkShown.safeParse(request.body)
    if (!shown.success) return refuse(request, reply, { allow: false, reason: 'request-invalid' })
    const opened = access.open(shown.data.link, visitorOf(request))
    if (!opened.allow) return refuse(request, reply, opened)
    const { session, setCookie } = opened.value
    return reply.header('set-cookie', setCookie).send({ signedIn: true, via: 'link', name: session.id, role: sessionOperator(session).role, endsAt: sessionEnds(session) })
  })
  app.post(`${CONSOLE_BASE}session/end`, (request, reply) => {
    return reply.header('set-cookie', access.signOut(visitorOf(request))).send({ signedIn: false })
  })

  function whoIs({ actor, operator: { name, role, tenant } }: Admitted, request: FastifyRequest): Readonly<Record<string, unknown>> {
    const session = access.shows(visitorOf(request)) ? access.judge({ headers: { ...request.headers, [REFRESH_HEADER]: '1' }, socket: request.raw.socket }) : undefined
    if (session?.allow === true && 'name' in actor && actor.name === `${SESSION_NAME}${session.value.id}`) return { via: 'link', name: session.value.id, role, endsAt: sessionEnds(session.value) }
    return { via: 'certificate', name, role, ...(tenant === undefined ? {} : { tenant }) }
  }
}

function send(request: FastifyRequest, reply: FastifyReply, file: ConsoleFile): FastifyReply {
  const { body, encoding } = encodingFor(file, request.headers['accept-encoding'])
  if (encoding !== undefined) reply.header('content-encoding', encoding)
  return reply.header('cache-control', file.immutable ? FOR_EVER : 'no-store').header('vary', 'accept-encoding').type(file.type).send(body)
}
