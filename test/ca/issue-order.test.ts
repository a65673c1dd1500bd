// Issuance that fails at each of its steps: nothing is handed out that is not recorded, and the next start goes on.

import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ISSUING } from '../../src/ca/genesis.ts'
import { openAuthority, type AuthorityPorts } from '../../src/ca/issue.ts'
import { openSigner, type Signer } from '../../src/ca/signer.ts'
import { deny } from '../../src/core/decision.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { DeviceId, SerialNumber } from '../../src/core/ids.ts'
import type { CertificateRecord, CertificateState, Registry } from '../../src/core/registry.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { hex, time, toHex, utf8, type Bytes } from '../x509/asn1.ts'
import { authorityKeyId, DAY, keyIdOf, makeCa, newKey, NOW, spkiOf } from '../x509/forge.ts'
import { ACTOR, addDevice, authorityPorts, issued, openPlace, reasonOf, requestOf, withCommits, type Place } from './organisation.ts'

const CA = makeCa({ name: 'Issuing', pathLength: 0 })
const id = (text: string): DeviceId => text as DeviceId

let place: Place
let ports: AuthorityPorts
beforeEach(async () => {
  place = openPlace()
  ports = authorityPorts(place, CA)
  await place.make(addDevice('sensor-1'), addDevice('sensor-2'))
})
afterEach(() => place[Symbol.dispose]())

const recordsOf = (device: string): readonly CertificateRecord[] => place.registry.certificates({ device: id(device) }).items
const statesOf = (device: string): readonly CertificateState[] => recordsOf(device).map((r) => r.state)

