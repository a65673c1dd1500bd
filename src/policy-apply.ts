// How a policy comes into force: found at a start, reloaded after an edit, applied or taken back by an operator. Files are
// replaced whole or not at all, and a crash in between is finished or undone at the next start; every version is in the
// history with who put it in force. What sessions make of it is the broker's business.

import { existsSync, realpathSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from './ca/key-file.ts'
import type { Actor } from './core/audit.ts'
import { deny } from './core/decision.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import { printable, type EpochMs } from './core/ids.ts'
import type { Applied, ApplyRequest, Because, PolicyText, PolicyVersion } from './core/policy-desk.ts'
import type { CompiledPolicy } from './core/policy/compile.ts'
import { diffDocuments } from './core/policy/diff.ts'
import { POLICY_LIMITS } from './limits.ts'
import type { LoadedPolicy } from './policy-file.ts'
import { isPolicyName, readPolicyTexts, sha256OfTexts } from './policy-file/files.ts'
import { sha256Of, type KeptFile, type PolicyHistory } from './policy-history.ts'

export interface PolicyInForce extends LoadedPolicy {
  /** Its main file, absolute. */
  readonly file: string
}

export interface ApplyPorts {
  readonly history: PolicyHistory
  readonly clock: () => EpochMs
  readonly inForce: () => PolicyInForce
  /** Failure: 'policy-invalid'. */
  readonly compile: (texts: readonly PolicyText[], generation: number) => Promise<CompiledPolicy>
  /** The number that these texts have in force: that of now, where they are. */
  readonly generationOf: (texts: readonly PolicyText[]) => number
  /** For whom it would be the end, in words; undefined where somebody keeps a grant, or nobody has one. */
  readonly cutsAll: (next: CompiledPolicy) => Promise<string | undefined>
  /** Puts it in force, and says so. */
  readonly replace: (next: PolicyInForce, because: Because, actor: Actor) => void
}

/**
 * Checks, compares, writes and puts in force. To be called by one at a time. Failures: 'policy-invalid'; reasons:
 * revision-conflict, policy-edited, policy-cuts-all, generation-unknown, request-invalid.
 */
export async function applyPolicy(ports: ApplyPorts, request: ApplyRequest, actor: Actor): Promise<Applied> {
  const { history } = ports
  const before = ports.inForce()
  const policyFile = before.file
  const onDisk = await readPolicyTexts(policyFile)
  const texts = request.rollback === undefined ? request.files ?? onDisk : keptTexts(history, request.rollback)
  judgeTexts(texts, policyFile)
  if (request.base !== undefined && request.base !== before.policy.generation) throw failureOf(deny('revision-conflict', `generation ${before.policy.generation} is in force, not ${request.base}`))
  const sha256 = sha256OfTexts(texts)
  if (request.sha256 !== undefined && request.sha256 !== sha256) throw failureOf(deny('revision-conflict', 'the files changed since they were compared'))
  const isInForce = sha256 === before.sha256
  const generation = ports.generationOf(texts)
  const next: PolicyInForce = { file: policyFile, policy: await ports.compile(texts, generation), texts, sha256 }
  const isOnDisk = sha256OfTexts(onDisk) === sha256
  const isEdited = !isOnDisk && sha256OfTexts(onDisk) !== before.sha256
  const forced = request.force === true
  if (isEdited && !forced) throw failureOf(deny('policy-edited', onDisk.map(({ name }) => name).join(', ')))
  const cut = isInForce || forced ? undefined : await ports.cutsAll(next.policy)
  if (cut !== undefined) throw failureOf(deny('policy-cuts-all', cut))
  const isKnown = history.versions.at(-1)?.generation === before.policy.generation
  const answer: Applied = { generation, sha256, changed: !isInForce || !isKnown, changes: diffDocuments(before.policy.document, next.policy.document) }
  if (request.dryRun === true || (isInForce && isOnDisk && isKnown)) return answer
  // What no server has had in force yet is the way back all the same.
  if (!isKnown && !isInForce) history.record({ generation: before.policy.generation, at: ports.clock(), actor: { kind: 'system' }, because: 'start' }, before.texts)
  const facts = { generation, at: ports.clock(), actor, ...(request.rollback === undefined ? { because: 'apply' } as const : { because: 'rollback', of: request.rollback } as const) }
  if (!isOnDisk) {
    history.begin(facts, texts, onDisk)
    await replaceTexts(history, policyFile, texts, onDisk)
  }
  const unrecorded = isInForce && isKnown ? undefined : recorded(history, facts, texts)
  if (unrecorded === undefined) history.end()
  if (isInForce && isKnown) return answer
  ports.replace(next, facts.because, actor)
  if (unrecorded !== undefined) throw unrecorded
  return answer
}

function recorded(history: PolicyHistory, facts: Omit<PolicyVersion, 'sha256' | 'files'>, texts: readonly PolicyText[]): SallyportError | undefined {
  try {
    history.record(facts, texts)
    return undefined
  } catch (cause) {
    return new SallyportError('internal', `This policy is in force, but not in the history (${cause instanceof Error ? cause.message : 'it could not be written'})`, { fix: 'Look for a full or failing disk; the next start records it.', cause })
  }
}

/** Reason: generation-unknown. */
export function keptTexts(history: PolicyHistory, generation: number): readonly PolicyText[] {
  const texts = history.textsOf(history.version(generation).files)
  if (texts === undefined) throw failureOf(deny('generation-unknown', `generation ${generation}`))
  return texts
}

/** Nothing else of the disk is written than what is read as the policy, and nothing that could not be read again. */
function judgeTexts(texts: readonly PolicyText[], policyFile: string): void {
  const bad = texts.find(({ name }) => !isPolicyName(name, policyFile))
  if (bad !== undefined) throw failureOf(deny('request-invalid', `${printable(bad.name)} is not a file of the policy`))
  if (new Set(texts.map(({ name }) => name)).size !== texts.length) throw failureOf(deny('request-invalid', 'a file of the policy is named twice'))
  const main = path.basename(policyFile)
  if (texts.length > 0 && !texts.some(({ name }) => name === main)) throw failureOf(deny('request-invalid', `${printable(main)} is not among the files of the policy`))
  const bytes = texts.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
  if (bytes > POLICY_LIMITS.bytesMax) throw failureOf(deny('request-invalid', `the policy has more than ${POLICY_LIMITS.bytesMax} bytes`))
}

/** Where a file of the policy is. A link stays a link: what it leads to is the file. */
function placeOf(name: string, policyFile: string): string {
  const place = path.join(path.dirname(policyFile), name)
  return existsSync(place) ? realpathSync(place) : place
}

const MODE = 0o644
const PERMISSIONS = 0o777

/** Where one cannot be written, those before it are put back. */
async function replaceTexts(history: PolicyHistory, policyFile: string, texts: readonly PolicyText[], before: readonly PolicyText[]): Promise<void> {
  try {
    writeTexts(policyFile, texts, before)
  } catch (error) {
    // Where this fails, too, the next start does it.
    writeTexts(policyFile, before, await readPolicyTexts(policyFile))
    history.end()
    throw error
  }
}

/** What is there and not among the texts goes. */
function writeTexts(policyFile: string, texts: readonly PolicyText[], before: readonly PolicyText[]): void {
  const old = new Map(before.map(({ name, text }) => [name, text]))
  for (const { name, text } of texts) {
    const place = placeOf(name, policyFile)
    if (old.get(name) !== text) writeSecretFile(place, text, (statSync(place, { throwIfNoEntry: false })?.mode ?? MODE) & PERMISSIONS)
  }
  for (const name of old.keys()) if (!texts.some((text) => text.name === name)) rmSync(placeOf(name, policyFile))
}

/**
 * After a crash in the middle of applying: where all files are replaced, the history is told; where some are, they are put
 * back. Files that somebody has edited since are left as they are. Called before the policy is read at a start.
 */
export async function recoverPolicy(history: PolicyHistory, policyFile: string): Promise<'finished' | 'undone' | 'nothing'> {
  const { intent } = history
  if (intent === undefined) return 'nothing'
  const { version, before } = intent
  const onDisk = await readPolicyTexts(policyFile)
  const hashes = (files: readonly KeptFile[]): ReadonlyMap<string, string> => new Map(files.map(({ name, sha256 }) => [name, sha256]))
  const [now, wanted, old] = [hashes(onDisk.map(({ name, text }) => ({ name, sha256: sha256Of(text) }))), hashes(version.files), hashes(before)]
  const names = [...new Set([...now.keys(), ...wanted.keys(), ...old.keys()])]
  const isDone = names.every((name) => now.get(name) === wanted.get(name))
  const isOurs = names.every((name) => now.get(name) === wanted.get(name) || now.get(name) === old.get(name))
  const isBegun = names.some((name) => now.get(name) !== old.get(name))
  const texts = isOurs && isBegun && !isDone ? history.textsOf(before) : undefined
  if (texts !== undefined) writeTexts(policyFile, texts, onDisk)
  const { sha256, files: _, ...facts } = version
  if (isDone && history.versions.at(-1)?.sha256 !== sha256) history.record(facts, onDisk)
  history.end()
  return isDone ? 'finished' : texts === undefined ? 'nothing' : 'undone'
}
