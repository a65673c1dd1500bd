// What we ask of a certificate beyond OpenSSL, which accepts a leaf without extended key usage, two common names, a CA as a
// client and more. Pure rules over facts; the first failing one wins, and each has its own reason.

import { X509_LIMITS } from '../limits.ts'
import { attributesOf, EXTENDED_KEY_USAGES, type CertificateFacts, type KeyFacts } from './certificate.ts'
import { allow, deny, type Decision, type Denied } from './decision.ts'
import { parseDeviceId, printable, type DeviceId, type EpochMs } from './ids.ts'

/** Signature algorithms that are accepted, by OID. Absent: MD5, SHA-1, DSA, and everything unknown. */
const SIGNATURES_ACCEPTED: Readonly<Record<string, string>> = {
  '1.2.840.10045.4.3.2': 'ecdsa-with-SHA256',
  '1.2.840.10045.4.3.3': 'ecdsa-with-SHA384',
  '1.2.840.10045.4.3.4': 'ecdsa-with-SHA512',
  '1.2.840.113549.1.1.11': 'sha256WithRSAEncryption',
  '1.2.840.113549.1.1.12': 'sha384WithRSAEncryption',
  '1.2.840.113549.1.1.13': 'sha512WithRSAEncryption',
  '1.3.101.112': 'Ed25519',
}

const RSA_SIZES: readonly number[] = [2_048, 3_072, 4_096]
const EXPONENT_MIN = 65_537n
/** NIST SP 800-56B §6.2; and a verification with an exponent as long as the modulus costs a server 25 times as much. */
const EXPONENT_MAX = 2n ** 256n

/** The key policy: ECDSA P-256 and P-384, Ed25519, RSA of 2048, 3072 or 4096 bits with a public exponent from 65537 to 2^256. */
export function keyProblem(key: KeyFacts): string | undefined {
  if (key.weakness !== undefined) return key.weakness
  switch (key.algorithm) {
    case 'ec':
      return key.curve === 'P-256' || key.curve === 'P-384' ? undefined : `curve ${key.curve ?? 'with explicit parameters'}`
    case 'rsa':
      if (!RSA_SIZES.includes(key.bits ?? 0)) return `RSA of ${key.bits ?? 0} bits`
      return isExponentGood(BigInt(key.exponent ?? '0')) ? undefined : `RSA exponent ${printable(key.exponent ?? '0')}`
    case 'ed25519':
      return undefined
    case 'ed448':
    case 'other':
      return 'a kind of key that is not accepted'
  }
}

function isExponentGood(exponent: bigint): boolean {
  return exponent >= EXPONENT_MIN && exponent < EXPONENT_MAX
}

export function isSignatureAccepted(oid: string): boolean {
  return Object.hasOwn(SIGNATURES_ACCEPTED, oid)
}

/** Serial numbers: positive, at most 20 octets, and not zero. RFC 5280 §4.1.2.2. */
function serialProblem(hex: string): string | undefined {
  if (hex.length > 2 * X509_LIMITS.serialOctetsMax + 2 || (hex.length > 2 * X509_LIMITS.serialOctetsMax && !hex.startsWith('00'))) return `${hex.length / 2} octets`
  if (/^(00)*$/.test(hex)) return 'zero'
  return Number.parseInt(hex.slice(0, 2), 16) >= 0x80 ? 'negative' : undefined
}

type Rule = (facts: CertificateFacts, now: EpochMs) => Denied | undefined
const when = (broken: boolean, denied: Denied): Denied | undefined => (broken ? denied : undefined)

/** subjectAltName, RFC 5280 §4.2.1.6. */
const SAN = '2.5.29.17'

