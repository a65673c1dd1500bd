// A rotation as the CA makes it: keys, certificates and files at each step, whichever one it is killed at; and openssl, which verifies
// every chain with the old root alone, and with the new one alone.

import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { chainOf, currentCa, issuerOfServer, rootOf, rootsInForce, serverChain } from '../../src/ca/chains.ts'
import { ensureCredentials, ISSUING, keyFileOf, openAuthorityOf, openKey, openOrganisation, openVault, ROOT, type GenesisPorts } from '../../src/ca/genesis.ts'
import { sealKey } from '../../src/ca/key-file.ts'
import { crossSign, importIssuing, makeSuccessor, requestIssuing } from '../../src/ca/rotate.ts'
import { DEFAULT_TENANT, type CaName } from '../../src/core/ids.ts'
import type { CaRecord, CaState } from '../../src/core/registry.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { parseCsr } from '../../src/x509/csr.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { generateKey, keyHash, spkiOf } from '../../src/x509/keys.ts'
import { decodePem, encodePem } from '../../src/x509/pem.ts'
import { has } from '../e2e/program.ts'
import { openssl } from '../x509/openssl.ts'
import { keyIdOf, makeCa, makeLeaf } from '../x509/forge.ts'
import { ACTOR, addDevice, filesOf, genesisPorts, issued, openPlace, requestOf, withCommits, type Place } from './organisation.ts'

// Keys are sealed and opened at every step here; how slow that must be is another test's business.
vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let place: Place
let ports: GenesisPorts
beforeEach(async () => {
  place = openPlace()
  ports = genesisPorts(place)
  await openOrganisation(ports)
  await place.make(addDevice('sensor-1'), addDevice('sensor-2'))
})
afterEach(() => place[Symbol.dispose]())

const cas = (): readonly CaRecord[] => place.registry.cas()
const named = (name: string): CaRecord => cas().find((ca) => ca.name === name)!
const states = (): string => cas().map(({ name, state }) => `${name} ${state}`).toSorted().join(', ')
const to = (name: string, state: CaState) => ({ kind: 'ca-state', name: name as CaName, state, at: place.now } as const)
const local = (name: string): string => path.join(place.dir.file('local'), name)
/** The certificates that a file holds, DER. */
const chainIn = (name: string): readonly Uint8Array[] => {
  const read = decodePem(readFileSync(local(name), 'utf8'), 'CERTIFICATE')
  return read.allow ? read.value : []
}
const withRoot = { root: true, loan: undefined }
const follow = (): Promise<void> => openAuthorityOf(ports, currentCa(cas(), 'issuing')!).then((authority) => ensureCredentials({ root: currentCa(cas(), 'root')!, issuing: currentCa(cas(), 'issuing')!, authority }, ports))
const trusted = async (): Promise<void> => {
  await makeSuccessor(ports, withRoot)
  await place.make(to('root-2', 'trusted'), to('issuing-2', 'trusted'))
}
const switched = (): Promise<void> => place.make(to('root', 'replaced'), to('issuing-1', 'replaced'), to('root-2', 'current'), to('issuing-2', 'current'))

