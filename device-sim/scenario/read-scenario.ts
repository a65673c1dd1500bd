// A scenario file → a scenario, or every mistake in it with line, column and what was perhaps meant.

import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readYaml } from '../../src/yaml-source.ts'
import { closest } from '../case-choice.ts'
import { SimError } from '../failure.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import { meant, parsed, quoted, refusal, type At, type Mistake, type Tree } from '../yaml-file.ts'
import { HEAD, PHASE, STEP_KINDS, STEPS, type Group, type Phase, type Scenario, type Step, type StepKind } from './scenario.ts'

const READY_MADE = fileURLToPath(new URL('../scenarios', import.meta.url))

/** A file, or the name of one that comes along. */
export async function readScenarioFile(wanted: string): Promise<Scenario> {
  const names = (await readdir(READY_MADE)).flatMap((each) => (each.endsWith('.yaml') ? [each.slice(0, -'.yaml'.length)] : []))
  const file = names.includes(wanted) ? path.join(READY_MADE, `${wanted}.yaml`) : wanted
  const facts = await stat(file).catch(() => undefined)
  if (facts === undefined || !facts.isFile()) {
    const near = closest(path.basename(wanted, '.yaml'), names)
    throw new SimError('usage', `${wanted} is not a file that can be read.${near === undefined ? '' : ` Did you mean ${near}?`} Those that come along: ${names.join(', ')}.`)
  }
  if (facts.size > SCENARIO_LIMITS.fileBytesMax) throw new SimError('usage', `${file} is larger than ${SCENARIO_LIMITS.fileBytesMax} bytes.`)
  return readScenario(path.relative('.', file) || file, await readFile(file, 'utf8'))
}

/** Failure 'usage': all mistakes, a line each, in the order of the file. */
export function readScenario(file: string, text: string): Scenario {
  const { tree, problems } = readYaml(file, text)
  if (tree === undefined) throw refusal(problems.map(({ at, message, fix }) => ({ at, message: fix === undefined ? message : `${message} ${fix}` })))
  const mistakes: Mistake[] = []
  const { phases: phaseTree, rest } = apart(tree)
  const head = parsed(HEAD, rest, mistakes)
  const phases = readPhases(phaseTree, tree.at, mistakes)
  if (head !== undefined) checkNames(new Map(Object.entries(head.groups)), phases, mistakes)
  if (mistakes.length > 0 || head === undefined) throw refusal(mistakes)
  return { ...head, file, groups: new Map(Object.entries(head.groups)), phases: phases.map(({ phase }) => phase) }
}

function apart(tree: Tree): { readonly phases: Tree | undefined; readonly rest: Tree } {
  if (tree.kind !== 'map') return { phases: undefined, rest: tree }
  return { phases: tree.entries.find(({ key }) => key === 'phases')?.value, rest: { ...tree, entries: tree.entries.filter(({ key }) => key !== 'phases') } }
}

interface ReadPhase {
  readonly phase: Phase
  readonly at: At
  readonly steps: readonly { readonly step: Step; readonly at: At }[]
}

function readPhases(tree: Tree | undefined, around: At, mistakes: Mistake[]): readonly ReadPhase[] {
  if (tree?.kind !== 'list' || tree.items.length === 0) {
    mistakes.push({ at: tree?.at ?? around, message: 'phases: a list of at least one phase is missing.' })
    return []
  }
  if (tree.items.length > SCENARIO_LIMITS.phasesMax) mistakes.push({ at: tree.at, message: `no more than ${SCENARIO_LIMITS.phasesMax} phases.` })
  return tree.items.flatMap((item) => {
    const phase = parsed(PHASE, item, mistakes)
    if (phase === undefined || item.kind !== 'map') return []
    const list = item.entries.find(({ key }) => key === 'do')?.value
    const steps = (list?.kind === 'list' ? list.items : []).flatMap((each) => {
      const step = readStep(each, mistakes)
      return step === undefined ? [] : [{ step, at: each.at }]
    })
    const needsTime = steps.find(({ step: { kind } }) => kind === 'publish' || kind === 'command' || kind === 'misbehave')
    if (needsTime !== undefined && phase.for === undefined) mistakes.push({ at: item.at, message: `the phase ${quoted(phase.name)} has a step with a rate (${needsTime.step.kind}), so it must say how long: for: 10s.` })
    return [{ phase: { name: phase.name, forMs: phase.for, steps: steps.map(({ step }) => step) }, at: item.at, steps }]
  })
}

function readStep(tree: Tree, mistakes: Mistake[]): Step | undefined {
  const [entry, another] = tree.kind === 'map' ? tree.entries : []
  if (entry === undefined || another !== undefined) {
    mistakes.push({ at: another?.keyAt ?? tree.at, message: `a step is a mapping with one key: ${STEP_KINDS.join(', ')}.` })
    return undefined
  }
  const kind = STEP_KINDS.find((each) => each === entry.key)
  if (kind === undefined) {
    mistakes.push({ at: entry.keyAt, message: `there is no step ${quoted(entry.key)}.${meant(entry.key, STEP_KINDS)}` })
    return undefined
  }
  const fields = parsed<(typeof STEPS)[StepKind]>(STEPS[kind], entry.value, mistakes)
  // The kind chose the schema, so its fields are those of this kind.
  return fields === undefined ? undefined : ({ ...fields, kind, line: entry.keyAt.line } as Step)
}

/** Groups that steps name, and how many devices there are in all. */
function checkNames(groups: ReadonlyMap<string, Group>, phases: readonly ReadPhase[], mistakes: Mistake[]): void {
  for (const { step, at } of phases.flatMap(({ steps }) => steps)) {
    const used = [...('group' in step ? step.group : []), ...('from' in step ? [step.from] : [])]
    for (const each of used) if (!groups.has(each)) mistakes.push({ at, message: `there is no group ${quoted(each)}.${meant(each, [...groups.keys()])}` })
  }
  const total = [...groups.values()].reduce((sum, { count }) => sum + count, 0)
  const [first] = phases
  if (total > SCENARIO_LIMITS.devicesMax && first !== undefined) mistakes.push({ at: first.at, message: `${total} devices in all; no more than ${SCENARIO_LIMITS.devicesMax}.` })
}
