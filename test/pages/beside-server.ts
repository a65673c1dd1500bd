// Pages whose commands are run, as they are written, beside a server that was started for the page.

import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

/** Dozens of programs are started one after the other, on a machine that may have other work. */
const PAGE_MS = 300_000

export interface BesideServer {
  /** Programs that the page starts, and the names under which people get them. */
  readonly tools: readonly string[]
  readonly needs: string
  /** What is set in the shell beside or in place of SALLYPORT_HOME. */
  readonly environment?: (program: Program) => Readonly<Record<string, string>>
  /** The page says itself where the home is: in ./acme. */
  readonly inAcme?: true
}

export function pageBesideServer(page: string, { tools, needs, environment, inAcme }: BesideServer): void {
  describe.skipIf(!tools.every((tool) => has(tool)))(`${page} (needs ${needs})`, () => {
    let program: Program
    beforeAll(async () => {
      program = new Program()
      await program.serve()
      if (inAcme === true) symlinkSync(program.home, path.join(program.home, 'acme'))
    })
    afterAll(() => program[Symbol.asyncDispose]())

    test('its commands do what it says', async () => {
      const steps = readPage(page)
      const set = { ...(inAcme === true ? {} : { SALLYPORT_HOME: program.home }), ...environment?.(program) }
      expect(difference(steps, await runPage(steps, { folder: program.home, environment: set }))).toBeUndefined()
    }, PAGE_MS)
  })
}
