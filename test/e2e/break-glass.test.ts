// A17: nobody is locked out for ever. Whoever has the machine gets back in: when the admin's certificate has expired at three in the
// morning, when it was revoked, and when the first operator is no admin any more; with a running server and without one.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { Program, type Answer } from './program.ts'

let program: Program
const json = (answer: Answer): Record<string, unknown> => JSON.parse(answer.stdout) as Record<string, unknown>
/** What only an admin may. */
const asAdmin = (name: string): Answer => program.run('operator', 'add', name, '--role', 'viewer')

/** The server looks at its own certificates again. */
async function hangUp(): Promise<void> {
  const before = program.output.split('"msg":"reloaded').length
  process.kill(program.endpoints.pid, 'SIGHUP')
  await expect.poll(() => program.output.split('"msg":"reloaded').length, { timeout: 20_000, interval: 50 }).toBe(before + 1)
}

describe('A17: another admin has shut the machine out', () => {
  beforeEach(async () => {
    program = new Program()
    await program.serve()
    expect(program.run('operator', 'add', 'bob', '--role', 'admin').status).toBe(EXIT.ok)
  })
  afterEach(() => program[Symbol.asyncDispose]())
  const asBob = (...args: readonly string[]): Answer => program.runWith({ SALLYPORT_OPERATOR: path.join(program.home, 'operators/bob') }, ...args)

  test('its certificate is revoked: a SIGHUP gives the machine a new one, and its commands work', async () => {
    const { items: operators } = json(program.run('operator', 'list', '--json')) as { items: readonly { name: string; certificates: readonly { serial: string }[] }[] }
    const own = operators.find(({ name }) => name === 'operator')?.certificates[0]?.serial ?? ''
    expect(asBob('cert', 'revoke', '--serial', own, '--reason', 'superseded', '--yes').status).toBe(EXIT.ok)
    expect(asAdmin('x1').status).toBe(EXIT.refused)
    await hangUp()
    expect(asAdmin('x1').status).toBe(EXIT.ok)
  })

  test('it is no admin any more, or no operator: without the server the machine asks nobody, and makes another admin', async () => {
    expect(asBob('operator', 'role', 'operator', 'viewer').status).toBe(EXIT.ok)
    expect(asAdmin('x2').stderr).toContain('The role of this operator is not enough')
    expect(asBob('operator', 'revoke', 'operator', '--yes').status).toBe(EXIT.ok)
    expect(program.run('device', 'list').status).toBe(EXIT.refused)
    await program.stop()
    expect(program.run('operator', 'add', 'rescue', '--role', 'admin').status).toBe(EXIT.ok)
    expect(program.run('operator', 'revoke', 'bob', '--yes').status).toBe(EXIT.ok)
    await program.serve()
    const rescue = { SALLYPORT_OPERATOR: path.join(program.home, 'operators/rescue') }
    expect(program.runWith(rescue, 'operator', 'add', 'x3', '--role', 'viewer').status).toBe(EXIT.ok)
    expect(asBob('device', 'list').status).toBe(EXIT.refused)
  })
})

const LIBRARY = process.platform === 'linux' ? readdirSync('/usr/lib').flatMap((folder) => {
  try {
    return readdirSync(path.join('/usr/lib', folder, 'faketime')).filter((name) => name === 'libfaketimeMT.so.1').map((name) => path.join('/usr/lib', folder, 'faketime', name))
  } catch {
    return []
  }
})[0] : undefined

describe.skipIf(LIBRARY === undefined)('A17: the certificate has expired (needs libfaketime)', () => {
  let setClock: (offset: string) => void
  let folder: string
  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-clock-'))
    const file = path.join(folder, 'clock')
    setClock = (offset) => writeFileSync(file, offset)
    setClock('+0')
    program = new Program({ LD_PRELOAD: LIBRARY ?? '', FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_RESET: '1' })
    await program.serve()
  })
  afterEach(async () => {
    await program[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('with a running server: refused, and after a SIGHUP served', async () => {
    setClock('+400d')
    expect([EXIT.refused, EXIT.unreachable]).toContain(asAdmin('y1').status)
    await hangUp()
    expect(asAdmin('y1').status).toBe(EXIT.ok)
  })

  test('without one: the machine asks nobody, and the next start has a new certificate', async () => {
    await program.stop()
    setClock('+400d')
    expect(asAdmin('y2').status).toBe(EXIT.ok)
    await program.serve()
    expect(asAdmin('y3').status).toBe(EXIT.ok)
  })
})
