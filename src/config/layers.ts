// Where a value comes from: flags win over the environment, the environment over sallyport.yaml, the file over defaults. Every layer is
// read whole: a mistake is one, whoever wins over it. All of them are reported, each with its place.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { SallyportError, type SourcePosition } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import { describeProblem, nearest, TreeReader, type Problem, type SourceNode } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { readYaml } from '../yaml-source.ts'
import { CONFIG_LIMITS } from '../config-limits.ts'
import { readPlainFile, whyUnread } from './plain-file.ts'
import { ENVIRONMENT_PREFIX, environmentNameOf, FROM_FILE, namesBelow, type Row, type Table } from './rows.ts'
import type { Json } from './kinds.ts'

const CONFIG_FILE = 'sallyport.yaml'
export type Environment = Readonly<Record<string, string | undefined>>
export type Layer = 'flag' | 'environment' | 'file' | 'default'

export interface Said {
  readonly value: unknown
  /** As it was written. */
  readonly written: Json
  readonly layer: Layer
  readonly at: SourcePosition
  /** Where it was said, for a person: sallyport.yaml:3:5, SALLYPORT_LOG_LEVEL, --set. */
  readonly origin: string
}

export interface Layers {
  /** Undefined where nobody has said anything, or what is not valid. */
  readonly said: (key: string) => Said | undefined
  /** What somebody has said, or the default. */
  readonly value: (key: string) => unknown
  /** Whether a section is there: by its name in the file, or by one of its keys anywhere. */
  readonly hasSection: (name: string) => boolean
  readonly reader: TreeReader
  /** What is ignored, and should not be overlooked. */
  readonly warnings: readonly string[]
}

export interface LayerSources {
  readonly table: Table
  readonly home: string
  readonly environment: Environment
  /** key=value, as given. */
  readonly set: readonly string[]
  /** Another file than that of the home. */
  readonly file?: string
}

/** Said where a secret stands. */
const HIDDEN = '(secret)'
/** Names that this program reads besides those of keys. */
const OTHER_NAMES: readonly string[] = ['SALLYPORT_HOME', 'SALLYPORT_OPERATOR']
/** What Kubernetes and Docker put into the environment of everybody beside a service that is called sallyport. */
const INJECTED = /^SALLYPORT_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)?|ENV_[A-Z0-9_]+)$/

interface Found {
  readonly node: SourceNode
  readonly layer: Layer
  readonly origin: string
  readonly base: string
}

/** Reads all layers. Failure: 'config-invalid' for a file that cannot be read. */
export function readLayers(sources: LayerSources): Layers {
  const { table } = sources
  const reader = new TreeReader()
  const said = new Map<string, Said>()
  const sections = new Set<string>()
  const take = (key: string, found: Found): void => {
    const row = table[key]
    if (row === undefined) return
    for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) sections.add(key.slice(0, dot))
    const value = readValue(row, reader, key, found)
    if (value !== undefined) said.set(key, { value, written: row.secret === true ? HIDDEN : plainOf(found.node), layer: found.layer, at: found.node.at, origin: found.origin })
  }
  readFile(sources, reader, sections, take)
  const warnings = readEnvironment(sources, reader, take)
  readFlags(sources, reader, take)
  return {
    reader, warnings,
    said: (key) => said.get(key),
    value: (key) => said.get(key)?.value ?? presetOf(table, key, sources.home),
    hasSection: (name) => sections.has(name),
  }
}

/** What is wrong with a secret is told without it. */
function readValue(row: Row<unknown>, reader: TreeReader, key: string, { node, base }: Found): unknown {
  if (row.secret !== true) return row.kind.read(node, { reader, name: key, base })
  const silent = new TreeReader()
  const value = row.kind.read(node, { reader: silent, name: key, base })
  return silent.problems.length === 0 ? value : reader.report(node.at, `${key} must be ${row.kind.words}.`)
}

function presetOf(table: Table, key: string, home: string): unknown {
  const row = table[key]
  if (row?.preset === undefined) return undefined
  const reader = new TreeReader()
  const value = row.kind.read(nodeOf(row.preset, { file: 'default', line: 1, column: 1 }), { reader, name: key, base: home })
  if (value === undefined) throw new SallyportError('internal', `The default of ${key} is none.`)
  return value
}

function readFile({ table, home, file = path.join(home, CONFIG_FILE) }: LayerSources, reader: TreeReader, sections: Set<string>, take: (key: string, found: Found) => void): void {
  const name = path.basename(file)
  const { tree, problems } = readYaml(name, textOf(file))
  for (const { at, message, fix } of problems) reader.report(at, message, fix)
  if (tree === undefined) return
  const walk = (node: SourceNode, section: string): void => {
    const map = reader.map(node, section === '' ? name : section, namesBelow(table, section))
    for (const [child, { value }] of map ?? []) {
      const key = section === '' ? child : `${section}.${child}`
      if (Object.hasOwn(table, key)) take(key, { node: value, layer: 'file', origin: `${value.at.file}:${value.at.line}:${value.at.column}`, base: path.dirname(file) })
      else {
        sections.add(key)
        walk(value, key)
      }
    }
  }
  walk(tree, '')
}

/** A home without the file has the defaults. */
function textOf(file: string): string {
  if (!existsSync(file)) return ''
  try {
    return readPlainFile(file, POLICY_LIMITS.documentBytesMax)
  } catch (cause) {
    throw new SallyportError('config-invalid', `The configuration ${file} cannot be read: ${whyUnread(cause)}.`, { fix: 'Check who owns it, and that it is a file.', cause })
  }
}

