// Trees in pieces: what comes out is what went in, and no piece is large.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SourceNode } from '../../src/core/source-tree.ts'
import { packTree, TreeUnpacker, type TreeChunk } from '../../src/policy-file/chunks.ts'
import { readYaml } from '../../src/yaml-source.ts'

/** What comes out, with what came in pieces put together. */
function through(trees: readonly (readonly [string, SourceNode])[]): { readonly chunks: readonly TreeChunk[]; readonly trees: readonly SourceNode[] } {
  const unpacker = new TreeUnpacker()
  const found: SourceNode[] = []
  // As they come from another thread.
  const chunks = trees.flatMap(([file, tree]) => [...packTree(file, tree)]).map((chunk) => structuredClone(chunk))
  for (const chunk of chunks) {
    const piece = unpacker.unpack(chunk)
    if (piece.kind === 'top') found.push(piece.tree)
    else found.push(grown(found.pop()!, piece.entry, piece.content))
  }
  return { chunks, trees: found }
}

function grown(tree: SourceNode, index: number, more: SourceNode): SourceNode {
  if (tree.kind !== 'map') throw new Error('only mappings come in pieces')
  return { ...tree, entries: tree.entries.map((entry, i) => (i === index ? { ...entry, value: joined(entry.value, more) } : entry)) }
}

function joined(before: SourceNode, more: SourceNode): SourceNode {
  if (before.kind === 'list' && more.kind === 'list') return { ...more, items: [...before.items, ...more.items] }
  if (before.kind === 'map' && more.kind === 'map') return { ...more, entries: [...before.entries, ...more.entries] }
  throw new Error('a piece of another kind')
}

const position = (file: string) => fc.record({ file: fc.constant(file), line: fc.nat(), column: fc.nat() })
const text = fc.string({ unit: fc.oneof(fc.constantFrom('a', '"', '\\', '\n', '\0', '\uD800', '😀', '0'), fc.string({ minLength: 1, maxLength: 1 })), maxLength: 4 })
const scalar = fc.oneof(text, fc.double(), fc.integer(), fc.boolean(), fc.constantFrom(null, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1))
const treeOf = (file: string): fc.Arbitrary<SourceNode> => fc.letrec<{ node: SourceNode }>((tie) => ({
  node: fc.oneof({ maxDepth: 4, depthSize: 'small' },
    fc.record({ kind: fc.constant('scalar' as const), value: scalar, text: fc.oneof(text, fc.constantFrom('0', '1', '')), at: position(file) }),
    fc.record({ kind: fc.constant('list' as const), items: fc.array(tie('node'), { maxLength: 4 }), at: position(file) }),
    fc.record({ kind: fc.constant('map' as const), entries: fc.array(fc.record({ key: fc.oneof(text, fc.constant('__proto__')), keyAt: position(file), value: tie('node') }), { maxLength: 4 }), at: position(file) })),
})).node

test('any trees of any files come out as they went in', () => {
  fc.assert(fc.property(treeOf('a.yaml'), treeOf('policy.d/b.policy'), (a, b) => {
    expect(through([['a.yaml', a], ['policy.d/b.policy', b]]).trees).toEqual([a, b])
  }), { numRuns: 2_000 })
})

test('a long list and a long mapping go in pieces, of some thousand nodes or one entry', () => {
  const rules = Array.from({ length: 2_500 }, (_, i) => `  - { id: r${i}, to: any, publish: [ "a/${i}", { topic: b, qos: 1 } ] }`)
  const groups = Array.from({ length: 1_500 }, (_, i) => `  g${i}: [a, b]`)
  const { tree } = readYaml('p.yaml', `version: 1\ngroups:\n${groups.join('\n')}\ngrants:\n${rules.join('\n')}\n`)
  if (tree === undefined) throw new Error('no tree')
  const { chunks, trees } = through([['p.yaml', tree]])
  expect(trees).toEqual([tree])
  expect(chunks.length).toBeGreaterThan(10)
  expect(Math.max(...chunks.map(({ json }) => json.length))).toBeLessThan(160 * 1_024)
})
