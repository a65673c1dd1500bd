// The enrollment door on a thread of its own, as the rest of the program sees it: it asks, and is answered. A thread that ends is
// started again on the same port; whoever was being answered asks again.

import path from 'node:path'
import { createSecureContext } from 'node:tls'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SallyportError } from '../core/errors.ts'
import type { PublishDesk } from '../core/https-publish.ts'
import type { Trace } from '../core/trace.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import { openAsked } from './publish/asked.ts'
import type { EnrollServer, EnrollServerPorts, EnrollTls } from './server.ts'
import { fromFailure, toFailure, type Facts, type FromThread, type Question, type ThreadStart, type ToThread } from './wire.ts'

export interface EnrollDoor extends EnrollServer {
  /** What the door answers by itself (CAs, labels, rules) may have changed: resolves when it knows. */
  refresh(): Promise<void>
}

/** By what somebody asked, as it is told outside. */
const KINDS: Readonly<Record<Question['method'], string>> = { withToken: 'token', withCertificate: 'certificate', renew: 'renewal' }

export type Begin = (start: ThreadStart) => Worker

const begun: Begin = (start) => new Worker(new URL(`thread${path.extname(import.meta.filename)}`, import.meta.url), { name: 'enroll', workerData: start, resourceLimits: { maxOldGenerationSizeMb: DOOR_LIMITS.heapMiBMax } })

export interface EnrollDoorPorts extends Omit<EnrollServerPorts, 'clock' | 'publish'> {
  /** Publishes what is posted. Absent: nothing is. */
  readonly desk?: PublishDesk
  /** Hears of each request that was decided. */
  readonly trace?: Trace
}

/** Opens the port. Failure: 'port-in-use'. The clock of the door itself is that of the machine. */
export async function openEnrollDoor({ listen, tls, enrollments, desk, audit, log, trace }: EnrollDoorPorts, begin: Begin = begun): Promise<EnrollDoor> {
  const factsNow = (): Facts => ({ caCertificates: enrollments.caCertificates(), labels: enrollments.labels(), rules: enrollments.rules(), packetBytesMax: desk?.packetBytesMax })
  const refreshed = new Map<number, () => void>()
  const closing = new AbortController()
  let [inForce, lastRefresh] = [tls, 0]

  function send(worker: Worker, message: ToThread): void {
    worker.postMessage(message, [])
  }

  function decide({ method, request }: Question): ReturnType<EnrollServerPorts['enrollments']['renew']> {
    switch (method) {
      case 'withToken':
        return enrollments.withToken(request)
      case 'withCertificate':
        return enrollments.withCertificate(request)
      case 'renew':
        return enrollments.renew(request)
    }
  }

  async function answer(worker: Worker, id: number, question: Question): Promise<void> {
    const begunAt = Date.now()
    try {
      const decision = await decide(question)
      trace?.({ name: 'enroll', begunAt, endedAt: Date.now(), attributes: { 'sallyport.enrollment': KINDS[question.method] }, ...(decision.allow ? {} : { reason: decision.reason }) })
      send(worker, { kind: 'answer', id, decision })
    } catch (error) {
      send(worker, { kind: 'failure', id, failure: toFailure(error) })
    }
  }

  const asked = openAsked(desk, log)
  desk?.onEnd((caller) => send(worker, { kind: 'end', caller }))

  function hear(worker: Worker, message: FromThread): void {
    switch (message.kind) {
      case 'introduce':
      case 'post':
      case 'gone':
        return void asked(message, (answer) => send(worker, answer))
      case 'question':
        return void answer(worker, message.id, message.question)
      case 'events':
        return message.events.forEach((event) => audit.record(event))
      case 'log':
        return log(message.level, message.facts, message.message)
      case 'facts-taken':
        refreshed.get(message.id)?.()
        return void refreshed.delete(message.id)
      case 'opened':
      case 'failed':
    }
  }

  /** A thread that serves, and where. */
  async function start(where: EnrollServerPorts['listen']): Promise<{ readonly worker: Worker; readonly address: EnrollServer['address'] }> {
    const worker = begin({ listen: where, tls: inForce, facts: factsNow() })
    // One that never speaks is waited for only as long as somebody wants a door.
    const giveUp = (): void => void worker.terminate()
    closing.signal.addEventListener('abort', giveUp)
    const address = await new Promise<EnrollServer['address']>((resolve, reject) => {
      const failed = (error: unknown): void => reject(new SallyportError('internal', `The thread of the enrollment door did not start (${String(error)}).`, { cause: error }))
      worker.once('error', failed)
      worker.once('exit', failed)
      worker.once('message', (message: FromThread) => {
        worker.removeAllListeners('error').removeAllListeners('exit')
        if (message.kind === 'opened') resolve(message.address)
        else reject(message.kind === 'failed' ? fromFailure(message.failure) : new SallyportError('internal', 'The thread of the enrollment door spoke out of turn.'))
      })
    }).finally(() => closing.signal.removeEventListener('abort', giveUp))
    worker.on('message', (message: FromThread) => hear(worker, message))
    worker.once('error', (error) => log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'the thread of the enrollment door failed'))
    return { worker, address }
  }

  const first = await start(listen)
  const { address } = first
  let worker = first.worker
  const life = keep()

  /** Until the door is closed there is a thread. */
  async function keep(): Promise<void> {
    for (;;) {
      // What it failed of is another event, and logged.
      await new Promise((resolve) => worker.once('exit', resolve))
      desk?.allGone()
      while (!closing.signal.aborted && !(await restarted())) await delay(DOOR_LIMITS.restartMs)
      if (closing.signal.aborted) return
    }
  }

  async function restarted(): Promise<boolean> {
    try {
      const started = await start(address)
      worker = started.worker
      // What was said meanwhile was said to the one before.
      if (closing.signal.aborted) await worker.terminate()
      send(worker, { kind: 'tls', tls: inForce })
      for (const id of refreshed.keys()) send(worker, { kind: 'facts', id, facts: factsNow() })
      log('warn', {}, 'the enrollment door serves again')
      return true
    } catch (error) {
      log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'the enrollment door cannot be opened again')
      return false
    }
  }

  function refresh(): Promise<void> {
    // There is nobody any more to be told.
    if (closing.signal.aborted) return Promise.resolve()
    const id = ++lastRefresh
    return new Promise((resolve) => {
      refreshed.set(id, resolve)
      send(worker, { kind: 'facts', id, facts: factsNow() })
    })
  }

  return {
    address, refresh,
    prepare(next: EnrollTls) {
      // Throws before anything is given up.
      createSecureContext({ key: next.key, cert: next.cert, ca: [...next.anchors] })
      return () => {
        inForce = next
        send(worker, { kind: 'tls', tls: next })
        // What else has changed with it is known when this turn is over.
        setImmediate(() => void refresh())
      }
    },
    async close() {
      closing.abort()
      send(worker, { kind: 'close' })
      const deadline = setTimeout(() => void worker.terminate(), DOOR_LIMITS.closeMs)
      await life
      clearTimeout(deadline)
      for (const done of refreshed.values()) done()
    },
  }
}
