// The program's end of the pipe: a signer in a process of its own, started again when it ends, killed when it hangs. It knows
// neither the key nor the rules; what it promises is that every request is answered, with a signature or with a failure.

import type { ChildProcess } from 'node:child_process'
import { FAILURES, SallyportError, type FailureCode } from '../core/errors.ts'
import { SIGNER_LIMITS } from '../signer-limits.ts'
import { encodeFrame, FRAME, frameReader, type Frame } from './frames.ts'

export interface SignerProcessPorts {
  /** Starts the process: its stdin and stdout are pipes. */
  readonly start: () => ChildProcess
  readonly log: (level: 'info' | 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
  readonly limits?: Readonly<Record<'answerMs' | 'openMs' | 'restartMs', number>>
}

export interface SignerProcess extends AsyncDisposable {
  /** Resolves when the first process has opened the key; rejects with what it failed of: 'key-unreadable', 'key-permissions', 'passphrase-wrong', 'signer-unavailable'. */
  readonly opened: Promise<void>
  /** Of the process that runs now. */
  readonly pid: number | undefined
  /** Failures: 'signer-unavailable' when there is no signer or it does not answer, 'issuance-mismatch' when it refuses; those of `opened` until it was open once. Signs nothing twice by itself. */
  sign(tbs: Uint8Array): Promise<Uint8Array>
  /** The same for a TBSCertList of this issuer: its number must be greater than that of the last one of its kind that this process signed. */
  signCrl(tbs: Uint8Array): Promise<Uint8Array>
}

interface Waiting {
  resolve(signature: Uint8Array): void
  reject(failure: SallyportError): void
}

const HEAD_BYTES = 16
/** What fits into a frame. */
const bytesMaxFor = { [FRAME.sign]: SIGNER_LIMITS.frameBytesMax - HEAD_BYTES, [FRAME.signCrl]: SIGNER_LIMITS.crlBytesMax - HEAD_BYTES } as const

function unavailable(why: string, fix = 'Ask again in a few seconds. If it stays so, look into the log of the server: it says why the signer ended.'): SallyportError {
  return new SallyportError('signer-unavailable', `Nothing can be signed now: ${why}.`, { fix })
}

export function openSignerProcess(ports: SignerProcessPorts): SignerProcess {
  const limits: Readonly<Record<'answerMs' | 'openMs' | 'restartMs', number>> = ports.limits ?? SIGNER_LIMITS
  const waiting = new Map<number, Waiting>()
  const deadlines = new Map<number, NodeJS.Timeout>()
  const first = Promise.withResolvers<undefined>()
  // Whoever does not wait for it is told by its requests.
  first.promise.catch(() => {})
  let child: ChildProcess | undefined
  let restart: NodeJS.Timeout | undefined
  let pauseMs = limits.restartMs
  let lastFailure: SallyportError | undefined
  let nextId = 1
  let closed = false
  let isOpen = false
  let wasOpen = false

  function settle(id: number): Waiting | undefined {
    const one = waiting.get(id)
    waiting.delete(id)
    clearTimeout(deadlines.get(id))
    deadlines.delete(id)
    return one
  }

  /** From when the key is open: what waits for that is bounded by `openMs`, and is no sign of a signer that hangs. */
  function arm(id: number, running: ChildProcess): void {
    deadlines.set(id, setTimeout(() => kill(running, 'it did not answer in time'), limits.answerMs))
  }

  function take({ id, kind, body }: Frame, from: ChildProcess): void {
    const text = (): string => Buffer.from(body).toString('utf8')
    switch (kind) {
      case FRAME.ready:
        lastFailure = undefined
        isOpen = true
        wasOpen = true
        for (const each of waiting.keys()) arm(each, from)
        first.resolve(undefined)
        return
      case FRAME.failed:
        lastFailure = parseFailure(text())
        return
      case FRAME.signature:
        pauseMs = limits.restartMs
        settle(id)?.resolve(body)
        return
      case FRAME.refused:
        settle(id)?.reject(new SallyportError('issuance-mismatch', `The signer refused to sign: ${text()}. Nothing was handed out.`, { fix: 'Report this: the program asked its signer for what the journal does not say. The serial number is recorded as planned.' }))
        return
      case FRAME.sign:
      case FRAME.signCrl:
        throw new RangeError('a signer asks nothing')
    }
  }

  function start(): void {
    const started = ports.start()
    child = started
    const read = frameReader()
    const opening = setTimeout(() => kill(started, 'it did not open its key in time'), limits.openMs)
    started.stdout?.on('data', (chunk: Uint8Array) => {
      try {
        for (const frame of read(chunk)) {
          if (frame.kind === FRAME.ready || frame.kind === FRAME.failed) clearTimeout(opening)
          take(frame, started)
        }
      } catch {
        kill(started, 'it answered with something that is no answer')
      }
    })
    // A pipe that breaks is told of by the end of the process.
    started.stdin?.on('error', () => {})
    started.once('error', (error) => over(started, opening, error.message)).once('close', (code, signal) => over(started, opening, signal ?? `exit code ${code ?? 0}`))
  }

  function kill(hanging: ChildProcess, why: string): void {
    ports.log('warn', { pid: hanging.pid, why }, 'the signer is killed')
    hanging.kill('SIGKILL')
  }

  function over(ended: ChildProcess, opening: NodeJS.Timeout, how: string): void {
    clearTimeout(opening)
    if (child !== ended) return
    child = undefined
    isOpen = false
    const failure = lostBy(`the signer has ended (${how})`)
    for (const id of waiting.keys()) settle(id)?.reject(failure)
    first.reject(failure)
    if (closed) return
    ports.log('warn', { how, error: lastFailure?.message, restartMs: pauseMs }, 'the signer has ended: nothing is issued until it runs again')
    restart = setTimeout(start, pauseMs)
    restart.unref()
    pauseMs = Math.min(pauseMs * 2, SIGNER_LIMITS.restartMsMax)
  }

  /** A key that was never opened is a start that fails, and fails of that; later it is a signer that is away. */
  function lostBy(why: string): SallyportError {
    if (lastFailure === undefined) return unavailable(why)
    return wasOpen ? unavailable(lastFailure.message.replace(/\.$/, ''), lastFailure.fix) : lastFailure
  }

  function ask(kind: typeof FRAME.sign | typeof FRAME.signCrl, tbs: Uint8Array): Promise<Uint8Array> {
    const running = child
    if (running?.stdin === undefined || running.stdin === null) return Promise.reject(lostBy('the signer is being started again'))
    if (waiting.size >= SIGNER_LIMITS.waitingMax) return Promise.reject(unavailable('too many requests wait for the signer'))
    if (tbs.length > bytesMaxFor[kind]) return Promise.reject(new SallyportError('issuance-mismatch', 'What is to be signed is too long.'))
    const { stdin } = running
    const id = nextId
    nextId = (nextId % 0xffff_ffff) + 1
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      if (isOpen) arm(id, running)
      stdin.write(encodeFrame({ id, kind, body: tbs }))
    })
  }

  start()
  return {
    opened: first.promise,
    get pid() {
      return child?.pid
    },
    sign: (tbs) => ask(FRAME.sign, tbs),
    signCrl: (tbs) => ask(FRAME.signCrl, tbs),
    async [Symbol.asyncDispose]() {
      closed = true
      clearTimeout(restart)
      const last = child
      if (last === undefined) return
      const gone = new Promise<void>((resolve) => void last.once('close', () => resolve()))
      // The end of its input is its order to end.
      last.stdin?.end()
      const late = setTimeout(() => kill(last, 'it did not end'), limits.answerMs)
      await gone
      clearTimeout(late)
    },
  }
}

/** What the child said before it ended. It is our own code, but what it holds must not come out by way of a bent message. */
function parseFailure(text: string): SallyportError {
  try {
    const { code, message, fix } = JSON.parse(text) as Readonly<Record<'code' | 'message' | 'fix', unknown>>
    if (typeof code === 'string' && typeof message === 'string' && Object.hasOwn(FAILURES, code)) return new SallyportError(code as FailureCode, message, typeof fix === 'string' ? { fix } : {})
  } catch {
    // Said below.
  }
  return unavailable('the signer ended without saying why')
}
