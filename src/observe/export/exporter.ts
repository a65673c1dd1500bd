// Sends the audit log to one receiver, in order, each record at least once: a batch is sent until it was taken, and then the next one.
// A receiver that is away costs nothing but a try now and then; the log itself is what waits.

import { setTimeout as delay } from 'node:timers/promises'
import type { EpochMs } from '../../core/ids.ts'
import { OBSERVE_LIMITS } from '../../observe-limits.ts'
import { readBatch, readPosition, savePosition } from './position.ts'
import type { Receiver } from './receiver.ts'

export interface ExporterPorts {
  /** The audit log. */
  readonly log: string
  /** Where it is kept how far the receiver has it. */
  readonly positionFile: string
  readonly receiver: Receiver
  /** For people. */
  readonly name: string
  readonly clock: () => EpochMs
  /** From 0 to 1, for the pauses: many servers must not come back at once. */
  readonly chance: () => number
  readonly say: (level: 'info' | 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface Exporter extends AsyncDisposable {
  /** Bytes of the log that the receiver has. */
  readonly sent: number
  /** The last try failed. */
  readonly away: boolean
}

export function openExporter(ports: ExporterPorts): Exporter {
  const { log, positionFile, receiver, name, clock, say } = ports
  const closing = new AbortController()
  let position = readPosition(positionFile)
  let failures = 0
  let complainedAt = Number.NEGATIVE_INFINITY
  const running = run()

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const more = await step()
      const pause = failures > 0 ? pauseAfter(failures) * (0.5 + ports.chance() / 2) : more ? 0 : OBSERVE_LIMITS.exportLookMs
      if (pause > 0) await delay(pause, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }

  /** True when there may be more at once. */
  async function step(): Promise<boolean> {
    try {
      const batch = await readBatch(log, position, OBSERVE_LIMITS.exportBatchBytesMax)
      if (batch === undefined || closing.signal.aborted) return false
      await receiver.deliver(batch)
      position = batch.next
      savePosition(positionFile, position)
      if (failures > 0) say('info', { receiver: name }, 'the audit log is taken again')
      failures = 0
      return true
    } catch (error) {
      if (closing.signal.aborted) return false
      failures += 1
      complain(error)
      return false
    }
  }

  function complain(error: unknown): void {
    const now = clock()
    // A clock that was set back must not silence it.
    if (now - complainedAt < OBSERVE_LIMITS.exportComplainMs && now >= complainedAt) return
    complainedAt = now
    say('warn', { receiver: name, error: error instanceof Error ? error.message : 'unknown' }, 'the audit log cannot be sent: it is tried again, and nothing is left out')
  }

  return {
    get sent() {
      return position.bytes
    },
    get away() {
      return failures > 0
    },
    async [Symbol.asyncDispose]() {
      closing.abort()
      receiver[Symbol.dispose]()
      await running
    },
  }
}

const pauseAfter = (failures: number): number => Math.min(OBSERVE_LIMITS.exportRetryMaxMs, OBSERVE_LIMITS.exportRetryMs * 2 ** Math.min(failures - 1, 16))
