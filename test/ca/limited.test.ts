// A CA that may not name everybody: by the ids that it is recorded with, by its own certificate, by that of its root. What it issues,
// openssl, GnuTLS and Java accept; what its stolen key would sign beyond its unit, they refuse, and so does our door.

import { createHash, X509Certificate } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openAuthorityOf, openOrganisation } from '../../src/ca/genesis.ts'
import { importCa } from '../../src/ca/import.ts'
import { openPassphrase, unsealKey } from '../../src/ca/key-file.ts'
import { importIssuing, makeSuccessor, requestIssuing } from '../../src/ca/rotate.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { CaName, DeviceId, TokenName } from '../../src/core/ids.ts'
import type { CaRecord } from '../../src/core/registry.ts'
import { openEnrollmentDoor, passwordToken } from '../../src/enrollment-desk.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { openTrust } from '../../src/x509/chain.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { encodeUnit } from '../../src/x509/names.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { has } from '../e2e/program.ts'
import { cn, DAY, makeLeaf, name, NOW, O, attribute, type Ca } from '../x509/forge.ts'
import { time, utf8, type Bytes } from '../x509/asn1.ts'
import { openssl, type OpenSsl } from '../x509/openssl.ts'
import { ACTOR, addDevice, genesisPorts, issued, openPlace, reasonOf, requestOf, type Place } from './organisation.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let place: Place
beforeEach(() => {
  place = openPlace()
})
afterEach(() => place[Symbol.dispose]())

const named = (ca: string): CaRecord => place.registry.cas().find(({ name: each }) => each === ca)!
const switchTo = async (ca: string): Promise<void> => place.make({ kind: 'ca-state', name: 'issuing-1' as CaName, state: 'replaced', at: NOW }, { kind: 'ca-state', name: ca as CaName, state: 'trusted', at: NOW }, { kind: 'ca-state', name: ca as CaName, state: 'current', at: NOW })
const subjectOf = (der: Uint8Array): string => new X509Certificate(der).subject.replaceAll('\n', ', ')
const OU = '2.5.4.11'

/** The second issuing CA of an organisation, limited so, and current. */
async function limited(limits: { readonly ids?: readonly string[]; readonly unit?: string }) {
  const ports = genesisPorts(place, ['mqtt.example'])
  await openOrganisation(ports)
  await makeSuccessor(ports, { root: false, loan: undefined, ids: limits.ids, permitted: limits.unit === undefined ? undefined : encodeUnit('Acme', limits.unit) })
  await switchTo('issuing-2')
  await place.make(addDevice('plant-7-a'), addDevice('plant-8-a'))
  return { ports, authority: await openAuthorityOf(ports, named('issuing-2')) }
}

