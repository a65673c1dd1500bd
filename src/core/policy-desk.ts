// The part of the operator's desk that is about the policy: what is asked of it, and how it is changed. Whoever asks about a
// fleet asks range by range: one request looks at so many devices, and says where the next goes on.

import type { Actor } from './audit.ts'
import type { SourcePosition } from './errors.ts'
import type { DeviceId, EpochMs } from './ids.ts'
import type { ConnectionFacts } from './policy/conditions.ts'
import type { RuleChange } from './policy/diff.ts'
import type { Explanation } from './policy/explain.ts'
import type { DeviceDiff, FleetCounts } from './policy/fleet-diff.ts'
import type { Finding } from './policy/lint.ts'
import type { FleetLintPart } from './policy/lint-fleet.ts'
import type { Asked } from './policy/question.ts'

/** A file of a policy. */
export interface PolicyText {
  /** That of the main file, or of one in policy.d beside it: 'policy.yaml', 'policy.d/pumps.yaml'. */
  readonly name: string
  readonly text: string
}

/** Which policy is asked about: that of these files; without them, the one in force. */
export interface OfPolicy {
  readonly files?: readonly PolicyText[] | undefined
}

/** A part of the fleet: devices after this one, in the order of their ids. */
export interface Range {
  readonly after?: string | undefined
  /** How many devices are listed; all that were looked at are counted. */
  readonly limit?: number | undefined
}

interface Scanned {
  /** Of the policy in force. Whoever asks for the next range sees by it that the policy is another now. */
  readonly generation: number
  /** Devices that were looked at. */
  readonly devices: number
  /** The `after` of the next range; undefined behind the last device. */
  readonly next?: string
}

export interface ExplainQuestion extends Asked, OfPolicy {
  readonly device: DeviceId
  /** The device id, where none is given. */
  readonly clientId?: string | undefined
  /** Where the device would connect from, and how; what is not said is not known. */
  readonly source?: string | undefined
  readonly tls?: ConnectionFacts['tls'] | undefined
  /** Now, where none is given. */
  readonly at?: EpochMs | undefined
}

export interface WhoCanQuery extends Asked, OfPolicy, Range, Pick<ExplainQuestion, 'source' | 'tls' | 'at'> {}

export interface WhoCan extends Scanned {
  readonly allowed: number
  /** By the rule that allows it. */
  readonly rules: Readonly<Record<string, { readonly at: SourcePosition; readonly devices: number }>>
  readonly items: readonly WhoCanItem[]
}

export interface WhoCanItem {
  readonly device: DeviceId
  readonly rule: string
  readonly at: SourcePosition
  readonly grantedQos?: 0 | 1 | 2
  /** Not at every time and from everywhere: it depends on conditions that the question leaves open. */
  readonly depends?: true
}

export interface DiffQuery extends OfPolicy, Range {
  /** Compared with these files, or with what was in force in this generation; without it, with what is in force. */
  readonly from?: readonly PolicyText[] | number | undefined
  /** Instead of files: what was in force in this generation. Neither: the files on the disk. */
  readonly to?: number | undefined
  /** Ask the devices, too. */
  readonly fleet?: boolean | undefined
}

export interface PolicyDiff {
  readonly generation: number
  /** Of the policy that was compared. */
  readonly sha256: string
  /** Told with the first range alone. */
  readonly changes: readonly RuleChange[]
  readonly fleet?: FleetPart
}

export interface FleetPart extends Scanned {
  readonly counts: FleetCounts
  readonly items: readonly DeviceDiff[]
}

export interface LintQuery extends OfPolicy, Range {
  /** False: the text alone, and no device is asked. */
  readonly fleet?: boolean | undefined
}

export interface LintPart extends Scanned, FleetLintPart {
  /** What the text alone shows, in the order of its lines; told with the first range. Absent, too, where the policy is too long for that. */
  readonly findings?: readonly (Omit<Finding, 'code'> & { readonly code: string })[]
}

/** Why a policy came into force: found at a start, reloaded after an edit, applied, taken back. */
export const BECAUSE = ['start', 'reload', 'apply', 'rollback'] as const
export type Because = (typeof BECAUSE)[number]

/** A policy that is or was in force. */
export interface PolicyVersion {
  /** Counts them from 1, over all starts of the server. */
  readonly generation: number
  readonly at: EpochMs
  readonly actor: Actor
  readonly because: Because
  /** Of a rollback: the generation whose text it is. */
  readonly of?: number
  /** Over its files. */
  readonly sha256: string
  readonly files: readonly { readonly name: string; readonly sha256: string; readonly bytes: number }[]
}

export interface PolicyShown {
  readonly generation: number
  readonly sha256: string
  readonly files: readonly PolicyText[]
  /** The files on the disk are others: edited, and not in force. */
  readonly edited: boolean
}

export interface HistoryShown {
  /** Newest first. `kept`: its text is still there, so that it can be taken back to. */
  readonly items: readonly (PolicyVersion & { readonly kept: boolean })[]
  readonly generation: number
}

export interface ApplyRequest extends OfPolicy {
  /** Take back to this generation. Neither this nor files: put the files on the disk in force. */
  readonly rollback?: number | undefined
  /** Only if this generation is in force still. */
  readonly base?: number | undefined
  /** Only if it is this policy still: somebody may be writing the files that were compared. */
  readonly sha256?: string | undefined
  /** Check and compare; change nothing. */
  readonly dryRun?: boolean | undefined
  /** Even if it takes every grant from all connected devices, or overwrites an edit. */
  readonly force?: boolean | undefined
}

export interface Applied {
  /** In force now; of a dry run, that it would have. */
  readonly generation: number
  readonly sha256: string
  /** False: it was in force already. */
  readonly changed: boolean
  readonly changes: readonly RuleChange[]
}

/** Failures: 'policy-invalid' with all problems of the files; refusals as the rest of the desk has them. */
export interface PolicyDesk {
  explain(question: ExplainQuestion): Promise<Explanation>
  whoCan(query: WhoCanQuery): Promise<WhoCan>
  lintFleet(query: LintQuery): Promise<LintPart>
  diffPolicy(query: DiffQuery): Promise<PolicyDiff>
  policy(): Promise<PolicyShown>
  policyHistory(): Promise<HistoryShown>
  /** Reasons: revision-conflict (of `base`), policy-edited, policy-cuts-all, generation-unknown. */
  applyPolicy(request: ApplyRequest): Promise<Applied>
}
