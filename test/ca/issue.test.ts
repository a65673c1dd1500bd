// Issuance over a real registry: what a certificate says, who gets none, how many, and what asking again gives.

import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ISSUING } from '../../src/ca/genesis.ts'
import { openAuthority, type Authority, type AuthorityPorts, type IssueRequest } from '../../src/ca/issue.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { DeviceId, SerialNumber } from '../../src/core/ids.ts'
import type { CertificateRecord, CertificateState } from '../../src/core/registry.ts'
import { CA_LIMITS, REGISTRY_LIMITS } from '../../src/limits.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { generateKey, spkiOf } from '../../src/x509/keys.ts'
import { encodeName } from '../../src/x509/names.ts'
import { planned } from '../contract/records.ts'
import { hex, time, toHex } from '../x509/asn1.ts'
import { DAY, EKU, makeCa, newKey, NOW } from '../x509/forge.ts'
import { modulusOf, rsaSpki } from '../x509/rsa.ts'
import { ACTOR, addDevice, authorityPorts, issued, openPlace, reasonOf, requestOf, type Place } from './organisation.ts'

const CA = makeCa({ name: 'Issuing', pathLength: 0 })
const id = (text: string): DeviceId => text as DeviceId

let place: Place
let ports: AuthorityPorts
let authority: Authority
beforeEach(async () => {
  place = openPlace()
  ports = authorityPorts(place, CA)
  authority = openAuthority(ports)
  await place.make(addDevice('sensor-1'), addDevice('sensor-2'))
})
afterEach(() => place[Symbol.dispose]())

const recordsOf = (device: string): readonly CertificateRecord[] => place.registry.certificates({ device: id(device) }).items
const statesOf = (device: string): readonly CertificateState[] => recordsOf(device).map((r) => r.state)

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    return error instanceof SallyportError ? error.code : String(error)
  }
  return 'none'
}

describe('a certificate', () => {
  test('is recorded as planned, then as active, and both are in the audit log', async () => {
    const { record, der } = issued(await authority.issue(requestOf('sensor-1'), ACTOR))
    expect(record).toMatchObject({ issuer: ISSUING, profile: 'device', device: 'sensor-1', state: 'active', createdAt: NOW })
    expect(place.registry.certificate(ISSUING, record.serial)).toEqual(record)
    expect(toHex(place.registry.certificateDer(ISSUING, record.serial)!)).toBe(toHex(der))
    expect(place.registry.changesAfter(0, 10).map(({ change }) => change.kind).slice(-2)).toEqual(['certificate-planned', 'certificate-issued'])
    expect(place.registry.audit.waiting(0, 10).map((row) => JSON.parse(JSON.stringify(row)))).toMatchObject([
      { event: { kind: 'certificate-planned', serial: record.serial, device: 'sensor-1', actor: ACTOR } },
      { event: { kind: 'certificate-issued', serial: record.serial, device: 'sensor-1', actor: ACTOR, sha256: record.sha256 } },
    ])
  })

  test('says what profile and registry say', async () => {
    const key = newKey()
    const { record, der } = issued(await authority.issue({ ...requestOf('sensor-1', key), organization: 'Acme' }, ACTOR))
    const parsed = parseCertificate(der)
    expect(parsed).toMatchObject({
      allow: true,
      value: {
        version: 3, serial: record.serial, sha256: record.sha256, notBefore: NOW - CA_LIMITS.backdateMs, notAfter: record.notAfter, basicConstraints: { ca: false }, keyUsage: ['digitalSignature'], extendedKeyUsage: [EKU.client],
        subjectDerHex: toHex(encodeName({ organization: 'Acme', commonName: 'sensor-1' })), issuerDerHex: toHex(CA.subject), authorityKeyId: toHex(CA.keyId), key: { spkiSha256: record.spkiSha256 },
      },
    })
    expect(new X509Certificate(der).verify(new X509Certificate(CA.der).publicKey)).toBe(true)
  })

  test('begins a little in the past, but not before its CA, and ends with its CA at the latest', async () => {
    const young = makeCa({ name: 'Young' }, { notBefore: time(NOW - 60_000), notAfter: time(NOW + DAY) })
    const { record } = issued(await openAuthority(authorityPorts(place, young)).issue(requestOf('sensor-1'), ACTOR))
    expect([record.notBefore, record.notAfter]).toEqual([NOW - 60_000, NOW + DAY])
    const old = makeCa({ name: 'Old' }, { notBefore: time(NOW - 900 * DAY), notAfter: time(NOW + 900 * DAY) })
    place.now = NOW + 999
    const { record: other } = issued(await openAuthority(authorityPorts(place, old)).issue(requestOf('sensor-2'), ACTOR))
    expect([other.notBefore, other.notAfter]).toEqual([NOW - CA_LIMITS.backdateMs, NOW + 365 * DAY])
  })

  test('of a server has the names that were asked for', async () => {
    const subjectAltNames = [{ kind: 'dns', value: 'a.example' }, { kind: 'ip', value: '::ffff:192.0.2.1' }, { kind: 'ip', value: '10.0.0.1' }] as const
    const { der } = issued(await authority.issue({ profile: 'server', commonName: 'server', spki: spkiOf(newKey()), subjectAltNames }, ACTOR))
    expect(new X509Certificate(der).checkHost('a.example')).toBe('a.example')
    expect(new X509Certificate(der).checkIP('10.0.0.1')).toBe('10.0.0.1')
    expect(parseCertificate(der)).toMatchObject({ value: { subjectAltNames: [{ value: 'a.example' }, { value: '0:0:0:0:0:ffff:c000:201' }, { value: '10.0.0.1' }] } })
  })

  test.each(['P-384', 'Ed25519', 'RSA-2048'] as const)('can be signed by a CA with a key of kind %s', async (kind) => {
    const ca = makeCa({ name: kind, key: generateKey(kind) })
    const { der } = issued(await openAuthority(authorityPorts(place, ca)).issue(requestOf('sensor-1'), ACTOR))
    expect(new X509Certificate(der).verify(new X509Certificate(ca.der).publicKey)).toBe(true)
  })
})

