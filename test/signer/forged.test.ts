// The signer spoken to as a program that was taken over would: over its own pipe, with requests that the journal does not bear.
// Each stands beside the nearest one that is signed.

import { once } from 'node:events'
import { randomBytes, X509Certificate, type KeyObject } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ISSUING, keyFileOf, openOrganisation } from '../../src/ca/genesis.ts'
import { newSerial } from '../../src/ca/issue.ts'
import type { Profiles } from '../../src/ca/profiles.ts'
import { openTbs, readIssuer, type Planned } from '../../src/ca/tbs.ts'
import { EXTENDED_KEY_USAGES } from '../../src/core/certificate.ts'
import type { DeviceId, SerialNumber } from '../../src/core/ids.ts'
import type { CaRecord, CertificatePlan, CertificateRecord } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import { SIGNER_LIMITS } from '../../src/signer-limits.ts'
import { encodeFrame, FRAME, frameReader, type Frame } from '../../src/signer/frames.ts'
import type { SignerProcess } from '../../src/signer/process.ts'
import { openSeparateSigner, startSigner, type SignerPlace } from '../../src/signing.ts'
import type { Signer } from '../../src/ca/signer.ts'
import { keyHash } from '../../src/x509/keys.ts'
import { joinCertificate } from '../../src/x509/template.ts'
import { newKey, NOW, spkiOf } from '../x509/forge.ts'
import { ACTOR, addDevice, genesisPorts, openPlace, shippedProfiles, type Place } from '../ca/organisation.ts'

let place: Place
let files: SignerPlace
let ca: CaRecord
let signer: Signer & SignerProcess

beforeAll(async () => {
  place = openPlace()
  const ports = genesisPorts(place)
  await openOrganisation(ports)
  ca = place.registry.cas().find(({ name }) => name === ISSUING)!
  files = { registry: place.dir.file('registry.db'), keyFile: path.join(ports.paths.local, keyFileOf(ISSUING)), passphraseFile: ports.paths.passphrase }
  await place.make(addDevice('sensor-1'), addDevice('sensor-2'))
  signer = openSeparateSigner(ca, files, () => {})
  await signer.opened
})
afterAll(async () => {
  await signer[Symbol.asyncDispose]()
  place[Symbol.dispose]()
})

interface Made {
  readonly record: CertificateRecord
  readonly plan: CertificatePlan
  readonly key: KeyObject
}

function planFor(facts: Partial<CertificateRecord> = {}, plan: Partial<CertificatePlan> = {}): Made {
  const key = newKey()
  const notBefore = Math.floor(NOW / 1_000) * 1_000
  return {
    key,
    record: { issuer: ISSUING, serial: Buffer.from(newSerial(randomBytes)).toString('hex') as SerialNumber, profile: 'device', device: 'sensor-1' as DeviceId, state: 'planned', spkiSha256: keyHash(spkiOf(key)), notBefore, notAfter: notBefore + 30 * LIFE.day, createdAt: NOW, ...facts },
    plan: { commonName: 'sensor-1', subjectAltNames: [], actor: ACTOR, ...plan },
  }
}

const commit = ({ record, plan }: Made): Promise<void> => place.make({ kind: 'certificate-planned', certificate: record, plan })

/** The bytes of a plan, or of what somebody would rather have signed. */
function bytesOf(made: Made, changed: Partial<Omit<Planned, 'record'>> & { readonly record?: Partial<CertificateRecord> } = {}, profiles: Profiles = shippedProfiles()): Uint8Array {
  return openTbs(readIssuer(ca), signer.signatureIdentifier, profiles)({ plan: made.plan, spki: spkiOf(made.key), ...changed, record: { ...made.record, ...changed.record } })
}

const bent = (change: Partial<Profiles['device']>): Profiles => ({ ...shippedProfiles(), device: { ...shippedProfiles().device, ...change } })

async function answerTo(tbs: Uint8Array): Promise<string> {
  try {
    const der = joinCertificate(tbs, signer.signatureIdentifier, await signer.sign(tbs))
    return new X509Certificate(der).verify(new X509Certificate(ca.der).publicKey) ? 'signed' : 'a signature that does not verify'
  } catch (error) {
    return /refused to sign: (.*)\. Nothing/.exec((error as Error).message)?.[1] ?? String(error)
  }
}

