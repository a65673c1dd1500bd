// Every operation of the API, asked by an admin with requests that are right, nearly right and hostile, made from what /openapi.json says:
// no request is a failure of the server, every refusal is a problem as RFC 9457 has it, every answer is what the document promises, and the
// program goes on. TEST_FUZZ_SECONDS makes it longer, TEST_SEED other requests.

import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FAILURES } from '../../src/core/errors.ts'
import { HTTP_LIMITS } from '../../src/http-limits.ts'
import { REASONS } from '../../src/vocabulary.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { Program } from '../e2e/program.ts'
import { chanceOf, openFuzz, type Document, type FuzzRequest, type Operation } from './fuzz-requests.ts'
import { newKey } from './house.ts'

const SECONDS = Number(process.env['TEST_FUZZ_SECONDS'] ?? 8)
const SEED = Number(process.env['TEST_SEED'] ?? 20_261_128)
const AT_LEAST = 400

const program = new Program()
let agent: Agent
let document: Document
beforeAll(async () => {
  await program.serve('--set', 'log.level=debug')
  for (const id of ['sensor-1', 'sensor-2']) program.device(id)
  expect(program.run('operator', 'add', 'fuzz', '--role', 'admin').status).toBe(0)
  const file = (name: string): string => readFileSync(path.join(program.home, 'operators/fuzz', name), 'utf8')
  agent = new Agent({ keepAlive: true, maxSockets: 1, ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem') })
  document = JSON.parse((await send({ method: 'GET', path: '/openapi.json', headers: {}, body: undefined })).text) as Document
}, 60_000)
afterAll(async () => {
  agent.destroy()
  await program[Symbol.asyncDispose]()
})

interface Heard {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** Of a stream the beginning is enough. */
function send({ method, path: at, headers, body }: Omit<FuzzRequest, 'operation'>): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(program.endpoints.admin.url)
    const sent = request({ hostname, port, method, path: at, agent, headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) } }, (response) => {
      const chunks: Buffer[] = []
      const type = response.headers['content-type'] ?? ''
      const done = (): void => resolve({ status: response.statusCode ?? 0, type, text: Buffer.concat(chunks).toString('utf8') })
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (!type.startsWith('text/event-stream')) return
        done()
        sent.destroy()
      })
      response.on('end', done).on('error', reject)
    })
    sent.on('error', reject).end(body)
  })
}

/** What exists. What ends the fuzzer's own right is not among it, and no request does it by chance: the names of its operator and its CA. */
function known(): Readonly<Record<string, readonly unknown[]>> {
  const { items } = program.json('cert', 'list', '--device', 'sensor-1') as { items: readonly { serial: string }[] }
  const csr = makeCsr(newKey(), 'sensor-1')
  return {
    id: ['sensor-1', 'sensor-2', 'demo-sensor-1', 'sensor-3'], device: ['sensor-1', 'sensor-2'], serial: [...items.map(({ serial }) => serial), '00'], csr: [csr, makeCsr(newKey(), 'sensor-3')], tenant: ['default', 'acme'], groups: [['sensors'], []], group: ['sensors', 'nobody'],
    name: ['pager', 'fuzzed'], webhook: ['pager'], url: ['https://hooks.example.invalid/x', 'https://127.0.0.1/x', 'https://[64:ff9b::7f00:1]/'], operator: ['fuzzed', 'nobody'], token: ['7QF2M9AK', { target: { pattern: 'line-*' }, lifeMs: 60_000 }], ca: ['nobody'], step: ['start', 'status'], dryRun: [true],
    credential: ['server'], publish: ['sensors/sensor-1/temperature', '$SYS/x', '#'], subscribe: ['sensors/#', '$share/g/#'], after: ['sensor-1', '1'], limit: ['1', '1000', '1001'], revision: [1, 2], level: ['info', 'warn'], report: ['run.json'], role: ['viewer', 'operator'], reason: ['superseded', 'keyCompromise'],
    // The log stays at debug: the test reads it.
    room: ['store'], connection: ['1'], order: ['00000000'], session: ['00000000'], request: ['7QF2M9AK-9f86d081884c'], kinds: [['refusal']],
  }
}

