// What the CA issues, judged by a real openssl as strictly as it can.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openOrganisation, type Organisation } from '../../src/ca/genesis.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { CA_LIMITS } from '../../src/limits.ts'
import { generateKey, spkiOf } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { has } from '../e2e/program.ts'
import { NOW } from '../x509/forge.ts'
import { openssl, type OpenSsl } from '../x509/openssl.ts'
import { addDevice, genesisPorts, openPlace, type Place } from './organisation.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

describe.skipIf(!has('openssl'))('what the CA issues, with openssl (needs openssl)', () => {
  let run: OpenSsl
  let place: Place
  let organisation: Organisation
  beforeAll(async () => {
    run = openssl()
    place = openPlace()
    organisation = await openOrganisation(genesisPorts(place, ['broker.example', '2001:db8::1']))
    run.write('root.pem', encodePem('CERTIFICATE', organisation.root.der))
    run.write('issuing.pem', encodePem('CERTIFICATE', organisation.issuing.der))
    for (const kind of ['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const) {
      await place.make(addDevice(kind))
      const issued = await organisation.authority.issue({ profile: 'device', commonName: kind, organization: 'Acme', device: kind as DeviceId, spki: spkiOf(generateKey(kind)) }, { kind: 'local' })
      if (!issued.allow) throw new Error(issued.reason)
      run.write(`${kind}.pem`, encodePem('CERTIFICATE', issued.value.der))
    }
    for (const kind of ['server', 'operator'] as const) run.write(`${kind}.pem`, encodePem('CERTIFICATE', new X509Certificate(readFileSync(path.join(place.dir.file('local'), kind, 'cert.pem'))).raw))
  })
  afterAll(() => {
    place[Symbol.dispose]()
    run[Symbol.dispose]()
  })

  const verify = (file: string, ...options: readonly string[]): string => run('verify', '-x509_strict', '-policy_check', '-attime', String(NOW / 1_000), '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', ...options, file)

  test.each(['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'operator'])('the certificate of %s verifies strictly, for clients and not for servers', (file) => {
    expect(verify(`${file}.pem`, '-purpose', 'sslclient')).toBe(`${file}.pem: OK\n`)
    expect(() => verify(`${file}.pem`, '-purpose', 'sslserver')).toThrow(/unsupported certificate purpose|unsuitable certificate purpose/)
  })

  test('that of the server verifies for its names and for no others', () => {
    for (const host of ['localhost', 'broker.example']) expect(verify('server.pem', '-purpose', 'sslserver', '-verify_hostname', host)).toBe('server.pem: OK\n')
    for (const ip of ['127.0.0.1', '::1', '2001:db8::1']) expect(verify('server.pem', '-purpose', 'sslserver', '-verify_ip', ip)).toBe('server.pem: OK\n')
    expect(() => verify('server.pem', '-verify_hostname', 'other.example')).toThrow('hostname mismatch')
  })

  test('root and issuing CA verify, and the issuing CA verifies nothing below another CA', () => {
    expect(verify('issuing.pem')).toBe('issuing.pem: OK\n')
    expect(verify('root.pem')).toBe('root.pem: OK\n')
    expect(() => run('verify', '-x509_strict', '-attime', String(NOW / 1_000), '-CAfile', 'root.pem', 'P-256.pem')).toThrow('unable to get local issuer certificate')
  })

  test('none verifies before it begins or after it ends', () => {
    const at = (ms: number): string => run('verify', '-attime', String(ms / 1_000), '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', 'P-256.pem')
    const { notBefore, notAfter } = place.registry.certificates({ device: 'P-256' as DeviceId }).items[0]!
    expect(notBefore).toBe(NOW - CA_LIMITS.backdateMs)
    expect(at(notBefore)).toContain('OK')
    expect(at(notAfter - 1_000)).toContain('OK')
    expect(() => at(notBefore - 1_000)).toThrow('not yet valid')
    expect(() => at(notAfter + 1_000)).toThrow('expired')
  })

  test.each(['root', 'issuing', 'server', 'operator', 'P-256', 'RSA-2048'])('%s is DER that asn1parse reads to its end', (file) => {
    // Without the hex of the contents, in which any word may stand; a serial number may say BAD, but not BAD INTEGER.
    expect(run('asn1parse', '-in', `${file}.pem`).replaceAll(/\[HEX DUMP\].*/g, '')).not.toMatch(/Error|BAD [A-Z]/)
  })

  test('a device is described as a device, a CA as a CA', () => {
    const text = run('x509', '-in', 'P-256.pem', '-noout', '-text').replaceAll(/ +/g, ' ')
    for (const part of ['Version: 3 (0x2)', 'X509v3 Basic Constraints: critical\n CA:FALSE', 'X509v3 Key Usage: critical\n Digital Signature', 'X509v3 Extended Key Usage: \n TLS Web Client Authentication', 'X509v3 Subject Key Identifier:', 'X509v3 Authority Key Identifier:']) expect(text).toContain(part)
    expect(text.match(/X509v3 (?!extensions)/g)).toHaveLength(5)
    expect(run('x509', '-in', 'issuing.pem', '-noout', '-text').replaceAll(/ +/g, ' ')).toContain('X509v3 Basic Constraints: critical\n CA:TRUE, pathlen:0')
    expect(run('x509', '-in', 'root.pem', '-noout', '-text').replaceAll(/ +/g, ' ')).toContain('X509v3 Key Usage: critical\n Certificate Sign, CRL Sign')
  })
})
