// What is different between two configurations, key by key, and whether a running server can have it. The values are compared, and shown as
// they would be written; of a secret it is said that it changed.

import { isDeepStrictEqual } from 'node:util'
import type { SettingChanged } from '../core/reload.ts'
import type { Json } from './kinds.ts'
import type { Effect, Section, Table } from './rows.ts'

/** Keys by their names, how they would be written, and which of the optional sections are there. */
export interface Compared {
  readonly settings: Readonly<Record<string, unknown>>
  readonly written: Readonly<Record<string, Json | undefined>>
  readonly sections: readonly string[]
}

export interface Known {
  readonly table: Table
  readonly sections: Readonly<Record<string, Section>>
}

/** Those of this effect, in the order of the table. A section that comes or goes takes a start. */
export function changesBetween({ table, sections }: Known, before: Compared, after: Compared, effect: Effect): readonly SettingChanged[] {
  const isThere = (name: string, of: Compared): boolean => sections[name]?.optional !== true || of.sections.includes(name)
  const keys = Object.entries(table).filter(([key, row]) => row.effect === effect && !isDeepStrictEqual(before.settings[key], after.settings[key]) && isThere(sectionOf(key), after))
  const changed = keys.map(([key]) => ({ key, from: shown(before.written[key]), to: shown(after.written[key]) }))
  if (effect === 'live') return changed
  const comings = Object.keys(sections).filter((name) => isThere(name, before) !== isThere(name, after)).map((name) => ({ key: name, from: isThere(name, before) ? 'on' : 'off', to: isThere(name, after) ? 'on' : 'off' }))
  return [...comings, ...changed]
}

const sectionOf = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf('.')))

/** As the file would have it; one line. */
export function shown(written: Json | undefined): string {
  if (written === undefined) return 'nothing'
  return typeof written === 'string' ? written : JSON.stringify(written)
}
