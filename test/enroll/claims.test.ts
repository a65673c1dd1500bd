// Certificates at the enrollment door in place of a secret: of a claim, and of a manufacturer. Real TLS, a real home, a real CA, and for
// every way in the nearest that is shut.

import type { KeyObject } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ClaimMade, NewToken } from '../../src/core/enrollment-desk.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type SerialNumber, type TokenName } from '../../src/core/ids.ts'
import { DEFAULT_ENROLL } from '../../src/core/enroll-rules.ts'
import { DEFAULT_RENEWAL } from '../../src/core/renewal.ts'
import type { ManufacturerRule } from '../../src/core/token.ts'
import { ownCas, trustOfDoors } from '../../src/door-material.ts'
import { openEnrollServer, type EnrollServer } from '../../src/enroll/server.ts'
import { openEnrollments } from '../../src/enrollments.ts'
import { recordForeignCas, type ForeignCa } from '../../src/foreign.ts'
import { openRenewal } from '../../src/renewal.ts'
import { openTrust, type Trust } from '../../src/x509/chain.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { keyHash } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { ask, device, group, newKey, openHouse, type Answered, type Credential, type House } from '../http/house.ts'
import { time, utf8, type Bytes } from '../x509/asn1.ts'
import { attribute, cn, EKU, extKeyUsage, makeCa, makeLeaf, makeRequest, name, spkiOf, type Ca, type LeafOptions } from '../x509/forge.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const CERTIFIED = '200 certificate'
const between = (from: number, to: number): { readonly notBefore: Bytes; readonly notAfter: Bytes } => ({ notBefore: time(Date.now() + from), notAfter: time(Date.now() + to) })
const LONG = between(-DAY, 900 * DAY)
const factory = makeCa({ name: 'Factory' }, LONG)
/** Below the root that is trusted, and not listed itself. */
const plant = makeCa({ name: 'Plant', under: factory }, LONG)
const dead = makeCa({ name: 'Dead factory' }, between(-DAY, -HOUR))
/** Trusted, and admitted by no rule. */
const idle = makeCa({ name: 'Idle' }, LONG)
const unlisted = makeCa({ name: 'Unlisted' }, LONG)
/** Our impostor: what Factory is called, with another key. */
const lookalike = makeCa({ name: 'Factory' }, LONG)

let house: House
let server: EnrollServer
let count = 0
let ahead = 0
/** Done whenever the door looks at the clock: that is in the middle of a request. */
let meanwhile: (() => void) | undefined
/** In place of what is trusted. */
let trusted: Trust | undefined

const foreign = (called: string, ca: Ca): ForeignCa => ({ name: called as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: ca.der, spkiSha256: keyHash(spkiOf(ca.key)), enrollsOnly: true })
const FOREIGN = [foreign('factory', factory), foreign('dead', dead), foreign('idle', idle)]

beforeAll(async () => {
  house = await openHouse()
  const { home, organisation } = house
  await recordForeignCas(home, FOREIGN)
  const file = (called: string): string => readFileSync(path.join(house.folder, 'certs/local/server', called), 'utf8')
  const clock = (): number => {
    meanwhile?.()
    return Date.now() + ahead
  }
  const renewal = openRenewal({ registry: home.registry, view: home.view, authority: organisation.authority, clock, rules: () => DEFAULT_RENEWAL, log: () => {} })
  server = await openEnrollServer({
    listen: { host: '127.0.0.1', port: 0 }, tls: { key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] },
    enrollments: openEnrollments({ home, authority: organisation.authority, renewal, trust: () => trusted ?? trustOfDoors(home, FOREIGN).enrollment, rules: () => DEFAULT_ENROLL, clock }),
    audit: home.audit, clock, log: () => {},
  })
})
beforeEach(() => {
  ahead = 0
  meanwhile = undefined
  trusted = undefined
})
afterAll(async () => {
  await server.close()
  await house[Symbol.asyncDispose]()
})

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const nextId = (prefix = 'd'): DeviceId => device(`${prefix}-${++count}`)
async function known(prefix?: string): Promise<DeviceId> {
  const id = nextId(prefix)
  await house.desk().addDevice({ id, groups: [], attributes: {} })
  return id
}
const tokenOf = (more: Partial<NewToken> & Pick<NewToken, 'target'>): NewToken => ({ register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs: HOUR, ...more })

