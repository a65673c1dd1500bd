// A report of the simulator, read as far as it is shown. It is a file that anybody may have written: what is not what it should be
// is left out.

export interface Spread { readonly count: number; readonly p50Ms: number; readonly p90Ms: number; readonly p99Ms: number; readonly maxMs: number }
export interface Second { readonly second: number; readonly connected: number; readonly received: number; readonly refused: number }
export interface Run {
  /** NaN where it is no time. */
  readonly startedAt: number
  readonly durationMs: number
  readonly ok: boolean
  readonly interrupted: boolean
  readonly target: string
  readonly cases: readonly { readonly id: string; readonly title: string; readonly verdict: string; readonly seen: string }[]
  readonly scenario: { readonly name: string; readonly about: string; readonly devices: number; readonly timings: readonly (readonly [string, Spread])[]; readonly refused: readonly (readonly [string, number])[]; readonly timeline: readonly Second[] } | undefined
}

const at = (value: unknown, name: string): unknown => (typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? new Map<string, unknown>(Object.entries(value)).get(name) : undefined)
const textAt = (value: unknown, name: string): string => {
  const found = at(value, name)
  return typeof found === 'string' ? found : ''
}
const numberAt = (value: unknown, name: string): number => {
  const found = at(value, name)
  return typeof found === 'number' && Number.isFinite(found) ? found : 0
}
const listAt = (value: unknown, name: string): readonly unknown[] => {
  const found: unknown = at(value, name)
  return Array.isArray(found) ? found : []
}
const entriesAt = (value: unknown, name: string): readonly (readonly [string, unknown])[] => {
  const found = at(value, name)
  return typeof found === 'object' && found !== null ? Object.entries(found) : []
}
const countsAt = (value: unknown, name: string): readonly (readonly [string, number])[] => entriesAt(value, name).flatMap(([key, number]) => (typeof number === 'number' && number > 0 ? [[key, number] as const] : []))

export function readRun(report: unknown): Run {
  const target = at(report, 'target')
  const scenario = at(report, 'scenario')
  return {
    startedAt: Date.parse(textAt(report, 'startedAt')), durationMs: numberAt(report, 'durationMs'), ok: at(report, 'ok') === true, interrupted: at(report, 'interrupted') === true,
    target: target === undefined ? '' : `${textAt(target, 'name')} at ${textAt(target, 'host')}:${numberAt(target, 'port')}`,
    cases: listAt(report, 'cases').map((each) => ({ id: textAt(each, 'case'), title: textAt(each, 'title'), verdict: textAt(each, 'verdict'), seen: textAt(each, 'seen') })),
    scenario: scenario === undefined ? undefined : {
      name: textAt(scenario, 'name'), about: textAt(scenario, 'about'), devices: numberAt(scenario, 'devices'),
      timings: entriesAt(scenario, 'timings').map(([name, spread]) => [name, { count: numberAt(spread, 'count'), p50Ms: numberAt(spread, 'p50Ms'), p90Ms: numberAt(spread, 'p90Ms'), p99Ms: numberAt(spread, 'p99Ms'), maxMs: numberAt(spread, 'maxMs') }] as const),
      refused: countsAt(scenario, 'refused'),
      timeline: listAt(scenario, 'timeline').map((second) => ({ second: numberAt(second, 'second'), connected: numberAt(second, 'connected'), received: numberAt(second, 'received'), refused: countsAt(second, 'refused').reduce((sum, [, number]) => sum + number, 0) })),
    },
  }
}
