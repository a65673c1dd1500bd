// The steps of a scenario: which devices each is about, what is ordered of them, and whether what is refused is refused for the reason
// that was expected.

import { setTimeout as delay } from 'node:timers/promises'
import { SIM_LIMITS } from '../limits.ts'
import { fill, type Player, type Script } from './cast.ts'
import type { Chance } from './chance.ts'
import type { Operator } from './operator.ts'
import { noteFailure, type Findings } from './outcome.ts'
import type { ScenarioPlan } from './run-scenario.ts'
import type { Phase, Step, StepNamed } from './scenario.ts'
import { wallMs } from './tag.ts'
import type { Threads } from './threads.ts'

export interface Stage {
  readonly plan: Pick<ScenarioPlan, 'home' | 'signal'>
  readonly players: readonly Player[]
  readonly script: Script
  readonly threads: Threads
  readonly operator: Operator
  readonly findings: Findings
  /** Who is out for good or for now, so that it is not sent to do anything. */
  readonly out: Set<number>
  readonly chance: Chance
  /** Who was sent to connect, and has not been cut off. */
  readonly connectedNow: Set<number>
}

function membersOf({ players, out }: Stage, groups: readonly string[], withOut = false): readonly Player[] {
  return players.filter(({ group, index }) => groups.includes(group) && (withOut || !out.has(index)))
}

/** As failures name a step. */
export const placeOf = ({ kind, line }: Step): string => `${kind} (line ${line})`
const indexes = (players: readonly Player[]): readonly number[] => players.map(({ index }) => index)
const refusedOf = (expect: 'accepted' | { readonly refused: string }): string | undefined => (expect === 'accepted' ? undefined : expect.refused)

export async function playStep(stage: Stage, step: Step, phase: Phase): Promise<void> {
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
      if (refused === undefined) for (const { index } of members) stage.connectedNow.add(index)
      // The enrollment door tells the device itself why.
      const toldByLog = step.kind === 'renew' && step.with === 'est' ? undefined : refused
      return withReasons(stage, step, members, toldByLog, () => threads.perform({ ...(step.kind === 'renew' ? { kind: step.kind, by: step.with } : { kind: step.kind }), step: at, players: indexes(members), overMs: step.over, refused }))
    }
    case 'disconnect': {
      const members = membersOf(stage, step.group)
      await threads.perform({ kind: 'disconnect', step: at, players: indexes(members), overMs: step.over, refused: undefined })
      for (const { index } of members) stage.connectedNow.delete(index)
      return
    }
    case 'storm': return threads.perform({ kind: 'storm', step: at, players: indexes(membersOf(stage, step.group)), backoffMs: step.backoff })
    case 'publish': {
      const members = membersOf(stage, step.group)
      return withReasons(stage, step, members, refusedOf(step.expect), () => threads.perform({ kind: 'publish', step: at, players: indexes(members), speech: number, rate: step.rate, forMs }))
    }
    case 'misbehave': return threads.perform({ kind: 'misbehave', step: at, players: indexes(membersOf(stage, step.group)), speech: number, rate: step.rate, forMs })
    case 'command': {
      const speakers = membersOf(stage, [step.from])
      const members = membersOf(stage, step.group)
      const receivers = speakers.map((_, place) => members.filter((__, index) => index % speakers.length === place).map(({ index, id }) => ({ index, id })))
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
  const members = membersOf(stage, step.group)
  const enroll = await stage.operator.enrollment(step.with, members)
  await spread(stage, members, step.over, async (player, dueAt) => {
    try {
      const credentials = await enroll(player, dueAt)
      stage.threads.note({ kind: 'credentials', index: player.index, credentials })
      if (refused !== undefined) noteFailure(stage.findings, { step: placeOf(step), device: player.id, expected: `refused (${refused})`, seen: 'a certificate' })
    } catch (error) {
      const seen = error instanceof Error ? error.message : String(error)
      const isExpected = refused === 'any' || (refused !== undefined && seen.includes(refused))
      if (!isExpected) noteFailure(stage.findings, { step: placeOf(step), device: player.id, expected: refused === undefined ? 'a certificate' : `refused (${refused})`, seen })
    }
  })
}

async function takeOut(stage: Stage, step: StepNamed<'revoke' | 'suspend'>): Promise<void> {
  const members = membersOf(stage, step.group)
  const chosen = stage.chance.pick(members, Math.ceil(members.length * step.share))
  for (const { index } of chosen) stage.out.add(index)
  await spread(stage, chosen, step.over, (player) => stage.operator.takeOut(player, { how: step.kind, reason: step.kind === 'revoke' ? step.reason : '', withinMs: step.within, step: placeOf(step) }))
}

/** Does it; and where it is to be refused for a reason, every device must have been refused for that one, as the audit log has it. */
async function withReasons({ plan: { home, signal }, findings }: Stage, step: Step, players: readonly Player[], reason: string | undefined, work: () => Promise<void>): Promise<void> {
  // Elsewhere nobody tells why.
  if (home === undefined || reason === undefined || reason === 'any') return work()
  const { newest } = await home.admin.refusalsAfter(0)
  await work()
  // The log is written behind the refusal.
  const deadline = wallMs() + SIM_LIMITS.auditMs
  for (;;) {
    const { refusals } = await home.admin.refusalsAfter(newest)
    const seen = new Map(refusals.flatMap(({ device, reason: said }) => (device === undefined ? [] : [[device, said] as const])))
    // Of one that was let in it is told already.
    const told = new Set(findings.failures.flatMap(({ step: at, device }) => (at === placeOf(step) ? [device] : [])))
    const held = players.filter(({ id }) => !told.has(id))
    const missing = held.filter(({ id }) => !seen.has(id))
    if (missing.length > 0 && wallMs() < deadline && !signal.aborted) {
      await delay(SIM_LIMITS.auditPollMs)
      continue
    }
    for (const { id } of held) {
      const said = seen.get(id)
      if (said !== reason) noteFailure(findings, { step: placeOf(step), device: id, expected: `refused (${reason})`, seen: said === undefined ? 'no refusal in the audit log' : `refused (${said})` })
    }
    return
  }
}
