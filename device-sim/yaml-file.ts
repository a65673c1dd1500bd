// A small YAML file that a person wrote → a checked value; what is wrong with it is said with file, line, column and, where one
// word is near another, the suggestion. What the file means is the caller's schema.

import { readFile } from 'node:fs/promises'
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import type { z } from 'zod'
import { closest } from './case-choice.ts'
import { SimError } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'
import { oneLine } from './report/table.ts'

/** Where a value, or the key of a mapping, stands: as in the path of a zod issue. */
export type YamlPath = readonly PropertyKey[]

export interface YamlFile<T> {
  readonly value: T
  /** A mistake that the schema cannot see, at this place. */
  wrong(path: YamlPath, message: string): SimError
}

/** Reads one document. `keys`: the words that may stand before a colon. Failure: 'usage', all that the schema finds wrong, a line each. */
export async function readYamlFile<T>(file: string, schema: z.ZodType<T>, keys: readonly string[]): Promise<YamlFile<T>> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SimError('usage', `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`)
  })
  if (Buffer.byteLength(text) > SIM_LIMITS.yamlBytesMax) throw new SimError('usage', `${file} is larger than ${SIM_LIMITS.yamlBytesMax} bytes.`)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: false })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`
  }
  const [broken] = document.errors
  if (broken !== undefined) throw new SimError('usage', `${at(broken.pos[0])}: not valid YAML: ${oneLine(broken.message)}`)
  const parsed = schema.safeParse(plain(document, file))
  const wrong = (path: YamlPath, message: string): SimError => new SimError('usage', `${at(offsetOf(document, path))}: ${path.length === 0 ? '' : `${named(path)}: `}${message}`)
  if (parsed.success) return { value: parsed.data, wrong }
  const problems = parsed.error.issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [{ offset: offsetOf(document, issue.path), text: wrong(issue.path, issue.message).message }]
    return issue.keys.map((key) => {
      const offset = offsetOf(document, [...issue.path, key], 'key')
      return { offset, text: `${at(offset)}: unknown key ${JSON.stringify(key)}.${suggestion(key, keys)}` }
    })
  })
  throw new SimError('usage', problems.toSorted((a, b) => a.offset - b.offset).map(({ text: told }) => told).join('\n'))
}

/** Without aliases: a file of some lines could say a billion things by them. */
function plain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch {
    throw new SimError('usage', `${file}: aliases (*name) are not accepted; write the value out.`)
  }
}

function suggestion(word: string, known: readonly string[]): string {
  const near = closest(word, known)
  return near === undefined ? ` Known keys: ${known.join(', ')}.` : ` Did you mean ${JSON.stringify(near)}?`
}

const named = (path: YamlPath): string => path.map((step) => (typeof step === 'number' ? `[${step + 1}]` : String(step))).join('.').replaceAll('.[', '[')

/** Where it begins; of what is not there, where it would stand. */
function offsetOf(document: Document, path: YamlPath, what: 'key' | 'value' = 'value'): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const found: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)
    if (depth === path.length && what === 'key') {
      const owner: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
      const key = isMap(owner) ? owner.items.map((pair) => pair.key).find((each) => isScalar(each) && each.value === path.at(-1)) : undefined
      if (isNode(key) && key.range) return key.range[0]
    }
    if (isNode(found) && found.range) return found.range[0]
  }
  return 0
}
