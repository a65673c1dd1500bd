// What a scenario file may say: groups of devices, phases one after the other, in each phase steps that run side by side, and what
// the whole is held to. The shape is here and nowhere else; the JSON Schema that editors use is made from it.

import { z } from 'zod'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** `250ms`, `10s`, `5m`, `1h`; inside, milliseconds. */
const duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h)$/, 'write a duration as 250ms, 10s, 5m or 1h')
  .transform((text) => {
    const [, number = '0', unit = 'ms'] = /^([\d.]+)(ms|s|m|h)$/.exec(text) ?? []
    return Number(number) * UNITS[unit === 'ms' || unit === 's' || unit === 'm' ? unit : 'h']
  })
  .refine((ms) => ms <= SCENARIO_LIMITS.durationMsMax, `no longer than ${SCENARIO_LIMITS.durationMsMax / UNITS.h} h`)

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a name is 1 to 32 of a-z 0-9 -, and begins with a letter or digit')
/** One group or several. */
const groups = z.union([name.transform((one) => [one]), z.array(name).min(1)]).describe('a group, or a list of groups')
const share = z
  .string()
  .regex(/^(100|\d{1,2})%$/, 'write a share as 10%')
  .transform((text) => Number(text.slice(0, -1)) / 100)
const rate = z.number().positive().max(SCENARIO_LIMITS.ratePerSecondMax)
const qos = z.union([z.literal(0), z.literal(1), z.literal(2)])
const topic = z.string().min(1).max(512).describe('${id} is the device, ${neighbour} the next one of its group')

/** What a refusal is expected to be: the reason of the audit log, or any. */
const refused = z.strictObject({ refused: z.union([z.literal('any'), z.string().regex(/^[a-z0-9-]+$/)]) })
const accepted = z.literal('accepted')
const outcome = z.union([accepted, refused]).default('accepted').describe('accepted, or { refused: reason }')

const group = z.strictObject({
  count: z.int().min(1).max(SCENARIO_LIMITS.devicesMax),
  role: z.enum(['sensors', 'backend', 'ears']).default('sensors').describe('the group of the policy that its devices are in'),
  protocol: z.enum(['3.1.1', '5', 'both']).default('both'),
  enroll: z.enum(['before', 'live']).default('before').describe('before: it has its certificates when the first phase begins; live: by a step'),
  session: z.enum(['clean', 'kept']).default('clean'),
  hears: z.array(topic).optional().describe('what it subscribes to when it connects; by default cmd/${id}/+ or, of a backend, t/#'),
  addresses: z.enum(['own', 'shared']).default('own').describe('own: every device comes from a loopback address of its own, where the machine has them'),
  answers: z.boolean().default(false).describe('answers each command on t/${id}/answer'),
})

/** How a device comes to its first certificate. */
const ENROLL_FLOWS = ['request', 'token', 'claim', 'manufacturer', 'password', 'server-key'] as const
export type EnrollFlow = (typeof ENROLL_FLOWS)[number]

const over = duration.default(0).describe('spread evenly over this time')

