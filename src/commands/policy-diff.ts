// sallyport policy diff: what another policy would change, for whom, before anything changes.

import { existsSync } from 'node:fs'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import type { DiffQuery, PolicyDiff } from '../core/policy-desk.ts'
import { diffDocuments, type RuleChange } from '../core/policy/diff.ts'
import { addCounts, type DeviceDiff, type FleetCounts, type SessionDiff, type Tally } from '../core/policy/fleet-diff.ts'
import type { Permission } from '../core/policy/permissions.ts'
import { withTerms } from '../core/policy/words.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { print, table, withDesk, type CommonOptions } from './context.ts'
import { numberOf, placeWords, policyAt, textsOf } from './policy-source.ts'

interface DiffOptions extends CommonOptions {
  readonly from?: string
  readonly fleet?: boolean
  readonly limit?: string
}

const LISTED = 20

/** Two policies, and what the difference means to the fleet where that was asked. */
export interface Difference {
  /** Undefined: no home was asked. */
  readonly generation?: number
  readonly sha256?: string
  readonly changes: readonly RuleChange[]
  readonly fleet?: { readonly counts: FleetCounts; readonly items: readonly DeviceDiff[] }
}

export async function diff(file: string | undefined, options: DiffOptions): Promise<void> {
  const limit = numberOf(options.limit, '--limit') ?? LISTED
  const from = options.from === undefined ? undefined : isGeneration(options.from) ? Number(options.from) : await textsOf(options.from)
  const difference = file !== undefined && options.from !== undefined && typeof from === 'object' && options.fleet !== true
    ? await ofFiles(options.from, file, options)
    : await withDesk(options, async (desk) => differenceOf(desk, { files: file === undefined ? undefined : await textsOf(file), from, fleet: options.fleet }, limit))
  print(options, difference, () => differenceWords(difference))
}

/** A number is a generation of the history, unless there is a file of that name. */
const isGeneration = (text: string): boolean => /^\d{1,15}$/.test(text) && !existsSync(text)

/** Two files need no home. */
async function ofFiles(from: string, to: string, options: CommonOptions): Promise<Difference> {
  const [before, after] = [await policyAt(from, options), await policyAt(to, options)]
  return { changes: diffDocuments(before.policy.document, after.policy.document) }
}

/** Asks range by range. A policy that comes into force meanwhile would make one answer of two: then it is a failure. */
export async function differenceOf(desk: Desk, query: Omit<DiffQuery, 'after' | 'limit'>, limit: number): Promise<Difference> {
  let counts: FleetCounts | undefined
  const items: DeviceDiff[] = []
  let first: PolicyDiff | undefined
  let after: string | undefined
  do {
    const part = await desk.diffPolicy({ ...query, after, limit: Math.min(limit - items.length, POLICY_LIMITS.fleetDevicesPerRequestMax) })
    first ??= part
    if (part.generation !== first.generation || part.sha256 !== first.sha256) throw new SallyportError('refused', 'Another policy came into force meanwhile.', { fix: 'Compare again.', reason: 'revision-conflict' })
    if (part.fleet !== undefined) counts = counts === undefined ? part.fleet.counts : addCounts(counts, part.fleet.counts)
    items.push(...(part.fleet?.items ?? []))
    after = part.fleet?.next
  } while (after !== undefined)
  return { generation: first.generation, sha256: first.sha256, changes: first.changes, ...(counts === undefined ? {} : { fleet: { counts, items } }) }
}

export function differenceWords({ generation, changes, fleet }: Difference): string {
  const against = generation === undefined ? '' : ` (generation ${generation} is in force)`
  if (changes.length === 0) return `no rule says anything else${against}`
  return [
    `${changes.length} ${changes.length === 1 ? 'change' : 'changes'}${against}`,
    ...changes.flatMap(changeLines),
    ...(fleet === undefined ? [] : ['', ...fleetLines(fleet.counts, fleet.items)]),
  ].join('\n')
}

function changeLines({ kind, id, change, at, removed, added }: RuleChange): readonly string[] {
  return [`${change} ${kind} ${id}${at === undefined ? '' : ` (${placeWords(at)})`}`, ...removed.map((line) => `  - ${line}`), ...added.map((line) => `  + ${line}`)]
}

const devicesOf = (count: number): string => `${count} ${count === 1 ? 'device' : 'devices'}`

