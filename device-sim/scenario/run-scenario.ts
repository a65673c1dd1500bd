// The conductor: makes the cast, starts the threads, plays phase after phase, and brings in the verdict. A step that does not come
// to what was expected is a failure with device, step, expected and seen; what comes of the messages is judged at the end.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Identities } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { OpenedHome } from '../server-process.ts'
import type { Sources, Target } from '../target.ts'
import { castOf, fill, scriptOf, type Player, type Script } from './cast.ts'
import { openChance } from './chance.ts'
import { openOperator, type Operator } from './operator.ts'
import type { Failure } from './orders.ts'
import { judgeMessages, judgeThresholds, noteFailure, noteLeak, openFindings, openTimeline, spreadOf, type Findings, type ScenarioResult, type Timeline } from './outcome.ts'
import type { Phase, Scenario, Step, StepNamed } from './scenario.ts'
import { wallMs } from './tag.ts'
import { openThreads, threadsFor, type Threads } from './threads.ts'

export interface ScenarioPlan {
  readonly scenario: Scenario
  readonly target: Target
  readonly identities: Identities
  /** Where there is an operator. */
  readonly home: OpenedHome | undefined
  /** The process that serves, where it runs here. */
  pid(): Promise<number | undefined>
  readonly sources: Sources
  /** Begins the ids of its devices. */
  readonly prefix: string
  readonly signal: AbortSignal
  onPhase(text: string): void
  onProgress(text: () => string): void
}

interface Stage {
  readonly plan: ScenarioPlan
  readonly players: readonly Player[]
  readonly script: Script
  readonly threads: Threads
  readonly operator: Operator
  readonly findings: Findings
  /** Who is out for good or for now, so that it is not sent to do anything. */
  readonly out: Set<number>
  readonly chance: ReturnType<typeof openChance>
}

export async function runScenario(plan: ScenarioPlan): Promise<ScenarioResult> {
  const { scenario, home, identities, signal } = plan
  const players = castOf(scenario, plan.prefix)
  const script = scriptOf(scenario)
  const findings = openFindings()
  const closedAt = new Map<number, number>()
  const connectedNow = new Set<number>()
  const failed = (failure: Failure): void => noteFailure(findings, failure)
  const seats = seatsOf(plan, players)
  let timeline = openTimeline(wallMs())
  const threads = await openThreads({ target: plan.target, seats, speeches: script.speeches, ids: players.map(({ id }) => id), seed: scenario.seed }, threadsFor(players.length), {
    onNews(news, thread) {
      if (news.kind === 'sample') timeline.add(thread, news.sample)
      else if (news.kind === 'leak') noteLeak(findings, `${news.device}: ${news.what}`)
      else if (news.kind === 'failed') failed(news.failure)
      else {
        closedAt.set(news.index, news.at)
        connectedNow.delete(news.index)
      }
    },
    onFault: (fault) => failed({ step: 'simulator', device: '-', expected: 'its threads work', seen: fault.message }),
  })
  const operator = openOperator({ identities, home, threads, signal, closedAt, isConnected: (player) => connectedNow.has(player.index), time: (timing, ms) => timeline.time(timing, ms), failed })
  const stage: Stage = { plan, players, script, threads, operator, findings, out: new Set(), chance: openChance(scenario.seed) }
  try {
    await prepare(stage)
    const startedAt = wallMs()
    timeline = openTimeline(startedAt)
    const watch = watchServer(timeline, plan)
    const phases: ScenarioResult['phases'][number][] = []
    for (const phase of scenario.phases) {
      if (signal.aborted) break
      plan.onPhase(phase.name)
      const from = wallMs()
      await playPhase(stage, phase, connectedNow)
      phases.push({ name: phase.name, fromSecond: (from - startedAt) / 1_000, toSecond: (wallMs() - startedAt) / 1_000 })
    }
    await drain(stage, timeline)
    const accounts = await threads.finish()
    clearInterval(watch)
    return resultOf(stage, { phases, timeline, messages: judgeMessages(players, script.speeches, accounts) })
  } finally {
    await threads.close()
  }
}

function seatsOf({ scenario, sources }: ScenarioPlan, players: readonly Player[]) {
  const shared = new Map<string, string | undefined>()
  for (const [name, group] of scenario.groups) if (group.addresses === 'shared') shared.set(name, sources.next())
  return players.map((player, index) => {
    const others = players.filter(({ group }) => group === player.group)
    const neighbour = others[(others.indexOf(player) + 1) % others.length] ?? player
    const own = shared.has(player.group) ? shared.get(player.group) : sources.next()
    return { player, neighbour: neighbour.index === index ? `${player.id}-neighbour` : neighbour.id, sources: [own, sources.next()] as const }
  })
}

async function prepare({ plan, players, threads, operator }: Stage): Promise<void> {
  const before = players.filter(({ group }) => plan.scenario.groups.get(group)?.enroll === 'before')
  let done = 0
  await operator.provision(before, (player, credentials) => {
    threads.note({ kind: 'credentials', index: player.index, credentials })
    done += 1
    plan.onProgress(() => `enrolled ${done} of ${before.length} devices`)
  })
}

