// The key of the CA, and the process that holds it, when something is wrong with them (E25): a start is refused in plain words, a server that
// runs goes on without issuing; and what that process may do at all.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENROLL_LIMITS } from '../../src/enrollment-limits.ts'
import { SIGNER_LIMITS } from '../../src/signer-limits.ts'
import { EXIT } from '../../src/vocabulary.ts'
import type { EstReply, Held } from '../faults/enroller.ts'
import { IssuingStage } from '../faults/issuing-stage.ts'
import { commandOf, signerOf } from './processes.ts'
import { has } from './program.ts'

const READY = process.platform === 'linux' && ['curl', 'openssl'].every((tool) => has(tool))
const at = (issuing: IssuingStage, name: string): string => path.join(issuing.stage.home, 'certs/local', name)

describe.skipIf(!READY)('the key of the CA (needs Linux, curl and openssl)', () => {
  test('that others may read, that is cut off, gone, no file, or that the passphrase does not open: the start is refused, says which file and what to do', async () => {
    await using issuing = new IssuingStage()
    await issuing.must('ca', 'init')
    const [key, passphrase] = [at(issuing, 'issuing.key'), at(issuing, 'passphrase')]
    const good = [key, passphrase].map((file) => [file, readFileSync(file)] as const)
    const restore = (): void => good.forEach(([file, bytes]) => {
      rmSync(file, { recursive: true, force: true })
      writeFileSync(file, bytes, { mode: 0o600 })
    })
    const broken: Readonly<Record<string, readonly [() => void, RegExp]>> = {
      'mode 0644': [() => chmodSync(key, 0o644), /The key file .*issuing\.key can be read by others than its owner \(mode 644\)\.[^]*fix: chmod 600 /],
      'cut off': [() => truncateSync(key, 100), /issuing\.key is not a sealed key of this program, or it is damaged\.[^]*fix: Restore it from your backup/],
      'empty': [() => truncateSync(key, 0), /issuing\.key is not a sealed key of this program, or it is damaged\.[^]*fix: /],
      'gone': [() => rmSync(key), /The key file .*issuing\.key cannot be read\.[^]*fix: Restore it from your backup/],
      'a folder in its place': [() => (rmSync(key), mkdirSync(key)), /The key file .*issuing\.key cannot be read\.[^]*fix: /],
      'another passphrase': [() => writeFileSync(passphrase, 'another\n'), /The passphrase does not open .*issuing\.key[^]*fix: Restore certs\/local\/passphrase/],
      'a passphrase for others to read': [() => chmodSync(passphrase, 0o644), /passphrase can be read by others than its owner \(mode 644\)\.[^]*fix: chmod 600 /],
    }
    for (const [what, [spoil, said]] of Object.entries(broken)) {
      spoil()
      expect(await issuing.stage.tryStart(), what).toEqual({ kind: 'ended', code: EXIT.configuration })
      expect(issuing.stage.output, what).toMatch(said)
      restore()
    }
    await issuing.stage.start()
    expect(await issuing.enrolled('sensor')).toHaveProperty('serial')
  }, 120_000)
})

