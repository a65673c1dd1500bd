// The reports of a home: what is listed, what is read, and names that try to be paths.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CONSOLE_LIMITS } from '../src/console-limits.ts'
import { openReportsDesk } from '../src/reports.ts'

const RUN = { startedAt: '2026-11-28T02:10:00Z', ok: true }
let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-reports-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const write = (name: string, text = JSON.stringify(RUN)): void => writeFileSync(path.join(folder, name), text)

describe('reports', () => {
  test('are listed, the newest first, and read as they stand in their file', async () => {
    write('old.json')
    write('new.json')
    utimesSync(path.join(folder, 'old.json'), 1_000, 1_000)
    const desk = openReportsDesk(folder)
    expect((await desk.reports()).map(({ name }) => name)).toEqual(['new.json', 'old.json'])
    expect(await desk.report('old.json')).toEqual(RUN)
  })

  test('are none where there is no folder, or no home', async () => {
    expect(await openReportsDesk(path.join(folder, 'nowhere')).reports()).toEqual([])
    expect(await openReportsDesk(undefined).reports()).toEqual([])
    await expect(openReportsDesk(undefined).report('run.json')).rejects.toMatchObject({ code: 'not-found', reason: 'report-not-found' })
  })

  test('are files of JSON in this folder: no other ending, no folder, no link, nothing too large', async () => {
    write('run.json')
    write('run.txt')
    mkdirSync(path.join(folder, 'deep.json'))
    symlinkSync('/etc/passwd', path.join(folder, 'link.json'))
    write('large.json', ' '.repeat(CONSOLE_LIMITS.reportBytesMax + 1))
    expect((await openReportsDesk(folder).reports()).map(({ name }) => name)).toEqual(['run.json'])
    for (const name of ['run.txt', 'deep.json', 'link.json', 'large.json', '../run.json', '/etc/passwd', '', '.', '__proto__']) await expect(openReportsDesk(folder).report(name)).rejects.toMatchObject({ reason: 'report-not-found' })
  })

  test.each(['', 'not JSON', '[]', '1', 'null', '{}', '{"startedAt"'])('that are none are not shown: %s', async (text) => {
    write('odd.json', text)
    await expect(openReportsDesk(folder).report('odd.json')).rejects.toMatchObject({ reason: 'report-not-found' })
  })
})
