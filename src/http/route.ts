// What a row of the route table is: how an operation is asked for, who may ask, what it takes and answers, and what it does on a
// Desk. The server, the document that describes it and the typed client all read the same rows; nothing else is served.

import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { DenyReason } from '../vocabulary.ts'
import type { Desk } from '../core/desk.ts'
import type { Role } from '../core/operator.ts'
import type { Listening } from './event-stream.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** Headings of the reference, in its order. */
export const TAGS = {
  server: 'The server itself',
  live: 'What is and what was: connections, refusals, events',
  devices: 'Devices',
  certificates: 'Certificates and their revocation',
  enrollment: 'Tokens and requests to enroll',
  renewal: 'What expires, and its renewal',
  ca: 'The certificate authorities',
  policy: 'The policy',
  webhooks: 'What other programs are told',
  operators: 'Operators and their roles',
  audit: 'What has happened',
  console: 'The console',
} as const
export type Tag = keyof typeof TAGS

/** A request that has passed the gate, the role and the schemas. */
export interface Asked<Params, Query, Body> {
  readonly desk: Desk
  /** How the running server is. */
  readonly status: () => Readonly<Record<string, unknown>>
  /** What describes this API. */
  readonly document: () => Readonly<Record<string, unknown>>
  readonly params: Params
  readonly query: Query
  readonly body: Body
  /** Opens the stream of events for whoever asks, who is judged again as long as it listens. */
  readonly listen: (what: Pick<Listening, 'kinds' | 'device' | 'after'>) => Readable
  /** What If-Match asks for. */
  readonly revision: number | undefined
  /** By its lower-case name. */
  readonly header: (name: string) => string | undefined
  /** Aborted when whoever asked is gone. */
  readonly signal: AbortSignal
}

/** Nothing may be changed through an answer that is only passed on. */
export type Frozen<T> = unknown extends T ? T : T extends string | number | boolean | null | undefined ? T : T extends readonly (infer Item)[] ? readonly Frozen<Item>[] : { readonly [Key in keyof T]: Frozen<T[Key]> }

type Nothing = Readonly<Record<string, never>>
type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : Nothing
type Schema = z.ZodType | undefined

export interface RouteFacts {
  readonly method: Method
  /** What begins with a colon is a parameter. */
  readonly path: string
  /** The least role that may ask. */
  readonly role: Role
  /** 'own': operators of a tenant may ask, too, about what is theirs. Without it they are refused. */
  readonly tenants?: 'own'
  readonly tag: Tag
  /** What it does, as one sentence. */
  readonly summary: string
  /** What it may be refused for beyond what any request may be. */
  readonly reasons?: readonly DenyReason[]
  /** 200 where nothing is said. */
  readonly status?: 200 | 201
  readonly bodyBytesMax?: number
  /** It takes If-Match: the ETag of what it changes. What takes none and is sent one is refused, and not done regardless. */
  readonly conditional?: true
  /** A body as somebody would send it, and a query. */
  readonly example?: { readonly body?: unknown; readonly query?: string }
}

/** Methods, and not functions in fields: a table holds rows of different requests. */
export interface Route<Params extends Schema = Schema, Query extends Schema = Schema, Body extends Schema = Schema, Answer extends z.ZodType = z.ZodType> extends RouteFacts {
  readonly params?: Params
  /** Nothing is taken where there is none: an unknown field is an error and not a surprise. */
  readonly query?: Query
  readonly body?: Body
  readonly answer: Answer
  /** Where one operation has answers of two kinds. */
  statusOf?(body: Output<Body>): 200 | 201
  /** The revision of what is answered, as its ETag. */
  revisionOf?(answer: Frozen<z.output<Answer>>): number
  act(asked: Asked<Output<Params>, Output<Query>, Output<Body>>): Promise<Frozen<z.output<Answer>>>
}

/** Something other than JSON, as it comes: an event stream, a file. Whoever opened it ends with `signal`. */
export interface StreamRoute<Params extends Schema = Schema, Query extends Schema = Schema> extends RouteFacts {
  readonly method: 'GET'
  readonly params?: Params
  readonly query?: Query
  readonly media: string
  open(asked: Asked<Output<Params>, Output<Query>, Nothing>): Promise<Readable>
}

export type AnyRoute = Route | StreamRoute

/** A row. What it takes is known to what it does. */
export function route<Answer extends z.ZodType, Params extends Schema = undefined, Query extends Schema = undefined, Body extends Schema = undefined>(row: Route<Params, Query, Body, Answer>): Route<Params, Query, Body, Answer> {
  return row
}

export function streamRoute<Params extends Schema = undefined, Query extends Schema = undefined>(row: StreamRoute<Params, Query>): StreamRoute<Params, Query> {
  return row
}

/** The same rows under the names of their operations. */
export type RouteTable = Readonly<Record<string, AnyRoute>>

export const NOTHING = z.strictObject({})
