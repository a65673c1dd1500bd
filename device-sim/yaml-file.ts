// A YAML file that a person wrote → a checked value, or every mistake in it with line, column and what was perhaps meant. What the
// file means is the schema of whoever reads it.

import type { z } from 'zod'
import type { readYaml } from '../src/yaml-source.ts'
import { closest } from './case-choice.ts'
import { SimError } from './failure.ts'

export type Tree = NonNullable<ReturnType<typeof readYaml>['tree']>
export type At = Tree['at']

export interface Mistake {
  readonly at: At
  readonly message: string
}

/** All mistakes, a line each, in the order of the file. */
export function refusal(mistakes: readonly Mistake[]): SimError {
  const sorted = mistakes.toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
  return new SimError('usage', sorted.map(({ at, message }) => `${at.file}:${at.line}:${at.column}: ${message}`).join('\nsim: '))
}

/** The plain value of a tree. */
function plain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value
  if (tree.kind === 'list') return tree.items.map(plain)
  return Object.fromEntries(tree.entries.map(({ key, value }) => [key, plain(value)]))
}

/** Where the value at this path stands, or the nearest thing around it that does. */
export function placeOf(tree: Tree, [key, ...rest]: readonly PropertyKey[]): At {
  if (key === undefined) return tree.at
  if (tree.kind === 'list') {
    const item = tree.items[Number(key)]
    return item === undefined ? tree.at : placeOf(item, rest)
  }
  const entry = tree.kind === 'map' ? tree.entries.find((each) => each.key === String(key)) : undefined
  if (entry === undefined) return tree.at
  return rest.length === 0 ? entry.keyAt : placeOf(entry.value, rest)
}

/** What the schema makes of a tree; undefined where it has mistakes, which are added. */
export function parsed<T extends z.ZodType>(schema: T, tree: Tree, mistakes: Mistake[]): z.output<T> | undefined {
  const result = schema.safeParse(plain(tree))
  if (result.success) return result.data
  for (const issue of result.error.issues) mistakes.push(...said(issue, tree, schema))
  return undefined
}

/** A key that is unknown is said with the one that was perhaps meant. */
function said(issue: z.core.$ZodIssue, tree: Tree, schema: z.ZodType): readonly Mistake[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path)
    return issue.keys.map((key) => ({ at: placeOf(tree, [...issue.path, key]), message: `${quoted(key)} is not known here.${meant(key, known)}` }))
  }
  const where = issue.path.length === 0 ? '' : `${issue.path.map(String).join('.')}: `
  return [{ at: placeOf(tree, issue.path), message: `${where}${issue.message}.` }]
}

const KNOWN_SHOWN = 12
export const quoted = (text: string): string => JSON.stringify(text)
export const meant = (word: string, known: readonly string[]): string => {
  const near = closest(word, known)
  if (near !== undefined) return ` Did you mean ${near}?`
  return known.length === 0 ? '' : ` Known: ${known.slice(0, KNOWN_SHOWN).join(', ')}${known.length > KNOWN_SHOWN ? ', …' : ''}.`
}

/** The keys that an object of the schema has at this path. */
function keysAt(schema: z.ZodType, at: readonly PropertyKey[]): readonly string[] {
  let here: unknown = schema
  for (const key of at) here = inner(here, key)
  const shape = unwrapped(here)['shape']
  return typeof shape === 'object' && shape !== null ? Object.keys(shape) : []
}

function inner(schema: unknown, key: PropertyKey): unknown {
  const { shape, valueType, element } = unwrapped(schema)
  if (typeof shape === 'object' && shape !== null && key in shape) return Reflect.get(shape, key)
  return valueType ?? element
}

/** Without what makes it optional, partial or defaulted. */
function unwrapped(schema: unknown): Readonly<Record<string, unknown>> {
  let here: unknown = schema
  while (typeof here === 'object' && here !== null) {
    const def: unknown = Reflect.get(here, 'def')
    const next: unknown = typeof def === 'object' && def !== null ? Reflect.get(def, 'innerType') : undefined
    if (next === undefined) return here as Readonly<Record<string, unknown>>
    here = next
  }
  return {}
}
