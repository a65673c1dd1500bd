// Who listens to the event stream, as a process of its own: many who read, and one who does not. Told in JSON on stdin how many; says "ready"
// when all have been greeted, and at the next line says in JSON how late events were at the last listener, and what became of the one that
// does not read. Events are stamped to the millisecond, by the same clock.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { percentile } from '../process-cpu.ts'
import type { OperatorFiles } from './house.ts'

export interface HearPlan {
  readonly operator: OperatorFiles
  readonly listeners: number
}

export interface Heard {
  readonly events: number
  /** From the time of an event to the moment at which the last listener had it; and over all listeners. */
  readonly last: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
  readonly each: { readonly p50Ms: number; readonly p99Ms: number }
  /** Events that somebody did not get. */
  readonly missing: number
  /** Listeners whose stream ended. */
  readonly ended: number
  /** When the one that does not read was closed: after so many events. */
  readonly silentClosedAfter: number | undefined
}

/** What one listener has had of an event, as an index into shared tables. */
interface Late {
  count: number
  lastMs: number
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { operator, listeners } = JSON.parse((await lines.next()).value as string) as HearPlan
const { url, ...tls } = operator
const events = new Map<string, Late>()
const each: number[] = []
let [ended, isOver] = [0, false]
let silentClosedAfter: number | undefined

async function open(): Promise<IncomingMessage> {
  const sent = request(new URL('/v1/events', url), { agent: new Agent(tls), headers: { accept: 'text/event-stream' } })
  sent.on('error', () => {})
  sent.end()
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  if (answer.statusCode !== 200) throw new Error(`a listener was answered ${answer.statusCode}`)
  return answer
}

function take(text: string, now: number): void {
  const id = /^id: (\S+)/m.exec(text)?.[1]
  const at = /"@timestamp":"([^"]+)"/.exec(text)?.[1]
  if (id === undefined || at === undefined) return
  const lateMs = now - Date.parse(at)
  const known = events.get(id) ?? { count: 0, lastMs: 0 }
  known.count += 1
  known.lastMs = Math.max(known.lastMs, lateMs)
  events.set(id, known)
  each.push(lateMs)
}

async function listen(): Promise<void> {
  const answer = await open()
  const greeted = Promise.withResolvers<void>()
  let rest = ''
  answer.on('data', (chunk: Buffer) => {
    const now = performance.timeOrigin + performance.now()
    const parts = (rest + chunk.toString()).split('\n\n')
    rest = parts.pop() ?? ''
    for (const part of parts) take(part, now)
    greeted.resolve()
  })
  answer.once('close', () => (ended += isOver ? 0 : 1))
  await greeted.promise
}

const silent = await open()
silent.pause()
silent.socket.pause()
silent.socket.once('close', () => (silentClosedAfter ??= isOver ? undefined : events.size))
for (let n = 1; n < listeners; n++) await listen()
process.stdout.write('ready\n')
await lines.next()
// It is seen that it was closed only by who reads what was sent before.
const seenOpen = events.size
silent.socket.resume()
silent.resume()
await Promise.race([once(silent.socket, 'close'), new Promise((resolve) => setTimeout(resolve, 3_000))])
isOver = true
if (silent.socket.destroyed) silentClosedAfter ??= seenOpen
const last = [...events.values()].map(({ lastMs }) => lastMs)
const heard: Heard = {
  events: events.size, ended, silentClosedAfter,
  last: { p50Ms: percentile(last, 50), p99Ms: percentile(last, 99), maxMs: percentile(last, 100) },
  each: { p50Ms: percentile(each, 50), p99Ms: percentile(each, 99) },
  missing: [...events.values()].reduce((sum, { count }) => sum + (listeners - 1 - count), 0),
}
process.stdout.write(`${JSON.stringify(heard)}\n`, () => process.exit(0))
