// What an operator does in a scenario: certificates for devices that come, revocations, suspensions, rules, a new CA; each measured
// from when it was asked for to when it was seen to be so.

import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SimError } from '../failure.ts'
import type { Identities } from '../identities.ts'
import type { Credentials } from '../raw-peer.ts'
import type { OpenedHome } from '../server-process.ts'
import type { Player } from './cast.ts'
import type { Failure } from './orders.ts'
import { wallMs } from './tag.ts'
import { openFlow } from './enroll-flows.ts'
import type { EnrollFlow, Scenario, Step, Timing } from './scenario.ts'
import type { Threads } from './threads.ts'

export interface OperatorPorts {
  readonly identities: Identities
  /** Whose operator it is; without one there is nobody who could revoke, or change the policy. */
  readonly home: OpenedHome | undefined
  readonly threads: Threads
  readonly signal: AbortSignal
  /** When a device was seen to be cut off, milliseconds since 1970. */
  readonly closedAt: Map<number, number>
  isConnected(player: Player): boolean
  time(timing: Timing, ms: number): void
  failed(failure: Failure): void
}

export interface Operator {
  /** A certificate for each, for a key of its own. */
  provision(players: readonly Player[], each: (player: Player, credentials: Credentials) => void): Promise<void>
  /** What these devices need before they ask, made ready; and how each of them asks, when it is due. */
  enrollment(how: EnrollFlow, players: readonly Player[]): Promise<(player: Player, dueAt: number) => Promise<Credentials>>
  takeOut(player: Player, order: { readonly how: 'revoke' | 'suspend'; readonly reason: string; readonly withinMs: number; readonly step: string }): Promise<void>
  takeBack(player: Player): Promise<void>
  deny(filter: string, withinMs: number, step: string): Promise<void>
  rotate(step: 'start' | 'trust' | 'switch' | 'retire'): Promise<void>
}

const LOOK_MS = 5

const BY_OPERATOR: readonly Step['kind'][] = ['revoke', 'suspend', 'resume', 'deny', 'rotate']

/** The first step that needs an operator of the target, which only a home of Sallyport has. */
export function operatorStep({ phases }: Scenario): Step | undefined {
  return phases.flatMap(({ steps }) => steps).find((step) => BY_OPERATOR.includes(step.kind) || (step.kind === 'enroll' && step.with !== 'request') || (step.kind === 'renew' && step.with === 'est'))
}

export function openOperator(ports: OperatorPorts): Operator {
  const { identities, home, threads, signal, closedAt } = ports
  let rules = 0

  function needed(): OpenedHome {
    if (home === undefined) throw new SimError('usage', 'This step needs an operator of the target, and the target is no home of Sallyport.')
    return home
  }

  async function cut(player: Player, since: number, withinMs: number, step: string): Promise<void> {
    while (closedAt.get(player.index) === undefined && wallMs() < since + withinMs && !signal.aborted) await delay(LOOK_MS)
    const closed = closedAt.get(player.index)
    if (closed !== undefined) ports.time('revoke', closed - since)
    if ((closed === undefined || closed - since > withinMs) && !signal.aborted) {
      ports.failed({ step, device: player.id, expected: `its session is closed within ${withinMs} ms`, seen: closed === undefined ? 'still open' : `closed after ${(closed - since).toFixed(0)} ms` })
    }
  }

  return {
    async provision(players, each) {
      const byId = new Map(players.map((player) => [player.id, player]))
      for (const role of ['sensors', 'backend', 'ears'] as const) {
        const ids = players.filter((player) => player.role === role).map(({ id }) => id)
        await identities.all(ids, role, (identity) => {
          const player = byId.get(identity.id)
          if (player !== undefined) each(player, { cert: identity.cert, key: identity.key })
        }, signal)
      }
    },
    async enrollment(how, players) {
      const ask = how === 'request' ? ({ id, role }: Player) => identities.named(id, role) : await openFlow(how, needed(), players)
      return async (player, dueAt) => {
        const { cert, key } = await ask(player)
        ports.time('enroll', wallMs() - dueAt)
        return { cert, key }
      }
    },
    async takeOut(player, { how, reason, withinMs, step }) {
      const wasConnected = ports.isConnected(player)
      const { admin } = needed()
      // How it may have been cut off before says nothing of now.
      closedAt.delete(player.index)
      const asked = wallMs()
      threads.note({ kind: 'sealed', index: player.index })
      if (how === 'revoke') await admin.revoke({ device: player.id }, reason)
      else await admin.changeState(player.id, 'suspend')
      threads.note({ kind: 'sealed-at', index: player.index, at: wallMs() })
      if (wasConnected) await cut(player, asked, withinMs, step)
    },
    async takeBack(player) {
      await needed().admin.changeState(player.id, 'resume')
      threads.note({ kind: 'unsealed', index: player.index })
    },
    async deny(filter, withinMs, step) {
      const own = needed()
      if (own.issuingAuthority === undefined) throw new SimError('usage', 'A step that changes the policy runs only in a home that the simulator made.')
      const file = path.join(own.directory, 'policy.yaml')
      rules += 1
      const rule = `  - { id: sim-deny-${rules}, to: any, publish: [${JSON.stringify(filter)}] }\n`
      const text = await readFile(file, 'utf8')
      await writeFile(file, text.includes('\ndeny:\n') ? text.replace('\ndeny:\n', `\ndeny:\n${rule}`) : `${text}\ndeny:\n${rule}`)
      const asked = wallMs()
      threads.note({ kind: 'denied', filter, asked })
      await own.command('policy', 'apply')
      const answered = wallMs()
      threads.note({ kind: 'denied-at', filter, at: answered })
      if (answered - asked > withinMs) ports.failed({ step, device: '-', expected: `the rule is in force within ${withinMs} ms`, seen: `after ${(answered - asked).toFixed(0)} ms` })
    },
    async rotate(step) {
      const own = needed()
      const rootKey = step === 'start' && own.rootKey !== undefined ? ['--root-key', own.rootKey] : []
      await own.command('ca', 'rotate', step, ...rootKey, ...(step === 'retire' ? ['--force', '--yes'] : []))
    },
  }
}