describe('a successor', () => {
  test('of the issuing CA stands below the same root, with a key and a name of its own', async () => {
    expect(await makeSuccessor(ports, { root: false, loan: undefined })).toEqual(['issuing-2'])
    expect(states()).toBe('issuing-1 current, issuing-2 created, root current')
    const { subject, issuer } = new X509Certificate(named('issuing-2').der)
    expect([subject, issuer]).toEqual(['O=Acme\nCN=Acme Issuing 2', 'O=Acme\nCN=Acme Root'])
    expect(rootOf(named('issuing-2'), cas())?.name).toBe(ROOT)
    expect(filesOf(place.dir.file('local'))['issuing-2.key']).toMatchObject({ mode: '600', text: expect.stringContaining('sallyport-sealed-key') })
  })

  test('of the root has its name, another key, and the issuing CA below it', async () => {
    expect(await makeSuccessor(ports, withRoot)).toEqual(['root-2', 'issuing-2'])
    const [old, fresh] = [named('root'), named('root-2')].map(({ der }) => new X509Certificate(der))
    expect(fresh!.subject).toBe(old!.subject)
    expect(named('root-2').spkiSha256).not.toBe(named('root').spkiSha256)
    expect(rootOf(named('issuing-2'), cas())?.name).toBe('root-2')
    expect(rootOf(named('issuing-1'), cas())?.name).toBe('root')
  })

  test('takes the next number, also after one that was given up', async () => {
    await makeSuccessor(ports, withRoot)
    await place.make(to('root-2', 'retired'), to('issuing-2', 'retired'))
    expect(await makeSuccessor(ports, withRoot)).toEqual(['root-3', 'issuing-3'])
  })

  test('takes no number that a CA of others has taken', async () => {
    const other = makeCa({ name: 'F' })
    const named = (name: string) => ({ kind: 'ca-added', ca: { name: name as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: other.der, spkiSha256: keyHash(generateSpki()), createdAt: place.now, state: 'trusted', since: place.now } } as const)
    await place.make(named('issuing-7'), named('root-x'), named('issuing-07'), named('issuing-99999999'))
    expect(await makeSuccessor(ports, withRoot)).toEqual(['root-2', 'issuing-8'])
  })

  test('that was interrupted before it was recorded is made with the keys that are there', async () => {
    const dying = withCommits(place.registry, () => Promise.reject(new Error('killed')))
    await expect(makeSuccessor({ ...ports, registry: dying }, withRoot)).rejects.toThrow('killed')
    const keys = ['root-2.key', 'issuing-2.key'].map((name) => readFileSync(local(name), 'utf8'))
    expect(states()).toBe('issuing-1 current, root current')
    expect(await makeSuccessor(ports, withRoot)).toEqual(['root-2', 'issuing-2'])
    expect(['root-2.key', 'issuing-2.key'].map((name) => readFileSync(local(name), 'utf8'))).toEqual(keys)
  })

  test('issues nothing before it is current, and the one before until it is retired', async () => {
    await trusted()
    const fresh = await openAuthorityOf(ports, named('issuing-2'))
    expect(await fresh.issue(requestOf('sensor-1'), ACTOR)).toMatchObject({ allow: false, reason: 'ca-step' })
    await switched()
    expect(issued(await fresh.issue(requestOf('sensor-1'), ACTOR)).record.issuer).toBe('issuing-2')
    const old = await openAuthorityOf(ports, named('issuing-1'))
    expect(issued(await old.issue(requestOf('sensor-2'), ACTOR)).record.issuer).toBe('issuing-1')
    await place.make(to('issuing-1', 'retired'))
    expect(await old.issue(requestOf('sensor-1'), ACTOR)).toMatchObject({ allow: false, reason: 'ca-step' })
  })
})