export const STEPS = {
  enroll: z.strictObject({ group: groups, over, with: z.enum(ENROLL_FLOWS).default('request').describe('how it asks: an operator with its request; at the EST door with a one-time token, the certificate of a claim, that of its manufacturer, or a password of the factory; or with a key that the server makes'), expect: outcome }),
  connect: z.strictObject({ group: groups, over, expect: outcome }),
  disconnect: z.strictObject({ group: groups, over }),
  publish: z.strictObject({
    group: groups,
    rate: z.union([rate, z.strictObject({ from: rate, to: rate, period: duration })]).describe('messages per second of all its devices together; { from, to, period } goes up and down like night and day'),
    topic: topic.default('t/${id}/reading'),
    qos: qos.default(1),
    bytes: z.int().min(SCENARIO_LIMITS.payloadBytesMin).max(SCENARIO_LIMITS.payloadBytesMax).default(64),
    expect: outcome,
  }),
  command: z.strictObject({ from: name, group: groups, rate, qos: qos.default(1), within: duration.default(5_000) }),
  storm: z.strictObject({ group: groups, backoff: duration.default(1_000).describe('every device comes back after a random time up to this, and waits twice as long after each refusal') }),
  move: z.strictObject({ group: groups, over }),
  renew: z.strictObject({ group: groups, over, with: z.enum(['mqtt', 'est']).default('mqtt').describe('mqtt: on $device/ID/certificate/renew; est: simplereenroll, with the certificate that it has'), expect: outcome }),
  revoke: z.strictObject({ group: groups, share: share.default(1), over, reason: z.string().default('keyCompromise'), within: duration.default(1_000).describe('how soon its session must be closed') }),
  suspend: z.strictObject({ group: groups, share: share.default(1), over, within: duration.default(1_000) }),
  resume: z.strictObject({ group: groups, over }),
  deny: z.strictObject({ topic, within: duration.default(5_000).describe('a deny rule on this topic is put in force, by command; nobody is heard on it from then on') }),
  misbehave: z.strictObject({ group: groups, rate }).describe('publishes to neighbours, subscribes to everything, names others as its client id: all of it must be refused'),
  rotate: z.strictObject({ ca: z.enum(['start', 'trust', 'switch', 'retire']) }),
} as const


export type StepKind = keyof typeof STEPS
export const STEP_KINDS: readonly StepKind[] = Object.keys(STEPS).filter((kind): kind is StepKind => kind in STEPS)

type StepOf<K extends StepKind> = { readonly kind: K; readonly line: number } & Readonly<z.output<(typeof STEPS)[K]>>
export type Step = { [K in StepKind]: StepOf<K> }[StepKind]
export type StepNamed<K extends StepKind> = Extract<Step, { kind: K }>

export interface Phase {
  readonly name: string
  /** How long it lasts at least; with steps that have a rate, exactly. */
  readonly forMs: number | undefined
  readonly steps: readonly Step[]
}

/** What can be measured and held to a bound: counts, and percentiles in milliseconds. */
export const METRICS = ['lost', 'duplicates', 'misordered', 'unexpected', 'unsent'] as const
export const TIMINGS = ['connect', 'enroll', 'delivery', 'command', 'renew', 'revoke', 'deny', 'generator'] as const
export type Timing = (typeof TIMINGS)[number]
export const PERCENTILES = ['p50', 'p90', 'p99', 'max'] as const
type Percentile = (typeof PERCENTILES)[number]

export type Thresholds = Readonly<Partial<Record<(typeof METRICS)[number], number> & Record<`${Timing}.${Percentile}`, number>>>

const thresholds = z
  .strictObject({
    ...Object.fromEntries(METRICS.map((metric) => [metric, z.int().min(0)])),
    ...Object.fromEntries(TIMINGS.flatMap((timing) => PERCENTILES.map((percentile) => [`${timing}.${percentile}`, duration]))),
  })
  .partial()

export const HEAD = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1).max(80),
  about: z.string().max(400).default(''),
  seed: z.int().min(0).max(0xffff_ffff).default(1).describe('the same seed, the same choices'),
  groups: z.record(name, group),
  thresholds: thresholds.default({}),
})

/** The outside of a phase; its steps are read one by one, so that a mistake names the step. */
export const PHASE = z.strictObject({ name: z.string().min(1).max(60), for: duration.optional(), do: z.array(z.unknown()).default([]) })

export type Group = z.output<typeof group>

export interface Scenario {
  readonly file: string
  readonly name: string
  readonly about: string
  readonly seed: number
  readonly groups: ReadonlyMap<string, Group>
  readonly phases: readonly Phase[]
  readonly thresholds: Thresholds
}

/** For editors: JSON Schema of the whole file. */
export function scenarioSchema(): unknown {
  const one = (kind: StepKind): z.ZodType => z.strictObject({ [kind]: STEPS[kind] })
  const [first, ...rest] = STEP_KINDS.map(one)
  const step = z.union(first === undefined ? [] : [first, ...rest])
  return z.toJSONSchema(HEAD.extend({ phases: z.array(PHASE.extend({ do: z.array(step).optional() })).min(1) }), { io: 'input' })
}
