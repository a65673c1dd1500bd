// How long single decisions take, and how long the slowest in a hundred: on the clock, because that is what a message waits for.
// A clock also counts what other programs do on this core, so it is told how much that was, and nothing is stated when it was much.

import { grantsFor, type Grants } from '../../src/core/policy/grants.ts'
import { openRates } from '../../src/broker/engine/rates.ts'
import { coldTopics, GRANTS, mustAllow, policyOf, PRINCIPAL } from '../decisions.ts'
import { usageOfThisThread, usedBetween } from '../process-cpu.ts'
import { tailOf, type Tail } from '../mqtt/verdict.ts'

/** A warm decision takes less than asking for the time: so many of them are timed together, and count as one of their mean. */
const TOGETHER = 100
const US_PER_MS = 1_000
/** Of the time of a round that another program had this core. */
const WAITED_MAX = 0.05

export interface DecisionTimes {
  /** µs. */
  readonly tail: Tail
  /** Of the round in which it was most. */
  readonly waited: number
}

export const isDisturbed = ({ waited }: DecisionTimes): boolean => waited > WAITED_MAX

/** What is timed, how many at once, and how often in a round. */
interface Timed {
  readonly together: number
  readonly samples: number
  readonly run: (sample: number) => void
}

function timed(rounds: number, { together, samples, run }: Timed): DecisionTimes {
  const times = new Float64Array(rounds * samples)
  let waited = 0
  // The first round warms up.
  for (let round = -1; round < rounds; round++) {
    const before = usageOfThisThread()
    for (let sample = 0; sample < samples; sample++) {
      const since = performance.now()
      run(sample)
      if (round >= 0) times[round * samples + sample] = ((performance.now() - since) * US_PER_MS) / together
    }
    const { cpuMs, waitMs } = usedBetween(before, usageOfThisThread())
    if (round >= 0) waited = Math.max(waited, waitMs / (cpuMs + waitMs))
  }
  return { tail: tailOf(times), waited }
}

/** By what is decided. */
export function measureDecisionTimes(rounds: number): Readonly<Record<string, DecisionTimes>> {
  const policy = policyOf(GRANTS)
  const topics = coldTopics()
  const [topic = ''] = topics
  const bytes = Buffer.from(topic)
  const grants = grantsFor(policy, PRINCIPAL)
  const rated = grantsFor(policyOf(GRANTS, ', rate: 9999999/s, burst: 1000000'), PRINCIPAL, openRates({ clock: Date.now, isConnected: () => true }).of(PRINCIPAL.device.id))
  const filter = `line/${GRANTS - 1}/sensor-7/cmd/+`
  const commands = topics.map((_, i) => `line/${GRANTS - 1}/sensor-7/cmd/${i}`)
  const warm = (run: () => void): DecisionTimes => timed(rounds, { together: TOGETHER, samples: topics.length, run: () => { for (let i = 0; i < TOGETHER; i++) run() } })
  const cold = (all: readonly string[], run: (text: string) => void): DecisionTimes => timed(rounds, { together: 1, samples: all.length, run: (sample) => run(all[sample] ?? '') })
  return {
    'publish, warm, topic read from bytes': warm(() => mustAllow(grants, bytes.toString('utf8'))),
    'publish, warm, with a rate': warm(() => mustAllow(rated, bytes.toString('utf8'))),
    'deliver, warm': warm(() => mustBe(grants.mayReceive(commands[0] ?? ''))),
    [`publish, cold, ${GRANTS.toLocaleString('en')} grants`]: cold(topics, (text) => mustAllow(grants, text)),
    [`deliver, cold, ${GRANTS.toLocaleString('en')} grants`]: cold(commands, (text) => mustBe(grants.mayReceive(text))),
    [`subscribe, ${GRANTS.toLocaleString('en')} grants`]: cold(topics, () => mustBe(grants.subscribe(filter, 1).effect === 'allow')),
    'the grants of one session, 10 of them': sessionsOf(rounds, 10),
    [`the grants of one session, ${GRANTS.toLocaleString('en')} of them`]: sessionsOf(rounds, GRANTS),
  }
}

function sessionsOf(rounds: number, count: number): DecisionTimes {
  const policy = policyOf(count)
  const made: Grants[] = []
  return timed(rounds, { together: 1, samples: 200, run: (sample) => void (made[sample] = grantsFor(policy, PRINCIPAL)) })
}

function mustBe(allowed: boolean): void {
  if (!allowed) throw new Error('what is granted was denied')
}
