// Everything that is read off a TLS socket about its peer, in one place, because part of it is undocumented in Node:
// the 'secure' event and the handle's verifyError(). node:tls destroys a socket whose verification failed before anyone
// can see which certificate it was; building the TLSSocket ourselves is the only way to name the failing check
// (docs/decisions/0003). Every use fails closed: what cannot be read counts as refused.

import type { TLSSocket } from 'node:tls'
import type { X509Certificate } from 'node:crypto'
import type { DenyReason } from '../vocabulary.ts'
import type { TlsVersion } from '../core/policy/document.ts'
import { presentedChain } from '../x509/presented.ts'

interface HandleSurface {
  verifyError?(): { readonly code?: string } | null | undefined
}

/** OpenSSL's verdict on the peer's chain: undefined when it verified, otherwise its code. */
export function verificationFailure(socket: TLSSocket): string | undefined {
  const handle = (socket as unknown as { readonly _handle?: HandleSurface | null })._handle
  if (handle?.verifyError === undefined) return 'UNREADABLE'
  const failure = handle.verifyError()
  if (failure === null || failure === undefined) return undefined
  return failure.code ?? 'UNSPECIFIED'
}

/**
 * The presented leaf, with the rest of the chain behind it; undefined when the peer presented nothing, also on a resumed
 * session. Ask once for each connection: the first answer takes the chain along, a second one has the leaf alone (Node 24).
 */
export function presentedCertificate(socket: TLSSocket): X509Certificate | undefined {
  return socket.getPeerX509Certificate()
}

/** The TLS version of a connection. Older ones than 1.2 are not spoken; what cannot be read, as of a closed socket, is not taken for the better one. */
export function tlsVersion(socket: TLSSocket): TlsVersion {
  return socket.getProtocol() === 'TLSv1.3' ? '1.3' : '1.2'
}

/**
 * The chain of a handshake that failed: there when the peer got as far as showing it, as in a CertificateVerify that does
 * not fit.
 */
export function chainOfFailedHandshake(socket: TLSSocket): readonly Uint8Array[] {
  try {
    const leaf = presentedCertificate(socket)
    return leaf === undefined ? [] : presentedChain(leaf)
  } catch {
    return [] // The handle is gone: there is nothing to tell.
  }
}

/** OpenSSL's verdict as a reason, for chains that our own rules had nothing against. */
const VERDICTS: Readonly<Record<string, DenyReason>> = {
  CERT_HAS_EXPIRED: 'certificate-expired',
  CERT_NOT_YET_VALID: 'certificate-not-yet-valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls-self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls-untrusted-issuer',
  UNABLE_TO_GET_ISSUER_CERT: 'tls-chain-incomplete',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls-untrusted-issuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls-chain-incomplete',
  CERT_SIGNATURE_FAILURE: 'tls-signature-invalid',
  CERT_CHAIN_TOO_LONG: 'certificate-chain-too-long',
  PATH_LENGTH_EXCEEDED: 'certificate-path-length',
  INVALID_CA: 'certificate-issuer-not-ca',
  INVALID_PURPOSE: 'certificate-usage-wrong',
}

/** A verification code of OpenSSL as a reason; what is not in the table is an issuer that we do not trust. */
export function reasonOfVerification(code: string): DenyReason {
  return VERDICTS[code] ?? 'tls-untrusted-issuer'
}

/** A chain that verified as far as it goes, and does not end in a root: node:https cannot be told that this may be. */
export function isPartialChain(code: string): boolean {
  return code === 'UNABLE_TO_GET_ISSUER_CERT' || code === 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' || code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
}

/** Fragments of OpenSSL's error codes during a handshake, in the order in which they are tried. */
const HANDSHAKE_FAILURES: readonly (readonly [string, DenyReason])[] = [
  ['PEER_DID_NOT_RETURN_A_CERTIFICATE', 'tls-no-certificate'],
  ['HTTP_REQUEST', 'tls-not-tls'],
  ['PROXY_REQUEST', 'tls-not-tls'],
  ['WRONG_VERSION_NUMBER', 'tls-not-tls'],
  ['PACKET_LENGTH_TOO_LONG', 'tls-not-tls'],
  ['BAD_RECORD_TYPE', 'tls-not-tls'],
  ['UNKNOWN_PROTOCOL', 'tls-not-tls'],
  ['UNSUPPORTED_PROTOCOL', 'tls-protocol-version'],
  ['VERSION_TOO_LOW', 'tls-protocol-version'],
  ['NO_SHARED', 'tls-no-shared-parameters'],
  ['NO_SUITABLE', 'tls-no-shared-parameters'],
  ['NO_APPLICATION_PROTOCOL', 'tls-no-shared-parameters'],
  // The peer showed a certificate and could not sign for it.
  ['SIGNATURE', 'tls-possession-unproven'],
  // A thousand warnings are no farewell.
  ['TOO_MANY_WARN_ALERTS', 'tls-malformed'],
  // An alert came from the other side: it does not like us.
  ['ALERT', 'tls-aborted'],
  ['ECONNRESET', 'tls-aborted'],
  ['EPIPE', 'tls-aborted'],
]

/** Why a handshake ended, from the code that Node gives its error. */
export function reasonOfHandshakeError(code: string | undefined): DenyReason {
  if (code === undefined) return 'tls-aborted'
  return HANDSHAKE_FAILURES.find(([fragment]) => code.includes(fragment))?.[1] ?? 'tls-malformed'
}
