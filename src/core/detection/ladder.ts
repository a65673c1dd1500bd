// The detection ladder: facts of devices in, steps up and down out. It is handed the time and touches nothing; what a step does to
// a device is done by others. Fewer facts never lead higher: a rung is reached by a count, held for a time since it was last
// reached, and nothing that happens shortens that but an operator.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import { RUNGS, SIGNALS, type Rung, type Signal } from '../../vocabulary.ts'
import type { Device } from '../device.ts'
import type { DeviceId, EpochMs } from '../ids.ts'
import { openMemory, type Stay, type Watched } from './memory.ts'
import { isExempt, windowOf, type DetectionRules } from './rules.ts'
import { beginningOf, hashOf, type Fact } from './signals.ts'
import { isOutlier } from './usual.ts'

/** A device goes to another rung. */
export interface Step {
  readonly device: DeviceId
  readonly from: Rung
  readonly to: Rung
  /** In words. */
  readonly because: string
  /** Of a step up. */
  readonly signal?: Signal
  readonly count?: number
  /** When it will be left, unless it is reached again; absent where a person has to take it back. */
  readonly until?: EpochMs
}

export interface OnRung {
  readonly device: DeviceId
  readonly rung: Exclude<Rung, 'none'>
  readonly since: EpochMs
  readonly until?: EpochMs
  readonly because: string
  readonly signal?: Signal
}

export interface Ladder {
  note(device: Pick<Device, 'id' | 'groups'>, fact: Fact, now: EpochMs): readonly Step[]
  /** Steps that time alone has brought about, or other rules. */
  sweep(now: EpochMs): readonly Step[]
  rungOf(device: DeviceId): Rung
  list(now: EpochMs): readonly OnRung[]
  /** Forgets all that is known of a device, but what it usually sends; says on which rung it was. */
  clear(device: DeviceId): Rung
  /** The step up to this rung could not be taken: the device is on the one below, and may come up again after the same patience. */
  undo(device: DeviceId, rung: Rung): void
  /** Devices of which anything is known. */
  readonly size: number
}

const OBSERVE = RUNGS.indexOf('observe')
const THROTTLE = RUNGS.indexOf('throttle')
/** How long a rung is held since it was last reached; those above are in the registry, where a person takes them back. */
const COOL_DOWN_MS: readonly (number | undefined)[] = [undefined, DETECTION_LIMITS.observeMs, DETECTION_LIMITS.throttleMs]

const NOTHING: readonly Step[] = []

