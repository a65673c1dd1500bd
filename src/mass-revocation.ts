// Revokes by group, CA, token or window of time. Who is meant is read first and does not change by what fails later. Then it goes in pages:
// each page is one commit, and its sessions are closed before the next, so that a hundred thousand certificates stall nobody. Where
// the registry fails half way, a running server has the rest in force at once, unrecorded, and whoever ordered it is told what is
// recorded and what is not. It reads the registry and never decides what is chosen.

import type { Actor } from './core/audit.ts'
import type { Decision } from './core/decision.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import type { DeviceId, EpochMs } from './core/ids.ts'
import { isChosen, type MassRevocation, type MassRevoked } from './core/mass-revocation.ts'
import type { CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import { planRevocation } from './core/revocation.ts'
import type { TokenRecord } from './core/token.ts'
import { allCertificatesOf } from './device-certificates.ts'
import { REGISTRY_LIMITS } from './limits.ts'
import { RENEWAL_LIMITS } from './renewal-limits.ts'
import type { DecreesPort, SessionsPort } from './desk.ts'

export interface MassRevocationPorts {
  readonly registry: Registry
  readonly view: RegistryView
  readonly sessions: SessionsPort | undefined
  /** Without it, as without a running server, what cannot be recorded is not done. */
  readonly decrees: Pick<DecreesPort, 'decree'> | undefined
  readonly clock: () => EpochMs
  readonly actor: Actor
}

const FIRST_DEVICES = 10
/** Certificates in one commit: some ten milliseconds. */
const PAGE = 500
/** A device that renews while its group is being revoked has a new certificate, which is meant, too: it is looked again, so often. */
const LOOKS_MAX = 3

/** A certificate that is meant: of a hundred thousand no more is held than this. */
type Meant = Pick<CertificateRecord, 'issuer' | 'serial' | 'device'>

interface Done {
  certificates: number
  sessions: number
  closedMs: number
}

/**
 * Failures: 'refused' when a CA or a group is not there to choose from, or more would be revoked than `atMost`; 'internal' when the
 * registry failed on the way, with what is recorded, what is in force all the same, and what is not. Repeating it finishes it.
 */
export async function revokeMany(ports: MassRevocationPorts, { choice, reason, dryRun, atMost }: MassRevocation): Promise<MassRevoked> {
  if (choice.ca !== undefined && !ports.registry.cas().some(({ name }) => name === choice.ca)) throw failureOf({ allow: false, reason: 'request-invalid', detail: `there is no CA ${choice.ca}` })
  const token = choice.token === undefined ? undefined : (ports.registry.token(choice.token) ?? throwing(failureOf({ allow: false, reason: 'token-not-found', detail: choice.token })))
  const { meant, ...counted } = await count(ports, choice)
  if (dryRun || (meant.length === 0 && token === undefined)) return { ...counted, dryRun, closedMs: 0 }
  if (atMost !== undefined && meant.length > atMost) throw failureOf({ allow: false, reason: 'revision-conflict', detail: `there are ${meant.length} certificates by now, not ${atMost}` })
  // First the way is shut: whoever asks from here on comes through it no more. What that fails for is no reason to leave sessions.
  const isShut = await shut(ports, token)
  const done: Done = { certificates: 0, sessions: 0, closedMs: 0 }
  // Something may have come through in the moment before it was shut.
  let these: readonly Meant[] = isShut ? (await count(ports, choice)).meant : meant
  // Of what came through a token that is shut, every look leaves less that could be renewed.
  const looksMax = isShut ? Number.POSITIVE_INFINITY : LOOKS_MAX
  for (let look = 1; these.length > 0 && look <= looksMax; look++) {
    await revokeThese(ports, these, reason, done)
    these = (await count(ports, choice)).meant
  }
  if (token !== undefined && !isShut) await endToken(ports, token)
  return { ...counted, dryRun, ...done }
}

/** Is there a token, and is it revoked now? Where the registry fails and no server runs, nothing is done at all. */
async function shut(ports: MassRevocationPorts, token: TokenRecord | undefined): Promise<boolean> {
  if (token === undefined) return false
  if (token.revokedAt !== undefined) return true
  try {
    await endToken(ports, token)
    return true
  } catch (cause) {
    if (ports.decrees === undefined) throw cause
    return false
  }
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

async function count(ports: MassRevocationPorts, choice: MassRevocation['choice']): Promise<Omit<MassRevoked, 'dryRun' | 'closedMs'> & { readonly meant: readonly Meant[] }> {
  const devices = new Set<DeviceId>()
  const meant: Meant[] = []
  let sessions = 0
  for await (const record of chosen(ports, choice)) {
    const { issuer, serial, device } = record
    meant.push(device === undefined ? { issuer, serial } : { issuer, serial, device })
    if (device !== undefined) devices.add(device)
    sessions += ports.sessions?.connected?.(record) ?? 0
  }
  return { meant, certificates: meant.length, devices: devices.size, first: [...devices].slice(0, FIRST_DEVICES), sessions }
}

/** Pages of the registry, each followed by everybody else's turn. */
async function* chosen({ registry, view, clock }: MassRevocationPorts, choice: MassRevocation['choice']): AsyncGenerator<CertificateRecord> {
  const ofDevice = (record: CertificateRecord): boolean => isChosen(record, record.device === undefined ? undefined : view.device(record.device), choice, clock())
  let after: string | undefined
  do {
    const page = choice.group === undefined ? registry.certificates({ through: choice.token, after, limit: REGISTRY_LIMITS.pageSizeMax }) : registry.devices({ group: choice.group, after, limit: RENEWAL_LIMITS.lookedAtOnceMax })
    for (const item of page.items) yield* ('serial' in item ? [item] : allCertificatesOf(registry, item.id)).filter(ofDevice)
    after = page.next
    await new Promise((resolve) => setImmediate(resolve))
  } while (after !== undefined)
}

/** All of them, or a failure that says how far it came. */
async function revokeThese(ports: MassRevocationPorts, meant: readonly Meant[], reason: MassRevocation['reason'], done: Done): Promise<void> {
  const pages = pagesOf(meant)
  const first = await recordPages(ports, pages, reason, done)
  if (first === undefined) return
  const rest = pages.slice(first.page)
  // Access ends now, whatever becomes of the record; and what made the first attempt fail may have passed by then.
  if (ports.decrees !== undefined) for (const page of rest) await decreePage(ports, page, reason, done)
  const second = await recordPages(ports, rest, reason, done)
  if (second !== undefined) throw halfDone(meant.length, rest.slice(second.page).flat().length, ports.decrees !== undefined, done, second.cause)
}

function pagesOf(meant: readonly Meant[]): readonly (readonly Meant[])[] {
  return Array.from({ length: Math.ceil(meant.length / PAGE) }, (_, i) => meant.slice(i * PAGE, (i + 1) * PAGE))
}

/** Undefined when all are recorded; otherwise the page at which it failed. */
async function recordPages(ports: MassRevocationPorts, pages: readonly (readonly Meant[])[], reason: MassRevocation['reason'], done: Done): Promise<{ readonly page: number; readonly cause: unknown } | undefined> {
  for (const [page, meant] of pages.entries()) {
    try {
      const { certificates, sessions, closedMs } = await recordPage(ports, meant, reason)
      done.certificates += certificates
      done.sessions += sessions
      done.closedMs = Math.max(done.closedMs, closedMs)
    } catch (cause) {
      return { page, cause }
    }
  }
  return undefined
}

const ATTEMPTS_MAX = 3

async function recordPage(ports: MassRevocationPorts, meant: readonly Meant[], reason: MassRevocation['reason']): Promise<Done> {
  for (let attempt = 1; ; attempt++) {
    const fresh = meant.flatMap(({ issuer, serial }) => ports.registry.certificate(issuer, serial) ?? []).filter(({ state }) => state !== 'revoked')
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
    return { certificates: changes.length, ...(await sessionsOf(ports, changes)) }
  }
}

/** In force from here on, in this server, for as long as it runs or until it is recorded. */
async function decreePage(ports: MassRevocationPorts, meant: readonly Meant[], reason: MassRevocation['reason'], done: Done): Promise<void> {
  const at = ports.clock()
  ports.decrees?.decree(meant.map(({ issuer, serial }) => ({ kind: 'certificate-revoked', issuer, serial, at, reason })))
  const { sessions, closedMs } = await sessionsOf(ports, meant)
  done.sessions += sessions
  done.closedMs = Math.max(done.closedMs, closedMs)
  await new Promise((resolve) => setImmediate(resolve))
}

/** How many sessions have ended with these, once their sockets are closed. */
async function sessionsOf({ sessions }: MassRevocationPorts, revoked: readonly Pick<Meant, 'issuer' | 'serial'>[]): Promise<Omit<Done, 'certificates'>> {
  const since = performance.now()
  const counts = await Promise.all(revoked.map(({ issuer, serial }) => sessions?.closed({ issuer, serial }) ?? Promise.resolve(0)))
  return { sessions: counts.reduce((sum, n) => sum + n, 0), closedMs: Math.round((performance.now() - since) * 100) / 100 }
}

function halfDone(meant: number, left: number, areDecreed: boolean, { certificates, sessions }: Done, cause: unknown): SallyportError {
  const why = cause instanceof Error ? cause.message : 'the registry failed'
  const rest = areDecreed
    ? `the other ${left} are revoked in this server for as long as it runs, and not recorded`
    : `the other ${left} are as they were`
  return new SallyportError('internal', `Of ${meant} certificates ${certificates} are revoked and recorded; ${rest} (${why}). ${sessions} session${sessions === 1 ? '' : 's'} closed.`, {
    fix: `Look for a full or failing disk, and repeat the command: it finishes the rest.${areDecreed ? ' Do not restart the server before it has.' : ''}`,
    cause,
  })
}