describe('roots that vouch for each other', () => {
  test('are recorded as every certificate is: planned, then issued; to do it again makes none', async () => {
    await trusted()
    expect(await crossSign(ports, named('root'), named('root-2'), undefined)).toBe(2)
    const crosses = place.registry.crossCertificates()
    expect(crosses.map(({ issuer, spkiSha256 }) => `${issuer} ${spkiSha256}`).toSorted()).toEqual([`root ${named('root-2').spkiSha256}`, `root-2 ${named('root').spkiSha256}`])
    expect(place.registry.certificates({ issuer: ROOT }).items).toMatchObject([{ profile: 'root', state: 'active' }])
    expect(await crossSign(ports, named('root'), named('root-2'), undefined)).toBe(0)
    for (const { der, issuer } of crosses) {
      const facts = parseCertificate(der)
      const own = parseCertificate(named(issuer === 'root' ? 'root-2' : 'root').der)
      // What stands below the root names it by this identifier.
      expect(facts).toMatchObject({ value: { subjectKeyId: own.allow && own.value.subjectKeyId, basicConstraints: { ca: true }, unknownCritical: [], malformedExtensions: [] } })
    }
  })

  test.each([1, 2, 3, 4])('killed at commit %d: the rest is made the next time, and no serial number is used twice', async (at) => {
    await trusted()
    let commits = 0
    const dying = withCommits(place.registry, (real, ...commit) => (++commits === at ? Promise.reject(new Error('killed')) : real(...commit)))
    await expect(crossSign({ ...ports, registry: dying }, named('root'), named('root-2'), undefined)).rejects.toThrow('killed')
    await crossSign(ports, named('root'), named('root-2'), undefined)
    expect(place.registry.crossCertificates()).toHaveLength(2)
    // The one that was planned and not recorded as signed stays, as planned.
    const planned = place.registry.certificates({ state: 'planned' }).items
    expect(planned).toHaveLength(at % 2 === 0 ? 1 : 0)
  })

  test('need both keys before anything is planned', async () => {
    await trusted()
    renameSync(local('root-2.key'), local('away'))
    await expect(crossSign(ports, named('root'), named('root-2'), undefined)).rejects.toMatchObject({ reason: 'ca-key-missing' })
    expect(place.registry.certificates({ state: 'planned' }).items).toEqual([])
  })
})

describe('the chain of the server', () => {
  const shown = (): readonly string[] => serverChain(issuerOfServer(cas(), place.registry.crossCertificates())!, cas(), place.registry.crossCertificates(), place.now).map((der) => {
    const own = cas().find((ca) => Buffer.compare(ca.der, der) === 0)
    const cross = place.registry.crossCertificates().find((c) => Buffer.compare(c.der, der) === 0)
    return own?.name ?? `${cas().find((ca) => ca.spkiSha256 === cross?.spkiSha256)?.name}<${cross?.issuer}`
  })

  test('leads to the root that is newer while that is on its way, and to the older one after the switch and for good', async () => {
    await trusted()
    expect(shown()).toEqual(['issuing-1'])
    await crossSign(ports, named('root'), named('root-2'), undefined)
    expect(shown()).toEqual(['issuing-1', 'root<root-2'])
    await switched()
    expect(shown()).toEqual(['issuing-2', 'root-2<root'])
    await place.make(to('root', 'retired'), to('issuing-1', 'retired'))
    expect(shown()).toEqual(['issuing-2', 'root-2<root'])
  })

  test('is that of the issuing CA alone when its successor is given up, or the link has expired', async () => {
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await place.make(to('root-2', 'retired'), to('issuing-2', 'retired'))
    expect(shown()).toEqual(['issuing-1'])
    const [link] = place.registry.crossCertificates()
    expect(serverChain(named('issuing-1'), cas(), [link!], link!.notAfter)).toHaveLength(1)
  })

  test('goes through three generations in one line', async () => {
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await switched()
    await place.make(to('root', 'retired'), to('issuing-1', 'retired'))
    place.now += 1_000
    await makeSuccessor(ports, withRoot)
    await place.make(to('root-3', 'trusted'), to('issuing-3', 'trusted'))
    await crossSign(ports, named('root-2'), named('root-3'), undefined)
    // Who knows the first root alone is told the way before who knows the last one alone: nobody was given only that yet.
    expect(shown()).toEqual(['issuing-2', 'root-2<root'])
    await place.make(to('root-2', 'replaced'), to('issuing-2', 'replaced'), to('root-3', 'current'), to('issuing-3', 'current'))
    expect(shown()).toEqual(['issuing-3', 'root-3<root-2', 'root-2<root'])
  })

  test('follows in the files without a new certificate, and the operator knows all roots', async () => {
    await trusted()
    const before = chainIn('server/cert.pem')
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await follow()
    const after = chainIn('server/cert.pem')
    expect([after[0], after.length]).toEqual([before[0], before.length + 1])
    expect(chainIn('operator/ca.pem').map((der) => Buffer.from(der))).toEqual(rootsInForce(cas()).map(({ der }) => Buffer.from(der)))
    expect(rootsInForce(cas()).map(({ name }) => name)).toEqual(['root', 'root-2'])
    await switched()
    await follow()
    expect(rootsInForce(cas()).map(({ name }) => name)).toEqual(['root-2', 'root'])
    expect(Buffer.from(chainIn('operator/cert.pem')[1]!)).toEqual(Buffer.from(named('issuing-2').der))
    expect(chainIn('server/cert.pem')).toHaveLength(3)
  })
})