/** Once a second: how it goes, and what the server's process takes, where it runs here. */
function watchServer(timeline: Timeline, plan: ScenarioPlan): NodeJS.Timeout {
  const look = async (): Promise<void> => {
    const pid = await plan.pid()
    const status = pid === undefined ? '' : await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kibibytes !== undefined) timeline.memory(wallMs(), Number(kibibytes) / 1_024)
  }
  return setInterval(() => {
    void look()
    plan.onProgress(() => progressText(timeline))
  }, SCENARIO_LIMITS.sampleMs)
}

const BARS = '▁▂▃▄▅▆▇█'
const SPARKS = 20

function sparkline(values: readonly number[]): string {
  const max = Math.max(1, ...values)
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.floor((value / max) * (BARS.length - 1)))] ?? '').join('')
}

function progressText(timeline: Timeline): string {
  const points = timeline.points()
  const last = points.at(-2) ?? points.at(-1)
  if (last === undefined) return 'begun'
  const delivery = last.timings.delivery
  const refusals = points.flatMap(({ refused }) => Object.values(refused)).reduce((sum, count) => sum + count, 0)
  return `${last.second} s  ${last.connected} connected  ${last.received}/s ${sparkline(points.slice(-SPARKS).map(({ received }) => received))}  ${delivery === undefined ? '' : `p50 ${delivery.p50Ms.toFixed(1)} p99 ${delivery.p99Ms.toFixed(1)} ms  `}${refusals} refused`
}

