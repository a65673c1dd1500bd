// The names that a CA may give, judged on the signer's side: of a plan that somebody put into the registry past the authority.

import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { openTbs, readIssuer } from '../../src/ca/tbs.ts'
import { newSerial } from '../../src/ca/issue.ts'
import { openSigner } from '../../src/ca/signer.ts'
import type { SubjectAltName } from '../../src/core/certificate.ts'
import type { CaName, DeviceId, SerialNumber } from '../../src/core/ids.ts'
import type { CertificatePlan, CertificateRecord } from '../../src/core/registry.ts'
import { judgeTbs } from '../../src/signer/plan-rules.ts'
import { keyHash } from '../../src/x509/keys.ts'
import { ACTOR, shippedProfiles } from '../ca/organisation.ts'
import { dns, makeCa, nameConstraints, newKey, NOW, spkiOf } from '../x509/forge.ts'

const NAME = 'issuing-1' as CaName

/** What the signer says to the bytes of a plan that is committed. */
function verdict(what: { readonly profile: 'device' | 'server'; readonly id: string; readonly altNames?: readonly SubjectAltName[] }, limits: { readonly ids?: readonly string[]; readonly dns?: string }): string {
  const ca = makeCa({ name: 'Issuing', pathLength: 0, more: limits.dns === undefined ? [] : [nameConstraints({ permitted: [dns(limits.dns)] })] })
  const issuer = readIssuer({ name: NAME, der: ca.der })
  const { signatureIdentifier } = openSigner(ca.key)
  const spki = spkiOf(newKey())
  const record = {
    issuer: NAME, serial: Buffer.from(newSerial(randomBytes)).toString('hex') as SerialNumber, profile: what.profile, state: 'planned', spkiSha256: keyHash(spki), notBefore: NOW, notAfter: NOW + 1_000_000, createdAt: NOW,
    ...(what.profile === 'device' ? { device: what.id as DeviceId } : {}),
  } as const satisfies CertificateRecord
  const plan: CertificatePlan = { commonName: what.id, subjectAltNames: what.altNames ?? [], actor: ACTOR }
  const rebuild = openTbs(issuer, signatureIdentifier, shippedProfiles())
  const judged = judgeTbs(rebuild({ record, plan, spki }), {
    journal: { record: () => record, plan: () => plan }, profiles: shippedProfiles(), signatureIdentifier, rebuild,
    issuer: { ...issuer.facts, ...(limits.ids === undefined ? {} : { ids: limits.ids }) },
  })
  return judged.allow ? 'signed' : judged.why
}

describe('names', () => {
  test.each([
    ['plant-7-a', ['plant-7-*'], 'signed'],
    ['plant-8-a', ['plant-7-*'], 'the plan names a device that this CA may not name'],
    ['plant-8-a', ['plant-7-*', 'plant-8-a'], 'signed'],
    ['plant-8-a', undefined, 'signed'],
  ])('a device %s of a CA for %j: %s', (id, ids, said) => {
    expect(verdict({ profile: 'device', id }, ids === undefined ? {} : { ids })).toBe(said)
  })

  test('ids are of devices: a server is none', () => {
    expect(verdict({ profile: 'server', id: 'sallyport server' }, { ids: ['plant-7-*'] })).toBe('signed')
  })

  test.each([['mqtt.example', 'signed'], ['mqtt.elsewhere', 'the plan has a name that the certificate of its issuer does not permit']])('a server for %s, where the CA certificate permits .example: %s', (host, said) => {
    expect(verdict({ profile: 'server', id: 'sallyport server', altNames: [{ kind: 'dns', value: host }] }, { dns: 'example' })).toBe(said)
  })
})