function fleetLines(counts: FleetCounts, items: readonly DeviceDiff[]): readonly string[] {
  const { devices, concerned, losing, gaining, shutOut, letIn, sessionsEnding, subscriptionsLost, subscriptionsNarrowed } = counts
  const more = concerned - items.length
  if (concerned === 0) return [`of ${devicesOf(devices)} none gains or loses anything`]
  return [
    `of ${devicesOf(devices)} ${concerned} ${concerned === 1 ? 'gains or loses' : 'gain or lose'} something: ${losing} lose, ${gaining} gain${shutOut === 0 ? '' : `, ${shutOut} may not connect any more`}${letIn === 0 ? '' : `, ${letIn} may connect for the first time`}`,
    sessionsWords(sessionsEnding, subscriptionsLost, subscriptionsNarrowed),
    '',
    ...tallyLines('RULE', counts.rules),
    ...tallyLines('GROUP', counts.groups),
    ...items.flatMap(deviceLines),
    ...(more === 0 ? [] : [`and ${more} more: --limit ${concerned}`]),
  ]
}

function sessionsWords(ending: number, lost: number, narrowed: number): string {
  const counted = ([[ending, 'session'], [lost, 'subscription'], [narrowed, 'subscription']] as const).map(([count, noun]) => `${count} ${noun}${count === 1 ? '' : 's'}`)
  const parts = [`${counted[0]} would end`, `${counted[1]} would end`, `${counted[2]} would be narrowed`].filter((_, i) => [ending, lost, narrowed][i] !== 0)
  return parts.length === 0 ? 'no session, connected or kept, loses anything that it has' : `of what is connected or kept now: ${parts.join(', ')}`
}

/** The rules and groups that most devices are concerned by. */
const TALLIES_SHOWN = 20

function tallyLines(head: string, tallies: Readonly<Record<string, Tally>>): readonly string[] {
  const entries = Object.entries(tallies).toSorted(([, a], [, b]) => b.lost + b.gained - (a.lost + a.gained))
  if (entries.length === 0) return []
  return [table([[head, 'LOSE', 'GAIN'], ...entries.slice(0, TALLIES_SHOWN).map(([name, { lost, gained }]) => [name, String(lost), String(gained)])]), ...(entries.length > TALLIES_SHOWN ? [`and ${entries.length - TALLIES_SHOWN} more`] : []), '']
}

function deviceLines({ device, groups, lost, gained, connect, sessions, more }: DeviceDiff): readonly string[] {
  return [
    `${device}${groups.length === 0 ? '' : ` (${groups.join(', ')})`}${connect === undefined ? '' : connect === 'lost' ? ': may not connect any more' : ': may connect for the first time'}`,
    ...lost.map((permission) => `  - ${permissionWords(permission, 'lost')}`),
    ...gained.map((permission) => `  + ${permissionWords(permission, 'gained')}`),
    ...(more === undefined ? [] : [`  and ${more} more`]),
    ...sessions.flatMap(sessionLines),
  ]
}

/** 'publish t/a (qos≤1), before it was without such terms; rule sensor (policy.yaml:12)' */
function permissionWords({ kind, topic, terms = '', rule, at, deny, instead }: Permission, as: 'lost' | 'gained'): string {
  const other = instead === undefined ? '' : `, ${as === 'lost' ? 'now' : 'before'} ${instead === '' ? 'without such terms' : `with ${instead}`}`
  const isAsked = kind === 'connect' && deny === true
  const by = isAsked ? (as === 'lost' ? 'asked by' : 'no longer asked by') : deny === true ? (as === 'lost' ? 'denied by' : 'no longer denied by') : 'granted by'
  return `${kind} ${isAsked ? topic : withTerms(topic, terms)}${other}: ${by} ${rule} (${placeWords(at)})`
}

function sessionLines({ clientId, isConnected, ends, lost, lowered, narrowed }: SessionDiff): readonly string[] {
  const head = `  ${isConnected ? 'connected' : 'kept'} session ${clientId}`
  return [
    ...(ends === undefined ? [] : [`${head} would end: ${ends}`]),
    ...lost.map(({ filter, reason, rule, at }) => `${head} would lose ${filter}: ${reason}${rule === undefined ? '' : `, rule ${rule}${at === undefined ? '' : ` at ${placeWords(at)}`}`}`),
    ...lowered.map(({ filter, qos }) => `${head} would have ${filter} with QoS ${qos} only`),
    ...narrowed.map((filter) => `${head} would keep ${filter}, and be sent less`),
  ]
}
