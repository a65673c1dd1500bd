// The program with its signer: who holds what, what happens when the signer is lost or its key cannot be opened, and that the
// data plane does not notice.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { openedBy, signerOf } from './processes.ts'
import { Program } from './program.ts'

const LINUX = process.platform === 'linux'

test.skipIf(!LINUX)('a signer that hangs or is killed costs enrollments a 503, and nothing else; a kill -9 of the server leaves no signer', async () => {
  await using program = new Program({ SALLYPORT_SECRET_OF_THE_SERVER: 'x' })
  await program.serve()
  const { pid } = program.endpoints
  const signer = signerOf(pid)
  expect(readFileSync(`/proc/${signer}/environ`, 'utf8')).not.toContain('SALLYPORT')
  expect(openedBy(signer).filter((file) => file.includes(program.home)).map((file) => path.basename(file)).toSorted()).toEqual(['registry.db', 'registry.db-shm', 'registry.db-wal'])

  expect(program.run('device', 'add', 'sensor-1').status).toBe(0)
  const bundle = (): ReturnType<Program['run']> => program.run('device', 'bundle', 'sensor-1', '--out', path.join(program.home, 'sensor-1'))
  process.kill(signer, 'SIGSTOP')
  const refused = bundle()
  expect(refused.status).not.toBe(0)
  expect(refused.stderr).toContain('Nothing can be signed now')
  expect(refused.stderr).toContain('Ask again in a few seconds')
  // The policy, the registry and the sessions are served all the while.
  expect(program.json('device', 'show', 'sensor-1')).toMatchObject({ id: 'sensor-1', state: 'active' })

  const answered = await untilIssued(bundle)
  expect(answered.stdout + answered.stderr).toContain('sensor-1')
  const after = signerOf(pid)
  expect(after).not.toBe(signer)
  expect(program.json('cert', 'journal', '--state', 'planned')).toMatchObject({ entries: [{ device: 'sensor-1', journal: 'planned', state: 'planned' }] })
  await program.stop('SIGKILL')
  await gone(after)
}, 90_000)

test.skipIf(!LINUX)('a server whose key cannot be opened is not ready, says why, and leaves nothing running', async () => {
  await using program = new Program()
  await program.serve()
  await program.stop()
  writeFileSync(path.join(program.home, 'certs/local/passphrase'), 'another\n', { mode: 0o600 })
  await expect(program.serve()).rejects.toThrow(/The passphrase does not open .*issuing\.key/)
}, 60_000)

async function untilIssued(ask: () => ReturnType<Program['run']>): Promise<ReturnType<Program['run']>> {
  for (;;) {
    const answer = ask()
    if (answer.status === 0) return answer
    expect(answer.stderr).toContain('Nothing can be signed now')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
