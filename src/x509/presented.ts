// What a peer presented in its handshake: the chain, as node:crypto links it, and its leaf as facts for the audit log.

import type { X509Certificate } from 'node:crypto'
import type { Presented } from '../core/audit.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import { printable } from '../core/ids.ts'
import { X509_LIMITS } from '../limits.ts'
import { parseCertificate } from './certificate.ts'

/** In DER, leaf first, in the order in which each names its issuer. */
export function presentedChain(leaf: X509Certificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let next: X509Certificate | undefined = leaf
  // One more than allowed is enough to know that it is too long.
  while (next !== undefined && chain.length <= X509_LIMITS.chainLengthMax) {
    chain.push(next.raw)
    next = next.issuerCertificate
  }
  return chain
}

/** What a peer presented, for the audit log: printable and short, believed by nobody. */
export function presentedFacts(der: Uint8Array | undefined): { readonly presented?: Presented; readonly claimed?: string } {
  if (der === undefined) return {}
  const parsed = parseCertificate(der)
  if (!parsed.allow) return { presented: { subject: '(not parseable)' } }
  const facts = parsed.value
  const name = (rdns: CertificateFacts['subject']): string => printable(rdns.flat().map((a) => `${a.short ?? a.type}=${a.value ?? '?'}`).join(', '), 200)
  const claimed = facts.subject.flat().find((a) => a.short === 'CN')?.value
  return {
    presented: { subject: name(facts.subject), issuer: name(facts.issuer), serial: printable(facts.serial), sha256: facts.sha256, notAfter: facts.notAfter },
    ...(claimed === undefined ? {} : { claimed: printable(claimed) }),
  }
}