interface Claim extends ClaimMade {
  readonly credential: Omit<Credential, 'serial'>
  readonly key: KeyObject
}
async function claimFor(more: Partial<NewToken> & Pick<NewToken, 'target'>, key: KeyObject = newKey()): Promise<Claim> {
  const made = await house.desk().createClaim(tokenOf(more), makeCsr(key, 'claim'))
  return { ...made, key, credential: { cert: made.certificate + made.chain.join(''), key: pemOf(key) } }
}

/** Where fifty ask at once from: what one address may ask would not last for them and for all other tests of this file. */
const CROWD = '127.0.0.3'

function post(csr: Bytes, credential: Omit<Credential, 'serial'> | undefined, { said, operation = 'simpleenroll', localAddress }: { readonly said?: string; readonly operation?: string; readonly localAddress?: string } = {}): Promise<Answered> {
  return ask(`https://127.0.0.1:${server.address.port}`, house.root, {
    method: 'POST', path: `/.well-known/est/${operation}`, body: Buffer.from(csr).toString('base64'), ...(credential === undefined ? {} : { credential }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(said === undefined ? {} : { headers: { authorization: `Basic ${Buffer.from(`${said}:`).toString('base64')}` } }),
  })
}
const request = (id: string, key: KeyObject = newKey(), more: Parameters<typeof makeRequest>[1] = {}): Bytes => makeRequest(key, { subject: name(cn(id)), ...more })
const nameless = (key: KeyObject = newKey()): Bytes => makeRequest(key, { subject: name() })
const outcome = ({ status, headers }: Answered): string => `${status} ${String(headers['sallyport-reason'] ?? 'certificate')}`
const enroll = async (...args: Parameters<typeof post>): Promise<string> => outcome(await post(...args))
const certificatesOf = (id: DeviceId) => house.home.registry.certificates({ device: id }).items
const usesOf = (token: TokenName): number | undefined => house.home.registry.token(token)?.uses
function pemIn({ text }: Answered): string {
  const { stdout } = spawnSync('openssl', ['pkcs7', '-inform', 'DER', '-print_certs'], { input: Buffer.from(text, 'base64'), encoding: 'utf8' })
  return `-----BEGIN CERTIFICATE-----${stdout.split('-----BEGIN CERTIFICATE-----')[1]}`
}
const subjectOf = (answer: Answered): string => new X509Certificate(pemIn(answer)).subject

describe('the certificate of a claim', () => {
  test('enrolls the device that the request names, or the user name; both must be one', async () => {
    const [id, other] = [await known('line'), await known('line')]
    const { name: token, serial, credential } = await claimFor({ target: { pattern: 'line-*' }, uses: 9 })
    expect(subjectOf(await post(request(id), credential))).toBe(`CN=${id}`)
    expect(await enroll(request(other), credential, { said: id })).toBe('403 csr-name-mismatch')
    expect(await enroll(nameless(), credential)).toBe('400 device-id-invalid')
    expect(await enroll(nameless(), credential, { said: other })).toBe(CERTIFIED)
    expect(certificatesOf(id)).toMatchObject([{ through: token, state: 'active', profile: 'device' }])
    expect(house.home.registry.journal({ by: 'claim', name: token }).items.map((entry) => entry.device)).toEqual([id, other])
    await house.home.audit.flush()
    const used = (await house.home.audit.tail(50)).find((record) => JSON.stringify(record).includes('"token-used"') && JSON.stringify(record).includes(id))
    expect(used).toMatchObject({ x509: { serial_number: serial }, detail: { token } })
  })

  test('says what it is and when it ends, and is nobody\'s device', async () => {
    const { certificate, expiresAt, name: token, serial } = await claimFor({ target: { pattern: 'line-*' }, lifeMs: HOUR })
    const read = new X509Certificate(certificate)
    expect(read.subject).toBe(`CN=claim ${token}`)
    expect(read.validToDate.getTime()).toBe(expiresAt)
    expect(await house.desk().certificate(serial)).toMatchObject({ profile: 'claim', through: token, state: 'active' })
  })

  test('registers devices where it may, in its groups, and nowhere else', async () => {
    const id = nextId('line')
    const { credential } = await claimFor({ target: { pattern: 'line-*' }, uses: 2 })
    expect(await enroll(request(id), credential)).toBe('403 device-unknown')
    const { credential: registers } = await claimFor({ target: { pattern: 'line-*' }, uses: 2, register: true, groups: [group('press')] })
    expect(await enroll(request(id), registers)).toBe(CERTIFIED)
    expect(house.home.registry.device(id)).toMatchObject({ groups: ['press'], state: 'active' })
  })

  test('not for a request that was signed with another key, and no use is lost (E01)', async () => {
    const id = await known('line')
    const { credential, name: token } = await claimFor({ target: { device: id } })
    const key = newKey()
    expect(await enroll(request(id, key, { signWith: newKey() }), credential)).toBe('400 csr-signature-invalid')
    expect([certificatesOf(id), usesOf(token)]).toEqual([[], 0])
    expect(await enroll(request(id, key), credential)).toBe(CERTIFIED)
  })

  test('not for the device of another line (E02), nor for the key of the claim itself', async () => {
    const [id, other] = [await known('line'), await known('other')]
    const { credential, key } = await claimFor({ target: { pattern: 'line-*' }, uses: 5 })
    expect(await enroll(request(other), credential)).toBe('403 token-device')
    expect(await enroll(request(other), credential, { said: id })).toBe('403 csr-name-mismatch')
    expect(await enroll(request(id, key), credential)).toBe('409 key-in-use')
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
  })

  test('as often as was said, and again for who has lost the answer (E03, E22)', async () => {
    const [id, other] = [await known('line'), await known('line')]
    const { credential, name: token } = await claimFor({ target: { pattern: 'line-*' } })
    const csr = request(id)
    const first = await post(csr, credential)
    expect((await post(csr, credential)).text).toBe(first.text)
    expect(await enroll(request(other), credential)).toBe('403 token-used-up')
    expect(usesOf(token)).toBe(1)
  })

  test('once, when fifty devices ask at the same time for its one use (E04)', async () => {
    const { credential, name: token } = await claimFor({ target: { pattern: 'line-*' }, register: true })
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => enroll(request(nextId('line')), credential, { localAddress: CROWD })))
    expect(outcomes.filter((o) => o === CERTIFIED)).toHaveLength(1)
    expect(new Set(outcomes)).toEqual(new Set([CERTIFIED, '403 token-used-up']))
    expect(house.home.registry.certificates({ through: token, profile: 'device' }).items).toHaveLength(1)
  })

  test('one for a device, when fifty keys ask for it at the same time', async () => {
    const id = await known('line')
    const { credential } = await claimFor({ target: { pattern: 'line-*' }, uses: 100 })
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => enroll(request(id), credential, { localAddress: CROWD })))
    expect(outcomes.filter((o) => o === CERTIFIED)).toHaveLength(1)
    expect(outcomes.filter((o) => o === '409 certificates-limit' || o === '409 device-enrolled')).toHaveLength(49)
    expect(certificatesOf(id)).toHaveLength(1)
  })

  test('not after its end, to the millisecond, and not from elsewhere (E05)', async () => {
    const id = await known('line')
    const { credential, expiresAt } = await claimFor({ target: { device: id }, networks: ['127.0.0.0/8'] })
    const { credential: elsewhere } = await claimFor({ target: { device: id }, networks: ['10.0.0.0/8'] })
    expect(await enroll(request(id), elsewhere)).toBe('403 token-source')
    ahead = expiresAt - Date.now() + 1
    expect(await enroll(request(id), credential)).toBe('403 certificate-expired')
    ahead = 0
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
  })

  test('suspended and revoked it is refused at once; resumed it is not', async () => {
    const id = await known('line')
    const { credential, name: token, serial } = await claimFor({ target: { device: id }, uses: 2 })
    await house.desk().suspendToken(token, true)
    expect(await enroll(request(id), credential)).toBe('403 token-suspended')
    await house.desk().suspendToken(token, false)
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
    await house.desk().revokeToken(token)
    expect(await enroll(request(id), credential)).toBe('403 certificate-revoked')
    expect(await house.desk().certificate(serial)).toMatchObject({ state: 'revoked', revocationReason: 'cessationOfOperation' })
    await expect(house.desk().suspendToken(token, false)).rejects.toMatchObject({ reason: 'state-transition' })
    expect(certificatesOf(id)[0]).toMatchObject({ state: 'active' })
  })

  test('its certificate alone can be revoked, as a key that was stolen (E18)', async () => {
    const id = await known('line')
    const { credential, serial } = await claimFor({ target: { device: id } })
    await house.desk().revoke({ serial }, 'keyCompromise')
    expect(await enroll(request(id), credential)).toBe('403 certificate-revoked')
  })

  test('gives nothing from the moment at which its revocation is answered, to who asked a moment before either', async () => {
    const id = nextId('line')
    const { credential, serial } = await claimFor({ target: { pattern: 'line-*' }, register: true, uses: 9 })
    // The registration of the device is a commit of its own: between it and the plan there is time.
    const stop = house.home.view.onChange((change) => {
      if (change.kind === 'device-added' && change.device.id === id) revoked = house.desk().revoke({ serial }, 'keyCompromise')
    })
    let revoked: Promise<unknown> | undefined
    const answer = await enroll(request(id), credential)
    stop()
    await revoked
    expect([revoked === undefined, answer]).toEqual([false, '409 revision-conflict'])
    expect(certificatesOf(id)).toEqual([])
    expect(await enroll(request(id), credential)).toBe('403 certificate-revoked')
  })

  test('is none of a CA of ours that is retired', async () => {
    const id = await known('line')
    const { credential } = await claimFor({ target: { device: id } })
    trusted = openTrust(ownCas(house.home).map((ca) => ({ ...ca, retired: ca.role === 'issuing' })))
    expect(await enroll(request(id), credential)).toBe('403 certificate-issuer-retired')
    trusted = undefined
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
  })

  test('opens nothing but simpleenroll; a certificate of the same profile without a claim opens nothing (E06)', async () => {
    const id = await known('line')
    const { credential } = await claimFor({ target: { device: id } })
    expect(await enroll(request(id), credential, { operation: 'simplereenroll' })).toBe('403 certificate-purpose')
    expect(await enroll(request(id), await house.issue('claim', 'by-hand'))).toBe('403 certificate-purpose')
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
  })

  test('waits for an operator where the claim says so, who says no for good', async () => {
    const [yes, no] = [await known('line'), await known('line')]
    const { credential, name: token } = await claimFor({ target: { pattern: 'line-*' }, approve: 'operator', uses: 2 })
    const [a, b] = [request(yes), request(no)]
    expect([await enroll(a, credential), await enroll(b, credential)]).toEqual(['202 enrollment-pending', '202 enrollment-pending'])
    const waiting = (await house.desk().enrollments({ limit: 100 })).items.filter((e) => e.token === token)
    for (const { id, device: of } of waiting) await house.desk().decideEnrollment(id, of === yes ? 'approved' : 'rejected')
    expect([await enroll(a, credential), await enroll(b, credential)]).toEqual([CERTIFIED, '403 enrollment-rejected'])
  })

  test('takes no device over that has a certificate, and brings none back that was revoked; a claim for that one device does', async () => {
    const { credential } = await claimFor({ target: { pattern: 'line-*' }, uses: 9 })
    const id = await known('line')
    const { serial } = await house.desk().enroll(id, makeCsr(newKey(), id))
    expect(await enroll(request(id), credential)).toBe('409 device-enrolled')
    await house.desk().revoke({ serial }, 'keyCompromise')
    expect(await enroll(request(id), credential)).toBe('409 device-enrolled')
    const { credential: forIt } = await claimFor({ target: { device: id } })
    expect(await enroll(request(id), forIt)).toBe(CERTIFIED)
  })

  test('gives a device that is out none', async () => {
    const { credential } = await claimFor({ target: { pattern: 'line-*' }, uses: 9, register: true })
    const id = await known('line')
    for (const [action, reason] of [['suspend', '403 device-suspended'], ['retire', '403 device-retired']] as const) {
      await house.desk().changeDevice(id, action)
      expect(await enroll(request(id), credential)).toBe(reason)
    }
  })

  test('is no secret: what everybody may know of its key is no token', async () => {
    const id = await known('line')
    const { name: token, key } = await claimFor({ target: { device: id } })
    const spki = Buffer.from(spkiOf(key))
    for (const secret of [spki.toString('latin1'), keyHash(spki), '']) {
      const basic = Buffer.from(`${id}:${token}${secret}`, 'latin1').toString('base64')
      const answer = await ask(`https://127.0.0.1:${server.address.port}`, house.root, { method: 'POST', path: '/.well-known/est/simpleenroll', body: Buffer.from(request(id)).toString('base64'), headers: { authorization: `Basic ${basic}` } })
      expect(outcome(answer)).toBe('401 token-unknown')
    }
  })

  test('is made whole or not at all: not for longer than its profile, for a weak request, or twice for one key', async () => {
    const tokens = (): number => house.home.registry.tokens({ limit: 500 }).items.length
    const { key } = await claimFor({ target: { pattern: 'line-*' } })
    const before = tokens()
    await expect(claimFor({ target: { pattern: 'line-*' }, lifeMs: 31 * DAY })).rejects.toMatchObject({ reason: 'request-invalid', message: expect.stringContaining('30 days') as string })
    await expect(claimFor({ target: { pattern: 'line-*' } }, key)).rejects.toMatchObject({ reason: 'key-in-use' })
    await expect(house.desk().createClaim(tokenOf({ target: { pattern: 'line-*' } }), encodePem('CERTIFICATE REQUEST', request('x', newKey(), { signWith: newKey() })))).rejects.toMatchObject({ reason: 'csr-signature-invalid' })
    await expect(house.desk().createClaim(tokenOf({ target: { pattern: 'line-*' } }), 'garbage')).rejects.toMatchObject({ reason: 'csr-malformed' })
    expect(tokens()).toBe(before)
    await claimFor({ target: { pattern: 'line-*' }, lifeMs: 30 * DAY })
    expect(tokens()).toBe(before + 1)
  })
})

