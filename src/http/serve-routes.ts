// The route table, served: each request is read by the schemas of its row, done, and answered. Who asks has been judged before.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Desk } from '../core/desk.ts'
import { parse } from './parse-request.ts'
import { NOTHING, type AnyRoute, type RouteTable } from './route.ts'

export interface RoutePorts {
  readonly deskFor: (request: FastifyRequest) => Desk
  readonly status: () => Readonly<Record<string, unknown>>
  /** What describes these routes. */
  readonly document: () => Readonly<Record<string, unknown>>
}

/** What a server over TLS and one without have in common: all that is needed here. */
type App = Pick<FastifyInstance, 'route'>

/** Serves every row of the table. */
export function serveRoutes(app: App, table: RouteTable, ports: RoutePorts): void {
  for (const row of Object.values(table)) {
    app.route({
      method: row.method,
      url: row.path,
      ...(row.bodyBytesMax === undefined ? {} : { bodyLimit: row.bodyBytesMax }),
      config: { row },
      handler: (request, reply) => handle(row, request, reply, ports),
    })
  }
}

/** The row that a request is for; undefined where there is none. */
export function rowOf(request: FastifyRequest): AnyRoute | undefined {
  const { row } = request.routeOptions.config as { readonly row?: AnyRoute }
  return row
}

async function handle(row: AnyRoute, request: FastifyRequest, reply: FastifyReply, ports: RoutePorts): Promise<FastifyReply> {
  const asked = {
    desk: ports.deskFor(request),
    status: ports.status,
    document: ports.document,
    params: parse(row.params ?? NOTHING, request.params),
    query: parse(row.query ?? NOTHING, request.query),
    header: (name: string) => textOf(request.headers[name]),
    signal: endOf(reply),
  }
  if ('open' in row) {
    const opened = await row.open({ ...asked, body: {} })
    return reply.type(row.media).send(opened)
  }
  const body = parse(row.body ?? NOTHING, request.body)
  const answer = await row.act({ ...asked, body })
  return reply.code(row.statusOf?.(body) ?? row.status ?? 200).send(answer)
}

const textOf = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header.join(', ') : header)

/** Aborted when whoever asked is gone, or has the whole answer. */
function endOf(reply: FastifyReply): AbortSignal {
  const ended = new AbortController()
  reply.raw.once('close', () => ended.abort())
  return ended.signal
}
