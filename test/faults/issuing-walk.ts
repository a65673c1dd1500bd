// The walk: an act is done once and its writing calls are counted; then it is done again and again, and each time the server is
// killed, or its signer, at another of them. After each the server is started, the act is asked for again, and everything is judged.

import { within } from '../../device-sim/within.ts'
import { setting, type Chance } from './chance.ts'
import { KILLED, named, placesOf, sample, serialsAsked, watch, type Place } from './injection.ts'
import { IssuingStage } from './issuing-stage.ts'

/** One doing of an act. */
export interface Act {
  /** What a client does; the server may die in it. */
  readonly run: () => Promise<unknown>
  /** When the server is there again: what the client does then, and what is wrong about that. */
  readonly again: () => Promise<readonly string[]>
}

export type Prepare = (issuing: IssuingStage) => Promise<Act>

/** What follows an answer (the audit log, the published list) is written within this time. */
const AFTER_MS = 3_500
const POINTS = setting('POINTS', 40)
const ROUNDS_PER_HOME = 6

export interface Walked {
  readonly places: number
  readonly killed: number
  readonly wrong: readonly string[]
}

/** Kills the server at the places of this act. A home is left for a fresh one after some rounds: it would become one that nobody has. */
export async function walk(prepare: Prepare, chance: Chance, points = POINTS): Promise<Walked> {
  let issuing = await openIssuing()
  try {
    const places = await count(issuing, prepare)
    const chosen = sample(places, points, chance)
    let killed = 0
    const wrong: string[] = []
    for (const [round, place] of chosen.entries()) {
      if (round % ROUNDS_PER_HOME === ROUNDS_PER_HOME - 1) {
        wrong.push(...(await issuing.orphanWrongs()))
        await issuing[Symbol.asyncDispose]()
        issuing = await openIssuing()
      }
      const act = await prepare(issuing)
      const died = await disturb(issuing, act, place)
      const left = died ? await restart(issuing) : []
      killed += died ? 1 : 0
      wrong.push(...[...left, ...(await act.again()), ...(await issuing.wrongs())].map((sentence) => `killed at ${named(place)}: ${sentence}`))
      if (wrong.length > 0) break
    }
    return { places: places.length, killed, wrong: [...wrong, ...(await issuing.orphanWrongs())] }
  } finally {
    await issuing[Symbol.asyncDispose]()
  }
}

export async function openIssuing(): Promise<IssuingStage> {
  const issuing = new IssuingStage()
  await issuing.stage.start()
  return issuing
}

/** Starts the server that has died. Before that, what the crash has left is looked at: the start may mend it. */
async function restart(issuing: IssuingStage): Promise<readonly string[]> {
  await issuing.stage.stop('SIGKILL')
  const left = await issuing.wrongsAtRest()
  await issuing.stage.start()
  return left.map((sentence) => `right after it, ${sentence}`)
}

/** Every place of the act, done in peace. */
async function count(issuing: IssuingStage, prepare: Prepare): Promise<readonly Place[]> {
  const act = await prepare(issuing)
  await using calm = await watch(issuing.stage.pid)
  await act.run()
  await within(issuing.stage.gone, AFTER_MS)
  const lines = await calm.end()
  issuing.noteAsked(serialsAsked(lines))
  const wrong = [...(await act.again()), ...(await issuing.wrongs())]
  if (wrong.length > 0) throw new Error(`in peace: ${wrong.join(', ')}`)
  return placesOf(lines)
}

/** Did the server die of it? */
async function disturb(issuing: IssuingStage, act: Act, { call, nth }: Place): Promise<boolean> {
  const { stage } = issuing
  await using disturbed = await watch(stage.pid, { calls: call, how: KILLED, when: String(nth) })
  await act.run()
  const gone = within(stage.gone.then(() => true), AFTER_MS)
  const died = (await gone) === true
  issuing.noteAsked(serialsAsked(await disturbed.end()))
  return died
}
