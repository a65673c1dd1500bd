// The thread of the enrollment door: strangers' handshakes, headers and bodies are read here, and hold up nobody's messages. What it
// asks of the rest of the program is bounded in number and in rate; where there are not enough cores, it is the one that waits.

import { readlinkSync } from 'node:fs'
import os from 'node:os'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { REASONS } from '../vocabulary.ts'
import type { AuditEvent } from '../core/audit.ts'
import { deny, type Decision } from '../core/decision.ts'
import { openRates } from '../core/rates.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import type { Certified } from './est.ts'
import { openEnrollServer, type EnrollServer } from './server.ts'
import { fromFailure, toFailure, type Facts, type FromThread, type Question, type ThreadStart, type ToThread } from './wire.ts'

type Settle = { resolve(decision: Decision<Certified>): void; reject(error: Error): void }

/** Questions that are under way, those that wait for their turn, and no more. */
function openQuestions(say: (message: FromThread) => void): { ask(question: Question): Promise<Decision<Certified>>; settle(id: number, how: (settle: Settle) => void): void } {
  const withinRate = openRates({ perSecond: DOOR_LIMITS.questionsPerSecond, burst: DOOR_LIMITS.questionsBurst }, 1)
  const underWay = new Map<number, Settle>()
  const waiting: (() => void)[] = []
  let last = 0
  return {
    async ask(question) {
      if (waiting.length >= DOOR_LIMITS.questionsWaitingMax || !withinRate('all', Date.now())) return deny('enrollment-busy')
      while (underWay.size >= DOOR_LIMITS.questionsAtOnceMax) await new Promise<void>((resolve) => waiting.push(resolve))
      const id = ++last
      const answered = new Promise<Decision<Certified>>((resolve, reject) => underWay.set(id, { resolve, reject }))
      say({ kind: 'question', id, question })
      return answered
    },
    settle(id, how) {
      const settle = underWay.get(id)
      underWay.delete(id)
      if (settle !== undefined) how(settle)
      waiting.shift()?.()
    },
  }
}

/** Refusals go in bundles: a flood of them must not be one of messages between threads. Beyond what a bundle holds they are counted. */
function openBundles(say: (message: FromThread) => void): (event: AuditEvent) => void {
  let events: AuditEvent[] = []
  let beyond = new Map<string, AuditEvent & { readonly kind: 'refusals-suppressed' }>()
  function flush(): void {
    say({ kind: 'events', events: [...events, ...beyond.values()] })
    events = []
    beyond = new Map()
  }
  return (event) => {
    if (events.length === 0) setTimeout(flush, DOOR_LIMITS.bundleMs)
    if (events.length < DOOR_LIMITS.bundleEventsMax || event.kind !== 'refusal') return void events.push(event)
    const { at, reason } = event
    beyond.set(reason, { kind: 'refusals-suppressed', at, reason, step: REASONS[reason].step, count: (beyond.get(reason)?.count ?? 0) + 1 })
  }
}

/** Where there are fewer cores than work, devices that are connected come first. What the system does not allow is not needed. */
function stepBack(): void {
  try {
    os.setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), DOOR_LIMITS.niceness)
  } catch {
    // No Linux, or not permitted.
  }
}

async function serve(port: MessagePort, { listen, tls, ...start }: ThreadStart): Promise<void> {
  const say = (message: FromThread): void => port.postMessage(message, [])
  let facts: Facts = start.facts
  const questions = openQuestions(say)
  const record = openBundles(say)
  let server: EnrollServer
  try {
    server = await openEnrollServer({
      listen, tls, clock: Date.now, audit: { record }, log: (level, about, message) => say({ kind: 'log', level, facts: about, message }),
      enrollments: {
        withToken: (request) => questions.ask({ method: 'withToken', request }),
        renew: (request) => questions.ask({ method: 'renew', request }),
        caCertificates: () => facts.caCertificates, labels: () => facts.labels, rules: () => facts.rules,
      },
    })
  } catch (error) {
    say({ kind: 'failed', failure: toFailure(error) })
    return port.close()
  }
  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'answer':
        return questions.settle(message.id, ({ resolve }) => resolve(message.decision))
      case 'failure':
        return questions.settle(message.id, ({ reject }) => reject(fromFailure(message.failure)))
      case 'facts':
        facts = message.facts
        return say({ kind: 'facts-taken', id: message.id })
      case 'tls':
        return server.prepare(message.tls)()
      case 'close':
        return void close()
    }
  })
  async function close(): Promise<void> {
    await server.close()
    // The last bundle is on its way by then.
    setTimeout(() => port.close(), DOOR_LIMITS.bundleMs)
  }
  say({ kind: 'opened', address: server.address })
}

if (parentPort !== null) {
  stepBack()
  await serve(parentPort, workerData as ThreadStart)
}
