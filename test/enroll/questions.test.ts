import { expect, test } from 'vitest'
import { deny, type Decision } from '../../src/core/decision.ts'
import type { Certified } from '../../src/enroll/est.ts'
import { openQuestions, type Questions } from '../../src/enroll/questions.ts'
import type { Question } from '../../src/enroll/wire.ts'
import { DOOR_LIMITS } from '../../src/enrollment-limits.ts'

const NOW = 1_800_000_000_000
const QUESTION: Question = { method: 'withToken', request: { token: 't', csr: Uint8Array.of(0x30), source: { address: '192.0.2.1', port: 1 }, binding: undefined, serverKey: false } }
const { questionsAtOnceMax: AT_ONCE, questionsWaitingMax: WAITING, questionsPerSecond: PER_SECOND } = DOOR_LIMITS

/** The numbers of what was put, and what became of each that was asked. */
interface Opened {
  readonly questions: Questions
  readonly put: number[]
  readonly ask: (count: number) => readonly Promise<Decision<Certified>>[]
  at: number
}
function open(): Opened {
  const put: number[] = []
  const questions = openQuestions((id) => put.push(id), () => opened.at)
  const opened: Opened = { questions, put, ask: (count) => Array.from({ length: count }, () => questions.ask(QUESTION)), at: NOW }
  return opened
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('so many are under way, the others come one by one, and each gets its own answer', async () => {
  const { questions, put, ask } = open()
  const asked = ask(AT_ONCE + 2)
  await turn()
  expect(put).toHaveLength(AT_ONCE)
  questions.answered(put[1]!, deny('token-expired'))
  await turn()
  expect(put).toHaveLength(AT_ONCE + 1)
  queueMicrotask(() => questions.failed(put[0]!, new Error('broken')))
  await expect(asked[0]).rejects.toThrow('broken')
  await turn()
  expect(put).toHaveLength(AT_ONCE + 2)
  expect(await asked[1]).toEqual(deny('token-expired'))
  for (const id of put.slice(2)) questions.answered(id, deny('token-unknown'))
  expect(new Set((await Promise.all(asked.slice(2))).map((d) => (d.allow ? 'allowed' : d.reason)))).toEqual(new Set(['token-unknown']))
})

test('when too many wait the next is told to come again; when one has been answered there is room', async () => {
  const opened = open()
  const inTime = opened.ask(AT_ONCE)
  // The rate is another bound: time passes.
  for (let left = WAITING; left > 0; left -= PER_SECOND / 2) {
    opened.at += 1_000
    void opened.ask(Math.min(left, PER_SECOND / 2))
  }
  opened.at += 1_000
  expect(await opened.questions.ask(QUESTION)).toEqual(deny('enrollment-busy'))
  opened.questions.answered(opened.put[0]!, deny('token-unknown'))
  await inTime[0]
  const late = opened.questions.ask(QUESTION)
  await turn()
  expect(await Promise.race([late, Promise.resolve('waits')])).toBe('waits')
})

test('beyond the rate it is told so at once, and a second later not', async () => {
  const opened = open()
  const asked = opened.ask(DOOR_LIMITS.questionsBurst + 5)
  expect(await Promise.all(asked.slice(-5))).toEqual(Array.from({ length: 5 }, () => deny('enrollment-busy')))
  opened.at += 1_000
  const late = opened.questions.ask(QUESTION)
  expect(await Promise.race([late, turn().then(() => 'waits')])).toBe('waits')
})

test('an answer that nobody waits for takes nobody\'s turn', async () => {
  const { questions, put, ask } = open()
  void ask(AT_ONCE + 1)
  await turn()
  questions.answered(-7, deny('token-unknown'))
  questions.failed(-7, new Error('broken'))
  await turn()
  expect(put).toHaveLength(AT_ONCE)
  questions.answered(put[0]!, deny('token-unknown'))
  await turn()
  expect(put).toHaveLength(AT_ONCE + 1)
})
