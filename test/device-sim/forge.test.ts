// What the forge makes is what it says: read back with node's own X.509 code, and with openssl where it is at hand.

import { createPublicKey, X509Certificate } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { belongsTogether, forgeIssuing, forgeLeaf, forgeRoot, forgeServer, lookalikeOf } from '../../device-sim/forge/authority.ts'
import { basicConstraints, content, keyUsage, pem, readCertificate, unpem } from '../../device-sim/forge/certificate.ts'
import { ALERT_RECORD, clientHello, HANDSHAKE, record, TLS_VERSION } from '../../device-sim/forge/client-hello.ts'
import { commonName, elements, OID, type ForgedName } from '../../device-sim/forge/der.ts'
import { keyPem, mismatchedKey, privateKey, spki, WEAK_KEYS } from '../../device-sim/forge/keys.ts'
import { flipSignature, forgeRequest, GREEDY_EXTENSIONS } from '../../device-sim/forge/request.ts'
import { has } from '../e2e/program.ts'

const SECOND = 1_000
const root = forgeRoot('Acme')
const issuing = forgeIssuing(root, 'Acme')
const read = (der: Uint8Array): X509Certificate => new X509Certificate(der)

/** The value of an extension, which node does not show. */
function extension(certificate: Uint8Array, id: string): Buffer | undefined {
  const found = readCertificate(certificate).extensions.find((each) => each.id === id)
  return found === undefined ? undefined : elements(found.der).at(-1)
}

describe('an honest chain', () => {
  const leaf = forgeLeaf(issuing, 'sensor-7')

  test('verifies from the leaf to the root, and is what it says', () => {
    expect(read(leaf.certificate).verify(read(issuing.certificate).publicKey)).toBe(true)
    expect(read(leaf.certificate).checkIssued(read(issuing.certificate))).toBe(true)
    expect(read(issuing.certificate).verify(read(root.certificate).publicKey)).toBe(true)
    expect(read(issuing.certificate).checkIssued(read(root.certificate))).toBe(true)
    expect(read(root.certificate).verify(read(root.certificate).publicKey)).toBe(true)
    expect(read(leaf.certificate).subject).toBe('CN=sensor-7')
    expect([root, issuing, leaf].map(({ certificate }) => read(certificate).ca)).toEqual([true, true, false])
    expect(read(leaf.certificate).keyUsage).toEqual([OID.clientAuth])
    expect(read(leaf.certificate).checkPrivateKey(leaf.key)).toBe(true)
    expect(belongsTogether(issuing)).toBe(true)
    expect(belongsTogether({ ...issuing, key: root.key })).toBe(false)
  })

  test('has serials of 16 octets, positive, and never the same', () => {
    const serials = Array.from({ length: 20 }, () => read(forgeLeaf(issuing, 'x').certificate).serialNumber)
    expect(new Set(serials).size).toBe(20)
    expect(serials.every((serial) => /^[4-7][0-9A-F]{31}$/.test(serial))).toBe(true)
  })
})

describe('a look-alike', () => {
  test.each([['of the issuing CA', issuing], ['of the root', root]])('%s has the same names, serial, key identifiers and extensions, and another key', (_, original) => {
    const forged = lookalikeOf(original.certificate)
    const [real, false_] = [readCertificate(original.certificate), readCertificate(forged.certificate)]
    expect(false_.subject).toEqual(real.subject)
    expect(false_.issuer).toEqual(real.issuer)
    expect(false_.serial).toEqual(real.serial)
    expect(false_.extensions).toEqual(real.extensions)
    expect(extension(forged.certificate, OID.subjectKeyId)).toEqual(extension(original.certificate, OID.subjectKeyId))
    expect(false_.spki).not.toEqual(real.spki)
    expect(belongsTogether(forged)).toBe(true)
    expect(read(forged.certificate).ca).toBe(true)
  })

  test('signs leaves that name the real CA and that only the look-alike verifies', () => {
    const forged = lookalikeOf(issuing.certificate)
    const [honest, false_] = [forgeLeaf(issuing, 'd'), forgeLeaf(forged, 'd')]
    expect(readCertificate(false_.certificate).issuer).toEqual(readCertificate(honest.certificate).issuer)
    expect(extension(false_.certificate, OID.authorityKeyId)).toEqual(extension(honest.certificate, OID.authorityKeyId))
    expect(read(false_.certificate).verify(read(issuing.certificate).publicKey)).toBe(false)
    expect(read(false_.certificate).verify(read(forged.certificate).publicKey)).toBe(true)
  })

  test('that is signed by another is signed by that other', () => {
    const falseRoot = lookalikeOf(root.certificate)
    const forged = lookalikeOf(issuing.certificate, falseRoot)
    expect(read(forged.certificate).verify(read(falseRoot.certificate).publicKey)).toBe(true)
    expect(read(forged.certificate).verify(read(root.certificate).publicKey)).toBe(false)
  })
})

