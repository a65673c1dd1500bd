// kill -9 at random moments under load, in one home, again and again: what was acknowledged to its publisher reaches the
// kept sessions that subscribed to it, in order, QoS 1 at most repeated, QoS 2 exactly once.

import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { within } from '../../device-sim/within.ts'
import { openAccount, type Account } from './account.ts'
import { openChance, setting, type Chance } from './chance.ts'
import { Hearer } from './hearer.ts'
import { Speaker } from './speaker.ts'
import { Stage } from './stage.ts'

const TIMES = setting('TIMES', 200)
const SEED = setting('SEED', Date.now() % 1_000_000)
/** A message every so often and of so many per speaker: so that even one who is absent for some rounds loses nothing to the bound of its queue. */
const TICK_MS = 5
const PER_TICK = 2
const WINDOW = 32
const PAYLOAD_BYTES = 64
/** The kill comes within this time after the clients are back, or, one time in ten, while the server starts. */
const LOAD_MS_MAX = 800
const START_MS_MAX = 1_500
/** What was acknowledged before a kill is there within this time after the restart. */
const ARRIVE_MS = 20_000
const ABSENT_ROUNDS_MAX = 3

interface Cast {
  readonly speakers: readonly Speaker[]
  /** Comes back at once. */
  readonly steady: Hearer
  /** Is away for some rounds. */
  readonly fickle: Hearer
  readonly account: Account
}

async function castOf(stage: Stage): Promise<Cast> {
  const sensors = await stage.identities('speaker', 4, 'sensors')
  const backends = await stage.identities('hearer', 2, 'backend')
  const account = openAccount(backends.map(({ id }) => id))
  const kinds = [{ version: 4, qos: 1 }, { version: 5, qos: 1 }, { version: 4, qos: 2 }, { version: 5, qos: 2 }] as const
  const speakers = sensors.map((identity, i) => {
    const kind = kinds[i % kinds.length]!
    return new Speaker({ identity, clientId: identity.id, ...kind, topics: [`t/${identity.id}/a`, `t/${identity.id}/b`], windowMax: WINDOW, payloadBytes: PAYLOAD_BYTES, account })
  })
  const hearer = (i: number, version: 4 | 5): Hearer => new Hearer({ identity: backends[i]!, clientId: backends[i]!.id, version, filters: ['t/#'], account })
  return { speakers, steady: hearer(0, 4), fickle: hearer(1, 5), account }
}

