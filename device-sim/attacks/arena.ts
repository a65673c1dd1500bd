// What every case is given: where to aim, whom to be, what may be forged, and a bench on which it lays what it saw. The
// bench keeps; the oracle judges.

import type { Acl } from '../acl.ts'
import type { Aim } from '../aim.ts'
import type { Admin } from '../admin.ts'
import type { Canary } from '../canary.ts'
import type { ForgedAuthority } from '../forge/authority.ts'
import type { Identities } from '../identities.ts'
import type { AuditSelector, Observed } from '../oracle.ts'
import { attemptConnect, type ConnectAttempt, type ConnectFields, type Credentials, type Peer, type PeerOptions } from '../raw-peer.ts'
import type { Sources, Target } from '../target.ts'
import type { Need } from './catalogue-row.ts'

export interface Arena {
  readonly target: Target
  /** The operator's hand: what this target does not have of it, rejects. */
  readonly admin: Admin
  readonly acl: Acl
  readonly identities: Identities
  readonly sources: Sources
  readonly canary: Canary
  /** The doors beside MQTT, where there are any. */
  readonly doors?: Aim['doors']
  /** DER. */
  readonly root: Buffer
  readonly issuing: Buffer
  /** The real issuing CA with its key, where it is at hand. */
  readonly issuingAuthority?: ForgedAuthority | undefined
  /** A factory's CA that the target trusts, with its key: only in a home that the simulator made. */
  readonly factoryAuthority?: ForgedAuthority | undefined
  /** Another such CA, trusted for the same names. */
  readonly secondFactoryAuthority?: ForgedAuthority | undefined
  readonly mosquittoSub: boolean
  /** The process that serves, where it is known. */
  pid(): Promise<number | undefined>
  /** Takes a power that the row of the case names; throws where this target has it not. */
  take(need: Need): void
  /** Whether this target has it, for a part of a case that can be left out. */
  offers(need: Need): boolean
}

export interface Attempt {
  readonly claim: string
  readonly label: string
  readonly seen: Observed
  readonly audit: AuditSelector
}

export interface Control {
  readonly label: string
  readonly works: boolean
  readonly seen: string
}

export interface Bench {
  /** What an attempt led to, under the claim that it is held to; `audit` finds its record. */
  attack(claim: string, label: string, seen: Observed, audit?: AuditSelector): void
  /** The nearest thing that must work. */
  control(label: string, works: boolean, seen: string): void
  /** A part of the case that this target makes impossible. */
  skip(label: string, reason: string): void
}

export type Runner = (arena: Arena, bench: Bench) => Promise<void>

/** Where a peer came from, as the audit log should name it. */
export function auditOf(peer: Pick<Peer, 'address' | 'port'>): AuditSelector {
  return { address: peer.address, port: peer.port }
}

/** One CONNECT from an address of its own. */
export function connectFrom(arena: Arena, options: Omit<PeerOptions, 'target' | 'source'> & { readonly source?: string | undefined }, clientId: string, fields?: ConnectFields): Promise<ConnectAttempt> {
  return attemptConnect({ ...options, target: arena.target, source: options.source ?? arena.sources.next() }, clientId, fields)
}

export const MQTT_VERSIONS = [4, 5] as const
export const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const

/** Tries the credentials over TLS 1.2 with MQTT 3.1.1 and over TLS 1.3 with MQTT 5, and lays both on the bench. */
export async function tryOnBothVersions(arena: Arena, bench: Bench, claim: string, label: string, credentials: Credentials | undefined, clientId: string): Promise<void> {
  for (const [index, tlsVersion] of TLS_VERSIONS.entries()) {
    const { seen, peer } = await connectFrom(arena, { credentials, tlsVersion, version: MQTT_VERSIONS[index] ?? 4 }, clientId)
    bench.attack(claim, `${label}, ${tlsVersion}`, seen, auditOf(peer))
    peer.end()
  }
}

/** The positive control of most cases: this device, with what is its own, is admitted. Returns the open connection. */
export async function admittedControl(arena: Arena, bench: Bench, label: string, options: Omit<PeerOptions, 'target'>, clientId: string, fields?: ConnectFields): Promise<Peer> {
  const { seen, peer } = await connectFrom(arena, options, clientId, fields)
  bench.control(label, seen.kind === 'admitted', seen.kind)
  return peer
}

export async function ownCertificateWorks(arena: Arena, bench: Bench, identity: Credentials & { readonly id: string }): Promise<void> {
  const peer = await admittedControl(arena, bench, 'the device with its own certificate', { credentials: identity }, identity.id)
  peer.end()
}
