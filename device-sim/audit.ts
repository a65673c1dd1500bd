// `sim attack`: the same cases against one target after the other, said before they are sent, printed, written down, and told by the
// exit code. What a case is and how it is judged is not its business.

import { writeFile } from 'node:fs/promises'
import { styleText } from 'node:util'
import { EXIT, type ExitCode } from '../src/vocabulary.ts'
import { powersOf, type Aim } from './aim.ts'
import { attack, attackSucceeded } from './attack.ts'
import type { Aftermath } from './attacks/aftermath.ts'
import { rowOf, type CaseId } from './attacks/catalogue.ts'
import { needsOf } from './attacks/powers.ts'
import type { CaseResult } from './attacks/run.ts'
import { chooseTarget, type ChosenTarget, type TargetWishes } from './chosen-target.ts'
import { choosePacks, type CaseWishes } from './case-choice.ts'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import { realCertificates, type RealCertificates } from './real-certificates.ts'
import { aftermathText } from './report/aftermath-text.ts'
import { comparisonPage, comparisonText, withoutAudit, type Comparison } from './report/comparison.ts'
import { refuseUnwritable, writeReport, type TargetFacts } from './report/json-file.ts'
import { junitOf } from './report/junit.ts'
import { attackLine, attackPicture } from './report/attack-picture.ts'
import { packText } from './report/pack-text.ts'
import { openProgress, type Progress } from './report/progress.ts'
import { casesText, paperOf } from './report/text.ts'
import { isLoopback } from './target.ts'