describe('ids', () => {
  test('what it may not name is refused before anything is planned, and what it may name is issued', async () => {
    const { authority } = await limited({ ids: ['plant-7-*'] })
    const before = place.registry.certificates({ limit: 100 }).items.length
    expect(await authority.issue(requestOf('plant-8-a'), ACTOR)).toEqual({ allow: false, reason: 'ca-name-outside', detail: 'plant-8-a is none of plant-7-*' })
    expect(place.registry.certificates({ limit: 100 }).items).toHaveLength(before)
    const { der } = issued(await authority.issue(requestOf('plant-7-a'), ACTOR))
    expect(subjectOf(der)).toBe('CN=plant-7-a')
  })

  test('a token registers no device that the CA may not name, and is not used up by asking', async () => {
    const { authority } = await limited({ ids: ['plant-7-*'] })
    const secret = passwordToken('plant-8-a' as DeviceId, { text: 'Zq4-vT9w-Lm2x-Rk7p', lifeMs: DAY }, NOW)
    if (!secret.allow) throw new Error(secret.reason)
    const { password: _, ...token } = { ...secret.value, target: { pattern: 'plant-*' }, register: true, uses: 0, usesMax: 1 }
    const text = 'ABCDEFGHJKMNPQRSTVWXYZ0123'
    await place.make({ kind: 'token-added', token: { ...token, name: 'TTTTTTTT' as TokenName, proof: { kind: 'secret', sha256: createHash('sha256').update(text).digest('hex') } } })
    const door = openEnrollmentDoor({ registry: place.registry, authority, clock: () => NOW })
    const show = async (id: string): Promise<string> => {
      const key = generateKey('P-256')
      const answer = await door.withToken({ token: `TTTTTTTT-${text}`, csr: Buffer.from(makeCsr(key, id).split('\n').slice(1, -2).join(''), 'base64'), source: { address: '127.0.0.1', port: 1 } })
      return answer.allow ? 'certificate' : answer.reason
    }
    expect(await show('plant-9-new')).toBe('ca-name-outside')
    expect(place.registry.device('plant-9-new' as DeviceId)).toBeUndefined()
    expect(place.registry.token('TTTTTTTT' as TokenName)?.uses).toBe(0)
    expect(await show('plant-7-new')).toBe('certificate')
  })

  test('operators, the server and responders are no devices, and are issued as before', async () => {
    const { authority } = await limited({ ids: ['plant-7-*'] })
    const { device: _, ...other } = requestOf('plant-8-a')
    for (const profile of ['operator', 'server', 'ocsp-responder', 'claim'] as const) expect(reasonOf(await authority.issue({ ...other, profile, spki: requestOf('x').spki }, ACTOR))).toBe('issued')
  })

  test('they are recorded with the CA and its audit record, outlive a restart, and cannot be changed', async () => {
    await limited({ ids: ['plant-7-*', 'spare'] })
    place.reopen()
    expect(named('issuing-2').ids).toEqual(['plant-7-*', 'spare'])
    expect(named('issuing-1')).not.toHaveProperty('ids')
    const said = place.registry.audit.waiting(0, 1_000).map(({ event }) => event).filter(({ kind }) => kind === 'ca-added')
    expect(said.at(-1)).toMatchObject({ ca: 'issuing-2', ids: ['plant-7-*', 'spare'] })
  })

  test('the door takes a certificate of another id from it for what it is', async () => {
    const { authority } = await limited({ ids: ['plant-7-*'] })
    const { der } = issued(await authority.issue(requestOf('plant-7-a'), ACTOR))
    const trust = openTrust(place.registry.cas())
    expect(trust.judge([der, named('issuing-2').der], NOW).allow).toBe(true)
    expect(trust.judgeId('issuing-2' as CaName, 'plant-7-a').allow).toBe(true)
    expect(trust.judgeId('issuing-2' as CaName, 'plant-8-a')).toMatchObject({ reason: 'certificate-name-constraints' })
    expect(trust.judgeId('issuing-1' as CaName, 'plant-8-a').allow).toBe(true)
  })
})

/** What a CA signs whose key somebody else has. */
async function stolen(ca: string): Promise<Ca> {
  const local = place.dir.file('local')
  const key = await unsealKey(readFileSync(path.join(local, `${ca}.key`), 'utf8'), openPassphrase(path.join(local, 'passphrase'), false), ca)
  const { der } = named(ca)
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw new Error(parsed.detail)
  const bytes = (hex: string): Bytes => Uint8Array.from(Buffer.from(hex, 'hex'))
  return { key, subject: bytes(parsed.value.subjectDerHex), keyId: bytes(parsed.value.subjectKeyId!), der: Uint8Array.from(der) }
}

const JAVA = `
import java.io.*; import java.security.cert.*; import java.util.*;
public class Check {
  static X509Certificate read(String f) throws Exception { try (InputStream in = new FileInputStream(f)) { return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in); } }
  public static void main(String[] a) throws Exception {
    PKIXParameters p = new PKIXParameters(Set.of(new TrustAnchor(read("root.pem"), null)));
    p.setRevocationEnabled(false);
    for (int i = 0; i < a.length; i++) try { CertPathValidator.getInstance("PKIX").validate(CertificateFactory.getInstance("X.509").generateCertPath(List.of(read(a[i]), read("issuing.pem"))), p); System.out.println(a[i] + " VALID"); }
    catch (CertPathValidatorException e) { System.out.println(a[i] + " REFUSED " + e.getReason()); }
  }
}`

