// Trees in pieces: what comes out is what went in, and no piece is large.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SourceNode } from '../../src/core/source-tree.ts'
import { packTree, TreeAssembly, type TreeChunk } from '../../src/policy-file/chunks.ts'
import { readYaml } from '../../src/yaml-source.ts'

function through(trees: readonly (readonly [string, SourceNode])[]): { readonly chunks: readonly TreeChunk[]; readonly trees: readonly SourceNode[] } {
  const assembly = new TreeAssembly()
  // As they come from another thread.
  const chunks = trees.flatMap(([file, tree]) => [...packTree(file, tree)]).map((chunk) => structuredClone(chunk))
  for (const chunk of chunks) assembly.add(chunk)
  return { chunks, trees: assembly.trees }
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

test('a long list and a long mapping go in pieces, of a thousand nodes or one entry', () => {
  const rules = Array.from({ length: 2_500 }, (_, i) => `  - { id: r${i}, to: any, publish: [ "a/${i}", { topic: b, qos: 1 } ] }`)
  const groups = Array.from({ length: 1_500 }, (_, i) => `  g${i}: [a, b]`)
  const { tree } = readYaml('p.yaml', `version: 1\ngroups:\n${groups.join('\n')}\ngrants:\n${rules.join('\n')}\n`)
  if (tree === undefined) throw new Error('no tree')
  const { chunks, trees } = through([['p.yaml', tree]])
  expect(trees).toEqual([tree])
  expect(chunks.length).toBeGreaterThan(20)
  expect(Math.max(...chunks.map(({ json }) => json.length))).toBeLessThan(64 * 1_024)
})
