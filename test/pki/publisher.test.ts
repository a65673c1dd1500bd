// CRLs over a real registry: their numbers, what they list and for how long, shards, clocks that go back, files that are cut off.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ISSUING } from '../../src/ca/genesis.ts'
import { shardOf } from '../../src/core/crl-scope.ts'
import type { SerialNumber } from '../../src/core/ids.ts'
import type { Change } from '../../src/core/registry.ts'
import { openPublisher, type CrlIssuer, type Publisher, type PublisherPorts } from '../../src/pki/publisher.ts'
import { openSigner } from '../../src/ca/signer.ts'
import { openView, type OpenView } from '../../src/store/view.ts'
import { oidText, readDer, type DerNode } from '../../src/x509/der.ts'
import { added, issued, NOW, plan, planned, revoked, serialOf } from '../contract/records.ts'
import { openPlace, type Place } from '../ca/organisation.ts'
import { makeCa, type Ca } from '../x509/forge.ts'

const DAY = 86_400_000
let place: Place
let view: OpenView
let ca: Ca
let publisher: Publisher | undefined
beforeEach(() => {
  place = openPlace()
  place.now = NOW
  view = openView(place.registry)
  ca = makeCa({ name: 'Issuing', pathLength: 0 })
})
afterEach(async () => {
  await publisher?.[Symbol.asyncDispose]()
  publisher = undefined
  view[Symbol.dispose]()
  place[Symbol.dispose]()
})

async function open(issuer: Partial<CrlIssuer> = {}, ports: Partial<PublisherPorts> = {}): Promise<Publisher> {
  await publisher?.[Symbol.asyncDispose]()
  publisher = await openPublisher({
    registry: place.registry, view, folder: place.dir.file('pki'), url: 'http://pki.example', clock: place.clock, log: () => {},
    issuers: () => [{ name: ISSUING, der: ca.der, validityMs: DAY, shards: 1, isAnewAtStart: true, signer: () => Promise.resolve(openSigner(ca.key)), ...issuer }], ...ports,
  })
  await publisher.publish()
  return publisher
}

