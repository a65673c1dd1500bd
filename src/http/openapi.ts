// The route table as an OpenAPI 3.1 document: made from the schemas that requests are read by, so that it cannot say anything else. It
// knows rows and the reason table.

import { z } from 'zod'
import { PROBLEM_MEDIA_TYPE, REASONS, type DenyReason } from '../vocabulary.ts'
import { REFUSED_WITH } from './requests.ts'
import { NOTHING, TAGS, type AnyRoute, type RouteTable } from './route.ts'

type Json = Readonly<Record<string, unknown>>

/** What any request may be refused for, whatever it asks. */
const ALWAYS: readonly DenyReason[] = ['request-invalid', 'operator-required', 'operator-revoked', 'certificate-expired', 'certificate-revoked', 'certificate-superseded', 'certificate-unrecorded', 'console-session-ended', 'console-link-remote', 'role-insufficient', 'tenant-insufficient', 'host-not-allowed']
/** The same of one that changes something, too: somebody else was quicker, or the registry takes nothing now. */
const ALWAYS_CHANGING: readonly DenyReason[] = [...ALWAYS, 'idempotency-reused', 'revision-conflict', 'registry-unavailable']
/** What is wrong with a body before anything of it is read: the same code, by the statuses that HTTP has for it. */
const UNREAD = { 413: 'It is larger than this operation takes.', 415: 'It is not application/json.' } as const

const problem = z.strictObject({
  type: z.string().meta({ description: 'urn:sallyport:reason:CODE, or urn:sallyport:failure:CODE of a failure of the server.' }),
  title: z.string().meta({ description: 'What happened, as a sentence.' }),
  status: z.number().int(),
  code: z.string().meta({ description: 'The stable code: docs/reasons.md.' }),
  detail: z.string().exactOptional(),
  hint: z.string().exactOptional().meta({ description: 'What can be done about it.' }),
}).meta({ id: 'Problem', description: 'RFC 9457.' })

