// Certification paths: from a presented leaf to an anchor of ours, with our rules on top of OpenSSL's, and one named reason
// when there is none. Signatures are verified by node:crypto; the rules for single certificates live in core.

import { X509Certificate, type KeyObject } from 'node:crypto'
import { judgeIssuer, judgeLeaf, keyProblem } from '../core/certificate-rules.ts'
import { judgeId, type CaIds } from '../core/ca-names.ts'
import { judgeNames } from '../core/name-constraints.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import { allow, deny, type Decision, type Denied } from '../core/decision.ts'
import type { CaName, EpochMs, TenantId } from '../core/ids.ts'
import { X509_LIMITS } from '../limits.ts'
import { parseCertificate } from './certificate.ts'

/** A CA of ours, or one that we trust. Issuing CAs of ours complete no path by themselves: a peer must present them. */
export interface TrustedCa {
  readonly name: CaName
  readonly role: 'root' | 'issuing' | 'trusted'
  readonly tenant: TenantId
  readonly der: Uint8Array
  /** It is known, so that the reason is known, and vouches for nobody. */
  readonly retired?: boolean
  /** The device ids that it may name; absent where it may name any. */
  readonly ids?: CaIds
}

interface Path {
  readonly leaf: CertificateFacts
  /** The CA of ours, or the trusted one, that signed the leaf itself: serial numbers are unique below one key only. */
  readonly issuer: CaName
  readonly role: TrustedCa['role']
  readonly tenant: TenantId
}

export interface Trust {
  /**
   * `presented` is DER, leaf first. Reasons: those of steps tls and certificate. `isVerified`: OpenSSL has found a path, by certificates that Node's
   * HTTPS server keeps to itself where it did; those of ours stand in for them.
   */
  judge(presented: readonly Uint8Array[], now: EpochMs, isVerified?: boolean): Decision<Path>
  /** May the CA of this name speak for this device? Reason: certificate-name-constraints. */
  judgeId(ca: CaName, device: string): Decision<void>
  /** What the CA of this name is to us; undefined when it is not, or no longer, trusted. */
  roleOf(name: CaName): TrustedCa['role'] | undefined
  /** Which CA of ours a certificate claims as its issuer, by name and key id; nothing is verified. */
  issuerOf(leaf: CertificateFacts): CaName | undefined
}

interface Link {
  readonly facts: CertificateFacts
  readonly certificate: X509Certificate
  readonly publicKey: KeyObject
  readonly ca: TrustedCa | undefined
}

/** Verified pairs of CA certificates that are remembered. */
const VERIFIED_MAX = 1_000