describe('the certificates of server and operator', () => {
  const leaf = (kind: string): X509Certificate => new X509Certificate(chainIn(`${kind}/cert.pem`)[0]!)

  test('renew themselves by the clock, of the CA that is current then, with the chain that both roots know', async () => {
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await switched()
    await follow()
    const before = leaf('server')
    const lives = before.validToDate.getTime() - before.validFromDate.getTime()
    // At two thirds of its life it is kept to the second, and then renewed.
    place.now = before.validToDate.getTime() - Math.floor(lives / 3) - 1_000
    await follow()
    expect(leaf('server').serialNumber).toBe(before.serialNumber)
    place.now += 2_000
    await follow()
    expect(leaf('server').serialNumber).not.toBe(before.serialNumber)
    expect(leaf('server').issuer).toContain('Issuing 2')
    expect(chainIn('server/cert.pem')).toHaveLength(3)
  })

  test('of a CA that was made elsewhere wait for the retirement of the one before, and renew below that', async () => {
    const elsewhere = makeCa({ name: 'Elsewhere Root', pathLength: 1 })
    const read = parseCsr((await requestIssuing(ports)).csr)
    const spki = Uint8Array.from(read.allow ? read.value.spki : [])
    const ca = makeCa({ name: 'Elsewhere Issuing', under: elsewhere, pathLength: 0, keyId: keyIdOf(spki) }, { spki })
    await importIssuing(ports, { cert: encodePem('CERTIFICATE', ca.der), chain: encodePem('CERTIFICATE', elsewhere.der) })
    await place.make(to('root-2', 'trusted'), to('issuing-2', 'trusted'))
    await switched()
    await follow()
    expect([leaf('server').issuer, leaf('operator').issuer].map((name) => name.split('CN=')[1])).toEqual(['Acme Issuing 1', 'Elsewhere Issuing'])
    ports = genesisPorts(place, ['new.example'])
    await follow()
    expect([leaf('server').issuer, leaf('server').subjectAltName]).toEqual(['O=Acme\nCN=Acme Issuing 1', expect.stringContaining('new.example')])
    await place.make(to('root', 'retired'), to('issuing-1', 'retired'))
    await follow()
    expect(leaf('server').issuer).toBe('O=Acme\nCN=Elsewhere Issuing')
  })
})