/** One run at one target: what interrupts it, and where to say how it goes. */
export interface Stage {
  readonly chosen: ChosenTarget
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** Chooses the target, does the work, and ends what it began. */
export async function onStage<T>(wishes: TargetWishes, signal: AbortSignal, work: (stage: Stage) => Promise<T>): Promise<T> {
  const progress = openProgress(process.stderr, { dress: (style, text) => styleText(style, text, { stream: process.stderr }), term: process.env['TERM'] })
  try {
    const { target } = wishes
    progress.step(target === undefined || target === 'sallyport' ? 'starting a server' : `opening ${target}`)
    await using chosen = await chooseTarget(wishes, signal)
    return await work({ chosen, signal, progress })
  } finally {
    progress.clear()
  }
}

export interface AuditOptions extends TargetWishes, Pick<CaseWishes, 'pack'> {
  readonly json?: string
  readonly html?: string
  readonly junit?: string
}

export interface Audited {
  readonly target: TargetFacts
  readonly audit: boolean
  readonly results: readonly CaseResult[]
  readonly aftermath: Aftermath | undefined
  /** What the stories of packs tell of; undefined where none is told. */
  readonly certificates?: RealCertificates | undefined
  readonly ok: boolean
}

export function factsOf({ aim: { name, target: { host, port } }, own }: ChosenTarget): TargetFacts {
  return { name, host, port, own }
}

/** Runs the cases against one target, having said what will be sent. */
export async function audit({ chosen, signal, progress }: Stage, cases: readonly CaseId[], tellsStories = false): Promise<Audited> {
  const { aim, own } = chosen
  progress.clear()
  process.stderr.write(`${await announcement(aim, cases)}\n`)
  const certificates = tellsStories ? await realCertificates(aim) : undefined
  const finished: CaseResult[] = []
  const running = new Set<CaseId>()
  const begun = performance.now()
  const show = (): void => progress.status(() => attackLine(finished, cases.length), (size) => attackPicture({ target: aim.name, planned: cases.length, finished, running: [...running], seconds: (performance.now() - begun) / 1_000 }, size))
  const clock = setInterval(show, SIM_LIMITS.progressMs)
  const { results, manySources, aftermath } = await attack({
    aim, cases, signal,
    onBegin(id) {
      running.add(id)
      show()
    },
    onResult(result) {
      running.delete(result.case)
      finished.push(result)
      show()
    },
  }).finally(() => clearInterval(clock))
  progress.clear()
  return { target: factsOf(chosen), audit: aim.operator.refusalsAfter !== undefined, results, aftermath, certificates, ok: attackSucceeded(results, own, manySources) && (aftermath?.faults ?? []).length === 0 }
}

/** Where to, how much, and whether floods are among it. */
export async function announcement(aim: Aim, cases: readonly CaseId[]): Promise<string> {
  const { host, port } = aim.target
  const powers = await powersOf(aim)
  const runs = cases.filter((id) => needsOf(rowOf(id)).every((need) => powers.has(need)))
  const families = [...new Set(runs.map((id) => rowOf(id).family))].map((family) => `${family} ${runs.filter((id) => rowOf(id).family === family).length}`)
  const floods = runs.filter((id) => needsOf(rowOf(id)).includes('floods'))
  const bound = isLoopback(host) ? '' : `, at most ${SIM_LIMITS.elsewherePerSecond} connections a second for at most ${SIM_LIMITS.elsewhereMs / 60_000} minutes`
  const sent = `${runs.length} ${runs.length === 1 ? 'case' : 'cases'}${families.length === 0 ? '' : ` (${families.join(', ')})`}`
  return `sending to ${aim.name} at ${host}:${port}: ${sent}, ${floods.length === 0 ? 'no floods' : `floods ${floods.join(', ')}`}${bound}`
}

/** The targets behind --target, separated by commas; the options of an address go to the one that is an address. */
export function wishesOf(options: TargetWishes): readonly TargetWishes[] {
  const targets = options.target?.split(',').map((text) => text.trim()) ?? []
  if (targets.length < 2) return [options]
  if (new Set(targets).size < targets.length || targets.includes('')) throw new SimError('usage', '--target names each target once, separated by commas.')
  const addresses = targets.filter((target) => target.includes('://'))
  if (addresses.length > 1) throw new SimError('usage', 'One run takes one address: the files of --ca, --issuer-cert and --issuer-key belong to it.')
  if (options.address !== undefined) throw new SimError('usage', '--address goes with one --target HOME.')
  if (addresses.length === 0 && [options.ca, options.issuerCert, options.issuerKey, options.acl, options.serverName].some((value) => value !== undefined)) throw new SimError('usage', '--ca, --issuer-cert, --issuer-key, --acl and --server-name go with --target mqtts://host:port.')
  return targets.map((target) => (target.includes('://') ? { ...options, target } : { iOwnThisTarget: options.iOwnThisTarget, floods: options.floods, target }))
}

export async function auditAll(options: AuditOptions, cases: readonly CaseId[], signal: AbortSignal): Promise<ExitCode> {
  const packs = choosePacks(options)
  const wishes = wishesOf(options)
  for (const [option, file] of [['--json', options.json], ['--html', options.html], ['--junit', options.junit]] as const) {
    if (file !== undefined) await refuseUnwritable(option, file)
  }
  const started = new Date()
  const audited: Audited[] = []
  for (const wish of wishes) {
    try {
      audited.push(await onStage(wish, signal, (stage) => audit(stage, cases, packs.length > 0)))
    } catch (failure) {
      // Of what was finished before the interruption there is something to tell.
      if (!signal.aborted || audited.length === 0) throw failure
    }
    if (signal.aborted) break
  }
  const startedAt = started.toISOString()
  const comparison: Comparison = { startedAt, cases, targets: audited.map(({ target: { name }, results, audit: read }) => ({ name, results, audit: read })) }
  const paper = paperOf(process.stdout)
  for (const { target, results, certificates } of audited) {
    if (certificates === undefined) continue
    if (wishes.length > 1) process.stdout.write(`${target.name}\n\n`)
    process.stdout.write(packs.map((pack) => packText(pack, certificates, results, paper)).join(''))
  }
  process.stdout.write(wishes.length === 1 ? printedAlone(comparison, audited[0]?.aftermath) : comparisonText(comparison, paper))
  const interrupted = signal.aborted
  const ok = !interrupted && audited.length === wishes.length && audited.every((each) => each.ok)
  const common = { startedAt, durationMs: Date.now() - started.getTime(), interrupted, ok }
  const [only] = audited
  if (options.json !== undefined && only !== undefined) {
    await writeReport(options.json, wishes.length === 1 ? { ...common, target: only.target, cases: only.results, ...(only.aftermath === undefined ? {} : { aftermath: only.aftermath }) } : { ...common, targets: audited.map(({ target, results, ok: well }) => ({ target, ok: well, cases: results })) })
  }
  if (options.html !== undefined) await writeFile(options.html, comparisonPage(comparison))
  // What several targets come to is one list there, each case under the name of its target.
  if (options.junit !== undefined && only !== undefined) await writeFile(options.junit, junitOf({ ...common, target: only.target, cases: audited.flatMap(({ target: { name }, results }) => (wishes.length === 1 ? results : results.map((result) => ({ ...result, title: `${result.title} (${name})` })))) }))
  if (interrupted) process.stderr.write('sim: interrupted\n')
  return interrupted ? EXIT.interrupted : ok ? EXIT.ok : EXIT.failed
}

function printedAlone({ targets, cases }: Comparison, aftermath: Aftermath | undefined): string {
  const paper = paperOf(process.stdout)
  const tables = targets.map((target) => `${casesText(target.results, cases.length, paper, target.audit)}${target.audit ? '' : `${withoutAudit(target)}\n`}`).join('')
  return `${tables}${aftermath === undefined ? '' : aftermathText(aftermath, paper)}`
}
