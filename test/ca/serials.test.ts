// Serial numbers (E26): what they look like, how random they are, and what happens where they are not.

import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CA_LIFE_LIMITS } from '../../src/ca-limits.ts'
import { ISSUING } from '../../src/ca/genesis.ts'
import { newSerial, openAuthority, type Authority, type AuthorityPorts } from '../../src/ca/issue.ts'
import type { DeviceId, SerialNumber } from '../../src/core/ids.ts'
import { X509_LIMITS } from '../../src/limits.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { toHex } from '../x509/asn1.ts'
import { makeCa, NOW } from '../x509/forge.ts'
import { ACTOR, addDevice, authorityPorts, issued, openPlace, reasonOf, requestOf, withCommits, type Place } from './organisation.ts'

const CA = makeCa({ name: 'Issuing', pathLength: 0 })
let place: Place
let ports: AuthorityPorts
let signatures: number
beforeEach(async () => {
  place = openPlace()
  const real = authorityPorts(place, CA)
  signatures = 0
  ports = { ...real, signer: { ...real.signer, sign: (tbs) => (signatures++, real.signer.sign(tbs)) } }
  await place.make(addDevice('sensor-1'), addDevice('sensor-2'))
})
afterEach(() => place[Symbol.dispose]())

/** A random source that says this, one after the other, and then the last again and again. */
const saying = (...fills: readonly number[]): AuthorityPorts['random'] => {
  let next = 0
  return (count) => new Uint8Array(count).fill(fills[Math.min(next++, fills.length - 1)]!)
}
const withRandom = (random: AuthorityPorts['random']): Authority => openAuthority({ ...ports, random })
const serialOfFill = (fill: number): string => toHex(newSerial(saying(fill)))
const recordsOf = (device: string): readonly string[] => place.registry.certificates({ device: device as DeviceId }).items.map(({ serial }) => serial)

describe('a serial number', () => {
  test('has 16 octets, is positive, and never shorter, whatever the random bytes are', () => {
    expect(serialOfFill(0)).toBe(`40${'00'.repeat(15)}`)
    expect(serialOfFill(0xff)).toBe(`7f${'ff'.repeat(15)}`)
  })

  test('100,000 of them: no two are equal, each of 126 bits is set in half of them, and DER needs no octet more or less', () => {
    const COUNT = 100_000
    const BITS = 128
    const set = new Uint32Array(BITS)
    const seen = new Set<string>()
    let outOfForm = 0
    for (let i = 0; i < COUNT; i++) {
      const serial = newSerial(randomBytes)
      seen.add(toHex(serial))
      // Positive without a sign octet, and not a zero octet that DER would leave out. X.690 §8.3.2.
      if (serial.length > X509_LIMITS.serialOctetsMax || serial[0]! < 0x40 || serial[0]! > 0x7f) outOfForm++
      for (let bit = 0; bit < BITS; bit++) set[bit]! += (serial[bit >> 3]! >> (7 - (bit & 7))) & 1
    }
    expect([seen.size, outOfForm]).toEqual([COUNT, 0])
    // The first two bits are fixed. Of the others the standard deviation is 158: less than one run in a million sees more than six of it.
    expect([...set.subarray(0, 2)]).toEqual([0, COUNT])
    const strays = [...set.subarray(2)].filter((count) => Math.abs(count - COUNT / 2) > 6 * Math.sqrt(COUNT) / 2)
    expect(strays).toEqual([])
  })

  test('stands in the certificate as it is recorded, in 16 octets', async () => {
    const { record, der } = issued(await openAuthority(ports).issue(requestOf('sensor-1'), ACTOR))
    const facts = parseCertificate(der)
    expect(facts).toMatchObject({ allow: true, value: { serial: record.serial, serialDerHex: record.serial } })
    expect(Buffer.from(der).includes(Buffer.from(`0210${record.serial}`, 'hex'))).toBe(true)
  })
})

