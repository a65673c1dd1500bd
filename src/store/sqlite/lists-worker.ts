// The thread that reads lists of the registry, by a connection that cannot write: what an operator looks for is looked for here, while messages
// flow elsewhere. It knows questions and answers, and keeps nothing.

import { readlinkSync } from 'node:fs'
import os from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { FailureCode } from '../../core/errors.ts'
import type { Lists } from '../../core/registry.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { databaseFailure } from './database.ts'
import { prepareReader, type Reader } from './read.ts'

export interface ListsStart {
  readonly file: string
}

export type ListName = keyof Lists

export interface ListQuestion {
  readonly number: number
  readonly name: ListName
  readonly query: unknown
}

export type ListAnswer =
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly failure: { readonly code: FailureCode; readonly message: string; readonly fix: string | undefined } }

/** Behind the messages where cores are few, and before what nobody waits for. */
const NICE = 5

/** Of this thread alone: Linux has a number and a priority for each. Elsewhere, or where it may not, it has that of the others. */
function stepBack(): void {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    os.setPriority(thread, os.getPriority(thread) + NICE)
  } catch {
    // A list comes as soon as it comes.
  }
}

function serve(port: MessagePort, { file }: ListsStart): void {
  let reader: Reader | undefined
  const open = (): Reader => prepareReader(new DatabaseSync(file, { readOnly: true, timeout: REGISTRY_LIMITS.databaseBusyMs, defensive: true }))
  port.on('message', ({ number, name, query }: ListQuestion) => {
    try {
      reader ??= open()
      // The name and its query were put together by `openLists`.
      const read = reader[name] as (query: unknown) => unknown
      port.postMessage({ number, value: read(query) } satisfies ListAnswer, [])
    } catch (error) {
      const { code, message, fix } = databaseFailure(file, error)
      port.postMessage({ number, failure: { code, message, fix } } satisfies ListAnswer, [])
    }
  })
}

if (parentPort !== null) {
  stepBack()
  serve(parentPort, workerData as ListsStart)
}
