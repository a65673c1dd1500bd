// JSON as this API takes it: what two readers could read differently, or what costs more than it says, is refused before anything is built
// of it. One pass over the text, without recursion. What is left is read by JSON.parse.

import { HTTP_JSON_LIMITS } from '../http-limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Keys by which an object that is copied carelessly gets another prototype. */
const POISON: ReadonlySet<string> = new Set(['__proto__'])

/**
 * The value of a body. Reason: request-invalid, for what is not JSON in UTF-8, names a key twice in one object, has a lone surrogate in a
 * string, is nested deeper or has more keys than anything that this API takes, or names `__proto__` or `constructor.prototype`.
 */
export function parseStrictJson(bytes: Uint8Array): Decision<unknown> {
  const text = decoded(bytes)
  if (text === undefined) return deny('request-invalid', 'the body is not UTF-8')
  const problem = problemIn(text)
  if (problem !== undefined) return deny('request-invalid', problem)
  try {
    return allow(JSON.parse(text))
  } catch {
    return deny('request-invalid', 'the body is not JSON')
  }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}

/** An object that is open: its keys, and the one whose value is read. Of an array there are none. */
interface Open {
  readonly keys: Set<string> | undefined
  isPrototypeOfConstructor: boolean
  last: string
}

function problemIn(text: string): string | undefined {
  const open: Open[] = []
  let keys = 0
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (letter === '{' || letter === '[') {
      if (open.length >= HTTP_JSON_LIMITS.depthMax) return `the body is nested deeper than ${HTTP_JSON_LIMITS.depthMax}`
      open.push({ keys: letter === '{' ? new Set() : undefined, isPrototypeOfConstructor: letter === '{' && open.at(-1)?.last === 'constructor', last: '' })
    } else if (letter === '}' || letter === ']') {
      open.pop()
    } else if (letter === '"') {
      const end = endOfString(text, at)
      if (end === undefined) return 'the body is not JSON'
      const found = text.slice(at, end + 1)
      at += found.length - 1
      const isWritten = found.includes('\\')
      const value = isWritten ? textOf(found) : found.slice(1, -1)
      if (value === undefined) return 'the body is not JSON'
      if (!value.isWellFormed()) return 'a text has a lone surrogate'
      const object = open.at(-1)
      if (object?.keys === undefined || !isKey(text, at + 1)) continue
      if (++keys > HTTP_JSON_LIMITS.keysMax) return `the body has more than ${HTTP_JSON_LIMITS.keysMax} keys`
      if (object.keys.has(value)) return 'a key stands twice in one object'
      if (POISON.has(value) || (object.isPrototypeOfConstructor && value === 'prototype')) return 'a key that no object has'
      object.keys.add(value)
      object.last = value
    }
  }
  return undefined
}

/** Where the string ends that begins here: at a quotation mark before which an even number of backslashes stands. Each is looked at once. */
function endOfString(text: string, from: number): number | undefined {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let first = at
    while (text[first - 1] === '\\') first--
    if ((at - first) % 2 === 0) return at
  }
  return undefined
}

/** What follows a key is a colon. */
function isKey(text: string, from: number): boolean {
  let at = from
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++
  return text[at] === ':'
}

function textOf(written: string): string | undefined {
  try {
    return String(JSON.parse(written))
  } catch {
    return undefined
  }
}
