// The leak oracle's ink: every payload says which stream it is of, which in order, who sent it and when. Binary, because tens of
// thousands are written and read in a second.

import { SCENARIO_LIMITS } from '../scenario-limits.ts'

/** What a device says in one step of the scenario: its messages are numbered from 0, and have one topic. */
export interface Tag {
  /** The number of the step among those that speak. */
  readonly speech: number
  /** Whose stream it is: the publisher, and of a command the device that it is for. */
  readonly owner: number
  readonly publisher: number
  readonly sequence: number
  /** Milliseconds since 1970, of the clock that all threads share: when it was due. */
  readonly at: number
  /** Of an answer: the sequence number of the command. */
  readonly answers: number
}

const MAGIC = 0x53505331
const AT = { magic: 0, speech: 4, owner: 8, publisher: 12, sequence: 16, answers: 20, at: 24 } as const

export function writeTag(tag: Tag, bytes: number): Buffer {
  const payload = Buffer.alloc(Math.max(bytes, SCENARIO_LIMITS.payloadBytesMin))
  payload.writeUInt32BE(MAGIC, AT.magic)
  payload.writeUInt32BE(tag.speech, AT.speech)
  payload.writeUInt32BE(tag.owner, AT.owner)
  payload.writeUInt32BE(tag.publisher, AT.publisher)
  payload.writeUInt32BE(tag.sequence, AT.sequence)
  payload.writeUInt32BE(tag.answers, AT.answers)
  payload.writeDoubleBE(tag.at, AT.at)
  return payload
}

/** Undefined: nobody of this run wrote it. */
export function readTag(payload: Buffer): Tag | undefined {
  if (payload.length < SCENARIO_LIMITS.payloadBytesMin || payload.readUInt32BE(AT.magic) !== MAGIC) return undefined
  return {
    speech: payload.readUInt32BE(AT.speech),
    owner: payload.readUInt32BE(AT.owner),
    publisher: payload.readUInt32BE(AT.publisher),
    sequence: payload.readUInt32BE(AT.sequence),
    answers: payload.readUInt32BE(AT.answers),
    at: payload.readDoubleBE(AT.at),
  }
}

/** The clock of the run: threads have clocks that began at different times, and this one is the same in all. */
export const wallMs = (): number => performance.timeOrigin + performance.now()
