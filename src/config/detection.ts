// The keys of `detection:`, and the rules that they make. What is not said is as in the defaults; thresholds that go down where
// rungs go up are refused.

import type { DetectionRules, Thresholds } from '../core/detection/rules.ts'
import { DEFAULT_RULES } from '../core/detection/rules.ts'
import type { Decision } from '../core/decision.ts'
import { parseDeviceId, parseGroupName, printable } from '../core/ids.ts'
import type { SourcePosition } from '../core/errors.ts'
import type { TreeReader } from '../core/source-tree.ts'
import { DETECTION_LIMITS } from '../detection-limits.ts'
import { RUNGS, type Signal } from '../vocabulary.ts'
import { countOrOff, integer, list, word, type Kind } from './kinds.ts'
import { row, type Preset } from './rows.ts'

const COUNT_MAX = 1_000_000
const PER_SECOND_MAX = 1_000_000
const TIMES_MAX = 10_000
const NAMES_FIX = 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'
const NAME_SCHEMA = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' } as const

const KEYS = { denials: 'denials', topics: 'topics', 'client-ids': 'clientIds', connects: 'connects', 'two-places': 'twoPlaces', rate: 'rate' } as const satisfies Record<Signal, string>
const STEPS = ['observe', 'throttle', 'quarantine', 'suspend'] as const satisfies readonly (keyof Thresholds)[]
type SignalKey = (typeof KEYS)[Signal]
type Step = (typeof STEPS)[number]
type ThresholdKey = `detection.${SignalKey}.${Step}`

/** What each signal counts, as the reference says it. */
const COUNTED = {
  denials: 'refused messages and filters in 10 minutes',
  topics: 'different topics and filters among them in an hour',
  clientIds: 'other devices whose client id it tried, in an hour',
  connects: 'connects in 10 minutes',
  twoPlaces: 'turns of one certificate between two addresses at once, in an hour',
  rate: 'seconds in 10 minutes with far more messages than is usual for the device',
} as const satisfies Record<SignalKey, string>
const RUNG_WORDS = { observe: 'is watched', throttle: 'is slowed down', quarantine: 'is quarantined', suspend: 'is suspended' } as const satisfies Record<Step, string>

export const DETECTION_SECTIONS = {
  detection: { text: 'Devices that behave as if somebody else had them: sallyport detection list.' },
  'detection.exempt': { text: 'Who is not watched at all.' },
  ...sectionsOfSignals(),
} as const

function sectionsOfSignals(): Readonly<Record<`detection.${SignalKey}`, { readonly text: string }>> {
  const of = (key: SignalKey): { readonly text: string } => ({ text: `From how many on a device is on each rung: ${COUNTED[key]}.` })
  return { 'detection.denials': of('denials'), 'detection.topics': of('topics'), 'detection.clientIds': of('clientIds'), 'detection.connects': of('connects'), 'detection.twoPlaces': of('twoPlaces'), 'detection.rate': of('rate') }
}

function thresholdRows(): Readonly<Record<ThresholdKey, Preset<number>>> {
  const rows: Partial<Record<ThresholdKey, Preset<number>>> = {}
  for (const signal of signals()) {
    const kind = countOrOff(signal === 'topics' || signal === 'client-ids' ? DETECTION_LIMITS.varietyMax : COUNT_MAX)
    for (const step of STEPS) {
      const preset = DEFAULT_RULES.thresholds[signal][step]
      rows[`detection.${KEYS[signal]}.${step}`] = row(kind, { preset: preset === Infinity ? 'off' : preset, effect: 'live', text: `From so many ${COUNTED[KEYS[signal]]} a device ${RUNG_WORDS[step]}.` })
    }
  }
  return rows as Readonly<Record<ThresholdKey, Preset<number>>>
}

function signals(): readonly Signal[] {
  return ['denials', 'topics', 'client-ids', 'connects', 'two-places', 'rate']
}

