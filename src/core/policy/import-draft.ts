// What an importer makes: the rules of a policy before they are text, each with the place that it came from, and what the
// original says that could not be said. It knows no format; import-write.ts writes it.

import { POLICY_LIMITS } from '../../limits.ts'
import type { SourcePosition } from '../errors.ts'
import type { Problem } from '../source-tree.ts'

/**
 * left-out: a rule of the original is not in the policy. narrowed: it is, and allows less. Neither is ever wider. remark: nothing
 * is lost, but the reader of the original may have thought of something else.
 */
export type FindingKind = 'left-out' | 'narrowed' | 'remark'

export interface Finding {
  readonly at: SourcePosition
  /** Where it stands in a document of JSON: Statement[2].Resource[0]. */
  readonly path?: string
  readonly kind: FindingKind
  /** As the original has it. */
  readonly original: string
  /** Why, and what can be done about it, as sentences. */
  readonly why: string
}

export type DraftTarget = 'any' | { readonly device: string } | { readonly group: string } | { readonly attr: Readonly<Record<string, readonly string[]>> }

interface DraftTopic {
  /** A topic filter of the policy language: variables as ${…}. */
  readonly topic: string
  /** What it is in the original, for the comment beside it. */
  readonly from: string
}

export interface DraftSend extends DraftTopic {
  /** 2 when it is not said. */
  readonly qos?: 0 | 1 | undefined
  readonly retain: boolean
}

export interface DraftRead extends DraftTopic {
  readonly qos?: 0 | 1 | undefined
  /** contain when it is not said. */
  readonly wildcard?: 'filter' | undefined
  readonly share?: readonly string[] | undefined
}

interface DraftRule {
  readonly id: string
  readonly to: DraftTarget
  /** The networks that the rule is for; every address when it is not said. */
  readonly source?: readonly string[] | undefined
}

export interface DraftGrant extends DraftRule {
  readonly clientIds?: readonly string[] | undefined
  /** No session outlives its connection. */
  readonly endsWithConnection?: boolean
  readonly publish: readonly DraftSend[]
  readonly subscribe: readonly DraftRead[]
  readonly will: readonly DraftSend[]
}

export interface DraftDeny extends DraftRule {
  readonly publish: readonly DraftTopic[]
  readonly subscribe: readonly DraftTopic[]
  readonly receive: readonly DraftTopic[]
}

export interface Draft {
  readonly grants: readonly DraftGrant[]
  readonly deny: readonly DraftDeny[]
  /** In the order of the original. */
  readonly findings: readonly Finding[]
}

/** The original, or the problems for which it is none. */
export type Importing = { readonly draft: Draft } | { readonly problems: readonly Problem[] }

/** A problem where rules would have to be laid against each other too often. */
export function tooMany(file: string, ...counts: readonly (readonly [number, number])[]): Problem | undefined {
  const comparisons = counts.reduce((sum, [some, others]) => sum + some * others, 0)
  if (comparisons <= POLICY_LIMITS.importComparisonsMax) return undefined
  return { at: { file, line: 1, column: 1 }, message: 'too many rules allow and deny what others do, too.', fix: 'Import it in parts.' }
}

/** Nothing of the original was lost. */
export function isComplete({ findings }: Pick<Draft, 'findings'>): boolean {
  return findings.every(({ kind }) => kind === 'remark')
}

const RULE_ID_CHARS_MAX = 56

/** Ids of rules, each given out once, like the name that is asked for. */
export class RuleIds {
  readonly #taken = new Set<string>()

  make(like: string): string {
    const base = like.replaceAll(/[^A-Za-z0-9_.-]/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, RULE_ID_CHARS_MAX) || 'rule'
    let id = base
    for (let n = 2; this.#taken.has(id); n++) id = `${base}.${n}`
    this.#taken.add(id)
    return id
  }
}

/** Findings in the order of the original, whatever the order in which they are found; the same is said once. */
export class Findings {
  readonly #all = new Map<string, Finding>()

  add(finding: Finding): void {
    const { at, kind, original, why } = finding
    this.#all.set([at.file, at.line, at.column, kind, original, why].join('\0'), finding)
  }

  get sorted(): readonly Finding[] {
    const files = [...new Set([...this.#all.values()].map(({ at }) => at.file))]
    return [...this.#all.values()].toSorted((a, b) => files.indexOf(a.at.file) - files.indexOf(b.at.file) || a.at.line - b.at.line || a.at.column - b.at.column)
  }
}
