// The policy language as data: what a policy says, whatever form it was written in. read-document.ts reads it from a tree
// with positions, compile.ts indexes it, grants.ts fills it in for one session. docs/policy.md is its manual.

import type { SourcePosition } from '../errors.ts'
import type { CaName, DeviceId, EpochMs, GroupName, TenantId } from '../ids.ts'
import type { Parts, Template } from './template.ts'

/** Whom a rule is for. */
export type Target =
  | { readonly kind: 'any' }
  | { readonly kind: 'group'; readonly group: GroupName }
  | { readonly kind: 'device'; readonly device: DeviceId }
  | { readonly kind: 'ca'; readonly ca: CaName }
  | { readonly kind: 'tenant'; readonly tenant: TenantId }
  /** Devices that have all of these attributes, each with one of its values. */
  | { readonly kind: 'attributes'; readonly all: readonly AttributeQuery[] }

export interface AttributeQuery {
  readonly name: string
  /** At least one. */
  readonly values: readonly string[]
}

/** A denied publish is dropped, or ends the session. policy.md R11. */
export const ON_DENY = ['drop', 'disconnect'] as const
export type OnDeny = (typeof ON_DENY)[number]

/** What becomes of a retained message whose publisher is in force no longer, or lost the grant: R7. */
export const RETAINED_FATES = ['hide', 'keep', 'purge'] as const
export type RetainedFate = (typeof RETAINED_FATES)[number]

/** Whether the Will of a session is published that an operator, a revocation or a policy ends: R8. */
export const WILL_ON_KICK = ['suppress', 'publish'] as const
export type WillOnKick = (typeof WILL_ON_KICK)[number]

/** contain: the grant must contain the filter. forbid: the filter must have no wildcard and match the grant. filter: they must intersect, and delivery is narrowed. */
export const WILDCARD_MODES = ['contain', 'forbid', 'filter'] as const
export type WildcardMode = (typeof WILDCARD_MODES)[number]

/** How often a device may publish by a grant, all of its sessions together. */
export interface Rate {
  readonly perSecond: number
  /** How many at once. */
  readonly burst: number
}

export interface PublishGrant {
  readonly topic: Template
  /** The highest QoS; 2 when the policy does not say. */
  readonly qos: 0 | 1 | 2
  /** Retained messages are allowed: false for publish and true for a Will when the policy does not say. */
  readonly retain: boolean
  /** The largest payload; no limit beyond the packet's when the policy does not say. */
  readonly bytesMax: number
  /** Of publish alone; unlimited when the policy does not say. */
  readonly rate?: Rate
  readonly at: SourcePosition
}

export interface SubscribeGrant {
  readonly topic: Template
  readonly qos: 0 | 1 | 2
  readonly wildcard: WildcardMode
  /** Names that it may be shared under, a last "*" for anything; none when the policy does not say. */
  readonly share: readonly string[]
  readonly at: SourcePosition
}

export interface ConnectTerms {
  /** A pattern is text with variables; a last "*" stands for anything. Undefined: the default rule. */
  readonly clientIds?: readonly { readonly parts: Parts; readonly prefix: boolean }[]
  readonly sessionsMax?: number
  readonly sessionExpirySecondsMax?: number
}

export const TLS_VERSIONS = ['1.2', '1.3'] as const
export type TlsVersion = (typeof TLS_VERSIONS)[number]

/** States of a device in which a rule may apply: others do not connect. */
export const POLICY_STATES = ['active', 'quarantined'] as const
export type PolicyState = (typeof POLICY_STATES)[number]

/** A weekly window in a time zone: from `fromMinute` to before `toMinute` of the day; over midnight when that is not later. */
export interface TimeWindow {
  /** ISO 8601: 1 is Monday, 7 Sunday. Of a window over midnight, the day on which it begins. */
  readonly days: readonly number[]
  /** Of the day, 0–1,439. */
  readonly fromMinute: number
  /** Of the day, 1–1,440. */
  readonly toMinute: number
  /** Its IANA name. */
  readonly zone: string
  readonly localTime: LocalTime
}

/** Day of the week (1 is Monday) and minute of the day at an instant, in some time zone. */
export type LocalTime = (at: EpochMs) => { readonly day: number; readonly minute: number }

/** What must hold for a rule to apply: all that is said. conditions.ts judges them. */
export interface Conditions {
  readonly at: SourcePosition
  readonly source?: { readonly networks: readonly string[]; readonly includes: (address: string) => boolean }
  /** The TLS version is this one or, with `orLater`, a later one. */
  readonly tls?: { readonly version: TlsVersion; readonly orLater: boolean }
  readonly time?: TimeWindow
  /** From this instant on. */
  readonly notBefore?: EpochMs
  /** Until before this instant. */
  readonly notAfter?: EpochMs
  /** How long ago the validity of the certificate began. */
  readonly certificateAge?: { readonly minMs?: number; readonly maxMs?: number }
  readonly attested?: boolean
  /** Of a grant, active alone when the policy does not say; of a deny rule, any. */
  readonly states?: readonly PolicyState[]
}

export interface GrantRule {
  readonly id: string
  readonly at: SourcePosition
  readonly to: Target
  readonly when?: Conditions
  readonly connect: ConnectTerms
  readonly publish: readonly PublishGrant[]
  readonly subscribe: readonly SubscribeGrant[]
  readonly will: readonly PublishGrant[]
}

export interface DenyPattern {
  readonly topic: Template
  readonly at: SourcePosition
}

export interface DenyRule {
  readonly id: string
  readonly at: SourcePosition
  readonly to: Target
  readonly when?: Conditions
  readonly publish: readonly DenyPattern[]
  readonly subscribe: readonly DenyPattern[]
  readonly receive: readonly DenyPattern[]
  readonly onDeny?: OnDeny
}

export interface IdentityRule {
  readonly ca: CaName
  readonly at: SourcePosition
  readonly device: Parts
  /** As it is written; undefined: any id. */
  readonly idPattern: string | undefined
  readonly idMatches: (id: string) => boolean
  readonly groups: readonly Parts[]
  readonly register: 'known' | 'auto'
}

/** Every device of one of `contains` is of `group`, too. */
export interface GroupRule {
  readonly group: GroupName
  readonly contains: readonly GroupName[]
  readonly at: SourcePosition
}

export interface PolicyDocument {
  readonly identity: readonly IdentityRule[]
  readonly groups: readonly GroupRule[]
  readonly grants: readonly GrantRule[]
  readonly deny: readonly DenyRule[]
  readonly onDeny: OnDeny
  /** A deny that only overlaps a filter refuses it, instead of narrowing what is delivered. R5. */
  readonly strictDeny: boolean
  readonly retained: RetainedFate
  readonly willOnKick: WillOnKick
}

/** R1: no policy denies everything. */
export const NOTHING_GRANTED: PolicyDocument = { identity: [], groups: [], grants: [], deny: [], onDeny: 'drop', strictDeny: false, retained: 'hide', willOnKick: 'suppress' }
