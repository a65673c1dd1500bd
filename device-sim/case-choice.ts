// Which cases a person wants, by their numbers and families, and what each of them is about. It runs none.

import { CASE_IDS, rowOf, type CaseId } from './attacks/catalogue.ts'
import type { Family } from './attacks/catalogue-row.ts'
import { casesOfPack, PACK_NAMES, type PackName } from './attacks/packs.ts'
import { needsOf } from './attacks/powers.ts'
import { SimError } from './failure.ts'

export interface CaseWishes {
  /** Separated by commas, as typed. */
  readonly case?: string | undefined
  readonly family?: string | undefined
  readonly pack?: string | undefined
}

/** The cases that were named, and those of the families and packs that were named, in the order of the catalogue; all when nothing was. */
export function chooseCases(wishes: CaseWishes): readonly CaseId[] {
  if (wishes.case === undefined && wishes.family === undefined && wishes.pack === undefined) return CASE_IDS
  const packed = choosePacks(wishes).flatMap(casesOfPack)
  const ids = named('case', wishes.case, CASE_IDS)
  const families = named<Family>('family', wishes.family, familiesOf(CASE_IDS))
  return CASE_IDS.filter((id) => ids.includes(id) || packed.includes(id) || families.includes(rowOf(id).family))
}

/** The packs whose stories shall be told. */
export function choosePacks({ pack }: Pick<CaseWishes, 'pack'>): readonly PackName[] {
  return [...new Set(named('pack', pack, PACK_NAMES))]
}

function familiesOf(ids: readonly CaseId[]): readonly Family[] {
  return [...new Set(ids.map((id) => rowOf(id).family))]
}

function named<T extends string>(option: 'case' | 'family' | 'pack', list: string | undefined, known: readonly T[]): readonly T[] {
  if (list === undefined) return []
  return list.split(',').map((text) => {
    const word = text.trim()
    const found = known.find((each) => each.toLowerCase() === word.toLowerCase())
    if (found !== undefined) return found
    const near = closest(word, known)
    throw new SimError('usage', `There is no ${option} ${JSON.stringify(word)}.${near === undefined ? '' : ` Did you mean ${near}?`} --list shows all.`)
  })
}

/** The known word that is the fewest keystrokes away, when it is few enough to be meant. */
export function closest<T extends string>(word: string, known: readonly T[]): T | undefined {
  const [best] = known.map((each) => ({ each, far: keystrokes(word.toLowerCase().slice(0, 64), each.toLowerCase()) })).toSorted((a, b) => a.far - b.far)
  return best !== undefined && best.far <= Math.max(1, Math.floor(best.each.length / 3)) ? best.each : undefined
}

/** Levenshtein's distance. */
function keystrokes(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** Every case by family: what it tries, why it matters, what must come of it. */
export function catalogueText(ids: readonly CaseId[]): string {
  const block = (id: CaseId): string => {
    const { title, why, advisory, expected, onlyOurs } = rowOf(id)
    const needs = needsOf(rowOf(id)).filter((need) => need !== 'letter')
    return [`  ${id}  ${title}`, `       ${why}`, ...(advisory === undefined ? [] : [`       seen in: ${advisory}`]), `       expected: ${expected}`, ...(needs.length === 0 ? [] : [`       needs: ${needs.join(', ')}`]), ...(onlyOurs === undefined ? [] : [`       asked of Sallyport alone: ${onlyOurs}`])].map((line) => `${line}\n`).join('')
  }
  return familiesOf(ids).map((family) => `${family}\n${ids.filter((id) => rowOf(id).family === family).map(block).join('')}`).join('\n')
}