describe('the safe order (E23, E24): whatever fails, nothing is handed out that is not recorded', () => {
  type Step = 'before' | 'after' | 'refused'
  /** A registry whose nth commit fails: before it was made, after it was durable, or with a refusal. */
  const failing = (nth: number, how: Step): Registry => {
    let count = 0
    return withCommits(place.registry, async (real, ...args) => {
      if (++count !== nth) return real(...args)
      if (how === 'refused') return deny('registry-unavailable', 'for the test')
      if (how === 'after') await real(...args)
      throw new Error('killed')
    })
  }
  const signed: string[] = []
  /** Signs, and remembers the serials that it has signed. */
  const watched = (signer: Signer = ports.signer): Signer => ({
    ...signer,
    async sign(tbs) {
      const signature = await signer.sign(tbs)
      // [0] version, then the serial of 16 octets.
      const at = Buffer.from(tbs).indexOf(Buffer.from('a0030201020210', 'hex'))
      signed.push(toHex(tbs.slice(at + 7, at + 23)))
      return signature
    },
  })
  beforeEach(() => {
    signed.length = 0
  })

  const mutating = (change: (tbs: Buffer) => void): Signer => ({
    ...ports.signer,
    sign(tbs) {
      change(Buffer.from(tbs.buffer, tbs.byteOffset, tbs.byteLength))
      return ports.signer.sign(tbs)
    },
  })
  const replace = (from: Bytes, to: Bytes) => (tbs: Buffer): void => {
    const at = tbs.indexOf(Buffer.from(from))
    if (at < 0 || from.length !== to.length) throw new Error('the test looks for something that is not there')
    Buffer.from(to).copy(tbs, at)
  }
  const stranger = newKey()

  const CASES: readonly (readonly [string, () => Partial<AuthorityPorts>, string, readonly CertificateState[], number])[] = [
    ['the first commit fails before it is made', () => ({ registry: failing(1, 'before') }), 'Error: killed', [], 0],
    ['the first commit is refused', () => ({ registry: failing(1, 'refused') }), 'registry-unavailable', [], 0],
    ['the process dies when the plan is durable', () => ({ registry: failing(1, 'after') }), 'Error: killed', ['planned'], 0],
    ['the signer fails', () => ({ signer: { ...ports.signer, sign: () => Promise.reject(new Error('no token')) } }), 'Error: no token', ['planned'], 0],
    ['the signer answers with nothing', () => ({ signer: { ...ports.signer, sign: () => Promise.resolve(hex('')) } }), 'issuance-mismatch', ['planned'], 0],
    ['the signer answers with noise', () => ({ signer: watched({ ...ports.signer, sign: () => Promise.resolve(new Uint8Array(70).fill(1)) }) }), 'issuance-mismatch', ['planned'], 1],
    ['the signer signs with another key', () => ({ signer: watched({ ...ports.signer, sign: (tbs) => openSigner(stranger).sign(tbs) }) }), 'issuance-mismatch', ['planned'], 1],
    ['the signer is that of another CA altogether', () => ({ signer: watched(openSigner(stranger)) }), 'issuance-mismatch', ['planned'], 1],
    ['the signer is of another kind', () => ({ signer: watched(openSigner(generateKey('Ed25519'))) }), 'issuance-mismatch', ['planned'], 1],
    ['the signed bytes have another purpose', () => ({ signer: mutating(replace(hex('2b06010505070302'), hex('2b06010505070301'))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another usage', () => ({ signer: mutating(replace(hex('040403020780'), hex('040403020700'))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another name', () => ({ signer: mutating(replace(utf8('sensor-1'), utf8('sensor-2'))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another issuer', () => ({ signer: mutating(replace(utf8('Issuing'), utf8('issuing'))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another end', () => ({ signer: mutating(replace(time(NOW + 30 * DAY), time(NOW + 31 * DAY))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another authority key id', () => ({ signer: mutating(replace(authorityKeyId(CA.keyId), authorityKeyId(keyIdOf(spkiOf(stranger))))) }), 'issuance-mismatch', ['planned'], 0],
    ['the signed bytes have another serial', () => ({ signer: mutating((tbs) => { tbs[13]! ^= 1 }) }), 'issuance-mismatch', ['planned'], 0],
    ['the second commit fails before it is made', () => ({ registry: failing(2, 'before'), signer: watched() }), 'Error: killed', ['planned'], 1],
    ['the second commit is refused', () => ({ registry: failing(2, 'refused'), signer: watched() }), 'registry-unavailable', ['planned'], 1],
    ['the process dies when everything is durable', () => ({ registry: failing(2, 'after'), signer: watched() }), 'Error: killed', ['active'], 1],
  ]

  test.each(CASES)('%s', async (_, broken, outcome, states, signatures) => {
    const request = requestOf('sensor-1')
    const badly = openAuthority({ ...ports, ...broken() })
    const answer = await badly.issue(request, ACTOR).then(reasonOf, (error: unknown) => (error instanceof SallyportError ? error.code : String(error)))
    expect(answer).toBe(outcome)
    expect(statesOf('sensor-1')).toEqual(states)
    expect(signed).toHaveLength(signatures)
    for (const serial of signed) expect(place.registry.certificate(ISSUING, serial as SerialNumber)).toBeDefined()

    // The next start goes on: the same request is answered, and every certificate that is in force is recorded.
    place.reopen()
    const good = openAuthority({ ...ports, registry: place.registry })
    const { record, der } = issued(await good.issue(request, ACTOR))
    expect(place.registry.certificate(ISSUING, record.serial)).toMatchObject({ state: 'active', sha256: record.sha256 })
    expect(new X509Certificate(der).verify(new X509Certificate(CA.der).publicKey)).toBe(true)
    // What was planned and never finished is still there to be seen and revoked.
    expect(recordsOf('sensor-1').filter((r) => r.state === 'planned')).toHaveLength(states[0] === 'planned' ? 1 : 0)
    for (const orphan of recordsOf('sensor-1').filter((r) => r.state === 'planned')) await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial: orphan.serial, at: NOW, reason: 'unspecified' })
  })

  test('a certificate that was revoked while it was signed is not handed out', async () => {
    let serial: SerialNumber | undefined
    const slow: Signer = {
      ...ports.signer,
      async sign(tbs) {
        serial = recordsOf('sensor-1')[0]!.serial
        await place.make({ kind: 'certificate-revoked', issuer: ISSUING, serial, at: NOW, reason: 'unspecified' })
        return ports.signer.sign(tbs)
      },
    }
    expect(reasonOf(await openAuthority({ ...ports, signer: slow }).issue(requestOf('sensor-1'), ACTOR))).toBe('revision-conflict')
    expect(place.registry.certificate(ISSUING, serial!)).toMatchObject({ state: 'revoked' })
    expect(place.registry.certificateDer(ISSUING, serial!)).toBeUndefined()
  })

  test('requests that wait for one that fails fail with it, and the next one succeeds', async () => {
    const key = newKey()
    let fails = 1
    const flaky = openAuthority({ ...ports, signer: { ...ports.signer, sign: (tbs) => (fails-- > 0 ? Promise.reject(new Error('no token')) : ports.signer.sign(tbs)) } })
    const waiting = await Promise.allSettled([1, 2, 3].map(() => flaky.issue(requestOf('sensor-1', key), ACTOR)))
    expect(waiting.map((w) => w.status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(reasonOf(await flaky.issue(requestOf('sensor-1', key), ACTOR))).toBe('issued')
  })
})
