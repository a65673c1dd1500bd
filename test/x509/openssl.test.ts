// Certificates and requests of a real openssl, read by us as node:crypto reads them; and ours, read there.

import { createHash, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attributesOf, type CertificateFacts } from '../../src/core/certificate.ts'
import { keyProblem } from '../../src/core/certificate-rules.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { makeCsr, parseCsr } from '../../src/x509/csr.ts'
import { generateKey, KEY_KINDS, privateKeyPem } from '../../src/x509/keys.ts'
import { decodePem } from '../../src/x509/pem.ts'
import { has } from '../e2e/program.ts'
import { openssl, type OpenSsl } from './openssl.ts'

const KEYS: readonly (readonly [string, readonly string[]])[] = [
  ['P-256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ['P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
  ['Ed25519', ['-newkey', 'ed25519']],
  ['RSA-2048', ['-newkey', 'rsa:2048']],
]

const CONFIG = `
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
serial = serial
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth, serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:a.example, DNS:*.b.example, URI:spiffe://example/x, email:a@b.example, IP:192.0.2.7, IP:2001:db8::7
[narrow]
basicConstraints = critical, CA:TRUE, pathlen:3
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
nameConstraints = critical, permitted;DNS:example, permitted;IP:10.0.0.0/255.0.0.0, excluded;URI:.bad.example, excluded;email:bad.example, excluded;dirName:outside
[outside]
O = Outside
`

function facts(der: Uint8Array): CertificateFacts {
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw new Error(parsed.detail)
  return parsed.value
}

/** Everything that node:crypto says of a certificate, said by our facts. */
function sameAsNode(der: Uint8Array): CertificateFacts {
  const found = facts(der)
  const node = new X509Certificate(der)
  const iso = (text: string): number => Date.parse(text)
  expect(found.serial).toBe(node.serialNumber.toLowerCase())
  expect([found.notBefore, found.notAfter]).toEqual([iso(node.validFrom), iso(node.validTo)])
  expect(found.sha256).toBe(node.fingerprint256.replaceAll(':', '').toLowerCase())
  expect(found.key.spkiSha256).toBe(createHash('sha256').update(node.publicKey.export({ type: 'spki', format: 'der' })).digest('hex'))
  expect(found.basicConstraints?.ca ?? false).toBe(node.ca)
  // Node calls the extended key usage keyUsage.
  expect(found.extendedKeyUsage).toEqual(node.keyUsage)
  const names = { dns: 'DNS', uri: 'URI', email: 'email', ip: 'IP Address', other: 'othername' }
  expect(found.subjectAltNames?.map((n) => `${names[n.kind]}:${n.value.toUpperCase()}`).join(', ')).toBe(node.subjectAltName?.replaceAll(/:(?=[^,])([^,]*)/g, (_, v: string) => `:${v.toUpperCase()}`))
  const lines = (name: CertificateFacts['subject']): string => name.map((rdn) => rdn.map((a) => `${a.short ?? a.type}=${a.value ?? ''}`).join('+')).join('\n')
  expect(lines(found.subject)).toBe(node.subject)
  expect(lines(found.issuer)).toBe(node.issuer)
  return found
}

describe.skipIf(!has('openssl'))('with openssl (needs openssl)', () => {
  let run: OpenSsl
  beforeAll(() => {
    run = openssl()
    run.write('openssl.cnf', CONFIG)
    run.write('index.txt', '')
    run.write('serial', '00f1e2d3c4b5a697\n')
    run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/O=Acme/CN=Acme CA', '-days', '3650')
  })
  afterAll(() => run[Symbol.dispose]())

  /** A certificate of the CA above, by `openssl ca`. */
  function issue(name: string, options: { readonly newKey?: readonly string[]; readonly section?: string; readonly from?: string; readonly to?: string; readonly subject?: string }): Uint8Array {
    run('req', '-new', ...(options.newKey ?? KEYS[0]![1]), '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-utf8', '-subj', options.subject ?? `/O=Acme/CN=${name}`)
    run('ca', '-batch', '-notext', '-utf8', '-config', 'openssl.cnf', '-extensions', options.section ?? 'leaf', '-in', `${name}.csr`, '-out', `${name}.pem`, '-startdate', options.from ?? '20240101000000Z', '-enddate', options.to ?? '20400101000000Z')
    const pem = decodePem(Buffer.from(run.read(`${name}.pem`)).toString(), 'CERTIFICATE')
    if (!pem.allow) throw new Error(pem.detail)
    return pem.value[0]!
  }

  test.each(KEYS)('a leaf with a key of kind %s is read as node:crypto reads it', (kind, newKey) => {
    const found = sameAsNode(issue(`leaf-${kind}`, { newKey }))
    expect(found).toMatchObject({
      version: 3, keyUsage: ['digitalSignature', 'keyEncipherment'], signatureAlgorithm: '1.2.840.10045.4.3.2', signatureAlgorithmsAgree: true, basicConstraints: { ca: false },
      unknownCritical: [], duplicateExtensions: [], malformedExtensions: [],
      subjectAltNames: [
        { kind: 'dns', value: 'a.example' }, { kind: 'dns', value: '*.b.example' }, { kind: 'uri', value: 'spiffe://example/x' }, { kind: 'email', value: 'a@b.example' },
        { kind: 'ip', value: '192.0.2.7' }, { kind: 'ip', value: '2001:db8:0:0:0:0:0:7' },
      ],
    })
    expect(keyProblem(found.key)).toBeUndefined()
    const text = run('x509', '-in', `leaf-${kind}.pem`, '-noout', '-text')
    const id = (title: string): string | undefined => new RegExp(`X509v3 ${title} Key Identifier: *\\n *(?:keyid:)?([0-9A-F:]+)`).exec(text)?.[1]?.replaceAll(':', '').toLowerCase()
    expect([found.subjectKeyId, found.authorityKeyId]).toEqual([id('Subject'), id('Authority')])
  })

  test.each(KEYS)('a self-signed CA with a key of kind %s is read as node:crypto reads it', (kind, newKey) => {
    run('req', '-x509', ...newKey, '-nodes', '-keyout', 'self.key', '-outform', 'DER', '-out', 'self.der', '-subj', `/CN=${kind}`, '-days', '10', '-addext', 'keyUsage=critical,keyCertSign')
    const found = sameAsNode(run.read('self.der'))
    expect(found).toMatchObject({ basicConstraints: { ca: true }, keyUsage: ['keyCertSign'] })
    expect(found.issuerDerHex).toBe(found.subjectDerHex)
  })

  test('name constraints and path length', () => {
    expect(sameAsNode(issue('narrow', { section: 'narrow' }))).toMatchObject({
      basicConstraints: { ca: true, pathLength: 3 }, keyUsage: ['keyCertSign', 'cRLSign'], hasNameConstraints: true, malformedExtensions: [],
      nameConstraints: {
        permitted: [{ kind: 'dns', value: 'example' }, { kind: 'ip', value: '0a000000ff000000' }],
        excluded: [{ kind: 'uri', value: '.bad.example' }, { kind: 'email', value: 'bad.example' }, { kind: 'directory', name: [[{ short: 'O', value: 'Outside' }]] }],
      },
    })
  })

  test.each([
    ['20491231235959Z', '20500101000000Z'],
    ['20500101000000Z', '99991231235959Z'],
    ['19700101000000Z', '20491231235959Z'],
  ])('T08: from %s to %s', (from, to) => {
    const found = sameAsNode(issue(`time-${from}`, { from, to }))
    const said = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
    expect([said(found.notBefore), said(found.notAfter)]).toEqual([from, to])
  })

  test('names with every kind of letter', () => {
    expect(attributesOf(sameAsNode(issue('letters', { subject: '/O=Größe \u4e2d/CN=sensor-1' })).subject, 'O')).toEqual([{ type: '2.5.4.10', short: 'O', value: 'Größe \u4e2d' }])
  })

  test('a serial with the first bit set stays positive', () => {
    run.write('serial', 'ff00000000000001\n')
    expect(sameAsNode(issue('serial', {}))).toMatchObject({ serialDerHex: '00ff00000000000001', serial: 'ff00000000000001' })
  })

  test.each(KEYS)('a request that openssl made with a key of kind %s proves possession', (_, newKey) => {
    run('req', '-new', ...newKey, '-nodes', '-keyout', 'device.key', '-out', 'device.csr', '-subj', '/CN=sensor-1', '-addext', 'subjectAltName=DNS:a.example', '-addext', 'basicConstraints=CA:TRUE')
    expect(parseCsr(Buffer.from(run.read('device.csr')).toString())).toMatchObject({
      allow: true, value: { possessionProven: true, subject: [[{ value: 'sensor-1' }]], requestedAltNames: [{ kind: 'dns', value: 'a.example' }], requestedExtensions: ['2.5.29.17', '2.5.29.19'] },
    })
  })

  test.each(KEY_KINDS.filter((kind) => kind !== 'RSA-3072' && kind !== 'RSA-4096'))('a request that we made with a key of kind %s verifies there', (kind) => {
    const key = generateKey(kind)
    run.write('ours.csr', makeCsr(key, 'sensor-1'))
    run.write('ours.key', privateKeyPem(key))
    expect(run('req', '-in', 'ours.csr', '-verify', '-noout', '-subject')).toMatch(/CN ?= ?sensor-1/)
    run('asn1parse', '-in', 'ours.csr')
    expect(run('pkey', '-in', 'ours.key', '-pubout')).toBe(run('req', '-in', 'ours.csr', '-noout', '-pubkey'))
  })
})
