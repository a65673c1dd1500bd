// The route table, served: each request is read by the schemas of its row, done, and answered. Who asks has been judged before.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HTTP_WORK_LIMITS } from '../http-limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import type { EventStreams, Listening } from './event-stream.ts'
import { failureOf, SallyportError } from '../core/errors.ts'
import { openIdempotency, parseIdempotencyKey, type Idempotency, type KeptAnswer } from './idempotency.ts'
import { parse } from './parse-request.ts'
import { NOTHING, type AnyRoute, type Route, type RouteTable } from './route.ts'

export interface RoutePorts {
  readonly deskFor: (request: FastifyRequest) => Desk
  /** The operator who asks. */
  readonly nameOf: (request: FastifyRequest) => string
  readonly status: () => Readonly<Record<string, unknown>>
  /** Who asks, and whether it still may: for what goes on after the answer has begun. */
  readonly standing: (request: FastifyRequest) => Pick<Listening, 'operator' | 'isAllowed' | 'maySee'>
  readonly events: EventStreams
  /** What describes these routes. */
  readonly document: () => Readonly<Record<string, unknown>>
  readonly clock: () => number
}

/** What a server over TLS and one without have in common: all that is needed here. */
type App = Pick<FastifyInstance, 'route'>

/** Serves every row of the table. */
export function serveRoutes(app: App, table: RouteTable, ports: RoutePorts): void {
  const answers = openIdempotency(ports.clock)
  for (const row of Object.values(table)) {
    app.route({
      method: row.method,
      url: row.path,
      ...(row.bodyBytesMax === undefined ? {} : { bodyLimit: row.bodyBytesMax }),
      config: { row },
      handler: (request, reply) => handle(row, request, reply, ports, answers),
    })
  }
}

/** The row that a request is for; undefined where there is none. */
export function rowOf(request: FastifyRequest): AnyRoute | undefined {
  const { row } = request.routeOptions.config as { readonly row?: AnyRoute }
  return row
}

async function handle(row: AnyRoute, request: FastifyRequest, reply: FastifyReply, ports: RoutePorts, answers: Idempotency): Promise<FastifyReply> {
  const signal = endOf(reply)
  const asked = {
    desk: ports.deskFor(request),
    status: ports.status,
    document: ports.document,
    params: parse(row.params ?? NOTHING, request.params),
    query: parse(row.query ?? NOTHING, request.query),
    revision: required(revisionOf(row, textOf(request.headers['if-match']))),
    header: (name: string) => textOf(request.headers[name]),
    listen: (what: Pick<Listening, 'kinds' | 'device' | 'after'>) => ports.events.open({ ...what, ...ports.standing(request), signal }),
    signal,
  }
  if ('open' in row) return reply.type(row.media).send(await row.open({ ...asked, body: {} }))
  const body = parse(row.body ?? NOTHING, request.body)
  // A connection on which nothing comes for half a minute is closed; but here it is for us to say something.
  request.raw.socket.setTimeout(HTTP_WORK_LIMITS.workMs)
  const work = () => answerOf(row, { ...asked, body })
  const header = textOf(request.headers['idempotency-key'])
  // What only reads may be done twice.
  const answered = header === undefined || row.method === 'GET'
    ? await work()
    : required(await answers.once({ operator: ports.nameOf(request), key: required(parseIdempotencyKey(header)), request: `${request.method} ${request.url} ${String(asked.revision)} ${JSON.stringify(request.body)}` }, work))
  if (answered.etag !== undefined) reply.header('etag', answered.etag)
  return reply.code(answered.status).send(answered.body)
}

async function answerOf(row: Route, asked: Parameters<Route['act']>[0]): Promise<KeptAnswer> {
  try {
    const body = await row.act(asked)
    const revision = row.revisionOf?.(body)
    return { status: row.statusOf?.(asked.body) ?? row.status ?? 200, body, etag: revision === undefined ? undefined : `"${revision}"` }
  } catch (error) {
    // The same fact by the name that HTTP has for it.
    const isStale = asked.revision !== undefined && error instanceof SallyportError && error.reason === 'revision-conflict'
    throw isStale ? failureOf(deny('precondition-failed')) : error
  }
}

/** The revision that If-Match asks for. `*` asks for none: what is not there is refused anyway. */
function revisionOf({ conditional }: AnyRoute, header: string | undefined): Decision<number | undefined> {
  if (header === undefined) return allow(undefined)
  if (conditional !== true) return deny('request-invalid', 'this operation takes no If-Match')
  if (header === '*') return allow(undefined)
  const revision = /^"(\d{1,15})"$/.exec(header)?.[1]
  // An ETag that none of ours could be matches nothing. RFC 9110 §13.1.1.
  return revision === undefined ? deny('precondition-failed', 'If-Match takes one ETag, as it was answered') : allow(Number(revision))
}

function required<T>(decision: Decision<T>): T {
  if (!decision.allow) throw failureOf(decision)
  return decision.value
}

const textOf = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header.join(', ') : header)

/** Aborted when whoever asked is gone, or has the whole answer. */
function endOf(reply: FastifyReply): AbortSignal {
  const ended = new AbortController()
  reply.raw.once('close', () => ended.abort())
  return ended.signal
}
