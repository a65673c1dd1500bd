// The desk of an operator of a tenant: what is of another tenant is not there, in the very words in which nothing is there. What is about
// the whole organisation is refused. Whoever gives the Desk another verb decides here whose it is: the compiler asks.

import { deny } from './decision.ts'
import type { Desk } from './desk.ts'
import { failureOf } from './errors.ts'
import type { DeviceId, SerialNumber, TenantId, TokenName } from './ids.ts'

const refused = (): Promise<never> => Promise.reject(failureOf(deny('tenant-insufficient')))

/** What is about everybody. */
const ORGANISATION = {
  revokeMany: refused, cas: refused, caRotation: refused, rotateCa: refused, requestCa: refused, importCa: refused, noteCaKey: refused,
  policy: refused, policyHistory: refused, applyPolicy: refused, diffPolicy: refused, whoCan: refused, lintFleet: refused,
  admitManufacturer: refused, orderRenewal: refused, renewalOrders: refused, endRenewalOrder: refused, expiring: refused, renewOwn: refused,
  operators: refused, addOperator: refused, certifyOperator: refused, changeOperatorRole: refused, revokeOperator: refused,
  auditTail: refused, auditRecords: refused, auditVerify: refused, reload: refused, logLevels: refused, changeLogLevel: refused, resetLogLevels: refused, overview: refused,
  webhooks: refused, addWebhook: refused, removeWebhook: refused, testWebhook: refused, webhookDeliveries: refused, retryWebhook: refused,
  reports: refused, report: refused, makeConsoleLink: refused, consoleSessions: refused, endConsoleSession: refused,
} as const satisfies Partial<Desk>

export function limitToTenant(desk: Desk, tenant: TenantId): Desk {
  /** Of nobody else: otherwise it is not there. */
  async function own(id: DeviceId): Promise<DeviceId> {
    const device = await desk.device(id)
    if (device.tenant !== tenant) throw failureOf(deny('device-not-found', id))
    return id
  }

  async function ownCertificate(serial: SerialNumber): Promise<Awaited<ReturnType<Desk['certificate']>>> {
    const certificate = await desk.certificate(serial)
    const isOwn = certificate.device !== undefined && (await desk.device(certificate.device)).tenant === tenant
    if (!isOwn) throw failureOf(deny('certificate-not-found', serial))
    return certificate
  }

  async function ownToken(name: TokenName): Promise<TokenName> {
    if ((await desk.token(name)).tenant !== tenant) throw failureOf(deny('token-not-found', name))
    return name
  }

  async function ownEnrollment(id: string): Promise<string> {
    const { token } = await desk.enrollment(id)
    if ((await desk.token(token)).tenant !== tenant) throw failureOf(deny('enrollment-not-found', id))
    return id
  }

  /** Somebody who asks for another tenant in so many words is told that it is not theirs; nothing else is. */
  function here<T extends { readonly tenant?: TenantId | undefined }>(said: T): T & { readonly tenant: TenantId } {
    if (said.tenant !== undefined && said.tenant !== tenant) throw failureOf(deny('tenant-insufficient'))
    return { ...said, tenant }
  }

  return {
    ...ORGANISATION,
    addDevice: async (device) => desk.addDevice(here(device)),
    addDevices: async (devices) => desk.addDevices(devices.map(here)),
    devices: async (query) => desk.devices(here(query)),
    device: async (id) => desk.device(await own(id)),
    describeDevice: async (id, description) => desk.describeDevice(await own(id), description),
    changeDevice: async (id, action, revision) => desk.changeDevice(await own(id), action, revision),
    enroll: async (id, csr, read) => desk.enroll(await own(id), csr, read),
    certificates: async (query) => desk.certificates({ ...query, tenant }),
    journal: async (query) => desk.journal({ ...query, tenant }),
    certificate: ownCertificate,
    revoke: async (target, reason) => {
      if ('device' in target) return desk.revoke({ device: await own(target.device) }, reason)
      const { serial, device } = await ownCertificate(target.serial)
      return desk.revoke(device === undefined ? { serial } : { serial, of: device }, reason)
    },
    why: async (id) => desk.why(await own(id)),
    detections: async () => {
      const all = await desk.detections()
      const isOwn = await Promise.all(all.map(async ({ device }) => (await desk.device(device)).tenant === tenant))
      return all.filter((_, i) => isOwn[i])
    },
    clearDetection: async (id) => desk.clearDetection(await own(id)),
    explain: async (question) => desk.explain({ ...question, device: await own(question.device) }),
    createTokens: async (tokens) => desk.createTokens(tokens.map(here)),
    createClaim: async (token, csr) => desk.createClaim(here(token), csr),
    tokens: async (query) => desk.tokens({ ...query, tenant }),
    token: async (name) => desk.token(await ownToken(name)),
    suspendToken: async (name, suspended) => desk.suspendToken(await ownToken(name), suspended),
    revokeToken: async (name) => desk.revokeToken(await ownToken(name)),
    enrollments: async (query) => desk.enrollments({ ...query, tenant }),
    enrollment: async (id) => desk.enrollment(await ownEnrollment(id)),
    decideEnrollment: async (id, state) => desk.decideEnrollment(await ownEnrollment(id), state),
    connections: async (query) => desk.connections({ ...query, tenant }),
    endConnection: async (id) => desk.endConnection(id, tenant),
    refusals: async (query) => desk.refusals({ ...query, tenant }),
    refusalGroups: async (filter) => desk.refusalGroups({ ...filter, tenant }),
    refusal: async (id) => desk.refusal(id, tenant),
    deviceSessions: async (id) => desk.deviceSessions(await own(id)),
    deviceTopics: async (id) => desk.deviceTopics(await own(id)),
    deviceTimeline: async (id) => desk.deviceTimeline(await own(id)),
    [Symbol.asyncDispose]: () => desk[Symbol.asyncDispose](),
  }
}
