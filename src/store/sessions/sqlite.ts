// The session store on SQLite, as the main thread sees it: it collects calls into batches, keeps one of them on its way to the
// thread that has the database, and hands the answers out. What is collected meanwhile shares the next transaction and fsync.

import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SallyportError } from '../../core/errors.ts'
import type { CaName, DeviceId, EpochMs, SerialNumber, SessionKey } from '../../core/ids.ts'
import type { Publisher } from '../../core/message.ts'
import type { SessionChange, SessionsCommitted, SessionStore, StoreHealth } from '../../core/session-store.ts'
import type { Timing } from '../../core/traffic.ts'
import { BROKER_LIMITS, SESSION_LIMITS } from '../../limits.ts'
import { listeners } from '../../core/listeners.ts'
import { filterLevels } from './filter.ts'
import { decodeMessage } from './message-bytes.ts'
import type { WorkerStart } from './worker.ts'
import { unpackCommitted, type Unpacking } from './unpack.ts'
import { changeBytes, pack, type Failure, type FromWorker, type Packed, type PublisherBytes, type ReadAnswers, type ReadRequest, type ToWorker } from './wire.ts'

export type SessionLog = (level: 'info' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void

interface CommitCall {
  readonly kind: 'commit'
  readonly changes: readonly SessionChange[]
  /** Bytes of bodies, and a measure of everything that it holds. */
  readonly bodies: number
  readonly bytes: number
  readonly subscribes: boolean
  resolve(committed: SessionsCommitted): void
  reject(failure: SallyportError): void
}

interface ReadCall {
  readonly kind: 'read'
  readonly request: ReadRequest
  readonly bytes: number
  resolve(answer: unknown): void
  reject(failure: SallyportError): void
}

type Call = CommitCall | ReadCall

function fromFailure({ code, message, fix }: Failure): SallyportError {
  return new SallyportError(code, message, fix === undefined ? {} : { fix })
}

export interface SessionsPorts {
  readonly file: string
  readonly clock: () => EpochMs
  readonly log: SessionLog
  /** Hears how long each batch took that wrote something: to the thread, to the disk, and back. */
  readonly timing?: Timing
}

const MS_A_SECOND = 1_000

/**
 * Opens the session store in `file`, making or migrating it, and starts its thread, which lets the process end while nothing is
 * under way. Rejects with 'database-corrupt', 'database-newer', 'home-not-writable', 'internal'.
 */
export async function openSqliteSessions({ file, clock, log, timing }: SessionsPorts): Promise<SessionStore> {
  const worker = new Worker(new URL(`worker${path.extname(import.meta.filename)}`, import.meta.url), { workerData: { file, now: clock() } satisfies WorkerStart, name: 'sessions' })
  const opened = await new Promise<Extract<FromWorker, { readonly kind: 'opened' }>>((resolve, reject) => {
    const failed = (error: unknown): void => reject(new SallyportError('internal', `The thread of the session store ${file} did not start (${String(error)}).`, { cause: error }))
    worker.once('error', failed)
    worker.once('exit', failed)
    worker.once('message', (message: FromWorker) => {
      worker.removeAllListeners('error').removeAllListeners('exit')
      if (message.kind === 'opened') resolve(message)
      else reject(message.kind === 'failed' ? fromFailure(message.failure) : new SallyportError('internal', 'The thread of the session store spoke out of turn.'))
    })
  })
  return storeOver(worker, { file, clock, log, timing, anySubscription: opened.anySubscription })
}

interface StoreFacts {
  readonly file: string
  readonly clock: () => EpochMs
  readonly log: SessionLog
  readonly timing: Timing | undefined
  readonly anySubscription: boolean
}

function storeOver(worker: Worker, { file, clock, log, timing, ...start }: StoreFacts): SessionStore {
  let waiting: Call[] = []
  let underWay: readonly Call[] = []
  let bytesHeld = 0
  let isScheduled = false
  let sentAt = 0
  let anySubscription = start.anySubscription
  /** Commits with subscriptions that are not answered yet. */
  let subscribing = 0
  let health: StoreHealth = { ok: true }
  /** What was found damaged does not heal, whatever else works. */
  let damage: string | undefined
  /** Why nothing works any longer. */
  let ended: SallyportError | undefined
  let closing: Promise<void> | undefined
  let drained: () => void = () => {}
  const onHealth = listeners<StoreHealth>()

  const setHealth = (next: StoreHealth): void => {
    if (next.ok === health.ok && next.problem === health.problem) return
    health = next
    // What has to be stored is not acknowledged meanwhile; once it writes again, what waited is stored.
    if (next.ok) log('warn', { file }, 'the session store writes again')
    else log('error', { file, problem: next.problem }, damage === undefined && ended === undefined ? 'the session store cannot write' : 'the session store is damaged or has ended')
    onHealth.tell(next)
  }
  const settle = (call: Call, failure: SallyportError | undefined, answer?: unknown): void => {
    bytesHeld -= call.bytes
    if (call.kind === 'commit' && call.subscribes) subscribing--
    if (failure !== undefined) call.reject(failure)
    else if (call.kind === 'read') call.resolve(answer)
  }
  const end = (failure: SallyportError): void => {
    if (ended !== undefined) return
    ended = failure
    const all = [...underWay, ...waiting]
    underWay = []
    waiting = []
    if (closing === undefined) setHealth({ ok: false, problem: failure.message })
    for (const call of all) settle(call, failure)
    drained()
  }

  const send = (): void => {
    isScheduled = false
    if (ended !== undefined || underWay.length > 0 || waiting.length === 0) return
    const count = batchLength(waiting)
    const calls = waiting.slice(0, count)
    waiting = waiting.slice(count)
    const { message, bodies, packed } = packBatch(calls, clock())
    // A commit that cannot be packed was never a commit.
    for (const [call, error] of packed.failed) settle(call, new SallyportError('internal', `A change could not be written down (${String(error)}).`, { cause: error }))
    underWay = packed.calls
    if (underWay.length === 0) return send()
    worker.ref()
    sentAt = performance.now()
    worker.postMessage(message, [bodies])
  }
  const receive = (answer: Extract<FromWorker, { readonly kind: 'answer' }>): void => {
    const calls = underWay
    underWay = []
    if (answer.committed.length > 0) timing?.('session-commit', (performance.now() - sentAt) / MS_A_SECOND)
    anySubscription = answer.anySubscription
    // First the next batch: while answers are handed out, the thread works.
    if (waiting.length > 0) send()
    if (underWay.length === 0) worker.unref()
    handOut(calls, answer, settle, (failure) => {
      if (failure.code !== 'database-corrupt') return
      damage ??= failure.message
      setHealth({ ok: false, problem: damage })
    })
    if (underWay.length === 0 && waiting.length === 0) drained()
  }

  const hear = (problem: string | undefined): void => setHealth(problem === undefined ? { ok: true } : { ok: false, problem })
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'answer') receive(message)
    else if (message.kind === 'failed') end(fromFailure(message.failure))
    else if (message.kind === 'health') hear(message.problem ?? damage)
  })
  const gone = (why: unknown): void => end(new SallyportError('internal', `The thread of the session store ${file} ended (${String(why)}).`, { cause: why }))
  worker.on('error', gone)
  worker.on('messageerror', gone)
  worker.on('exit', gone)
  worker.unref()

  const refusal = (bytes: number): SallyportError | undefined => {
    if (ended !== undefined) return ended
    if (closing !== undefined) return new SallyportError('internal', `The session store ${file} is closed.`)
    if (bytes === 0 || bytesHeld + bytes <= SESSION_LIMITS.changesWaitingBytesMax) return undefined
    return new SallyportError('store-overloaded', 'Too much waits to be stored.', { fix: 'Look for a full, failing or slow disk: the server takes no more until it has stored what waits.' })
  }
  const enter = (call: Call): void => {
    // What ends or changes a session has no body, is small, and must not be forgotten because messages are too many.
    const refused = refusal(call.kind === 'commit' && call.bodies === 0 ? 0 : call.bytes)
    if (refused !== undefined) return call.reject(refused)
    bytesHeld += call.bytes
    if (call.kind === 'commit' && call.subscribes) subscribing++
    waiting.push(call)
    if (isScheduled || underWay.length > 0) return
    isScheduled = true
    // Not at once: what the same turn of the event loop brings shares the fsync.
    setImmediate(send)
  }
  const read = <K extends ReadRequest['kind']>(request: ReadRequest & { readonly kind: K }): Promise<ReadAnswers[K]> =>
    new Promise((resolve, reject) => enter({ kind: 'read', request, bytes: SESSION_LIMITS.waitingCallBytes, resolve: (answer) => resolve(answer as ReadAnswers[K]), reject }))

  return {
    commit: (changes) =>
      new Promise((resolve, reject) => {
        const { bodies, texts } = measure(changes)
        enter({ kind: 'commit', changes, bodies, bytes: bodies + texts + SESSION_LIMITS.waitingCallBytes, subscribes: changes.some((c) => c.kind === 'subscribed'), resolve, reject })
      }),
    session: (key) => read({ kind: 'session', key }),
    siblings: (owner) => read({ kind: 'siblings', owner }),
    queue: async (key, after, page) => {
      const { items, complete } = await read({ kind: 'queue', key, after, ...page })
      return { complete, items: items.map(({ body, identifiers, ...row }) => ({ ...row, identifiers: identifiers === '' ? [] : identifiers.split(',').map(Number), stage: body === undefined ? { kind: 'pubrel' } : { kind: 'publish', message: decodeMessage(body) } })) }
    },
    holders: (topic) => read({ kind: 'holders', topic }),
    get anySubscription() {
      return anySubscription || subscribing > 0
    },
    retained: async (filter, after, limit) => {
      const { items, next } = await read({ kind: 'retained', filter, after, limit })
      return { items: items.map(({ body, publisher }) => ({ message: decodeMessage(body), publisher: publisherOf(publisher) })), next }
    },
    due: async (now, limit) => {
      const { wills, ...due } = await read({ kind: 'due', now, limit })
      return { ...due, wills: wills.map(({ body, publisher, delaySeconds, id }) => ({ id, publisher: publisherOf(publisher), message: decodeMessage(body), delaySeconds })) }
    },
    sessions: (after, limit) => read({ kind: 'sessions', after, limit }),
    get health() {
      return health
    },
    onHealth: onHealth.add,
    close: () => (closing ??= close()),
  }

  async function close(): Promise<void> {
    const closed = new SallyportError('internal', `The session store ${file} was closed before this could be stored.`)
    await bounded(new Promise<void>((resolve) => {
      drained = resolve
      if (ended !== undefined || (underWay.length === 0 && waiting.length === 0)) resolve()
    }))
    const clean = ended === undefined && underWay.length === 0 && waiting.length === 0
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    end(closed)
    if (worker.threadId === -1) return
    worker.ref()
    if (clean) {
      const message: ToWorker = { kind: 'close' }
      worker.postMessage(message, [])
      await bounded(exited)
    }
    await worker.terminate()
  }
}

