// The first start of an organisation, every later one, and a first start that is killed at each of its steps.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ISSUING, isInitialized, openAuthorityOnly, openOrganisation, ROOT, type GenesisPorts } from '../../src/ca/genesis.ts'
import type * as keyFile from '../../src/ca/key-file.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { ProfileName } from '../../src/core/registry.ts'
import { keyProblem } from '../../src/core/certificate-rules.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { decodePem } from '../../src/x509/pem.ts'
import { spkiOf } from '../../src/x509/keys.ts'
import { newKey, NOW } from '../x509/forge.ts'
import { addDevice, filesOf, genesisPorts, openPlace, withCommits, type Place } from './organisation.ts'
import type { DeviceId } from '../../src/core/ids.ts'

// Keys are stretched as always, with less work: what is asked here is what is kept and what is made, dozens of times.
vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

/** What happens before and after each file that is written; the tests of interrupted starts replace it. */
let onWrite = { before: (_file: string): void => undefined, after: (_file: string): void => undefined }
vi.mock(import('../../src/ca/key-file.ts'), async (original) => {
  const real = await original()
  return {
    ...real,
    writeSecretFile(...args: Parameters<typeof keyFile.writeSecretFile>) {
      onWrite.before(args[0])
      real.writeSecretFile(...args)
      onWrite.after(args[0])
    },
  }
})

let place: Place
beforeEach(() => {
  place = openPlace()
})
afterEach(() => {
  onWrite = { before: () => undefined, after: () => undefined }
  place[Symbol.dispose]()
})

const local = (...names: string[]): string => path.join(place.dir.file('local'), ...names)
const certificateAt = (...names: string[]): X509Certificate => new X509Certificate(readFileSync(local(...names)))
const recordsOf = (profile: ProfileName) => place.registry.certificates({ limit: 1_000 }).items.filter((r) => r.profile === profile)
async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(() => 'done', (error: unknown) => (error instanceof SallyportError ? error.code : String(error)))
}