interface Seen {
  readonly number: number
  readonly entries: Readonly<Record<string, number | 'none'>>
  readonly extensions: readonly string[]
  readonly root: DerNode
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A CRL as a reader of DER sees it. */
function seen(name = 'issuing-1.crl'): Seen {
  const der = readDer(readFileSync(place.dir.file(`pki/${name}`)))
  if (!der.allow) throw new Error(der.detail)
  const fields = der.value.children[0]!.children
  const extensions = fields.at(-1)!.children[0]!.children
  const list = fields.length === 7 ? fields[5]!.children : []
  return {
    number: Number.parseInt(hex(readDer(extensions[1]!.children.at(-1)!.contents).allow ? extensions[1]!.children.at(-1)!.contents.subarray(2) : new Uint8Array()), 16),
    entries: Object.fromEntries(list.map(({ children: [serial, , more] }) => [hex(serial!.contents), more === undefined ? 'none' : more.children[0]!.children[1]!.contents[2]!])),
    extensions: extensions.map(({ children }) => `${oidText(children[0]!.contents)}${children.length === 3 ? ' critical' : ''}`),
    root: der.value,
  }
}

const suspend = (id: string, state: 'suspended' | 'active' | 'retired' = 'suspended'): Change => ({ kind: 'device-state', id: planned('x', id).device!, state })

describe('what stands on a CRL', () => {
  test('without revocations it has no list at all, and the extensions of RFC 5280 §5.2 in their form', async () => {
    await open()
    const { root, extensions, number } = seen()
    expect(root.children[0]!.children).toHaveLength(6)
    expect(hex(root.children[0]!.children[0]!.raw)).toBe('020101')
    expect(extensions).toEqual(['2.5.29.35', '2.5.29.20'])
    expect(number).toBe(1)
  })

  test('the revoked with their reasons, the suspended on hold and nobody else; who is resumed is gone from the next', async () => {
    await place.make(added('a'), added('b'), added('c'), plan('a1', 'a'), issued('a1'), plan('b1', 'b'), issued('b1'), plan('c1', 'c'), issued('c1'), plan('c2', 'c'), revoked('a1'), suspend('b'), suspend('c'))
    await open()
    expect(seen().entries).toEqual({ [serialOf('a1')]: 1, [serialOf('b1')]: 6, [serialOf('c1')]: 6 })
    await place.make(suspend('b', 'active'), suspend('c', 'retired'))
    await publisher!.publish()
    expect(seen()).toMatchObject({ number: 2, entries: { [serialOf('a1')]: 1, [serialOf('c1')]: 5 } })
    expect(Object.keys(seen().entries)).not.toContain(serialOf('b1'))
  })

  test('of who is suspended or retired what was superseded, too: its key opens the doors of others for as long as it lasts', async () => {
    await place.make(added('a'), plan('a1', 'a'), issued('a1'), plan('a2', 'a'), issued('a2'), { kind: 'certificate-state', issuer: ISSUING, serial: serialOf('a1'), state: 'superseded' })
    await open()
    expect(seen().entries).toEqual({})
    await place.make(suspend('a'))
    await publisher!.publish()
    expect(seen().entries).toEqual({ [serialOf('a1')]: 6, [serialOf('a2')]: 6 })
    await place.make(suspend('a', 'retired'))
    await publisher!.publish()
    expect(seen().entries).toEqual({ [serialOf('a1')]: 5, [serialOf('a2')]: 5 })
  })

  test('and what a view counts as ended whose clock was ahead when it was opened', async () => {
    await place.make(added('a'), plan('a1', 'a'), issued('a1'), plan('a2', 'a', { notAfter: NOW + 900 * DAY }), issued('a2'), suspend('a'))
    using ahead = openView(place.registry, NOW + 800 * DAY)
    await open({}, { view: ahead })
    expect(Object.keys(seen().entries).toSorted()).toEqual([serialOf('a1'), serialOf('a2')].toSorted())
  })

  test('an unspecified reason is left out', async () => {
    await place.make(added('a'), plan('a1', 'a'), issued('a1'), { kind: 'certificate-revoked', issuer: ISSUING, serial: serialOf('a1'), at: NOW, reason: 'unspecified' })
    await open()
    expect(seen().entries).toEqual({ [serialOf('a1')]: 'none' })
  })

  test('a serial and a time that need a sign octet and four digits of the year', async () => {
    const serial = `f0${'11'.repeat(15)}` as SerialNumber
    place.now = Date.UTC(2050, 0, 1, 12, 0, 1)
    await place.make({ kind: 'certificate-planned', certificate: planned('z', undefined, { serial, notAfter: place.now + DAY }) }, { kind: 'certificate-revoked', issuer: ISSUING, serial, at: place.now, reason: 'superseded' })
    await open()
    const entry = seen().root.children[0]!.children[5]!.children[0]!
    expect(hex(entry.children[0]!.contents)).toBe(`00${serial}`)
    expect(Buffer.from(entry.children[1]!.contents).toString()).toBe('20500101120001Z')
    expect([seen().root.children[0]!.children[3]!.tag, seen().root.children[0]!.children[4]!.tag]).toEqual([0x18, 0x18])
  })

  test('who expired stays until a CRL has been published behind the expiry, and leaves then', async () => {
    await place.make(added('a'), plan('a1', 'a', { notAfter: NOW + 1_000 }), issued('a1'), revoked('a1'))
    await open()
    for (const [after, listed] of [[DAY, true], [DAY + 2_000, true], [3 * DAY, false]] as const) {
      place.now = NOW + after
      await open()
      expect(Object.keys(seen().entries).length === 1).toBe(listed)
    }
  })
})

describe('numbers and files', () => {
  test('E27: the number rises when the clock goes back a day, and a list from the future is replaced', async () => {
    await open()
    place.now -= DAY
    await open({ isAnewAtStart: false })
    expect(seen().number).toBe(2)
    await open({ isAnewAtStart: false })
    expect(seen().number).toBe(2)
  })

  test('after a restore the first list jumps over the numbers that may have been given meanwhile, and those after it do not', async () => {
    await open()
    place.now += DAY
    const skip = { at: place.now, numbers: 1_000 }
    await open({}, { skip })
    expect(seen().number).toBe(1_002)
    place.now += DAY
    await open({}, { skip })
    expect(seen().number).toBe(1_003)
  })

  test('E28: a signer that dies in the middle costs a number, and leaves the old list whole; the remains are swept away', async () => {
    await open()
    const old = readFileSync(place.dir.file('pki/issuing-1.crl'))
    await place.make(added('a'), plan('a1', 'a'), issued('a1'), revoked('a1'))
    await open({ signer: () => Promise.resolve({ ...openSigner(ca.key), sign: () => Promise.reject(new Error('gone')) }) })
    expect(readFileSync(place.dir.file('pki/issuing-1.crl'))).toEqual(old)
    writeFileSync(place.dir.file('pki/issuing-1.crl.0011.tmp'), old.subarray(0, 20))
    await open()
    expect(seen().number).toBe(3)
    expect(readdirSync(place.dir.file('pki'))).toEqual(['issuing-1.crl'])
  })

  test('a signer that fails when a list is due is asked again, though its number is taken', async () => {
    await open()
    place.now = NOW + DAY / 2
    let fails = true
    const signer = openSigner(ca.key)
    const again = await open({ isAnewAtStart: false, signer: () => Promise.resolve({ ...signer, sign: (tbs) => (fails ? Promise.reject(new Error('busy')) : signer.sign(tbs)) }) })
    expect([seen().number, place.registry.crls(ISSUING)[0]?.number]).toEqual([1, 2])
    fails = false
    await again.publish()
    expect(seen().number).toBe(3)
  })

  test('a number that was given is refused, through a restart, too', async () => {
    await open()
    place.reopen()
    const crl = { issuer: ISSUING, scope: '', number: 1, thisUpdate: NOW, nextUpdate: NOW }
    expect(await place.registry.commit([{ kind: 'crl-numbered', crl }], [], [])).toMatchObject({ allow: false, reason: 'revision-conflict' })
    expect(await place.registry.commit([{ kind: 'crl-numbered', crl: { ...crl, number: 2 } }], [], [])).toMatchObject({ allow: true })
  })

  test('nothing is due before half of its life, and then it is; without the key what there is stays', async () => {
    await open({ isAnewAtStart: false })
    place.now = NOW + DAY / 2 - 1
    await publisher!.publish()
    expect(seen().number).toBe(1)
    place.now += 1
    await publisher!.publish()
    expect(seen().number).toBe(2)
    place.now += DAY
    await open({ signer: () => Promise.resolve(undefined) })
    expect(seen().number).toBe(2)
  })

  test('two who publish at once do it one after the other', async () => {
    const all = await open()
    await place.make(added('a'), plan('a1', 'a'), issued('a1'), revoked('a1'))
    await Promise.all(Array.from({ length: 50 }, () => all.publish()))
    expect(seen().number).toBe(2)
  })
})

test('shards list their part and say so, critically; those of before go on', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `s${i}`)
  await place.make(added('a'), ...names.flatMap((name) => [plan(name, 'a'), issued(name), revoked(name)]))
  await open({ shards: 4 })
  for (const shard of [1, 2, 3, 4]) {
    const part = seen(`issuing-1-${shard}of4.crl`)
    expect(Object.keys(part.entries).toSorted()).toEqual(names.map(serialOf).filter((serial) => shardOf(serial, 4) === `${shard}of4`).toSorted())
    expect(part.extensions).toEqual(['2.5.29.35', '2.5.29.20', '2.5.29.28 critical'])
    expect(Buffer.from(part.root.raw).includes(`http://pki.example/crl/issuing-1-${shard}of4.crl`)).toBe(true)
  }
  expect(Object.keys(seen().entries)).toHaveLength(20)
  const fewer = await open({ shards: 2 })
  expect(seen('issuing-1-3of4.crl').number).toBe(2)
  expect(fewer.file('issuing-1-2of2.crl')).toBeDefined()
  for (const name of ['issuing-1-5of4.crl', '../registry.db', 'issuing-1', 'other.crl']) expect(fewer.file(name)).toBeUndefined()
  expect(existsSync(place.dir.file('pki/issuing-1-1of2.crl'))).toBe(true)
})

