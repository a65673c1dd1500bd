// The story of a pack says what stopped the attacker only where something did.

import { expect, test } from 'vitest'
import type { CaseId } from '../../../device-sim/attacks/catalogue.ts'
import { casesOfPack, PACK_NAMES } from '../../../device-sim/attacks/packs.ts'
import type { CaseResult } from '../../../device-sim/attacks/run.ts'
import { packListText, packText } from '../../../device-sim/report/pack-text.ts'

const paper = { columns: 200, colour: (_: string, text: string): string => text }
const real = { server: ['subject CN=server', 'serial number 01'], device: ['subject CN=sensor-7', 'serial number 02'] }
const result = (id: CaseId, verdict: CaseResult['verdict'], notes: readonly string[] = []): CaseResult => ({ case: id, title: `title of ${id}`, expected: 'refused', seen: 'refused', reasons: ['device-unknown'], verdict, notes, durationMs: 1 })
const all = (verdict: CaseResult['verdict']): readonly CaseResult[] => casesOfPack('phishing').map((id) => result(id, verdict))

test('every step names what stopped him when all its cases are ok', () => {
  const text = packText('phishing', real, all('ok'), paper)
  expect(text).toContain('phishing: somebody who is handed secrets, or steals them\nhe has     a false server')
  expect(text).toContain('a device shows   subject CN=sensor-7\n                 serial number 02\n')
  expect(text).toContain('   T36  ok  title of T36\n        seen: refused; in the audit log: device-unknown\n   → It is public.')
  expect(text).not.toMatch(/not stopped|Not all/)
})

test('a step whose case failed says that he was not stopped, and by which case it is known', () => {
  const results = all('ok').map((each) => (each.case === 'T10' ? result('T10', 'FAILED') : each))
  const text = packText('phishing', real, results, paper)
  expect(text).toContain('   → This has not stopped him here: T10.\n')
  expect(text).not.toContain('One word of the operator cuts him off')
  expect(text).toContain('→ It is public.')
})

test('a step of which something was not run, or not finished, claims nothing', () => {
  const text = packText('phishing', real, [result('T36', 'not run', ['this target has no second CA'])], paper)
  expect(text).toContain('   T36  not run  title of T36\n        this target has no second CA\n   → Not all of it was tried here: T36.\n')
  expect(text).toContain('   T09  was not finished\n')
  expect(text).not.toContain('One word of the operator cuts him off')
})

test('where nothing is shown, nothing is said of it', () => expect(packText('on-path', { server: [], device: [] }, [], paper)).toContain('the server shows nothing\n'))

test('the list names all packs', async () => {
  await expect(packListText()).toMatchFileSnapshot('../golden/packs.txt')
  expect(PACK_NAMES).toEqual(['on-path', 'spoofing', 'credential-stuffing', 'brute-force', 'phishing', 'malicious-requests'])
})