describe('who gets none', () => {
  test.each<[string, () => IssueRequest, string]>([
    ['a device that is not registered', () => requestOf('sensor-9'), 'device-unknown'],
    ['RSA with exponent 3', () => ({ ...requestOf('sensor-1'), spki: rsaSpki(modulusOf(generateKey('RSA-2048')), 3n) }), 'key-weak'],
    ['something that is no key', () => ({ ...requestOf('sensor-1'), spki: hex('3000') }), 'key-weak'],
  ])('%s', async (_, request, reason) => {
    expect(reasonOf(await authority.issue(request(), ACTOR))).toBe(reason)
    expect(place.registry.certificates({}).items).toEqual([])
  })

  test.each(['suspended', 'quarantined', 'retired'] as const)('a device that is %s', async (state) => {
    await place.make({ kind: 'device-state', id: id('sensor-1'), state })
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe(`device-${state}`)
    expect(reasonOf(await authority.issue(requestOf('sensor-2'), ACTOR))).toBe('issued')
    expect(recordsOf('sensor-1')).toEqual([])
  })

  test('a key that belongs to another device, or was revoked', async () => {
    const key = newKey()
    const { record } = issued(await authority.issue(requestOf('sensor-1', key), ACTOR))
    expect(reasonOf(await authority.issue(requestOf('sensor-2', key), ACTOR))).toBe('key-in-use')
    await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial: record.serial, at: NOW, reason: 'keyCompromise' })
    expect(reasonOf(await authority.issue(requestOf('sensor-1', key), ACTOR))).toBe('key-in-use')
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe('issued')
  })

  test('anybody, from a CA that has expired, and nothing is planned', async () => {
    place.now = NOW + 30 * DAY
    expect(await failure(authority.issue(requestOf('sensor-1'), ACTOR))).toBe('certificate-unusable')
    expect(recordsOf('sensor-1')).toEqual([])
    place.now -= 1_000
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe('issued')
  })

  test('anybody, from a CA that cannot be read', () => {
    expect(() => openAuthority({ ...ports, issuer: { name: ISSUING, der: hex('3000') } })).toThrow(SallyportError)
  })
})

