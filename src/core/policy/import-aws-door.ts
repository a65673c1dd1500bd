// What iot:Connect says: with which client ids, from where, and whether with a Will and a session that is kept. Without it
// nobody connects, whatever else is allowed. A policy denies no client ids, so a denial takes away the ids that it may concern.

import { parseDeviceId, printable } from '../ids.ts'
import { keyOfTerms, type AwsTerms } from './import-aws-conditions.ts'
import type { AwsClient, AwsFacts } from './import-aws-facts.ts'
import { levelsOf } from './import-aws-names.ts'
import type { FindingKind, Findings } from './import-draft.ts'
import { hasVariable } from './import-patterns.ts'
import type { AwsElement } from './read-aws-policy.ts'

export interface AwsDoor {
  /** Undefined: those that are a device's own. */
  readonly clientIds: readonly string[] | undefined
  readonly terms: AwsTerms
  readonly withWill: boolean
  readonly keepsSessions: boolean
  /** Devices that may not connect, with what says so. */
  readonly shutOut: readonly { readonly device: string; readonly element: AwsElement }[]
}

type ClientIds = { readonly kind: 'any' } | { readonly kind: 'one' | 'prefix'; readonly text: string }
type Entry = AwsClient & { readonly ids: ClientIds }

const OWN = '${device.id}'

/** Undefined, and told, where nobody may connect. */
export function doorOf(facts: AwsFacts, findings: Findings): AwsDoor | undefined {
  const find = (kind: FindingKind, { at, path, text }: AwsElement, why: string): undefined => {
    findings.add({ at, path, kind, original: text, why })
    return undefined
  }
  const entries = sameTerms(facts.connects, find).flatMap((client): readonly Entry[] => {
    const ids = idsOf(client.name)
    if (ids === undefined) find('left-out', client.element, 'a client id is a text with variables, or the beginning of one: text*. None has a "/".')
    return ids === undefined ? [] : [{ ...client, ids }]
  })
  const shutOut: { device: string; element: AwsElement }[] = []
  let left = entries
  let [withWill, keepsSessions] = [all(entries, ({ terms }) => terms.connect?.will ?? true, find), all(entries, ({ terms }) => terms.connect?.persistent ?? true, find)]
  for (const denial of facts.connectDenials) {
    const ids = idsOf(denial.name)
    const { connect } = denial.terms
    if (connect !== undefined) {
      if (ids?.kind !== 'any') find('narrowed', denial.element, 'here it is denied to every client id.')
      withWill &&= !connect.will
      keepsSessions &&= !connect.persistent
      continue
    }
    const owner = ids?.kind === 'one' && !hasVariable(ids.text) ? ids.text.split(':')[0] ?? '' : undefined
    left = left.filter((entry) => {
      const meets = ids === undefined ? 'perhaps' : meeting(entry.ids, ids)
      if (meets === 'never') return true
      if (owner !== undefined && meets === 'perhaps' && (entry.ids.kind === 'any' || entry.ids.text === OWN)) {
        // The id of a device is the client id of that device alone: all that it could say is denied instead.
        if (parseDeviceId(owner).allow) {
          shutOut.push({ device: owner, element: denial.element })
          const isAll = entry.ids.kind !== 'any' && ids?.kind === 'one' && ids.text === owner
          find(isAll ? 'remark' : 'narrowed', denial.element, `here ${owner} may connect, and neither send nor receive${isAll ? '' : ', whatever its client id'}.`)
        }
        return true
      }
      if (meets === 'perhaps') find('narrowed', entry.element, `${printable(denial.element.path)} denies some of these client ids; here it takes all of them.`)
      return false
    })
  }
  const [first] = left
  if (first === undefined) return undefined
  const any = left.find(({ ids }) => ids.kind === 'any')
  if (any !== undefined) find('narrowed', any.element, 'a client id belongs to its device: here it is the id of the device, or that with ":" and a suffix. All others would be connect: { clientId: ["*"] }.')
  const clientIds = any === undefined ? [...new Set(left.flatMap(({ ids }) => (ids.kind === 'any' ? [] : [ids.kind === 'one' ? ids.text : `${ids.text}*`])))] : undefined
  return { clientIds, terms: first.terms, withWill, keepsSessions, shutOut }
}

type Find = (kind: FindingKind, element: AwsElement, why: string) => undefined

/** Who may connect under one condition only must not under another. */
function sameTerms(connects: readonly AwsClient[], find: Find): readonly AwsClient[] {
  const free = keyOfTerms({ attributes: {} })
  const chosen = connects.some(({ terms }) => keyOfTerms(terms) === free) ? free : connects[0] && keyOfTerms(connects[0].terms)
  return connects.filter(({ terms, element }) => {
    if (keyOfTerms(terms) !== chosen) find('left-out', element, 'Connect is allowed under other conditions, too, and here under one of them.')
    return keyOfTerms(terms) === chosen
  })
}

function all(entries: readonly Entry[], has: (entry: Entry) => boolean, find: Find): boolean {
  const without = entries.find((entry) => !has(entry))
  const differs = without !== undefined && entries.find(has)
  if (differs !== undefined && differs !== false) find('narrowed', differs.element, `${without?.element.path ?? ''} allows less of a CONNECT, and here that holds for all.`)
  return without === undefined
}

function idsOf(name: string): ClientIds | undefined {
  const stem = name.replace(/\*+$/, '')
  const [level, ...more] = levelsOf(stem)
  if (level === undefined || more.length > 0 || level.wild !== 'none' || level.unknown !== undefined) return undefined
  const isPrefix = stem !== name
  if ((isPrefix && stem === '') || (!isPrefix && level.text === '${clientId}')) return { kind: 'any' }
  // A last "*" is a wildcard here, and a client id is not compared with itself.
  if (level.text.includes('${clientId}') || level.text.includes('*')) return undefined
  return { kind: isPrefix ? 'prefix' : 'one', text: level.text }
}

/** Does a denial of `denied` concern the ids of `allowed`? */
function meeting(allowed: ClientIds, denied: ClientIds): 'always' | 'perhaps' | 'never' {
  if (denied.kind === 'any') return 'always'
  if (allowed.kind === 'any' || hasVariable(allowed.text) || hasVariable(denied.text)) return allowed.kind !== 'any' && denied.kind === allowed.kind && denied.text === allowed.text ? 'always' : 'perhaps'
  if (denied.kind === 'prefix' && allowed.text.startsWith(denied.text)) return 'always'
  if (allowed.kind === 'prefix' && denied.text.startsWith(allowed.text)) return 'perhaps'
  return denied.kind === 'one' && allowed.kind === 'one' && denied.text === allowed.text ? 'always' : 'never'
}
