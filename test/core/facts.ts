// Facts for the tests of the rules: a certificate, a request and a device that everything is right with, to be changed in
// one point each.

import * as fc from 'fast-check'
import { EXTENDED_KEY_USAGES, type CertificateFacts, type CsrFacts, type KeyFacts, type NameFacts } from '../../src/core/certificate.ts'
import type { Decision } from '../../src/core/decision.ts'
import type { Fingerprint } from '../../src/core/ids.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { keyOf, NOW } from '../contract/records.ts'

export { device, keyOf, NOW, planned } from '../contract/records.ts'

const OIDS: Readonly<Record<string, string>> = { CN: '2.5.4.3', OU: '2.5.4.11', O: '2.5.4.10', C: '2.5.4.6', UID: '0.9.2342.19200300.100.1.1', serialNumber: '2.5.4.5', emailAddress: '1.2.840.113549.1.9.1' }

/** 'CN=a' is one RDN; ['CN=a', 'UID=b'] one RDN with two attributes; 'CN!' an attribute whose value does not decode. */
export function nameOf(...rdns: readonly (string | readonly string[])[]): NameFacts {
  return rdns.map((rdn) => (typeof rdn === 'string' ? [rdn] : rdn).map((text) => {
    const short = /^[A-Za-z]+/.exec(text)?.[0] ?? ''
    const type = OIDS[short] ?? '1.1'
    return text.endsWith('!') ? { type, short } : { type, short, value: text.slice(short.length + 1) }
  }))
}

export const P256: KeyFacts = { algorithm: 'ec', curve: 'P-256', spkiSha256: keyOf('leaf') }
const ECDSA_SHA256 = '1.2.840.10045.4.3.2'

export function leaf(changed: Partial<CertificateFacts> = {}): CertificateFacts {
  return {
    sha256: 'ab'.repeat(32) as Fingerprint, version: 3, serialDerHex: '4001', serial: '4001',
    issuer: nameOf('O=Sallyport', 'CN=issuing-1'), issuerDerHex: '30', subject: nameOf('CN=sensor-7'), subjectDerHex: '31',
    notBefore: NOW - 1_000, notAfter: NOW + 1_000, key: P256, signatureAlgorithm: ECDSA_SHA256, signatureAlgorithmsAgree: true,
    basicConstraints: { ca: false }, keyUsage: ['digitalSignature'], extendedKeyUsage: [EXTENDED_KEY_USAGES.clientAuth],
    authorityKeyId: 'aa', subjectKeyId: 'bb', hasNameConstraints: false, unknownCritical: [], duplicateExtensions: [], malformedExtensions: [],
    ...changed,
  }
}

export function issuing(changed: Partial<CertificateFacts> = {}): CertificateFacts {
  const { extendedKeyUsage: _, ...form } = leaf()
  return { ...form, subject: nameOf('CN=issuing-1'), basicConstraints: { ca: true, pathLength: 0 }, keyUsage: ['keyCertSign', 'cRLSign'], ...changed }
}

/** Facts with a field left out. */
export function without(facts: CertificateFacts, ...fields: readonly (keyof CertificateFacts)[]): CertificateFacts {
  const rest: Record<string, unknown> = { ...facts }
  for (const field of fields) delete rest[field]
  return rest as unknown as CertificateFacts
}

export function request(changed: Partial<CsrFacts> = {}): CsrFacts {
  return { subject: nameOf('CN=sensor-7'), key: P256, spki: new Uint8Array([1, 2, 3]), possessionProven: true, signatureAlgorithm: ECDSA_SHA256, requestedAltNames: [], requestedExtensions: [], attributes: [], challengePasswords: [], ...changed }
}

export function reasonOf(decision: Decision<unknown>): DenyReason | 'allowed' {
  return decision.allow ? 'allowed' : decision.reason
}

export function detailOf(decision: Decision<unknown>): string | undefined {
  return decision.allow ? undefined : decision.detail
}

export function valueOf<T>(decision: Decision<T>): T {
  if (decision.allow) return decision.value
  throw new Error(`${decision.reason}: ${decision.detail ?? ''}`)
}

const anyUnit = fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0, max: 0x10ffff }), fc.constantFrom(0, 0x0a, 0x2b, 0x23, 0x2f, 0x24, 0x301, 0x200b, 0xd800, 0xdc00, 0xfffd, 0xfffe, 0xfeff))

/** Any text, half of a character and what is no character included. */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: anyUnit.map((code) => String.fromCodePoint(code)), maxLength })
}
