// EST (RFC 7030, RFC 8951) as decisions: a request whose body is there → an answer. It knows no sockets; who may enroll, and what is
// issued, is asked of a port.

import { REASONS, type DenyReason } from '../vocabulary.ts'
import { attributesOf } from '../core/certificate.ts'
import { allow, deny, type Decision, type Denied } from '../core/decision.ts'
import type { Source } from '../core/audit.ts'
import { SallyportError } from '../core/errors.ts'
import type { EpochMs } from '../core/ids.ts'
import { ENROLL_LIMITS } from '../enrollment-limits.ts'
import { parseCsr } from '../x509/csr.ts'
import { certsOnly, csrAttributes } from '../x509/pkcs7.ts'
import { decodeBody } from './body.ts'
import { tokenOf } from './credential.ts'
import type { Guesses } from './guesses.ts'

/** A certificate for whoever asked, DER. */
interface Certified {
  readonly certificate: Uint8Array
}

export interface Enrollments {
  withToken(request: { readonly token: string; readonly device?: string | undefined; readonly csr: Uint8Array; readonly source: Source }): Promise<Decision<Certified>>
  /** With a certificate in place of a secret: `chain` as it was presented, leaf first; the peer has proven to hold the key of the leaf. */
  withCertificate(request: { readonly chain: readonly Uint8Array[]; readonly device?: string | undefined; readonly csr: Uint8Array; readonly source: Source }): Promise<Decision<Certified>>
  /** `leaf` is the certificate whose key the peer has proven to hold. */
  renew(request: { readonly leaf: Uint8Array; readonly csr: Uint8Array; readonly source: Source }): Promise<Decision<Certified>>
  /** What devices verify servers and each other with, root last. DER. */
  caCertificates(): readonly Uint8Array[]
  /** The names of CAs that may stand in the path. */
  labels(): readonly string[]
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
  readonly body: Uint8Array
}

export interface EstAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Why it is no certificate. */
  readonly denied?: Denied
  /** What failed in here, in the words of the log. */
  readonly failure?: string
  /** The device that the request says it is of. */
  readonly claimed?: string
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
const LINE_CHARS = 64

const OPERATIONS: Readonly<Record<string, Operation>> = {
  cacerts: { method: 'GET', run: (request, { enrollments }) => encoded(request, 'application/pkcs7-mime', certsOnly(enrollments.caCertificates())) },
  csrattrs: { method: 'GET', run: (request) => encoded(request, 'application/csrattrs', csrAttributes()) },
  simpleenroll: { method: 'POST', run: enroll },
  simplereenroll: { method: 'POST', run: reenroll },
}

/** What is asked for before a byte of the body is read: whether there is such an operation. Reason: enrollment-operation. */
export function operationOf(method: string, path: string, labels: readonly string[]): Decision<Operation> | { readonly allow: false; readonly reason: DenyReason; readonly methods: string } {
  const [, label, name = ''] = /^\/\.well-known\/est\/(?:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\/)?([a-z]{1,32})$/.exec(path) ?? []
  const operation = Object.hasOwn(OPERATIONS, name) && (label === undefined || labels.includes(label)) ? OPERATIONS[name] : undefined
  if (operation === undefined) return deny('enrollment-operation')
  return operation.method === method ? allow(operation) : { allow: false, reason: 'enrollment-operation', methods: operation.method }
}

export async function answerEst(request: EstRequest, ports: EstPorts): Promise<EstAnswer> {
  const operation = operationOf(request.method, request.path, ports.enrollments.labels())
  if (!operation.allow) return refusal(operation, 'methods' in operation ? { status: 405, headers: { Allow: operation.methods } } : {})
  try {
    return await operation.value.run(request, ports)
  } catch (error) {
    // Of what failed in here a stranger hears nothing; the log does.
    if (!(error instanceof SallyportError)) throw error
    return { ...refusal(deny('issuance-unavailable', error.code), { headers: { 'Retry-After': String(ENROLL_LIMITS.issuanceRetrySeconds) } }), failure: error.message }
  }
}

async function enroll(request: EstRequest, ports: EstPorts): Promise<EstAnswer> {
  const credential = tokenOf(request.authorization)
  if (!credential.allow) return refusal(credential)
  // A user name without a password names the device for which a certificate is shown.
  if (credential.value === undefined || (credential.value.token === '' && request.chain.length > 0)) return enrollWithCertificate(request, credential.value?.device, ports)
  const now = ports.clock()
  const { device, token } = credential.value
  const claimed = device === undefined ? {} : { claimed: device }
  const waits = ports.guesses.waits(request.source.address, now)
  if (waits > 0) return { ...refusal(deny('token-locked'), { headers: { 'Retry-After': String(Math.ceil(waits / SECOND_MS)) } }), ...claimed }
  const csr = decodeBody(request.body)
  if (!csr.allow) return { ...refusal(csr), ...claimed }
  const certified = await ports.enrollments.withToken({ token, device, csr: csr.value, source: request.source })
  if (!certified.allow && certified.reason === 'token-unknown') ports.guesses.wrong(request.source.address, now)
  return { ...answered(request, certified), ...claimed }
}

async function enrollWithCertificate(request: EstRequest, device: string | undefined, { enrollments }: EstPorts): Promise<EstAnswer> {
  if (request.chain.length === 0) return refusal(deny('credential-missing'))
  const csr = decodeBody(request.body)
  const certified = csr.allow ? await enrollments.withCertificate({ chain: request.chain, device, csr: csr.value, source: request.source }) : csr
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
  return answered(request, await ports.enrollments.renew({ leaf, csr: csr.value, source: request.source }))
}

function answered(request: EstRequest, certified: Decision<Certified>): EstAnswer {
  if (certified.allow) return encoded(request, 'application/pkcs7-mime; smime-type=certs-only', certsOnly([certified.value.certificate]))
  if (certified.reason !== 'enrollment-pending') return refusal(certified)
  return refusal(certified, { headers: { 'Retry-After': String(ENROLL_LIMITS.approvalRetrySeconds) } })
}

/** strongSwan fails on line breaks within base64, libest on a line that is longer than 64. */
function encoded({ userAgent = '' }: EstRequest, type: string, der: Uint8Array): EstAnswer {
  const text = Buffer.from(der).toString('base64')
  const body = /libest/i.test(userAgent) ? `${text.match(new RegExp(`.{1,${LINE_CHARS}}`, 'g'))?.join('\n') ?? ''}\n` : text
  return { status: 200, headers: { 'Content-Type': type, 'Content-Transfer-Encoding': 'base64' }, body }
}

/** In words, for a person who reads what curl prints; the code for programs stands in a header. */
export function refusal(denied: Denied, more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {}): EstAnswer {
  const { sentence, fix, http } = REASONS[denied.reason]
  const status = more.status ?? http
  const detail = denied.detail === undefined ? '' : ` (${denied.detail})`
  return {
    status,
    headers: {
      'Content-Type': 'text/plain; charset=utf-8', 'Sallyport-Reason': denied.reason,
      ...(status === 401 ? { 'WWW-Authenticate': 'Basic realm="enrollment"' } : {}),
      ...more.headers,
    },
    body: `${sentence.replace(/\.$/, '')}${detail}.\nfix: ${fix}\n`,
    denied,
  }
}