describe('a wish is granted, and nothing else changes', () => {
  test('the times, to the second', () => {
    const now = Math.floor(Date.now() / SECOND) * SECOND
    const { certificate } = forgeLeaf(issuing, 'd', { notBefore: now - 10 * SECOND, notAfter: now - SECOND })
    expect([Date.parse(read(certificate).validFrom), Date.parse(read(certificate).validTo)]).toEqual([now - 10 * SECOND, now - SECOND])
    expect(read(certificate).verify(read(issuing.certificate).publicKey)).toBe(true)
  })

  test('a time after 2049', () => {
    const { certificate } = forgeLeaf(issuing, 'd', { notAfter: Date.UTC(2050, 0, 1) })
    expect(new Date(read(certificate).validTo).toISOString()).toBe('2050-01-01T00:00:00.000Z')
  })

  test('the extended key usage, other or none', () => {
    expect(read(forgeLeaf(issuing, 'd', { extendedKeyUsage: [OID.serverAuth] }).certificate).keyUsage).toEqual([OID.serverAuth])
    expect(read(forgeLeaf(issuing, 'd', { extendedKeyUsage: null }).certificate).keyUsage).toBeUndefined()
  })

  test('a leaf that is a CA', () => {
    const { certificate } = forgeLeaf(issuing, 'd', { basicConstraints: basicConstraints(true), keyUsage: keyUsage('keyCertSign') })
    expect(read(certificate).ca).toBe(true)
  })

  test('a self-signed leaf', () => {
    const { certificate } = forgeLeaf({ certificate: issuing.certificate, key: privateKey() }, 'd', { selfSigned: true })
    expect(read(certificate).issuer).toBe('CN=d')
    expect(read(certificate).verify(read(certificate).publicKey)).toBe(true)
  })

  test('strange names: none, two, an empty one, one RDN of two', () => {
    const subject = (...rdns: ForgedName): string => read(forgeLeaf(issuing, 'd', { subject: rdns }).certificate).subject
    const cn = (value: string) => ({ type: OID.commonName, value })
    expect(subject() ?? '').toBe('')
    expect(subject([cn('a')], [cn('b')])).toBe('CN=a\nCN=b')
    expect(subject([cn('')])).toBe('CN=')
    expect(subject([cn('a'), cn('b')])).toBe('CN=a + CN=b')
    expect(subject(...commonName('d'))).toBe('CN=d')
  })

  test('the names of a server', () => {
    const server = read(forgeServer(issuing, ['localhost', '127.0.0.1']).certificate)
    expect(server.checkHost('localhost')).toBe('localhost')
    expect(server.checkHost('other')).toBeUndefined()
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(server.checkIP('127.0.0.2')).toBeUndefined()
    expect(server.keyUsage).toEqual([OID.serverAuth])
  })
})