/** Waits for it, but not for ever. */
async function bounded(work: Promise<void>): Promise<void> {
  const stop = new AbortController()
  await Promise.race([work, sleep(BROKER_LIMITS.drainMs, undefined, { signal: stop.signal }).catch(() => {})])
  stop.abort()
}

/** Throws for what cannot be kept, before it shares a transaction with others. */
function measure(changes: readonly SessionChange[]): { readonly bodies: number; readonly texts: number } {
  let bodies = 0
  let texts = 0
  for (const change of changes) {
    if (change.kind === 'subscribed') filterLevels(change.subscription.filter)
    const bytes = changeBytes(change)
    bodies += bytes.bodies
    texts += bytes.texts
  }
  return { bodies, texts }
}

function batchLength(waiting: readonly Call[]): number {
  let bytes = 0
  let count = 0
  for (const call of waiting) {
    bytes += call.bytes
    if (count > 0 && (bytes > SESSION_LIMITS.batchBytesMax || count >= SESSION_LIMITS.callsPerBatchMax)) break
    count++
  }
  return count
}

interface PackedBatch {
  readonly message: ToWorker
  readonly bodies: ArrayBuffer
  readonly packed: { readonly calls: readonly Call[]; readonly failed: readonly (readonly [Call, unknown])[] }
}

