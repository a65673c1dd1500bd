// Devices that are kept from run to run: given out again as they were, made anew where they are damaged, over, or another CA's, and read
// by nobody else.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { forgeIssuing, forgeRoot, type ForgedAuthority } from '../../device-sim/forge/authority.ts'
import type { Identities, Identity } from '../../device-sim/identities.ts'
import { openIdentityCache, whyNotKept } from '../../device-sim/identity-cache.ts'
import { mintedIdentities } from '../../device-sim/minted.ts'
import { loadScenario, stormScenario } from '../../device-sim/scenario/ready-made.ts'
import { readScenario } from '../../device-sim/scenario/read-scenario.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-cache-'))
afterAll(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})
const root = forgeRoot('Cache')
const issuing = forgeIssuing(root, 'Cache')
const LOAD = loadScenario({ devices: 3, rate: 1, seconds: 1, qos: 1 })
const IDS = ['d-1', 'd-2', 'd-3']

interface Run {
  readonly run: string
  readonly identities: readonly Identity[]
  /** How many were made. */
  readonly made: number
}

async function runIn(place: string, ids: readonly string[] = IDS, authority: ForgedAuthority = issuing): Promise<Run> {
  let made = 0
  const minted = mintedIdentities(authority, [authority.certificate], {}, 'run')
  const counting: Identities = {
    ...minted,
    all: (all, group, each, signal) => minted.all(all, group, (identity) => {
      made += 1
      each(identity)
    }, signal),
    again(id) {
      made += 1
      return minted.again(id)
    },
  }
  await using cache = await openIdentityCache(path.join(folder, place), authority.certificate, LOAD, counting)
  const identities: Identity[] = []
  await cache.identities.all(ids, 'sensors', (identity) => identities.push(identity))
  return { run: cache.run, identities: identities.toSorted((a, b) => a.id.localeCompare(b.id)), made }
}

const fileOf = (place: string): string => path.join(folder, place, readdirSync(path.join(folder, place)).find((name) => name.endsWith('.jsonl')) ?? '')

test('the second run has the same devices under the same names, and makes none', async () => {
  const first = await runIn('twice')
  const second = await runIn('twice')
  expect([first.made, second.made, second.run]).toEqual([3, 0, first.run])
  expect(second.identities.map(({ id, cert, key }) => ({ id, cert, key }))).toEqual(first.identities.map(({ id, cert, key }) => ({ id, cert, key })))
  expect(first.run).toMatch(/^sim-[0-9a-f]{8}$/)
  expect((await runIn('twice', [...IDS, 'd-4'])).made).toBe(1)
})

test('nobody else may read it, and no lock and no half-written file stays', async () => {
  await runIn('private')
  expect([path.join(folder, 'private'), fileOf('private')].map((each) => statSync(each).mode & 0o777)).toEqual([0o700, 0o600])
  expect(readdirSync(path.join(folder, 'private'))).toHaveLength(1)
  chmodSync(path.join(folder, 'private'), 0o750)
  await expect(runIn('private')).rejects.toThrow(/holds private keys, and others may read it\. fix: chmod 700/)
})

describe('is made anew', () => {
  test.each<[string, (lines: string[]) => string[], number]>([
    ['a line that is cut off', ([head = '', one = '', ...rest]) => [head, one.slice(0, 80), ...rest], 1],
    ['a certificate with a letter turned', ([head = '', one = '', ...rest]) => [head, one.replace(/MII\w/, 'MIIx'), ...rest], 1],
    ['the key of another device', ([head = '', one = '{}', two = '{}', ...rest]) => [head, JSON.stringify({ ...JSON.parse(one), key: (JSON.parse(two) as { key: string }).key }), two, ...rest], 1],
    ['the certificate of another device', ([head = '', one = '{}', two = '{}', ...rest]) => [head, JSON.stringify({ ...JSON.parse(two), id: (JSON.parse(one) as { id: string }).id }), two, ...rest], 1],
    ['everything, where the first line is none', (lines) => ['nonsense', ...lines.slice(1)], 3],
    ['everything, where there is nothing', () => [], 3],
  ])('%s', async (label, damage, expected) => {
    const place = label.replaceAll(/\W/g, '-')
    await runIn(place)
    writeFileSync(fileOf(place), damage(readFileSync(fileOf(place), 'utf8').split('\n')).join('\n'))
    const again = await runIn(place)
    expect([again.made, again.identities.map(({ id }) => id)]).toEqual([expected, IDS])
    expect((await runIn(place)).made).toBe(0)
  })

  test('what ends within a day', async () => {
    const { identities } = await runIn('ending')
    const end = Date.now() + 400 * 24 * 3_600_000
    expect(identities).toHaveLength(3)
    vi.useFakeTimers({ now: end, toFake: ['Date'] })
    expect((await runIn('ending')).made).toBe(3)
    vi.useRealTimers()
  })

  test('what another CA has issued, though it is called the same', async () => {
    await runIn('twins')
    expect((await runIn('twins', IDS, forgeIssuing(root, 'Cache'))).made).toBe(3)
    expect((await runIn('twins')).made).toBe(0)
  })
})

test('two runs at once do not share devices, and a lock of a run that has died holds up nobody', async () => {
  const minted = mintedIdentities(issuing, [], {}, 'run')
  await using held = await openIdentityCache(path.join(folder, 'shared'), issuing.certificate, LOAD, minted)
  expect(held.run).toMatch(/^sim-/)
  await expect(runIn('shared')).rejects.toThrow(`Process ${process.pid} is running with the devices of this cache.`)
  const lock = readdirSync(path.join(folder, 'shared')).find((name) => name.endsWith('.lock'))
  writeFileSync(path.join(folder, 'shared', lock ?? ''), '4194304999')
  expect((await runIn('shared')).made).toBe(3)
})

test('devices that a scenario changes, or whose sessions are kept, are not kept', () => {
  const revoking = readScenario('s.yaml', 'version: 1\nname: x\ngroups: { one: { count: 1 } }\nphases: [ { name: a, do: [ { revoke: { group: one } } ] } ]\n')
  expect([LOAD, revoking, stormScenario({ devices: 1, backoffSeconds: 1 })].map(whyNotKept)).toEqual([
    undefined, 'revoke changes what they have', 'the sessions of device are kept, and would bring messages of the last run',
  ])
})