describe('keys', () => {
  test('a mismatched key says the victim\'s public key and is not the victim\'s', () => {
    const [own, victim] = [privateKey(), privateKey()]
    const mixed = mismatchedKey(own, victim)
    const [jwk, ownJwk, victimJwk] = [mixed, own, victim].map((key) => key.export({ format: 'jwk' }))
    expect([jwk!.x, jwk!.y]).toEqual([victimJwk!.x, victimJwk!.y])
    expect(jwk!.d).toBe(ownJwk!.d)
  })

  test('weak keys are weak in the way that they say', () => {
    const details = Object.fromEntries(Object.entries(WEAK_KEYS).map(([label, make]) => [label, make()]))
    expect(details['RSA-1024']!.asymmetricKeyDetails).toMatchObject({ modulusLength: 1_024 })
    expect(details['RSA-2048 with exponent 3']!.asymmetricKeyDetails).toMatchObject({ modulusLength: 2_048, publicExponent: 3n })
    expect(details['P-192']!.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime192v1' })
    expect(details['secp256k1']!.asymmetricKeyDetails).toMatchObject({ namedCurve: 'secp256k1' })
    expect(Buffer.from(details['P-256 with d = 1']!.export({ format: 'jwk' }).d ?? '', 'base64url').toString('hex')).toBe('01'.padStart(64, '0'))
  })
})

describe('PEM', () => {
  test('is read back as it was written, block after block', () => {
    const text = pem('CERTIFICATE', issuing.certificate) + pem('CERTIFICATE', root.certificate)
    expect(unpem(text)).toEqual([issuing.certificate, root.certificate])
    expect(unpem(text, 'CERTIFICATE REQUEST')).toEqual([])
    expect(createPublicKey(keyPem(issuing.key)).export({ format: 'der', type: 'spki' })).toEqual(spki(issuing.key))
  })
})

describe('a ClientHello', () => {
  test.each(Object.entries(TLS_VERSION))('of %s says so, in a record whose lengths are right', (_, version) => {
    const bytes = record(HANDSHAKE.record, version, clientHello({ version }))
    expect(bytes[0]).toBe(22)
    expect(bytes.readUInt16BE(3)).toBe(bytes.length - 5)
    expect(bytes[5]).toBe(1)
    expect(bytes.readUIntBE(6, 3)).toBe(bytes.length - 9)
    expect(bytes.readUInt16BE(9)).toBe(version)
    expect(ALERT_RECORD.description).toBe(6)
  })
})

describe.skipIf(!has('openssl'))('with openssl (needs openssl)', () => {
  function openssl(args: readonly string[], files: Readonly<Record<string, string>>): string {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-forge-'))
    try {
      for (const [file, text] of Object.entries(files)) writeFileSync(path.join(folder, file), text)
      const { stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
      return stdout + stderr
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  test('an honest leaf is good for a client, and one of a look-alike is not', () => {
    const files = (signer: typeof issuing): Record<string, string> => ({ 'root.pem': pem('CERTIFICATE', root.certificate), 'issuing.pem': pem('CERTIFICATE', issuing.certificate), 'leaf.pem': pem('CERTIFICATE', forgeLeaf(signer, 'd').certificate) })
    const verify = ['verify', '-purpose', 'sslclient', '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', 'leaf.pem']
    expect(openssl(verify, files(issuing))).toContain('leaf.pem: OK')
    expect(openssl(verify, files(lookalikeOf(issuing.certificate)))).toContain('certificate signature failure')
  })

  const request = (csr: string): string => openssl(['req', '-in', 'a.csr', '-noout', '-verify', '-text'], { 'a.csr': csr })

  test('a request proves its key, and one that is signed by another or flipped does not', () => {
    const honest = forgeRequest(privateKey(), 'sensor-7')
    expect(request(honest)).toMatch(/CN = sensor-7[\s\S]*self-signature verify OK/)
    expect(request(forgeRequest(privateKey(), 'sensor-7', { signWith: privateKey() }))).not.toContain('verify OK')
    const flipped = pem('CERTIFICATE REQUEST', flipSignature(unpem(honest, 'CERTIFICATE REQUEST')[0]!))
    expect(request(flipped)).toMatch(/CN = sensor-7/)
    expect(request(flipped)).not.toContain('verify OK')
  })

  test('a greedy request asks for what it says', () => {
    const asked = (label: string): string => request(forgeRequest(privateKey(), 'd', { extensions: [GREEDY_EXTENSIONS[label]!] }))
    expect(asked('CA:TRUE')).toMatch(/CA:TRUE, pathlen:3/)
    expect(asked('keyCertSign')).toMatch(/Certificate Sign, CRL Sign/)
    expect(asked('EKU serverAuth, codeSigning, any')).toMatch(/Web Server Authentication, Code Signing, Any/)
    expect(asked('SAN')).toMatch(/DNS:localhost, DNS:admin, IP Address:127\.0\.0\.1/)
  })
})

test('content() reads lengths of one octet and of more', () => {
  expect(content(Buffer.from([0x04, 0x02, 1, 2]))).toEqual(Buffer.from([1, 2]))
  expect(content(Buffer.concat([Buffer.from([0x04, 0x81, 0x80]), Buffer.alloc(128, 7)]))).toEqual(Buffer.alloc(128, 7))
})
