// Do the conditions of a rule hold, and when must they be asked again? What is not known says neither yes nor no: a stored
// message has no connection any more. policy.md, `when`.

import type { EpochMs } from '../ids.ts'
import type { Conditions, LocalTime, PolicyState, TimeWindow, TlsVersion } from './document.ts'
import type { Principal } from './template.ts'

/** The connection that a session came by. */
export interface ConnectionFacts {
  /** The address that the socket names. */
  readonly source: string
  readonly tls: TlsVersion
}

/** The conditions, as they stand under `when`, in the order in which they are told of. */
export const CONDITION_NAMES = ['source', 'tls', 'time', 'notBefore', 'notAfter', 'certificateAge', 'attested', 'state'] as const
export type ConditionName = (typeof CONDITION_NAMES)[number]

/** `unknown`: it depends on a connection, or on a time, that there is not. */
export type Holds = 'yes' | 'no' | 'unknown'

export interface Judged {
  readonly holds: Holds
  /** The first condition that does not hold. */
  readonly failing?: ConditionName
  /** Time alone can change the answer, not before this instant. */
  readonly until?: EpochMs
}

/** Of a grant that says no state: a quarantined device has only what is meant for it. */
export const STATES_OF_GRANT: readonly PolicyState[] = ['active']

interface Answer {
  readonly holds: Holds
  readonly until?: EpochMs | undefined
}

const answer = (holds: boolean | undefined, until?: EpochMs): Answer => ({ holds: holds === undefined ? 'unknown' : holds ? 'yes' : 'no', until })

type Judge = (when: Conditions, principal: Principal) => Answer | undefined

/** One judge for each; undefined where the rule does not say it. */
const JUDGES: Readonly<Record<ConditionName, Judge>> = {
  source: ({ source }, { connection }) => source && answer(connection?.source === undefined ? undefined : source.includes(connection.source)),
  tls: ({ tls }, { connection }) => tls && answer(connection?.tls === undefined ? undefined : connection.tls === tls.version || (tls.orLater && connection.tls > tls.version)),
  time: ({ time }, { now }) => time && (now === undefined ? answer(undefined) : inWindow(time, now)),
  notBefore: ({ notBefore }, { now }) => (notBefore === undefined ? undefined : now === undefined ? answer(undefined) : now >= notBefore ? answer(true) : answer(false, notBefore)),
  notAfter: ({ notAfter }, { now }) => (notAfter === undefined ? undefined : now === undefined ? answer(undefined) : now < notAfter ? answer(true, notAfter) : answer(false)),
  certificateAge: ({ certificateAge }, principal) => certificateAge && ofAge(certificateAge, principal),
  // No enrollment attests a device yet: none is, and a rule that asks for it applies to nobody.
  attested: ({ attested }, principal) => (attested === undefined ? undefined : answer((principal.attested ?? false) === attested)),
  state: ({ states }, { device }) => states && answer(states.some((state) => state === device.state)),
}

export interface ConditionSeen extends Answer {
  readonly condition: ConditionName
}

/** Each condition that the rule says, by itself. */
export function judgeEach(when: Conditions, principal: Principal): readonly ConditionSeen[] {
  return CONDITION_NAMES.flatMap((condition) => {
    const said = JUDGES[condition](when, principal)
    return said === undefined ? [] : [{ condition, ...said }]
  })
}

/** So many half hours are more than a month: a window that does not open in that time is not waited for. */
const STEPS_MAX = 2_000

/** The first instant, from the principal's own on, at which no condition fails any longer; undefined: time alone does not bring it. */
export function holdsFrom(when: Conditions, principal: Principal): EpochMs | undefined {
  let { now } = principal
  for (let step = 0; now !== undefined && step < STEPS_MAX; step++) {
    const failing = judgeEach(when, at(principal, now)).filter(({ holds }) => holds === 'no')
    if (failing.length === 0) return now
    const untils = failing.map(({ until }) => until)
    // None of them can hold before its own time: the latest decides where to look next.
    now = untils.includes(undefined) ? undefined : Math.max(...untils.filter((until) => until !== undefined))
  }
  return undefined
}

/** The same principal at another time. Its certificate may be a getter, and is left one. */
function at(principal: Principal, now: EpochMs): Principal {
  return Object.create(principal, { now: { value: now } }) as Principal
}

export function judgeConditions(when: Conditions, principal: Principal): Judged {
  let holds: Holds = 'yes'
  let until: EpochMs | undefined
  let failing: ConditionName | undefined
  for (const name of CONDITION_NAMES) {
    const said = JUDGES[name](when, principal)
    if (said === undefined) continue
    if (said.until !== undefined) until = Math.min(until ?? said.until, said.until)
    if (said.holds === 'no') failing ??= name
    if (said.holds === 'no' || (said.holds === 'unknown' && holds === 'yes')) holds = said.holds
  }
  return { holds, ...(failing === undefined ? {} : { failing }), ...(until === undefined ? {} : { until }) }
}

function ofAge({ minMs, maxMs }: NonNullable<Conditions['certificateAge']>, { certificate, now }: Principal): Answer {
  if (now === undefined) return answer(undefined)
  // Whose certificate cannot be read has none of any age.
  if (certificate === undefined) return answer(false)
  const [from, to] = [minMs === undefined ? undefined : certificate.notBefore + minMs, maxMs === undefined ? undefined : certificate.notBefore + maxMs]
  if (from !== undefined && now < from) return answer(false, from)
  return to !== undefined && now >= to ? answer(false) : answer(true, to)
}

const MINUTE_MS = 60_000
const MINUTES_OF_DAY = 1_440
const MINUTES_OF_WEEK = 7 * MINUTES_OF_DAY

function inWindow({ days, fromMinute, toMinute, localTime }: TimeWindow, now: EpochMs): Answer {
  const { day, minute } = localTime(now)
  const overMidnight = toMinute <= fromMinute
  const began = overMidnight && minute < toMinute ? (day + 5) % 7 + 1 : day
  const inside = overMidnight ? minute >= fromMinute || minute < toMinute : minute >= fromMinute && minute < toMinute
  // The window begins or ends. Another day alone changes nothing: outside it does not matter, and inside it is the day on which it began.
  const next = Math.min(...[fromMinute, toMinute].map((m) => (m - minute + MINUTES_OF_DAY - 1) % MINUTES_OF_DAY + 1))
  const thisMinute = now - (now % MINUTE_MS)
  return answer(inside && days.includes(began), ticksUntil(localTime, thisMinute, thisMinute + next * MINUTE_MS))
}

/**
 * Until when a local clock shows what can be foretold: `end`, or the minute before it at which the clock is put forward or
 * back. No zone does so twice within a day, and all of today are whole minutes from UTC.
 */
function ticksUntil(localTime: LocalTime, from: EpochMs, end: EpochMs): EpochMs {
  const minuteOfWeek = (at: EpochMs): number => {
    const { day, minute } = localTime(at)
    return day * MINUTES_OF_DAY + minute
  }
  const start = minuteOfWeek(from)
  const ticks = (at: EpochMs): boolean => (minuteOfWeek(at) - start - (at - from) / MINUTE_MS) % MINUTES_OF_WEEK === 0
  if (ticks(end)) return end
  let [before, after] = [from, end]
  while (after - before > MINUTE_MS) {
    const middle = before + Math.floor((after - before) / (2 * MINUTE_MS)) * MINUTE_MS
    if (ticks(middle)) before = middle
    else after = middle
  }
  return after
}
