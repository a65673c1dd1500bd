// Who comes in: from a finished handshake to a peer, over real TLS. Every certificate that is turned away is named in the
// audit log, with its subject, issuer and serial number, and beside each stands the one that comes in.

import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DenyReason } from '../../src/vocabulary.ts'
import { forgeIssuing, forgeLeaf, forgeRoot, lookalikeOf, type ForgedAuthority, type ForgedLeaf, type LeafWishes } from '../../device-sim/forge/authority.ts'
import { basicConstraints, keyUsage, pem, readCertificate, unpem } from '../../device-sim/forge/certificate.ts'
import { SIGNATURE_SCHEMES } from '../../device-sim/forge/client-hello.ts'
import { keyPem, privateKey } from '../../device-sim/forge/keys.ts'
import { certificateVerifyBody, openTls12 } from '../../device-sim/forge/tls12.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, openWire, tryConnect } from './wire.ts'

let house: House
let device: Identity
let issuing: ForgedAuthority

beforeAll(async () => {
  house = await openHouse()
  device = await house.device('device')
  issuing = await house.issuing()
})
afterEach(() => {
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const DAY = 86_400_000
const credential = (leaf: ForgedLeaf, ...chain: readonly Buffer[]): Identity => ({
  id: 'device', serial: '' as Identity['serial'], key: keyPem(leaf.key), cert: [leaf.certificate, ...chain].map((der) => pem('CERTIFICATE', der)).join(''),
})
/** Presents it and waits for the end. Not one MQTT byte may come. */
async function turnedAway(identity: Identity, reason: DenyReason): Promise<Awaited<ReturnType<House['refused']>>> {
  const wire = await openWire(house, identity, { version: 5 })
  wire.send(connectPacket(identity.id, 5))
  await wire.ended
  expect(wire.received).toEqual([])
  const refused = await house.refused(reason)
  expect(house.refusals()).toEqual([reason])
  return refused
}
const forged = (wishes: LeafWishes = {}, id = 'device'): Identity => credential(forgeLeaf(issuing, id, wishes), issuing.certificate)

describe('certificates of our own CA', () => {
  test('a recorded one comes in', async () => {
    const wire = await connected(house, device)
    expect(house.events.map((e) => e.kind).filter((kind) => kind !== 'connection-closed')).toEqual(['admission'])
    expect(house.events.find((e) => e.kind === 'admission')).toMatchObject({ device: 'device', serial: device.serial, issuer: 'issuing-1', protocol: 4, source: { address: '127.0.0.1' } })
    wire.end()
  })

  test('one that is well made and not recorded says that the CA key was used elsewhere; recorded, it comes in', async () => {
    const leaf = forgeLeaf(issuing, 'device')
    const refused = await turnedAway(credential(leaf, issuing.certificate), 'certificate-unrecorded')
    expect(refused).toMatchObject({ step: 'registry', claimed: 'device', presented: { subject: 'CN=device', serial: readCertificate(leaf.certificate).serial.toString('hex') } })
    expect(refused.presented?.issuer).toContain('CN=')
    expect(refused.presented?.sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(refused.device).toBeUndefined()
    await house.recordAs(leaf.certificate, 'device')
    ;(await connected(house, credential(leaf, issuing.certificate))).end()
  })

  test('recorded, of a CA that is bound to other devices: it is turned away, its session ends, and so is one that is not recorded; bound to it, it comes in', async () => {
    const other = await house.device('plant-8-a')
    const wire = await connected(house, other)
    house.forget()
    house.bind(['plant-7-*', 'device'])
    await wire.ended
    house.forget()
    expect(await turnedAway(other, 'certificate-name-constraints')).toMatchObject({ step: 'certificate', detail: 'plant-8-a is none of plant-7-*, device' })
    house.forget()
    await turnedAway(credential(forgeLeaf(issuing, 'plant-8-b'), issuing.certificate), 'certificate-name-constraints')
    house.forget()
    ;(await connected(house, device)).end()
    house.bind(['plant-8-*', 'device'])
    ;(await connected(house, other)).end()
    house.bind(undefined)
  })

  test.each<[string, LeafWishes, DenyReason]>([
    ['expired a second ago', { notBefore: Date.now() - DAY, notAfter: Date.now() - 1_000 }, 'certificate-expired'],
    ['expired a year ago', { notBefore: Date.now() - 400 * DAY, notAfter: Date.now() - 365 * DAY }, 'certificate-expired'],
    // The broker's clock runs ahead in these tests, by minutes.
    ['not valid for a day to come', { notBefore: Date.now() + DAY }, 'certificate-not-yet-valid'],
    ['for servers only', { extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'] }, 'certificate-usage-wrong'],
    ['for anything', { extendedKeyUsage: ['2.5.29.37.0'] }, 'certificate-usage-wrong'],
    ['for no usage at all', { extendedKeyUsage: null }, 'certificate-usage-missing'],
    ['of a CA', { basicConstraints: basicConstraints(true), keyUsage: keyUsage('digitalSignature', 'keyCertSign') }, 'certificate-is-ca'],
    ['without digitalSignature', { keyUsage: keyUsage('cRLSign') }, 'certificate-key-usage'],
    ['self-signed', { selfSigned: true }, 'tls-self-signed'],
    ['with a name that is no device id', { subject: [[{ type: '2.5.4.3', value: 'a/b' }]] }, 'certificate-name-invalid'],
    ['with two common names', { subject: [[{ type: '2.5.4.3', value: 'device' }], [{ type: '2.5.4.3', value: 'other' }]] }, 'certificate-name-ambiguous'],
    ['without a common name', { subject: [[{ type: '2.5.4.10', value: 'Org' }]] }, 'certificate-subject-empty'],
  ])('one that is %s is turned away with its reason', async (_, wishes, reason) => {
    const refused = await turnedAway(forged(wishes), reason)
    expect(refused.presented?.serial).toMatch(/^[0-9a-f]{2,}$/)
    expect(refused.presented?.subject).toBeDefined()
  })

  test('one that is recorded and has expired by our clock is turned away, a second before it comes in', async () => {
    const now = Date.now()
    const leaf = forgeLeaf(issuing, 'device', { notBefore: now - DAY, notAfter: now + 7 * DAY })
    await house.recordAs(leaf.certificate, 'device')
    const identity = credential(leaf, issuing.certificate)
    ;(await connected(house, identity)).end()
    house.forget()
    house.rest(7 * DAY + 60_000)
    await turnedAway(identity, 'certificate-expired')
    house.rest(-7 * DAY - 60_000)
  })

  test('a certificate of another purpose does not open this door', async () => {
    const operator = await house.organisation.authority.issue({ profile: 'operator', commonName: 'device', spki: (await import('../../src/x509/keys.ts')).spkiOf(forgeLeaf(issuing, 'x').key) }, { kind: 'local' })
    expect(operator.allow).toBe(true)
    const { cert, key } = { cert: house.home.paths.operator, key: house.home.paths.operator }
    const { readFileSync } = await import('node:fs')
    const refused = await turnedAway({ ...device, cert: readFileSync(`${cert}/cert.pem`, 'utf8'), key: readFileSync(`${key}/key.pem`, 'utf8') }, 'certificate-purpose')
    expect(refused.step).toBe('registry')
  })

  test('the serial of a recorded certificate on another certificate is a mismatch', async () => {
    const real = await house.device('real')
    const { forgeCertificate, subjectKeyId, authorityKeyId, keyIdentifier, extendedKeyUsage } = await import('../../device-sim/forge/certificate.ts')
    const { privateKey, spki } = await import('../../device-sim/forge/keys.ts')
    const key = privateKey()
    const model = readCertificate(forgeLeaf(issuing, 'real').certificate)
    const issuerKeyId = model.extensions.find((e) => e.id === '2.5.29.35')
    void authorityKeyId
    const certificate = forgeCertificate({
      subject: model.subject, issuer: model.issuer, serial: Buffer.from(real.serial, 'hex'), notBefore: Date.now() - 60_000, notAfter: Date.now() + DAY, spki: spki(key), signWith: issuing.key,
      extensions: [basicConstraints(false), keyUsage('digitalSignature'), extendedKeyUsage('1.3.6.1.5.5.7.3.2'), subjectKeyId(keyIdentifier(spki(key))), issuerKeyId!.der],
    })
    await turnedAway(credential({ certificate, key }, issuing.certificate), 'certificate-mismatch')
    ;(await connected(house, real)).end()
  })

  test('a chain without its intermediate is incomplete', async () => {
    const [leaf = ''] = device.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    await turnedAway({ ...device, cert: leaf }, 'tls-chain-incomplete')
  })
})

describe('a handshake that breaks off after the certificate was shown', () => {
  // Where the server has to wait behind the certificate, OpenSSL's complaint about the chain ends the handshake in Node; where
  // all comes at once, the chain is judged after it. `turns`: how long the client waits before each message.
  const shown = async (chain: readonly Buffer[], signWith: KeyObject, turns = 0): Promise<void> => {
    const verify = (transcript: Buffer): Buffer => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, signWith))
    const stopBefore = async (): Promise<boolean> => {
      for (let i = 0; i < turns; i++) await new Promise((resolve) => void setImmediate(resolve))
      return false
    }
    const result = await openTls12({ host: '127.0.0.1', port: house.port, chain, certificateVerify: verify, stopBefore })
    if (result.kind === 'established') result.connection.end()
  }

  test('is named for what is wrong with the certificate, however the bytes arrive', async () => {
    const [leaf = Buffer.alloc(0), ...above] = unpem(device.cert)
    const flipped = Buffer.from(leaf)
    flipped[flipped.length - 1]! ^= 1
    for (const turns of [0, 1, 10, 100, 1_000]) {
      await shown([flipped, ...above], createPrivateKey(device.key), turns)
      await house.refused('tls-signature-invalid')
      expect(house.refusals()).toEqual(['tls-signature-invalid'])
      house.forget()
    }
  })

  test('with a kind of key that TLS itself turns down is a weak key', async () => {
    const key = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey
    const leaf = forgeLeaf(issuing, 'device', { key })
    await shown([leaf.certificate, issuing.certificate], key)
    await house.refused('certificate-key-weak')
    expect(house.refusals()).toEqual(['certificate-key-weak'])
  })

  test('with a certificate that has nothing wrong in it is possession that was not proven', async () => {
    await shown(unpem(device.cert), privateKey())
    expect(await house.refused('tls-possession-unproven')).toMatchObject({ device: 'device' })
    expect(house.refusals()).toEqual(['tls-possession-unproven'])
  })
})

describe('certificates of strangers', () => {
  test('an unknown CA, with and without its chain', async () => {
    const root = forgeRoot('Stranger')
    const between = forgeIssuing(root, 'Stranger')
    const leaf = forgeLeaf(between, 'device')
    await turnedAway(credential(leaf), 'tls-untrusted-issuer')
    house.forget()
    const refused = await turnedAway(credential(leaf, between.certificate, root.certificate), 'tls-untrusted-issuer')
    expect(refused).toMatchObject({ step: 'tls', claimed: 'device', presented: { subject: 'CN=device', issuer: 'O=Stranger, CN=Stranger issuing' } })
  })
  test('a look-alike of our issuing CA: same name, key identifier and serial, another key', async () => {
    const alike = lookalikeOf(Buffer.from(house.organisation.issuing.der))
    const refused = await turnedAway(credential(forgeLeaf(alike, 'device'), alike.certificate), 'tls-signature-invalid')
    expect(refused.claimed).toBe('device')
  })
  test('a leaf that signs a leaf', async () => {
    const own = forgeLeaf(issuing, 'device')
    await turnedAway(credential(forgeLeaf({ certificate: own.certificate, key: own.key }, 'other'), own.certificate, issuing.certificate), 'certificate-issuer-not-ca')
  })
  test('a name with an escape sequence in it is printable in the log', async () => {
    const root = forgeRoot('Stranger')
    const refused = await turnedAway(credential(forgeLeaf(root, 'x', { subject: [[{ type: '2.5.4.3', value: 'a\u001b[31m\r\nCN=admin\u202e' }]] }), root.certificate), 'tls-untrusted-issuer')
    expect(JSON.stringify(refused)).not.toMatch(/\\u001b|\\r|\\n|\u202e/)
    expect(refused.presented?.subject).toContain('\\u{1b}')
  })
})

describe('a trusted foreign CA', () => {
  const factory = forgeRoot('Factory')
  const rule = (register: 'known' | 'auto'): string => HOUSE_POLICY.replace('version: 1', `version: 1\nidentity:\n  - { ca: factory, device: "\${cert.subject.CN}", idPattern: "^F-[0-9]+$", groups: ["sensors"], register: ${register} }`)

  beforeAll(() => house.trustAlso('factory', factory.certificate))

  test('register: known turns away a device that nobody registered, and observes the certificate of one that is', async () => {
    house.policy(rule('known'))
    const leaf = { ...credential(forgeLeaf(factory, 'F-1')), id: 'F-1' }
    expect(await tryConnect(house, leaf, connectPacket('F-1', 5), { version: 5 })).toBe(0x87)
    await house.refused('device-unknown')
    await house.home.registry.commit([{ kind: 'device-added', device: { id: 'F-1' as never, tenant: 'default' as never, groups: ['sensors' as never], attributes: {}, state: 'active', createdAt: 1, revision: 1 } }], [], [])
    ;(await connected(house, leaf, { version: 5 })).end()
    expect(house.home.view.certificatesOf('F-1' as never)).toHaveLength(1)
    ;(await connected(house, leaf, { version: 4 })).end()
    expect(house.home.view.certificatesOf('F-1' as never)).toHaveLength(1)
  })
  test('register: auto registers the device at first sight, with packets waiting behind the CONNECT; a name that does not fit stays out', async () => {
    house.policy(rule('auto'))
    const identity = { ...credential(forgeLeaf(factory, 'F-2')), id: 'F-2' }
    const wire = await openWire(house, identity, { version: 4 })
    wire.send(connectPacket('F-2', 4), { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/F-2/#', qos: 1 }] }, { cmd: 'pingreq' })
    expect((await wire.take('connack')).returnCode).toBe(0)
    expect((await wire.take('suback')).granted).toEqual([1])
    await wire.take('pingresp')
    wire.end()
    expect(house.home.view.device('F-2' as never)).toMatchObject({ groups: ['sensors'], state: 'active' })
    house.forget()
    await turnedAway({ ...credential(forgeLeaf(factory, 'X-2')), id: 'X-2' }, 'device-unknown')
  })
  test('an observed certificate can be revoked like any other', async () => {
    house.policy(rule('auto'))
    const identity = { ...credential(forgeLeaf(factory, 'F-3')), id: 'F-3' }
    const wire = await connected(house, identity, { version: 5 })
    const [record] = house.home.view.certificatesOf('F-3' as never)
    await house.home.registry.commit([{ kind: 'certificate-revoked', issuer: record!.issuer, serial: record!.serial, at: Date.now(), reason: 'keyCompromise' }], [], [])
    expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(await tryConnect(house, identity, connectPacket('F-3', 5), { version: 5 })).toBe(0x87)
  })
  test('does not speak for a device that has certificates of our own CA, not even revoked ones; for one that has none it does', async () => {
    house.policy(rule('auto'))
    const own = await house.device('F-40')
    const foreign = { ...credential(forgeLeaf(factory, 'F-40')), id: 'F-40' }
    expect(await tryConnect(house, foreign, connectPacket('F-40', 5), { version: 5 })).toBe(0x87)
    expect(await house.refused('device-issuer-mismatch')).toMatchObject({ step: 'registry', device: 'F-40', detail: expect.stringContaining('issuing-1') })
    ;(await connected(house, own)).end()
    await house.revoke(own)
    expect(await tryConnect(house, foreign, connectPacket('F-40', 5), { version: 5 })).toBe(0x87)
    expect(house.home.view.certificatesOf('F-40' as never)).toHaveLength(1)
    await house.home.registry.commit([{ kind: 'device-added', device: { id: 'F-41' as never, tenant: 'default' as never, groups: ['sensors' as never], attributes: {}, state: 'active', createdAt: 1, revision: 1 } }], [], [])
    ;(await connected(house, { ...credential(forgeLeaf(factory, 'F-41')), id: 'F-41' }, { version: 5 })).end()
  })
  test('a device of its own may be enrolled with our CA: that is an explicit act, and both certificates come in', async () => {
    house.policy(rule('auto'))
    const foreign = { ...credential(forgeLeaf(factory, 'F-42')), id: 'F-42' }
    ;(await connected(house, foreign, { version: 5 })).end()
    const own = await house.certify('F-42')
    house.forget()
    ;(await connected(house, own, { version: 5 })).end()
    ;(await connected(house, foreign, { version: 5 })).end()
    expect(house.events.flatMap((e) => (e.kind === 'admission' ? [e.issuer] : []))).toEqual(['issuing-1', 'factory'])
  })
  test('a device that may not connect is given no certificate, and no device more than two in force', async () => {
    house.policy(rule('auto'))
    const leaf = (id: string): Identity => ({ ...credential(forgeLeaf(factory, id)), id })
    ;(await connected(house, leaf('F-43'), { version: 5 })).end()
    await house.state('F-43', 'suspended')
    expect(await tryConnect(house, leaf('F-43'), connectPacket('F-43', 5), { version: 5 })).toBe(0x87)
    await house.refused('device-suspended')
    expect(house.home.view.certificatesOf('F-43' as never)).toHaveLength(1)
    await house.state('F-43', 'active')
    ;(await connected(house, leaf('F-43'), { version: 5 })).end()
    expect(await tryConnect(house, leaf('F-43'), connectPacket('F-43', 5), { version: 5 })).toBe(0x87)
    await house.refused('certificates-limit')
    expect(house.home.view.certificatesOf('F-43' as never)).toHaveLength(2)
  })
  test('out of trust, its sessions end and it is nobody; ours go on; in trust again, it comes in as before', async () => {
    house.policy(rule('auto'))
    const identity = { ...credential(forgeLeaf(factory, 'F-44')), id: 'F-44' }
    const [wire, ours] = [await connected(house, identity, { version: 5 }), await connected(house, device, { version: 5 })]
    house.forget()
    house.distrust('factory')
    expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(await house.heard((e) => e.kind === 'session-closed')).toMatchObject({ device: 'F-44', reason: 'tls-untrusted-issuer' })
    ours.send({ cmd: 'pingreq' })
    await ours.take('pingresp')
    ours.end()
    await turnedAway(identity, 'tls-untrusted-issuer')
    house.trustAlso('factory', factory.certificate)
    ;(await connected(house, identity, { version: 5 })).end()
  })
  test('a CONNECT that was waiting while its CA went out of trust is refused, and nothing is recorded for it', async () => {
    house.policy(rule('auto'))
    const seen = { ...credential(forgeLeaf(factory, 'F-45')), id: 'F-45' }
    const unseen = { ...credential(forgeLeaf(factory, 'F-46')), id: 'F-46' }
    ;(await connected(house, seen, { version: 5 })).end()
    // In TLS 1.2 the server speaks last: it knows the peer before the client is told.
    const waiting = await Promise.all([seen, unseen, device].map((identity) => openWire(house, identity, { version: 5, tls: { maxVersion: 'TLSv1.2' } })))
    house.distrust('factory')
    const [first, second, ours] = waiting
    first!.send(connectPacket('F-45', 5))
    second!.send(connectPacket('F-46', 5))
    ours!.send(connectPacket('device', 5))
    expect([(await first!.take('connack')).reasonCode, (await second!.take('connack')).reasonCode, (await ours!.take('connack')).reasonCode]).toEqual([0x87, 0x87, 0])
    for (const id of ['F-45', 'F-46']) await house.refused('tls-untrusted-issuer', (e) => e.device === id)
    expect(house.home.view.device('F-46' as never)).toBeUndefined()
    ours!.end()
    house.trustAlso('factory', factory.certificate)
  })
  test('its rule is asked at every connect and of every session: one that changed moves nobody to another device', async () => {
    house.policy(rule('auto'))
    const identity = { ...credential(forgeLeaf(factory, 'F-47')), id: 'F-47' }
    const wire = await connected(house, identity, { version: 5 })
    house.policy(rule('auto').replace('^F-[0-9]+$', '^F-[0-9]+$|x'))
    wire.send({ cmd: 'pingreq' })
    await wire.take('pingresp')
    house.forget()
    house.policy(rule('auto').replace('^F-', '^G-'))
    expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(await house.heard((e) => e.kind === 'session-closed')).toMatchObject({ device: 'F-47', reason: 'device-unknown' })
    await turnedAway(identity, 'device-unknown')
    house.policy(rule('auto').replace('^F-[0-9]+$', '.*').replace('"${cert.subject.CN}"', '"${cert.subject.CN}.x"'))
    house.forget()
    await turnedAway(identity, 'device-name-mismatch')
    house.policy(rule('auto'))
    ;(await connected(house, identity, { version: 5 })).end()
  })
  test('a rule that changed while a CONNECT was waiting holds for it', async () => {
    house.policy(rule('auto'))
    const identity = { ...credential(forgeLeaf(factory, 'F-48')), id: 'F-48' }
    const [kept, changed] = [await openWire(house, identity, { version: 5, tls: { maxVersion: 'TLSv1.2' } }), await openWire(house, identity, { version: 5, tls: { maxVersion: 'TLSv1.2' } })]
    kept.send(connectPacket('F-48', 5))
    expect((await kept.take('connack')).reasonCode).toBe(0)
    house.policy(HOUSE_POLICY)
    changed.send(connectPacket('F-48', 5))
    expect((await changed.take('connack')).reasonCode).toBe(0x87)
    await house.refused('device-unknown')
  })
  test('an intermediate of it signs for nobody before it is listed itself', async () => {
    house.policy(rule('auto'))
    const between = forgeIssuing(factory, 'Factory line')
    const identity = { ...credential(forgeLeaf(between, 'F-49'), between.certificate), id: 'F-49' }
    expect((await turnedAway(identity, 'tls-untrusted-issuer')).detail).toContain('list the intermediate itself')
    house.policy(rule('auto').replace('ca: factory', 'ca: line'))
    house.trustAlso('line', between.certificate)
    ;(await connected(house, identity, { version: 5 })).end()
    house.distrust('line')
  })
  test('without an identity rule its devices are nobody', async () => {
    house.policy(HOUSE_POLICY)
    await turnedAway({ ...credential(forgeLeaf(factory, 'F-9')), id: 'F-9' }, 'device-unknown')
  })
})

describe('the source gate', () => {
  test('turns an address away before TLS, and lets it in again at its rate', async () => {
    await using small = await openHouse({ sourceRate: { perSecond: 1, burst: 3 } })
    const identity = await small.device('device')
    for (let i = 0; i < 3; i++) (await connected(small, identity)).end()
    const wire = await openWire(small, identity)
    await wire.ended
    const refused = await small.refused('source-rate')
    expect(refused).toMatchObject({ step: 'source', source: { address: '127.0.0.1' } })
    expect(refused.presented).toBeUndefined()
    small.rest()
    ;(await connected(small, identity)).end()
  })
})

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a resumed session of %s', (version) => {
  test('is judged as any other: it serves a device in force, and opens nothing for a revoked one', async () => {
    await using resuming = await openHouse({ resumption: true })
    const identity = await resuming.device('resumed')
    const options = { minVersion: version, maxVersion: version }
    const first = tls.connect({ host: '127.0.0.1', port: resuming.port, ca: resuming.root, cert: identity.cert, key: identity.key, servername: 'localhost', ...options })
    first.on('error', () => {})
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    const again = await openWire(resuming, identity, { tls: { ...options, session } })
    again.send(connectPacket('resumed', 4))
    expect((await again.take('connack')).returnCode).toBe(0)
    expect(again.socket.isSessionReused()).toBe(true)
    again.end()
    await resuming.revoke(identity)
    // Without its certificate, too: the ticket is all it has.
    for (const shown of [identity, undefined]) {
      const wire = await openWire(resuming, shown, { tls: { ...options, session } })
      wire.send(connectPacket('resumed', 4))
      const connack = await wire.take('connack').catch(() => undefined)
      expect(connack?.returnCode ?? 5).toBe(5)
      await wire.ended
    }
    await resuming.refused('certificate-revoked', (e) => e.device === 'resumed')
  })
})
