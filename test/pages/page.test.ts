// The runner of pages: what it takes for a difference, and what not.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { difference, readPage, runPage } from './page.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-page-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function told(...lines: readonly string[]): Promise<string | undefined> {
  const file = path.join(folder, 'page.md')
  writeFileSync(file, ['# A page', '', '```console', ...lines, '```', ''].join('\n'))
  const steps = readPage(path.relative(path.resolve(import.meta.dirname, '../..'), file))
  return difference(steps, await runPage(steps, { folder }))
}

test('what is printed as shown is no difference', async () => {
  expect(await told('$ echo one; echo two', 'one', 'two', '$ true')).toBeUndefined()
})

test('another line, a line more, a line less and another exit code are', async () => {
  expect(await told('$ echo one', 'two')).toContain('is not what the page shows')
  expect(await told('$ echo one; echo two', 'one')).toContain('is not what the page shows')
  expect(await told('$ echo one', 'one', 'two')).toContain('is not what the page shows')
  expect(await told('$ false')).toContain('[exit 1] and not 0')
  expect(await told('$ true', '[exit 1]')).toContain('[exit 0] and not 1')
  expect(await told('$ echo said; false', 'said', '[exit 1]')).toBeUndefined()
})

test('after a command that fails nothing more is run', async () => {
  expect(await told('$ exit-nothing', '…', '$ echo on', 'on')).toContain('[exit 127]')
})

test('… is anything within a line, and alone any lines; nothing else is', async () => {
  expect(await told('$ echo a b c; seq 5; echo z', 'a … c', '…', 'z')).toBeUndefined()
  expect(await told('$ echo a.c', 'a\\.c')).toContain('is not what')
  expect(await told('$ echo abc', 'a.c')).toContain('is not what')
  expect(await told('$ echo a b', 'a … c')).toContain('is not what')
})

test('times, serial numbers and milliseconds are not compared, words beside them are', async () => {
  expect(await told('$ echo 2026-11-28T07:00:00.123Z 64afb655b4da3a344e08f18ee9be06a9 in 3.25 ms', '2025-01-01T00:00:00Z 00000000000000000000000000000000 in 4 ms')).toBeUndefined()
  expect(await told('$ echo 2026-11-28T07:00:00.123Z late', '2025-01-01T00:00:00Z early')).toContain('is not what')
})

test('the session is one shell: variables, folders, here-documents and background jobs go on', async () => {
  expect(await told('$ X=1; mkdir d; cd d', "$ cat > f <<'END'", 'one', 'two $X', 'END', '$ cat f; echo $X', 'one', 'two $X', '1', '$ sleep 100 &', '$ jobs -r | wc -l', '1', '$ printf %s \\', 'joined', 'joined')).toBeUndefined()
})

test('a page without a command is a difference, and so is a section that is not there', async () => {
  expect(await told('nothing here')).toBe('0 of 0 commands were run')
  expect(readPage('README.md', 'There is no such section')).toEqual([])
})

test('the program is at hand by its name, and as the README calls it', async () => {
  expect(await told('$ sallyport --version', '…', '$ npx sallyport --version', '…')).toBeUndefined()
})

describe('a test that is over before its page is, as one that takes too long', () => {
  let left = 0
  let page: Promise<string | undefined>

  test('ends', async () => {
    page = told('$ sleep 600 & echo $! > shell.pid; wait').catch((error: unknown) => (error instanceof Error ? error.message : undefined))
    const file = path.join(folder, 'shell.pid')
    while (!existsSync(file) || readFileSync(file, 'utf8') === '') await turn()
    left = Number(readFileSync(file, 'utf8'))
    expect(left).toBeGreaterThan(1)
  })

  test('takes the shell along, and what runs in it', async () => {
    expect(await page).toBe('the shell of the page ended')
    // Killed with it, and gone when it has been waited for by whoever inherits it.
    while (isThere(left)) await turn()
    expect(isThere(left)).toBe(false)
  })
})

/** A process that has ended and was waited for by nobody is none. */
function isThere(pid: number): boolean {
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ''
  return stat !== '' && stat.split(') ')[1]?.[0] !== 'Z'
}
