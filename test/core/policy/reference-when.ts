// The conditions of the reference: networks as numbers of 128 bits, and windows by what the calendar on the wall says. Plain,
// slow where it can be, and without a line of src.

export interface RefWhen {
  readonly source?: string | readonly string[]
  readonly tls?: string
  readonly time?: { readonly days?: readonly string[]; readonly from?: string; readonly to?: string; readonly zone?: string }
  readonly notBefore?: string
  readonly notAfter?: string
  readonly certificateAge?: string
  readonly attested?: boolean
  readonly state?: string | readonly string[]
}

/** What conditions ask about. Undefined is not known, but for `issuedAt`: then there is no certificate. */
export interface RefSituation {
  readonly state: string
  readonly attested: boolean
  readonly now?: number
  readonly source?: string
  readonly tls?: string
  readonly issuedAt?: number
}

/** true, false, or undefined: it is not known. */
export function applies(when: RefWhen, who: RefSituation): boolean | undefined {
  const { now } = who
  const answers: (boolean | undefined)[] = []
  if (when.source !== undefined) answers.push(who.source === undefined ? undefined : list(when.source).some((network) => isInNetwork(who.source ?? '', network)))
  if (when.tls !== undefined) answers.push(who.tls === undefined ? undefined : when.tls.startsWith('>=') ? Number(who.tls) >= Number(when.tls.slice(2)) : who.tls === when.tls)
  if (when.time !== undefined) answers.push(now === undefined ? undefined : isInWindow(when.time, now))
  if (when.notBefore !== undefined) answers.push(now === undefined ? undefined : now >= Date.parse(when.notBefore))
  if (when.notAfter !== undefined) answers.push(now === undefined ? undefined : now < Date.parse(when.notAfter))
  if (when.certificateAge !== undefined) answers.push(now === undefined ? undefined : who.issuedAt === undefined ? false : isOfAge(when.certificateAge, now - who.issuedAt))
  if (when.attested !== undefined) answers.push(who.attested === when.attested)
  if (when.state !== undefined) answers.push(list(when.state).includes(who.state))
  if (answers.includes(false)) return false
  return answers.includes(undefined) ? undefined : true
}

const list = (one: string | readonly string[]): readonly string[] => (typeof one === 'string' ? [one] : one)

const BITS = 128n

function isInNetwork(address: string, network: string): boolean {
  const [base = '', length] = network.split('/')
  const [a, b] = [numberOf(address), numberOf(base)]
  if (a === undefined || b === undefined) return false
  const bits = length === undefined ? BITS : BigInt(length) + (base.includes(':') ? 0n : 96n)
  return a >> (BITS - bits) === b >> (BITS - bits)
}

/** An address of IPv4 is the one of IPv6 that stands for it: RFC 4291 §2.5.5.2. */
function numberOf(address: string): bigint | undefined {
  if (!address.includes(':')) return address.split('.').length === 4 ? 0xffffn << 32n | ipv4(address) : undefined
  const dotted = /[^:]*\.[^:]*$/.exec(address)?.[0]
  const hex = dotted === undefined ? address : address.replace(dotted, `${(ipv4(dotted) >> 16n).toString(16)}:${(ipv4(dotted) & 0xffffn).toString(16)}`)
  const [left = '', right] = hex.split('::')
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const [before, after] = [words(left), words(right ?? '')]
  const all = right === undefined ? before : [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after]
  return all.reduce((sum, word) => sum << 16n | BigInt(`0x${word}`), 0n)
}

const ipv4 = (address: string): bigint => address.split('.').reduce((sum, byte) => sum << 8n | BigInt(byte), 0n)

const WEEK = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const clocks = new Map<string, Intl.DateTimeFormat>()
const seen = new Map<string, readonly [string, string]>()

/** 'mon' and '23:59', as a calendar and a clock on the wall of that zone show them. */
function wall(zone: string, now: number): readonly [string, string] {
  const known = seen.get(`${zone} ${now}`)
  if (known !== undefined) return known
  const clock = clocks.get(zone) ?? new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
  clocks.set(zone, clock)
  const [date = '', time = ''] = clock.format(now).split(' ')
  const shown = [WEEK[new Date(`${date}T00:00:00Z`).getUTCDay()] ?? '', time.slice(0, 5)] as const
  seen.set(`${zone} ${now}`, shown)
  return shown
}

function isInWindow({ days = ['mon-sun'], from = '00:00', to = '24:00', zone = 'UTC' }: NonNullable<RefWhen['time']>, now: number): boolean {
  const [day, time] = wall(zone, now)
  const isDay = (name: string): boolean => days.some((range) => {
    const [first = '', last = first] = range.split('-')
    // Walk from the first day until the last.
    for (let i = WEEK.indexOf(first); ; i++) {
      if (WEEK[i % 7] === name) return true
      if (WEEK[i % 7] === last) return false
    }
  })
  const end = to === '00:00' ? '24:00' : to
  if (from < end) return isDay(day) && from <= time && time < end
  const dayBefore = WEEK[(WEEK.indexOf(day) + 6) % 7] ?? ''
  return (time >= from && isDay(day)) || (time < end && isDay(dayBefore))
}

function isOfAge(bounds: string, ageMs: number): boolean {
  const unit: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000 }
  return bounds.split(' ').every((bound) => {
    const [, sign, count, letter = ''] = /^(>=|<)(\d+)([dhm])$/.exec(bound) ?? []
    const limit = Number(count) * (unit[letter] ?? Number.NaN)
    return sign === '<' ? ageMs < limit : ageMs >= limit
  })
}
