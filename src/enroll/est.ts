// EST (RFC 7030, RFC 8951) as decisions: a request whose body is there → an answer. It knows no sockets; who may enroll, and what is
// issued, is asked of a port.

import type { DenyReason } from '../vocabulary.ts'
import { attributesOf } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { Source } from '../core/audit.ts'
import type { EnrollRules } from '../core/enroll-rules.ts'
import { SallyportError } from '../core/errors.ts'
import type { EpochMs } from '../core/ids.ts'
import { parseCsr } from '../x509/csr.ts'
import { certsOnly, csrAttributes } from '../x509/pkcs7.ts'
import { certificateAnswer, encoded, keyAnswer, refusal, type EstAnswer } from './answer.ts'
import { decodeBody } from './body.ts'
import { tokenOf } from './credential.ts'
import type { Guesses } from './guesses.ts'

/** A certificate for whoever asked, DER; and its key, PKCS#8, where that was to be made here. */
export interface Certified {
  readonly certificate: Uint8Array
  readonly key?: Uint8Array
}

export interface Asked {
  readonly csr: Uint8Array
  readonly source: Source
  /** What a request that was made for this connection has as its challengePassword. */
  readonly binding: string | undefined
  /** The key is to be made here. */
  readonly serverKey: boolean
}

export interface Enrollments {
  withToken(request: Asked & { readonly token: string; readonly device?: string | undefined }): Promise<Decision<Certified>>
  /** With a certificate in place of a secret: `chain` as it was presented, leaf first; the peer has proven to hold the key of the leaf. */
  withCertificate(request: Asked & { readonly chain: readonly Uint8Array[]; readonly device?: string | undefined }): Promise<Decision<Certified>>
  /** `leaf` is the certificate whose key the peer has proven to hold. */
  renew(request: Asked & { readonly leaf: Uint8Array }): Promise<Decision<Certified>>
  /** What devices verify servers and each other with, root last. DER. */
  caCertificates(): readonly Uint8Array[]
  /** The names of CAs that may stand in the path. */
  labels(): readonly string[]
  rules(): EnrollRules
}

export interface EstRequest {
  readonly method: string
  /** As it stands in the request line. */
  readonly path: string
  readonly authorization: string | undefined
  readonly userAgent: string | undefined
  readonly source: Source
  /** What the peer presented, leaf first; empty where it presented nothing. */
  readonly chain: readonly Uint8Array[]
  /** As in `Asked`. */
  readonly binding: () => string | undefined
  readonly body: Uint8Array
}

interface Operation {
  readonly method: 'GET' | 'POST'
  readonly run: (request: EstRequest, ports: EstPorts) => Promise<EstAnswer> | EstAnswer
}

export interface EstPorts {
  readonly enrollments: Enrollments
  readonly guesses: Guesses
  readonly clock: () => EpochMs
}

const SECOND_MS = 1_000

const OPERATIONS: Readonly<Record<string, Operation>> = {
  cacerts: { method: 'GET', run: (request, { enrollments }) => encoded(request, 'application/pkcs7-mime', certsOnly(enrollments.caCertificates())) },
  csrattrs: { method: 'GET', run: (request, { enrollments }) => encoded(request, 'application/csrattrs', csrAttributes({ isBindingRequired: enrollments.rules().channelBinding === 'required' })) },
  simpleenroll: { method: 'POST', run: (request, ports) => enroll(request, ports, false) },
  simplereenroll: { method: 'POST', run: reenroll },
  serverkeygen: { method: 'POST', run: (request, ports) => enroll(request, ports, true) },
}

/**
 * What is asked for before a byte of the body is read: whether there is such an operation, and is offered. Reasons:
 * enrollment-operation, server-key-refused.
 */