describe.skipIf(!READY)('a server that runs (needs Linux, curl and openssl)', () => {
  let issuing: IssuingStage
  let device: Held
  beforeAll(async () => {
    issuing = new IssuingStage()
    await issuing.stage.start()
    device = await issuing.enrolled('publisher')
  })
  afterAll(() => issuing[Symbol.asyncDispose]())

  /** A request for which nothing can be signed, because of what happens right before it, while a device publishes. */
  async function refused(happens: () => void): Promise<EstReply> {
    const id = await issuing.device('asks')
    const [wish, token] = [await issuing.enroller.wish(id), await issuing.token(id)]
    using publisher = await issuing.publisher(device)
    happens()
    const [answer, published] = await Promise.all([issuing.enroll(wish, token), publisher.publish()])
    expect(published, 'a device goes on publishing').toBe(true)
    expect(answer).toMatchObject({ status: 503, reason: 'issuance-unavailable', retryAfter: String(ENROLL_LIMITS.issuanceRetrySeconds) })
    return answer
  }

  /** The signer that comes after these. */
  async function nextSigner(before: readonly number[]): Promise<number> {
    for (;;) {
      try {
        const signer = signerOf(issuing.stage.pid)
        if (!before.includes(signer)) return signer
      } catch {
        // None runs: the next is waited for.
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async function issuesAgain(): Promise<void> {
    const id = await issuing.device('again')
    const answer = await issuing.enrollAtLast(await issuing.enroller.wish(id), await issuing.token(id))
    expect(answer.held?.device, answer.text).toBe(id)
  }

  test('whose key others may read by now: the next signer does not open it, requests are answered 503, the log says why, and chmod mends it', async () => {
    const key = at(issuing, 'issuing.key')
    chmodSync(key, 0o644)
    process.kill(signerOf(issuing.stage.pid), 'SIGKILL')
    expect(await issuing.stage.said('can be read by others than its owner (mode 644)', 20_000)).toBe(true)
    await refused(() => {})
    chmodSync(key, 0o600)
    await issuesAgain()
  }, 60_000)

  test('whose signer dies again and again answers 503, and issues when it lives', async () => {
    const dead: number[] = []
    for (let i = 0; i < 4; i++) {
      const signer = await nextSigner(dead)
      await refused(() => process.kill(signer, 'SIGKILL'))
      dead.push(signer)
    }
    expect(await nextSigner(dead)).not.toBe(dead[0])
    await issuesAgain()
  }, 60_000)

  test('whose signer hangs answers 503 at its deadline, and starts another', async () => {
    const hanging = signerOf(issuing.stage.pid)
    const { ms } = await refused(() => process.kill(hanging, 'SIGSTOP'))
    expect(ms).toBeGreaterThan(SIGNER_LIMITS.answerMs - 1_000)
    expect(ms).toBeLessThan(SIGNER_LIMITS.answerMs + 5_000)
    expect(await nextSigner([hanging])).not.toBe(hanging)
    await issuesAgain()
  }, 60_000)

  test('nothing was handed out that is not recorded, and every plan that came to nothing is listed and can be revoked', async () => {
    expect(await issuing.wrongs()).toEqual([])
    expect(issuing.recorded().filter(({ state }) => state === 'planned').length).toBeGreaterThan(0)
    expect(await issuing.orphanWrongs()).toEqual([])
  }, 60_000)
})

// What is said to be forbidden is tried, in a process with the very flags of the one that runs.
const PROBE = `
import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
const [home, key] = JSON.parse(process.env.PROBE)
const attempts = {
  'read its key': () => readFileSync(key),
  'read the registry': () => readFileSync(home + '/data/registry.db'),
  'read the key of the root': () => readFileSync(home + '/certs/local/root.key'),
  'read the key of the operator': () => readFileSync(home + '/certs/local/operator/key.pem'),
  'read the audit log': () => readFileSync(home + '/data/audit.ndjson'),
  'read what is not of this program': () => readFileSync('/etc/passwd'),
  'write a file': () => writeFileSync(home + '/probe', 'x'),
  'write a file elsewhere': () => writeFileSync('/tmp/sallyport-probe', 'x'),
  'write into the registry': () => appendFileSync(home + '/data/registry.db', 'x'),
  'change its key': () => appendFileSync(key, 'x'),
  'remove its key': () => rmSync(key),
  'start a program': () => spawnSync('true'),
  'start a thread': () => new Worker('0', { eval: true }),
  'load native code': () => process.dlopen({ exports: {} }, '/nowhere.node'),
}
const outcome = {}
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    attempt()
    outcome[what] = 'done'
  } catch (error) {
    outcome[what] = error.code
  }
}
console.log(JSON.stringify(outcome))
`

describe.skipIf(!READY)('the process that holds the key (needs Linux, curl and openssl)', () => {
  test('may read its key and the registry, and neither another secret nor write, start or load anything', async () => {
    await using issuing = new IssuingStage()
    await issuing.stage.start()
    const command = commandOf(signerOf(issuing.stage.pid))
    const script = command.findIndex((argument) => argument.includes('signer-process'))
    const [node = '', ...flags] = command.slice(0, script)
    const key = at(issuing, 'issuing.key')
    const { stdout, stderr } = spawnSync(node, [...flags, '--input-type=module', '-e', PROBE], { encoding: 'utf8', env: { PROBE: JSON.stringify([issuing.stage.home, key]) } })
    const outcome = JSON.parse(stdout || JSON.stringify({ stderr })) as Readonly<Record<string, string>>
    const { 'read its key': own, 'read the registry': registry, 'load native code': native, ...rest } = outcome
    expect([own, registry]).toEqual(['done', 'done'])
    expect(native).toBe('ERR_DLOPEN_DISABLED')
    expect(Object.entries(rest).filter(([, code]) => code !== 'ERR_ACCESS_DENIED')).toEqual([])
    expect(Object.keys(rest)).toHaveLength(11)
  }, 60_000)
})
