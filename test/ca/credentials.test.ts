// The program's own credentials: when they are kept, and when they are issued anew.

import { X509Certificate } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ensureCredential } from '../../src/ca/credentials.ts'
import { openAuthorityOnly, type Organisation } from '../../src/ca/genesis.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { SerialNumber } from '../../src/core/ids.ts'
import { generateKey, privateKeyPem } from '../../src/x509/keys.ts'
import { DAY, NOW } from '../x509/forge.ts'
import { filesOf, genesisPorts, openPlace, type Place } from './organisation.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let place: Place
let organisation: Organisation
beforeEach(async () => {
  place = openPlace()
  organisation = await openAuthorityOnly(genesisPorts(place), true)
})
afterEach(() => place[Symbol.dispose]())

const ensure = (kind: 'server' | 'operator' = 'server', hosts: readonly string[] = []): Promise<'kept' | 'issued'> => ensureCredential(kind, organisation, genesisPorts(place, hosts))
const file = (name: string, kind = 'server'): string => path.join(place.dir.file('local'), kind, name)
const serial = (kind = 'server'): SerialNumber => new X509Certificate(readFileSync(file('cert.pem', kind))).serialNumber.toLowerCase() as SerialNumber
const change = (name: string, edit: (text: string) => string): void => writeFileSync(file(name), edit(readFileSync(file(name), 'utf8')))

describe.each(['server', 'operator'] as const)('the credential of the %s', (kind) => {
  test('is issued once and kept', async () => {
    expect(await ensure(kind)).toBe('issued')
    const before = filesOf(place.dir.file('local'))
    expect(await ensure(kind)).toBe('kept')
    expect(filesOf(place.dir.file('local'))).toEqual(before)
  })

  test('is issued anew, with another key, when a third of its life is left', async () => {
    await ensure(kind)
    const key = readFileSync(file('key.pem', kind), 'utf8')
    const { notBefore, notAfter } = place.registry.certificate(organisation.issuing.name, serial(kind))!
    place.now = notAfter - (notAfter - notBefore) / 3 - 1
    expect(await ensure(kind)).toBe('kept')
    place.now += 1
    expect(await ensure(kind)).toBe('issued')
    expect(readFileSync(file('key.pem', kind), 'utf8')).not.toBe(key)
    expect(await ensure(kind)).toBe('kept')
  })

  test('is issued anew when the clock was set back to before it; one that begins at this very moment is kept, and so is one as old as its CA', async () => {
    await ensure(kind)
    place.now -= DAY
    expect(await ensure(kind)).toBe('kept')
    place.now += 300 * DAY
    expect(await ensure(kind)).toBe('issued')
    const { notBefore } = place.registry.certificate(organisation.issuing.name, serial(kind))!
    place.now = notBefore
    expect(await ensure(kind)).toBe('kept')
    place.now -= 1
    expect(await ensure(kind)).toBe('issued')
  })

  test('is issued anew when it was revoked', async () => {
    await ensure(kind)
    await place.make({ kind: 'certificate-revoked', issuer: organisation.issuing.name, serial: serial(kind), at: NOW, reason: 'keyCompromise' })
    expect(await ensure(kind)).toBe('issued')
  })
})

describe('the server', () => {
  test('gets a new certificate when it is reached under a new name, and none when the names are said in other words', async () => {
    expect(await ensure('server', ['broker.example', '2001:db8::1'])).toBe('issued')
    expect(await ensure('server', ['BROKER.example', '2001:0db8:0:0::0001'])).toBe('kept')
    expect(await ensure('server', ['broker.example', 'other.example'])).toBe('issued')
    expect(new X509Certificate(readFileSync(file('cert.pem'))).checkHost('other.example')).toBe('other.example')
    expect(await ensure('server', ['broker.example', 'other.example', '192.0.2.9'])).toBe('issued')
    expect(new X509Certificate(readFileSync(file('cert.pem'))).checkIP('192.0.2.9')).toBe('192.0.2.9')
  })

  test('takes an address of IPv4 that is written as IPv6', async () => {
    expect(await ensure('server', ['::ffff:192.0.2.1'])).toBe('issued')
    expect(await ensure('server', ['::ffff:192.0.2.1'])).toBe('kept')
  })

  test.each<[string, () => void]>([
    ['the certificate is gone', () => rmSync(file('cert.pem'))],
    ['the key is gone', () => rmSync(file('key.pem'))],
    ['the root is gone', () => rmSync(file('ca.pem'))],
    ['the certificate is no PEM', () => writeFileSync(file('cert.pem'), 'x')],
    ['the certificate is damaged', () => change('cert.pem', (text) => text.replace(/^(-----BEGIN CERTIFICATE-----\n)./, '$1x'))],
    ['the certificate is another', () => writeFileSync(file('cert.pem'), readFileSync(path.join(place.dir.file('local'), 'issuing.pem')))],
    ['the key is another', () => writeFileSync(file('key.pem'), privateKeyPem(generateKey('P-256')))],
    ['the key is no key', () => writeFileSync(file('key.pem'), 'x')],
  ])('gets a new certificate when %s', async (_, spoil) => {
    await ensure()
    spoil()
    expect(await ensure()).toBe('issued')
    expect(await ensure()).toBe('kept')
  })

  test('gets a new certificate when it has expired while nothing ran', async () => {
    await ensure()
    place.now = NOW + 91 * DAY
    expect(await ensure()).toBe('issued')
  })

  test('gets none when the registry refuses, and keeps what it has', async () => {
    await ensure()
    const before = filesOf(path.dirname(file('x')))
    const refusing = { ...organisation, authority: { ...organisation.authority, issue: () => Promise.resolve({ allow: false, reason: 'registry-unavailable' } as const) } }
    const error = await ensureCredential('server', refusing, genesisPorts(place, ['new.example'])).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(SallyportError)
    expect(error).toMatchObject({ code: 'refused', reason: 'registry-unavailable' })
    expect(filesOf(path.dirname(file('x')))).toEqual(before)
  })
})
