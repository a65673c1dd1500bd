// Everything that the program signs, linted: each kind of certificate at times before and after 2050, the CRLs and OCSP responses of a
// running server, and that they point to where it listens. openssl is the second judge. That the lint finds faults is tested, too.

import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { request } from 'node:http'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openAuthorityOf, openOrganisation } from '../../src/ca/genesis.ts'
import { crossSign, makeSuccessor } from '../../src/ca/rotate.ts'
import type { CaRecord } from '../../src/core/registry.ts'
import { encodeUnit } from '../../src/x509/names.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { has, Program } from '../e2e/program.ts'
import { explicit, generalizedTime, hex as bytesOf, implicit, octets, oid, seq, small, type Bytes } from '../x509/asn1.ts'
import { altNames, basicConstraints, extension, keyUsage, makeCa, makeLeaf, subjectKeyId, uri, authorityKeyId, spkiOf, newKey, extKeyUsage, EKU, type Plan } from '../x509/forge.ts'
import { issuerOf, lintCertificate, lintCrl, lintOcsp, pointsOf, type Door, type LintedKind } from '../x509/lint.ts'
import { openssl } from '../x509/openssl.ts'
import { ACTOR, addDevice, genesisPorts, issued, openPlace, requestOf, type Place } from './organisation.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

const URL_OF = 'http://pki.example'

interface Made {
  readonly place: Place
  readonly kinds: readonly (readonly [LintedKind, Uint8Array, CaRecord, Door | undefined])[]
  readonly root: CaRecord
  readonly issuing: CaRecord
}

/** An organisation of that day, and one certificate of each kind. */
async function make(now: number, door: boolean): Promise<Made> {
  const place = openPlace()
  place.now = now
  const ports = { ...genesisPorts(place, ['broker.example', '2001:db8::1']), ...(door ? { door: { url: URL_OF, crlShards: 1 } } : {}) }
  const { root, issuing, authority } = await openOrganisation(ports)
  await place.make(addDevice('device-1'))
  const { device: _, ...other } = requestOf('device-1')
  const leaves = [] as (readonly [LintedKind, Uint8Array, CaRecord, Door | undefined])[]
  const points = door ? { url: URL_OF, issuer: 'issuing-1', crl: 'issuing-1.crl' } : undefined
  leaves.push(['device', issued(await authority.issue(requestOf('device-1'), ACTOR)).der, issuing, points])
  for (const profile of ['claim', 'ocsp-responder'] as const) leaves.push([profile, issued(await authority.issue({ ...other, profile, organization: 'Acme', commonName: profile, spki: spkiOf(newKey()) }, ACTOR)).der, issuing, points])
  for (const kind of ['server', 'operator'] as const) leaves.push([kind, new X509Certificate(readFileSync(path.join(place.dir.file('local'), kind, 'cert.pem'))).raw, issuing, points])
  await makeSuccessor(ports, { root: true, loan: undefined, permitted: encodeUnit('Acme', 'plant-7') })
  const named = (name: string): CaRecord => place.registry.cas().find((ca) => ca.name === name)!
  await crossSign(ports, root, named('root-2'), undefined)
  const crosses = place.registry.crossCertificates().map(({ issuer, der }) => ['cross', der, named(issuer), undefined] as const)
  await place.make({ kind: 'ca-state', name: 'issuing-1' as never, state: 'replaced', at: now }, { kind: 'ca-state', name: 'issuing-2' as never, state: 'trusted', at: now }, { kind: 'ca-state', name: 'issuing-2' as never, state: 'current', at: now })
  const bound = issued(await (await openAuthorityOf(ports, named('issuing-2'))).issue(requestOf('device-1'), ACTOR)).der
  return {
    place, root, issuing,
    kinds: [['root', root.der, root, undefined], ['root', named('root-2').der, named('root-2'), undefined], ['issuing', issuing.der, root, undefined], ['issuing', named('issuing-2').der, named('root-2'), undefined], ...crosses, ...leaves,
      ['device', bound, named('issuing-2'), points === undefined ? undefined : { ...points, issuer: 'issuing-2', crl: 'issuing-2.crl' }]],
  }
}

