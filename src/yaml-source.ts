// YAML text → a tree with positions. Everything of YAML that is not plain data is refused: anchors, aliases, merge keys,
// tags, several documents. It knows nothing of what the document means.

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from 'yaml'
import { POLICY_LIMITS } from './limits.ts'
import type { SourcePosition } from './core/errors.ts'
import type { MapEntry, Problem, SourceNode } from './core/source-tree.ts'

/** Nesting beyond this is no document that a person wrote. */
const DEPTH_MAX = 32

/** Reads one document of YAML 1.2 (core schema). With problems there is no tree; an empty file is an empty mapping. */
export function readYaml(file: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  const start: SourcePosition = { file, line: 1, column: 1 }
  if (Buffer.byteLength(text) > POLICY_LIMITS.documentBytesMax) return { problems: [{ at: start, message: `the file is larger than ${POLICY_LIMITS.documentBytesMax} bytes.` }] }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2', schema: 'core', merge: false, strict: true, prettyErrors: false })
  const place = (offset: number | undefined): SourcePosition => {
    const { line, col } = lines.linePos(offset ?? 0)
    return { file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  const problems: Problem[] = document.errors.map((e) => ({ at: place(e.pos[0]), message: `not valid YAML: ${e.message.split('\n')[0] ?? ''}.` }))
  if (problems.length > 0) return { problems }
  const report = (node: Node, message: string, fix: string): undefined => {
    problems.push({ at: place(node.range?.[0]), message, fix })
    return undefined
  }

  function convert(node: unknown, depth: number): SourceNode | undefined {
    if (node === null || node === undefined) return { kind: 'scalar', value: null, text: '', at: start }
    const yaml = node as Node
    if (depth > DEPTH_MAX) return report(yaml, `nested more than ${DEPTH_MAX} deep.`, 'Write it flatter.')
    if (isAlias(yaml)) return report(yaml, 'aliases (*name) are not accepted.', 'Write the value out.')
    if ('anchor' in yaml && yaml.anchor !== undefined) return report(yaml, 'anchors (&name) are not accepted.', 'Write the value out.')
    if (yaml.tag !== undefined && yaml.tag !== null && !yaml.tag.startsWith('tag:yaml.org,2002:')) return report(yaml, 'tags (!name) are not accepted.', 'Write a plain value.')
    const at = place(yaml.range?.[0])
    if (isScalar(yaml)) {
      const { value } = yaml
      const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
      return { kind: 'scalar', value: plain, text: yaml.source ?? String(plain ?? ''), at }
    }
    if (isSeq(yaml)) return { kind: 'list', items: yaml.items.flatMap((item) => convert(item, depth + 1) ?? []), at }
    if (isMap(yaml)) return { kind: 'map', entries: yaml.items.flatMap((pair) => entry(pair, depth, yaml) ?? []), at }
    return report(yaml, 'this is not plain data.', 'Write a mapping, a list or a value.')
  }

  function entry(pair: Pair, depth: number, owner: Node): MapEntry | undefined {
    const { key } = pair
    if (!isScalar(key)) return report(owner, 'a key must be plain text.', 'Write key: value.')
    const value = convert(pair.value, depth + 1)
    return value === undefined ? undefined : { key: key.source ?? String(key.value), keyAt: place(key.range?.[0]), value: pair.value === null ? { ...value, at: place(key.range?.[1]) } : value }
  }

  const contents = document.contents as Node | null
  const tree: SourceNode | undefined = contents === null ? { kind: 'map', entries: [], at: start } : convert(contents, 0)
  return problems.length > 0 || tree === undefined ? { problems } : { tree, problems: [] }
}