function packBatch(calls: readonly Call[], now: EpochMs): PackedBatch {
  const size = calls.reduce((sum, call) => sum + (call.kind === 'commit' ? call.bodies : 0), 0)
  const bodies = new ArrayBuffer(size)
  const packed: Packed = { items: [], bodies: Buffer.from(bodies), end: 0 }
  const failed: (readonly [Call, unknown])[] = []
  const good: Call[] = []
  for (const call of calls) {
    const start = packed.items.length
    const end = packed.end
    try {
      if (call.kind === 'commit') pack(call.changes, packed)
      good.push(call)
    } catch (error) {
      packed.items.length = start
      packed.end = end
      failed.push([call, error])
    }
  }
  const reads = good.flatMap((call) => (call.kind === 'read' ? [call.request] : []))
  const message: ToWorker = { kind: 'batch', now, commits: good.length - reads.length, items: packed.items, bodies: new Uint8Array(bodies), reads }
  return { message, bodies, packed: { calls: good, failed } }
}

function handOut(
  calls: readonly Call[],
  answer: Extract<FromWorker, { readonly kind: 'answer' }>,
  settle: (call: Call, failure: SallyportError | undefined, answer?: unknown) => void,
  failed: (failure: SallyportError) => void,
): void {
  const from: Unpacking = { items: answer.committed, bodies: new Uint8Array(), at: 0, bodiesAt: 0 }
  let commits = 0
  let reads = 0
  for (const call of calls) {
    if (call.kind === 'commit') {
      const failure = answer.failures[commits++]
      settle(call, failure === undefined ? undefined : fromFailure(failure))
      if (failure === undefined) call.resolve(unpackCommitted(from))
    } else {
      const outcome = answer.reads[reads++]
      const failure = outcome === undefined ? new SallyportError('internal', 'A read was left without an answer.') : 'failure' in outcome ? fromFailure(outcome.failure) : undefined
      if (failure !== undefined) failed(failure)
      settle(call, failure, outcome !== undefined && 'value' in outcome ? outcome.value : undefined)
    }
  }
}

function publisherOf({ facts, leaf }: PublisherBytes): Publisher {
  const [key, device, clientId, issuer, serial] = JSON.parse(facts) as readonly [SessionKey, DeviceId, string, CaName, SerialNumber]
  return { key, device, clientId, issuer, serial, leaf }
}
