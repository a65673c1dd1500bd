// sallyport console: a link where a server runs, and a sentence where none does.

import { describe, expect, test } from 'vitest'
import { Program } from '../e2e/program.ts'

describe('sallyport console', () => {
  test('says that no server runs, and how one is started', async () => {
    await using program = new Program()
    expect(program.run('ca', 'init').status).toBe(0)
    expect(program.run('console')).toMatchObject({ status: 5, stdout: '', stderr: expect.stringContaining('fix: Start it: sallyport serve.') })
  })

  test('prints a link, each time another, for people and for programs', async () => {
    await using program = new Program()
    await program.serve()
    const link = (text: string): string | undefined => /https:\/\/127\.0\.0\.1:\d+\/console\/#link=[A-Za-z0-9_-]{43}/.exec(text)?.[0]
    const [started, first] = [link(program.output), link(program.run('console').stdout)]
    const { url } = program.json('console') as { readonly url: string }
    expect(new Set([started, first, link(url)]).size).toBe(3)
    expect([started, first]).not.toContain(undefined)
  })
})
