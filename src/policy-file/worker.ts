// The thread that parses: the YAML parser cannot be interrupted, and here it interrupts nobody. It hands a piece over
// whenever it is asked for one, so that pieces do not pile up before a busy event loop.

import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { PolicyText } from '../core/policy-desk.ts'
import type { Problem } from '../core/source-tree.ts'
import { packTree, type TreeChunk } from './chunks.ts'
import { readSource } from './source.ts'

export interface ParserStart {
  readonly texts: readonly PolicyText[]
}

/** One for each time that it is asked; `end` is the last, and what is asked beyond it is not answered. */
export type FromParser = TreeChunk | { readonly kind: 'problems'; readonly problems: readonly Problem[] } | { readonly kind: 'end' }

function* pieces({ texts }: ParserStart): Generator<FromParser> {
  for (const { name, text } of texts) {
    const { tree, problems } = readSource(name, text)
    if (problems.length > 0) yield { kind: 'problems', problems }
    if (tree !== undefined) yield* packTree(name, tree)
  }
  yield { kind: 'end' }
}

function serve(port: MessagePort, start: ParserStart): void {
  const all = pieces(start)
  port.on('message', () => {
    const next = all.next()
    if (next.done === true) port.close()
    else port.postMessage(next.value, [])
  })
}

// The parser asks for an environment variable at every token, and each time it is fetched from the system: a quarter of its time.
process.env = {}
if (parentPort !== null) serve(parentPort, workerData as ParserStart)