describe('more than memory is set aside for', () => {
  const names = Array.from({ length: 40 }, (_, i) => `s${i}`)
  const ENTRY_BYTES = 49
  const file = (name: string): string => place.dir.file(`pki/${name}.crl`)
  beforeEach(() => place.make(added('a'), ...names.flatMap((name) => [plan(name, 'a'), issued(name), revoked(name)])))

  test('a list that fits to the byte is published whole; one byte less, and it is left out, said once, and not tried again before half of a life', async () => {
    const said: unknown[] = []
    const log: PublisherPorts['log'] = (level, facts, message) => level === 'error' && said.push([facts, message])
    await open({}, { bytesMax: 40 * ENTRY_BYTES, log })
    expect([Object.keys(seen().entries).length, said]).toEqual([40, []])
    const before = readFileSync(file('issuing-1'))
    await open({}, { bytesMax: 40 * ENTRY_BYTES - 1, log })
    await place.make(added('b'), plan('b1', 'b'), issued('b1'), revoked('b1'))
    await publisher!.publish()
    expect(said).toEqual([[{ issuer: ISSUING, scope: '', entries: 40 }, 'a CRL is larger than what is signed, and is not published: set pki.crlShards in sallyport.yaml']])
    expect(readFileSync(file('issuing-1'))).toEqual(before)
    place.now += DAY / 2 + 1
    await publisher!.publish()
    expect(said).toHaveLength(2)
  })

  test('shards are made a few at a time, and together they say all', async () => {
    let readings = 0
    const registry: PublisherPorts['registry'] = new Proxy(place.registry, {
      get: (real, name: keyof typeof place.registry) => (name === 'revokedAfter' ? (...asked: Parameters<typeof real.revokedAfter>) => {
        if (asked[1] === '') readings += 1
        return real.revokedAfter(...asked)
      } : real[name]),
    })
    await open({ shards: 8 }, { registry, bytesMax: 16 * ENTRY_BYTES })
    // The whole list alone, which is too large; then two or three shards of some five entries at a time.
    expect(readings).toBe(4)
    expect(existsSync(file('issuing-1'))).toBe(false)
    const all = Array.from({ length: 8 }, (_, i) => Object.keys(seen(`issuing-1-${i + 1}of8.crl`).entries)).flat()
    expect(all.toSorted()).toEqual(names.map(serialOf).toSorted())
    readings = 0
    await open({ shards: 8 }, { registry })
    // How large it is, is not known at first; then all shards in one reading.
    expect([readings, Object.keys(seen().entries).length]).toEqual([2, 40])
  })
})