/** The document of these routes. */
export function openApiOf(table: RouteTable, version: string): Json {
  const schemas: Record<string, unknown> = {}
  const paths: Record<string, Record<string, unknown>> = {}
  const schemaOf = openSchemas(schemas)
  const problemRef = schemaOf(problem, 'output')
  const shared = (name: string, reasons: readonly DenyReason[]): Json => Object.fromEntries(byStatus(reasons).map(([status, codes]) => [`${name}${status}`, refusalOf(codes, problemRef)]))
  const responses = { ...shared('Refused', ALWAYS), ...shared('Unchanged', ALWAYS_CHANGING) }
  for (const [name, row] of Object.entries(table)) {
    const path = row.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operationOf(name, row, schemaOf, problemRef) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sallyport admin API',
      version,
      description: 'Mutual TLS with an operator certificate; the role of the operator stands in the registry and is judged at every request. Errors are problems of RFC 9457 with a stable code and a hint.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'https://localhost:9443' }],
    security: [{ operator: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: { schemas: sorted(schemas), responses: { ...responses, ...unread(problemRef), Failed: failed(problemRef) }, securitySchemes: { operator: { type: 'mutualTLS', description: 'The certificate of an operator: sallyport operator add.' } } },
  }
}

type SchemaOf = (schema: z.ZodType, io: 'input' | 'output') => Json

function operationOf(name: string, row: AnyRoute, schemaOf: SchemaOf, problemRef: Json): Json {
  const body = 'body' in row && row.body !== undefined ? row.body : undefined
  return {
    operationId: name,
    tags: [row.tag],
    summary: row.summary,
    description: `Role: ${row.role}.${row.tenants === 'own' ? '' : ' Not for operators of a tenant.'}`,
    'x-role': row.role,
    parameters: [...parametersOf('path', row.params ?? NOTHING, schemaOf), ...parametersOf('query', row.query ?? NOTHING, schemaOf), ...headersOf(row)],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input'), ...(row.example?.body === undefined ? {} : { example: row.example.body }) } } } }),
    responses: {
      ...answersOf(row, schemaOf),
      ...(body === undefined ? {} : Object.fromEntries(Object.keys(UNREAD).map((status) => [status, { $ref: `#/components/responses/Unread${status}` }]))),
      ...refusalsOf(row, problemRef),
    },
  }
}

/** What this row may be refused for beyond what any may be. */
function reasonsOf(row: AnyRoute): readonly DenyReason[] {
  const fields = [row.params, row.query, 'body' in row ? row.body : undefined].flatMap((schema) => (schema === undefined ? [] : refusedWithin(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))))
  return [
    ...(row.reasons ?? []), ...fields,
    ...(row.conditional === undefined ? [] : ['precondition-failed' as const]),
  ]
}

function refusedWithin(schema: unknown): readonly DenyReason[] {
  if (typeof schema !== 'object' || schema === null) return []
  return Object.entries(schema).flatMap(([key, value]) => (key === REFUSED_WITH ? [value as DenyReason] : refusedWithin(value)))
}

function headersOf({ method, conditional }: AnyRoute): readonly Json[] {
  const header = (name: string, description: string): Json => ({ name, in: 'header', required: false, description, schema: { type: 'string' } })
  return [
    ...(method === 'GET' ? [] : [header('Idempotency-Key', 'A request that is sent again under the same key within an hour is answered as it was, and not done again.')]),
    ...(conditional === undefined ? [] : [header('If-Match', 'The ETag of what is to be changed: where it is another one by now, nothing is changed (412).')]),
  ]
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType, schemaOf: SchemaOf): readonly Json[] {
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as { readonly properties?: Readonly<Record<string, Json>>; readonly required?: readonly string[] }
  return Object.entries(properties).map(([name, of]) => {
    const { description, ...rest } = of
    return { name, in: place, required: place === 'path' || required.includes(name), ...(description === undefined ? {} : { description }), schema: rest }
  })
}

function answersOf(row: AnyRoute, schemaOf: SchemaOf): Json {
  const answer = { description: 'Done.', content: 'open' in row ? { [row.media]: { schema: { type: 'string' } } } : { 'application/json': { schema: schemaOf(row.answer, 'output') } } }
  const statuses = 'statusOf' in row ? [200, 201] : [row.status ?? 200]
  return Object.fromEntries(statuses.map((status) => [String(status), answer]))
}

function byStatus(reasons: readonly DenyReason[]): readonly (readonly [number, readonly DenyReason[]])[] {
  return [...Map.groupBy(new Set(reasons), (reason) => REASONS[reason].http)].toSorted(([a], [b]) => a - b)
}

const refusalOf = (codes: readonly DenyReason[], problemRef: Json) => ({
  description: codes.map((code) => `${code}: ${REASONS[code].sentence}`).join(' '),
  content: { [PROBLEM_MEDIA_TYPE]: { schema: { allOf: [problemRef, { type: 'object', properties: { code: { enum: codes } } }] } } },
})
const unread = (problemRef: Json): Json => Object.fromEntries(Object.entries(UNREAD).map(([status, description]) => [`Unread${status}`, { ...refusalOf(['request-invalid'], problemRef), description }]))
const failed = (problemRef: Json): Json => ({ description: 'A failure of the server, or a refusal of another kind; the code says which.', content: { [PROBLEM_MEDIA_TYPE]: { schema: problemRef } } })

/** By status: what any request may be refused for, and what this one may be besides. */
function refusalsOf(row: AnyRoute, problemRef: Json): Json {
  const [name, always] = row.method === 'GET' ? ['Refused', ALWAYS] as const : ['Unchanged', ALWAYS_CHANGING] as const
  const reasons = reasonsOf(row)
  const own = new Set(reasons.filter((reason) => !always.includes(reason)).map((reason) => REASONS[reason].http))
  const answers = byStatus([...always, ...reasons]).map(([status, codes]): [string, unknown] => [String(status), own.has(status) ? refusalOf(codes, problemRef) : { $ref: `#/components/responses/${name}${status}` }])
  return { ...Object.fromEntries(answers), default: { $ref: '#/components/responses/Failed' } }
}

/** JSON Schemas; what has a name stands once in the document, under it. */
function openSchemas(named: Record<string, unknown>): SchemaOf {
  return (schema, io) => {
    const { $schema: _, $defs = {}, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any', target: 'draft-2020-12' }) as Json & { readonly $defs?: Json }
    for (const [id, definition] of Object.entries($defs)) named[id] = placed(definition)
    const { id, ...rest } = json as Json & { readonly id?: string }
    if (id === undefined) return placed(rest) as Json
    named[id] = placed(rest)
    return { $ref: `#/components/schemas/${id}` }
  }
}

/** References of one schema are references of the document. The name of a definition stands above it already. */
function placed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(placed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    if (key === '$ref' && typeof inner === 'string') return [[key, inner.replace('#/$defs/', '#/components/schemas/')]]
    return key === 'id' && typeof inner === 'string' ? [] : [[key, placed(inner)]]
  }))
}

const sorted = (record: Json): Json => Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)))