describe('the certificate of a device at simpleenroll', () => {
  test('renews its own, and enrolls no other device, whichever way it is named (E06)', async () => {
    const [id, other] = [await known(), await known()]
    const credential = await house.device(nextId('own'))
    const own = house.home.registry.certificatesBySerial(credential.serial)[0]!.device!
    expect(await enroll(request(other), credential)).toBe('400 csr-subject-changed')
    expect(await enroll(request(own), credential, { said: other })).toBe('403 csr-name-mismatch')
    expect(await enroll(nameless(), credential, { said: id })).toBe('403 csr-name-mismatch')
    expect([certificatesOf(id), certificatesOf(other)]).toEqual([[], []])
    expect(await enroll(request(own), credential, { said: own })).toBe(CERTIFIED)
    expect(await enroll(request(own), credential)).toBe(CERTIFIED)
  })
})

describe('the certificate of a manufacturer', () => {
  const serialNumber = (text: string): Bytes => attribute('2.5.4.5', utf8(text))
  interface Factory {
    readonly subject?: Bytes
    readonly under?: Ca
    readonly leaf?: Partial<LeafOptions>
    readonly when?: ReturnType<typeof between>
    readonly chain?: readonly Ca[]
  }
  function fromFactory(called: string, { subject = name(cn(called)), under = factory, leaf = {}, when = LONG, chain = [] }: Factory = {}): Omit<Credential, 'serial'> {
    const key = newKey()
    const der = makeLeaf({ under, key, subject, ...leaf }, when)
    return { cert: [der, ...chain.map((ca) => ca.der)].map((each) => encodePem('CERTIFICATE', each)).join(''), key: pemOf(key) }
  }
  const admit = (more: Partial<NewToken>, rule: Partial<ManufacturerRule> = {}): Promise<TokenName> =>
    house.desk().admitManufacturer(tokenOf({ target: { pattern: 'F-*' }, uses: 1_000, register: true, ...more }), { ca: 'factory' as CaName, nameFrom: 'CN', prefix: '', ...rule }).then((made) => made.name)
  let rule: TokenName
  beforeAll(async () => {
    rule = await admit({ groups: [group('presses')] })
  })
  const nextF = (): DeviceId => nextId('F')

  test('enrolls the one device of its own name, by that name or by none, and again with the same key', async () => {
    const id = nextF()
    const credential = fromFactory(id)
    const csr = request(id)
    const first = await post(csr, credential)
    expect(subjectOf(first)).toBe(`CN=${id}`)
    expect((await post(csr, credential)).text).toBe(first.text)
    expect(house.home.registry.device(id)).toMatchObject({ groups: ['presses'] })
    expect(certificatesOf(id)).toMatchObject([{ through: rule, state: 'active' }])
    expect(house.home.registry.journal({ by: 'manufacturer' }).items.map((e) => e.device)).toContain(id)
    expect(await enroll(nameless(), fromFactory(nextF()))).toBe(CERTIFIED)
    const named = nextF()
    expect(await enroll(nameless(), fromFactory(named), { said: named })).toBe(CERTIFIED)
  })

  test('enrolls no other device, whichever way it is named (E02)', async () => {
    const [id, other] = [nextF(), nextF()]
    const credential = fromFactory(id)
    expect(await enroll(request(other), credential)).toBe('403 csr-name-mismatch')
    expect(await enroll(request(id), credential, { said: other })).toBe('403 token-device')
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
    expect(house.home.registry.device(other)).toBeUndefined()
  })

  test('enrolls it once: another key needs an operator\'s word for this device (E03)', async () => {
    const id = nextF()
    const credential = fromFactory(id)
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
    expect(await enroll(request(id), credential)).toBe('409 device-enrolled')
    await house.desk().revoke({ device: id }, 'keyCompromise')
    expect(await enroll(request(id), credential)).toBe('409 device-enrolled')
    await admit({ target: { device: id } })
    expect(await enroll(request(id), credential)).toBe(CERTIFIED)
  })

  test('one certificate, when fifty keys ask at the same time (E04)', async () => {
    const id = nextF()
    const credential = fromFactory(id)
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => enroll(request(id), credential, { localAddress: CROWD })))
    expect(outcomes.filter((o) => o === CERTIFIED)).toHaveLength(1)
    expect(certificatesOf(id)).toHaveLength(1)
  })

  test('not for a request that was signed with another key (E01)', async () => {
    const id = nextF()
    expect(await enroll(request(id, newKey(), { signWith: newKey() }), fromFactory(id))).toBe('400 csr-signature-invalid')
    expect(house.home.registry.device(id)).toBeUndefined()
  })

  test('a request may have the name that the factory gave where ours is another', async () => {
    const made = await admit({ target: { pattern: 'acme-*' } }, { nameFrom: 'serialNumber', prefix: 'acme-' })
    const serial = `SN${++count}`
    const credential = fromFactory('', { subject: name(cn('Press 3000'), serialNumber(serial)) })
    const answer = await post(request('Press 3000'), credential)
    expect(subjectOf(answer)).toBe(`CN=acme-${serial}`)
    expect(certificatesOf(device(`acme-${serial}`))).toMatchObject([{ through: made }])
    expect(await enroll(request('Press 4000'), credential)).toBe('403 csr-name-mismatch')
  })

  test.each<[string, string, Factory]>([
    ['of a CA that nobody lists', '401 tls-untrusted-issuer', { under: unlisted }],
    ['of a CA that is listed and has no rule', '403 manufacturer-unregistered', { under: idle }],
    ['of a look-alike of the CA', '401 tls-signature-invalid', { under: lookalike }],
    ['of an intermediate that is not listed itself', '401 tls-untrusted-issuer', { under: plant, chain: [plant] }],
    ['of a CA that has expired', '403 certificate-expired', { under: dead }],
    ['that has expired', '403 certificate-expired', { when: between(-2 * DAY, -HOUR) }],
    ['that is not valid yet', '403 certificate-not-yet-valid', { when: between(HOUR, DAY) }],
    ['for servers', '403 certificate-usage-wrong', { leaf: { eku: extKeyUsage(EKU.server) } }],
    ['for anything', '403 certificate-usage-missing', { leaf: { eku: null } }],
    ['without a name', '403 certificate-subject-empty', { subject: name() }],
    ['with two names', '403 certificate-name-ambiguous', { subject: name(cn('F-a'), cn('F-b')) }],
    ['with a name that is none', '403 certificate-name-invalid', { subject: name(cn('F-1/+')) }],
    ['with a name that the rule does not fit', '403 token-device', { subject: name(cn('G-1')) }],
  ])('not one %s', async (_, refused, made) => {
    const id = nextF()
    expect(await enroll(request(id), fromFactory(id, made))).toBe(refused)
    expect(house.home.registry.device(id)).toBeUndefined()
  })

  test('nor one that signed itself with the name of a device, be it a CA or not', async () => {
    const id = nextF()
    const key = newKey()
    const self = makeCa({ name: id, key }, LONG)
    for (const der of [self.der, makeLeaf({ under: self, key, subject: self.subject }, LONG)]) {
      expect(await enroll(request(id), { cert: encodePem('CERTIFICATE', der), key: pemOf(key) })).toBe('401 tls-self-signed')
    }
  })

  test('gives a retired device none, nor one that nobody registered where only those may come', async () => {
    const id = nextF()
    await house.desk().addDevice({ id, groups: [], attributes: {} })
    await house.desk().changeDevice(id, 'retire')
    expect(await enroll(request(id), fromFactory(id))).toBe('403 device-retired')
    await admit({ target: { pattern: 'K-*' }, register: false })
    const [stranger, registered] = [nextId('K'), await known('K')]
    expect(await enroll(request(stranger), fromFactory(stranger))).toBe('403 device-unknown')
    expect(await enroll(request(registered), fromFactory(registered))).toBe(CERTIFIED)
  })

  test('of several rules the one for this device counts: expired, suspended and from elsewhere it says so', async () => {
    const made = await admit({ target: { pattern: 'M-*' }, networks: ['10.0.0.0/8'] })
    const id = nextId('M')
    expect(await enroll(request(id), fromFactory(id))).toBe('403 token-source')
    const other = await admit({ target: { pattern: 'M-*' }, lifeMs: HOUR })
    await house.desk().suspendToken(other, true)
    await house.desk().revokeToken(made)
    expect(await enroll(request(id), fromFactory(id))).toBe('403 token-suspended')
    await house.desk().suspendToken(other, false)
    ahead = 2 * HOUR
    expect(await enroll(request(id), fromFactory(id))).toBe('403 token-expired')
    ahead = 0
    expect(await enroll(request(id), fromFactory(id))).toBe(CERTIFIED)
  })

  test('waits for an operator where the rule says so, who sees which device it is', async () => {
    const made = await admit({ target: { pattern: 'W-*' }, approve: 'operator' })
    const id = nextId('W')
    const [credential, csr] = [fromFactory(id), request(id)]
    expect(await enroll(csr, credential)).toBe('202 enrollment-pending')
    const waiting = (await house.desk().enrollments({ limit: 100 })).items.find((e) => e.token === made)
    expect(waiting).toMatchObject({ device: id })
    await house.desk().decideEnrollment(waiting!.id, 'approved')
    expect(await enroll(csr, credential)).toBe(CERTIFIED)
  })

  test('renews nothing: what it enrolled is renewed with what it was given', async () => {
    const id = nextF()
    const [credential, key] = [fromFactory(id), newKey()]
    const own = { cert: pemIn(await post(request(id, key), credential)), key: pemOf(key) }
    expect(await enroll(request(id), credential, { operation: 'simplereenroll' })).toBe('403 certificate-unrecorded')
    expect(await enroll(request(id), own, { operation: 'simplereenroll' })).toBe(CERTIFIED)
    expect(certificatesOf(id).map((c) => c.through)).toEqual([rule, rule])
  })

  test('one that was revoked at the port of devices is none here', async () => {
    const id = nextF()
    await house.desk().addDevice({ id, groups: [], attributes: {} })
    const credential = fromFactory(id)
    const leaf = new X509Certificate(credential.cert)
    await house.home.registry.commit([{
      kind: 'certificate-observed', der: leaf.raw,
      certificate: { issuer: 'factory' as CaName, serial: leaf.serialNumber.toLowerCase() as SerialNumber, profile: 'device', device: id, state: 'active', spkiSha256: keyHash(leaf.publicKey.export({ type: 'spki', format: 'der' })), sha256: leaf.fingerprint256.replaceAll(':', '').toLowerCase() as never, notBefore: 0, notAfter: Date.now() + DAY, createdAt: Date.now() },
    }], [], [])
    const csr = request(id)
    let revoked: Promise<unknown> | undefined
    let looks = 0
    // By then its certificate has been judged.
    meanwhile = () => {
      if (++looks === 4) revoked = house.desk().revoke({ serial: leaf.serialNumber.toLowerCase() as SerialNumber }, 'keyCompromise')
    }
    expect(await enroll(csr, credential)).toBe('409 revision-conflict')
    await revoked
    expect(certificatesOf(id)).toMatchObject([{ state: 'revoked', issuer: 'factory' }])
    expect(await enroll(csr, credential)).toBe('403 certificate-revoked')
  })

  test('is admitted for a CA that is trusted, and for no other', async () => {
    await expect(admit({}, { ca: 'nobody' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
    await expect(admit({}, { ca: 'root' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
    await house.home.audit.flush()
    expect(JSON.stringify((await house.home.audit.tail(2_000)).find((record) => JSON.stringify(record).includes(`"token":"${rule}"`)))).toContain('"ca":"factory"')
  })
})
