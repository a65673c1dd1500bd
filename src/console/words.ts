// How the console speaks: times as a person says them, counts with their units, states as words. Pure: it is told what time
// it is.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MONTH = 30 * DAY
const YEAR = 365 * DAY

/** From the largest unit; each is used up to twice itself in the next one, so that "90 minutes" does not become "1 hour". */
const UNITS = [['year', YEAR], ['month', MONTH], ['day', DAY], ['hour', HOUR], ['minute', MINUTE], ['second', SECOND]] as const
const FROM_TWO: ReadonlySet<string> = new Set(['year', 'month', 'day', 'hour'])

/** "1 device", "4,182 devices". */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`
}

/** "3 hours". A duration has no sign. */
export function duration(ms: number): string {
  const length = Math.abs(ms)
  const [unit, size] = UNITS.find(([name, size]) => length >= (FROM_TWO.has(name) ? 2 * size : size)) ?? ['second', SECOND]
  return count(Math.floor(length / size), unit)
}

/** "3 hours ago", "in 30 days", "just now". */
export function ago(at: number, now: number): string {
  const past = now - at
  if (Math.abs(past) < 5 * SECOND) return 'just now'
  return past > 0 ? `${duration(past)} ago` : `in ${duration(past)}`
}

const SHORT: Readonly<Record<string, string>> = { second: 's', minute: 'min', hour: 'h', day: 'd', month: 'mo', year: 'y' }

/** The same for a narrow column: "3 h ago", "in 30 d". */
export function agoShort(at: number, now: number): string {
  return ago(at, now).replace(/([\d,]+) (\w+?)s?(?= ago$|$)/, (_, number: string, unit: string) => `${number} ${SHORT[unit] ?? unit}`)
}

/** The exact time, in UTC as everything that the program writes. */
export function exact(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? 'unknown' : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** "expired 3 hours ago", "expires in 30 days". */
export function expiry(notAfter: number, now: number): string {
  return notAfter <= now ? `expired ${ago(notAfter, now)}` : `expires ${ago(notAfter, now)}`
}

/** Green in force, amber soon, red refused, grey over. */
export type Tone = 'good' | 'soon' | 'bad' | 'idle'

const SOON_MS = MONTH

/** Of something that ends. */
export function toneOfExpiry(notAfter: number, now: number): Tone {
  return notAfter <= now ? 'bad' : notAfter - now < SOON_MS ? 'soon' : 'good'
}

export const DEVICE_TONES: Readonly<Record<string, Tone>> = { active: 'good', pending: 'soon', quarantined: 'soon', suspended: 'bad', retired: 'idle' }
export const CERTIFICATE_TONES: Readonly<Record<string, Tone>> = { planned: 'soon', issued: 'soon', active: 'good', superseded: 'idle', revoked: 'bad' }

/** A fingerprint or a serial, in groups that eyes can compare. */
export function grouped(hex: string): string {
  return hex.replaceAll(/(.{4})(?=.)/g, '$1 ')
}

/** Where a connection was stopped, as a person says it. */
export const STEP_WORDS: Readonly<Record<string, string>> = {
  source: 'Address', tls: 'TLS', certificate: 'Certificate', registry: 'Registry', connect: 'CONNECT', protocol: 'Protocol', policy: 'Policy', enrollment: 'Enrollment', api: 'API',
}

/** A code as words: "device-added" is "device added". */
export function spelled(code: string): string {
  return code.replaceAll('-', ' ')
}

export function bytes(number: number): string {
  if (number < 1024) return count(number, 'byte')
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length, Math.floor(Math.log2(number) / 10))
  return `${(number / 1024 ** power).toFixed(1)} ${units[power - 1] ?? ''}`
}