describe('how many', () => {
  test(`a device has at most ${CA_LIMITS.certificatesInForceMax} in force, so that it can change from one to the next`, async () => {
    expect(CA_LIMITS.certificatesInForceMax).toBe(2)
    const first = issued(await authority.issue(requestOf('sensor-1'), ACTOR))
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe('issued')
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe('certificates-limit')
    expect(reasonOf(await authority.issue(requestOf('sensor-2'), ACTOR))).toBe('issued')
    await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial: first.record.serial, at: NOW, reason: 'superseded' })
    expect(reasonOf(await authority.issue(requestOf('sensor-1'), ACTOR))).toBe('issued')
    expect(statesOf('sensor-1').toSorted()).toEqual(['active', 'active', 'revoked'])
  })

  test('of 50 parallel requests with 50 keys, two are answered with a certificate', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => authority.issue(requestOf('sensor-1'), ACTOR)))
    expect(answers.filter((a) => a.allow)).toHaveLength(2)
    expect(new Set(answers.filter((a) => !a.allow).map(reasonOf))).toEqual(new Set(['certificates-limit']))
    expect(statesOf('sensor-1')).toEqual(['active', 'active'])
  })

  test('50 parallel requests with one key get one certificate', async () => {
    const key = newKey()
    const answers = await Promise.all(Array.from({ length: 50 }, () => authority.issue(requestOf('sensor-1', key), ACTOR)))
    expect(new Set(answers.map((a) => toHex(issued(a).der))).size).toBe(1)
    expect(statesOf('sensor-1')).toEqual(['active'])
  })

  test('50 devices get 50 certificates with 50 serials', async () => {
    const ids = Array.from({ length: 50 }, (_, i) => `fleet-${i}`)
    await place.make(...ids.map(addDevice))
    const answers = await Promise.all(ids.map((device) => authority.issue(requestOf(device), ACTOR)))
    expect(new Set(answers.map((a) => issued(a).record.serial)).size).toBe(50)
  })
})

describe('asking again (E22)', () => {
  test('for the same device and key gives the same certificate, for another key another', async () => {
    const key = newKey()
    const first = issued(await authority.issue(requestOf('sensor-1', key), ACTOR))
    for (const asked of [authority, openAuthority(ports)]) {
      const again = issued(await asked.issue(requestOf('sensor-1', key), ACTOR))
      expect([again.record, toHex(again.der)]).toEqual([first.record, toHex(first.der)])
    }
    expect(issued(await authority.issue(requestOf('sensor-1'), ACTOR)).record.serial).not.toBe(first.record.serial)
    expect(recordsOf('sensor-1')).toHaveLength(2)
  })

  test('after it has expired gives a new one for the same key', async () => {
    const short = openAuthority({ ...ports, profiles: { ...ports.profiles, device: { ...ports.profiles.device, validityMs: DAY } } })
    const key = newKey()
    const first = issued(await short.issue(requestOf('sensor-1', key), ACTOR))
    place.now = first.record.notAfter - 1
    expect(issued(await short.issue(requestOf('sensor-1', key), ACTOR)).record.serial).toBe(first.record.serial)
    place.now = first.record.notAfter
    expect(issued(await short.issue(requestOf('sensor-1', key), ACTOR)).record.serial).not.toBe(first.record.serial)
  })

  test('after it was superseded gives a new one', async () => {
    const key = newKey()
    const { record } = issued(await authority.issue(requestOf('sensor-1', key), ACTOR))
    await place.make({ kind: 'certificate-state', issuer: ISSUING, serial: record.serial, state: 'superseded' })
    expect(issued(await authority.issue(requestOf('sensor-1', key), ACTOR)).record.serial).not.toBe(record.serial)
  })

  test('for another purpose does not give the certificate of the first', async () => {
    const key = newKey()
    const claim = issued(await authority.issue({ ...requestOf('sensor-1', key), profile: 'claim' }, ACTOR))
    const device = issued(await authority.issue(requestOf('sensor-1', key), ACTOR))
    expect([claim.record.profile, device.record.profile]).toEqual(['claim', 'device'])
  })

  test('is answered the same when the device has had a thousand certificates before', async () => {
    const before = Array.from({ length: REGISTRY_LIMITS.pageSizeMax + 1 }, (_, i) => planned(`old-${i}`, 'sensor-1', { issuer: ISSUING, serial: `40${i.toString(16).padStart(30, '0')}` as SerialNumber, notAfter: NOW - 1 }))
    await place.make(...before.map((certificate) => ({ kind: 'certificate-planned', certificate }) as const))
    const key = newKey()
    const first = issued(await openAuthority({ ...ports, random: (count) => new Uint8Array(count).fill(0xff) }).issue(requestOf('sensor-1', key), ACTOR))
    expect(issued(await authority.issue(requestOf('sensor-1', key), ACTOR)).record.serial).toBe(first.record.serial)
  })
})
