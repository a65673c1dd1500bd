// Trees on their way from the thread that parses to the one that reads, in pieces: a whole one would hold the reader's event
// loop while it is copied. A piece is JSON of arrays, which is the quickest to make and to take apart.

import { SECTION_KEYS } from '../core/policy/keys.ts'
import type { MapEntry, SourceNode } from '../core/source-tree.ts'

/** [line, column, value] of a scalar, [line, column, value, text] where the text is another; else the items, or key, line and column of each entry and its value. */
type Packed = readonly [line: number, column: number, content: unknown, text?: string | typeof LIST | typeof MAP]
const LIST = 0
const MAP = 1

/** `top` begins the next tree: sections come empty, and are filled by `more`, which follow. */
export type TreeChunk = { readonly kind: 'top'; readonly file: string; readonly json: string } | { readonly kind: 'more'; readonly entry: number; readonly json: string }

/** So many nodes are taken apart in a millisecond or so. */
const NODES_PER_CHUNK = 2_500

export function* packTree(file: string, tree: SourceNode): Generator<TreeChunk> {
  yield { kind: 'top', file, json: JSON.stringify(pack(withoutSections(tree))) }
  if (tree.kind !== 'map') return
  for (const [entry, { key, value }] of tree.entries.entries()) {
    if (!SECTION_KEYS.includes(key)) continue
    if (value.kind === 'list') for (const items of chunked(value.items, sizeOf)) yield { kind: 'more', entry, json: JSON.stringify(pack({ ...value, items })) }
    if (value.kind === 'map') for (const entries of chunked(value.entries, (each) => sizeOf(each.value))) yield { kind: 'more', entry, json: JSON.stringify(pack({ ...value, entries })) }
  }
}

/** A tree whose sections are empty. */
export function withoutSections(tree: SourceNode): SourceNode {
  return tree.kind === 'map' ? { ...tree, entries: tree.entries.map((entry) => (SECTION_KEYS.includes(entry.key) ? { ...entry, value: emptied(entry.value) } : entry)) } : tree
}

/** What stands in the sections of a tree, each a rule or the like. */
export function partsOf(tree: SourceNode): readonly SourceNode[] {
  const sections = tree.kind === 'map' ? tree.entries.filter(({ key }) => SECTION_KEYS.includes(key)) : []
  return sections.flatMap(({ value }) => (value.kind === 'list' ? value.items : value.kind === 'map' ? value.entries.map((entry) => entry.value) : []))
}

function emptied(node: SourceNode): SourceNode {
  return node.kind === 'list' ? { ...node, items: [] } : node.kind === 'map' ? { ...node, entries: [] } : node
}

/** Values in it, itself included. */
export function sizeOf(node: SourceNode): number {
  if (node.kind === 'scalar') return 1
  return node.kind === 'list' ? node.items.reduce((sum, item) => sum + sizeOf(item), 1) : node.entries.reduce((sum, { value }) => sum + sizeOf(value), 1)
}

function* chunked<T>(items: readonly T[], size: (item: T) => number): Generator<readonly T[]> {
  let chunk: T[] = []
  let nodes = 0
  for (const item of items) {
    chunk.push(item)
    nodes += size(item)
    if (nodes < NODES_PER_CHUNK) continue
    yield chunk
    chunk = []
    nodes = 0
  }
  if (chunk.length > 0) yield chunk
}

function pack(node: SourceNode): Packed {
  const { line, column } = node.at
  switch (node.kind) {
    case 'scalar':
      return node.text === node.value ? [line, column, node.value] : [line, column, isPlain(node.value) ? node.value : [Object.is(node.value, -0) ? '-0' : String(node.value)], node.text]
    case 'list':
      return [line, column, node.items.map(pack), LIST]
    case 'map':
      return [line, column, node.entries.flatMap(packEntry), MAP]
  }
}

/** JSON has no infinity, and no zero below zero. */
const isPlain = (value: unknown): boolean => typeof value !== 'number' || (Number.isFinite(value) && !Object.is(value, -0))

const packEntry = ({ key, keyAt, value }: MapEntry): readonly unknown[] => [key, keyAt.line, keyAt.column, pack(value)]
const ENTRY_PARTS = 4

/** A piece as it was packed: the tree of the next file, or what goes on in one of its entries. */
export type TreePiece = { readonly kind: 'top'; readonly tree: SourceNode } | { readonly kind: 'more'; readonly entry: number; readonly content: SourceNode }

/** Takes pieces apart, in their order. */
export class TreeUnpacker {
  #file = ''

  unpack(chunk: TreeChunk): TreePiece {
    const content: unknown = JSON.parse(chunk.json)
    if (chunk.kind === 'top') this.#file = chunk.file
    const node = this.#node(content as Packed)
    return chunk.kind === 'top' ? { kind: 'top', tree: node } : { kind: 'more', entry: chunk.entry, content: node }
  }

  #node([line, column, content, kind]: Packed): SourceNode {
    const at = { file: this.#file, line, column }
    if (kind === LIST) return { kind: 'list', items: (content as readonly Packed[]).map((each) => this.#node(each)), at }
    if (kind === MAP) return { kind: 'map', entries: this.#entries(content as readonly unknown[]), at }
    const value = Array.isArray(content) ? Number(content[0]) : (content as string | number | boolean | null)
    return { kind: 'scalar', value, text: kind ?? String(value), at }
  }

  #entries(parts: readonly unknown[]): MapEntry[] {
    const entries: MapEntry[] = []
    for (let i = 0; i < parts.length; i += ENTRY_PARTS) {
      const [key, line, column, value] = parts.slice(i, i + ENTRY_PARTS) as unknown as readonly [string, number, number, Packed]
      entries.push({ key, keyAt: { file: this.#file, line, column }, value: this.#node(value) })
    }
    return entries
  }
}
