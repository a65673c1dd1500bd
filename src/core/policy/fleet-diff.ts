// What a change of policy means to the fleet: which devices gain or lose what, and which subscriptions that are held now or
// kept end. Asked device by device; only rules that changed are looked for, so that most devices cost a look-up.

import type { DenyReason } from '../../vocabulary.ts'
import { POLICY_LIMITS } from '../../limits.ts'
import type { Device } from '../device.ts'
import type { SourcePosition } from '../errors.ts'
import type { CaName, DeviceId, GroupName } from '../ids.ts'
import { parseTopicFilter } from '../topic.ts'
import { compilePolicy, type CompiledPolicy } from './compile.ts'
import type { RuleChange } from './diff.ts'
import { grantsFor } from './grants.ts'
import { narrowing, type HeldFilter } from './narrowing.ts'
import { comparePermissions, narrowedFilters, type Permission } from './permissions.ts'
import type { Principal } from './template.ts'

export interface HeldSession {
  /** As it connected; of one that is kept and away, without connection and time: they were judged when it subscribed. */
  readonly principal: Principal & { readonly clientId: string }
  readonly isConnected: boolean
  readonly subscriptions: readonly HeldFilter[]
}

/** What would become of one session. */
export interface SessionDiff {
  readonly clientId: string
  readonly isConnected: boolean
  /** It would end, and why. */
  readonly ends?: DenyReason
  readonly lost: readonly { readonly filter: string; readonly reason: DenyReason; readonly rule?: string; readonly at?: SourcePosition }[]
  /** It stays, with a lower QoS. */
  readonly lowered: readonly HeldFilter[]
  /** It stays, and a denial takes a part of what is delivered. */
  readonly narrowed: readonly string[]
}

export interface DeviceDiff {
  readonly device: DeviceId
  readonly groups: readonly GroupName[]
  readonly lost: readonly Permission[]
  readonly gained: readonly Permission[]
  /** No grant is left, or the first one came. */
  readonly connect?: 'lost' | 'gained'
  readonly sessions: readonly SessionDiff[]
  /** Permissions beyond the bound of the lists. */
  readonly more?: number
}

export interface FleetDiff {
  /** Can the change concern this device at all? */
  concerns(device: Device, ca: CaName): boolean
  /** Undefined: it gains and loses nothing. `sessions`: connected ones first, in the order in which they came. */
  device(principal: Principal, sessions: readonly HeldSession[]): DeviceDiff | undefined
}

export function openFleetDiff(before: CompiledPolicy, after: CompiledPolicy, changes: readonly RuleChange[]): FleetDiff {
  const changed = changedRules(changes)
  const [old, next] = [before, after].map((policy) => onlyRules(policy, changed))
  return {
    concerns: (device, ca) => [old, next].some((policy) => policy !== undefined && policy.grantsOf(device, ca).length + policy.deniesOf(device, ca).length > 0),
    device(principal, held) {
      const { lost, gained, mayConnect } = comparePermissions(before, after, principal, changed)
      // Of more sessions than are granted, those that connected first stay.
      const sessions = held.flatMap((session, i) => judgeSession(before, after, session, i))
      if (lost.length + gained.length + sessions.length === 0 && mayConnect.before === mayConnect.after) return undefined
      const max = POLICY_LIMITS.permissionsShownMax
      const more = Math.max(0, lost.length - max) + Math.max(0, gained.length - max)
      const { id, groups } = principal.device
      return {
        device: id, groups, lost: lost.slice(0, max), gained: gained.slice(0, max), sessions,
        ...(mayConnect.before === mayConnect.after ? {} : { connect: mayConnect.before ? 'lost' : 'gained' }),
        ...(more === 0 ? {} : { more }),
      }
    },
  }
}

/** Ids of the rules that say something else; undefined: who is concerned by a rule may have changed for all of them. */
function changedRules(changes: readonly RuleChange[]): ReadonlySet<string> | undefined {
  const everybody = changes.some(({ kind, id }) => kind === 'group' || (kind === 'setting' && id === 'strictDeny'))
  return everybody ? undefined : new Set(changes.filter(({ kind }) => kind === 'grant' || kind === 'deny').map(({ id }) => id))
}

function onlyRules(policy: CompiledPolicy, ids: ReadonlySet<string> | undefined): CompiledPolicy {
  const { document, generation } = policy
  return ids === undefined ? policy : compilePolicy({ ...document, grants: document.grants.filter(({ id }) => ids.has(id)), deny: document.deny.filter(({ id }) => ids.has(id)) }, generation)
}

