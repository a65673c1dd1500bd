// Reads `when`: what must hold for a rule to apply.

import { POLICY_LIMITS } from '../../limits.ts'
import type { EpochMs } from '../ids.ts'
import type { MapEntry, SourceNode, TreeReader } from '../source-tree.ts'
import { CONDITION_KEYS, TIME_KEYS } from './keys.ts'
import { POLICY_STATES, TLS_VERSIONS, type Conditions, type LocalTime, type TimeWindow } from './document.ts'

export interface ConditionTools {
  /** Is an address in this network ('10.0.0.0/8', '::1')? Or what is wrong with the text. */
  network(text: string): ((address: string) => boolean) | string
  /** The clock of a time zone by its IANA name, or what is wrong with the name. */
  zone(name: string): LocalTime | string
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const MINUTES_OF_DAY = 1_440
const TIME_OF_DAY = /^([01]\d|2[0-3]):([0-5]\d)$/
const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/
const AGE = /^(>=|<)(.+)$/

export class ConditionsReader {
  readonly #reader: TreeReader
  readonly #tools: ConditionTools
  /** The clocks of the zones that were named: each costs some 30 KB and 60 µs, and ten thousand rules may name the same. */
  readonly #clocks = new Map<string, LocalTime | string>()

  constructor(reader: TreeReader, tools: ConditionTools) {
    this.#reader = reader
    this.#tools = tools
  }

