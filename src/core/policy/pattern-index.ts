// Patterns as a tree of levels, to find those that contain a given one without looking at all of them.

import type { Levels } from '../topic.ts'

export interface PatternIndex<T> {
  add(levels: Levels, value: T): void
  /** Of every pattern that contains this one: as core/topic.ts has it, for patterns that do not begin with `$`. */
  containing(levels: Levels): readonly T[]
}

interface Node<T> {
  readonly values: T[]
  readonly below: Map<string, Node<T>>
}

const vacant = <T>(): Node<T> => ({ values: [], below: new Map() })

export function openPatternIndex<T>(): PatternIndex<T> {
  const root = vacant<T>()

  function collect(node: Node<T>, levels: Levels, i: number, found: T[]): void {
    // a/# contains a, and whatever lies below it.
    for (const value of node.below.get('#')?.values ?? []) found.push(value)
    const level = levels[i]
    if (level === undefined) {
      for (const value of node.values) found.push(value)
      return
    }
    // Only '#' contains '#', and only '+' or '#' a '+'.
    if (level === '#') return
    for (const key of new Set([level, '+'])) {
      const next = node.below.get(key)
      if (next !== undefined) collect(next, levels, i + 1, found)
    }
  }

  return {
    add(levels, value) {
      let node = root
      for (const level of levels) {
        const next = node.below.get(level) ?? vacant<T>()
        node.below.set(level, next)
        node = next
      }
      node.values.push(value)
    },
    containing(levels) {
      const found: T[] = []
      collect(root, levels, 0, found)
      return found
    },
  }
}
