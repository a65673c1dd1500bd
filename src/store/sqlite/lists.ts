// Lists of the registry as the main thread asks for them: of a thread that has a connection of its own, which cannot write. It is started when
// somebody asks first, and again when it was ended; whatever becomes of it, every question is answered or refused.

import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { deny } from '../../core/decision.ts'
import { failureOf, SallyportError } from '../../core/errors.ts'
import type { Lists } from '../../core/registry.ts'
import { LIST_LIMITS } from '../../http-limits.ts'
import type { ListAnswer, ListName, ListQuestion, ListsStart } from './lists-worker.ts'

export interface OpenLists extends Lists, AsyncDisposable {}

interface Waiting {
  resolve(value: unknown): void
  reject(failure: SallyportError): void
}

/** What `openLists` starts; tests give it a thread that fails. */
export type BeginThread = (start: ListsStart) => Worker

const begun: BeginThread = (workerData) => new Worker(new URL(`lists-worker${path.extname(import.meta.filename)}`, import.meta.url), { name: 'lists', workerData, resourceLimits: { maxOldGenerationSizeMb: LIST_LIMITS.heapMiBMax } })

/** The registry in `file` is open already, and has been migrated. Nothing is started before the first question. */
export function openLists(file: string, begin: BeginThread = begun, answerMs: number = LIST_LIMITS.answerMs): OpenLists {
  const waiting = new Map<number, Waiting>()
  let thread: Worker | undefined
  let deadline: NodeJS.Timeout | undefined
  let last = 0
  let isClosed = false

  /** It answers one question after the other: one that takes too long is the first that waits. */
  function watch(): void {
    clearTimeout(deadline)
    if (waiting.size === 0) return
    deadline = setTimeout(() => end(thread, new SallyportError('internal', `The registry ${file} took longer than ${answerMs} ms to read a list.`, { fix: 'Look for a disk that hangs; what asks for less is answered sooner.' })), answerMs)
  }

  function end(which: Worker | undefined, failure: SallyportError): void {
    if (which === undefined || which !== thread) return
    thread = undefined
    const all = [...waiting.values()]
    waiting.clear()
    clearTimeout(deadline)
    // Its own end was heard of, or is nobody's business any longer.
    void which.terminate()
    for (const each of all) each.reject(failure)
  }

  function start(): Worker {
    const started = begin({ file })
    const ended = (cause?: unknown): void => end(started, new SallyportError('internal', `The thread that reads lists of the registry has ended${cause instanceof Error ? ` (${cause.message})` : ''}.`, { cause }))
    started.on('error', ended)
    started.on('messageerror', ended)
    started.on('exit', () => ended())
    started.on('message', (answer: ListAnswer) => {
      const found = waiting.get(answer.number)
      if (started !== thread || found === undefined) return
      waiting.delete(answer.number)
      watch()
      if (waiting.size === 0) started.unref()
      if ('failure' in answer) found.reject(new SallyportError(answer.failure.code, answer.failure.message, answer.failure.fix === undefined ? {} : { fix: answer.failure.fix }))
      else found.resolve(answer.value)
    })
    return started
  }

  function ask<Name extends ListName>(name: Name, query: Parameters<Lists[Name]>[0]): ReturnType<Lists[Name]> {
    const answered = new Promise((resolve, reject) => {
      if (isClosed) throw new SallyportError('internal', `The registry ${file} is closed.`)
      if (waiting.size >= LIST_LIMITS.waitingMax) throw failureOf(deny('registry-unavailable', 'too many lists are asked for at once'))
      thread ??= start()
      // A process that waits for an answer goes on; one that does not may end.
      thread.ref()
      waiting.set(++last, { resolve, reject })
      if (waiting.size === 1) watch()
      thread.postMessage({ number: last, name, query } satisfies ListQuestion, [])
    })
    return answered as ReturnType<Lists[Name]>
  }

  return {
    devices: (query) => ask('devices', query),
    certificates: (query) => ask('certificates', query),
    journal: (query) => ask('journal', query),
    devicesByState: () => ask('devicesByState', undefined),
    async [Symbol.asyncDispose]() {
      isClosed = true
      const closing = thread
      end(thread, new SallyportError('internal', `The registry ${file} is closed.`))
      await closing?.terminate()
    },
  }
}