describe('a plan that is committed', () => {
  test('is signed, and may be signed again while it is planned', async () => {
    const made = planFor()
    await commit(made)
    expect(await answerTo(bytesOf(made))).toBe('signed')
    expect(await answerTo(bytesOf(made))).toBe('signed')
  })

  test('is signed for no other bytes of the same serial number', async () => {
    const made = planFor()
    await commit(made)
    const stranger = newKey()
    const different: Readonly<Record<string, Uint8Array>> = {
      'another key': bytesOf(made, { spki: spkiOf(stranger) }),
      'another name': bytesOf(made, { plan: { ...made.plan, commonName: 'sensor-2' } }),
      'an organisation': bytesOf(made, { plan: { ...made.plan, organization: 'Acme' } }),
      'an alternative name': bytesOf(made, { plan: { ...made.plan, subjectAltNames: [{ kind: 'dns', value: 'sensor-2' }] } }),
      'a second more': bytesOf(made, { record: { notAfter: made.record.notAfter + 1_000 } }),
      'a second earlier': bytesOf(made, { record: { notBefore: made.record.notBefore - 1_000 } }),
      'CA:TRUE': bytesOf(made, {}, bent({ ca: true, keyUsage: ['keyCertSign'] })),
      'serverAuth': bytesOf(made, {}, bent({ extendedKeyUsage: [EXTENDED_KEY_USAGES.serverAuth] })),
      'serverAuth besides': bytesOf(made, {}, bent({ extendedKeyUsage: [EXTENDED_KEY_USAGES.clientAuth, EXTENDED_KEY_USAGES.serverAuth] })),
      'a key usage more': bytesOf(made, {}, bent({ keyUsage: ['digitalSignature', 'cRLSign'] })),
      'an octet more': Buffer.concat([bytesOf(made), Buffer.from([0])]),
    }
    const answers = await Promise.all(Object.entries(different).map(async ([what, tbs]) => [what, await answerTo(tbs)] as const))
    expect(Object.fromEntries(answers)).toEqual({
      ...Object.fromEntries(Object.keys(different).map((what) => [what, 'the bytes say something else than the plan'])),
      'another key': 'the plan is for another key',
      'an octet more': 'these bytes are no certificate to be signed',
    })
    expect(await answerTo(bytesOf(made))).toBe('signed')
  })
})

test('what is not planned, or not any more, is not signed', async () => {
  const unknown = planFor()
  expect(await answerTo(bytesOf(unknown))).toBe('no plan with this serial number is committed')
  const bare = planFor()
  await place.make({ kind: 'certificate-planned', certificate: bare.record })
  expect(await answerTo(bytesOf(bare))).toBe('no plan with this serial number is committed')
  const revoked = planFor()
  await commit(revoked)
  expect(await answerTo(bytesOf(revoked))).toBe('signed')
  await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial: revoked.record.serial, at: NOW, reason: 'unspecified' })
  expect(await answerTo(bytesOf(revoked))).toBe('the certificate with this serial number is revoked')
  const issued = planFor()
  await commit(issued)
  await place.make({ kind: 'certificate-issued', issuer: ISSUING, serial: issued.record.serial, sha256: keyHash(randomBytes(8)) as never, der: new Uint8Array([1]), state: 'active' })
  expect(await answerTo(bytesOf(issued))).toBe('the certificate with this serial number is active')
})

describe('a plan that no profile gives is not signed, though it stands in the journal:', () => {
  const CASES: readonly (readonly [string, () => Made, string])[] = [
    ['a CA', () => planFor({ profile: 'issuing', device: undefined as never }), 'this key signs no certificates of CAs'],
    ['a name that is not that of the device', () => planFor({}, { commonName: 'sensor-2' }), 'the plan names another device'],
    ['a device certificate for no device', () => planFor({ device: undefined as never }), 'a device certificate is for a device, and no other one is'],
    ['an operator certificate for a device', () => planFor({ profile: 'operator' }), 'a device certificate is for a device, and no other one is'],
    ['an alternative name', () => planFor({}, { subjectAltNames: [{ kind: 'dns', value: 'sensor-1' }] }), 'the plan has names that its profile does not give'],
    ['more than the longest life', () => planFor({ notAfter: Math.floor(NOW / 1_000) * 1_000 + 367 * LIFE.day }), 'the plan is valid for longer than its profile allows'],
    ['a life that begins before its CA', () => planFor({ notBefore: Math.floor(NOW / 1_000) * 1_000 - 30 * LIFE.day }), 'the plan is not valid within its issuer'],
  ]
  test.each(CASES)('%s', async (_, make, why) => {
    const made = make()
    const { device, ...record } = made.record
    const committed: Made = { ...made, record: device === undefined ? record : { ...record, device } }
    await commit(committed)
    expect(await answerTo(bytesOf(committed))).toBe(why)
  })
})

