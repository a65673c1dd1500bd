// The conductor: makes the cast, starts the threads, plays phase after phase, and brings in the verdict. A step that does not come
// to what was expected is a failure with device, step, expected and seen; what comes of the messages is judged at the end.

import { setTimeout as delay } from 'node:timers/promises'
import type { Identities } from '../identities.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { OpenedHome } from '../server-process.ts'
import type { Sources, Target } from '../target.ts'
import { castOf, scriptOf, type Player } from './cast.ts'
import { openChance } from './chance.ts'
import { watchRun, type LiveFacts, type RunPorts } from './live.ts'
import { openOperator } from './operator.ts'
import type { Failure } from './orders.ts'
import { judgeMessages, judgeThresholds, noteFailure, noteLeak, openFindings, type ScenarioResult } from './outcome.ts'
import type { Phase, Scenario } from './scenario.ts'
import { placeOf, playStep, type Stage } from './steps.ts'
import { wallMs } from './tag.ts'
import { openThreads, threadsFor } from './threads.ts'
import { openTimeline, spreadOf, type Timeline } from './timeline.ts'

export interface ScenarioPlan extends RunPorts {
  readonly scenario: Scenario
  readonly target: Target
  readonly identities: Identities
  /** Where there is an operator. */
  readonly home: OpenedHome | undefined
  readonly sources: Sources
  /** Begins the ids of its devices. */
  readonly prefix: string
  readonly signal: AbortSignal
  onPhase(text: string): void
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
  const threads = await openThreads({ target: plan.target, seats, speeches: script.speeches, ids: players.map(({ id }) => id), seed: scenario.seed, enroll: home?.enroll }, threadsFor(players.length), {
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
  const stage: Stage = { plan, players, script, threads, operator, findings, connectedNow, out: new Set(), chance: openChance(scenario.seed) }
  let phaseNow: LiveFacts['phase']
  const watch = watchRun(() => ({ name: scenario.name, phase: phaseNow, devices: players.length, leaked: findings.leaked, failed: findings.failed, timeline }), plan)
  try {
    await prepare(plan, stage)
    const startedAt = wallMs()
    timeline = openTimeline(startedAt)
    const phases: ScenarioResult['phases'][number][] = []
    for (const [index, phase] of scenario.phases.entries()) {
      if (signal.aborted) break
      phaseNow = { name: phase.name, number: index + 1, of: scenario.phases.length }
      plan.onPhase(phase.name)
      const from = wallMs()
      await playPhase(stage, phase)
      phases.push({ name: phase.name, fromSecond: (from - startedAt) / 1_000, toSecond: (wallMs() - startedAt) / 1_000 })
    }
    await drain(stage, timeline)
    const accounts = await threads.finish()
    return resultOf(plan, stage, { phases, timeline, messages: judgeMessages(players, script.speeches, accounts) })
  } finally {
    clearInterval(watch)
    await threads.close()
  }
}

function seatsOf({ scenario, sources }: ScenarioPlan, players: readonly Player[]) {
  const shared = new Map<string, string | undefined>()
  for (const [name, group] of scenario.groups) if (group.addresses === 'shared') shared.set(name, sources.next())
  // The devices of a group stand one behind the other.
  const first = new Map<string, Player>()
  for (const player of players) if (!first.has(player.group)) first.set(player.group, player)
  return players.map((player, index) => {
    const next = players[index + 1]
    const neighbour = (next?.group === player.group ? next : first.get(player.group)) ?? player
    const own = shared.has(player.group) ? shared.get(player.group) : sources.next()
    return { player, neighbour: neighbour.index === index ? `${player.id}-neighbour` : neighbour.id, sources: [own, sources.next()] as const }
  })
}

async function prepare(plan: ScenarioPlan, { players, threads, operator }: Stage): Promise<void> {
  const before = players.filter(({ group }) => plan.scenario.groups.get(group)?.enroll === 'before')
  let done = 0
  await operator.provision(before, (player, credentials) => {
    threads.note({ kind: 'credentials', index: player.index, credentials })
    done += 1
    plan.onProgress(() => `enrolled ${done} of ${before.length} devices`)
  })
}

async function playPhase(stage: Stage, phase: Phase): Promise<void> {
  const { signal } = stage.plan
  const begun = wallMs()
  const steps = Promise.all(phase.steps.map(async (step) => {
    try {
      await playStep(stage, step, phase)
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

function resultOf({ scenario, signal }: ScenarioPlan, { players, findings, threads }: Stage, { phases, timeline, messages }: { readonly phases: ScenarioResult['phases']; readonly timeline: Timeline; readonly messages: Omit<ScenarioResult['messages'], 'unsent'> }): ScenarioResult {
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
