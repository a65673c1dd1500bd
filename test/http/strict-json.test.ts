// JSON that two readers could read differently, and JSON that costs more than it says.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HTTP_JSON_LIMITS } from '../../src/http-limits.ts'
import { parseStrictJson } from '../../src/http/strict-json.ts'

const parsed = (text: string): ReturnType<typeof parseStrictJson> => parseStrictJson(Buffer.from(text, 'utf8'))
const refused = (text: string): boolean => !parsed(text).allow

test('what JSON.stringify writes is read as JSON.parse reads it', () => {
  const noPoison = (value: unknown): boolean => !/"(?:__proto__|prototype)"/.test(JSON.stringify(value))
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }).filter(noPoison), (value) => {
    const text = JSON.stringify(value, undefined, 1)
    expect(parsed(text)).toEqual({ allow: true, value: JSON.parse(text) })
  }))
})

test('whatever the bytes are, it answers, and reads nothing that JSON.parse does not', () => {
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', 'a', '1', ' ') }).map((t) => new TextEncoder().encode(t))), (bytes) => {
    const decision = parseStrictJson(bytes)
    expect(decision.allow ? JSON.parse(new TextDecoder().decode(bytes)) : 'refused').toEqual(decision.allow ? decision.value : 'refused')
  }), { numRuns: 2_000 })
})

describe('A10, A11: each beside the nearest that is read', () => {
  test.each([
    ['a key twice', '{"id":"a","id":"b"}', '{"id":"a","ID":"b"}'],
    ['a key twice, once in escapes', String.raw`{"id":"a","\u0069d":"b"}`, String.raw`{"id":"a","\u0069e":"b"}`],
    ['a key twice in an object within', '[{"a":{"b":1,"b":2}}]', '[{"a":{"b":1},"b":2}]'],
    ['a key twice, after a list', '{"a":[1],"b":2,"a":3}', '{"a":[1],"b":2,"c":3}'],
    ['a lone surrogate', String.raw`["\ud800"]`, String.raw`["\ud83d\ude00"]`],
    ['a lone surrogate in a key', String.raw`{"\udc00":1}`, String.raw`{"\ud83d\ude00":1}`],
    ['__proto__', '{"__proto__":{}}', '{"a":"__proto__"}'],
    ['__proto__ in escapes', String.raw`{"\u005f_proto__":{}}`, '{"_proto__":{}}'],
    ['constructor.prototype', '{"constructor":{"prototype":{}}}', '{"constructor":{"a":{}},"prototype":{}}'],
    ['a string without an end', String.raw`["a\"]`, String.raw`["a\\"]`],
    ['NaN', '[NaN]', '[null]'],
    ['a byte order mark', '\uFEFF{}', '{}'],
    ['nothing', '', 'null'],
    ['a comment', '{}//', '{}'],
  ])('%s', (_, wrong, right) => {
    expect([refused(wrong), refused(right)]).toEqual([true, false])
  })

  test('bytes that are not UTF-8', () => {
    expect(parseStrictJson(Uint8Array.of(0x22, 0xc0, 0xaf, 0x22)).allow).toBe(false)
    expect(parseStrictJson(Uint8Array.of(0x22, 0xc3, 0xa4, 0x22))).toEqual({ allow: true, value: 'ä' })
  })

  test('as deep as allowed, and one deeper', () => {
    const deep = (n: number): string => '['.repeat(n) + ']'.repeat(n)
    expect([refused(deep(HTTP_JSON_LIMITS.depthMax)), refused(deep(HTTP_JSON_LIMITS.depthMax + 1))]).toEqual([false, true])
  })

  test('as many keys as allowed, and one more', () => {
    const keys = (n: number): string => `{${Array.from({ length: n }, (_, i) => `"${i}":0`).join()}}`
    expect([refused(keys(HTTP_JSON_LIMITS.keysMax)), refused(keys(HTTP_JSON_LIMITS.keysMax + 1))]).toEqual([false, true])
  })
})

test.each([
  ['a text of 16 MiB', `["${'a'.repeat(16 * 1024 * 1024)}"]`],
  ['8 MiB of backslashes', `["${'\\\\'.repeat(4 * 1024 * 1024)}"]`],
  ['a million keys', `{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":0`).join()}}`],
  ['a million brackets', '['.repeat(1_000_000)],
  ['4 MiB of quotation marks that are escaped', `["${'\\"'.repeat(2 * 1024 * 1024)}"]`],
])('%s costs time in proportion', (_, text) => {
  const bytes = Buffer.from(text)
  const started = performance.now()
  parseStrictJson(bytes)
  expect(performance.now() - started).toBeLessThan(3_000)
})
