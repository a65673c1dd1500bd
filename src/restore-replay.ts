// What happened after a backup, told to the registry that was restored: counted and named for people, made into changes where only
// an audit log is left, and into the events by which the new audit log remembers it.

import { createHash } from 'node:crypto'
import type { AuditEvent } from './core/audit.ts'
import type { CaName, KeyHash, SerialNumber } from './core/ids.ts'
import { operatorAfter, type Operator, type OperatorChange } from './core/operator.ts'
import type { Change, Registry } from './core/registry.ts'
import type { DeviceState } from './core/device.ts'
import { BACKUP_LIMITS } from './backup-limits.ts'
import type { Replayed } from './observe/replay.ts'
import { parseCertificate } from './x509/certificate.ts'

interface Named {
  count: number
  /** The first of them. */
  readonly names: string[]
}

export interface Tally {
  readonly revocations: Named
  readonly certificates: Named
  readonly devices: Named
  others: number
}

export function emptyTally(): Tally {
  const none = (): Named => ({ count: 0, names: [] })
  return { revocations: none(), certificates: none(), devices: none(), others: 0 }
}

export function tallyOf(pages: Iterable<readonly Change[]>): Tally {
  const tally = emptyTally()
  for (const page of pages) for (const change of page) count(tally, change)
  return tally
}

export function count(tally: Tally, change: Change): void {
  const one = (named: Named, name: string): void => {
    named.count += 1
    if (named.names.length < BACKUP_LIMITS.namesShownMax) named.names.push(name)
  }
  if (change.kind === 'certificate-revoked') one(tally.revocations, change.serial)
  // A plan is the other half of what is issued.
  else if (change.kind === 'certificate-issued') one(tally.certificates, change.serial)
  else if (change.kind === 'device-added') one(tally.devices, change.device.id)
  else tally.others += 1
}

/** Devices that an audit log knows and `registry` does not: somebody has to add them again. */
export function devicesToAdd(replayed: readonly Replayed[], registry: Known): readonly string[] {
  return [...new Set(replayed.flatMap((event) => (event.kind === 'device-added' && registry.device(event.device) === undefined ? [event.device] : [])))]
}

type Known = Pick<Registry, 'certificate' | 'device' | 'cas' | 'operator'>

/**
 * The changes that an audit log asks for, as far as `registry` does not know them already. A certificate that was issued since is recorded
 * as planned: listed, revocable, and refused at the door, for its key and bytes are not in the log. A revocation is never left out.
 * Of devices the log has no groups and attributes: who was added since has to be added again.
 */
export function changesOfReplay(replayed: readonly Replayed[], registry: Known): readonly Change[] {
  const changes: Change[] = []
  const [planned, revoked, states] = [new Set<string>(), new Set<string>(), new Map<string, DeviceState>()]
  const operators = replayedOperators(registry)
  const plan = (event: Pick<Extract<Replayed, { kind: 'certificate-issued' }>, 'issuer' | 'serial' | 'at' | 'profile' | 'device'>): void => {
    const name = `${event.issuer}/${event.serial}`
    if (planned.has(name) || registry.certificate(event.issuer, event.serial) !== undefined) return
    planned.add(name)
    const { device, issuer, serial, profile, at } = event
    changes.push({ kind: 'certificate-planned', certificate: { issuer, serial, profile, state: 'planned', spkiSha256: unknownKey(issuer, serial), notBefore: at, notAfter: endOf(issuer, registry, at), createdAt: at, ...(device === undefined || registry.device(device) === undefined ? {} : { device }) } })
  }
  for (const event of replayed) {
    switch (event.kind) {
      case 'certificate-issued':
        plan(event)
        break
      case 'certificate-revoked': {
        plan({ ...event, profile: 'device' })
        const name = `${event.issuer}/${event.serial}`
        if (revoked.has(name) || registry.certificate(event.issuer, event.serial)?.state === 'revoked') break
        revoked.add(name)
        changes.push({ kind: 'certificate-revoked', issuer: event.issuer, serial: event.serial, at: event.at, reason: event.reason })
        break
      }
      case 'device-changed': {
        const state = states.get(event.device) ?? registry.device(event.device)?.state
        if (state === undefined || state === event.state || state === 'retired') break
        states.set(event.device, event.state)
        changes.push({ kind: 'device-state', id: event.device, state: event.state })
        break
      }
      case 'operator-added':
      case 'operator-role':
      case 'operator-revoked':
        changes.push(...operators.changesOf(event))
        break
      case 'device-added':
        break
    }
  }
  return changes
}

type OperatorEvent = Extract<Replayed, { kind: 'operator-added' | 'operator-role' | 'operator-revoked' }>

