// Revokes by group, CA, token or window of time, in pages: each page is one commit, and its sessions are closed before the next, so
// that a hundred thousand certificates stall nobody. It reads the registry and never decides what is chosen.

import type { Actor } from './core/audit.ts'
import type { Decision } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { DeviceId, EpochMs } from './core/ids.ts'
import { isChosen, type MassRevocation, type MassRevoked } from './core/mass-revocation.ts'
import type { CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import { planRevocation } from './core/revocation.ts'
import type { TokenRecord } from './core/token.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import type { SessionsPort } from './desk.ts'

export interface MassRevocationPorts {
  readonly registry: Registry
  readonly view: RegistryView
  readonly sessions: SessionsPort | undefined
  readonly clock: () => EpochMs
  readonly actor: Actor
}

const FIRST_DEVICES = 10
/** Certificates in one commit: some ten milliseconds. */
const PAGE = 500

/** Failure: 'refused' when a CA or a group is not there to choose from, or more would be revoked than `atMost`. */
export async function revokeMany(ports: MassRevocationPorts, { choice, reason, dryRun, atMost }: MassRevocation): Promise<MassRevoked> {
  if (choice.ca !== undefined && !ports.registry.cas().some(({ name }) => name === choice.ca)) throw failureOf({ allow: false, reason: 'request-invalid', detail: `there is no CA ${choice.ca}` })
  const token = choice.token === undefined ? undefined : (ports.registry.token(choice.token) ?? throwing(failureOf({ allow: false, reason: 'token-not-found', detail: choice.token })))
  const counted = await count(ports, choice)
  if (dryRun || (counted.certificates === 0 && token === undefined)) return { ...counted, dryRun, closedMs: 0 }
  if (atMost !== undefined && counted.certificates > atMost) throw failureOf({ allow: false, reason: 'revision-conflict', detail: `there are ${counted.certificates} certificates by now, not ${atMost}` })
  // First the way is shut: whoever asks from here on comes through it no more.
  if (token !== undefined && token.revokedAt === undefined) await endToken(ports, token)
  let [certificates, sessions, closedMs] = [0, 0, 0]
  let page: CertificateRecord[] = []
  const flush = async (): Promise<void> => {
    const records = page
    page = []
    const done = await revokePage(ports, records, reason)
    certificates += done.certificates
    sessions += done.sessions
    closedMs = Math.max(closedMs, done.closedMs)
  }
  for (let found = true; found;) {
    const before = certificates
    for await (const record of chosen(ports, choice)) {
      page.push(record)
      if (page.length >= PAGE) await flush()
    }
    if (page.length > 0) await flush()
    // What was renewed meanwhile may stand before the page that was read. Every pass leaves fewer that could be renewed.
    found = token !== undefined && certificates > before
  }
  return { ...counted, dryRun, certificates, sessions, closedMs }
}

/** The certificate of a claim is one of those that are revoked then, for the reason that was said. */
async function endToken({ registry, clock, actor }: MassRevocationPorts, { name }: TokenRecord): Promise<void> {
  const at = clock()
  const committed = await registry.commit([{ kind: 'token-revoked', name, at }], [], [{ kind: 'token-revoked', at, token: name, actor }])
  if (!committed.allow) throw failureOf(committed)
}

function throwing(failure: Error): never {
  throw failure
}

async function count(ports: MassRevocationPorts, choice: MassRevocation['choice']): Promise<Omit<MassRevoked, 'dryRun' | 'closedMs'>> {
  const devices = new Set<DeviceId>()
  let [certificates, sessions] = [0, 0]
  for await (const record of chosen(ports, choice)) {
    const { device } = record
    certificates += 1
    if (device !== undefined) devices.add(device)
    sessions += ports.sessions?.connected?.(record) ?? 0
  }
  return { certificates, devices: devices.size, first: [...devices].slice(0, FIRST_DEVICES), sessions }
}

/** Pages of the registry, each followed by everybody else's turn. */
async function* chosen({ registry, view, clock }: MassRevocationPorts, choice: MassRevocation['choice']): AsyncGenerator<CertificateRecord> {
  const ofDevice = (record: CertificateRecord): boolean => isChosen(record, record.device === undefined ? undefined : view.device(record.device), choice, clock())
  let after: string | undefined
  do {
    const page = choice.group === undefined ? registry.certificates({ through: choice.token, after, limit: REGISTRY_LIMITS.pageSizeMax }) : registry.devices({ group: choice.group, after, limit: REGISTRY_LIMITS.pageSizeMax })
    for (const item of page.items) yield* ('serial' in item ? [item] : view.certificatesOf(item.id)).filter(ofDevice)
    after = page.next
    await new Promise((resolve) => setImmediate(resolve))
  } while (after !== undefined)
}

const ATTEMPTS_MAX = 3

async function revokePage(ports: MassRevocationPorts, records: readonly CertificateRecord[], reason: MassRevocation['reason']): Promise<Pick<MassRevoked, 'certificates' | 'sessions' | 'closedMs'>> {
  for (let attempt = 1; ; attempt++) {
    const fresh = records.flatMap(({ issuer, serial }) => ports.registry.certificate(issuer, serial) ?? []).filter(({ state }) => state !== 'revoked')
    if (fresh.length === 0) return { certificates: 0, sessions: 0, closedMs: 0 }
    const plan = planRevocation(fresh, reason, ports.clock())
    if (!plan.allow) throw failureOf(plan)
    const { changes, expected } = plan.value
    const owners = new Map(fresh.map(({ issuer, serial, device }) => [`${issuer}/${serial}`, device]))
    const committed: Decision<unknown> = await ports.registry.commit(changes, expected, changes.map(({ issuer, serial, at }) => {
      const device = owners.get(`${issuer}/${serial}`)
      return { kind: 'certificate-revoked', at, issuer, serial, revocationReason: reason, actor: ports.actor, ...(device === undefined ? {} : { device }) }
    }))
    // Somebody else revoked one of them meanwhile: a shorter page, and no refusal.
    if (!committed.allow && committed.reason === 'state-transition' && attempt < ATTEMPTS_MAX) continue
    if (!committed.allow) throw failureOf(committed)
    const committedAt = performance.now()
    const counts = await Promise.all(changes.map(({ issuer, serial }) => ports.sessions?.closed({ issuer, serial }) ?? Promise.resolve(0)))
    return { certificates: changes.length, sessions: counts.reduce((sum, n) => sum + n, 0), closedMs: Math.round((performance.now() - committedAt) * 100) / 100 }
  }
}