describe.each([['2026', Date.UTC(2026, 5, 1)], ['the last second of 2049', Date.UTC(2049, 11, 31, 23, 59, 59)], ['2060', Date.UTC(2060, 1, 29)]])('in %s', (_, now) => {
  test.each([true, false])('every kind of certificate is as it must be; with a public door (%s)', async (door) => {
    const made = await make(now, door)
    using _place = made.place
    expect(made.kinds.map(([kind]) => kind).toSorted()).toEqual(['claim', 'cross', 'cross', 'device', 'device', 'issuing', 'issuing', 'ocsp-responder', 'operator', 'root', 'root', 'server'])
    for (const [kind, der, issuer, points] of made.kinds) expect(lintCertificate(der, kind, issuer.der, points), kind).toEqual([])
  }, 60_000)

  test.skipIf(!has('openssl'))('openssl verifies each strictly, and reads it to its end (needs openssl)', async () => {
    const made = await make(now, true)
    using _place = made.place
    using run = openssl()
    for (const [i, [kind, der, issuer]] of made.kinds.entries()) {
      const above = made.kinds.find(([each, of]) => (each === 'root') && new X509Certificate(issuer.der).checkIssued(new X509Certificate(of)) && new X509Certificate(issuer.der).verify(new X509Certificate(of).publicKey))?.[1] ?? issuer.der
      run.write('root.pem', encodePem('CERTIFICATE', above))
      run.write('above.pem', encodePem('CERTIFICATE', issuer.der))
      run.write('it.pem', encodePem('CERTIFICATE', der))
      expect(run('verify', '-x509_strict', '-attime', String(Math.floor(now / 1_000)), '-CAfile', 'root.pem', '-untrusted', 'above.pem', 'it.pem'), `${kind} ${i}`).toBe('it.pem: OK\n')
      const text = run('x509', '-in', 'it.pem', '-noout', '-text')
      expect(text).toContain('Version: 3 (0x2)')
      expect(text).not.toMatch(/<Not Supported>|Bad time value|unable to/i)
      expect(run('asn1parse', '-in', 'it.pem').length).toBeGreaterThan(500)
    }
  }, 120_000)
})

describe('the lint itself finds', () => {
  const root = makeCa({ name: 'Root', pathLength: 1 })
  const sha256Id = (key: ReturnType<typeof newKey>): Bytes => Uint8Array.from(createHash('sha256').update(spkiOf(key).subarray(26)).digest().subarray(0, 20))
  const key = newKey()
  const good = { basic: basicConstraints(false), ids: [subjectKeyId(sha256Id(key)), authorityKeyId(root.keyId)] as const }
  const leaf = (options: Partial<Parameters<typeof makeLeaf>[0]> = {}, change: Partial<Plan> = {}): readonly string[] => lintCertificate(makeLeaf({ under: root, key, basic: good.basic, keyIds: good.ids, ...options }, { serial: bytesOf('0210407f00112233445566778899aabbccdd'), ...change }), 'device', root.der)

  test('nothing in a good one', () => expect(leaf()).toEqual([]))

  test.each<[string, Parameters<typeof leaf>, string]>([
    ['a GeneralizedTime before 2050', [{}, { notAfter: generalizedTime('20300120120000Z') }], 'notAfter is of the wrong type for its year'],
    ['a time with a fraction', [{}, { notAfter: generalizedTime('20500120120000.5Z') }], 'notAfter is no time in whole seconds and Z'],
    ['a serial number of zero', [{}, { serial: small(0) }], 'the serial number is not positive'],
    ['a short serial number', [{}, { serial: small(7) }], 'the serial number has less than 64 bits'],
    ['a serial number that is not the shortest', [{}, { serial: bytesOf('021100407f00112233445566778899aabbccdd') }], 'an INTEGER that is not the shortest'],
    ['version 1', [{}, { version: null }], 'it is not of version 3 with the fields of RFC 5280 §4.1'],
    ['two algorithms', [{}, { outerAlgorithm: seq(oid('1.2.840.10045.4.3.3')) }], 'two signature algorithms'],
    ['basic constraints that are not critical', [{ basic: extension('2.5.29.19', seq()) }], 'extension 2.5.29.19 is not critical'],
    ['an explicit FALSE', [{ basic: extension('2.5.29.19', seq(bytesOf('010100')), true) }], 'basic constraints are 00'],
    ['a CA', [{ basic: basicConstraints(true) }], 'basic constraints are ff'],
    ['another key usage', [{ usage: keyUsage('keyEncipherment') }], 'key usage'],
    ['no extended key usage', [{ eku: null }], 'extension 2.5.29.37 is missing'],
    ['another one', [{ eku: extKeyUsage(EKU.server) }], 'extended key usage'],
    ['a critical one', [{ eku: extension('2.5.29.37', seq(oid(EKU.client)), true) }], 'extension 2.5.29.37 is critical'],
    ['another key identifier', [{ keyIds: [subjectKeyId(bytesOf('00')), good.ids[1]] }], 'the subject key identifier is another one'],
    ['another authority', [{ keyIds: [good.ids[0], authorityKeyId(bytesOf('00'))] }], 'the authority key identifier is not the subject key identifier of the issuer'],
    ['an extension twice', [{ more: [basicConstraints(false)] }], 'extension 2.5.29.19 is there twice'],
    ['an extension that does not belong there', [{ more: [altNames(uri('urn:x'))] }], 'extension 2.5.29.17 does not belong there'],
    ['a pointer that nobody asked for', [{ more: [extension('2.5.29.31', seq(seq(explicit(0, explicit(0, uri('http://x/y'))))))] }], 'it points to http://x/y'],
    ['an empty subject', [{ subject: seq() }], 'the subject is empty'],
    ['an end beyond that of its issuer', [{}, { notAfter: generalizedTime('21000120120000Z') }], 'it is valid beyond its issuer'],
  ])('%s', (__, wishes, problem) => {
    expect(leaf(...wishes)).toContain(problem)
  })

  test('bytes that are no DER', () => {
    const der = Buffer.from(makeLeaf({ under: root }))
    expect(lintCertificate(Buffer.concat([der, Buffer.from([0])]), 'device', root.der)).toContain('bytes behind the end')
    expect(lintCertificate(seq(bytesOf('30820001'), octets(bytesOf('00'))), 'device', root.der)).toContain('a length that is not the shortest')
    expect(lintCrl(implicit(0, bytesOf('00')), root.der)).toContain('it is not of version 2 with the fields of RFC 5280 §5.1')
    expect(lintOcsp(seq(bytesOf('0a0101')), root.der)).toContain('it is no successful basic response')
  })
})