function names<T>(what: string, parse: (text: string) => Decision<T>): Kind<readonly T[]> {
  return list(`a list of ${what}s`, NAME_SCHEMA, (node, { reader, name }) => {
    const text = reader.string(node, `an entry of ${name}`)
    const parsed = text === undefined ? undefined : parse(text)
    if (parsed?.allow === false) reader.report(node.at, `${name}: "${printable(text ?? '')}" is not a ${what}.`, NAMES_FIX)
    return parsed?.allow === true ? parsed.value : undefined
  })
}

export const DETECTION_ROWS = {
  'detection.upTo': row(word(['off', 'observe', 'throttle', 'quarantine', 'suspend']), { preset: 'throttle', effect: 'live', text: 'How far the ladder goes by itself; quarantine and suspend keep a device out until it is cleared.' }),
  'detection.exempt.groups': row(names('group name', parseGroupName), { preset: [], effect: 'live', text: 'Devices of these groups are not watched.' }),
  'detection.exempt.devices': row(names('device id', parseDeviceId), { preset: [], effect: 'live', text: 'These devices are not watched.' }),
  ...thresholdRows(),
  'detection.rate.perSecond': row(integer(1, PER_SECOND_MAX), { preset: DEFAULT_RULES.outlier.perSecond, unit: 'messages in a second', effect: 'live', text: 'A second counts as one of far too many messages with at least so many …' }),
  'detection.rate.times': row(integer(1, TIMES_MAX), { preset: DEFAULT_RULES.outlier.times, unit: 'times', effect: 'live', text: '… and so many times what is usual for the device.' }),
} as const

interface Said {
  readonly value: unknown
  readonly at: SourcePosition
}

/** `said`: what somebody has set; a default is not said. */
export function detectionOf(reader: TreeReader, said: (key: string) => Said | undefined, settings: {
  readonly 'detection.upTo': string
  readonly 'detection.exempt.devices': DetectionExempt<'devices'>
  readonly 'detection.exempt.groups': DetectionExempt<'groups'>
  readonly 'detection.rate.perSecond': number
  readonly 'detection.rate.times': number
}): DetectionRules {
  const of = (signal: Signal): Thresholds => thresholdsOf(reader, said, signal)
  const upTo = settings['detection.upTo']
  return {
    upTo: upTo === 'off' ? 'none' : RUNGS.find((rung) => rung === upTo) ?? DEFAULT_RULES.upTo,
    exempt: { devices: new Set(settings['detection.exempt.devices']), groups: new Set(settings['detection.exempt.groups']) },
    thresholds: { denials: of('denials'), topics: of('topics'), 'client-ids': of('client-ids'), connects: of('connects'), 'two-places': of('two-places'), rate: of('rate') },
    outlier: { perSecond: settings['detection.rate.perSecond'], times: settings['detection.rate.times'] },
  }
}

type DetectionExempt<Whom extends keyof DetectionRules['exempt']> = readonly (DetectionRules['exempt'][Whom] extends ReadonlySet<infer Name> ? Name : never)[]

/** As they are in force, with what was not said fitted between what was. */
export function thresholdSettings({ thresholds }: DetectionRules): Readonly<Record<ThresholdKey, number>> {
  const settings: Partial<Record<ThresholdKey, number>> = {}
  for (const signal of signals()) for (const step of STEPS) settings[`detection.${KEYS[signal]}.${step}`] = thresholds[signal][step]
  return settings as Readonly<Record<ThresholdKey, number>>
}

function thresholdsOf(reader: TreeReader, saidOf: (key: string) => Said | undefined, signal: Signal): Thresholds {
  const presets = DEFAULT_RULES.thresholds[signal]
  const name = `detection.${KEYS[signal]}`
  const said = STEPS.map((step) => {
    const found = saidOf(`${name}.${step}`)
    return typeof found?.value === 'number' ? { at: found.at, count: found.value } : undefined
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