async function playPhase(stage: Stage, phase: Phase, connectedNow: Set<number>): Promise<void> {
  const { signal } = stage.plan
  const begun = wallMs()
  const steps = Promise.all(phase.steps.map(async (step) => {
    try {
      await playStep(stage, step, phase, connectedNow)
    } catch (error) {
      noteFailure(stage.findings, { step: placeOf(step), device: '-', expected: 'the step can be done', seen: error instanceof Error ? error.message : String(error) })
    }
  }))
  await Promise.race([steps, aborted(signal)])
  const left = (phase.forMs ?? 0) - (wallMs() - begun)
  if (left > 0) await delay(left, undefined, { signal }).catch(() => undefined)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function membersOf({ players, out }: Stage, groups: readonly string[], withOut = false): readonly Player[] {
  return players.filter(({ group, index }) => groups.includes(group) && (withOut || !out.has(index)))
}

/** As failures name a step. */
const placeOf = ({ kind, line }: Step): string => `${kind} (line ${line})`
const indexes = (players: readonly Player[]): readonly number[] => players.map(({ index }) => index)
const refusedOf = (expect: 'accepted' | { readonly refused: string }): string | undefined => (expect === 'accepted' ? undefined : expect.refused)

async function playStep(stage: Stage, step: Step, phase: Phase, connectedNow: Set<number>): Promise<void> {
  const { threads, script } = stage
  const forMs = phase.forMs ?? 0
  const number = script.numberOf(step)
  const at = placeOf(step)
  switch (step.kind) {
    case 'enroll': return enrollLive(stage, step)
    case 'connect': case 'move': case 'renew': {
      // Who was taken out may be sent to try: that is what such a step is for.
      const refused = step.kind === 'move' ? undefined : refusedOf(step.expect)
      const members = membersOf(stage, step.group, refused !== undefined)
      if (refused === undefined) for (const { index } of members) connectedNow.add(index)
      await threads.perform({ kind: step.kind, step: at, players: indexes(members), overMs: step.over, refused })
      if (refused !== undefined && refused !== 'any') await reasonsAre(stage, step, members, refused)
      return
    }
    case 'disconnect': {
      const members = membersOf(stage, step.group)
      await threads.perform({ kind: 'disconnect', step: at, players: indexes(members), overMs: step.over, refused: undefined })
      for (const { index } of members) connectedNow.delete(index)
      return
    }
    case 'storm': return threads.perform({ kind: 'storm', step: at, players: indexes(membersOf(stage, step.group)), backoffMs: step.backoff })
    case 'publish': return threads.perform({ kind: 'publish', step: at, players: indexes(membersOf(stage, step.group)), speech: number, rate: step.rate, forMs, refused: refusedOf(step.expect) })
    case 'misbehave': return threads.perform({ kind: 'misbehave', step: at, players: indexes(membersOf(stage, step.group)), speech: number, rate: step.rate, forMs })
    case 'command': {
      const speakers = membersOf(stage, [step.from])
      const receivers = speakers.map((_, place) => membersOf(stage, step.group).filter((__, index) => index % speakers.length === place).map(({ index, id }) => ({ index, id })))
      return threads.perform({ kind: 'command', step: at, players: indexes(speakers), speech: number, rate: step.rate, forMs, withinMs: step.within, receivers })
    }
    case 'revoke': case 'suspend': return takeOut(stage, step)
    case 'resume': return spread(stage, membersOf(stage, step.group, true), step.over, async (player) => {
      await stage.operator.takeBack(player)
      stage.out.delete(player.index)
    })
    case 'deny': return stage.operator.deny(fill(step.topic, '+', '+'), step.within, at)
    case 'rotate': return stage.operator.rotate(step.ca)
  }
}

/** One after the other when each is due; those that take longer do not hold up the next. */
async function spread({ plan: { signal } }: Stage, players: readonly Player[], overMs: number, work: (player: Player, dueAt: number) => Promise<void>): Promise<void> {
  const start = wallMs()
  const under: Promise<void>[] = []
  for (const [place, player] of players.entries()) {
    const dueAt = start + (overMs * place) / players.length
    if (dueAt > wallMs()) await delay(dueAt - wallMs(), undefined, { signal }).catch(() => undefined)
    if (signal.aborted) break
    under.push(work(player, overMs === 0 ? wallMs() : dueAt))
    if (overMs === 0 && under.length % SIM_LIMITS.enrollParallel === 0) await Promise.all(under)
  }
  await Promise.all(under)
}

async function enrollLive(stage: Stage, step: StepNamed<'enroll'>): Promise<void> {
  const refused = refusedOf(step.expect)
  await spread(stage, membersOf(stage, step.group), step.over, async (player, dueAt) => {
    try {
      const credentials = await stage.operator.enroll(player, step.with, dueAt)
      stage.threads.note({ kind: 'credentials', index: player.index, credentials })
      if (refused !== undefined) noteFailure(stage.findings, { step: placeOf(step), device: player.id, expected: `refused (${refused})`, seen: 'a certificate' })
    } catch (error) {
      if (refused === undefined) noteFailure(stage.findings, { step: placeOf(step), device: player.id, expected: 'a certificate', seen: error instanceof Error ? error.message : String(error) })
    }
  })
}

async function takeOut(stage: Stage, step: StepNamed<'revoke' | 'suspend'>): Promise<void> {
  const members = membersOf(stage, step.group)
  const chosen = stage.chance.pick(members, Math.ceil(members.length * step.share))
  for (const { index } of chosen) stage.out.add(index)
  await spread(stage, chosen, step.over, (player) => stage.operator.takeOut(player, { how: step.kind, reason: step.kind === 'revoke' ? step.reason : '', withinMs: step.within, step: placeOf(step) }))
}

/** Not only refused, but for this reason: as the audit log has it. */
async function reasonsAre({ plan: { home }, findings }: Stage, step: Step, players: readonly Player[], reason: string): Promise<void> {
  // Elsewhere nobody tells why.
  if (home === undefined) return
  const { refusals } = await home.admin.refusalsAfter(0)
  for (const { id } of players) {
    const own = refusals.findLast(({ device }) => device === id)
    if (own?.reason !== reason) noteFailure(findings, { step: placeOf(step), device: id, expected: `refused (${reason})`, seen: own === undefined ? 'no refusal in the audit log' : `refused (${own.reason})` })
  }
}

/** Until nothing has come for a while. */
async function drain({ plan: { signal }, threads }: Stage, timeline: Timeline): Promise<void> {
  const deadline = wallMs() + SCENARIO_LIMITS.drainMs
  let quietSince = wallMs()
  let before = -1
  while (wallMs() < deadline && wallMs() - quietSince < SCENARIO_LIMITS.quietMs && !signal.aborted) {
    threads.note({ kind: 'sample' })
    await delay(SCENARIO_LIMITS.drainPollMs, undefined, { signal }).catch(() => undefined)
    if (timeline.received !== before) quietSince = wallMs()
    before = timeline.received
  }
}

function resultOf({ plan: { scenario, signal }, players, findings, threads }: Stage, { phases, timeline, messages }: { readonly phases: ScenarioResult['phases']; readonly timeline: Timeline; readonly messages: Omit<ScenarioResult['messages'], 'unsent'> }): ScenarioResult {
  const points = timeline.points()
  const unsent = points.reduce((sum, point) => sum + point.unsent, 0)
  const timings = Object.fromEntries([...timeline.totals()].map(([timing, histogram]) => [timing, spreadOf(histogram)]))
  const { duplicates, misordered } = messages
  // What was not waited for, because somebody stopped the run, is not lost.
  const thresholds = judgeThresholds(scenario, { lost: signal.aborted ? 0 : messages.lost, duplicates, misordered, unexpected: findings.failed, unsent }, timeline.totals())
  const refused: Record<string, number> = {}
  for (const [how, count] of points.flatMap((point) => Object.entries(point.refused))) refused[how] = (refused[how] ?? 0) + count
  return {
    file: scenario.file, name: scenario.name, about: scenario.about, seed: scenario.seed, devices: players.length, threads: threads.count, phases,
    messages: { ...messages, unsent },
    leaks: { count: findings.leaked, shown: findings.leaks }, failures: { count: findings.failed, shown: findings.failures },
    refused, timings, thresholds, timeline: points, generator: timeline.generator, interrupted: signal.aborted,
    ok: !signal.aborted && findings.leaked === 0 && thresholds.every(({ ok }) => ok),
  }
}