describe('a running server', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    writeFileSync(path.join(program.home, 'sallyport.yaml'), `pki: { url: ${URL_OF}, crlShards: 4 }\n`)
    await program.serve()
    for (const id of ['good', 'gone', 'held']) program.device(id)
    program.run('cert', 'revoke', '--device', 'gone', '--yes', '--reason', 'keyCompromise')
    program.run('device', 'suspend', 'held', '--yes')
  }, 60_000)
  afterAll(() => program[Symbol.asyncDispose]())

  /** What is behind a URL that a certificate has, at the port where the server listens. */
  function fetched(url: string, body?: Uint8Array): Promise<{ readonly status: number; readonly body: Buffer }> {
    expect(url.startsWith(`${URL_OF}/`)).toBe(true)
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: program.endpoints.pki.port, path: url.slice(URL_OF.length), method: body === undefined ? 'GET' : 'POST', headers: body === undefined ? {} : { 'content-type': 'application/ocsp-request' } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
      })
      sent.once('error', reject)
      sent.end(body)
    })
  }
  const der = (file: string): Uint8Array => new X509Certificate(readFileSync(path.join(program.home, file))).raw

  test('certificates, lists and answers are as they must be, and point to each other', async () => {
    const [root, issuing] = [der('certs/local/root.pem'), der('certs/local/issuing.pem')]
    for (const [kind, file] of [['server', 'certs/local/server/cert.pem'], ['operator', 'certs/local/operator/cert.pem'], ['device', 'bundles/good/device.pem'], ['device', 'bundles/gone/device.pem']] as const) {
      const it = der(file)
      const { serial, uris } = pointsOf(it)
      const shard = (Number.parseInt(serial.slice(-4), 16) % 4) + 1
      expect(lintCertificate(it, kind, issuing, { url: URL_OF, issuer: 'issuing-1', crl: `issuing-1-${shard}of4.crl` }), file).toEqual([])
      const [ocsp = '', ca = '', crl = ''] = uris
      expect((await fetched(ca)).body).toEqual(Buffer.from(issuing))
      await expect.poll(async () => (await fetched(crl)).status).toBe(200)
      expect(lintCrl((await fetched(crl)).body, issuing, crl), crl).toEqual([])
      const nonce = bytesOf(`0410${randomBytes(16).toString('hex')}`)
      const { subject, keyBits } = issuerOf(issuing)
      const hashed = (bytes: Uint8Array): Bytes => octets(Uint8Array.from(createHash('sha256').update(bytes).digest()))
      const id = seq(seq(oid('2.16.840.1.101.3.4.2.1')), hashed(subject), hashed(keyBits), bytesOf(`02${(serial.length / 2).toString(16).padStart(2, '0')}${serial}`))
      expect(lintOcsp((await fetched(ocsp, seq(seq(seq(seq(id)))))).body, issuing)).toEqual([])
      expect(lintOcsp((await fetched(ocsp, seq(seq(seq(seq(id)), explicit(2, seq(extension('1.3.6.1.5.5.7.48.1.2', nonce))))))).body, issuing, nonce.subarray(2))).toEqual([])
    }
    for (const [name, ca] of [['issuing-1', issuing], ['root', root]] as const) {
      await expect.poll(async () => lintCrl((await fetched(`${URL_OF}/crl/${name}.crl`)).body, ca)).toEqual([])
    }
  }, 60_000)
})