/** With all problems, a line for each. */
export function invalid(problems: readonly Problem[]): SallyportError {
  const [first] = problems
  return new SallyportError('config-invalid', problems.map(describe).join('\n'), first === undefined ? {} : { at: first.at })
}

/** A variable and a flag have no lines. */
function describe(problem: Problem): string {
  const { at, message, fix } = problem
  return /^(SALLYPORT_|--)/.test(at.file) ? `${at.file}: ${message}${fix === undefined ? '' : ` ${fix}`}` : describeProblem(problem)
}

function readEnvironment({ table, environment }: LayerSources, reader: TreeReader, take: (key: string, found: Found) => void): readonly string[] {
  const names = new Map(Object.keys(table).map((key) => [environmentNameOf(key), key]))
  const warnings: string[] = []
  for (const [name, text] of Object.entries(environment).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    // Set to nothing is how a shell and a compose file say "not set".
    if (!name.startsWith(ENVIRONMENT_PREFIX) || text === undefined || text === '' || OTHER_NAMES.includes(name)) continue
    const key = names.get(name)
    const keyOfFile = key === undefined && name.endsWith(FROM_FILE) ? names.get(name.slice(0, -FROM_FILE.length)) : undefined
    if (key !== undefined) takeText(table, key, text, { reader, name, layer: 'environment', take })
    else if (keyOfFile === undefined) warnings.push(...unknownName(name, [...names.keys()]))
    else if ((environment[environmentNameOf(keyOfFile)] ?? '') === '') takeText(table, keyOfFile, contentOf(name, text), { reader, name, layer: 'environment', take })
    else reader.report({ file: name, line: 1, column: 1 }, `${environmentNameOf(keyOfFile)} is set, too.`, 'Set one of the two.')
  }
  return warnings
}

function unknownName(name: string, known: readonly string[]): readonly string[] {
  if (INJECTED.test(name)) return []
  const near = nearest(name, [...known, ...OTHER_NAMES])
  return [`${printable(name)} in the environment means nothing here.${near === undefined ? '' : ` Did you mean ${near}?`}`]
}

/** As editors and `echo` leave it: with a line end, which belongs to no value. */
function contentOf(name: string, file: string): string {
  try {
    return readPlainFile(file, CONFIG_LIMITS.valueBytesMax).replace(/\r?\n$/, '')
  } catch (cause) {
    throw new SallyportError('config-invalid', `${name} names ${printable(file)}, which cannot be read: ${whyUnread(cause)}.`, { fix: 'Name a file that holds the value and nothing else, and check who may read it.', cause })
  }
}

function readFlags({ table, set }: LayerSources, reader: TreeReader, take: (key: string, found: Found) => void): void {
  for (const assignment of set) {
    const equals = assignment.indexOf('=')
    const key = assignment.slice(0, equals === -1 ? undefined : equals)
    const name = `--set ${printable(key)}`
    const at: SourcePosition = { file: name, line: 1, column: 1 }
    if (!Object.hasOwn(table, key)) {
      const near = nearest(key, Object.keys(table))
      reader.report(at, 'there is no such key.', near === undefined ? 'See: sallyport config show' : `Did you mean "${near}"?`)
    } else if (equals === -1) reader.report(at, 'there is no value.', `Write: --set ${key}=VALUE`)
    else takeText(table, key, assignment.slice(equals + 1), { reader, name, layer: 'flag', take })
  }
}

interface TextOf {
  readonly reader: TreeReader
  readonly name: string
  readonly layer: Layer
  readonly take: (key: string, found: Found) => void
}

/** Text of a flag or a variable, as the kind of its key takes it. */
function takeText(table: Table, key: string, text: string, { reader, name, layer, take }: TextOf): void {
  const at: SourcePosition = { file: name, line: 1, column: 1 }
  const form = table[key]?.kind.form
  const isFlow = /^\s*[[{]/.test(text)
  const found = (node: SourceNode): void => take(key, { node, layer, origin: name, base: process.cwd() })
  if (form === 'yaml' || (form === 'list' && isFlow)) {
    const { tree, problems } = readYaml(name, text)
    for (const problem of problems) reader.report(at, table[key]?.secret === true ? 'it is not valid YAML.' : problem.message, problem.fix)
    if (tree !== undefined) found(tree)
  } else if (form === 'list') found({ kind: 'list', at, items: text.split(',').map((part) => part.trim()).filter((part) => part !== '').map((part) => nodeOf(part, at)) })
  else found(nodeOf(form === 'number' && /^-?\d{1,15}$/.test(text) ? Number(text) : text, at))
}

/** A plain value as the file would have it. */
function nodeOf(value: Json, at: SourcePosition): SourceNode {
  if (isList(value)) return { kind: 'list', at, items: value.map((item) => nodeOf(item, at)) }
  if (typeof value === 'object' && value !== null) return { kind: 'map', at, entries: Object.entries(value).map(([key, item]) => ({ key, keyAt: at, value: nodeOf(item, at) })) }
  return { kind: 'scalar', value, text: value === null ? '' : String(value), at }
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value)

function plainOf(node: SourceNode): Json {
  if (node.kind === 'list') return node.items.map(plainOf)
  return node.kind === 'map' ? Object.fromEntries(node.entries.map(({ key, value }) => [key, plainOf(value)])) : node.value
}
