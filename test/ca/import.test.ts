// Bringing one's own CA: what can be imported and works, and what cannot, before anything is written.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openOrganisation } from '../../src/ca/genesis.ts'
import { importCa, type CaImport } from '../../src/ca/import.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { generateKey, spkiOf } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { hex, small, time, type Bytes } from '../x509/asn1.ts'
import { ALGORITHM, basicConstraints, cn, directory, EKU, extension, extKeyUsage, keyUsage, makeCa, makeLeaf, name, nameConstraints, newKey, NOW, type Ca } from '../x509/forge.ts'
import { addDevice, filesOf, genesisPorts, openPlace, withCommits, type Place } from './organisation.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let place: Place
beforeEach(() => {
  place = openPlace()
})
afterEach(() => place[Symbol.dispose]())

const pemOf = (...ders: readonly Bytes[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('')
const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const source = (ca: Ca, ...chain: readonly Ca[]): CaImport => ({ cert: pemOf(ca.der), key: keyPem(ca.key), ...(chain.length === 0 ? {} : { chain: pemOf(...chain.map((c) => c.der)) }) })

const root = makeCa({ name: 'Root' })
const issuing = makeCa({ name: 'Issuing', under: root, pathLength: 0 })

async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  const error = await work.then(() => new Error('it was done'), (e: unknown) => e)
  if (error instanceof SallyportError) return error
  throw error as Error
}

/** After an import: does the organisation open, and does the door accept what it issues? */
async function works(): Promise<boolean> {
  const { authority, root: anchor, issuing: signer } = await openOrganisation(genesisPorts(place))
  await place.make(addDevice('sensor-1'))
  const issued = await authority.issue({ profile: 'device', commonName: 'sensor-1', device: 'sensor-1' as DeviceId, spki: spkiOf(newKey()) }, { kind: 'local' })
  if (!issued.allow) throw new Error(issued.reason)
  const judged = openTrust([anchor, signer]).judge([issued.value.der, signer.der], NOW)
  if (!judged.allow) throw new Error(`${judged.reason}: ${judged.detail ?? ''}`)
  return true
}

describe('what can be imported', () => {
  test('a root: the organisation makes its issuing CA below it', async () => {
    expect(await importCa(source(root), genesisPorts(place))).toBe('root')
    expect(place.registry.cas()).toMatchObject([{ name: 'root', role: 'root' }])
    expect(await works()).toBe(true)
    expect(Buffer.from(place.registry.cas().find((ca) => ca.name === 'root')!.der)).toEqual(Buffer.from(root.der))
  })

  test('an issuing CA with its chain: no key of the root is needed, nor made', async () => {
    expect(await importCa(source(issuing, root), genesisPorts(place))).toBe('issuing')
    expect(place.registry.cas().map((ca) => ca.name).toSorted()).toEqual(['issuing-1', 'root'])
    expect(await works()).toBe(true)
    expect(existsSync(path.join(place.dir.file('local'), 'root.key'))).toBe(false)
  })

  test('an issuing CA whose chain stands in the same file', async () => {
    expect(await importCa({ cert: pemOf(issuing.der, root.der), key: keyPem(issuing.key) }, genesisPorts(place))).toBe('issuing')
    expect(await works()).toBe(true)
  })

  test('the root is found among others, also among its own older certificates', async () => {
    const renamed = makeCa({ name: 'Root' })
    expect(await importCa(source(issuing, makeCa({ name: 'Stranger' }), renamed, root), genesisPorts(place))).toBe('issuing')
    expect(await works()).toBe(true)
  })

  test.each(['P-384', 'Ed25519', 'RSA-2048'] as const)('CAs with keys of kind %s', async (kind) => {
    const ownRoot = makeCa({ name: 'Root', key: generateKey(kind) })
    expect(await importCa(source(makeCa({ name: 'Issuing', under: ownRoot, key: generateKey(kind) }), ownRoot), genesisPorts(place))).toBe('issuing')
    expect(await works()).toBe(true)
  })

  test.each<[string, Partial<CaImport>]>([
    ['in SEC 1', { key: root.key.export({ type: 'sec1', format: 'pem' }).toString() }],
    ['encrypted, with its passphrase', { key: root.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'horse' }).toString(), keyPassphrase: 'horse' }],
  ])('a key %s', async (_, change) => {
    expect(await importCa({ ...source(root), ...change }, genesisPorts(place))).toBe('root')
    const files = filesOf(place.dir.file('local'))
    expect(Object.entries(files).map(([file, { mode }]) => [file, mode])).toEqual([['passphrase', '600'], ['root.key', '600']])
    expect(files['root.key']!.text).not.toContain('PRIVATE KEY')
    expect(files['root.key']!.text).toContain('sallyport-sealed-key')
    expect(await works()).toBe(true)
  })

  test('a home that trusts CAs of others has none of its own yet', async () => {
    await place.make({ kind: 'ca-added', ca: { name: 'factory' as never, role: 'trusted', tenant: 'default' as never, der: makeCa({ name: 'F' }).der, spkiSha256: 'a'.repeat(64) as never, createdAt: NOW, state: 'trusted', since: NOW } })
    expect(await importCa(source(root), genesisPorts(place))).toBe('root')
  })
})