describe('the first start', () => {
  test('makes root, issuing CA, server and operator, and the files that hold them', async () => {
    expect(isInitialized(place.registry)).toBe(false)
    const { root, issuing } = await openOrganisation(genesisPorts(place, ['broker.example', '192.0.2.1']))
    expect(isInitialized(place.registry)).toBe(true)
    expect(Object.fromEntries(place.registry.cas().map((ca) => [ca.name, ca.role]))).toEqual({ [ROOT]: 'root', [ISSUING]: 'issuing' })
    const files = filesOf(local())
    expect(Object.keys(files)).toEqual(['issuing.key', 'issuing.pem', 'operator/ca.pem', 'operator/cert.pem', 'operator/key.pem', 'passphrase', 'root.key', 'root.pem', 'server/ca.pem', 'server/cert.pem', 'server/key.pem'])
    // Whatever the umask is, no secret is open to others.
    for (const [name, { mode }] of Object.entries(files)) expect([name, mode]).toEqual([name, name.endsWith('.key') || name.endsWith('key.pem') || name === 'passphrase' ? '600' : (0o644 & ~process.umask()).toString(8)])
    const [rootCert, issuingCert] = [certificateAt('root.pem'), certificateAt('issuing.pem')]
    expect([Buffer.from(root.der), Buffer.from(issuing.der)]).toEqual([rootCert.raw, issuingCert.raw])
    expect([rootCert.subject, issuingCert.subject, issuingCert.issuer]).toEqual(['O=Acme\nCN=Acme Root', 'O=Acme\nCN=Acme Issuing 1', 'O=Acme\nCN=Acme Root'])
    expect([rootCert.verify(rootCert.publicKey), issuingCert.verify(rootCert.publicKey)]).toEqual([true, true])
  })

  test('makes CAs as their profiles say', async () => {
    const { root, issuing } = await openOrganisation(genesisPorts(place))
    expect(parseCertificate(root.der)).toMatchObject({ value: { basicConstraints: { ca: true, pathLength: 1 }, keyUsage: ['keyCertSign', 'cRLSign'], version: 3, malformedExtensions: [] } })
    expect(parseCertificate(issuing.der)).toMatchObject({ value: { basicConstraints: { ca: true, pathLength: 0 }, keyUsage: ['keyCertSign', 'cRLSign'] } })
    for (const ca of [root, issuing]) {
      const parsed = parseCertificate(ca.der)
      if (!parsed.allow) throw new Error(parsed.detail)
      expect(parsed.value.serial).toMatch(/^[4-7][0-9a-f]{31}$/)
      expect(keyProblem(parsed.value.key)).toBeUndefined()
      expect(parsed.value.subjectKeyId).toMatch(/^[0-9a-f]{40}$/)
      expect(parsed.value.authorityKeyId).toBe(ca === root ? undefined : (parseCertificate(root.der) as { value: { subjectKeyId: string } }).value.subjectKeyId)
    }
  })

  test('gives the server the names under which it is reached', async () => {
    await openOrganisation(genesisPorts(place, ['broker.example', '192.0.2.1', 'localhost', '2001:db8::1']))
    const server = certificateAt('server', 'cert.pem')
    for (const host of ['localhost', 'broker.example']) expect(server.checkHost(host)).toBe(host)
    for (const ip of ['127.0.0.1', '::1', '192.0.2.1', '2001:db8::1']) expect(server.checkIP(ip)).toBeDefined()
    expect(server.checkHost('other.example')).toBeUndefined()
    expect(server.checkPrivateKey(createPrivateKey(readFileSync(local('server', 'key.pem'))))).toBe(true)
    expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    expect(certificateAt('operator', 'cert.pem').keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  })

  test('writes each chain as it is sent: leaf, issuing CA; and the root beside it', async () => {
    const { root, issuing } = await openOrganisation(genesisPorts(place))
    for (const kind of ['server', 'operator']) {
      const chain = decodePem(readFileSync(local(kind, 'cert.pem'), 'utf8'), 'CERTIFICATE')
      if (!chain.allow) throw new Error(chain.detail)
      expect(chain.value.slice(1).map((der) => Buffer.from(der))).toEqual([Buffer.from(issuing.der)])
      expect(certificateAt(kind, 'ca.pem').raw).toEqual(Buffer.from(root.der))
    }
  })

  test('makes an authority whose certificates the door accepts', async () => {
    const { authority, root, issuing } = await openOrganisation(genesisPorts(place))
    await place.make(addDevice('sensor-1'))
    const issued = await authority.issue({ profile: 'device', commonName: 'sensor-1', device: 'sensor-1' as DeviceId, spki: spkiOf(newKey()) }, { kind: 'local' })
    if (!issued.allow) throw new Error(issued.reason)
    expect(openTrust([root, issuing]).judge([issued.value.der, issuing.der], NOW)).toMatchObject({ allow: true, value: { issuer: ISSUING } })
  })

  test('records nothing that its profiles make unusable', async () => {
    const ports = genesisPorts(place)
    const profiles = { ...ports.profiles, root: { ...ports.profiles.root, keyUsage: ['cRLSign'] as const } }
    expect(await codeOf(openOrganisation({ ...ports, profiles }))).toBe('issuance-mismatch')
    expect(place.registry.cas()).toEqual([])
    expect(await codeOf(openOrganisation({ ...ports, profiles: { ...ports.profiles, root: { ...ports.profiles.root, pathLength: 0 } } }))).toBe('issuance-mismatch')
    expect(place.registry.cas()).toEqual([])
    expect(await codeOf(openOrganisation(ports))).toBe('done')
  })
})

describe('every later start', () => {
  test('keeps everything', async () => {
    await openOrganisation(genesisPorts(place, ['broker.example']))
    const before = filesOf(local())
    const records = place.registry.certificates({}).items
    place.reopen()
    await openOrganisation(genesisPorts(place, ['broker.example']))
    expect(filesOf(local())).toEqual(before)
    expect(place.registry.certificates({}).items).toEqual(records)
    expect(place.registry.cas()).toHaveLength(2)
  })

  test('writes the public files again that somebody lost or changed', async () => {
    await openOrganisation(genesisPorts(place))
    const before = filesOf(local())
    rmSync(local('root.pem'))
    writeFileSync(local('issuing.pem'), 'x')
    await openOrganisation(genesisPorts(place))
    expect(filesOf(local())).toEqual(before)
  })

  test('does not need the key of the root, which may be offline', async () => {
    await openOrganisation(genesisPorts(place))
    rmSync(local('root.key'))
    expect(await codeOf(openOrganisation(genesisPorts(place)))).toBe('done')
    expect(existsSync(local('root.key'))).toBe(false)
  })

  test('opens the CA alone without touching the credentials', async () => {
    await openOrganisation(genesisPorts(place))
    rmSync(local('server'), { recursive: true })
    expect(await codeOf(openAuthorityOnly(genesisPorts(place), false))).toBe('done')
    expect(existsSync(local('server'))).toBe(false)
  })

  test('without an organisation makes none unless it may', async () => {
    expect(await codeOf(openAuthorityOnly(genesisPorts(place), false))).toBe('home-empty')
    expect(existsSync(local())).toBe(false)
    expect(await codeOf(openAuthorityOnly(genesisPorts(place), true))).toBe('done')
  })

  test.each<[string, () => void, string]>([
    ['the issuing key is gone', () => rmSync(local('issuing.key')), 'key-unreadable'],
    ['the issuing key is open to others', () => chmodSync(local('issuing.key'), 0o640), 'key-permissions'],
    ['the issuing key is damaged', () => writeFileSync(local('issuing.key'), 'x'), 'key-unreadable'],
    ['the issuing key is that of the root', () => writeFileSync(local('issuing.key'), readFileSync(local('root.key'))), 'key-unreadable'],
    ['the passphrase is gone', () => rmSync(local('passphrase')), 'key-unreadable'],
    ['the passphrase is another', () => writeFileSync(local('passphrase'), 'x'), 'passphrase-wrong'],
    ['the passphrase is open to others', () => chmodSync(local('passphrase'), 0o604), 'key-permissions'],
    ['the key of the server is open to others', () => chmodSync(local('server', 'key.pem'), 0o644), 'key-permissions'],
  ])('fails when %s, and makes nothing anew', async (_, spoil, code) => {
    await openOrganisation(genesisPorts(place))
    spoil()
    const before = filesOf(local())
    expect(await codeOf(openOrganisation(genesisPorts(place)))).toBe(code)
    expect(filesOf(local())).toEqual(before)
  })
})

describe('a first start that is killed anywhere goes on where it was', () => {
  /** Counts files and commits together, and dies at the nth, before or after it is done. */
  async function start(ports: GenesisPorts, diesAt: number, when: 'before' | 'after'): Promise<{ died: boolean; steps: string[] }> {
    const steps: string[] = []
    const step = (now: 'before' | 'after', name: string): void => {
      if (now === 'before') steps.push(name)
      if (steps.length === diesAt && now === when) throw new Error('killed')
    }
    onWrite = { before: (file) => step('before', path.relative(local(), file)), after: (file) => step('after', path.relative(local(), file)) }
    const registry = withCommits(place.registry, async (real, ...args) => {
      step('before', args[0].map((change) => change.kind).join(' '))
      const done = await real(...args)
      step('after', '')
      return done
    })
    const outcome = await codeOf(openOrganisation({ ...ports, registry }))
    onWrite = { before: () => undefined, after: () => undefined }
    if (outcome !== 'done' && outcome !== 'Error: killed') throw new Error(outcome)
    return { died: outcome !== 'done', steps }
  }
  const STEPS = ['root.key', 'ca-added', 'root.pem', 'issuing.key', 'ca-added', 'issuing.pem', ...['server', 'operator'].flatMap((kind) => ['certificate-planned', 'certificate-issued', `${kind}/key.pem`, `${kind}/cert.pem`, `${kind}/ca.pem`])]

  test('these are its steps: no key is referred to before it is written, nothing signed before it is planned', async () => {
    expect(await start(genesisPorts(place), 0, 'before')).toEqual({ died: false, steps: STEPS })
  })

  test.each<[number, 'before' | 'after', string]>(STEPS.flatMap((name, i) => (['before', 'after'] as const).map((when): [number, 'before' | 'after', string] => [i + 1, when, name])))('step %i, %s %s', async (nth, when) => {
    const first = await start(genesisPorts(place), nth, when)
    expect(first.died).toBe(true)
    expect(first.steps).toEqual(STEPS.slice(0, nth))
    const before = filesOf(local())
    place.reopen()
    const second = await start(genesisPorts(place), 0, 'before')
    expect(second.died).toBe(false)
    const after = filesOf(local())
    // No key of a CA is ever made twice.
    for (const name of ['passphrase', 'root.key', 'issuing.key'].filter((file) => before[file] !== undefined)) expect(after[name]).toEqual(before[name])
    expect(Object.keys(after)).toHaveLength(11)
    expect(place.registry.cas()).toHaveLength(2)
    for (const kind of ['server', 'operator'] as const) {
      const certificate = certificateAt(kind, 'cert.pem')
      expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(local(kind, 'key.pem'))))).toBe(true)
      expect(certificate.verify(certificateAt('issuing.pem').publicKey)).toBe(true)
      // What is used is recorded as active; what was lost on the way is recorded, too.
      const records = recordsOf(kind)
      expect(records.find((r) => r.serial === certificate.serialNumber.toLowerCase())).toMatchObject({ state: 'active' })
      expect(records.length).toBeLessThanOrEqual(2)
    }
    // The third start finds everything.
    expect((await start(genesisPorts(place), 0, 'before')).steps).toEqual([])
  })

  test('with the passphrase lost in between, it says so', async () => {
    await start(genesisPorts(place), 2, 'before')
    rmSync(local('passphrase'))
    expect(await codeOf(openOrganisation(genesisPorts(place)))).toBe('passphrase-wrong')
  })

  test('two at a time make one organisation; whoever is second fails', async () => {
    const outcomes = await Promise.all([codeOf(openOrganisation(genesisPorts(place))), codeOf(openOrganisation(genesisPorts(place)))])
    expect(outcomes).toContain('refused')
    expect(place.registry.cas().length).toBeLessThanOrEqual(2)
  })
})

test('a folder in the place of a key is told of', async () => {
  mkdirSync(local('root.key'), { recursive: true })
  expect(await codeOf(openOrganisation(genesisPorts(place)))).toBe('key-unreadable')
})