describe('a unit', () => {
  test('is in every subject of the CA, critically the only one that its certificate permits, and inherited by nobody by itself', async () => {
    const { authority, ports } = await limited({ unit: 'plant-7' })
    const { der } = issued(await authority.issue(requestOf('plant-7-a'), ACTOR))
    expect(subjectOf(der)).toBe('O=Acme, OU=plant-7, CN=plant-7-a')
    const trust = openTrust(place.registry.cas())
    expect(trust.judge([der, named('issuing-2').der], NOW).allow).toBe(true)
    await makeSuccessor(ports, { root: false, loan: undefined })
    expect(Buffer.from(named('issuing-3').der).includes(Buffer.from('0603551d1e0101ff', 'hex'))).toBe(false)
    expect(Buffer.from(named('issuing-2').der).includes(Buffer.from('0603551d1e0101ff', 'hex'))).toBe(true)
  })

  test('what is signed beyond it our door refuses by the name, and what is within it for not being recorded', async () => {
    await limited({ unit: 'plant-7' })
    const ca = await stolen('issuing-2')
    const trust = openTrust(place.registry.cas())
    const signed = (subject: Bytes): string => {
      const judged = trust.judge([makeLeaf({ under: ca, subject }), ca.der], NOW)
      return judged.allow ? 'a path' : judged.reason
    }
    expect(signed(name(attribute(O, utf8('Acme')), attribute(OU, utf8('plant-7')), cn('d')))).toBe('a path')
    expect(signed(name(attribute(O, utf8('Acme')), attribute(OU, utf8('plant-8')), cn('d')))).toBe('certificate-name-constraints')
    expect(signed(name(cn('d')))).toBe('certificate-name-constraints')
  })

  describe.skipIf(!has('openssl') || !has('certtool') || !has('javac'))('to others (needs openssl, certtool and javac)', () => {
    test('what it issues is valid; of its stolen key, another unit and no unit are refused, and another id of its unit is not: that is our own rule', async () => {
      // certtool knows no other time than now.
      place.now = Date.now()
      const { authority } = await limited({ ids: ['plant-7-*'], unit: 'plant-7' })
      const ca = await stolen('issuing-2')
      const unit = (ou: string, id: string): Bytes => name(attribute(O, utf8('Acme')), attribute(OU, utf8(ou)), cn(id))
      const below = (subject: Bytes): Bytes => makeLeaf({ under: ca, subject }, { notBefore: time(place.now - DAY), notAfter: time(place.now + DAY) })
      const files: Readonly<Record<string, Uint8Array>> = {
        root: named('root').der, issuing: ca.der,
        ours: issued(await authority.issue(requestOf('plant-7-a'), ACTOR)).der,
        otherId: below(unit('plant-7', 'plant-8-a')), otherUnit: below(unit('plant-8', 'plant-8-a')), noUnit: below(name(cn('plant-7-a'))),
      }
      for (const [file, der] of Object.entries(files)) writeFileSync(place.dir.file(`${file}.pem`), encodePem('CERTIFICATE', der))
      const run = (tool: string, ...args: readonly string[]): string => {
        const { stdout, stderr } = spawnSync(tool, args, { cwd: place.dir.path, encoding: 'utf8', timeout: 60_000 })
        return stdout + stderr
      }
      const leaves = ['ours', 'otherId', 'otherUnit', 'noUnit'] as const
      const byOpenssl = leaves.map((leaf) => /permitted subtree violation|: OK$/m.exec(run('openssl', 'verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', `${leaf}.pem`))?.[0])
      expect(byOpenssl).toEqual([': OK', ': OK', 'permitted subtree violation', 'permitted subtree violation'])
      // GnuTLS 3.7 takes the critical extension, and judges no directory name by it (docs/ca.md): of it no more is asked than that it accepts ours.
      writeFileSync(place.dir.file('chain.pem'), encodePem('CERTIFICATE', files['ours']!) + encodePem('CERTIFICATE', ca.der))
      expect(run('certtool', '--verify', '--load-ca-certificate', 'root.pem', '--infile', 'chain.pem')).toContain('Chain verification output: Verified.')
      writeFileSync(place.dir.file('Check.java'), JAVA)
      expect(run('javac', 'Check.java')).toBe('')
      expect(run('java', 'Check', ...leaves.map((leaf) => `${leaf}.pem`)).trim().split('\n')).toEqual(['ours.pem VALID', 'otherId.pem VALID', 'otherUnit.pem REFUSED INVALID_NAME', 'noUnit.pem REFUSED INVALID_NAME'])
    }, 120_000)
  })
})