/** Opens the trust. Throws TypeError when one of our own certificates does not parse. */
export function openTrust(cas: readonly TrustedCa[]): Trust {
  const known: Link[] = cas.map((ca) => {
    const link = openLink(ca.der, ca)
    if (!link.allow) throw new TypeError(`the certificate of CA ${ca.name} cannot be read: ${link.detail ?? link.reason}`)
    return link.value
  })
  const isAnchor = (link: Link): boolean => link.ca?.retired !== true && (link.ca?.role === 'root' || link.ca?.role === 'trusted')
  const verified = new Map<string, boolean>()

  function isSignedBy(child: Link, issuer: Link): boolean {
    const key = `${child.facts.sha256}/${issuer.facts.key.spkiSha256}`
    const before = verified.get(key)
    if (before !== undefined) return before
    let good = false
    try {
      good = child.certificate.verify(issuer.publicKey)
    } catch {
      good = false // A signature of a kind that does not fit the key.
    }
    // Only CA certificates come back often enough to be worth remembering.
    if (child.facts.basicConstraints?.ca === true) {
      if (verified.size >= VERIFIED_MAX) verified.clear()
      verified.set(key, good)
    }
    return good
  }

  const isNamedBy = (child: Link, issuer: Link): boolean => issuer.facts.subjectDerHex === child.facts.issuerDerHex

  /**
   * The path from `child` up to an anchor through `pool`; a Denied says where it broke. Depth first, each certificate once:
   * a loop of cross-signed CAs ends.
   */
  function climb(child: Link, pool: readonly Link[], path: readonly Link[]): readonly Link[] | Denied {
    if (path.length > X509_LIMITS.chainLengthMax) return deny('certificate-chain-too-long')
    const named = [...known.filter(isAnchor), ...pool].filter((issuer) => isNamedBy(child, issuer) && !path.includes(issuer))
    let broken: Denied | undefined
    for (const issuer of named) {
      // A key of a stranger can be made so that one verification takes as long as a hundred. What is refused later costs nothing now.
      const weak = isAnchor(issuer) ? undefined : keyProblem(issuer.facts.key)
      if (weak !== undefined) {
        broken ??= deny('certificate-key-weak', weak)
        continue
      }
      if (!isSignedBy(child, issuer)) {
        broken ??= badSignature(child)
        continue
      }
      if (isAnchor(issuer)) return [...path, issuer]
      const higher = climb(issuer, pool, [...path, issuer])
      if (!('allow' in higher)) return higher
      // A verified link that leads nowhere says more than one that did not verify.
      broken = higher
    }
    return retiredIssuer(child) ?? broken ?? missingIssuer(child, path.length === 1)
  }

  /** That a CA is retired says more than that a newer one of its name did not sign. */
  function retiredIssuer(child: Link): Denied | undefined {
    const retired = known.find((k) => k.ca?.retired === true && isNamedBy(child, k) && isSignedBy(child, k))
    return retired === undefined ? undefined : deny('certificate-issuer-retired', retired.ca?.name)
  }

  function missingIssuer(child: Link, isLeaf: boolean): Denied {
    const named = known.filter((k) => isNamedBy(child, k))
    const unpresented = named.find((k) => isSignedBy(child, k)) ?? named[0]
    if (unpresented !== undefined && isSignedBy(child, unpresented)) return deny('tls-chain-incomplete', `${unpresented.ca?.name ?? 'an intermediate'} was not presented`)
    if (unpresented !== undefined) return badSignature(child, `not signed by ${unpresented.ca?.name ?? 'its issuer'}`)
    // A root that the peer brought along is not a self-signed leaf: its leaf has an issuer, and we do not trust it.
    return isLeaf && isNamedBy(child, child) ? deny('tls-self-signed') : deny('tls-untrusted-issuer')
  }

  function judge(presented: readonly Uint8Array[], now: EpochMs, isVerified = false): Decision<Path> {
    if (presented.length === 0) return deny('tls-no-certificate')
    if (presented.length > X509_LIMITS.chainLengthMax) return deny('certificate-chain-too-long', `${presented.length} certificates`)
    const links: Link[] = []
    for (const der of presented) {
      const link = openLink(der, undefined)
      if (!link.allow) return link
      links.push(link.value)
    }
    const [leaf, ...pool] = links
    if (leaf === undefined) return deny('tls-no-certificate')
    if (isVerified && pool.length === 0) pool.push(...known.filter(({ ca }) => ca?.role === 'issuing'))
    const anchor = known.find((k) => k.facts.sha256 === leaf.facts.sha256)
    if (anchor !== undefined) return deny('certificate-is-ca', anchor.ca?.name)
    const path = climb(leaf, pool, [leaf])
    if ('allow' in path) return untrusted(leaf, path)
    // Its root may vouch for it still, and so may a root that vouches for its root.
    const retired = retiredIssuer(leaf)
    if (retired !== undefined) return retired
    for (const [i, issuer] of path.entries()) {
      if (i === 0) continue
      const judged = judgeIssuer(issuer.facts, i - 1, now)
      if (!judged.allow) return judged
      for (const below of path.slice(0, i)) {
        const named = judgeNames(below.facts, issuer.facts)
        if (!named.allow) return named
      }
    }
    const judged = judgeLeaf(leaf.facts, now)
    if (!judged.allow) return judged
    const signer = path[1]
    // The signer may be presented; what counts is that it is one of ours, byte for byte.
    const ours = known.find((k) => k.facts.sha256 === signer?.facts.sha256)
    const ca = ours?.ca
    if (ca !== undefined) return allow({ leaf: leaf.facts, issuer: ca.name, role: ca.role, tenant: ca.tenant })
    const top = path.at(-1)?.ca
    if (top?.role === 'root') return deny('certificate-unrecorded', 'an issuing CA that is not recorded')
    // Two intermediates of one CA may give one serial number to two devices: recorded under the name of that CA, the
    // certificate of one would be revoked with, or taken for, the certificate of the other.
    return deny('tls-untrusted-issuer', `signed by an intermediate of ${top?.name ?? 'a trusted CA'}: list the intermediate itself in trust: of sallyport.yaml`)
  }

  /** A look-alike brings its own CA along, under our name: the leaf fits that CA's key, and that CA fits none of ours. */
  function untrusted(leaf: Link, broken: Denied): Denied {
    if (broken.reason !== 'tls-signature-invalid') return broken
    return leaf.facts.issuerDerHex === leaf.facts.subjectDerHex && isSignedBy(leaf, leaf) ? deny('tls-self-signed') : broken
  }

  return {
    judge,
    judgeId(name, device) {
      const judged = judgeId(cas.find((ca) => ca.name === name)?.ids, device)
      return judged.allow ? judged : deny('certificate-name-constraints', judged.detail)
    },
    roleOf: (name) => cas.find((ca) => ca.name === name && ca.retired !== true)?.role,
    issuerOf: (leaf) => known.find((k) => k.facts.subjectDerHex === leaf.issuerDerHex && (leaf.authorityKeyId === undefined || leaf.authorityKeyId === k.facts.subjectKeyId))?.ca?.name,
  }
}

/** OpenSSL verifies no signature whose algorithm is named in two ways; that says more than "does not verify". */
function badSignature(child: Link, detail = 'the signature does not fit the key of its issuer'): Denied {
  return child.facts.signatureAlgorithmsAgree ? deny('tls-signature-invalid', detail) : deny('certificate-malformed', 'two different signature algorithms')
}

function openLink(der: Uint8Array, ca: TrustedCa | undefined): Decision<Link> {
  const facts = parseCertificate(der)
  if (!facts.allow) return facts
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(der)
  } catch {
    return deny('certificate-malformed', 'OpenSSL cannot read it')
  }
  try {
    return allow({ facts: facts.value, certificate, publicKey: certificate.publicKey, ca })
  } catch {
    return deny('certificate-key-weak', 'the public key cannot be used')
  }
}
