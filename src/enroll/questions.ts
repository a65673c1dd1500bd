// What the door asks of the rest of the program, which has messages to carry: so many questions a second, so many at once, so many that wait
// for their turn, and no more, whoever asks.

import { deny, type Decision } from '../core/decision.ts'
import type { EpochMs } from '../core/ids.ts'
import { openRates } from '../core/rates.ts'
import type { BucketRate } from '../core/token-bucket.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import type { Certified } from './est.ts'
import type { Question } from './wire.ts'

/** Questions of one kind, and their answers. */
export interface Questions<Q = Question, A = Decision<Certified>> {
  /** The reason that `bounds` name, without having asked. Rejects with what `failed` was told. */
  ask(question: Q): Promise<A>
  answered(id: number, answer: A): void
  failed(id: number, failure: Error): void
}

export interface QuestionBounds<A> {
  /** Undefined: only how many there are at once is bounded. */
  readonly rate: BucketRate | undefined
  readonly atOnceMax: number
  readonly waitingMax: number
  readonly busy: A
}

interface Pending<A> {
  readonly resolve: (answer: A) => void
  readonly reject: (failure: Error) => void
}

const OF_ENROLLMENTS: QuestionBounds<Decision<Certified>> = {
  rate: { perSecond: DOOR_LIMITS.questionsPerSecond, burst: DOOR_LIMITS.questionsBurst },
  atOnceMax: DOOR_LIMITS.questionsAtOnceMax, waitingMax: DOOR_LIMITS.questionsWaitingMax, busy: deny('enrollment-busy'),
}
const ALL = 'all'

/** `put` hands a question over; its answer comes by its number. Who waits is asked in turn. */
export function openQuestions(put: (id: number, question: Question) => void, clock: () => EpochMs): Questions {
  return openBoundedQuestions(put, clock, OF_ENROLLMENTS)
}

export function openBoundedQuestions<Q, A>(put: (id: number, question: Q) => void, clock: () => EpochMs, { rate, atOnceMax, waitingMax, busy }: QuestionBounds<A>): Questions<Q, A> {
  const withinRate = rate === undefined ? () => true : openRates(rate, 1)
  const underWay = new Map<number, Pending<A>>()
  const waiting: (() => void)[] = []
  let last = 0

  function take(id: number): Pending<A> | undefined {
    const pending = underWay.get(id)
    underWay.delete(id)
    waiting.shift()?.()
    return pending
  }

  return {
    async ask(question) {
      if (waiting.length >= waitingMax || !withinRate(ALL, clock())) return busy
      while (underWay.size >= atOnceMax) await new Promise<void>((resolve) => waiting.push(resolve))
      const id = ++last
      const answered = new Promise<A>((resolve, reject) => underWay.set(id, { resolve, reject }))
      put(id, question)
      return answered
    },
    answered: (id, answer) => take(id)?.resolve(answer),
    failed: (id, failure) => take(id)?.reject(failure),
  }
}