/** None where it stays as it is. */
function judgeSession(before: CompiledPolicy, after: CompiledPolicy, { principal, isConnected, subscriptions }: HeldSession, earlier: number): readonly SessionDiff[] {
  const { clientId } = principal
  const grants = grantsFor(after, principal)
  const isOver = isConnected && grants.sessionsMax !== undefined && earlier >= grants.sessionsMax
  const { reason } = grants.connect(clientId)
  const connect = grants.empty ? 'no-grant' : reason === 'granted' && isOver ? 'sessions-limit' : reason
  const judged = narrowing(subscriptions, [grants])
  const lost = judged.lost.flatMap(({ filter, verdict: { reason, rule, at } }) => (reason === 'granted' ? [] : [{ filter, reason, ...(rule === undefined ? {} : { rule }), ...(at === undefined ? {} : { at }) }]))
  const gone = new Set(lost.map(({ filter }) => filter))
  const { lowered } = judged
  const narrowed = narrowedFilters(before, after, principal, subscriptions.filter(({ filter }) => !gone.has(filter)).flatMap(({ filter }) => {
    const parsed = parseTopicFilter(filter)
    return parsed.allow ? [parsed.value] : []
  }))
  if (connect === 'granted' && lost.length + lowered.length + narrowed.length === 0) return []
  return [{ clientId, isConnected, ...(connect === 'granted' ? {} : { ends: connect }), lost, lowered, narrowed }]
}

/** What many devices gain and lose, counted: for whoever does not want to read them all. */
export interface FleetCounts {
  /** Devices that were looked at, and those of them that gain or lose something. */
  readonly devices: number
  readonly concerned: number
  readonly losing: number
  readonly gaining: number
  /** Devices that have no grant any more, and that have their first. */
  readonly shutOut: number
  readonly letIn: number
  readonly sessionsEnding: number
  readonly subscriptionsLost: number
  readonly subscriptionsNarrowed: number
  /** By rule and by group: devices that lose, and that gain. */
  readonly rules: Readonly<Record<string, Tally>>
  readonly groups: Readonly<Record<string, Tally>>
}

export interface Tally {
  readonly lost: number
  readonly gained: number
}

export interface FleetTally {
  /** One more device was looked at; `diff`: what it gains and loses. */
  add(diff: DeviceDiff | undefined): void
  counts(): FleetCounts
}

export function openFleetTally(): FleetTally {
  const totals = { devices: 0, concerned: 0, losing: 0, gaining: 0, shutOut: 0, letIn: 0, sessionsEnding: 0, subscriptionsLost: 0, subscriptionsNarrowed: 0 }
  const [rules, groups] = [new Map<string, Tally>(), new Map<string, Tally>()]
  const bump = (tallies: Map<string, Tally>, name: string, isLost: boolean, isGained: boolean): void => {
    const { lost, gained } = tallies.get(name) ?? { lost: 0, gained: 0 }
    tallies.set(name, { lost: lost + Number(isLost), gained: gained + Number(isGained) })
  }
  return {
    add(diff) {
      totals.devices++
      if (diff === undefined) return
      const { lost, gained, connect, sessions } = diff
      const loses = lost.length > 0 || sessions.length > 0 || connect === 'lost'
      const gains = gained.length > 0 || connect === 'gained'
      totals.concerned++
      totals.losing += Number(loses)
      totals.gaining += Number(gains)
      totals.shutOut += Number(connect === 'lost')
      totals.letIn += Number(connect === 'gained')
      for (const session of sessions) {
        totals.sessionsEnding += Number(session.ends !== undefined)
        totals.subscriptionsLost += session.lost.length
        totals.subscriptionsNarrowed += session.narrowed.length + session.lowered.length
      }
      for (const rule of new Set([...lost, ...gained].map((permission) => permission.rule))) {
        bump(rules, rule, lost.some((permission) => permission.rule === rule), gained.some((permission) => permission.rule === rule))
      }
      for (const group of diff.groups) bump(groups, group, loses, gains)
    },
    counts: () => ({ ...totals, rules: Object.fromEntries(rules), groups: Object.fromEntries(groups) }),
  }
}

/** Of two parts of a fleet, the whole. */
export function addCounts(a: FleetCounts, b: FleetCounts): FleetCounts {
  return {
    devices: a.devices + b.devices, concerned: a.concerned + b.concerned, losing: a.losing + b.losing, gaining: a.gaining + b.gaining,
    shutOut: a.shutOut + b.shutOut, letIn: a.letIn + b.letIn, sessionsEnding: a.sessionsEnding + b.sessionsEnding,
    subscriptionsLost: a.subscriptionsLost + b.subscriptionsLost, subscriptionsNarrowed: a.subscriptionsNarrowed + b.subscriptionsNarrowed,
    rules: addTallies(a.rules, b.rules), groups: addTallies(a.groups, b.groups),
  }
}

function addTallies(a: FleetCounts['rules'], b: FleetCounts['rules']): FleetCounts['rules'] {
  const sum = new Map(Object.entries(a))
  for (const [name, { lost, gained }] of Object.entries(b)) {
    const had = sum.get(name)
    sum.set(name, { lost: (had?.lost ?? 0) + lost, gained: (had?.gained ?? 0) + gained })
  }
  return Object.fromEntries(sum)
}
