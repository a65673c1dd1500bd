// `detection:` of the configuration → the rules of the ladder. What is not said is as in the defaults; thresholds that go down
// where rungs go up are refused.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import { RUNGS, type Signal } from '../../vocabulary.ts'
import type { Decision } from '../decision.ts'
import { parseDeviceId, parseGroupName, printable } from '../ids.ts'
import type { MapEntry, SourceNode, TreeReader } from '../source-tree.ts'
import { DEFAULT_RULES, type DetectionRules, type Thresholds } from './rules.ts'

const KEYS = { denials: 'denials', topics: 'topics', 'client-ids': 'clientIds', connects: 'connects', 'two-places': 'twoPlaces', rate: 'rate' } as const satisfies Record<Signal, string>
const STEPS = ['observe', 'throttle', 'quarantine', 'suspend'] as const satisfies readonly (keyof Thresholds)[]
const UP_TO = ['off', ...RUNGS.slice(1)] as const
const COUNT_MAX = 1_000_000
const PER_SECOND_MAX = 1_000_000
const TIMES_MAX = 10_000

/** Without a node, the defaults. */
export function readDetection(reader: TreeReader, node: SourceNode | undefined): DetectionRules {
  const map = node && reader.map(node, 'detection', ['upTo', 'exempt', ...Object.values(KEYS)])
  if (map === undefined) return DEFAULT_RULES
  const upTo = map.get('upTo')
  const word = upTo && reader.oneOf(upTo.value, 'detection.upTo', UP_TO)
  const of = (signal: Signal): Thresholds => thresholdsOf(reader, map.get(KEYS[signal]), signal)
  return {
    upTo: word === 'off' ? 'none' : RUNGS.find((rung) => rung === word) ?? DEFAULT_RULES.upTo,
    exempt: exemptOf(reader, map.get('exempt')),
    thresholds: { denials: of('denials'), topics: of('topics'), 'client-ids': of('client-ids'), connects: of('connects'), 'two-places': of('two-places'), rate: of('rate') },
    outlier: outlierOf(reader, map.get(KEYS.rate)),
  }
}

function exemptOf(reader: TreeReader, entry: MapEntry | undefined): DetectionRules['exempt'] {
  const map = entry && reader.map(entry.value, 'detection.exempt', ['devices', 'groups'])
  return {
    devices: new Set(namesOf(reader, map?.get('devices'), 'detection.exempt.devices', parseDeviceId, 'device id')),
    groups: new Set(namesOf(reader, map?.get('groups'), 'detection.exempt.groups', parseGroupName, 'group name')),
  }
}

function namesOf<T>(reader: TreeReader, entry: MapEntry | undefined, what: string, parse: (text: string) => Decision<T>, kind: string): readonly T[] {
  const items = (entry && reader.list(entry.value, what)) ?? []
  return items.flatMap((item) => {
    const text = reader.string(item, `an entry of ${what}`)
    const parsed = text === undefined ? undefined : parse(text)
    if (parsed?.allow === false) reader.report(item.at, `${what}: "${printable(text ?? '')}" is not a ${kind}.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
    return parsed?.allow === true ? [parsed.value] : []
  })
}

function thresholdsOf(reader: TreeReader, entry: MapEntry | undefined, signal: Signal): Thresholds {
  const presets = DEFAULT_RULES.thresholds[signal]
  const name = `detection.${KEYS[signal]}`
  const map = entry && reader.map(entry.value, name, signal === 'rate' ? [...STEPS, 'perSecond', 'times'] : STEPS)
  if (map === undefined) return presets
  const max = signal === 'topics' || signal === 'client-ids' ? DETECTION_LIMITS.varietyMax : COUNT_MAX
  const said = STEPS.map((step) => {
    const found = map.get(step)
    return found === undefined ? undefined : { at: found.value.at, count: countOf(reader, found.value, `${name}.${step}`, max) ?? presets[step] }
  })
  const read: Record<keyof Thresholds, number> = { ...presets }
  for (const [i, step] of STEPS.entries()) {
    const below = Math.max(0, ...said.slice(0, i).map((s) => s?.count ?? 0))
    const above = Math.min(...said.slice(i + 1).map((s) => s?.count ?? Infinity))
    const own = said[i]
    // What is not said keeps between what is said.
    read[step] = own?.count ?? Math.min(Math.max(presets[step], below), Math.max(above, below))
    if (own !== undefined && own.count < below) reader.report(own.at, `${name}.${step} is lower than a rung before it.`, 'Every rung needs at least as many as the one before; write off where a rung is not to be taken.')
  }
  return read
}

function countOf(reader: TreeReader, node: SourceNode, what: string, max: number): number | undefined {
  return node.kind === 'scalar' && node.text === 'off' ? Infinity : reader.integer(node, what, 1, max)
}

function outlierOf(reader: TreeReader, entry: MapEntry | undefined): DetectionRules['outlier'] {
  const entries = entry?.value.kind === 'map' ? entry.value.entries : []
  const integer = (key: string, preset: number, max: number): number => {
    const found = entries.find((e) => e.key === key)
    return (found && reader.integer(found.value, `detection.rate.${key}`, 1, max)) ?? preset
  }
  return { perSecond: integer('perSecond', DEFAULT_RULES.outlier.perSecond, PER_SECOND_MAX), times: integer('times', DEFAULT_RULES.outlier.times, TIMES_MAX) }
}