/** Form and strength: asked of every certificate in a chain. */
const EVERY_CERTIFICATE: readonly Rule[] = [
  (c) => when(c.version !== 3, deny('certificate-version', `version ${c.version}`)),
  (c) => {
    const problem = serialProblem(c.serialDerHex)
    return problem === undefined ? undefined : deny('certificate-serial-invalid', problem)
  },
  (c) => when(c.duplicateExtensions.length > 0, deny('certificate-malformed', `extension ${c.duplicateExtensions[0] ?? ''} twice`)),
  (c) => when(!c.signatureAlgorithmsAgree, deny('certificate-malformed', 'two different signature algorithms')),
  (c) => when(c.malformedExtensions.includes(SAN), deny('certificate-san-malformed')),
  (c) => when(c.malformedExtensions.length > 0, deny('certificate-malformed', `extension ${c.malformedExtensions[0] ?? ''}`)),
  (c) => when(c.unknownCritical.length > 0, deny('certificate-critical-extension', c.unknownCritical[0])),
  (c) => when(!isSignatureAccepted(c.signatureAlgorithm), deny('certificate-signature-weak', c.signatureAlgorithm)),
  (c) => {
    const problem = keyProblem(c.key)
    return problem === undefined ? undefined : deny('certificate-key-weak', problem)
  },
  // In force from notBefore, expired at the very millisecond of notAfter.
  (c, now) => when(now < c.notBefore, deny('certificate-not-yet-valid')),
  (c, now) => when(c.notAfter <= now, deny('certificate-expired')),
]
const LEAF: readonly Rule[] = [
  (c) => when(c.basicConstraints?.ca === true || c.keyUsage?.includes('keyCertSign') === true, deny('certificate-is-ca')),
  (c) => when(c.hasNameConstraints, deny('certificate-name-constraints', 'in a leaf')),
  (c) => when(c.keyUsage !== undefined && (!c.keyUsage.includes('digitalSignature') || c.keyUsage.includes('cRLSign')), deny('certificate-key-usage', c.keyUsage?.join(', '))),
  (c) => when(c.extendedKeyUsage === undefined, deny('certificate-usage-missing')),
  (c) => when(c.extendedKeyUsage?.includes(EXTENDED_KEY_USAGES.clientAuth) !== true, deny('certificate-usage-wrong', c.extendedKeyUsage?.join(', '))),
  (c) => when(c.authorityKeyId === undefined || c.subjectKeyId === undefined, deny('certificate-key-id-missing')),
]

function first(rules: readonly Rule[], facts: CertificateFacts, now: EpochMs): Decision<void> {
  for (const rule of rules) {
    const denied = rule(facts, now)
    if (denied !== undefined) return denied
  }
  return allow(undefined)
}

/** The rules for a certificate that a client presents as its own. Its name is another question: `deviceNameOf`. */
export function judgeLeaf(facts: CertificateFacts, now: EpochMs): Decision<void> {
  // "This is a CA" says more about a CA's certificate than any detail of its form.
  const isCa = LEAF[0]?.(facts, now)
  if (isCa !== undefined) return isCa
  const form = first(EVERY_CERTIFICATE, facts, now)
  return form.allow ? first(LEAF, facts, now) : form
}

/** The rules for a certificate that signed another one. `below` counts the CA certificates between it and the leaf. */
export function judgeIssuer(facts: CertificateFacts, below: number, now: EpochMs): Decision<void> {
  if (facts.basicConstraints?.ca !== true) return deny('certificate-issuer-not-ca', 'no basic constraints with cA')
  if (facts.keyUsage !== undefined && !facts.keyUsage.includes('keyCertSign')) return deny('certificate-issuer-not-ca', 'key usage without keyCertSign')
  const { pathLength } = facts.basicConstraints
  if (pathLength !== undefined && below > pathLength) return deny('certificate-path-length', `at most ${pathLength}, found ${below}`)
  // A CA that is narrowed to other usages cannot give this one. anyExtendedKeyUsage of a CA narrows nothing.
  const usages = facts.extendedKeyUsage
  if (usages !== undefined && !usages.includes(EXTENDED_KEY_USAGES.clientAuth) && !usages.includes(EXTENDED_KEY_USAGES.any)) return deny('certificate-usage-wrong', 'a CA that may not issue for clientAuth')
  return first(EVERY_CERTIFICATE, facts, now)
}

/**
 * The device id in the subject of a certificate of our own CA: exactly one common name, in an RDN of its own, that is a
 * device id. Reasons: certificate-subject-empty, certificate-name-ambiguous, certificate-name-invalid.
 */
export function deviceNameOf(facts: Pick<CertificateFacts, 'subject' | 'subjectAltNames'>): Decision<DeviceId> {
  const names = attributesOf(facts.subject, 'CN')
  const [name] = names
  if (name === undefined || name.value === '') return deny('certificate-subject-empty')
  if (names.length > 1 || facts.subject.some((rdn) => rdn.length > 1)) return deny('certificate-name-ambiguous')
  const id = name.value === undefined ? undefined : parseDeviceId(name.value)
  if (id === undefined || !id.allow) return deny('certificate-name-invalid', name.value === undefined ? 'not decodable' : printable(name.value))
  // A DNS name, URI or mail address that says something else would make two identities of one certificate. Our own CA
  // writes none; addresses and names of other kinds name no device.
  const other = facts.subjectAltNames?.find((n) => n.kind !== 'ip' && n.kind !== 'other' && n.value !== id.value)
  return other === undefined ? allow(id.value) : deny('certificate-name-ambiguous', `subject alternative name ${printable(other.value)}`)
}
