// serverkeygen (RFC 7030 §4.4): a key that is made here, handed out once, and kept nowhere. What openssl reads of the answer, what of
// the request is not looked at, and what is refused.

import { createHash, createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { privateKey, WEAK_KEYS } from '../../device-sim/forge/keys.ts'
import { challengePassword, forgeRequest, type ForgedAttribute } from '../../device-sim/forge/request.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { generateKeyAside } from '../../src/x509/keys.ts'
import { openAuthority } from '../../src/ca/issue.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { openEnrollmentDoor, passwordToken } from '../../src/enrollment-desk.ts'
import { addDevice, authorityPorts, openPlace } from '../ca/organisation.ts'
import { CERTIFIED, openDoor, openssl, outcome, pemIn, type Answered, type Door } from './door.ts'

vi.mock(import('../../src/x509/keys.ts'), async (original) => {
  const real = await original()
  return { ...real, generateKeyAside: vi.fn<typeof real.generateKeyAside>(real.generateKeyAside) }
})

let door: Door
beforeAll(async () => {
  door = await openDoor()
  await door.rulesAre({ serverKeys: 'allowed' })
})
afterAll(() => door[Symbol.asyncDispose]())

const ask = (csr: string | Buffer, token?: string, from?: string): Promise<Answered> => door.post('serverkeygen', csr, { token, ...(from === undefined ? {} : { from }) })
const certificatesOf = (id: DeviceId): readonly string[] => door.house.home.registry.certificates({ device: id, limit: 200 }).items.map(({ state }) => state).toSorted()

interface Made {
  readonly key: KeyObject
  readonly certificate: X509Certificate
  readonly pkcs8: Buffer
}

/** The two parts, read as RFC 2046 has them and by openssl. */
function madeIn({ headers, text }: Answered): Made {
  const boundary = /^multipart\/mixed; boundary=(\S+)$/.exec(String(headers['content-type']))?.[1]
  const parts = text.split(`--${boundary}`)
  const [before, key = '', certificate = '', end] = parts
  expect([before, end]).toEqual(['', '--\r\n'])
  const body = (part: string, type: string): string => {
    expect(part.startsWith(`\r\nContent-Type: ${type}\r\n`), part).toBe(true)
    return part.slice(part.indexOf('\r\n\r\n') + 4).trimEnd()
  }
  const pkcs8 = Buffer.from(body(key, 'application/pkcs8'), 'base64')
  return { pkcs8, key: createPrivateKey(openssl(['pkey', '-inform', 'DER'], pkcs8)), certificate: new X509Certificate(pemIn(body(certificate, 'application/pkcs7-mime; smime-type=certs-only'))) }
}
const spkiOf = (key: KeyObject): string => createHash('sha256').update((key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' })).digest('hex')

describe('a key that is made here', () => {
  test('comes with a certificate that it fits, of the device, and is not that of the request', async () => {
    const id = await door.fresh()
    const own = privateKey()
    const answer = await ask(forgeRequest(own, id), await door.tokenFor(id))
    expect(outcome(answer)).toBe(CERTIFIED)
    expect(Number(answer.headers['content-length'])).toBe(answer.text.length)
    expect(answer.headers['cache-control']).toBe('no-store')
    const { key, certificate } = madeIn(answer)
    expect(certificate.checkPrivateKey(key)).toBe(true)
    expect(certificate.subject).toBe(`CN=${id}`)
    expect(spkiOf(key)).not.toBe(spkiOf(own))
    expect(key.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
    expect(certificate.verify(new X509Certificate(door.house.organisation.issuing.der).publicKey)).toBe(true)
    // It waits for its first use, as a renewed one does.
    expect(certificatesOf(id)).toEqual(['issued'])
  })

  test('is in no file of the home, and that it was made is in the audit log', async () => {
    const id = await door.fresh()
    const { pkcs8, key } = madeIn(await ask(forgeRequest(privateKey(), id), await door.tokenFor(id)))
    await door.house.home.audit.flush()
    const scalar = Buffer.from(String(key.export({ format: 'jwk' }).d), 'base64url')
    const forms = [scalar, Buffer.from(scalar.toString('hex')), Buffer.from(scalar.toString('base64').slice(0, 40)), Buffer.from(scalar.toString('base64url').slice(0, 40)), Buffer.from(pkcs8.toString('base64').slice(0, 60))]
    const files = readdirSync(door.house.folder, { recursive: true, encoding: 'utf8' }).map((file) => path.join(door.house.folder, file)).filter((file) => statSync(file).isFile())
    expect(files.length).toBeGreaterThan(5)
    expect(files.filter((file) => forms.some((form) => readFileSync(file).includes(form)))).toEqual([])
    const records = readFileSync(door.house.home.paths.audit, 'utf8').split('\n').filter((line) => line.includes(id))
    expect(records.filter((line) => line.includes('server-key-made'))).toHaveLength(1)
  })

  test('is another one every time: asked again it is another use, and the certificate whose key was lost ends', async () => {
    const id = await door.fresh()
    const [once, csr] = [await door.tokenFor(id), forgeRequest(privateKey(), id)]
    expect(outcome(await ask(csr, once))).toBe(CERTIFIED)
    expect(outcome(await ask(csr, once))).toBe('403 token-used-up')
    const more = await door.tokenFor(id, { uses: 3 })
    const [a, b] = [madeIn(await ask(csr, more)), madeIn(await ask(csr, more))]
    expect(spkiOf(a.key)).not.toBe(spkiOf(b.key))
    expect(certificatesOf(id)).toEqual(['issued', 'superseded', 'superseded'])
  })

  test('is made once for a token that is good once, when fifty ask at the same time', async () => {
    const id = await door.fresh()
    const [token, csr] = [await door.tokenFor(id), forgeRequest(privateKey(), id)]
    const outcomes = await Promise.all(Array.from({ length: 50 }, async (_, i) => outcome(await ask(csr, token, `127.0.1.${i + 1}`))))
    expect(outcomes.filter((o) => o === CERTIFIED)).toHaveLength(1)
    expect(outcomes.filter((o) => o === '403 token-used-up')).toHaveLength(49)
    expect(certificatesOf(id)).toEqual(['issued'])
  })

  test('never leaves a device with more than two, when fifty ask with a token that is good for all of them', async () => {
    const id = await door.fresh()
    const [token, csr] = [await door.tokenFor(id, { uses: 50 }), forgeRequest(privateKey(), id)]
    const outcomes = await Promise.all(Array.from({ length: 50 }, async (_, i) => outcome(await ask(csr, token, `127.0.2.${i + 1}`))))
    expect(outcomes).toContain(CERTIFIED)
    // Two that would end the same unused certificate: one of them asks again.
    expect(outcomes.filter((o) => ![CERTIFIED, '409 certificates-limit', '409 revision-conflict'].includes(o))).toEqual([])
    expect(certificatesOf(id).filter((state) => state === 'issued').length).toBeLessThanOrEqual(2)
    expect(outcome(await ask(csr, token))).toBe(CERTIFIED)
    expect(certificatesOf(id).filter((state) => state === 'issued')).toHaveLength(1)
  })

  test('registers a device where its token does', async () => {
    const id = 'line-7-1' as DeviceId
    const token = await door.tokenFor(id, { target: { pattern: 'line-7-*' }, register: true })
    expect(madeIn(await ask(forgeRequest(privateKey(), id), token)).certificate.subject).toBe(`CN=${id}`)
    expect(door.house.home.registry.tokens({ limit: 200 }).items.find(({ name }) => token.startsWith(name))?.uses).toBe(1)
  })

  test('is renewed with the certificate that it has; the old one stays in force until the next is used', async () => {
    const id = await door.fresh()
    const first = madeIn(await ask(forgeRequest(privateKey(), id), await door.tokenFor(id)))
    const credential = { cert: first.certificate.toString(), key: first.key.export({ format: 'pem', type: 'pkcs8' }).toString() }
    const csr = forgeRequest(privateKey(), id)
    const next = madeIn(await door.post('serverkeygen', csr, { credential }))
    expect(next.certificate.checkPrivateKey(next.key)).toBe(true)
    expect(certificatesOf(id)).toEqual(['active', 'issued'])
    // The answer was lost: the next key takes the place of the one that nobody has.
    const again = madeIn(await door.post('serverkeygen', csr, { credential }))
    expect(again.certificate.serialNumber).not.toBe(next.certificate.serialNumber)
    expect(certificatesOf(id)).toEqual(['active', 'issued', 'superseded'])
    expect(outcome(await door.post('serverkeygen', forgeRequest(privateKey(), await door.fresh()), { credential }))).toBe('400 csr-subject-changed')
  })
})

describe('of the request', () => {
  test('key and signature are not looked at (RFC 7030 §4.4.1); in simpleenroll they are', async () => {
    for (const [csr, reason] of [
      [(id: DeviceId) => forgeRequest(privateKey(), id, { signWith: privateKey() }), 'csr-signature-invalid'],
      [(id: DeviceId) => forgeRequest(WEAK_KEYS['P-256 with d = 1']!(), id), 'key-weak'],
    ] as const) {
      const id = await door.fresh()
      const token = await door.tokenFor(id)
      expect(outcome(await door.post('simpleenroll', csr(id), { token }))).toBe(`400 ${reason}`)
      expect(outcome(await ask(csr(id), token))).toBe(CERTIFIED)
    }
  })

  test('what an operator approved for a key of the device is not approved for one that is made here: of that key nobody has proven anything', async () => {
    const id = await door.fresh()
    const [token, own] = [await door.tokenFor(id, { approve: 'operator', uses: 2 }), privateKey()]
    expect(outcome(await door.post('simpleenroll', forgeRequest(own, id), { token }))).toBe('202 enrollment-pending')
    for (const { id: waiting, device } of (await door.house.desk().enrollments({ limit: 200 })).items) if (device === id) await door.house.desk().decideEnrollment(waiting, 'approved')
    // Whoever has the token, too, and saw the public key.
    const copied = forgeRequest(own, id, { signWith: privateKey() })
    expect(outcome(await door.post('simpleenroll', copied, { token }))).toBe('400 csr-signature-invalid')
    expect(outcome(await ask(copied, token))).toBe('202 enrollment-pending')
    expect(outcome(await door.post('simpleenroll', forgeRequest(own, id), { token }))).toBe(CERTIFIED)
    for (const { id: waiting, device } of (await door.house.desk().enrollments({ limit: 200 })).items) if (device === id) await door.house.desk().decideEnrollment(waiting, 'approved')
    expect(outcome(await ask(copied, token))).toBe(CERTIFIED)
  })

  test('the name counts as ever, and so does the token', async () => {
    const [id, other] = [await door.fresh(), await door.fresh()]
    const token = await door.tokenFor(id)
    expect(outcome(await ask(forgeRequest(privateKey(), other), token))).toBe('403 token-device')
    expect(outcome(await ask(forgeRequest(privateKey(), id), `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`))).toBe('401 token-unknown')
    expect(outcome(await ask(forgeRequest(privateKey(), id)))).toBe('401 credential-missing')
    expect(certificatesOf(id)).toEqual([])
    expect(outcome(await ask(forgeRequest(privateKey(), id), token))).toBe(CERTIFIED)
  })

  test('a wish for the key to be encrypted is not passed over: there is no key in the clear for whoever has it', async () => {
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    const wish = (oid: string, ...values: readonly Buffer[]): ForgedAttribute => ({ id: oid, values })
    const keyId = Buffer.from('0401aa', 'hex')
    for (const attributes of [
      [wish('1.2.840.113549.1.9.16.2.37', keyId)], [wish('1.2.840.113549.1.9.16.2.54', keyId)], [wish('1.2.840.113549.1.9.16.2.54')],
      [wish('1.2.840.113549.1.9.15', Buffer.from('3000', 'hex')), wish('1.2.840.113549.1.9.16.2.54', keyId, keyId)],
    ]) expect(outcome(await ask(forgeRequest(privateKey(), id, { attributes }), token))).toBe('400 server-key-encryption')
    expect(certificatesOf(id)).toEqual([])
    const modest = [wish('1.2.840.113549.1.9.15', Buffer.from('3000', 'hex')), wish('1.2.840.113549.1.9.16.2.38', keyId)]
    expect(outcome(await ask(forgeRequest(privateKey(), id, { attributes: modest }), token))).toBe(CERTIFIED)
    // Who makes its own key may say what it likes: none is sent.
    const own = await door.fresh()
    expect(outcome(await door.post('simpleenroll', forgeRequest(privateKey(), own, { attributes: [wish('1.2.840.113549.1.9.16.2.37', keyId)] }), { token: await door.tokenFor(own) }))).toBe(CERTIFIED)
  })

  test('it is bound to its connection where that is required', async () => {
    await door.rulesAre({ serverKeys: 'allowed', channelBinding: 'required' })
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    const socket = await door.connect({ minVersion: 'TLSv1.3' })
    expect(outcome(await door.post('serverkeygen', forgeRequest(privateKey(), id), { token, socket }))).toBe('403 channel-binding')
    const number = socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)).toString('base64')
    expect(outcome(await door.post('serverkeygen', forgeRequest(privateKey(), id, { attributes: [challengePassword(number)] }), { token, socket }))).toBe(CERTIFIED)
    socket.destroy()
    await door.rulesAre({ serverKeys: 'allowed' })
  })
})

test('an operator who has to approve it approves the request, by its key: no key is made before', async () => {
  const id = await door.fresh()
  const [token, csr] = [await door.tokenFor(id, { approve: 'operator' }), forgeRequest(privateKey(), id)]
  const made = vi.mocked(generateKeyAside).mock.calls.length
  for (const _ of [1, 2]) expect(await ask(csr, token)).toMatchObject({ status: 202, headers: { 'retry-after': '60' } })
  const { items } = await door.house.desk().enrollments({})
  expect(items.filter((e) => e.device === id)).toHaveLength(1)
  expect(certificatesOf(id)).toEqual([])
  expect(generateKeyAside).toHaveBeenCalledTimes(made)
  await door.house.desk().decideEnrollment(items.find((e) => e.device === id)!.id, 'approved')
  expect(outcome(await ask(forgeRequest(privateKey(), id), token))).toBe('202 enrollment-pending')
  expect(outcome(await ask(csr, token))).toBe(CERTIFIED)
})

describe('where it is not allowed', () => {
  test('it is refused in words, before a byte of the body is read; everything else goes on', async () => {
    await door.rulesAre({})
    const id = await door.fresh()
    const token = await door.tokenFor(id)
    const refused = await ask(forgeRequest(privateKey(), id), token)
    expect(outcome(refused)).toBe('403 server-key-refused')
    expect(refused.text).toContain('enroll.serverKeys: allowed')
    const socket = await door.connect()
    socket.write('POST /.well-known/est/issuing-1/serverkeygen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n')
    let text = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
    expect(text).toMatch(/^HTTP\/1\.1 403 /)
    expect(certificatesOf(id)).toEqual([])
    expect(outcome(await door.post('simpleenroll', forgeRequest(privateKey(), id), { token }))).toBe(CERTIFIED)
    await door.rulesAre({ serverKeys: 'allowed' })
  })
})

test('a signer that was away leaves plans whose keys are lost: they do not count against the device, which asks again', async () => {
  using place = openPlace()
  await place.make(addDevice('sensor-1'))
  const ports = authorityPorts(place)
  let isAway = true
  const authority = openAuthority({ ...ports, signer: { ...ports.signer, sign: (tbs) => (isAway ? Promise.reject(new SallyportError('signer-unavailable', 'It is away.')) : ports.signer.sign(tbs)) } })
  const id = 'sensor-1' as DeviceId
  const password = passwordToken(id, { text: 'Zq4-vT9w-Lm2x-Rk7p', lifeMs: 1_000_000 }, place.clock())
  if (!password.allow) throw new Error(password.reason)
  await place.make({ kind: 'token-added', token: { ...password.value, usesMax: 4 } })
  const desk = openEnrollmentDoor({ registry: place.registry, authority, clock: place.clock })
  const made = async (): Promise<string> => desk.withToken({ token: 'Zq4-vT9w-Lm2x-Rk7p', device: id, csr: Buffer.from(forgeRequest(privateKey(), id).replaceAll(/-----.*-----/g, ''), 'base64'), source: { address: '127.0.0.1', port: 1 }, serverKey: 'P-256' })
    .then((answer) => (answer.allow ? 'certificate' : answer.reason), (error: unknown) => (error instanceof SallyportError ? error.code : 'unknown'))
  expect([await made(), await made(), await made()]).toEqual(['signer-unavailable', 'signer-unavailable', 'signer-unavailable'])
  isAway = false
  expect(await made()).toBe('certificate')
  expect(place.registry.certificates({ device: id }).items.map(({ state }) => state).toSorted()).toEqual(['issued', 'superseded', 'superseded', 'superseded'])
})
