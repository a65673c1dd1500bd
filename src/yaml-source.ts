// YAML text → a tree with positions. Everything of YAML that is not plain data is refused: anchors, aliases, merge keys,
// tags, several documents. It knows nothing of what the document means.

import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, type CST, type Document, type Node, type Pair } from 'yaml'
import { POLICY_LIMITS } from './limits.ts'
import type { SourcePosition } from './core/errors.ts'
import { printable } from './core/ids.ts'
import type { MapEntry, Problem, SourceNode } from './core/source-tree.ts'

/** Nesting beyond this is no document that a person wrote. */
const DEPTH_MAX = 32
/** A file that is no YAML at all has a problem at every character. */
const SYNTAX_PROBLEMS_MAX = 100
const MESSAGE_CHARS_MAX = 160

/** Tokens of the lexer that stand for no text: document start, flow end, and "a scalar follows". */
const SCALAR_FOLLOWS = '\x1f'
const DOCUMENT_FOLLOWS = '\x02'
const FLOW_ENDS = '\x18'

interface Misnesting {
  readonly offset: number
  readonly message: string
}

/**
 * Watches tokens go by for brackets that nest too deep or close what is not open: the parser pays for each level with its
 * stack and for each error with a search, so it must not see them.
 */
function nestingWatch(): (token: string) => Misnesting | undefined {
  let offset = 0
  let flow = 0
  let inLine = 0
  let isText = false
  // A large file has a million tokens: most are told by their first character.
  return (token) => {
    const first = token[0]
    if (isText) isText = false
    else if (first === SCALAR_FOLLOWS) isText = true
    else if (first === '\n' || first === '\r') inLine = 0
    else if (token.length === 1) {
      if (first === '[' || first === '{') flow++
      else if (first === ']' || first === '}') flow--
      else if (first === '-' || first === '?') inLine++
      else if (first === DOCUMENT_FOLLOWS || first === FLOW_ENDS) return undefined
      if (flow > DEPTH_MAX || inLine > DEPTH_MAX) return { offset, message: `nested more than ${DEPTH_MAX} deep.` }
      if (flow < 0) return { offset, message: `not valid YAML: "${token}" closes nothing.` }
    }
    offset += isText ? 0 : token.length
    return undefined
  }
}

/** The documents of a text, in one pass over its tokens; or where it nests wrongly. */
function parse(text: string, lines: LineCounter): readonly Document[] | Misnesting {
  let misnested: Misnesting | undefined
  function* tokens(): Generator<CST.Token> {
    const misnestedAt = nestingWatch()
    const parser = new Parser(lines.addNewLine)
    lines.addNewLine(0)
    for (const token of new Lexer().lex(text)) {
      misnested = misnestedAt(token)
      // Without an end there is no document either.
      if (misnested !== undefined) return
      yield* parser.next(token)
    }
    yield* parser.end()
  }
  // Whether keys are unique is looked at below: there it costs less than the square of their number.
  const composer = new Composer({ uniqueKeys: false, version: '1.2', schema: 'core', merge: false, strict: true, prettyErrors: false })
  const documents: Document[] = []
  for (const document of composer.compose(tokens(), true, text.length)) {
    documents.push(document)
    // One is read; of another it is enough to know that it is there.
    if (documents.length > 1) break
  }
  return misnested ?? documents
}

/** Reads one document of YAML 1.2 (core schema). With problems there is no tree; an empty file is an empty mapping. */
export function readYaml(file: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  const start: SourcePosition = { file, line: 1, column: 1 }
  if (Buffer.byteLength(text) > POLICY_LIMITS.documentBytesMax) return { problems: [{ at: start, message: `the file is larger than ${POLICY_LIMITS.documentBytesMax} bytes.` }] }
  const lines = new LineCounter()
  const place = (offset: number | undefined): SourcePosition => {
    const { line, col } = lines.linePos(offset ?? 0)
    return { file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  const documents = parse(text, lines)
  if ('message' in documents) return { problems: [{ at: place(documents.offset), message: documents.message }] }
  const [document, another] = documents
  const problems: Problem[] = (document?.errors ?? []).slice(0, SYNTAX_PROBLEMS_MAX).map((e) => ({ at: place(e.pos[0]), message: `not valid YAML: ${printable((e.message.split('\n')[0] ?? '').replace(/\.$/, ''), MESSAGE_CHARS_MAX)}.` }))
  if (another !== undefined) problems.push({ at: place(another.range?.[0]), message: 'not valid YAML: a file has one document, and here another begins.' })
  if (problems.length > 0) return { problems }
  const report = (node: Node, message: string, fix: string): undefined => {
    if (problems.length < SYNTAX_PROBLEMS_MAX) problems.push({ at: place(node.range?.[0]), message, fix })
    return undefined
  }

  /** Whether a key or value is written with more than its text. */
  function decorated(node: Node): boolean {
    if (isAlias(node)) report(node, 'aliases (*name) are not accepted.', 'Write the value out.')
    else if (node.anchor !== undefined) report(node, 'anchors (&name) are not accepted.', 'Write the value out.')
    // A tag would make another value of what is written: !!binary nothing, !!set a mapping.
    else if (node.tag !== undefined) report(node, 'tags (!name) are not accepted.', 'Write a plain value.')
    else return false
    return true
  }

  function convert(node: unknown, depth: number): SourceNode | undefined {
    if (node === null || node === undefined) return { kind: 'scalar', value: null, text: '', at: start }
    const yaml = node as Node
    if (depth > DEPTH_MAX) return report(yaml, `nested more than ${DEPTH_MAX} deep.`, 'Write it flatter.')
    if (decorated(yaml)) return undefined
    const at = place(yaml.range?.[0])
    if (isScalar(yaml)) {
      const { value } = yaml
      const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
      return { kind: 'scalar', value: plain, text: yaml.source ?? String(plain ?? ''), at }
    }
    if (isSeq(yaml)) return { kind: 'list', items: yaml.items.map((item) => convert(item, depth + 1)).filter((item) => item !== undefined), at }
    if (isMap(yaml)) {
      const keys = new Set<string>()
      return { kind: 'map', entries: yaml.items.map((pair) => entry(pair, depth, yaml, keys)).filter((each) => each !== undefined), at }
    }
    return report(yaml, 'this is not plain data.', 'Write a mapping, a list or a value.')
  }

  function entry(pair: Pair, depth: number, owner: Node, keys: Set<string>): MapEntry | undefined {
    const { key } = pair
    if (isScalar(key) && decorated(key)) return undefined
    if (!isScalar(key)) return report(owner, 'a key must be plain text.', 'Write key: value.')
    const name = key.source ?? String(key.value)
    if (keys.has(name)) return report(key, `not valid YAML: the key "${printable(name)}" is there already.`, 'Write each key once.')
    keys.add(name)
    const value = convert(pair.value, depth + 1)
    return value === undefined ? undefined : { key: name, keyAt: place(key.range?.[0]), value: pair.value === null ? { ...value, at: place(key.range?.[1]) } : value }
  }

  const contents = document?.contents ?? null
  const tree: SourceNode | undefined = contents === null ? { kind: 'map', entries: [], at: start } : convert(contents, 0)
  return problems.length > 0 || tree === undefined ? { problems } : { tree, problems: [] }
}