test('of 10,000 forged requests none is signed, and the one that is planned is signed among them', async () => {
  const made = planFor()
  await commit(made)
  const forged = planFor()
  const otherKey = bytesOf(made, { spki: spkiOf(forged.key) })
  const answers: string[] = []
  for (let sent = 0; sent < 10_000; sent += 500) {
    answers.push(...(await Promise.all(Array.from({ length: 500 }, (_, i) => answerTo(i % 2 === 0 ? otherKey : randomBytes(300))))))
  }
  expect(new Set(answers)).toEqual(new Set(['the plan is for another key', 'these bytes are no certificate to be signed']))
  expect(answers).toHaveLength(10_000)
  expect(await answerTo(bytesOf(made))).toBe('signed')
}, 60_000)

describe('what is no conversation ends the process, with nothing signed:', () => {
  const tenMegabytes = Buffer.alloc(4 + 10 * 1_024 * 1_024, 1)
  tenMegabytes.writeUInt32BE(10 * 1_024 * 1_024)
  test.each([
    ['noise', () => Buffer.concat([Buffer.from([0xff]), randomBytes(4_096)])],
    ['a frame of 10 MB', () => tenMegabytes],
    ['a length without end', () => Buffer.from('ffffffff0000000106', 'hex')],
    ['an answer in place of a request', () => encodeFrame({ id: 1, kind: FRAME.signature, body: randomBytes(70) })],
  ])('%s', async (_, bytes) => {
    const child = startSigner(ca, files)
    const read = frameReader()
    const heard: Frame[] = []
    child.stdout!.on('data', (chunk: Uint8Array) => heard.push(...read(chunk)))
    child.stdin!.on('error', () => {})
    child.stdin!.write(bytes())
    expect(await once(child, 'close')).toEqual([1, null])
    expect(heard.map(({ kind }) => kind)).toEqual([FRAME.ready, FRAME.failed])
  })
})

describe('a key that cannot be opened (E25) is told of at the start:', () => {
  let key: Buffer
  beforeEach(async () => {
    key = await import('node:fs').then(({ readFileSync }) => readFileSync(files.keyFile))
  })
  afterEach(() => writeFileSync(files.keyFile, key, { mode: 0o600 }))
  const codeOf = async (at: SignerPlace): Promise<string> => {
    await using other = openSeparateSigner(ca, at, () => {})
    return await other.opened.then(() => 'opened', (error: { code: string }) => error.code)
  }

  test('a passphrase that is wrong, a file that others may read, and none at all', async () => {
    const wrong = place.dir.file('wrong-passphrase')
    writeFileSync(wrong, 'not it\n', { mode: 0o600 })
    expect(await codeOf({ ...files, passphraseFile: wrong })).toBe('passphrase-wrong')
    chmodSync(files.keyFile, 0o644)
    expect(await codeOf(files)).toBe('key-permissions')
    chmodSync(files.keyFile, 0o600)
    expect(await codeOf({ ...files, keyFile: path.join(path.dirname(files.keyFile), 'none.key') })).toBe('key-unreadable')
    expect(await codeOf(files)).toBe('opened')
  })
})

describe('a signer that is lost', () => {
  const limits = { answerMs: 500, openMs: SIGNER_LIMITS.openMs, restartMs: 20 }

  /** Asks until it is signed, as the client of a 503 does. */
  async function signedAtLast(other: Signer, tbs: Uint8Array): Promise<Uint8Array> {
    for (;;) {
      try {
        return await other.sign(tbs)
      } catch (error) {
        expect(error).toMatchObject({ code: 'signer-unavailable' })
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
  }

  test('killed: what waits fails as unavailable, and the same plan is signed by the next one', async () => {
    const made = planFor()
    await commit(made)
    await using other = openSeparateSigner(ca, files, () => {}, { limits })
    await other.opened
    process.kill(other.pid!, 'SIGSTOP')
    const asked = Promise.allSettled(Array.from({ length: 20 }, () => other.sign(bytesOf(made))))
    process.kill(other.pid!, 'SIGKILL')
    expect(new Set((await asked).map((one) => (one.status === 'rejected' ? (one.reason as { code: string }).code : one.status)))).toEqual(new Set(['signer-unavailable']))
    expect(await signedAtLast(other, bytesOf(made))).toHaveProperty('length')
  }, 30_000)

  test('hanging: it is killed at the deadline, and started again', async () => {
    const made = planFor()
    await commit(made)
    await using other = openSeparateSigner(ca, files, () => {}, { limits: { ...limits, answerMs: 3_000 } })
    await other.opened
    const pid = other.pid!
    process.kill(pid, 'SIGSTOP')
    await expect(other.sign(bytesOf(made))).rejects.toMatchObject({ code: 'signer-unavailable' })
    expect(await signedAtLast(other, bytesOf(made))).toHaveProperty('length')
    expect(other.pid).not.toBe(pid)
  }, 30_000)
})