describe('what cannot', () => {
  const encrypted = root.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'horse' }).toString()
  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey
  const leafKey = newKey()
  const spoil = (signature: Bytes): Bytes => Uint8Array.from(signature, (byte, i) => (i === signature.length - 1 ? byte ^ 1 : byte))

  test.each<[string, CaImport, string, string]>([
    ['the key of another', { ...source(root), key: keyPem(newKey()) }, 'certificate-unusable', 'The key does not belong to the CA certificate'],
    ['no key', { ...source(root), key: 'x' }, 'key-unreadable', 'The CA key cannot be read, or its passphrase is wrong'],
    ['an encrypted key without its passphrase', { ...source(root), key: encrypted }, 'key-unreadable', 'its passphrase is wrong'],
    ['an encrypted key with another passphrase', { ...source(root), key: encrypted, keyPassphrase: 'house' }, 'key-unreadable', 'its passphrase is wrong'],
    ['a public key', { ...source(root), key: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' }, 'key-unreadable', 'cannot be read'],
    ['no certificate', { ...source(root), cert: '' }, 'certificate-unusable', 'the CA certificate is not PEM'],
    ['a certificate that does not parse', { ...source(root), cert: pemOf(hex('3000')) }, 'certificate-unusable', 'the CA certificate cannot be read'],
    ['a chain that is not PEM', { ...source(issuing), chain: 'x' }, 'certificate-unusable', 'the chain is not PEM'],
    ['a leaf as CA', { cert: pemOf(makeLeaf({ under: root, key: leafKey })), key: keyPem(leafKey) }, 'certificate-unusable', 'certificate-issuer-not-ca'],
    ['a CA that may not sign certificates', source(makeCa({ name: 'R' }, { extensions: [basicConstraints(true), keyUsage('cRLSign')] })), 'certificate-unusable', 'certificate-issuer-not-ca'],
    ['an expired CA', source(makeCa({ name: 'R' }, { notAfter: time(NOW) })), 'certificate-unusable', 'certificate-expired'],
    ['a CA that is not valid yet', source(makeCa({ name: 'R' }, { notBefore: time(NOW + 1_000) })), 'certificate-unusable', 'certificate-not-yet-valid'],
    ['a CA with a weak key', source(makeCa({ name: 'R', key: weak })), 'certificate-unusable', 'certificate-key-weak'],
    ['a CA signed with SHA-1', source(makeCa({ name: 'R' }, { innerAlgorithm: ALGORITHM.ecdsaSha1, outerAlgorithm: ALGORITHM.ecdsaSha1, hash: 'sha1' })), 'certificate-unusable', 'certificate-signature-weak'],
    ['a CA with serial zero', source(makeCa({ name: 'R' }, { serial: small(0) })), 'certificate-unusable', 'certificate-serial-invalid'],
    ['a CA with an unknown critical extension', source(makeCa({ name: 'R', more: [extension('1.2.3', hex('0500'), true)] })), 'certificate-unusable', 'certificate-critical-extension'],
    ['a CA for servers only', source(makeCa({ name: 'R', more: [extKeyUsage(EKU.server)] })), 'certificate-unusable', 'certificate-usage-wrong'],
    ['a CA without a subject key identifier', source(makeCa({ name: 'R' }, { extensions: [basicConstraints(true), keyUsage('keyCertSign')] })), 'certificate-unusable', 'no subject key identifier'],
    ['a root that may not sign issuing CAs', source(makeCa({ name: 'R', pathLength: 0 })), 'certificate-unusable', 'may not sign issuing CAs'],
    ['a root whose signature does not verify', source(makeCa({ name: 'R' }, { spoil })), 'certificate-unusable', 'The root is not signed by the certificate that should have signed it'],
    ['an issuing CA without its chain', source(issuing), 'certificate-unusable', 'The certificate above this CA is missing'],
    ['an issuing CA with the chain of another', source(issuing, makeCa({ name: 'Stranger' })), 'certificate-unusable', 'The certificate above this CA is missing'],
    ['an issuing CA with a look-alike of its root', source(issuing, makeCa({ name: 'Root' })), 'certificate-unusable', 'The issuing CA is not signed by'],
    ['an issuing CA two steps below its root', source(makeCa({ name: 'Low', under: issuing }), issuing, root), 'certificate-unusable', 'The CA above this one is not a root'],
    ['an issuing CA whose root has expired', ((): CaImport => { const old = makeCa({ name: 'Old' }, { notAfter: time(NOW) }); return source(makeCa({ name: 'I', under: old }), old) })(), 'certificate-unusable', 'The root cannot be used: certificate-expired'],
    ['an issuing CA whose root may have none', ((): CaImport => { const flat = makeCa({ name: 'Flat', pathLength: 0 }); return source(makeCa({ name: 'I', under: flat }), flat) })(), 'certificate-unusable', 'certificate-path-length'],
    ['an issuing CA whose root does not sign itself', ((): CaImport => { const odd = makeCa({ name: 'Odd' }, { spoil }); return source(makeCa({ name: 'I', under: odd }), odd) })(), 'certificate-unusable', 'The root is not signed by'],
    ['an issuing CA that its root excludes', ((): CaImport => { const narrow = makeCa({ name: 'N', more: [nameConstraints({ permitted: [directory(name(cn('other')))] })] }); return source(makeCa({ name: 'I', under: narrow }), narrow) })(), 'certificate-unusable', 'certificate-name-constraints'],
  ])('%s', async (_, given, code, sentence) => {
    const error = await failureOf(importCa(given, genesisPorts(place)))
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(sentence)
    expect(error.fix).toBeDefined()
    expect(error.message + error.fix!).not.toContain('horse')
    // Nothing is written before everything is known to be good.
    expect(existsSync(place.dir.file('local'))).toBe(false)
    expect(place.registry.cas()).toEqual([])
  })

  test('anything, into a home that has a CA; not even its keys are touched', async () => {
    await openOrganisation(genesisPorts(place))
    const before = filesOf(place.dir.file('local'))
    for (const given of [source(root), source(issuing, root)]) expect(await failureOf(importCa(given, genesisPorts(place)))).toMatchObject({ code: 'refused' })
    expect(filesOf(place.dir.file('local'))).toEqual(before)
  })

  test('anything, into a home whose first start was interrupted after its root: the key of that root stays', async () => {
    const registry = withCommits(place.registry, async (real, ...args) => {
      if (place.registry.cas().length === 1) throw new Error('killed')
      return real(...args)
    })
    await expect(openOrganisation({ ...genesisPorts(place), registry })).rejects.toThrow('killed')
    expect(place.registry.cas().map((ca) => ca.name)).toEqual(['root'])
    const before = filesOf(place.dir.file('local'))
    for (const given of [source(root), source(issuing, root)]) expect(await failureOf(importCa(given, genesisPorts(place)))).toMatchObject({ code: 'refused' })
    expect(filesOf(place.dir.file('local'))).toEqual(before)
    expect(await works()).toBe(true)
  })
})

describe('an import that is interrupted', () => {
  test.each(['before', 'after'] as const)('%s its commit can be finished or is finished', async (when) => {
    const registry = withCommits(place.registry, async (real, ...args) => {
      if (when === 'after') await real(...args)
      throw new Error('killed')
    })
    await expect(importCa(source(issuing, root), { ...genesisPorts(place), registry })).rejects.toThrow('killed')
    // Both CAs or none: a root alone would have no key to go on with.
    expect(place.registry.cas()).toHaveLength(when === 'after' ? 2 : 0)
    if (when === 'before') await importCa(source(issuing, root), genesisPorts(place))
    expect(await works()).toBe(true)
  })

  test('by a registry that refuses says so', async () => {
    const registry = withCommits(place.registry, () => Promise.resolve({ allow: false, reason: 'registry-unavailable' }))
    expect(await failureOf(importCa(source(root), { ...genesisPorts(place), registry }))).toMatchObject({ code: 'refused', reason: 'registry-unavailable' })
  })
})
