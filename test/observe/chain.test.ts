import { assert, dictionary, jsonValue, nat, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainLine, EMPTY_HEAD, followLine, type ChainHead } from '../../src/observe/chain.ts'

/** A chain of this many lines, and the head after each. */
function chain(count: number): { readonly lines: string[]; readonly heads: ChainHead[] } {
  const lines: string[] = []
  const heads: ChainHead[] = [EMPTY_HEAD]
  for (let i = 0; i < count; i++) {
    const made = chainLine({ event: { action: `a${i}` }, message: `"hash":"${'0'.repeat(64)}"}}` }, heads.at(-1)!, i % 3 === 0 ? i + 1 : undefined)
    lines.push(made.line)
    heads.push(made.head)
  }
  return { lines, heads }
}

/** The number (from 1) of the first line that does not follow. */
function firstBad(lines: readonly string[]): number | undefined {
  let head = EMPTY_HEAD
  for (const [i, line] of lines.entries()) {
    const followed = followLine(line, head)
    if ('problem' in followed) return i + 1
    head = followed.head
  }
  return undefined
}

describe('a chain', () => {
  test('follows from its beginning to its end, and hands back where its events came from', () => {
    const { lines, heads } = chain(9)
    let head = EMPTY_HEAD
    for (const [i, line] of lines.entries()) {
      const followed = followLine(line, head)
      if ('problem' in followed) throw new Error(followed.problem)
      expect(followed).toEqual({ head: heads[i + 1], outbox: i % 3 === 0 ? i + 1 : undefined })
      head = followed.head
    }
  })
  test('is one JSON object a line, whatever is in its records', () => {
    assert(property(dictionary(string().filter((k) => k !== 'sallyport' && k !== '__proto__'), jsonValue()), (record) => {
      const { line, head } = chainLine(record, EMPTY_HEAD, undefined)
      expect(line).not.toContain('\n')
      expect(JSON.parse(line)).toMatchObject({ sallyport: { seq: 1, hash: head.hash } })
      expect(followLine(line, EMPTY_HEAD)).toEqual({ head, outbox: undefined })
    }))
  })
})

describe('every tampering is found at its line (E32)', () => {
  const { lines } = chain(12)
  const at = nat({ max: lines.length - 1 })

  test('a changed character', () => {
    assert(property(at, nat(), string({ minLength: 1, maxLength: 1 }), (i, place, character) => {
      const line = lines[i]!
      const where = place % line.length
      if (line[where] === character) return
      const tampered = lines.with(i, line.slice(0, where) + character + line.slice(where + 1))
      expect(firstBad(tampered)).toBe(i + 1)
    }))
  })
  test('a missing line, unless it was the last', () => {
    for (let i = 0; i < lines.length - 1; i++) expect(firstBad(lines.toSpliced(i, 1))).toBe(i + 1)
    expect(firstBad(lines.slice(0, -1))).toBeUndefined()
  })
  test('a repeated line', () => {
    for (let i = 0; i < lines.length; i++) expect(firstBad(lines.toSpliced(i, 0, lines[i]!))).toBe(i + 2)
  })
  test('two lines that changed places', () => {
    assert(property(at, at, (i, j) => {
      if (i === j) return
      const moved = lines.with(i, lines[j]!).with(j, lines[i]!)
      expect(firstBad(moved)).toBe(Math.min(i, j) + 1)
    }))
  })
  test('a line that was made anew, with a hash that fits it: the next one does not follow', () => {
    const { heads } = chain(12)
    for (let i = 0; i < lines.length - 1; i++) {
      const forged = chainLine({ event: { action: 'forged' } }, heads[i]!, undefined).line
      expect(firstBad(lines.with(i, forged))).toBe(i + 2)
      expect(firstBad(lines.toSpliced(i, 0, forged))).toBe(i + 2)
    }
  })
  test.each([['', 'not a record of this log'], ['{}', 'not a record of this log'], ['null', 'not a record of this log']])('%j is %s', (line, problem) => {
    expect(followLine(line, EMPTY_HEAD)).toEqual({ problem })
  })
})