describe.skipIf(!has('openssl'))('openssl verifies (needs openssl)', () => {
  const verify = (trust: CaRecord, leaf: Uint8Array, chain: readonly Uint8Array[], purpose: 'sslserver' | 'sslclient'): string => {
    using ssl = openssl()
    const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('')
    ssl.write('root.pem', pem(trust.der))
    ssl.write('leaf.pem', pem(leaf))
    ssl.write('chain.pem', pem(...chain))
    return ssl('verify', '-x509_strict', '-attime', String(place.now / 1_000), '-purpose', purpose, '-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'leaf.pem').trim()
  }

  test('the server with either root alone from the moment at which they vouch for each other, and devices with theirs', async () => {
    const old = await openAuthorityOf(ports, named('issuing-1'))
    const first = issued(await old.issue(requestOf('sensor-1'), ACTOR))
    await trusted()
    const server = (trust: string): string => verify(named(trust), chainIn('server/cert.pem')[0]!, chainIn('server/cert.pem').slice(1), 'sslserver')
    expect(server('root')).toBe('leaf.pem: OK')
    expect(() => server('root-2')).toThrow('unable to get')
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await follow()
    expect([server('root'), server('root-2')]).toEqual(['leaf.pem: OK', 'leaf.pem: OK'])
    await switched()
    await follow()
    expect([server('root'), server('root-2')]).toEqual(['leaf.pem: OK', 'leaf.pem: OK'])
    const second = issued(await (await openAuthorityOf(ports, named('issuing-2'))).issue(requestOf('sensor-2'), ACTOR))
    const device = (trust: string, { record, der }: typeof first): string => verify(named(trust), der, chainOf(record.issuer, cas()), 'sslclient')
    expect([device('root', first), device('root-2', second)]).toEqual(['leaf.pem: OK', 'leaf.pem: OK'])
    expect(() => device('root', second)).toThrow('unable to get')
    expect(() => device('root-2', first)).toThrow('unable to get')
    await place.make(to('root', 'retired'), to('issuing-1', 'retired'))
    await follow()
    expect([server('root'), server('root-2')]).toEqual(['leaf.pem: OK', 'leaf.pem: OK'])
  })
})

describe('the door in a rotation', () => {
  const door = () => openTrust(cas().filter(({ state }) => state !== 'created').map((ca) => ({ ...ca, retired: ca.state === 'retired' })))
  const judged = (leaf: Uint8Array, ...chain: readonly Uint8Array[]): string => {
    const path = door().judge([leaf, ...chain], place.now)
    return path.allow ? `by ${path.value.issuer}` : path.reason
  }

  test('takes each CA from trust to retirement, and says of a retired one that it is retired', async () => {
    const first = issued(await (await openAuthorityOf(ports, named('issuing-1'))).issue(requestOf('sensor-1'), ACTOR)).der
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await switched()
    const second = issued(await (await openAuthorityOf(ports, named('issuing-2'))).issue(requestOf('sensor-2'), ACTOR)).der
    expect([judged(first, named('issuing-1').der), judged(second, named('issuing-2').der)]).toEqual(['by issuing-1', 'by issuing-2'])
    await place.make(to('issuing-1', 'retired'))
    expect(judged(first, named('issuing-1').der)).toBe('certificate-issuer-retired')
    await place.make(to('root', 'retired'))
    expect([judged(first, named('issuing-1').der), judged(second, named('issuing-2').der)]).toEqual(['certificate-issuer-retired', 'by issuing-2'])
    expect([door().roleOf(ISSUING), door().roleOf('issuing-2' as CaName)]).toEqual([undefined, 'issuing'])
  })

  test('lets nobody back in with the certificate by which the new root vouched for the old one', async () => {
    const first = issued(await (await openAuthorityOf(ports, named('issuing-1'))).issue(requestOf('sensor-1'), ACTOR)).der
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    await switched()
    await place.make(to('issuing-1', 'retired'), to('root', 'retired'))
    const link = place.registry.crossCertificates().find(({ issuer }) => issuer === 'root-2')!.der
    expect(judged(first, named('issuing-1').der, link)).toBe('certificate-issuer-retired')
    // T05: whoever has the key of the old root makes a CA with it, and shows the way to the new root.
    const facts = parsed(named('root').der)
    const stolen = { key: await openKey(ports, openVault(ports), named('root')), subject: bytes(facts.subjectDerHex), keyId: bytes(facts.subjectKeyId ?? ''), der: bytes(Buffer.from(named('root').der).toString('hex')) }
    const forged = makeCa({ name: 'Issuing 9', under: stolen, pathLength: 0 })
    const leaf = makeLeaf({ under: forged })
    expect(judged(leaf, forged.der, link)).toBe('certificate-path-length')
    expect(judged(leaf, forged.der)).toBe('certificate-issuer-retired')
  })

  test('refuses a leaf that claims the other CA as its issuer, whatever chain it shows', async () => {
    const first = issued(await (await openAuthorityOf(ports, named('issuing-1'))).issue(requestOf('sensor-1'), ACTOR)).der
    await trusted()
    await switched()
    expect(judged(first, named('issuing-2').der)).toBe('tls-chain-incomplete')
    expect(judged(first, named('issuing-2').der, named('issuing-1').der)).toBe('by issuing-1')
    const other = makeCa({ name: 'Acme Issuing 2' })
    expect(judged(first, other.der)).toBe('tls-chain-incomplete')
  })

  test('T29: cross-signed roots are no loop', async () => {
    const first = issued(await (await openAuthorityOf(ports, named('issuing-1'))).issue(requestOf('sensor-1'), ACTOR)).der
    await trusted()
    await crossSign(ports, named('root'), named('root-2'), undefined)
    const links = place.registry.crossCertificates().map(({ der }) => der)
    expect(judged(first, named('issuing-1').der, ...links)).toBe('by issuing-1')
    expect(judged(first, named('issuing-1').der, links[1]!, links[0]!)).toBe('by issuing-1')
    expect(openTrust([]).judge([first, named('issuing-1').der, ...links], place.now)).toMatchObject({ allow: false, reason: 'tls-untrusted-issuer' })
  })

  test('two CAs may have one serial number: each certificate is known by its issuer, too', async () => {
    await trusted()
    await switched()
    const same = { ...ports, random: (count: number) => new Uint8Array(count).fill(7) }
    const one = issued(await (await openAuthorityOf(same, named('issuing-1'))).issue(requestOf('sensor-1'), ACTOR)).record
    const two = issued(await (await openAuthorityOf(same, named('issuing-2'))).issue(requestOf('sensor-2'), ACTOR)).record
    expect(one.serial).toBe(two.serial)
    await place.make({ kind: 'certificate-revoked', issuer: one.issuer, serial: one.serial, at: place.now, reason: 'keyCompromise' })
    expect(place.registry.certificatesBySerial(one.serial).map(({ issuer, state, device }) => [issuer, state, device])).toEqual([['issuing-1', 'revoked', 'sensor-1'], ['issuing-2', 'active', 'sensor-2']])
  })
})

describe('a root whose key is elsewhere', () => {
  const passphrase = 'of the ceremony'
  let exported: string
  beforeEach(async () => {
    const key = await openKey(ports, openVault(ports), named('root'))
    exported = await sealKey(key, Buffer.from(passphrase))
    writeFileSync(local('root.pk8'), key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }))
    rmSync(local('root.key'))
  })

  test('is not needed to start, to issue, to renew and to revoke', async () => {
    place.reopen()
    ports = genesisPorts(place, ['new.example'])
    const { authority } = await openOrganisation(ports)
    const { record } = issued(await authority.issue(requestOf('sensor-1'), ACTOR))
    await place.make({ kind: 'certificate-revoked', issuer: record.issuer, serial: record.serial, at: place.now, reason: 'unspecified' })
    expect(new X509Certificate(chainIn('server/cert.pem')[0]!).subjectAltName).toContain('new.example')
  })

  test('is lent for one step, sealed or as PEM, and is not kept', async () => {
    await expect(makeSuccessor(ports, { root: false, loan: undefined })).rejects.toMatchObject({ code: 'refused', reason: 'ca-key-missing', fix: expect.stringContaining('--root-key') })
    expect(states()).toBe('issuing-1 current, root current')
    expect(await makeSuccessor(ports, { root: false, loan: { text: exported, passphrase } })).toEqual(['issuing-2'])
    expect(existsSync(local('root.key'))).toBe(false)
    await place.make(to('issuing-2', 'retired'))
    expect(await makeSuccessor(ports, { root: false, loan: { text: readFileSync(local('root.pk8'), 'utf8'), passphrase } })).toEqual(['issuing-3'])
  })

  test('cannot be replaced by another key, and is not opened by another passphrase', async () => {
    const lend = (text: string, opens: string | undefined) => makeSuccessor(ports, { root: false, loan: { text, passphrase: opens } })
    await expect(lend(await sealKey(generateKey('P-256'), Buffer.from(passphrase)), passphrase)).rejects.toMatchObject({ reason: 'ca-key-not-exported' })
    await expect(lend(exported, 'wrong')).rejects.toMatchObject({ code: 'passphrase-wrong' })
    await expect(lend(exported, undefined)).rejects.toMatchObject({ code: 'passphrase-wrong' })
    await expect(lend('no key', passphrase)).rejects.toMatchObject({ code: 'key-unreadable' })
    expect(states()).toBe('issuing-1 current, root current')
  })

  test('is not needed for a new root; it is for the two to vouch for each other', async () => {
    await trusted()
    await expect(crossSign(ports, named('root'), named('root-2'), undefined)).rejects.toMatchObject({ reason: 'ca-key-missing' })
    expect(await crossSign(ports, named('root'), named('root-2'), { text: exported, passphrase })).toBe(2)
  })
})

