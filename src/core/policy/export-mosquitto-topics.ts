// A topic of a policy as Mosquitto writes it: in a pattern, where %u is the user name and a whole level, or in the line of one
// user, where every variable is filled in.

import type { Device } from '../device.ts'
import { parseCaName, type CaName } from '../ids.ts'
import { resolveTemplate, type Principal, type Template, type TemplateLevel } from './template.ts'

/** Mosquitto fills in %u and %c in patterns. */
const FILLED_IN = /%[uc]/

/** Of a user, or of a pattern for all; undefined when it cannot be written. A client id is the user name: that is one that the device may have. */
export function aclTopic(template: Template, user?: Device): string | undefined {
  const levels = user === undefined ? template.levels.map((level) => patternLevel(level, true)) : resolveTemplate(template, principalOf(user, user.id), () => undefined)?.levels
  return levels?.every((level, i) => level !== undefined && isSeen(level, i, levels.length)) === true ? levels.join('/') : undefined
}

/** The same of a deny: what cannot be written is "+", and so is a client id, of which a device has many. */
export function deniedTopic(template: Template, user?: Device): { readonly text: string; readonly isWidened: boolean } {
  const levels = user === undefined ? template.levels.map((level) => patternLevel(level, false)) : resolveTemplate(template, principalOf(user), () => '+')?.levels ?? []
  const fits = levels.map((level, i) => (level !== undefined && isSeen(level, i, levels.length) ? level : undefined))
  return { text: fits.map((level) => level ?? '+').join('/'), isWidened: fits.includes(undefined) }
}

/** Mosquitto frees the ends of a topic of spaces. */
const isSeen = (level: string, i: number, count: number): boolean => !(i === 0 && /^\s/.test(level)) && !(i === count - 1 && /\s$/.test(level))

/** No variable of a topic reads the CA. */
function principalOf(device: Device, clientId?: string): Principal {
  return { device, ca: nobodysCa(), ...(clientId === undefined ? {} : { clientId }) }
}

function nobodysCa(): CaName {
  const ca = parseCaName('unknown')
  if (ca.allow) return ca.value
  throw new Error('the name is one')
}

function patternLevel(level: TemplateLevel, isAllowed: boolean): string | undefined {
  if (level === '+' || level === '#') return level
  const [part, ...more] = level
  if (part === undefined || more.length > 0) return undefined
  if ('literal' in part) return FILLED_IN.test(part.literal) ? undefined : part.literal
  return part.variable === 'device.id' || (isAllowed && part.variable === 'clientId') ? '%u' : undefined
}
