// Sessions that are kept and not connected, when something has changed for them: those that nobody can come back to go, and from the
// others goes what their device is granted no longer, with what waits for it. They are walked through in the background, page by
// page, after a start and after a change of policy. What is left undone by a crash is done at the next start, and at the latest when
// the session is resumed, which judges everything again. policy.md R9, R10.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { BROKER_LIMITS } from '../../limits.ts'
import { judgeReturn, judgeReturnWith } from '../../core/admission.ts'
import type { Device } from '../../core/device.ts'
import type { DeviceId, SessionKey } from '../../core/ids.ts'
import type { Grants } from '../../core/policy/grants.ts'
import { narrowing } from '../../core/policy/narrowing.ts'
import type { SessionStore, StoredSession } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import type { SessionTable } from '../sessions.ts'
import type { Credential, Granting } from './granting.ts'
import type { Keeping } from './keeping.ts'
import type { Link } from './link.ts'
import type { LostReport } from './lost-report.ts'

export interface AbsentPorts {
  readonly broker: Pick<BrokerPorts, 'view' | 'trust' | 'clock' | 'log' | 'certificateDer'>
  readonly store: SessionStore
  readonly sessions: SessionTable
  readonly granting: Granting
  readonly keeping: Pick<Keeping, 'narrow' | 'forget'>
  readonly lostReport: Pick<LostReport, 'add'>
  linkOf(session: NonNullable<Link['session']>): Link | undefined
}

export interface Absent {
  /** Policy or trust changed, or the program has just started: all of them are looked at. */
  reviewAll(): void
  /** This device, or one of its certificates, changed. */
  review(device: DeviceId): void
  /** Resolves when nothing more is asked of the store. */
  stop(): Promise<void>
}

export function openAbsent(ports: AbsentPorts): Absent {
  const { broker, store, sessions, granting, keeping } = ports
  let isDirty = false
  const stopping = new AbortController()
  let walking: Promise<void> | undefined
  /** Devices that are looked at outside of the walk. */
  const reviews = new Set<Promise<void>>()

  async function walk(): Promise<void> {
    // From end to end, and again when something changed meanwhile: so the last ones have their turn, however often that is.
    while (isDirty && !stopping.signal.aborted) {
      isDirty = false
      let after: SessionKey | undefined
      do {
        const keys = await store.sessions(after, BROKER_LIMITS.absentPageSessions)
        if (stopping.signal.aborted) return
        await look(keys)
        after = keys.at(-1)
      } while (after !== undefined)
    }
  }

  async function look(keys: readonly SessionKey[]): Promise<void> {
    const absent = keys.filter((key) => sessions.get(key) === undefined)
    const found = await Promise.all(absent.map((key) => store.session(key)))
    const now = broker.clock()
    const work: Promise<void>[] = []
    const returns = new Map<DeviceId, boolean>()
    let end = performance.now() + BROKER_LIMITS.renewSliceMs
    for (const kept of found) {
      if (performance.now() > end) {
        await nextTurn()
        end = performance.now() + BROKER_LIMITS.renewSliceMs
      }
      if (stopping.signal.aborted || kept === undefined || (kept.expiresAt !== undefined && kept.expiresAt <= now)) continue
      const device = broker.view.device(deviceOf(kept.key))
      if (device === undefined) continue
      const returning = returns.get(device.id) ?? mayReturn(device)
      returns.set(device.id, returning)
      // It may have come back while the store was asked: then it has been judged.
      if (returning && sessions.get(kept.key) === undefined) work.push(narrow(device, kept))
    }
    await Promise.all(work)
  }

  /** What is kept for a device that cannot come back is kept for nobody, and would go on collecting messages. */
  function mayReturn(device: Device): boolean {
    const back = judgeReturn(device, broker.view.certificatesOf(device.id), broker.clock())
    if (!back.allow) keeping.forget(device, back.reason)
    return back.allow
  }

  async function narrow(device: Device, kept: StoredSession): Promise<void> {
    const clientId = clientIdOf(kept.key)
    const grants = grantsOnReturn(device, clientId)
    if (grants.length === 0) return
    const lose = narrowing(kept.subscriptions, grants)
    if (lose.lost.length === 0 && lose.lowered.length === 0) return
    ports.lostReport.add(device.id, clientId, lose.lost)
    for (const sibling of sessions.ofDevice(device.id)) {
      // How many filters are kept for it counts for the bound on those of the device.
      const link = ports.linkOf(sibling)
      if (link?.absent.has(kept.key) === true) link.absent.set(kept.key, kept.subscriptions.length - lose.lost.length)
    }
    await keeping.narrow(kept.key, lose, 0)
  }

  /**
   * What it may come to have when it comes back, with each of its certificates. What a rule asks of its connection is not known, and
   * keeps no grant away. Who cannot connect in his present state is judged as he will be when he may again.
   */
  function grantsOnReturn(device: Device, clientId: string): readonly Grants[] {
    const now = broker.clock()
    return broker.view.certificatesOf(device.id).flatMap((record) => {
      if (broker.trust().roleOf(record.issuer) === undefined || !judgeReturnWith(device, record, now).allow) return []
      const credential: Credential = {
        issuer: record.issuer,
        get leaf() {
          return broker.certificateDer(record.issuer, record.serial)
        },
      }
      const grants = granting.absent(device, credential, clientId)
      const mayConnect = device.state === 'active' || (device.state === 'quarantined' && !grants.empty)
      return [mayConnect ? grants : granting.absent({ ...device, state: 'active' }, credential, clientId)]
    })
  }

  async function reviewDevice(id: DeviceId): Promise<void> {
    const device = broker.view.device(id)
    if (device === undefined || !mayReturn(device)) return
    const siblings = await store.siblings(`${device.tenant}/${device.id}`)
    await look(siblings.map(({ key }) => key))
  }

  const onFault = (cause: unknown): void => broker.log('error', { error: cause instanceof Error ? cause.message : 'unknown' }, 'the kept sessions could not be looked through')

  function reviewAll(): void {
    if (stopping.signal.aborted) return
    isDirty = true
    walking ??= walk().catch(onFault).finally(() => {
      walking = undefined
      if (isDirty) reviewAll()
    })
  }

  return {
    reviewAll,
    review(id) {
      if (stopping.signal.aborted) return
      const review = reviewDevice(id).catch(onFault).finally(() => reviews.delete(review))
      reviews.add(review)
    },
    async stop() {
      stopping.abort()
      await Promise.all([walking, ...reviews])
    },
  }
}

/** The parts of a key: neither tenant nor device has a slash. */
function deviceOf(key: SessionKey): DeviceId {
  return (key.split('/')[1] ?? '') as DeviceId
}

function clientIdOf(key: SessionKey): string {
  return key.split('/').slice(2).join('/')
}
