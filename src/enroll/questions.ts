// What the door asks of the rest of the program, which has messages to carry: so many questions a second, so many at once, so many that wait
// for their turn, and no more, whoever asks.

import { deny, type Decision } from '../core/decision.ts'
import type { EpochMs } from '../core/ids.ts'
import { openRates } from '../core/rates.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'
import type { Certified } from './est.ts'
import type { Question } from './wire.ts'

export interface Questions {
  /** Reason, without having asked: enrollment-busy. Rejects with what `failed` was told. */
  ask(question: Question): Promise<Decision<Certified>>
  answered(id: number, decision: Decision<Certified>): void
  failed(id: number, failure: Error): void
}

interface Pending {
  readonly resolve: (decision: Decision<Certified>) => void
  readonly reject: (failure: Error) => void
}

const RATE = { perSecond: DOOR_LIMITS.questionsPerSecond, burst: DOOR_LIMITS.questionsBurst }
const ALL = 'all'

/** `put` hands a question over; its answer comes by its number. */
export function openQuestions(put: (id: number, question: Question) => void, clock: () => EpochMs): Questions {
  const withinRate = openRates(RATE, 1)
  const underWay = new Map<number, Pending>()
  const waiting: (() => void)[] = []
  let last = 0

  function take(id: number): Pending | undefined {
    const pending = underWay.get(id)
    underWay.delete(id)
    waiting.shift()?.()
    return pending
  }

  return {
    async ask(question) {
      if (waiting.length >= DOOR_LIMITS.questionsWaitingMax || !withinRate(ALL, clock())) return deny('enrollment-busy')
      while (underWay.size >= DOOR_LIMITS.questionsAtOnceMax) await new Promise<void>((resolve) => waiting.push(resolve))
      const id = ++last
      const answered = new Promise<Decision<Certified>>((resolve, reject) => underWay.set(id, { resolve, reject }))
      put(id, question)
      return answered
    },
    answered: (id, decision) => take(id)?.resolve(decision),
    failed: (id, failure) => take(id)?.reject(failure),
  }
}