/** Speaks until it is told to stop. */
function keepSpeaking(speakers: readonly Speaker[]): Disposable {
  const timer = setInterval(() => speakers.forEach((speaker) => speaker.speak(PER_TICK)), TICK_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Everything that is owed to these now reaches them: what was acknowledged before the kill, that is. */
async function paid(account: Account, hearers: readonly Hearer[], round: number): Promise<void> {
  await Promise.all(hearers.map(async (hearer) => {
    const owed = [...account.owed(hearer.name)]
    const stillOwed = (): string[] => owed.filter((name) => account.owed(hearer.name).has(name))
    const done = await within(hearer.until(() => account.owed(hearer.name).size === 0 || stillOwed().length === 0).then(() => true), ARRIVE_MS)
    if (done === undefined) account.fault(`round ${round}: acknowledged, and lost to ${hearer.name}: ${stillOwed().length} of ${owed.length}: ${stillOwed().slice(0, 5).join(', ')} …`)
  }))
}

interface Rounds {
  readonly killed: number
  readonly killedInStart: number
  readonly restartMs: readonly number[]
}

async function killAgainAndAgain(stage: Stage, cast: Cast, chance: Chance): Promise<Rounds> {
  const { speakers, steady, fickle, account } = cast
  const restartMs: number[] = []
  let killedInStart = 0
  let absent = 0
  for (let round = 1; round <= TIMES && account.faults.length === 0; round++) {
    if (chance.oneIn(10)) {
      stage.launch()
      await delay(chance.below(START_MS_MAX))
      await stage.stop('SIGKILL')
      killedInStart += 1
      continue
    }
    const since = performance.now()
    await stage.start()
    restartMs.push(performance.now() - since)
    // Nothing is owed to a session that there is not: in the first round with a load, which may be the second, all are there before anybody speaks.
    const isFirst = restartMs.length === 1
    const isAbsent = absent < ABSENT_ROUNDS_MAX && !isFirst && chance.oneIn(2)
    absent = isAbsent ? absent + 1 : 0
    const hearers = isAbsent ? [steady] : [steady, fickle]
    const connecting = [...hearers, ...speakers].map((client) => client.connect(stage.target))
    const over = Promise.allSettled(connecting)
    // One kill in four comes while clients come back and queues are drained.
    const isHasty = !isFirst && chance.oneIn(4)
    if (!isHasty) await Promise.all(connecting)
    using _speaking = keepSpeaking(speakers)
    if (!isHasty && account.faults.length === 0) await paid(account, hearers, round)
    await delay(chance.below(LOAD_MS_MAX))
    await stage.stop('SIGKILL')
    await over
  }
  return { killed: restartMs.length, killedInStart, restartMs }
}

/** Everybody comes back and stays until nothing is under way and nothing is owed. */
async function settle(stage: Stage, { speakers, steady, fickle, account }: Cast, round: number): Promise<void> {
  await Promise.all([steady, fickle, ...speakers].map((client) => client.connect(stage.target)))
  const settled = await within(Promise.all(speakers.map((speaker) => speaker.settled())).then(() => true), ARRIVE_MS)
  if (settled === undefined) account.fault(`exchanges that never ended: ${speakers.map((s) => `${s.name} ${s.underWay}`).join(', ')}`)
  await paid(account, [steady, fickle], round)
}

/** A run in which little was said, or nothing was heard, has proved nothing. */
function expectEnoughSaid({ totals }: Account, rounds: number): void {
  expect(totals.acknowledged).toBeGreaterThan(rounds)
  expect(totals.heard).toBeGreaterThanOrEqual(2 * totals.acknowledged)
}

test('kill -9 under load, again and again: nothing acknowledged is lost, reordered, or delivered twice with QoS 2', { timeout: 60_000 + TIMES * 30_000 }, async () => {
  console.log(`kill -9: ${TIMES} times, seed ${SEED} (TEST_FAULTS_TIMES, TEST_FAULTS_SEED)`)
  await using stage = new Stage()
  await stage.start()
  const cast = await castOf(stage)
  const { account } = cast
  await stage.stop()
  const rounds = await killAgainAndAgain(stage, cast, openChance(SEED))
  expect(account.faults, `seed ${SEED}, after ${rounds.killed} kills`).toEqual([])

  await stage.start()
  await settle(stage, cast, TIMES + 1)
  const audit = await stage.command('audit', 'verify')
  const slowest = Math.max(0, ...rounds.restartMs)
  console.log(`kill -9: ${rounds.killed} kills under load, ${rounds.killedInStart} while starting; ${JSON.stringify(account.totals)}; slowest start ${slowest.toFixed(0)} ms`)
  expect(account.faults, `seed ${SEED}`).toEqual([])
  expect(audit.status, audit.stdout + audit.stderr).toBe(0)
  expectEnoughSaid(account, rounds.killed)
})

const CUTS = Math.min(TIMES, 40)

// The same clients and the same account, with a server that lives: what fails here is no matter of storage.
test('connections cut under load, again and again: nothing acknowledged is lost, reordered, or delivered twice with QoS 2', { timeout: 60_000 + CUTS * 30_000 }, async () => {
  console.log(`cuts: ${CUTS} times, seed ${SEED}`)
  await using stage = new Stage()
  await stage.start()
  const cast = await castOf(stage)
  const { speakers, steady, fickle, account } = cast
  const chance = openChance(SEED)
  for (let round = 1; round <= CUTS && account.faults.length === 0; round++) {
    const hearers = round > 1 && chance.oneIn(2) ? [steady] : [steady, fickle]
    const clients = [...hearers, ...speakers]
    await Promise.all(clients.map((client) => client.connect(stage.target)))
    using _speaking = keepSpeaking(speakers)
    if (!chance.oneIn(4)) await paid(account, hearers, round)
    await delay(chance.below(LOAD_MS_MAX))
    for (const client of clients) client.cut()
  }
  expect(account.faults, `seed ${SEED}`).toEqual([])
  await settle(stage, cast, CUTS + 1)
  console.log(`cuts: ${JSON.stringify(account.totals)}`)
  expect(account.faults, `seed ${SEED}`).toEqual([])
  expectEnoughSaid(account, CUTS)
})