export function operationOf(method: string, path: string, { labels, rules }: Pick<Enrollments, 'labels' | 'rules'>): Decision<Operation> | { readonly allow: false; readonly reason: DenyReason; readonly methods: string } {
  const [, label, name = ''] = /^\/\.well-known\/est\/(?:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\/)?([a-z]{1,32})$/.exec(path) ?? []
  const operation = Object.hasOwn(OPERATIONS, name) && (label === undefined || labels().includes(label)) ? OPERATIONS[name] : undefined
  if (operation === undefined) return deny('enrollment-operation')
  if (operation.method !== method) return { allow: false, reason: 'enrollment-operation', methods: operation.method }
  return name === 'serverkeygen' && rules().serverKeys === 'refused' ? deny('server-key-refused') : allow(operation)
}

export async function answerEst(request: EstRequest, ports: EstPorts): Promise<EstAnswer> {
  const operation = operationOf(request.method, request.path, ports.enrollments)
  if (!operation.allow) return refusal(operation, 'methods' in operation ? { status: 405, headers: { Allow: operation.methods } } : {})
  try {
    return await operation.value.run(request, ports)
  } catch (error) {
    // Of what failed in here a stranger hears nothing; the log does.
    if (!(error instanceof SallyportError)) throw error
    return { ...refusal(deny('issuance-unavailable', error.code)), failure: error.message }
  }
}

async function enroll(request: EstRequest, ports: EstPorts, serverKey: boolean): Promise<EstAnswer> {
  const credential = tokenOf(request.authorization)
  if (!credential.allow) return refusal(credential)
  // A user name without a password names the device for which a certificate is shown.
  if (credential.value === undefined || (credential.value.token === '' && request.chain.length > 0)) return enrollWithCertificate(request, credential.value?.device, ports, serverKey)
  const now = ports.clock()
  const { source } = request
  const { device, token } = credential.value
  const claimed = device === undefined ? {} : { claimed: device }
  const waits = ports.guesses.waits(source.address, now)
  if (waits > 0) return { ...refusal(deny('token-locked'), { headers: { 'Retry-After': String(Math.ceil(waits / SECOND_MS)) } }), ...claimed }
  const csr = decodeBody(request.body)
  if (!csr.allow) return { ...refusal(csr), ...claimed }
  const certified = await ports.enrollments.withToken({ token, device, csr: csr.value, source, binding: request.binding(), serverKey })
  if (!certified.allow && certified.reason === 'token-unknown') ports.guesses.wrong(source.address, now)
  return { ...answered(request, certified), ...claimed }
}

async function enrollWithCertificate(request: EstRequest, device: string | undefined, { enrollments }: EstPorts, serverKey: boolean): Promise<EstAnswer> {
  const { chain, source } = request
  if (chain.length === 0) return refusal(deny('credential-missing'))
  const csr = decodeBody(request.body)
  const certified = csr.allow ? await enrollments.withCertificate({ chain, device, csr: csr.value, source, binding: request.binding(), serverKey }) : csr
  const claimed = device ?? (csr.allow && !certified.allow ? nameIn(csr.value) : undefined)
  return { ...answered(request, certified), ...(claimed === undefined ? {} : { claimed }) }
}

/** Who asks with a certificate seldom says besides which device it is; whoever looks for that device shall find it. */
function nameIn(request: Uint8Array): string | undefined {
  const csr = parseCsr(request)
  return csr.allow ? attributesOf(csr.value.subject, 'CN')[0]?.value : undefined
}

async function reenroll(request: EstRequest, ports: EstPorts): Promise<EstAnswer> {
  const [leaf] = request.chain
  if (leaf === undefined) return refusal(deny('credential-missing', 'a certificate is renewed with that certificate'))
  const csr = decodeBody(request.body)
  if (!csr.allow) return refusal(csr)
  return answered(request, await ports.enrollments.renew({ leaf, csr: csr.value, source: request.source, binding: request.binding(), serverKey: false }))
}

function answered(request: EstRequest, certified: Decision<Certified>): EstAnswer {
  if (!certified.allow) return refusal(certified)
  const { certificate, key } = certified.value
  return key === undefined ? certificateAnswer(request, certificate) : keyAnswer(request, key, certificate)
}
