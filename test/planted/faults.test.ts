// That the faults follow the code is seen at once, not only when they are planted.

import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { FAULTS, type Edit } from './faults.ts'

const ROOT = path.join(import.meta.dirname, '../..')

/** Edits are made one after the other. */
function edited(edits: readonly Edit[]): void {
  const texts = new Map<string, string>()
  for (const { file, find, replace } of edits) {
    const text = texts.get(file) ?? readFileSync(path.join(ROOT, file), 'utf8')
    expect(text.split(find), `${find} in ${file}`).toHaveLength(2)
    texts.set(file, text.replace(find, () => replace))
  }
}

test.each(FAULTS.map((fault) => [fault.id, fault] as const))('%s: each text that it replaces is there once, and what must catch it is there', (_, fault) => {
  edited(fault.edits)
  expect(fault.edits.every(({ find, replace }) => find !== replace)).toBe(true)
  expect(fault.cases.length + (fault.tests?.length ?? 0)).toBeGreaterThan(0)
  for (const { file } of fault.tests ?? []) expect(existsSync(path.join(ROOT, file)), file).toBe(true)
})

test('no fault is there twice', () => {
  expect(new Set(FAULTS.map(({ id }) => id)).size).toBe(FAULTS.length)
})