/** `rules` are those of the moment; `secret` is a number of 32 bits that nobody outside knows. */
export function openLadder(rules: () => DetectionRules, secret: number): Ladder {
  const memory = openMemory()
  /** Time that only passes: a clock that is set back does not stop it, so that no window lasts for ever. */
  let elapsed = 0
  let lastNow: EpochMs | undefined

  function pass(now: EpochMs): number {
    elapsed += Math.max(0, now - (lastNow ?? now))
    lastNow = now
    return elapsed
  }

  /** One more of what the signal counts, and how many that makes; undefined where the fact is none of this signal. */
  function count(device: DeviceId, signal: Signal, fact: Fact, at: number): number | undefined {
    if (signal === 'topics' && fact.kind === 'refused') return memory.vary(device, signal, hashOf(beginningOf(fact.topic), secret), at)
    if (signal === 'client-ids' && fact.kind === 'named-other') return memory.vary(device, signal, hashOf(fact.other, secret), at)
    if (signal === 'rate' && fact.kind === 'sent' && !isOutlier(memory.usual(device, at), fact.messages, at, rules())) return undefined
    return memory.count(device, signal, at)
  }

  /** Takes the device to every rung that this count reaches. */
  function climb(watched: Watched, signal: Signal, reached: number, at: number): void {
    const { upTo, thresholds } = rules()
    const { stays } = watched
    for (let rung = OBSERVE; rung <= RUNGS.indexOf(upTo); rung++) {
      if (reached < thresholds[signal][RUNGS[rung] as keyof (typeof thresholds)[Signal]]) return
      const stay = stays[rung]
      const below = stays[rung - 1]
      if (stay !== undefined) stay.last = at
      else if (rung > THROTTLE && (below === undefined || at - below.since < DETECTION_LIMITS.patienceMs)) return
      else stays[rung] = { since: at, last: at, signal, count: reached }
    }
  }

  /** Leaves the rungs whose time is over, and those that the rules have no longer. */
  function coolDown({ stays }: Watched, at: number): void {
    const highest = RUNGS.indexOf(rules().upTo)
    for (const rung of [OBSERVE, THROTTLE]) {
      const stay = stays[rung]
      if (stay !== undefined && (rung > highest || at - stay.last >= (COOL_DOWN_MS[rung] ?? 0))) stays[rung] = undefined
    }
  }

  /** What has become of a device since this was last asked. */
  function stepOf(device: DeviceId, watched: Watched, now: EpochMs): Step | undefined {
    const from = watched.rung
    const to = highestOf(watched)
    if (from === to) return undefined
    watched.rung = to
    memory.pin(device, to > 0)
    const stay = watched.stays[to]
    const words = { device, from: wordOf(from), to: wordOf(to) }
    if (to > from && stay !== undefined) return { ...words, because: sentenceOf(stay), signal: stay.signal, count: stay.count, ...untilOf(to, stay, now) }
    return { ...words, because: from > RUNGS.indexOf(rules().upTo) ? 'The configuration has this rung no longer.' : 'Nothing more was seen of it for a while.', ...(stay === undefined ? {} : untilOf(to, stay, now)) }
  }

  const untilOf = (rung: number, { last }: Stay, now: EpochMs): { readonly until?: EpochMs } => {
    const coolDownMs = COOL_DOWN_MS[rung]
    return coolDownMs === undefined ? {} : { until: now + last + coolDownMs - elapsed }
  }

  return {
    get size() {
      return memory.size
    },
    note(device, fact, now) {
      const at = pass(now)
      if (rules().upTo === 'none' || isExempt(rules(), device)) return NOTHING
      const steps: Step[] = []
      for (const signal of FED[fact.kind]) {
        const reached = count(device.id, signal, fact, at)
        const watched = memory.of(device.id)
        if (reached === undefined || watched === undefined) continue
        coolDown(watched, at)
        const down = stepOf(device.id, watched, now)
        climb(watched, signal, reached, at)
        const up = stepOf(device.id, watched, now)
        for (const step of [down, up]) if (step !== undefined) steps.push(step)
      }
      return steps
    },
    sweep(now) {
      const at = pass(now)
      const steps: Step[] = []
      for (const [device, watched] of memory.pinned()) {
        coolDown(watched, at)
        const step = stepOf(device, watched, now)
        if (step !== undefined) steps.push(step)
      }
      return steps
    },
    rungOf: (device) => wordOf(memory.of(device)?.rung ?? 0),
    list(now) {
      pass(now)
      return [...memory.pinned()].flatMap(([device, { rung, stays }]) => {
        const stay = stays[rung]
        const word = wordOf(rung)
        if (stay === undefined || word === 'none') return []
        return [{ device, rung: word, since: now + stay.since - elapsed, because: sentenceOf(stay), signal: stay.signal, ...untilOf(rung, stay, now) }]
      })
    },
    clear(device) {
      const rung = memory.of(device)?.rung ?? 0
      memory.forget(device)
      return wordOf(rung)
    },
    undo(device, rung) {
      const watched = memory.of(device)
      if (watched === undefined) return
      const below = RUNGS.indexOf(rung) - 1
      const stay = watched.stays[below]
      watched.stays.length = Math.min(watched.stays.length, below + 1)
      // Its patience begins anew: what fails is not tried again with every fact.
      if (stay !== undefined) watched.stays[below] = { ...stay, since: elapsed }
      watched.rung = highestOf(watched)
      memory.pin(device, watched.rung > 0)
    },
  }
}

/** Which signals a fact feeds. */
const FED: Readonly<Record<Fact['kind'], readonly Signal[]>> = {
  refused: ['denials', 'topics'], connect: ['connects'], 'named-other': ['client-ids'], 'two-places': ['two-places'], sent: ['rate'],
}

const MINUTE_MS = 60_000

function sentenceOf({ signal, count }: Stay): string {
  const { sentence, counted } = SIGNALS[signal]
  return `${sentence.replace(/\.$/, '')}: ${count} ${counted} within ${windowOf(signal) / MINUTE_MS} minutes.`
}

function highestOf({ stays }: Watched): number {
  for (let rung = RUNGS.length - 1; rung > 0; rung--) if (stays[rung] !== undefined) return rung
  return 0
}

function wordOf(rung: number): Rung {
  return RUNGS[rung] ?? 'none'
}