describe('a CA that is signed elsewhere', () => {
  const csrKey = async () => {
    const { csr } = await requestIssuing(ports)
    const read = parseCsr(csr)
    if (!read.allow) throw new Error(read.reason)
    return Uint8Array.from(read.value.spki)
  }
  const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('')
  const elsewhere = makeCa({ name: 'Elsewhere Root', pathLength: 1 })
  const signed = async () => makeCa({ name: 'Elsewhere Issuing', under: elsewhere, pathLength: 0, keyId: keyIdOf(await csrKey()) }, { spki: await csrKey() })

  test('is asked for with a key that stays here: the same one when it is asked for again', async () => {
    expect(await csrKey()).toEqual(await csrKey())
    expect((await requestIssuing(ports)).ca).toBe('issuing-2')
    expect(keyFileOf('issuing-2' as CaName)).toBe('issuing-2.key')
    expect(states()).toBe('issuing-1 current, root current')
  })

  test('is taken in with its root, and the server stays with the CA whose root devices know until that is retired', async () => {
    const ca = await signed()
    expect(await importIssuing(ports, { cert: pem(ca.der), chain: pem(elsewhere.der) })).toEqual(['root-2', 'issuing-2'])
    await place.make(to('root-2', 'trusted'), to('issuing-2', 'trusted'))
    await switched()
    expect(issuerOfServer(cas(), [])?.name).toBe('issuing-1')
    await place.make(to('root', 'retired'), to('issuing-1', 'retired'))
    expect(issuerOfServer(cas(), [])?.name).toBe('issuing-2')
    const { record } = issued(await (await openAuthorityOf(ports, named('issuing-2'))).issue(requestOf('sensor-1'), ACTOR))
    expect(record.issuer).toBe('issuing-2')
  })

  test('is refused for another key, without its chain, when it is no CA, or when nothing was asked for', async () => {
    await expect(importIssuing(ports, { cert: pem(elsewhere.der) })).rejects.toMatchObject({ reason: 'ca-step', message: expect.stringContaining('no request') })
    const ca = await signed()
    await expect(importIssuing(ports, { cert: pem(makeCa({ name: 'Other', under: elsewhere, pathLength: 0 }).der), chain: pem(elsewhere.der) })).rejects.toMatchObject({ code: 'certificate-unusable', message: expect.stringContaining('key') })
    await expect(importIssuing(ports, { cert: pem(ca.der) })).rejects.toMatchObject({ message: expect.stringContaining('above this CA is missing') })
    await expect(importIssuing(ports, { cert: pem(ca.der), chain: pem(makeCa({ name: 'Elsewhere Root', pathLength: 1 }).der) })).rejects.toMatchObject({ message: expect.stringContaining('not signed') })
    await expect(importIssuing(ports, { cert: 'x' })).rejects.toMatchObject({ code: 'certificate-unusable' })
    expect(states()).toBe('issuing-1 current, root current')
  })
})

const bytes = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex, 'hex'))

const generateSpki = (): Uint8Array => spkiOf(generateKey('P-256'))

function parsed(der: Uint8Array) {
  const facts = parseCertificate(der)
  if (!facts.allow) throw new Error(facts.reason)
  return facts.value
}
