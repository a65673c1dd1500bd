// The first file that runs: it finds a runtime that can read the rest, hands signals and exit codes through, and says in one
// line what is missing where there is none.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { LAUNCH } from '../e2e/program.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { sallyport, temporary } from './shell.ts'

const MAJOR_MIN = 24
/** A Node of this machine that is too old, when there is one. */
const old = spawnSync('sh', ['-c', 'which -a node'], { encoding: 'utf8' }).stdout.split('\n').find((node) => {
  if (node === '') return false
  const { stdout } = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' })
  return Number(stdout.split('.')[0]) < MAJOR_MIN
})

test('a good runtime starts without a warning', async () => {
  using place = temporary()
  const { status, stderr } = await sallyport(['ca', 'init', '--home', place.folder])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

describe.skipIf(old === undefined)('with a Node older than 24 (needs one on the PATH)', () => {
  const runtime = old ?? ''

  test('the bundled runtime takes over, with arguments, output and exit code', async () => {
    const version = await sallyport(['--version'], { runtime })
    expect(version).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect((await sallyport(['nonsense'], { runtime })).status).toBe(EXIT.usage)
  })

  test('Ctrl-C in a terminal, which reaches both processes, drains and exits 0', async () => {
    using place = temporary()
    // A process group of its own is what a terminal signals.
    const server = spawn(runtime, [LAUNCH, 'serve', '--ports', 'auto', '--home', place.folder], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const exited = once(server, 'exit')
    let log = ''
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    server.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('"ready"')) resolve()
    })
    await ready
    process.kill(-(server.pid ?? 0), 'SIGINT')
    expect(await exited).toEqual([0, null])
    expect(existsSync(place.at('data/endpoints.json'))).toBe(false)
  })

  test('without a bundled runtime it says what is wrong and what to do, and exits 78', () => {
    using place = temporary()
    mkdirSync(place.at('src'))
    for (const name of ['launch.cjs', 'require-runtime.cjs']) copyFileSync(path.join(path.dirname(LAUNCH), name), place.at(`src/${name}`))
    for (const name of ['launch.cjs', 'require-runtime.cjs']) {
      const { status, stdout, stderr } = spawnSync(runtime, [place.at(`src/${name}`), 'serve'], { encoding: 'utf8' })
      expect({ status, stdout }).toEqual({ status: EXIT.configuration, stdout: '' })
      expect(stderr).toMatch(/^sallyport: Node \d+\.\d+\.\d+ is too old: Node 24 or newer is needed\.\nfix: .*macOS/)
    }
  })
})
