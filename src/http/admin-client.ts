// A Desk over the admin API: what a command uses while a server runs. It shows the operator's certificate, verifies the
// server's, and turns problems back into the failures that a local desk would have thrown.

import { Agent, request } from 'node:https'
import { z } from 'zod'
import { ADMIN_PATHS, REASONS, type DenyReason } from '../vocabulary.ts'
import { HTTP_LIMITS } from '../limits.ts'
import type { CaRequest, CaRotation, Rotated } from '../core/ca-desk.ts'
import type { ConsoleLinkMade, ConsoleSessionShown } from '../core/console-desk.ts'
import type { AuditRecord, AuditVerdict, CaShown, Desk, DetectionCleared, DeviceAdded, Enrolled, Revocation, Why } from '../core/desk.ts'
import type { OnRung } from '../core/detection/ladder.ts'
import type { Device } from '../core/device.ts'
import type { ClaimMade, TokenMade, TokenShown } from '../core/enrollment-desk.ts'
import type { CaName } from '../core/ids.ts'
import { FAILURES, SallyportError, type FailureCode } from '../core/errors.ts'
import type { MassRevoked } from '../core/mass-revocation.ts'
import type { OperatorCertified, OperatorShown } from '../core/operator-desk.ts'
import type { Applied, HistoryShown, LintPart, PolicyDiff, PolicyShown, WhoCan } from '../core/policy-desk.ts'
import type { Explanation } from '../core/policy/explain.ts'
import type { CertificateRecord, JournalEntry, Page } from '../core/registry.ts'
import type { ExpiringPage, RenewalDesk, RenewalOrdered, RenewalProgress } from '../core/renewal-desk.ts'
import type { ReportShown } from '../core/reports-desk.ts'
import type { EnrollmentRecord } from '../core/token.ts'

export interface AdminCredential {
  readonly url: string
  /** PEM. */
  readonly key: string
  readonly cert: string
  readonly ca: string
}

/** Requests that wait for each other rather than for handshakes. */
const CONNECTIONS_MAX = 4
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

const problem = z.object({ code: z.string(), title: z.string(), status: z.number(), hint: z.string().optional(), detail: z.string().optional() })

const addedSchema = z.object({ results: z.array(z.union([z.object({ ok: z.literal(true) }), z.object({ ok: z.literal(false), code: z.string(), message: z.string() })])) })

type Method = 'GET' | 'POST' | 'PATCH'
type Query = Readonly<Record<string, string | number | undefined>>