/** What somebody was given since is given again, and what was taken is taken again: a restore makes nobody an admin who is none any more. */
function replayedOperators(registry: Pick<Registry, 'operator'>): { changesOf(event: OperatorEvent): readonly Change[] } {
  const known = new Map<string, Operator | undefined>()
  return {
    changesOf(event) {
      const name = event.operator
      const before = known.has(name) ? known.get(name) : registry.operator(name)
      if (before?.revokedAt !== undefined || (before === undefined) !== (event.kind === 'operator-added')) return []
      if (event.kind === 'operator-added') {
        const operator: Operator = { name, role: event.role, createdAt: event.at, ...(event.tenant === undefined ? {} : { tenant: event.tenant }) }
        known.set(name, operator)
        return [{ kind: 'operator-added', operator }]
      }
      if (event.kind === 'operator-role' && before?.role === event.role) return []
      const change: OperatorChange = event.kind === 'operator-role' ? { kind: 'operator-role', name, role: event.role } : { kind: 'operator-revoked', name, at: event.at }
      if (before !== undefined) known.set(name, operatorAfter(before, change))
      return [change]
    },
  }
}

/** A key that nobody has: the log does not say which it was. */
function unknownKey(issuer: CaName, serial: SerialNumber): KeyHash {
  return createHash('sha256').update(`unknown key of ${issuer}/${serial}`).digest('hex') as KeyHash
}

/** No certificate outlives its issuer; one whose issuer is not known is listed for as long as it could be in use. */
function endOf(issuer: CaName, registry: Known, at: number): number {
  const ca = registry.cas().find(({ name }) => name === issuer)
  const facts = ca === undefined ? undefined : parseCertificate(ca.der)
  return facts?.allow === true ? facts.value.notAfter : at + UNKNOWN_LIFE_MS
}
const UNKNOWN_LIFE_MS = 10 * 366 * 86_400_000

const ACTION = { pending: 'register', active: 'resume', suspended: 'suspend', quarantined: 'quarantine', retired: 'retire' } as const satisfies Record<DeviceState, string>
const ACTOR = { kind: 'local' } as const

/** How the audit log remembers a change that is made a second time. */
export function eventsOf(change: Change, certificate: Registry['certificate'], at: number): readonly AuditEvent[] {
  switch (change.kind) {
    case 'device-added':
      return [{ kind: 'device-added', at, device: change.device.id, actor: ACTOR }]
    case 'device-state':
      return [{ kind: 'device-changed', at, device: change.id, action: ACTION[change.state], state: change.state, actor: ACTOR, because: BECAUSE }]
    case 'certificate-planned': {
      const { issuer, serial, profile, device } = change.certificate
      return [{ kind: 'certificate-planned', at, issuer, serial, profile, actor: ACTOR, ...(device === undefined ? {} : { device }) }]
    }
    case 'certificate-issued': {
      const record = certificate(change.issuer, change.serial)
      return [{ kind: 'certificate-issued', at, issuer: change.issuer, serial: change.serial, sha256: change.sha256, profile: record?.profile ?? 'device', actor: ACTOR, ...(record?.device === undefined ? {} : { device: record.device }) }]
    }
    case 'certificate-observed': {
      const { issuer, serial, device, sha256 } = change.certificate
      return device === undefined || sha256 === undefined ? [] : [{ kind: 'certificate-observed', at, issuer, serial, device, sha256 }]
    }
    case 'certificate-revoked': {
      const device = certificate(change.issuer, change.serial)?.device
      return [{ kind: 'certificate-revoked', at, issuer: change.issuer, serial: change.serial, revocationReason: change.reason, actor: ACTOR, ...(device === undefined ? {} : { device }) }]
    }
    case 'ca-added':
      return [{ kind: 'ca-added', at, ca: change.ca.name, actor: ACTOR, ...(change.ca.ids === undefined ? {} : { ids: change.ca.ids }) }]
    case 'ca-state':
      return [{ kind: 'ca-state', at, ca: change.name, state: change.state, actor: ACTOR }]
    case 'token-added':
      return [{ kind: 'token-created', at, token: change.token.name, actor: ACTOR }]
    case 'token-revoked':
      return [{ kind: 'token-revoked', at, token: change.name, actor: ACTOR }]
    case 'token-suspended':
      return [{ kind: change.at === undefined ? 'token-resumed' : 'token-suspended', at, token: change.name, actor: ACTOR }]
    case 'operator-added':
      return [{ kind: 'operator-added', at, operator: change.operator.name, role: change.operator.role, actor: ACTOR, ...(change.operator.tenant === undefined ? {} : { tenant: change.operator.tenant }) }]
    case 'operator-role':
      return [{ kind: 'operator-role', at, operator: change.name, role: change.role, actor: ACTOR }]
    case 'operator-revoked':
    case 'operator-certified':
      return [{ kind: change.kind, at, operator: change.name, actor: ACTOR }]
    // None of these has an event without the request that it was part of; the restore counts them.
    case 'device-described':
    case 'certificate-state':
    case 'token-used':
    case 'enrollment-requested':
    case 'enrollment-decided':
    case 'crl-numbered':
    case 'renewal-ordered':
    case 'renewal-order-ended':
    case 'expiry-told':
    case 'webhook-added':
    case 'webhook-removed':
      return []
  }
}
const BECAUSE = 'Taken over by a restore.'