  conditions(entry: MapEntry): Conditions | undefined {
    const map = this.#reader.map(entry.value, 'when', CONDITION_KEYS)
    if (map === undefined) return undefined
    if (entry.value.kind === 'map' && entry.value.entries.length === 0) return this.#reader.report(entry.keyAt, 'when says no condition.', `Remove it, or say one of: ${CONDITION_KEYS.join(', ')}.`)
    const said = <T>(key: string, read: (node: SourceNode) => T | undefined): T | undefined => {
      const found = map.get(key)
      return found === undefined ? undefined : read(found.value)
    }
    const parts = {
      source: said('source', (n) => this.#source(n)),
      tls: said('tls', (n) => this.#tls(n)),
      time: said('time', (n) => this.#time(n)),
      notBefore: said('notBefore', (n) => readInstant(this.#reader, n, 'notBefore')),
      notAfter: said('notAfter', (n) => readInstant(this.#reader, n, 'notAfter')),
      certificateAge: said('certificateAge', (n) => this.#age(n)),
      attested: said('attested', (n) => this.#reader.boolean(n, 'attested')),
      states: said('state', (n) => this.#states(n)),
    }
    if (parts.notBefore !== undefined && parts.notAfter !== undefined && parts.notAfter <= parts.notBefore) {
      this.#reader.report(map.get('notAfter')?.value.at ?? entry.keyAt, 'notAfter is not later than notBefore: the rule would never apply.')
    }
    const { source, tls, time, notBefore, notAfter, certificateAge, attested, states } = parts
    return {
      at: entry.keyAt,
      ...(source === undefined ? {} : { source }),
      ...(tls === undefined ? {} : { tls }),
      ...(time === undefined ? {} : { time }),
      ...(notBefore === undefined ? {} : { notBefore }),
      ...(notAfter === undefined ? {} : { notAfter }),
      ...(certificateAge === undefined ? {} : { certificateAge }),
      ...(attested === undefined ? {} : { attested }),
      ...(states === undefined ? {} : { states }),
    }
  }

  /** A list, of which one alone may stand without brackets. */
  #some(node: SourceNode, what: string): readonly SourceNode[] | undefined {
    const items = node.kind === 'scalar' ? [node] : this.#reader.list(node, what)
    return items?.length === 0 ? this.#reader.report(node.at, `${what} is empty.`) : items
  }

  #source(node: SourceNode): Conditions['source'] | undefined {
    const items = this.#some(node, 'source')
    if (items === undefined) return undefined
    if (items.length > POLICY_LIMITS.networksMax) return this.#reader.report(node.at, `source has more than ${POLICY_LIMITS.networksMax} networks.`)
    const networks: string[] = []
    const tests: ((address: string) => boolean)[] = []
    for (const item of items) {
      const text = this.#reader.string(item, 'a network')
      if (text === undefined) continue
      const test = this.#tools.network(text)
      if (typeof test === 'string') this.#reader.report(item.at, `source: ${test}`, 'Write an address or a network: 10.0.0.0/8, 2001:db8::/32.')
      else {
        networks.push(text)
        tests.push(test)
      }
    }
    return { networks, includes: (address) => tests.some((test) => test(address)) }
  }

  #tls(node: SourceNode): Conditions['tls'] | undefined {
    const text = this.#reader.written(node, 'tls')
    if (text === undefined) return undefined
    const version = TLS_VERSIONS.find((v) => text === v || text === `>=${v}`)
    return version === undefined ? this.#reader.report(node.at, 'tls must be a version of TLS.', 'Write "1.3", "1.2" or ">=1.2".') : { version, orLater: text.startsWith('>=') }
  }

  #time(node: SourceNode): TimeWindow | undefined {
    const map = this.#reader.map(node, 'time', TIME_KEYS)
    if (map === undefined) return undefined
    const [days, from, to, zone] = ['days', 'from', 'to', 'zone'].map((key) => map.get(key)?.value)
    const clock = this.#zone(zone)
    const window = {
      days: days === undefined ? DAYS.map((_, i) => i + 1) : (this.#some(days, 'days') ?? []).flatMap((n) => this.#days(n)),
      fromMinute: from === undefined ? 0 : this.#minute(from, 'from'),
      toMinute: to === undefined ? MINUTES_OF_DAY : this.#minute(to, 'to'),
    }
    const { fromMinute, toMinute } = window
    if (clock === undefined || fromMinute === undefined || toMinute === undefined) return undefined
    if (fromMinute === MINUTES_OF_DAY || fromMinute === toMinute) return this.#reader.report(node.at, 'time: the window is empty.', 'A window that ends when it begins has no time in it; leave out from and to for the whole day.')
    return { days: [...new Set(window.days)], fromMinute, toMinute: toMinute === 0 ? MINUTES_OF_DAY : toMinute, ...clock }
  }

  #zone(node: SourceNode | undefined): Pick<TimeWindow, 'zone' | 'localTime'> | undefined {
    const name = node === undefined ? 'UTC' : this.#reader.string(node, 'zone')
    if (name === undefined) return undefined
    const localTime = this.#clocks.get(name) ?? this.#tools.zone(name)
    this.#clocks.set(name, localTime)
    return typeof localTime === 'string' ? this.#reader.report(node?.at ?? { file: '', line: 1, column: 1 }, `zone: ${localTime}`, 'Write a name of the IANA time zone database, such as Europe/Berlin or UTC.') : { zone: name, localTime }
  }

  /** A day, or a range: mon-fri. */
  #days(node: SourceNode): readonly number[] {
    const [first = '', last = first, ...more] = node.kind === 'scalar' ? node.text.split('-') : []
    const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)]
    if (from === -1 || to === -1 || more.length > 0) {
      this.#reader.report(node.at, 'days has something that is no day.', `Write ${DAYS.join(', ')}, or a range such as mon-fri.`)
      return []
    }
    const count = ((to - from + DAYS.length) % DAYS.length) + 1
    return Array.from({ length: count }, (_, i) => ((from + i) % DAYS.length) + 1)
  }

  #minute(node: SourceNode, what: string): number | undefined {
    const text = this.#reader.written(node, what)
    if (text === undefined) return undefined
    if (text === '24:00') return MINUTES_OF_DAY
    const match = TIME_OF_DAY.exec(text)
    return match === null ? this.#reader.report(node.at, `${what} must be a time of day.`, 'Write hours and minutes in quotes: "06:00".') : Number(match[1]) * 60 + Number(match[2])
  }

  /** '<90d', '>=1d', or both: '>=1d <90d'. */
  #age(node: SourceNode): Conditions['certificateAge'] | undefined {
    const text = this.#reader.string(node, 'certificateAge')
    if (text === undefined) return undefined
    const bounds = { minMs: undefined as number | undefined, maxMs: undefined as number | undefined }
    for (const word of text.trim().split(/\s+/)) {
      const match = AGE.exec(word)
      const key = match?.[1] === '<' ? 'maxMs' : 'minMs'
      if (match === null || bounds[key] !== undefined) return this.#reader.report(node.at, 'certificateAge must be bounds of an age.', 'Write "<90d", ">=1d" or ">=1d <90d".')
      const age = match[2] ?? ''
      bounds[key] = this.#reader.duration({ kind: 'scalar', value: age, text: age, at: node.at }, 'certificateAge')
      if (bounds[key] === undefined) return undefined
    }
    const { minMs, maxMs } = bounds
    if (maxMs !== undefined && maxMs <= (minMs ?? 0)) return this.#reader.report(node.at, 'certificateAge: no age is within these bounds.')
    return { ...(minMs === undefined ? {} : { minMs }), ...(maxMs === undefined ? {} : { maxMs }) }
  }

  #states(node: SourceNode): Conditions['states'] | undefined {
    const items = this.#some(node, 'state')
    return items?.flatMap((item) => this.#reader.oneOf(item, 'state', POLICY_STATES) ?? [])
  }
}

/** RFC 3339, with its offset. */
export function readInstant(reader: TreeReader, node: SourceNode, what: string): EpochMs | undefined {
  const text = reader.written(node, what)
  if (text === undefined) return undefined
  const match = INSTANT.exec(text)
  const [year, month, day] = [1, 2, 3].map((i) => Number(match?.[i]))
  // What is no day of its month is taken for one of the next.
  const isDay = match !== null && new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day)).getUTCDate() === day
  const instant = Date.parse(text)
  return isDay && !Number.isNaN(instant) ? instant : reader.report(node.at, `${what} must be an instant.`, 'Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.')
}
