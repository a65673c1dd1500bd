// A CRL of 100,000 entries in the writing of which the server is killed (E28): at each call by which its file comes to be, and at moments
// of its making. What was published before is there, whole, and served again; the number of the next is higher.

import { get } from 'node:http'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { within } from '../../device-sim/within.ts'
import { openRegistry } from '../../src/store/sqlite/registry.ts'
import { planned, serialOf } from '../contract/records.ts'
import { threadsOf } from '../e2e/processes.ts'
import { has } from '../e2e/program.ts'
import { openChance, setting } from './chance.ts'
import { KILLED, named, placesAt, sample, watch, type Place } from './injection.ts'
import { IssuingStage } from './issuing-stage.ts'
import { canTrace } from './storage.ts'

const SEED = setting('SEED', Date.now() % 1_000_000)
const POINTS = setting('POINTS', 40)
/** Kills at some moment, besides those at a call. */
const MOMENTS = Math.max(1, Math.floor(POINTS / 4))
const READY = (await canTrace()) && ['curl', 'openssl'].every((tool) => has(tool))
const WALK_MS = 3_600_000
const ENTRIES = 100_000
const PER_COMMIT = 2_500
const LIST = 'issuing-1.crl'
/** A list follows a revocation after two seconds, and is made within this time. */
const PUBLISHED_MS = 15_000
/** From a revocation: its list is being waited for, collected, signed, written. */
const MOMENT_MS_MAX = 3_500
const PUBLISHED = '"msg":"published a CRL"'

/** A home whose CA has revoked so many. */
async function openRevoked(): Promise<IssuingStage> {
  const issuing = new IssuingStage()
  await issuing.must('ca', 'init')
  const registry = openRegistry(issuing.registry, { clock: Date.now })
  const now = Date.now()
  for (let from = 0; from < ENTRIES; from += PER_COMMIT) {
    const names = Array.from({ length: PER_COMMIT }, (_, i) => String(from + i))
    const made = await registry.commit(names.flatMap((name) => [
      { kind: 'certificate-planned', certificate: planned(name, undefined, { createdAt: now, notBefore: now, notAfter: now + 1_000_000_000 }) } as const,
      { kind: 'certificate-revoked', issuer: planned(name, undefined).issuer, serial: serialOf(name), at: now, reason: 'superseded' } as const,
    ]), [], [])
    if (!made.allow) throw new Error(made.reason)
  }
  registry.close()
  await issuing.stage.start()
  return issuing
}

/** The list as it is served at the public port, byte for byte. */
function served(issuing: IssuingStage): Promise<Buffer> {
  const { pki } = JSON.parse(readFileSync(path.join(issuing.stage.data, 'endpoints.json'), 'utf8')) as { readonly pki: { readonly port: number } }
  return new Promise((resolve, reject) => {
    const asked = get({ host: '127.0.0.1', port: pki.port, path: `/crl/${LIST}` }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', () => resolve(Buffer.concat(chunks))).once('error', reject)
    })
    asked.once('error', reject)
  })
}

const fileOf = (issuing: IssuingStage): Buffer => readFileSync(path.join(issuing.stage.data, 'pki', LIST))

/** Kills while the list that follows a revocation is being made, by `kill`, and looks at what is there. */
async function killInTheMaking(issuing: IssuingStage, kill: () => Promise<boolean>): Promise<{ readonly wrong: readonly string[]; readonly died: boolean }> {
  const { stage } = issuing
  const died = await kill()
  await stage.stop('SIGKILL')
  // What the crash has left, before anybody mends it: the file that others fetch is an older list or the new one, whole.
  const left = await issuing.wrongsAtRest()
  await stage.start()
  const serves = (await served(issuing)).equals(fileOf(issuing))
  const published = await stage.said(`"issuer":"issuing-1","scope":"","number"`, PUBLISHED_MS)
  const after = await issuing.wrongsAtRest()
  const remains = readdirSync(path.join(stage.data, 'pki')).filter((name) => name.includes(LIST) && name !== LIST)
  return {
    died,
    wrong: [
      ...left.map((sentence) => `right after the kill: ${sentence}`), ...after,
      ...(serves || published ? [] : ['what is served is not what lies there']),
      ...(published ? [] : ['no list was published after the start']),
      ...(remains.length === 0 ? [] : [`remains: ${remains.join(', ')}`]),
    ],
  }
}

describe.skipIf(!READY)('a CRL of 100,000 entries (needs strace, curl and openssl)', () => {
  test('killed at each call that writes it, and at moments of its making: the old one is whole and served, and the number rises', { timeout: WALK_MS }, async () => {
    await using issuing = await openRevoked()
    const { stage } = issuing
    const all = await stage.said(PUBLISHED, PUBLISHED_MS)
    expect(all).toBe(true)
    const places = await placesOfWriting(issuing)
    expect(places.map(({ call }) => call), 'its pieces, its sync, its name').toEqual(expect.arrayContaining(['write', 'fsync', 'rename']))
    const wrong: string[] = []
    let killed = 0
    const chance = openChance(SEED)
    for (const place of sample(places, POINTS, chance)) {
      const held = await issuing.enrolled('listed')
      const round = await killInTheMaking(issuing, () => killedAt(issuing, place, held.device))
      killed += round.died ? 1 : 0
      wrong.push(...round.wrong.map((sentence) => `killed at ${named(place)}: ${sentence}`))
      expect(wrong).toEqual([])
    }
    for (let time = 0; time < MOMENTS; time++) {
      const { device } = await issuing.enrolled('listed')
      const ms = chance.below(MOMENT_MS_MAX)
      const round = await killInTheMaking(issuing, async () => {
        await revoke(issuing, device)
        await delay(ms)
        return true
      })
      expect(round.wrong, `killed ${ms} ms after a revocation, seed ${SEED}`).toEqual([])
    }
    console.log(`a CRL of ${ENTRIES} entries, ${fileOf(issuing).length} bytes: killed at ${killed} of ${places.length} calls, and ${MOMENTS} times at some moment, seed ${SEED}`)
    expect(killed, 'a walk on which nobody died has proved nothing').toBeGreaterThan(0)
  })
})

async function revoke(issuing: IssuingStage, device: string): Promise<void> {
  await issuing.must('cert', 'revoke', '--device', device, '--yes')
}

/** The one thread that writes files for the event loop. */
function poolThread(issuing: IssuingStage): number {
  const [thread, ...more] = threadsOf(issuing.stage.pid, 'libuv-worker')
  if (thread === undefined || more.length > 0) throw new Error('the server has not one thread in its pool')
  return thread
}

async function placesOfWriting(issuing: IssuingStage): Promise<readonly Place[]> {
  const { device } = await issuing.enrolled('counted')
  await using calm = await watch(poolThread(issuing), undefined, { alone: true })
  await revoke(issuing, device)
  await within(issuing.stage.gone, PUBLISHED_MS / 3)
  const lines = await calm.end()
  return placesAt(lines, path.join(issuing.stage.data, 'pki'))
}

async function killedAt(issuing: IssuingStage, { call, nth }: Place, device: string): Promise<boolean> {
  await using _disturbed = await watch(poolThread(issuing), { calls: call, how: KILLED, when: String(nth) }, { alone: true })
  await revoke(issuing, device)
  return (await within(issuing.stage.gone.then(() => true), PUBLISHED_MS / 3)) === true
}
