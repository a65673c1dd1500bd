// What an operator does in a scenario: certificates for devices that come, revocations, suspensions, rules, a new CA; each measured
// from when it was asked for to when it was seen to be so.

import { appendFile, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SimError } from '../failure.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { inParallel } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Credentials } from '../raw-peer.ts'
import type { OpenedHome } from '../server-process.ts'
import type { Player } from './cast.ts'
import type { Failure } from './orders.ts'
import { wallMs } from './tag.ts'
import type { Timing } from './scenario.ts'
import type { Threads } from './threads.ts'

export interface OperatorPorts {
  readonly home: OpenedHome
  readonly threads: Threads
  readonly signal: AbortSignal
  /** When a device was seen to be cut off, milliseconds since 1970. */
  readonly closedAt: ReadonlyMap<number, number>
  isConnected(player: Player): boolean
  time(timing: Timing, ms: number): void
  failed(failure: Failure): void
}

export interface Operator {
  /** Registers them and gives each a certificate for its own key. */
  provision(players: readonly Player[], parallel: number, each: (player: Player, credentials: Credentials) => void): Promise<void>
  enroll(player: Player, dueAt: number): Promise<Credentials>
  takeOut(player: Player, order: { readonly how: 'revoke' | 'suspend'; readonly reason: string; readonly withinMs: number; readonly step: string }): Promise<void>
  takeBack(player: Player): Promise<void>
  deny(filter: string, withinMs: number): Promise<void>
  rotate(step: 'start' | 'trust' | 'switch' | 'retire'): Promise<void>
}

const LOOK_MS = 5

export function openOperator({ home, threads, signal, closedAt, isConnected, time, failed }: OperatorPorts): Operator {
  const { admin } = home
  let rules = 0

  async function certificate(player: Player): Promise<Credentials> {
    const key = privateKey()
    const { certificate: own, chain } = await admin.enroll(player.id, forgeRequest(key, player.id))
    return { cert: [own, ...chain].join(''), key: keyPem(key) }
  }

  async function cut(player: Player, since: number, withinMs: number, step: string): Promise<void> {
    while (closedAt.get(player.index) === undefined && wallMs() < since + withinMs && !signal.aborted) await delay(LOOK_MS)
    const closed = closedAt.get(player.index)
    if (closed !== undefined) time('revoke', closed - since)
    if ((closed === undefined || closed - since > withinMs) && !signal.aborted) {
      failed({ step, device: player.id, expected: `its session is closed within ${withinMs} ms`, seen: closed === undefined ? 'still open' : `closed after ${(closed - since).toFixed(0)} ms` })
    }
  }

  return {
    async provision(players, parallel, each) {
      for (const role of ['sensors', 'backend', 'ears'] as const) {
        const ids = players.filter((player) => player.role === role).map(({ id }) => ({ id, groups: [role] }))
        for (let at = 0; at < ids.length; at += SIM_LIMITS.registerPerRequest) await admin.addDevices(ids.slice(at, at + SIM_LIMITS.registerPerRequest))
      }
      await inParallel(players, parallel, async (player) => {
        if (!signal.aborted) each(player, await certificate(player))
      })
    },
    async enroll(player, dueAt) {
      await admin.addDevices([{ id: player.id, groups: [player.role] }])
      const credentials = await certificate(player)
      time('enroll', wallMs() - dueAt)
      return credentials
    },
    async takeOut(player, { how, reason, withinMs, step }) {
      const wasConnected = isConnected(player)
      const asked = wallMs()
      threads.note({ kind: 'sealed', index: player.index, asked })
      if (how === 'revoke') await admin.revoke({ device: player.id }, reason)
      else await admin.changeState(player.id, 'suspend')
      threads.note({ kind: 'sealed-at', index: player.index, at: wallMs() })
      if (wasConnected) await cut(player, asked, withinMs, step)
    },
    async takeBack(player) {
      await admin.changeState(player.id, 'resume')
      threads.note({ kind: 'unsealed', index: player.index })
    },
    async deny(filter, withinMs) {
      if (home.issuingAuthority === undefined) throw new SimError('usage', 'A step that changes the policy runs only in a home that the simulator made.')
      const file = path.join(home.directory, 'policy.yaml')
      rules += 1
      const rule = `  - { id: sim-deny-${rules}, to: any, publish: [${JSON.stringify(filter)}] }\n`
      if ((await readFile(file, 'utf8')).includes('\ndeny:\n')) {
        const text = await readFile(file, 'utf8')
        await writeFile(file, text.replace('\ndeny:\n', `\ndeny:\n${rule}`))
      } else await appendFile(file, `\ndeny:\n${rule}`)
      const asked = wallMs()
      threads.note({ kind: 'denied', filter, asked })
      await home.command('policy', 'apply')
      const answered = wallMs()
      threads.note({ kind: 'denied-at', filter, at: answered })
      time('deny', answered - asked)
      void withinMs
    },
    async rotate(step) {
      const rootKey = step === 'start' && home.rootKey !== undefined ? ['--root-key', home.rootKey] : []
      await home.command('ca', 'rotate', step, ...rootKey, ...(step === 'retire' ? ['--force', '--yes'] : []))
    },
  }
}
