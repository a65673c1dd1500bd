// The tree of filters: that it finds what core/topic says it must, has no node too many, and keeps none.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ROUTER_LIMITS } from '../../src/limits.ts'
import { matches } from '../../src/core/topic.ts'
import { openTopicTree, type TopicTree, type TreeNode } from '../../src/router/topic-tree.ts'

function childrenOf<C>({ children, plus, hash }: TreeNode<C>): TreeNode<C>[] {
  return [...(children?.values() ?? []), plus, hash].filter((child) => child !== undefined)
}

/** All nodes below the root, checked for what must hold of each. */
function walk(tree: TopicTree<string>): TreeNode<string>[] {
  const root = tree.grow([])
  const all: TreeNode<string>[] = []
  const ahead = [root]
  for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
    const below = childrenOf(node)
    expect(node.children?.size).not.toBe(0)
    for (const child of below) {
      expect(child.parent).toBe(node)
      expect(child.depth).toBeGreaterThan(node.depth)
      expect(child.path.slice(0, node.depth)).toEqual(node.path.slice(0, node.depth))
    }
    if (node !== root) {
      expect(node.content !== undefined || below.length > 1).toBe(true)
      all.push(node)
    }
    ahead.push(...below)
  }
  return all
}

function put(tree: TopicTree<string>, filter: readonly string[]): TreeNode<string> {
  const node = tree.grow(filter)
  node.content = filter.join('/')
  return node
}

function take(tree: TopicTree<string>, filter: readonly string[]): void {
  const node = tree.grow(filter)
  node.content = undefined
  tree.prune(node)
}

describe('the tree of filters', () => {
  const level = fc.constantFrom('a', 'b', '', '$s')
  const filter = fc.tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 6 }), fc.boolean()).map(([levels, isOpen]) => (isOpen ? [...levels, '#'] : levels))
  const topic = fc.array(level, { minLength: 1, maxLength: 6 })

  test('finds what matches, each filter once, and has no node that neither ends a filter nor parts two', () => {
    fc.assert(fc.property(fc.array(filter, { maxLength: 20 }), fc.array(topic, { maxLength: 10 }), fc.array(fc.nat(), { maxLength: 20 }), (filters, topics, leaving) => {
      const tree = openTopicTree<string>()
      const there = new Map<string, readonly string[]>()
      const check = (): void => {
        for (const name of topics) {
          expect(tree.match(name).toSorted()).toEqual([...there].filter(([, levels]) => matches(levels, name)).map(([text]) => text).toSorted())
        }
        expect(walk(tree)).toHaveLength(tree.nodes)
        expect(tree.nodes).toBeLessThanOrEqual(2 * there.size)
      }
      for (const levels of filters) {
        put(tree, levels)
        there.set(levels.join('/'), levels)
      }
      check()
      for (const one of leaving) {
        const levels = filters[one % Math.max(filters.length, 1)]
        if (levels === undefined) continue
        take(tree, levels)
        there.delete(levels.join('/'))
        check()
      }
      for (const levels of there.values()) take(tree, levels)
      expect([tree.nodes, childrenOf(tree.grow([]))]).toEqual([0, []])
    }), { numRuns: 2_000 })
  })

  test('a node to which nothing was given goes again, and takes nothing with it', () => {
    const tree = openTopicTree<string>()
    put(tree, ['a', 'b', 'c'])
    tree.prune(tree.grow(['a', 'b', 'x']))
    tree.prune(tree.grow(['a']))
    expect(walk(tree).map(({ content }) => content)).toEqual(['a/b/c'])
  })

  test('a thousand filters of 64 levels cost a thousand ends and as many partings, not 64,000 levels', () => {
    const tree = openTopicTree<string>()
    // Pairs that part in the last level only, and from each other early.
    const filters = Array.from({ length: 1_000 }, (_, i) => [...Array.from({ length: 9 }, (_, k) => ((i >> (k + 1)) % 2 === 0 ? '+' : 'a')), ...Array.from({ length: 54 }, () => (i % 4 < 2 ? '+' : 'a')), `x${i % 2}`])
    for (const levels of filters) put(tree, levels)
    expect(tree.nodes).toBeLessThanOrEqual(2_000)
    expect(tree.match([...Array.from({ length: 63 }, () => 'a'), 'x0'])).toHaveLength(500)
    expect(tree.match([...Array.from({ length: 63 }, () => 'a'), 'x2'])).toEqual([])
  })

  test('where thousands of levels part, those that come and go are found when there, and leave nothing behind', () => {
    const tree = openTopicTree<string>()
    const names = Array.from({ length: 2_000 }, (_, i) => ['f', `d${i}`])
    for (const levels of names) put(tree, levels)
    for (let i = 0; i < 3; i++) {
      for (const levels of names.slice(0, 1_900)) {
        take(tree, levels)
        expect([tree.match(levels), tree.nodes]).toEqual([[], 2_000])
        put(tree, levels)
        expect(tree.match(levels)).toEqual([levels.join('/')])
      }
    }
    for (const [i, levels] of names.entries()) {
      take(tree, levels)
      // Those of the last one, or of none, are one node or none: the parting is gone.
      expect(tree.nodes).toBe(i >= 1_998 ? 1_999 - i : 2_000 - i)
      const parting = tree.grow([]).children?.get('f')
      expect(parting?.vacant?.size ?? 0).toBeLessThanOrEqual(ROUTER_LIMITS.vacantLevelsMax)
      expect(parting?.children?.size ?? 0).toBeLessThanOrEqual(2_000 - i - 1 + ROUTER_LIMITS.vacantLevelsMax)
    }
    expect(childrenOf(tree.grow([]))).toEqual([])
  })

  test('no depth overflows the stack', () => {
    const tree = openTopicTree<string>()
    const deep = Array.from({ length: 3_000 }, () => 'a')
    for (let depth = 1; depth <= deep.length; depth++) put(tree, deep.slice(0, depth))
    expect(tree.match(deep)).toEqual([deep.join('/')])
    put(tree, deep.map(() => '+'))
    put(tree, [...deep, '#'])
    expect(tree.match(deep)).toHaveLength(3)
  })
})