describe('a serial number that is taken', () => {
  test('is drawn again: the second certificate has another one, and nothing is left of the first draw', async () => {
    const first = issued(await withRandom(saying(7)).issue(requestOf('sensor-1'), ACTOR))
    const second = issued(await withRandom(saying(7, 7, 8)).issue(requestOf('sensor-2'), ACTOR))
    expect([first.record.serial, second.record.serial]).toEqual([serialOfFill(7), serialOfFill(8)])
    expect([recordsOf('sensor-1'), recordsOf('sensor-2')]).toEqual([[serialOfFill(7)], [serialOfFill(8)]])
    expect(signatures).toBe(2)
  })

  test('three times in a row fails before anything is signed, says what is wrong with the machine, and the first keeps it', async () => {
    const first = issued(await withRandom(saying(7)).issue(requestOf('sensor-1'), ACTOR))
    let draws = 0
    const stuck = withRandom((count) => (draws++, new Uint8Array(count).fill(7)))
    await expect(stuck.issue(requestOf('sensor-2'), ACTOR)).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('repeat themselves') })
    expect([draws, signatures]).toEqual([CA_LIFE_LIMITS.serialDrawsMax, 1])
    expect(place.registry.certificatesBySerial(first.record.serial)).toEqual([first.record])
    expect(recordsOf('sensor-2')).toEqual([])
  })

  test('between fifty who draw from sixteen at the same time: whoever gets a certificate has a serial number alone', async () => {
    const devices = Array.from({ length: 50 }, (_, i) => `fleet-${i}`)
    await place.make(...devices.map(addDevice))
    let next = 0
    const few = withRandom((count) => new Uint8Array(count).fill(next++ % 16))
    const answers = await Promise.allSettled(devices.map((device) => few.issue(requestOf(device), ACTOR)))
    const serials = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [issued(answer.value).record.serial] : []))
    expect(new Set(serials)).toEqual(new Set(Array.from({ length: 16 }, (_, fill) => serialOfFill(fill))))
    expect([serials.length, signatures]).toEqual([16, 16])
  })

  test('is refused by the index itself, whatever the program thinks', async () => {
    const { record } = issued(await openAuthority(ports).issue(requestOf('sensor-1'), ACTOR))
    const db = new DatabaseSync(place.dir.file('registry.db'))
    try {
      const again = (serial: string): unknown => db.prepare("INSERT INTO certificates (issuer, serial, profile, state, spki_sha256, not_before, not_after, created_at) VALUES (?, ?, 'server', 'planned', ?, 0, 1, 0)").run(record.issuer, serial, 'f'.repeat(64))
      expect(() => again(record.serial)).toThrow('UNIQUE constraint failed: certificates.issuer, certificates.serial')
      expect(again('41')).toMatchObject({ changes: 1 })
    } finally {
      db.close()
    }
  })

  test('a refusal for another reason is no collision: it is told as it is, and nothing is drawn again', async () => {
    let draws = 0
    const busy = openAuthority({ ...ports, random: (count) => (draws++, randomBytes(count)), registry: withCommits(place.registry, () => Promise.resolve({ allow: false, reason: 'revision-conflict' })) })
    expect(reasonOf(await busy.issue(requestOf('sensor-1'), ACTOR))).toBe('revision-conflict')
    expect(draws).toBe(1)
  })

  test('nor is a certificate that was revoked while it was signed', async () => {
    let draws = 0
    const revoking = openAuthority({
      ...ports, random: (count) => (draws++, randomBytes(count)),
      signer: {
        ...ports.signer,
        async sign(tbs) {
          await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial: recordsOf('sensor-1')[0] as SerialNumber, at: NOW, reason: 'unspecified' })
          return ports.signer.sign(tbs)
        },
      },
    })
    expect(reasonOf(await revoking.issue(requestOf('sensor-1'), ACTOR))).toBe('revision-conflict')
    expect(draws).toBe(1)
  })
})