const CODES = new Set([...Object.keys(REASONS), ...Object.keys(FAILURES)])

/** Everything that is wrong with an answer, in words. */
function complaintsOf(asked: FuzzRequest, { status, type, text }: Heard, validate: (operation: Operation, status: number, answer: unknown) => string | undefined): readonly string[] {
  // Who sends more than is read may be cut off before it has heard so.
  if (status === 0) return Buffer.byteLength(asked.body ?? '') > HTTP_LIMITS.bodyBytesMax ? [] : ['no answer']
  const complaints: string[] = []
  if (status >= 500) complaints.push('the server failed')
  if (/node_modules|\.ts:\d|\bat .*:\d+:\d+|FST_|SQLITE|zod/i.test(text.slice(0, 20_000)) && status >= 400) complaints.push('the inside shows')
  if (status >= 400) {
    if (!type.startsWith('application/problem+json')) return [...complaints, `an error as ${type}`]
    const problem = JSON.parse(text) as { readonly type?: unknown; readonly title?: unknown; readonly status?: unknown; readonly code?: unknown }
    if (problem.status !== status || typeof problem.title !== 'string' || typeof problem.type !== 'string' || !CODES.has(String(problem.code))) complaints.push('no problem of RFC 9457, or a code that nobody knows')
    return complaints
  }
  if (!type.startsWith('application/json')) return asked.operation.operationId === 'events' ? complaints : [...complaints, `an answer as ${type}`]
  const wrong = validate(asked.operation, status, JSON.parse(text))
  return wrong === undefined ? complaints : [...complaints, `not what the document promises: ${wrong}`]
}

test(`A11, A16: ${SECONDS} s of requests of every kind bring no failure, no stack and no answer that is not promised`, { timeout: SECONDS * 1_000 + 120_000 }, async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'openapi', components: document.components })
  const compiled = new Map<string, ReturnType<typeof ajv.compile>>()
  const validate = (operation: Operation, status: number, answer: unknown): string | undefined => {
    const schema = operation.responses[String(status)]?.content?.['application/json']?.schema
    if (schema === undefined) return `the status ${status}`
    const key = `${operation.operationId} ${status}`
    const check = compiled.get(key) ?? ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')) as object)
    compiled.set(key, check)
    return check(answer) ? undefined : ajv.errorsText(check.errors)
  }
  const fuzz = openFuzz(document, known())
  const { pid } = program.endpoints
  const seen = new Map<string, Set<number>>()
  const wrong: string[] = []
  const until = performance.now() + SECONDS * 1_000
  let count = 0
  // A machine that has much else to do makes fewer in the time, and these all the same.
  for (; (performance.now() < until || count < AT_LEAST) && wrong.length < 10; count++) {
    // A request by itself can be made again: TEST_SEED, and its number.
    const asked = fuzz(chanceOf(SEED + count))
    const heard = await send(asked).catch((cause: unknown) => ({ status: 0, type: '', text: String(cause) }))
    const { operationId } = asked.operation
    seen.set(operationId, (seen.get(operationId) ?? new Set()).add(heard.status))
    for (const complaint of complaintsOf(asked, heard, validate)) wrong.push(`${count} ${asked.method} ${asked.path.slice(0, 200)} ${String(asked.body).slice(0, 300)} → ${heard.status} ${heard.text.slice(0, 300)}: ${complaint}`)
  }
  expect(wrong).toEqual([])
  // The fuzzer was no stranger that is refused at the door: most operations were done, and refused, at least once.
  const done = [...seen].filter(([, statuses]) => [...statuses].some((status) => status < 300)).length
  expect(done).toBeGreaterThan(Object.values(document.paths).flatMap((methods) => Object.keys(methods)).length / 3)
  expect([...seen].filter(([, statuses]) => statuses.has(400)).length).toBeGreaterThan(20)
  expect([program.endpoints.pid, await (await fetch(`${program.endpoints.metrics.url}/healthz`)).text()]).toEqual([pid, 'alive\n'])
  expect(program.output.split('\n').filter((line) => line.includes('"level":50') || /unhandled|uncaught/i.test(line))).toEqual([])
  expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
  console.log(`${count} requests, ${seen.size} operations, ${done} of them done`)
})
