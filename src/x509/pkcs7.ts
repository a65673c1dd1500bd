// Certificates alone as a CMS SignedData, which signs nothing: what EST answers with. RFC 5652 §5, RFC 7030 §4.1.3.

import { TAG, tlv } from './der.ts'

const OID_DATA = Uint8Array.of(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01)
const OID_SIGNED_DATA = Uint8Array.of(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02)
const CONTEXT_0 = 0xa0
const VERSION_1 = tlv(TAG.integer, Uint8Array.of(1))

/**
 * A certs-only message of these certificates, in this order, which scripts rely on: what signs stands before the root. It is a SET, which DER
 * would sort; CMS takes BER (RFC 5652 §1).
 */
export function certsOnly(certificates: readonly Uint8Array[]): Uint8Array {
  const signedData = tlv(TAG.sequence, VERSION_1, tlv(TAG.set), tlv(TAG.sequence, OID_DATA), tlv(CONTEXT_0, ...certificates), tlv(TAG.set))
  return tlv(TAG.sequence, OID_SIGNED_DATA, tlv(CONTEXT_0, signedData))
}

const OID_EC_PUBLIC_KEY = Uint8Array.of(0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01)
const OID_P256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07)
const OID_ECDSA_SHA256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)

const OID_CHALLENGE_PASSWORD = Uint8Array.of(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07)

/**
 * CsrAttrs (RFC 7030 §4.5.2): what a request had best look like. A key on P-256, signed with SHA-256; and, where it is required, the
 * challengePassword that binds it to its connection.
 */
export function csrAttributes({ isBindingRequired }: { readonly isBindingRequired: boolean }): Uint8Array {
  return tlv(TAG.sequence, ...(isBindingRequired ? [OID_CHALLENGE_PASSWORD] : []), tlv(TAG.sequence, OID_EC_PUBLIC_KEY, tlv(TAG.set, OID_P256)), OID_ECDSA_SHA256)
}
