// Who asks the admin API at a set rate, as a process of its own: requests are due at set times, whatever comes back, and their latency counts
// from then. Told in JSON on stdin what to ask; says "ready" when its connections are open, begins at a line on stdin, and says in JSON what
// came of it.

import { once } from 'node:events'
import { request as requestPlain, type IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { percentile } from '../process-cpu.ts'
import type { OperatorFiles } from './house.ts'

export interface Ask {
  readonly name: string
  readonly method: 'GET' | 'POST'
  /** Or a whole URL. */
  readonly path: string
  readonly body?: unknown
}

export interface AskPlan {
  readonly operator: OperatorFiles
  /** In this order, over and over. */
  readonly asks: readonly Ask[]
  readonly perSecond: number
  readonly connections: number
}

export interface Asked {
  readonly perSecond: number
  /** Answers that were none of 2xx. */
  readonly refused: number
  readonly bytes: number
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly byName: Readonly<Record<string, { readonly count: number; readonly p50Ms: number; readonly p99Ms: number }>>
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { operator, asks, perSecond, connections } = JSON.parse((await lines.next()).value as string) as AskPlan
const { url, ...tls } = operator
const agent = new Agent({ ...tls, keepAlive: true, maxSockets: connections, scheduling: 'fifo' })
const taken = new Map<string, number[]>(asks.map(({ name }) => [name, []]))
let [refused, bytes] = [0, 0]

async function ask({ method, path, body }: Ask): Promise<void> {
  const at = new URL(path, url)
  // Metrics are plain HTTP on this machine.
  const sent = at.protocol === 'http:' ? requestPlain(at) : request(at, { agent, method, headers: body === undefined ? {} : { 'content-type': 'application/json' } })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  answer.on('data', (chunk: Buffer) => (bytes += chunk.length))
  await once(answer, 'end')
  if (Math.floor((answer.statusCode ?? 0) / 100) !== 2) refused += 1
}

await Promise.all(Array.from({ length: connections }, () => ask({ name: '', method: 'GET', path: '/v1/status' })))
process.stdout.write('ready\n')
const seconds = Number((await lines.next()).value)
const [begun, total] = [performance.now(), Math.round(perSecond * seconds)]
const underWay: Promise<void>[] = []
for (let n = 0; n < total; n++) {
  const due = begun + (n * 1_000) / perSecond
  if (due > performance.now()) await delay(due - performance.now())
  const what = asks[n % asks.length]
  if (what !== undefined) underWay.push(ask(what).then(() => void taken.get(what.name)?.push(performance.now() - due)))
}
await Promise.all(underWay)
const all = [...taken.values()].flat()
const tail = (times: readonly number[]) => ({ count: times.length, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99) })
const asked: Asked = { perSecond: (total * 1_000) / (performance.now() - begun), refused, bytes, ...tail(all), byName: Object.fromEntries([...taken].map(([name, times]) => [name, tail(times)])) }
process.stdout.write(`${JSON.stringify(asked)}\n`, () => process.exit(0))
