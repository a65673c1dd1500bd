// Compiles a policy while messages flow: a thread parses, and what is read of it here is read in slices, between which
// everybody else has a turn. Whatever goes wrong, there is a policy or a failure, and no thread left.

import { on, once } from 'node:events'
import { totalmem } from 'node:os'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SallyportError } from '../core/errors.ts'
import type { PolicyText } from '../core/policy-desk.ts'
import { PolicyReader } from '../core/policy/read-document.ts'
import type { CompiledPolicy } from '../core/policy/compile.ts'
import type { Problem } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { needPolicy, POLICY_TOOLS, policyOf, type LoadedPolicy } from '../policy-file.ts'
import { TreeUnpacker } from './chunks.ts'
import { readPolicyTexts, sha256OfTexts } from './files.ts'
import type { FromParser, ParserStart } from './worker.ts'

const YOUNG_MIB = 64
const MiB = 1_024 * 1_024

/** At most half of the memory that this process may have: a policy that is a bomb must not be what ends the server. */
function parserMiB(): number {
  const allowed = process.constrainedMemory()
  const memory = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()
  return Math.min(POLICY_LIMITS.parserMiBMax, Math.floor(memory / 2 / MiB))
}

/** Reads and compiles the policy with this main file. Failures: those of `readPolicyTexts` and of `compileInBackground`. */
export async function loadPolicyInBackground(policyFile: string, generation: number, signal?: AbortSignal): Promise<LoadedPolicy> {
  const over = overAfter(signal)
  const texts = await orFailure(() => unlessOver(readPolicyTexts(policyFile), over), over, signal)
  return { texts, sha256: sha256OfTexts(texts), policy: await compileInBackground(texts, generation, signal) }
}

/**
 * All files of a policy, in whatever order; none grants nothing. Failure: 'policy-invalid', with all problems or because it took
 * too much time or memory; the reason of `signal`, when that ends it.
 */
export function compileInBackground(texts: readonly PolicyText[], generation: number, signal?: AbortSignal): Promise<CompiledPolicy> {
  const parser = new Worker(new URL(`worker${path.extname(import.meta.filename)}`, import.meta.url), {
    name: 'policy',
    workerData: { texts } satisfies ParserStart,
    // What it parses lives until it is handed over: with the usual room for young objects all of it would be copied again and again.
    resourceLimits: { maxOldGenerationSizeMb: parserMiB(), maxYoungGenerationSizeMb: YOUNG_MIB },
  })
  return compileThrough(parser, generation, signal)
}

/** The same through a thread that has been started, and that is ended here. */
export async function compileThrough(parser: Worker, generation: number, signal?: AbortSignal): Promise<CompiledPolicy> {
  const gone = new AbortController()
  parser.on('error', (error) => gone.abort(error))
  parser.on('messageerror', (error) => gone.abort(error))
  // What it said before it ended is known by then, but perhaps not read yet.
  let isWhole = false
  parser.on('message', ({ kind }: FromParser) => (isWhole ||= kind === 'end'))
  parser.on('exit', () => isWhole || gone.abort(new Error('the thread that parses has ended')))
  const over = overAfter(signal, gone.signal)
  try {
    return await orFailure(async () => {
      const reader = new PolicyReader(POLICY_TOOLS)
      const problems = await readPieces(parser, reader, over)
      return needPolicy(policyOf(await inSlices(reader.end(), over), problems, generation))
    }, over, signal)
  } finally {
    await parser.terminate()
  }
}

async function orFailure<T>(work: () => Promise<T>, over: AbortSignal, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof SallyportError) throw error
    throw new SallyportError('policy-invalid', `The policy could not be read (${wordsOf(over.reason ?? error)}).`, { fix: 'Make it smaller, or read it again; what was in force stays in force.', cause: error })
  }
}

/** Reads what the parser hands over; returns the problems that it found. What has been read of a tree need not be kept. */
async function readPieces(parser: Worker, reader: PolicyReader, over: AbortSignal): Promise<readonly Problem[]> {
  const unpacker = new TreeUnpacker()
  const problems: Problem[] = []
  const ask = (): void => parser.postMessage('next', [])
  over.throwIfAborted()
  const answers = on(parser, 'message', { signal: over })
  // One is made ready while another is read.
  ask()
  ask()
  for await (const [answer] of answers) {
    const piece = answer as FromParser
    if (piece.kind === 'end') return problems
    ask()
    if (piece.kind === 'problems') problems.push(...piece.problems)
    else {
      const found = unpacker.unpack(piece)
      await inSlices(found.kind === 'top' ? reader.file(found.tree) : reader.more(found.entry, found.content), over)
      // Messages that come while one is worked on would be handed over in the same turn, one after the other.
      await turn()
    }
  }
  return problems
}

function overAfter(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any([AbortSignal.timeout(POLICY_LIMITS.readMs), ...signals.filter((signal) => signal !== undefined)])
}

/** A disk that does not answer cannot be told to stop; but nobody need wait for it. */
async function unlessOver<T>(work: Promise<T>, over: AbortSignal): Promise<T> {
  const ended = async (): Promise<never> => {
    if (!over.aborted) await once(over, 'abort')
    throw over.reason
  }
  return Promise.race([work, ended()])
}

/** Runs steps to their end, for at most `sliceMs` at a time. */
async function inSlices<T>(steps: Generator<void, T>, over: AbortSignal): Promise<T> {
  for (;;) {
    const until = performance.now() + POLICY_LIMITS.sliceMs
    do {
      const step = steps.next()
      if (step.done === true) return step.value
    } while (performance.now() < until)
    await turn()
    over.throwIfAborted()
  }
}

function wordsOf(reason: unknown): string {
  if (reason instanceof Error && reason.name === 'TimeoutError') return `it took longer than ${POLICY_LIMITS.readMs} ms`
  return reason instanceof Error ? reason.message : String(reason)
}