/** Opens the client; nothing is sent yet. Every call throws 'unreachable' when the server does not answer. */
export function openAdminClient(credential: AdminCredential): Desk {
  const { key, cert, ca } = credential
  const agent = new Agent({ key, cert, ca, keepAlive: true, maxSockets: CONNECTIONS_MAX, minVersion: 'TLSv1.2' })

  async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
    const { status, text } = await send(method, path, body === undefined ? undefined : JSON.stringify(body))
    return answered(status, text) as T
  }

  function send(method: Method, path: string, text: string | undefined): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, credential.url), {
        agent, method, timeout: HTTP_LIMITS.requestMs,
        headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      }, (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > ANSWER_BYTES_MAX) sent.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      })
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(credential.url, cause)))
      sent.end(text)
    })
  }

  const at = (path: string, value: string): string => path.replace(/:(id|serial|token|request|order|operator|session|report)/, encodeURIComponent(value))
  const get = <T>(path: string, query: Query = {}): Promise<T> => {
    const search = new URLSearchParams(Object.entries(query).flatMap(([k, v]): [string, string][] => (v === undefined ? [] : [[k, String(v)]])))
    return call('GET', search.size === 0 ? path : `${path}?${search.toString()}`)
  }

  return {
    addDevice: (device) => call<Device>('POST', ADMIN_PATHS.devices, device),
    addDevices: async (devices) => {
      const { results } = addedSchema.parse(await call('POST', ADMIN_PATHS.devices, { devices }))
      return results.map(addedOf)
    },
    devices: ({ attribute, ...query }) => get<Page<Device>>(ADMIN_PATHS.devices, { ...query, attribute: attribute && `${attribute.name}=${attribute.value}` }),
    device: (id) => get(at(ADMIN_PATHS.device, id)),
    describeDevice: (id, description) => call<Device>('PATCH', at(ADMIN_PATHS.device, id), description),
    changeDevice: (id, action) => call('POST', at(ADMIN_PATHS.deviceState, id), { action }),
    enroll: (id, csr) => call<Enrolled>('POST', at(ADMIN_PATHS.deviceEnroll, id), { csr }),
    certificates: (query) => get<Page<CertificateRecord>>(ADMIN_PATHS.certificates, { ...query }),
    journal: (query) => get<Page<JournalEntry>>(ADMIN_PATHS.journal, { ...query }),
    certificate: (serial) => get(at(ADMIN_PATHS.certificate, serial)),
    revoke: (target, reason) => call<Revocation>('POST', ADMIN_PATHS.revocations, { ...target, reason }),
    revokeMany: (order) => call<MassRevoked>('POST', ADMIN_PATHS.massRevocations, order),
    why: (id) => get<Why>(at(ADMIN_PATHS.deviceRefusals, id)),
    explain: (question) => call<Explanation>('POST', ADMIN_PATHS.policyExplain, question),
    whoCan: (query) => call<WhoCan>('POST', ADMIN_PATHS.policyWhoCan, query),
    lintFleet: (query) => call<LintPart>('POST', ADMIN_PATHS.policyLint, query),
    diffPolicy: (query) => call<PolicyDiff>('POST', ADMIN_PATHS.policyDiff, query),
    policy: () => get<PolicyShown>(ADMIN_PATHS.policy),
    policyHistory: () => get<HistoryShown>(ADMIN_PATHS.policyHistory),
    applyPolicy: (request) => call<Applied>('POST', ADMIN_PATHS.policy, request),
    cas: async () => (await get<{ items: readonly CaShown[] }>(ADMIN_PATHS.ca)).items,
    caRotation: () => get<CaRotation>(ADMIN_PATHS.caRotation),
    rotateCa: (request) => call<Rotated>('POST', ADMIN_PATHS.caRotation, request),
    requestCa: () => call<CaRequest>('POST', ADMIN_PATHS.caRequest, {}),
    importCa: async (source) => (await call<{ items: readonly CaName[] }>('POST', ADMIN_PATHS.caImport, source)).items,
    noteCaKey: async (ca, action) => void (await call('POST', ADMIN_PATHS.caKey, { ca, action })),
    detections: async () => (await get<{ items: readonly OnRung[] }>(ADMIN_PATHS.detection)).items,
    clearDetection: (id) => call<DetectionCleared>('POST', at(ADMIN_PATHS.deviceDetectionClear, id), {}),
    createTokens: async (tokens) => (await call<{ items: readonly TokenMade[] }>('POST', ADMIN_PATHS.tokens, { tokens })).items,
    tokens: ({ after, limit }) => get<Page<TokenShown>>(ADMIN_PATHS.tokens, { after, limit }),
    token: (name) => get<TokenShown>(at(ADMIN_PATHS.token, name)),
    createClaim: (token, csr) => call<ClaimMade>('POST', ADMIN_PATHS.claims, { token, csr }),
    admitManufacturer: (token, rule) => call<TokenShown>('POST', ADMIN_PATHS.manufacturers, { token, rule }),
    suspendToken: (name, suspended) => call<TokenShown>('POST', at(ADMIN_PATHS.tokenSuspension, name), { suspended }),
    revokeToken: (name) => call<TokenShown>('POST', at(ADMIN_PATHS.tokenRevoke, name), {}),
    enrollments: ({ after, limit, state }) => get<Page<EnrollmentRecord>>(ADMIN_PATHS.enrollments, { after, limit, state }),
    enrollment: (id) => get<EnrollmentRecord>(at(ADMIN_PATHS.enrollment, id)),
    decideEnrollment: (id, state) => call<EnrollmentRecord>('POST', at(ADMIN_PATHS.enrollmentDecision, id), { state }),
    orderRenewal: (order) => call<RenewalOrdered>('POST', ADMIN_PATHS.renewalOrders, order),
    renewalOrders: async () => (await get<{ items: readonly RenewalProgress[] }>(ADMIN_PATHS.renewalOrders)).items,
    endRenewalOrder: async (order) => void (await call('POST', at(ADMIN_PATHS.renewalOrderEnd, order), {})),
    renewOwn: (credential) => call<Awaited<ReturnType<RenewalDesk['renewOwn']>>>('POST', ADMIN_PATHS.renewalOwn, { credential }),
    expiring: ({ withinMs, group, after, limit }) => get<ExpiringPage>(ADMIN_PATHS.expiring, { withinMs, group, after, limit }),
    operators: ({ after, limit }) => get<Page<OperatorShown>>(ADMIN_PATHS.operators, { after, limit }),
    addOperator: (operator) => call<OperatorCertified>('POST', ADMIN_PATHS.operators, operator),
    certifyOperator: (name, csr) => call<OperatorCertified>('POST', at(ADMIN_PATHS.operatorCertificates, name), { csr }),
    changeOperatorRole: (name, role) => call<OperatorShown>('POST', at(ADMIN_PATHS.operatorRole, name), { role }),
    revokeOperator: (name) => call<OperatorShown>('POST', at(ADMIN_PATHS.operatorRevoke, name), {}),
    auditTail: async (count) => (await get<{ items: readonly AuditRecord[] }>(ADMIN_PATHS.audit, { count })).items,
    auditVerify: () => call<AuditVerdict>('POST', ADMIN_PATHS.auditVerify, {}),
    reports: async () => (await get<{ items: readonly ReportShown[] }>(ADMIN_PATHS.reports)).items,
    report: (name) => get(at(ADMIN_PATHS.report, name)),
    makeConsoleLink: () => call<ConsoleLinkMade>('POST', ADMIN_PATHS.consoleLinks, {}),
    consoleSessions: async () => (await get<{ items: readonly ConsoleSessionShown[] }>(ADMIN_PATHS.consoleSessions)).items,
    endConsoleSession: async (id) => void (await call('POST', at(ADMIN_PATHS.consoleSessionEnd, id), {})),
    [Symbol.asyncDispose]() {
      agent.destroy()
      return Promise.resolve()
    },
  }
}

