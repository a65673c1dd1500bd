// Which names a CA of ours may give. Its ids are our own rule, kept in the registry with the CA: X.509 has no form for "begins with
// plant-7-". What X.509 can say, stands in the certificate of the CA, and is judged by name-constraints.ts. Pure.

import { CA_LIFE_LIMITS } from '../ca-limits.ts'
import { allow, deny, type Decision } from './decision.ts'
import { printable } from './ids.ts'
import { fitsPattern, parsePattern } from './token.ts'

/** Patterns of device ids, in which `*` is any run of characters; undefined where a CA may name any device. */
export type CaIds = readonly string[] | undefined

/** May a CA with these ids name this device? Reason: ca-name-outside. */
export function judgeId(ids: CaIds, id: string): Decision<void> {
  return ids === undefined || ids.some((pattern) => fitsPattern(pattern, id)) ? allow(undefined) : deny('ca-name-outside', `${printable(id)} is none of ${ids.join(', ')}`)
}

/**
 * The ids of a CA that is to be made, as an operator says them. Nothing but asterisks is every id, which is no limit: it takes one
 * away that the CA before had. Reason: request-invalid.
 */
export function parseCaIds(texts: readonly string[]): Decision<CaIds> {
  if (texts.length === 1 && texts[0] === EVERY) return allow(undefined)
  if (texts.length === 0 || texts.length > CA_LIFE_LIMITS.idPatternsMax) return deny('request-invalid', `ids are 1 to ${CA_LIFE_LIMITS.idPatternsMax} patterns`)
  for (const text of texts) {
    const parsed = parsePattern(text)
    if (!parsed.allow) return parsed
  }
  return allow([...new Set(texts)])
}
const EVERY = '*'

/** One organisational unit, as X.520 bounds it, of characters that every program shows alike. Reason: request-invalid. */
export function parseUnit(text: string): Decision<string> {
  return UNIT.test(text) ? allow(text) : deny('request-invalid', 'a unit is 1 to 64 letters, digits, spaces and . _ - and neither begins nor ends with a space')
}
const UNIT = /^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?$/
