import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { leaveBehind } from '../../../device-sim/report/left-behind.ts'
import { temporary } from '../../cli/shell.ts'

const REPORT = { page: '<p>', json: '{}' }

test('page and JSON lie beside each other, named after the scenario, and it is said where', async () => {
  using folder = temporary()
  const said = await leaveBehind('Revoke under load', REPORT, folder.at('reports'))
  expect(said).toBe(`\nreport  ${folder.at('reports/revoke-under-load.html')}, and revoke-under-load.json beside it\n`)
  expect([readFileSync(folder.at('reports/revoke-under-load.html'), 'utf8'), readFileSync(folder.at('reports/revoke-under-load.json'), 'utf8')]).toEqual(['<p>', '{}'])
})

test.each([['../../etc/passwd', 'etc-passwd'], ['…', 'scenario'], ['x'.repeat(500), 'x'.repeat(64)]])('no name of a scenario leads out of the folder (%j)', async (name, file) => {
  using folder = temporary()
  await leaveBehind(name, REPORT, folder.at('reports'))
  expect(readFileSync(folder.at(`reports/${file}.html`), 'utf8')).toBe('<p>')
})

test('where nothing can be written the result stands all the same', async () => {
  using folder = temporary()
  mkdirSync(folder.at('a'))
  writeFileSync(folder.at('a/reports'), 'a file')
  expect(await leaveBehind('x', REPORT, folder.at('a/reports'))).toMatch(/^\nno report could be left in .*reports \(EEXIST\): --html FILE says where\n$/)
})
