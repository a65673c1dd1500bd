// Requests made from the OpenAPI document by a seeded chance: what the schemas allow, with names that exist, and the same with something
// wrong in it. It knows no route: what the document says is all it has.

/** A number from 0 to below 1. */
export type Chance = () => number

/** Mulberry32: the same numbers for the same seed, everywhere. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly examples?: readonly unknown[]
}

export interface Operation {
  readonly operationId: string
  readonly parameters?: readonly { readonly name: string; readonly in: 'path' | 'query' | 'header'; readonly required?: boolean; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>> }
  readonly responses: Readonly<Record<string, { readonly $ref?: string; readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>
}

export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export interface FuzzRequest {
  readonly operation: Operation
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer | undefined
}

/** Names that exist, by the name of the field or parameter that takes them. */
export type Known = Readonly<Record<string, readonly unknown[]>>

const CREDIBLE = 0.45
const DEPTH_MAX = 6

const HOSTILE_TEXTS = [
  '', ' ', '\0', '../../etc/passwd', '..%2f..%2f', '%', '%00', '_', '\\', "' OR 1=1 --", '"; DROP TABLE devices; --', '__proto__', 'constructor', 'prototype', 'toString', '$SYS', '#', '+/#', '$share/g/#', '${id}', '%c', '<img src=x onerror=alert(1)>', '=1+1',
  '\r\nx: y', '\u001b[2J', '\u009b31m', '\u2028', '\u202e', '\ufeff', 'é', 'e\u0301', '😀', '\ud83d', 'NaN', 'Infinity', '-1', '0', '1e9', '9'.repeat(400), 'x'.repeat(257), 'x'.repeat(65), '127.0.0.1', 'https://127.0.0.1/', 'file:///etc/passwd', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n',
  '-----BEGIN CERTIFICATE-----\n', '{}', '[]', 'null', 'true', '2026-11-28T00:00:00Z', ':', ': : :', 'a: *b', '&a [*a,*a]', 'rules: [',
] as const
const HOSTILE_VALUES: readonly unknown[] = [...HOSTILE_TEXTS, null, true, false, 0, -0, -1, 1, 1.5, 1e21, 1e308, -1e308, 2 ** 53, 2 ** 31, 2 ** 32, Number.MIN_VALUE, [], {}, [null], [[]], { length: -1 }, { toJSON: 1 }, { constructor: { prototype: 1 } }, [1, 'a', null]]
const HOSTILE_HEADERS: readonly Readonly<Record<string, string>>[] = [
  { 'if-match': '*' }, { 'if-match': '"1"' }, { 'if-match': 'W/"1"' }, { 'if-match': '"99999999999999999999"' }, { 'idempotency-key': 'k' }, { 'idempotency-key': '"k"' }, { 'idempotency-key': 'x'.repeat(300) }, { 'idempotency-key': '__proto__' }, { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' }, { 'content-type': '' }, { 'content-encoding': 'gzip' }, { 'accept': 'text/html' }, { 'accept-encoding': 'br;q=NaN' }, { 'x-http-method-override': 'DELETE' }, { cookie: '__Host-sallyport=x; __proto__=1' }, { expect: '100-continue' }, { range: 'bytes=0-' }, { 'last-event-id': '-1' }, { authorization: 'Basic eDp5' }, { te: 'trailers' },
]

export function openFuzz({ paths, components }: Document, known: Known): (chance: Chance) => FuzzRequest {
  const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })))

  return (chance) => {
    const pick = <T>(from: readonly T[]): T => from[Math.floor(chance() * from.length)] as T
    const often = (share: number): boolean => chance() < share
    const { path, method, operation } = pick(all)
    const isCredible = often(CREDIBLE)

    function resolved(schema: Schema): Schema {
      const name = schema.$ref?.split('/').at(-1)
      return name === undefined ? schema : (components.schemas[name] ?? {})
    }

    /** Something that the schema allows, as far as a schema says it. */
    function value(of: Schema, name: string, depth = 0): unknown {
      const schema = resolved(of)
      const names = known[name]
      if (names !== undefined && names.length > 0 && often(0.9)) return pick(names)
      const choices = schema.anyOf ?? schema.oneOf
      if (choices !== undefined) return value(pick(choices), name, depth)
      if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((each) => value(each, name, depth))) as unknown
      if (schema.const !== undefined) return schema.const
      if (schema.enum !== undefined) return pick(schema.enum)
      const type = typeof schema.type === 'object' ? pick(schema.type) : schema.type
      if (type === 'object') return record(schema, depth)
      if (type === 'array') return Array.from({ length: Math.max(schema.minItems ?? 0, Math.floor(chance() * 3)) }, () => value(schema.items ?? {}, name, depth + 1))
      if (type === 'integer' || type === 'number') return often(0.5) ? (schema.minimum ?? 0) + Math.floor(chance() * 100) : pick([schema.minimum ?? 0, schema.maximum ?? 1])
      if (type === 'boolean') return often(0.5)
      if (type === 'null') return null
      return schema.examples !== undefined && often(0.5) ? pick(schema.examples) : pick(['a', 'pump-17', 'x'.repeat(schema.maxLength ?? 8), pick(HOSTILE_TEXTS)])
    }

    function record({ properties = {}, required = [], additionalProperties }: Schema, depth: number): Record<string, unknown> {
      const fields = Object.entries(properties).filter(([name]) => required.includes(name) || (depth < DEPTH_MAX && often(0.4))).map(([name, of]) => [name, value(of, name, depth + 1)] as const)
      const more = typeof additionalProperties === 'object' && often(0.5) ? [[pick(['site', 'note', 'a', pick(HOSTILE_TEXTS)]), value(additionalProperties, '', depth + 1)] as const] : []
      return Object.fromEntries([...fields, ...more])
    }

    /** The same with one thing in it changed, dropped or added, anywhere. */
    function mutated(whole: unknown, depth = 0): unknown {
      const isInner = typeof whole === 'object' && whole !== null && Object.keys(whole).length > 0 && depth < DEPTH_MAX
      if (!isInner || often(0.25)) return pick(HOSTILE_VALUES)
      const key = pick(Object.keys(whole))
      const copy = Array.isArray(whole) ? [...(whole as readonly unknown[])] : { ...whole }
      const fields = copy as Record<string, unknown>
      const change = pick(['drop', 'add', 'within', 'within', 'within', 'within', 'within', 'within'])
      if (change === 'drop') delete fields[key]
      else if (change === 'add') fields[pick(HOSTILE_TEXTS)] = pick(HOSTILE_VALUES)
      else fields[key] = mutated(fields[key], depth + 1)
      return copy
    }

    /** JSON that is none, or that two readers read differently. */
    function broken(text: string): string | Buffer {
      return pick<() => string | Buffer>([
        () => text.slice(0, Math.floor(chance() * text.length)), () => `${text}${text}`, () => text.replace('{', '{"id":"a","id":"b",'), () => text.replace('{', '{"__proto__":{"x":1},'), () => text.replaceAll('"', "'"), () => '['.repeat(50_000), () => `{"a":${'1'.repeat(5_000)}}`, () => '"\\ud800"',
        () => Buffer.from([0xff, 0xfe, 0x00]), () => `\ufeff${text}`, () => '', () => 'NaN', () => `{${Array.from({ length: 3_000 }, (_, i) => `"k${i}":0`).join()}}`, () => Buffer.from(text).map((byte) => (often(0.02) ? Math.floor(chance() * 256) : byte)) as Buffer,
      ])()
    }

    const parameters = operation.parameters ?? []
    const wrong = isCredible ? 'nothing' : pick(['path', 'query', 'body', 'body', 'body', 'bytes', 'header'])
    const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const schema = parameters.find((each) => each.name === name)?.schema ?? {}
      return encodeURIComponent(wellFormed(String(wrong === 'path' ? pick(HOSTILE_TEXTS) : value(schema, name))))
    })
    const query = parameters.filter((each) => each.in === 'query' && (each.required === true || often(0.3))).map(({ name, schema }) => [name, String(value(schema, name))] as const)
    const asked = wrong === 'query' ? [...query, pick<readonly [string, string]>([[pick(['limit', 'after', 'q', 'kinds', '__proto__', 'x[y]', 'limit']), pick(HOSTILE_TEXTS)], ...query])] : query
    const search = asked.map(([name, text]) => `${encodeURIComponent(wellFormed(name))}=${encodeURIComponent(wellFormed(text))}`).join('&')
    const schema = operation.requestBody?.content['application/json']
    const body = ((): string | Buffer | undefined => {
      if (schema === undefined) return wrong === 'body' ? JSON.stringify(pick(HOSTILE_VALUES)) : undefined
      const whole = schema.example !== undefined && often(0.2) ? schema.example : value(schema.schema, '')
      const text = JSON.stringify(wrong === 'body' ? mutated(whole) : whole)
      return wrong === 'bytes' ? broken(text) : text
    })()
    const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(wrong === 'header' ? pick(HOSTILE_HEADERS) : {}) }
    return { operation, method, path: search === '' ? at : `${at}?${search}`, headers, body }
  }
}

/** What encodeURIComponent takes. */
const wellFormed = (text: string): string => text.toWellFormed()
