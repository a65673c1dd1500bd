// The process that holds the issuing key, killed at each of its calls while the server goes on: whoever asks is told to come again, or has
// a certificate that is recorded; devices go on publishing; the signer is started again. And what it does to the world while it signs.

import { describe, expect, test } from 'vitest'
import { signerOf } from '../e2e/processes.ts'
import { has } from '../e2e/program.ts'
import { openChance, setting } from './chance.ts'
import { KILLED, named, placesOf, sample, watch, type Place } from './injection.ts'
import { enrollment } from './issuing-acts.ts'
import type { IssuingStage } from './issuing-stage.ts'
import { openIssuing } from './issuing-walk.ts'
import { canTrace } from './storage.ts'

const SEED = setting('SEED', Date.now() % 1_000_000)
const POINTS = setting('POINTS', 40)
const READY = (await canTrace()) && ['curl', 'openssl'].every((tool) => has(tool))
const WALK_MS = 3_600_000
/** What it reads and answers for one certificate. */
const SIGNING = ['read', 'pread64', 'fcntl', 'write']
/** What would leave a trace outside of it. */
const TOUCHING = ['write', 'writev', 'pwrite64', 'openat', 'socket', 'connect', 'bind', 'sendto', 'sendmsg', 'rename', 'unlink', 'mkdir', 'ftruncate', 'execve', 'kill']
const ANSWERED_MS = 5_000

async function enrollOnce(issuing: IssuingStage): Promise<void> {
  const act = await enrollment(issuing)
  await act.run()
  expect(await act.again()).toEqual([])
}

describe.skipIf(!READY)('the signer (needs strace, curl and openssl)', () => {
  test('killed at each of its calls: a 503 or a certificate that is recorded, and the next request is served', { timeout: WALK_MS }, async () => {
    await using issuing = await openIssuing()
    const device = await issuing.enrolled('publisher')
    const places = await placesOfSigner(issuing)
    const chosen = sample(places, POINTS, openChance(SEED))
    let killed = 0
    for (const place of chosen) {
      const { wrong, died } = await killAt(issuing, place, device)
      expect(wrong, `the signer killed at ${named(place)}, seed ${SEED}`).toEqual([])
      if (died) killed += 1
    }
    console.log(`the signer: ${places.length} places, killed at ${killed} of ${chosen.length}, seed ${SEED}`)
    expect(killed, 'a walk on which nobody died has proved nothing').toBeGreaterThan(0)
    // One server has seen all of it.
    expect(issuing.stage.alive).toBe(true)
  })

  test('writes to the program that started it and to nobody else, opens nothing and speaks with nobody', { timeout: WALK_MS }, async () => {
    await using issuing = await openIssuing()
    await using seen = await watch(signerOf(issuing.stage.pid), undefined, { calls: TOUCHING })
    await enrollOnce(issuing)
    const calls = (await seen.end()).filter((line) => /^\d+ +\w+\(/.test(line))
    const answers = calls.filter((line) => /^\d+ +write\(1<UNIX-STREAM/.test(line))
    expect(answers.length, 'its answers').toBeGreaterThan(0)
    // Threads wake each other by a counter in memory.
    expect(calls.filter((line) => !answers.includes(line) && !/^\d+ +write\(\d+<anon_inode:\[eventfd\]>/.test(line))).toEqual([])
  })
})

async function placesOfSigner(issuing: IssuingStage): Promise<readonly Place[]> {
  await using calm = await watch(signerOf(issuing.stage.pid), undefined, { calls: SIGNING })
  await enrollOnce(issuing)
  return placesOf(await calm.end())
}

async function killAt(issuing: IssuingStage, { call, nth }: Place, publishing: Parameters<IssuingStage['publisher']>[0]): Promise<{ readonly wrong: readonly string[]; readonly died: boolean }> {
  const wrong: string[] = []
  const must = (good: boolean, sentence: string): void => void (good || wrong.push(sentence))
  const device = await issuing.device('signed')
  const [wish, token] = [await issuing.enroller.wish(device), await issuing.token(device)]
  using publisher = await issuing.publisher(publishing)
  // The one before was killed: it may still be on its way back.
  await enrollOnce(issuing)
  const signer = signerOf(issuing.stage.pid)
  await using disturbed = await watch(signer, { calls: call, how: KILLED, when: String(nth) }, { calls: SIGNING })
  const answer = await issuing.enroll(wish, token)
  must(await publisher.publish(), 'a device that publishes is not acknowledged')
  const lines = await disturbed.end()
  must(answer.status === 200 || (answer.status === 503 && answer.retryAfter !== undefined && answer.reason === 'issuance-unavailable'), `the client was answered ${answer.status ?? 'not at all'}: ${answer.text}`)
  must(answer.ms < ANSWERED_MS, `the answer took ${answer.ms.toFixed(0)} ms`)
  const again = await issuing.enrollAtLast(wish, token)
  must(again.held !== undefined, `asked again, the client was answered ${again.status ?? 'not at all'}: ${again.text}`)
  must(answer.held === undefined || answer.held.serial === again.held?.serial, 'the client was given two certificates')
  return { wrong: [...wrong, ...(await issuing.wrongs())], died: lines.some((line) => line.includes('+++ killed by SIGKILL')) }
}
