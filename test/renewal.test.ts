// The way to a next certificate, over a real registry and CA: late renewal to the millisecond, both keys, lost answers, and what a
// crash between any two steps leaves behind.

import { randomBytes, X509Certificate, type KeyObject } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAuthority } from '../src/ca/issue.ts'
import type { DeviceId, GroupName, KeyHash } from '../src/core/ids.ts'
import type { CertificateRecord, CertificateState, Registry } from '../src/core/registry.ts'
import { DEFAULT_RENEWAL, type RenewalRules } from '../src/core/renewal.ts'
import { LIFE } from '../src/limits.ts'
import { openRenewal, type Renewal, type Renewed } from '../src/renewal.ts'
import { openView, type OpenView } from '../src/store/view.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { ISSUING } from '../src/ca/genesis.ts'
import type { Decision } from '../src/core/decision.ts'
import { device as deviceRecord, statesOf } from './contract/records.ts'
import { ACTOR, authorityPorts, issued, openPlace, requestOf, withCommits, type Place } from './ca/organisation.ts'
import { time } from './x509/asn1.ts'
import { DAY, makeCa, newKey, NOW } from './x509/forge.ts'

const CA = makeCa({ name: 'Issuing', pathLength: 0 }, { notAfter: time(NOW + 900 * DAY) })
const CA_BEGINS = new X509Certificate(CA.der).validFromDate.getTime()
const ID = 'sensor-1' as DeviceId
type Commit = Parameters<typeof withCommits>[1]

let place: Place
let view: OpenView
let rules: RenewalRules
const logged: string[] = []
beforeEach(async () => {
  place = openPlace()
  view = openView(place.registry)
  rules = DEFAULT_RENEWAL
  logged.length = 0
  const spkiSha256 = randomBytes(32).toString('hex') as KeyHash
  await place.make({ kind: 'ca-added', ca: { name: ISSUING, role: 'issuing', tenant: deviceRecord('x').tenant, der: CA.der, spkiSha256, createdAt: place.now, state: 'current', since: place.now } }, { kind: 'device-added', device: deviceRecord(ID, { groups: ['line-1' as GroupName] }) })
})
afterEach(() => {
  view[Symbol.dispose]()
  place[Symbol.dispose]()
})

/** As the program composes it; `commit` may get between it and the registry. */
function open(commit?: Commit): Renewal {
  const registry: Registry = commit === undefined ? place.registry : withCommits(place.registry, commit)
  return openRenewal({ registry, view, authority: openAuthority({ ...authorityPorts(place, CA), registry }), rules: () => rules, clock: place.clock, log: (_, __, message) => void logged.push(message) })
}

/** The process ends and starts again. */
function restart(): void {
  view[Symbol.dispose]()
  place.reopen()
  view = openView(place.registry)
}

async function first(key: KeyObject = newKey()): Promise<{ readonly der: Uint8Array; readonly record: CertificateRecord }> {
  return issued(await openAuthority(authorityPorts(place, CA)).issue(requestOf(ID, key), ACTOR))
}
const ask = (renewal: Renewal, presented: Uint8Array, key: KeyObject = newKey(), mayBeLate = false): Promise<Decision<Renewed>> => renewal.renew({ csr: makeCsr(key, ID), presented, mayBeLate })
const states = (): readonly CertificateState[] => statesOf(place.registry, ID)
const inForce = (): number => states().filter((state) => state === 'active' || state === 'issued' || state === 'planned').length
const outcome = (decision: Decision<unknown>): string => (decision.allow ? 'renewed' : decision.reason)
function must(decision: Decision<Renewed>): Renewed {
  if (!decision.allow) throw new Error(`${decision.reason} ${decision.detail ?? ''}`)
  return decision.value
}

describe('late', () => {
  test('an expired certificate is renewed at a door for that, until the very millisecond at which the grace of its group ends', async () => {
    const old = await first()
    rules = { ...rules, graceOfGroups: new Map([['line-1' as GroupName, 90 * LIFE.day]]) }
    const at = async (ms: number, mayBeLate = true): Promise<string> => {
      place.now = old.record.notAfter + ms
      return outcome(await ask(open(), old.der, newKey(), mayBeLate))
    }
    expect(await at(-1, false)).toBe('renewed')
    expect(await at(0, false)).toBe('certificate-expired')
    expect(await at(0)).toBe('renewed')
    expect(await at(90 * LIFE.day - 1)).toBe('renewed')
    expect(await at(90 * LIFE.day)).toBe('certificate-expired')
  })

  test('a device that slept, renewed late and connected is in force with its new certificate alone', async () => {
    const old = await first()
    place.now = old.record.notAfter + LIFE.day
    const next = must(await ask(open(), old.der, newKey(), true))
    await open().used(next.record)
    expect(states()).toEqual(['superseded', 'active'])
    expect(outcome(await ask(open(), old.der, newKey(), true))).toBe('certificate-superseded')
  })
})

