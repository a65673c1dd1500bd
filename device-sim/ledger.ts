// The leak oracle: every payload says from whom it is, on which topic, and which in order it is; every receiver is held to
// what it must hear and may hear. Loss, duplicates and order are counted per publisher and topic from the same tags. Who
// may hear what is told by whoever opens the ledger; no grant of the server is looked at.

import { z } from 'zod'

const Tag = z.strictObject({ from: z.string(), topic: z.string(), sequence: z.int().min(0) })
type Tag = z.infer<typeof Tag>

export interface LedgerCount {
  /** Deliveries that were due: one for every message and receiver. */
  readonly expected: number
  readonly received: number
  readonly lost: number
  readonly duplicates: number
  readonly misordered: number
  readonly leaks: number
}

export interface Ledger {
  /** The payload of the next message of `from` on `topic`. Each of `receivers` must hear it once and in order, and nobody else. */
  write(from: string, topic: string, receivers: readonly string[]): string
  /** What a receiver was given. A payload that nobody here wrote is somebody else's message: only its topic is judged. */
  receive(receiver: string, topic: string, payload: string): void
  /** Deliveries that are still due. */
  readonly missing: number
  /** Resolves when nothing is missing. */
  complete(): Promise<void>
  count(): LedgerCount
  /** What is wrong, a sentence each: who, what was expected, what was seen. */
  faults(): readonly string[]
}

interface Stream {
  readonly from: string
  readonly topic: string
  written: number
  readonly heard: Map<string, Hearing>
}

interface Hearing {
  readonly due: Set<number>
  expected: number
  received: number
  duplicates: number
  misordered: number
  last: number
}

function tagOf(payload: string): Tag | undefined {
  try {
    return Tag.safeParse(JSON.parse(payload)).data
  } catch {
    return undefined // Not ours.
  }
}

/** `mayHear`: the topics that a receiver's grants let it hear, written down by hand. */
export function openLedger(mayHear: (receiver: string, topic: string) => boolean): Ledger {
  const streams = new Map<string, Stream>()
  const leaks: string[] = []
  const waiting = new Set<() => void>()
  let missing = 0

  const keyOf = (from: string, topic: string): string => `${from}\n${topic}`
  const streamOf = (from: string, topic: string): Stream => {
    const stream = streams.get(keyOf(from, topic)) ?? { from, topic, written: 0, heard: new Map<string, Hearing>() }
    streams.set(keyOf(from, topic), stream)
    return stream
  }

  return {
    write(from, topic, receivers) {
      const stream = streamOf(from, topic)
      const tag: Tag = { from, topic, sequence: stream.written }
      stream.written += 1
      for (const receiver of receivers) {
        const hearing = stream.heard.get(receiver) ?? { due: new Set<number>(), expected: 0, received: 0, duplicates: 0, misordered: 0, last: -1 }
        stream.heard.set(receiver, hearing)
        hearing.due.add(tag.sequence)
        hearing.expected += 1
        missing += 1
      }
      return JSON.stringify(tag)
    },
    receive(receiver, topic, payload) {
      if (!mayHear(receiver, topic)) leaks.push(`${receiver} may not hear ${topic}, but was given a message on it`)
      const tag = tagOf(payload)
      const stream = tag === undefined ? undefined : streams.get(keyOf(tag.from, tag.topic))
      if (tag === undefined || stream === undefined) return
      if (tag.topic !== topic) leaks.push(`${receiver} was given on ${topic} what ${tag.from} had sent to ${tag.topic}`)
      const hearing = stream.heard.get(receiver)
      if (hearing === undefined || tag.sequence >= stream.written) {
        leaks.push(`${receiver} was given a message of ${tag.from} on ${topic} that was not for it`)
        return
      }
      if (!hearing.due.delete(tag.sequence)) {
        hearing.duplicates += 1
        return
      }
      hearing.received += 1
      // Messages of one publisher on one topic keep their order [MQTT-4.6.0-6].
      if (tag.sequence < hearing.last) hearing.misordered += 1
      hearing.last = Math.max(hearing.last, tag.sequence)
      missing -= 1
      if (missing === 0) for (const resolve of waiting) resolve()
    },
    get missing() {
      return missing
    },
    async complete() {
      if (missing > 0) await new Promise<void>((resolve) => void waiting.add(resolve))
    },
    count() {
      const hearings = [...streams.values()].flatMap((stream) => [...stream.heard.values()])
      const sum = (of: (hearing: Hearing) => number): number => hearings.reduce((total, hearing) => total + of(hearing), 0)
      return {
        expected: sum((h) => h.expected), received: sum((h) => h.received), lost: sum((h) => h.due.size),
        duplicates: sum((h) => h.duplicates), misordered: sum((h) => h.misordered), leaks: leaks.length,
      }
    },
    faults() {
      const wrong = [...streams.values()].flatMap((stream) => [...stream.heard].flatMap(([receiver, hearing]) => hearingFaults(stream, receiver, hearing)))
      return [...leaks, ...wrong]
    },
  }
}

function hearingFaults(stream: Stream, receiver: string, hearing: Hearing): readonly string[] {
  const { due, duplicates, misordered } = hearing
  if (due.size === 0 && duplicates === 0 && misordered === 0) return []
  const seen = [
    ...(due.size === 0 ? [] : [`without ${[...due].map((sequence) => `#${sequence + 1}`).join(', ')}`]),
    ...(duplicates === 0 ? [] : [`${duplicates} of them again`]),
    ...(misordered === 0 ? [] : [`${misordered} out of order`]),
  ]
  return [`${receiver} was to hear ${hearing.expected} messages of ${stream.from} on ${stream.topic}, and heard ${hearing.received}: ${seen.join(', ')}`]
}
