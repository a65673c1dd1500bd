// The typed client of the admin API, without a dependency: one method for each row of the route table that answers in JSON, with what the row takes as its one
// argument and what it answers as its result. It is what `sallyport/client` gives to other programs, and what our own commands ask with.

import type { z } from 'zod'
import { REASONS, type DenyReason } from '../vocabulary.ts'
import { FAILURES, SallyportError, type FailureCode } from '../core/errors.ts'
import { OPERATIONS, type OperationFacts } from './operations.ts'
import type { Frozen, Route } from './route.ts'
import type { ROUTES } from './routes.ts'
import { openTransport, type AdminCredential, type Transport } from './transport.ts'

export type { AdminCredential } from './transport.ts'
export { SallyportError } from '../core/errors.ts'

export interface CallOptions {
  /** The request is done once, however often it is sent under this key within an hour, while the server runs. */
  readonly idempotencyKey?: string
  /** The ETag of what is to be changed: it is changed only if it is that still. */
  readonly ifMatch?: string
  readonly signal?: AbortSignal
}

type Table = typeof ROUTES
type Taken<Schema> = Schema extends z.ZodType ? Frozen<z.input<Schema>> : unknown
type Callable<Row> = Row extends Route<infer Params, infer Query, infer Body, infer Answer>
  ? Called<Taken<Params> & Taken<Query> & Taken<Body>, Frozen<z.output<Answer>>>
  : never
/** Nothing has to be said where nothing is needed. */
type Called<Input, Answer> = Partial<Input> extends Input ? (input?: Input, options?: CallOptions) => Promise<Answer> : (input: Input, options?: CallOptions) => Promise<Answer>

/** Rows that answer in JSON, by the names of their operations. */
type Operation = { [Name in keyof Table]: Table[Name] extends { readonly answer: z.ZodType } ? Name : never }[keyof Table]

/** Each throws a SallyportError: 'refused' or 'not-found' with the `reason` and the `fix` of the server, or 'unreachable'. */
export type Client = { readonly [Name in Operation]: Callable<Table[Name]> } & Disposable

/** Opens a client; nothing is sent yet. */
export function openClient(credential: AdminCredential): Client {
  const transport = openTransport(credential)
  const calls = Object.entries(OPERATIONS).map(([name, facts]) => [name, (input: unknown, options?: CallOptions) => call(transport, facts, input, options)] as const)
  return { ...Object.fromEntries(calls), [Symbol.dispose]: () => transport.close() } as unknown as Client
}

type Fields = Readonly<Record<string, string | number | boolean | undefined>>

async function call(transport: Transport, [method, at, takes]: OperationFacts, input: unknown = {}, { idempotencyKey, ifMatch, signal }: CallOptions = {}): Promise<unknown> {
  const rest: Record<string, Fields[string]> = { ...(input as Fields) }
  const path = at.replaceAll(/:(\w+)/g, (_, name: string) => {
    const value = rest[name]
    delete rest[name]
    return encodeURIComponent(String(value))
  })
  const hasBody = takes === 'body'
  const query = new URLSearchParams(hasBody ? [] : Object.entries(rest).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, String(value)]])))
  const { status, text } = await transport.send({
    method,
    path: query.size === 0 ? path : `${path}?${query.toString()}`,
    text: hasBody ? JSON.stringify(rest) : undefined,
    headers: { ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }), ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }) },
    signal,
  })
  return answered(status, text)
}

function answered(status: number, text: string): unknown {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new SallyportError('unreachable', `The server answered with ${status} and something that is not JSON.`, { fix: 'Check that the URL in data/endpoints.json is this program\'s.', cause })
  }
  if (status < 400) return parsed
  const { code, title, hint, detail } = problemIn(parsed)
  if (code === undefined || title === undefined) throw new SallyportError('internal', `The server answered with ${status}.`)
  const reason = Object.hasOwn(REASONS, code) ? (code as DenyReason) : undefined
  const fix = hint === undefined ? {} : { fix: hint }
  throw new SallyportError(reason === undefined ? failureCodeOf(code) : status === 404 ? 'not-found' : 'refused', detail ?? title, { ...fix, ...(reason === undefined ? {} : { reason }) })
}

/** RFC 9457: members of other types are as good as none. */
function problemIn(parsed: unknown): Partial<Readonly<Record<'code' | 'title' | 'hint' | 'detail', string>>> {
  const members = typeof parsed === 'object' && parsed !== null ? Object.entries(parsed).filter((member): member is [string, string] => typeof member[1] === 'string') : []
  return Object.fromEntries(members)
}

/** A failure of the server is the same failure here: with the same exit code. */
export function failureCodeOf(code: string): FailureCode {
  return Object.hasOwn(FAILURES, code) ? (code as FailureCode) : 'internal'
}