describe('keys and retries', () => {
  test('the same key, asked for twice, is one certificate that is not the old one; used, it supersedes it', async () => {
    const key = newKey()
    const old = await first(key)
    const renewal = open()
    const [one, two] = [must(await ask(renewal, old.der, key)), must(await ask(renewal, old.der, key))]
    expect(one.record.serial).toBe(two.record.serial)
    expect(one.record.serial).not.toBe(old.record.serial)
    await renewal.used(one.record)
    expect(states()).toEqual(['superseded', 'active'])
  })

  test('a certificate that waits is used by renewing with it: the older one is superseded, and the next one waits', async () => {
    const old = await first()
    const next = must(await ask(open(), old.der))
    expect(outcome(await ask(open(), next.der))).toBe('renewed')
    expect(states()).toEqual(['superseded', 'active', 'issued'])
  })

  test('a device that never has any luck with its new key is never refused for having too many', async () => {
    const old = await first()
    for (let i = 0; i < 20; i++) expect(outcome(await ask(open(), old.der))).toBe('renewed')
    expect(inForce()).toBe(2)
  })

  test('used twice, or used when it is in force, is used once', async () => {
    const old = await first()
    const renewal = open()
    const next = must(await ask(renewal, old.der))
    await Promise.all([renewal.used(next.record), renewal.used(next.record)])
    const { sequence } = view
    await renewal.used(next.record)
    await renewal.used(old.record)
    expect([view.sequence, states()]).toEqual([sequence, ['superseded', 'active']])
  })
})

describe('a crash', () => {
  const crash = new Error('the power went')
  /** The process dies at the n-th commit, before it is durable or after it. */
  const dyingAt = (n: number, when: 'before' | 'after'): Commit => {
    let count = 0
    return async (real, ...args) => {
      count += 1
      if (count < n) return real(...args)
      if (when === 'after' && count === n) await real(...args)
      throw crash
    }
  }

  test.each([[1, 'before'], [1, 'after'], [2, 'before'], [2, 'after']] as const)('at commit %s of a renewal, %s it: the old one works, and the device has a next one when it asks again, with either key', async (n, when) => {
    const old = await first()
    const key = newKey()
    await expect(ask(open(dyingAt(n, when)), old.der, key)).rejects.toBe(crash)
    restart()
    expect(view.certificateBySha256(old.record.sha256!)?.state).toBe('active')
    expect(outcome(await ask(open(), old.der, key))).toBe('renewed')
    const other = must(await ask(open(), old.der))
    expect(states().filter((state) => state === 'active' || state === 'issued')).toEqual(['active', 'issued'])
    expect(inForce()).toBe(2)
    await open().used(other.record)
    expect(states().filter((state) => state === 'active')).toHaveLength(1)
  })

  test('at the first use, before it is recorded: both work, and the next use puts it right', async () => {
    const old = await first()
    const next = must(await ask(open(), old.der))
    await open(dyingAt(1, 'before')).used(next.record)
    expect(logged).toHaveLength(1)
    restart()
    expect(states()).toEqual(['active', 'issued'])
    await open().used(next.record)
    expect(states()).toEqual(['superseded', 'active'])
  })

  test('a revocation that comes between the look and the commit is not undone, and supersedes nothing', async () => {
    const old = await first()
    const next = must(await ask(open(), old.der))
    const revoking: Commit = async (real, ...args) => {
      await real([{ kind: 'certificate-revoked', issuer: next.record.issuer, serial: next.record.serial, at: place.now, reason: 'keyCompromise' }], [], [])
      return real(...args)
    }
    await open(revoking).used(next.record)
    expect(states()).toEqual(['active', 'revoked'])
    expect(logged).toHaveLength(1)
  })
})

describe('a clock that is wrong (E27)', () => {
  test('set back a day while a device renews: its next certificate does not begin before its CA, and the old one is judged by the clock that there is', async () => {
    const old = await first()
    place.now -= DAY
    expect(outcome(await ask(open(), old.der))).toBe('certificate-not-yet-valid')
    place.now = old.record.notBefore
    const next = must(await ask(open(), old.der))
    expect(next.record.notBefore).toBeGreaterThanOrEqual(CA_BEGINS)
    expect(next.record.notBefore).toBeLessThanOrEqual(place.now)
    await open().used(next.record)
    // It was recorded later, whatever the clock says: it is the one in force.
    expect(states().filter((state) => state === 'active')).toHaveLength(1)
  })

  test('set back between issuing and first use: one is in force in the end, and the device comes in with one of them', async () => {
    const old = await first()
    place.now += DAY
    const next = must(await ask(open(), old.der))
    place.now -= DAY / 2
    await open().used(next.record)
    expect(states()).toEqual(['superseded', 'active'])
    expect(outcome(await ask(open(), next.der))).toBe('certificate-not-yet-valid')
  })

  test('ahead at the start, by which the old certificate was expired: it is superseded at the first use of the next one all the same', async () => {
    const old = await first()
    place.now += 10 * DAY
    const next = must(await ask(open(), old.der))
    view[Symbol.dispose]()
    view = openView(place.registry, old.record.notAfter + DAY)
    await open().used(next.record)
    expect(states()).toEqual(['superseded', 'active'])
  })

  test('400 days ahead: what was in force is expired, and is again when the clock is right', async () => {
    const old = await first()
    place.now += 400 * DAY
    expect(outcome(await ask(open(), old.der))).toBe('certificate-expired')
    place.now -= 400 * DAY
    expect(outcome(await ask(open(), old.der))).toBe('renewed')
  })
})
