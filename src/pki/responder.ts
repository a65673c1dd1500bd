// Answers OCSP requests (RFC 6960): which certificate is meant, how it stands by the registry of this moment, and a signature
// of the delegated responder. Answers without a nonce are remembered until the registry changes.

import type { CaName, EpochMs } from '../core/ids.ts'
import type { Registry, RegistryView } from '../core/registry.ts'
import { standingOf } from '../core/standing.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import { encodeOcspFailure, encodeOcspResponseData, issuerHashes, joinOcspResponse, parseOcspRequest, type OcspAnswer, type OcspCertId, type OcspFailure } from '../x509/ocsp.ts'
import type { ListSigner } from './publisher.ts'

/** The certificate that answers are signed with, issued by the CA for which it answers. */
export interface ResponderCredential extends ListSigner {
  readonly certificate: Uint8Array
  readonly notAfter: EpochMs
}

export interface ResponderPorts {
  /** The CA that it answers for. */
  readonly issuer: { readonly name: CaName; readonly der: Uint8Array }
  readonly credential: () => ResponderCredential
  readonly registry: Pick<Registry, 'certificate' | 'deviceOut'>
  readonly view: Pick<RegistryView, 'onChange'>
  readonly clock: () => EpochMs
  readonly log: (level: 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface OcspResponse {
  readonly der: Uint8Array
  /** A successful answer to a request without a nonce is the same for everybody. */
  readonly isShared: boolean
}

export interface Responder extends Disposable {
  /** Is it asked about a certificate of its CA? What is no request is nobody's. */
  isAsked(request: Uint8Array): boolean
  /** Always an OCSPResponse; never throws. */
  answer(request: Uint8Array): Promise<OcspResponse>
}

interface Remembered {
  readonly der: Uint8Array
  /** Not given any longer from here on: whoever gets it shall have half of its life left. */
  readonly until: EpochMs
  readonly from: EpochMs
}

const SECOND_MS = 1_000

export function openResponder(ports: ResponderPorts): Responder {
  const hashes = issuerHashes(ports.issuer.der)
  /** Maps keep insertion order: the first key is the oldest answer. */
  const remembered = new Map<string, Remembered>()
  let signing = 0
  /** Counts changes of the registry: what was judged before one is not remembered after it. */
  let generation = 0
  const stop = ports.view.onChange(({ kind }) => {
    if (kind === 'crl-numbered') return
    generation += 1
    remembered.clear()
  })

  const isOurs = ({ hash, issuerNameHash, issuerKeyHash }: OcspCertId): boolean => hash !== undefined && hashes[hash].name === issuerNameHash && hashes[hash].key === issuerKeyHash

  function judge(id: OcspCertId): OcspAnswer {
    if (!isOurs(id)) return { id: id.raw, status: { kind: 'unknown' } }
    // Text of a stranger is looked up and nothing else.
    const record = ports.registry.certificate(ports.issuer.name, id.serial as NonNullable<ReturnType<Registry['certificate']>>['serial'])
    return { id: id.raw, status: standingOf(record, record?.device === undefined ? undefined : ports.registry.deviceOut(record.device)) }
  }

  const failure = (kind: OcspFailure): OcspResponse => ({ der: encodeOcspFailure(kind), isShared: false })

  async function answer(bytes: Uint8Array): Promise<OcspResponse> {
    const now = ports.clock()
    const key = bytes.length > PKI_LIMITS.ocspRequestBytesMax ? '' : Buffer.from(bytes).toString('latin1')
    const known = remembered.get(key)
    if (known !== undefined && known.from <= now && now < known.until) return { der: known.der, isShared: true }
    const request = parseOcspRequest(bytes)
    if (!request.allow) return failure('malformedRequest')
    const { certificates, nonce } = request.value
    // Signed by a responder of another CA, an answer would be worth nothing. RFC 6960 §2.3.
    if (!certificates.some(isOurs)) return failure('unauthorized')
    if (signing >= PKI_LIMITS.ocspSigningMax) return failure('tryLater')
    let answers: readonly OcspAnswer[]
    try {
      answers = certificates.map(judge)
    } catch (error) {
      ports.log('error', { error: messageOf(error) }, 'the registry could not be read for OCSP')
      return failure('tryLater')
    }
    return sign(answers, nonce, key, now)
  }

  async function sign(answers: readonly OcspAnswer[], nonce: Uint8Array | undefined, key: string, now: EpochMs): Promise<OcspResponse> {
    const judgedAt = generation
    signing += 1
    try {
      const credential = ports.credential()
      const thisUpdate = Math.floor(now / SECOND_MS) * SECOND_MS
      const nextUpdate = Math.min(thisUpdate + PKI_LIMITS.ocspValidityMs, credential.notAfter)
      const data = encodeOcspResponseData({ responder: credential.certificate, answers, nonce, thisUpdate, nextUpdate })
      const der = joinOcspResponse(data, credential.signatureIdentifier, await credential.sign(data), [credential.certificate])
      if (nonce === undefined && judgedAt === generation && key.length <= PKI_LIMITS.ocspRememberedBytesMax) remember(key, { der, from: thisUpdate, until: thisUpdate + (nextUpdate - thisUpdate) / 2 })
      return { der, isShared: nonce === undefined }
    } catch (error) {
      ports.log('error', { error: messageOf(error) }, 'an OCSP answer could not be signed')
      return failure('internalError')
    } finally {
      signing -= 1
    }
  }

  function remember(key: string, answered: Remembered): void {
    remembered.delete(key)
    remembered.set(key, answered)
    const oldest = remembered.keys().next()
    if (remembered.size > PKI_LIMITS.ocspRememberedMax && oldest.done !== true) remembered.delete(oldest.value)
  }

  function isAsked(bytes: Uint8Array): boolean {
    const request = parseOcspRequest(bytes)
    return request.allow && request.value.certificates.some(isOurs)
  }

  return { answer, isAsked, [Symbol.dispose]: stop }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown')
