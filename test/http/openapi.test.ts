// The document of the admin API: it is what a validator of others calls valid, it names every route and nothing else, and it stands in
// docs/ as it is served.

import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { openApiOf } from '../../src/http/openapi.ts'
import { TAGS, type AnyRoute, type RouteTable } from '../../src/http/route.ts'
import { ROUTES } from '../../src/http/routes.ts'
import { VERSION } from '../../src/cli.ts'
import { ADMIN_PATHS, REASONS } from '../../src/vocabulary.ts'
import { ask, openHouse, type House } from './house.ts'

let house: House
let admin: AdminServer
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
})
afterAll(() => house[Symbol.asyncDispose]())

interface Operation { readonly operationId: string; readonly 'x-role': string; readonly responses: Readonly<Record<string, unknown>> }
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

test('what is served is valid OpenAPI 3.1', async () => {
  const served = (await ask(admin.url, house.root, { credential: house.operator, path: '/openapi.json' })).json()
  expect(served['openapi']).toBe('3.1.0')
  expect(await new Validator().validate(structuredClone(served))).toEqual({ valid: true })
  // The control: the validator sees what is wrong.
  expect(await new Validator().validate({ ...structuredClone(served), paths: { '/x': { get: { responses: 7 } } } })).toMatchObject({ valid: false })
})

test('it names every route once, with its method, its role and its operation, and nothing else', () => {
  const paths = openApiOf(ROUTES, VERSION)['paths'] as Paths
  const named = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, of]) => [of.operationId, method.toUpperCase(), path, of['x-role']].join(' ')))
  const rows = Object.entries(ROUTES).map(([name, { method, path, role }]) => [name, method, path.replaceAll(/:(\w+)/g, '{$1}'), role].join(' '))
  expect(named.toSorted()).toEqual(rows.toSorted())
})

test('every path of the vocabulary has a row, and every row is one of the vocabulary', () => {
  expect([...new Set(Object.values(ROUTES).map(({ path }) => path))].toSorted()).toEqual(Object.values(ADMIN_PATHS).toSorted())
})

test('the examples are requests that are read', () => {
  for (const [name, row] of Object.entries<AnyRoute>(ROUTES)) {
    const query = row.example?.query === undefined ? {} : Object.fromEntries(new URLSearchParams(row.example.query))
    expect(row.query?.safeParse(query).success ?? row.example?.query === undefined, name).toBe(true)
    const body = 'body' in row ? row.body : undefined
    expect(row.example?.body === undefined || body?.safeParse(row.example.body).success === true, name).toBe(true)
  }
})

test('docs/openapi.json, docs/api-reference.md and what the client knows of operations are made from the table', async () => {
  const document = openApiOf(ROUTES, VERSION)
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../docs/openapi.json')
  await expect(operationsOf(ROUTES)).toMatchFileSnapshot('../../src/http/operations.ts')
  await expect(referenceOf(ROUTES)).toMatchFileSnapshot('../../docs/api-reference.md')
})

/** The route table as a page for people. The document has the schemas. */
function referenceOf(table: RouteTable): string {
  const rows = Object.entries(table)
  const sections = Object.entries(TAGS).map(([tag, title]) => [`## ${title}`, '', ...rows.filter(([, row]) => row.tag === tag).flatMap(([name, row]) => operation(name, row))])
  return [
    '# Reference of the admin API',
    '',
    'Made from the route table by `npx vitest run test/http/openapi.test.ts -u`; do not edit. [openapi.json](openapi.json) has the schemas, [api.md](api.md) shows how it is used, [reasons.md](reasons.md) lists all codes.',
    '',
    ...sections.flat(),
  ].join('\n')
}

function operation(name: string, row: AnyRoute): readonly string[] {
  const { method, path, role, summary, reasons = [], example } = row
  return [
    `### ${name}`,
    '',
    `\`${method} ${path}\` · at least ${role}${row.tenants === 'own' ? '' : ' · not for operators of a tenant'}`,
    '',
    summary,
    '',
    ...(example?.query === undefined ? [] : [`    ?${example.query}`, '']),
    ...(example?.body === undefined ? [] : [`    ${JSON.stringify(example.body)}`, '']),
    ...(reasons.length === 0 ? [] : [`Refused with: ${[...new Set(reasons)].map((reason) => `\`${reason}\` (${REASONS[reason].http})`).join(', ')}.`, '']),
  ]
}

/** What the client needs of each row at run time: a page of text, and not all the schemas. */
function operationsOf(table: RouteTable): string {
  const rows = Object.entries(table).flatMap(([name, row]) => ('open' in row ? [] : [`  ${name}: ['${row.method}', '${row.path}', '${row.body === undefined ? 'query' : 'body'}'],`]))
  return [
    '// Made from the route table by `npx vitest run test/http/openapi.test.ts -u`; do not edit. How each operation is asked for, for a client',
    '// that is not to load the schemas: method, path, and where what stands in no path goes.',
    '',
    "import type { Method } from './route.ts'",
    '',
    "export type OperationFacts = readonly [method: Method, path: string, takes: 'query' | 'body']",
    '',
    'export const OPERATIONS: Readonly<Record<string, OperationFacts>> = {',
    ...rows,
    '}',
    '',
  ].join('\n')
}
