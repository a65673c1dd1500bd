// Builds the trees that the reader of policies reads, entry by entry.

import type { SourcePosition } from '../core/errors.ts'
import type { MapEntry, MapNode, SourceNode } from '../core/source-tree.ts'

export type Report = (at: SourcePosition, message: string, fix?: string) => undefined

export function textNode(text: string, at: SourcePosition): SourceNode {
  return { kind: 'scalar', value: text, text, at }
}

/** The entries of one mapping. */
export class Entries {
  readonly #all: MapEntry[] = []
  readonly #lists = new Map<string, SourceNode[]>()

  has(key: string): boolean {
    return this.#all.some((entry) => entry.key === key)
  }

  /** Where a key was said. */
  placeOf(key: string): SourcePosition | undefined {
    return this.#all.find((entry) => entry.key === key)?.keyAt
  }

  textOf(key: string): string | undefined {
    const value = this.#all.find((entry) => entry.key === key)?.value
    return value?.kind === 'scalar' ? value.text : undefined
  }

  set(key: string, keyAt: SourcePosition, value: SourceNode): void {
    this.#all.push({ key, keyAt, value })
  }

  /** What was said of a key as one text goes on, after a blank. */
  extend(key: string, more: string): void {
    const index = this.#all.findIndex((entry) => entry.key === key)
    const entry = this.#all[index]
    if (entry?.value.kind === 'scalar') this.#all[index] = { ...entry, value: textNode(`${entry.value.text} ${more}`, entry.value.at) }
  }

  /** One more item of the list under a key, which begins with its first. */
  add(key: string, keyAt: SourcePosition, item: SourceNode): void {
    const items = this.#lists.get(key)
    if (items !== undefined) items.push(item)
    else {
      const first = [item]
      this.#lists.set(key, first)
      this.set(key, keyAt, { kind: 'list', items: first, at: item.at })
    }
  }

  /** It grows with the entries. */
  node(at: SourcePosition): MapNode {
    return { kind: 'map', entries: this.#all, at }
  }
}
