// A disk that fails at the Nth write or sync of an issuance, once or from there on (E24). No certificate leaves that is not on the
// disk, the client is told to come again and the log why, devices go on publishing, and when the disk is well again so is the CA.

import { describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { openChance, setting } from './chance.ts'
import { IO_ERROR, named, NO_SPACE, placesOf, sample, serialsAsked, watch, type Place } from './injection.ts'
import type { IssuingStage } from './issuing-stage.ts'
import { openIssuing } from './issuing-walk.ts'
import { earlyAnswers } from './order-of-writes.ts'
import { canTrace } from './storage.ts'

const SEED = setting('SEED', Date.now() % 1_000_000)
const READY = (await canTrace()) && ['curl', 'openssl'].every((tool) => has(tool))
const WALK_MS = 3_600_000
const POINTS = setting('POINTS', 40)
const CURED_MS = 5_000
const SAID_MS = 2_000
/** With a failing disk nobody waits for long: the failure is told at once. */
const ANSWERED_MS = 5_000
const DISK: readonly string[] = ['pwrite64', 'fsync', 'fdatasync', 'ftruncate']

/** What the disk does, from which call on. */
const WAYS = {
  'EIO, once': { how: IO_ERROR, lasts: false },
  'EIO, from there on': { how: IO_ERROR, lasts: true },
  'ENOSPC, once': { how: NO_SPACE, lasts: false },
  'ENOSPC, from there on': { how: NO_SPACE, lasts: true },
} as const

describe.skipIf(!READY)('the disk fails in an issuance (needs strace, curl and openssl)', () => {
  test.each(Object.entries(WAYS))('%s', { timeout: WALK_MS }, async (name, way) => {
    await using issuing = await openIssuing()
    const places = await placesOnDisk(issuing)
    const chosen = sample(places, Math.ceil(POINTS / Object.keys(WAYS).length), openChance(SEED))
    const device = await issuing.enrolled('publisher')
    let refused = 0
    for (const place of chosen) {
      const { wrong, answeredWith } = await failAt(issuing, place, way, device)
      expect(wrong, `${name} at ${named(place)}, seed ${SEED}`).toEqual([])
      if (answeredWith === 503) refused += 1
    }
    console.log(`${name}: ${chosen.length} of ${places.length} places, ${refused} refused, seed ${SEED}`)
    expect(refused, 'a disk that stopped no issuance has proved nothing').toBeGreaterThan(0)
  })
})

async function placesOnDisk(issuing: IssuingStage): Promise<readonly Place[]> {
  const device = await issuing.device('calm')
  const [wish, token] = [await issuing.enroller.wish(device), await issuing.token(device)]
  await using calm = await watch(issuing.stage.pid)
  await issuing.enroll(wish, token)
  const lines = await calm.end()
  expect(earlyAnswers(lines, `${issuing.registry}-wal`, issuing.estPort)).toEqual([])
  return placesOf(lines).filter(({ call }) => DISK.includes(call))
}

async function failAt(issuing: IssuingStage, { call, nth }: Place, { how, lasts }: (typeof WAYS)[keyof typeof WAYS], publishing: Parameters<IssuingStage['publisher']>[0]): Promise<{ readonly wrong: readonly string[]; readonly answeredWith: number | undefined }> {
  const { stage } = issuing
  const device = await issuing.device('disk')
  const [wish, token] = [await issuing.enroller.wish(device), await issuing.token(device)]
  using publisher = await issuing.publisher(publishing)
  const wrong: string[] = []
  const must = (good: boolean, sentence: string): void => void (good || wrong.push(sentence))

  await using fault = await watch(stage.pid, { calls: call, how, when: lasts ? `${nth}+` : String(nth) })
  const answer = await issuing.enroll(wish, token)
  must(await publisher.publish(), 'while the disk fails, a device that publishes is not acknowledged')
  if (answer.status === 503) must(await stage.said('could not be written', SAID_MS), 'the log does not say why')
  const lines = await fault.end()
  issuing.noteAsked(serialsAsked(lines))
  must(answer.status === 200 || (answer.status === 503 && answer.retryAfter !== undefined && answer.reason === 'issuance-unavailable'), `the client was answered ${answer.status ?? 'not at all'}: ${answer.text}`)
  must(answer.ms < ANSWERED_MS, `the answer took ${answer.ms.toFixed(0)} ms`)
  must(earlyAnswers(lines, `${issuing.registry}-wal`, issuing.estPort).length === 0, 'a certificate left before it was on the disk')

  const since = performance.now()
  const again = await issuing.enrollAtLast(wish, token)
  must(again.held !== undefined && performance.now() - since < CURED_MS, `with a disk that is well again the client was answered ${again.status ?? 'not at all'}: ${again.text}`)
  must(answer.held === undefined || answer.held.serial === again.held?.serial, 'the client was given two certificates')
  // What the failed commit left in the log of the registry is read again by the next start.
  await stage.stop('SIGKILL')
  await stage.start()
  const after = await issuing.enroll(wish, token)
  must(after.held !== undefined && after.held.serial === again.held?.serial, `after a restart the client was answered ${after.status ?? 'not at all'}: ${after.text}`)
  return { wrong: [...wrong, ...(await issuing.wrongs())], answeredWith: answer.status }
}
