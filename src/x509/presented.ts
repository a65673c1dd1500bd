// The chain that a peer presented in its handshake, as node:crypto links it.

import type { X509Certificate } from 'node:crypto'
import { X509_LIMITS } from '../limits.ts'

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