/** What is no refusal of the device is a failure of the server. */
function addedOf(row: DeviceAdded): DeviceAdded {
  if (row.ok || (Object.hasOwn(REASONS, row.code) && row.code !== 'registry-unavailable')) return row
  throw new SallyportError(failureCodeOf(row.code), row.message)
}

function answered(status: number, text: string): unknown {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new SallyportError('unreachable', `The server answered with ${status} and something that is not JSON.`, { fix: 'Check that the URL in data/endpoints.json is this program\'s.', cause })
  }
  if (status < 400) return parsed
  const told = problem.safeParse(parsed)
  if (!told.success) throw new SallyportError('internal', `The server answered with ${status}.`)
  const { code, title, hint, detail } = told.data
  const reason = Object.hasOwn(REASONS, code) ? (code as DenyReason) : undefined
  const fix = hint === undefined ? {} : { fix: hint }
  throw new SallyportError(reason === undefined ? failureCodeOf(code) : status === 404 ? 'not-found' : 'refused', detail ?? title, { ...fix, ...(reason === undefined ? {} : { reason }) })
}

/** A failure of the server is the same failure here: with the same exit code. */
function failureCodeOf(code: string): FailureCode {
  return Object.hasOwn(FAILURES, code) ? (code as FailureCode) : 'internal'
}

/** Who answers with a certificate that is not in force answers: the clocks disagree, or it has not renewed. */
const OUT_OF_TIME: ReadonlySet<string> = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'])

function unreachable(url: string, cause: NodeJS.ErrnoException): SallyportError {
  const code = cause.code ?? cause.message
  return OUT_OF_TIME.has(code)
    ? new SallyportError('unreachable', `The server at ${url} shows a certificate that is not in force now (${code}).`, { fix: 'Compare the clock of this machine with that of the server; then kill -HUP the server, and it issues itself a new one.', cause })
    : new SallyportError('unreachable', `The server at ${url} does not answer (${code}).`, { fix: 'Look at its log; if it is gone, remove data/endpoints.json or start it again.', cause })
}