describe.skipIf(!has('openssl'))('T25: CAs that openssl made with name constraints (needs openssl)', () => {
  let run: OpenSsl
  beforeEach(() => {
    run = openssl()
    // A minute ahead: of what openssl makes now, nothing is of the future.
    place.now = Date.now() + 60_000
    run('req', '-x509', ...KEY, '-keyout', 'root.key', '-out', 'root.pem', '-subj', '/O=Corporate/CN=Root', '-days', '3650', '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
  })
  afterEach(() => run[Symbol.dispose]())

  /** An issuing CA with these constraints, in the lines of openssl's configuration. */
  function constrained(constraints: readonly string[]): { readonly cert: string; readonly key: string; readonly chain: string } {
    run('req', '-new', ...KEY, '-keyout', 'ca.key', '-out', 'ca.csr', '-subj', '/O=Corporate/CN=Issuing')
    run.write('ca.ext', ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid:always', 'nameConstraints=critical,@nc', '[nc]', ...constraints, '[plant]', 'O=Corporate', 'OU=Plant 7', '[cn]', 'CN=plant', '[two]', 'O=Corporate', '+OU=Plant 7'].join('\n'))
    run('x509', '-req', '-in', 'ca.csr', '-CA', 'root.pem', '-CAkey', 'root.key', '-extfile', 'ca.ext', '-out', 'ca.pem', '-days', '3000')
    const text = (file: string): string => Buffer.from(run.read(file)).toString()
    return { cert: text('ca.pem'), key: text('ca.key'), chain: text('root.pem') }
  }
  const ports = () => genesisPorts(place, ['mqtt.example'])
  const at = (): string => String(Math.floor(place.now / 1_000))

  test.each<[string, readonly string[], string]>([
    ['a directory name', ['permitted;dirName=plant'], 'O=Corporate, OU=Plant 7, CN=sensor-1'],
    ['a directory name, and the hosts of the server', ['permitted;dirName=plant', 'permitted;DNS.1=mqtt.example', 'permitted;DNS.2=localhost', 'permitted;IP.1=127.0.0.1/255.255.255.255', 'permitted;IP.2=::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], 'O=Corporate, OU=Plant 7, CN=sensor-1'],
    ['excluded names of others', ['excluded;DNS=other.example', 'excluded;dirName=plant'], 'CN=sensor-1'],
    ['mail, of which there is none', ['permitted;email=corporate.example'], 'CN=sensor-1'],
  ])('%s: it is imported, and what it issues our door and openssl accept', async (_, constraints, subject) => {
    const source = constrained(constraints)
    await importCa(source, ports())
    const { authority } = await openOrganisation(ports())
    await place.make(addDevice('sensor-1'))
    const { der } = issued(await authority.issue(requestOf('sensor-1'), ACTOR))
    expect(subjectOf(der)).toBe(subject)
    expect(openTrust(place.registry.cas()).judge([der, named('issuing-1').der], place.now).allow).toBe(true)
    for (const [file, pem] of [['leaf.pem', encodePem('CERTIFICATE', der)], ['server.pem', readFileSync(path.join(place.dir.file('local'), 'server/cert.pem'), 'utf8')], ['operator.pem', readFileSync(path.join(place.dir.file('local'), 'operator/cert.pem'), 'utf8')]] as const) {
      run.write(file, pem)
      expect(run('verify', '-x509_strict', '-attime', at(), '-CAfile', 'root.pem', '-untrusted', 'ca.pem', file)).toContain('OK')
    }
  })

  test.each<[string, readonly string[], string]>([
    ['other hosts than ours', ['permitted;DNS=other.example'], 'The name constraints of this CA leave no room for sallyport server'],
    ['no addresses', ['excluded;IP.1=0.0.0.0/0.0.0.0'], 'The name constraints of this CA leave no room for sallyport server'],
    ['a place below a common name', ['permitted;dirName=cn'], 'no place for a device: certificate-name-ambiguous'],
    ['a place below an RDN of two attributes', ['permitted;dirName=two'], 'no place for a device: certificate-name-ambiguous'],
  ])('%s: it is refused before anything is written', async (_, constraints, sentence) => {
    const source = constrained(constraints)
    const failure: unknown = await importCa(source, ports()).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(SallyportError)
    expect((failure as Error).message).toContain(sentence)
    expect(place.registry.cas()).toEqual([])
  })

  test('constraints of the root count for what the CA below it issues', async () => {
    run.write('root.cnf', ['[req]', 'distinguished_name=dn', '[dn]', '[ext]', 'basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash', 'nameConstraints=critical,permitted;dirName:plant', '[plant]', 'O=Corporate', 'OU=Plant 7'].join('\n'))
    run('req', '-x509', ...KEY, '-config', 'root.cnf', '-extensions', 'ext', '-keyout', 'narrow.key', '-out', 'narrow.pem', '-subj', '/O=Corporate/OU=Plant 7/CN=Root', '-days', '3650')
    const text = (file: string): string => Buffer.from(run.read(file)).toString()
    await importCa({ cert: text('narrow.pem'), key: text('narrow.key') }, ports())
    const { authority } = await openOrganisation(ports())
    await place.make(addDevice('sensor-1'))
    const { der } = issued(await authority.issue(requestOf('sensor-1'), ACTOR))
    expect(subjectOf(der)).toBe('O=Corporate, OU=Plant 7, CN=sensor-1')
    run.write('leaf.pem', encodePem('CERTIFICATE', der))
    run.write('ca.pem', encodePem('CERTIFICATE', named('issuing-1').der))
    expect(run('verify', '-x509_strict', '-attime', at(), '-CAfile', 'narrow.pem', '-untrusted', 'ca.pem', 'leaf.pem')).toContain('OK')
  })

  test('the next CA, requested here and signed there, keeps the ids of the one before unless it is given others', async () => {
    await openOrganisation(ports())
    await requestIssuing(ports())
    const { csr } = await requestIssuing(ports())
    run.write('next.csr', csr)
    run.write('next.ext', ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid:always', 'nameConstraints=critical,permitted;DNS:other.example'].join('\n'))
    run('x509', '-req', '-in', 'next.csr', '-CA', 'root.pem', '-CAkey', 'root.key', '-extfile', 'next.ext', '-out', 'next.pem', '-days', '3000')
    const text = (file: string): string => Buffer.from(run.read(file)).toString()
    await expect(importIssuing(ports(), { cert: text('next.pem'), chain: text('root.pem') })).rejects.toMatchObject({ code: 'certificate-unusable' })
    run.write('next.ext', ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid:always'].join('\n'))
    run('x509', '-req', '-in', 'next.csr', '-CA', 'root.pem', '-CAkey', 'root.key', '-extfile', 'next.ext', '-out', 'next.pem', '-days', '3000')
    await importIssuing(ports(), { cert: text('next.pem'), chain: text('root.pem') }, ['plant-7-*'])
    expect(named('issuing-2').ids).toEqual(['plant-7-*'])
  })
})

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const
