// A Desk over the admin API: what a command uses while a server runs. It asks with the typed client, so that what it sends and is
// answered is what the route table says; problems become the failures that a local desk would have thrown.

import { REASONS } from '../vocabulary.ts'
import type { Desk, DeviceAdded } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { failureCodeOf, openClient, type AdminCredential } from './client.ts'

/** Opens it; nothing is sent yet. Every call throws 'unreachable' when the server does not answer. */
export function openAdminClient(credential: AdminCredential): Desk {
  const api = openClient(credential)
  return {
    addDevice: async (device) => {
      const added = await api.addDevice(device)
      if ('results' in added) throw new SallyportError('internal', 'The server answered with results, not with a device.')
      return added
    },
    addDevices: async (devices) => {
      const added = await api.addDevice({ devices })
      if (!('results' in added)) throw new SallyportError('internal', 'The server answered with a device, not with results.')
      return added.results.map(addedOf)
    },
    devices: ({ attribute, ...query }) => api.devices({ ...query, attribute: attribute && `${attribute.name}=${attribute.value}` }),
    device: (id) => api.device({ id }),
    describeDevice: (id, description) => api.describeDevice({ id, ...description }),
    changeDevice: (id, action, revision) => api.changeDevice({ id, action }, revision === undefined ? {} : { ifMatch: `"${revision}"` }),
    enroll: (id, csr) => api.enroll({ id, csr }),
    certificates: (query) => api.certificates(query),
    journal: (query) => api.journal(query),
    certificate: (serial) => api.certificate({ serial }),
    revoke: (target, reason) => api.revoke({ ...target, reason }),
    revokeMany: (order) => api.revokeMany(order),
    why: (id) => api.why({ id }),
    explain: (question) => api.explain(question),
    whoCan: (query) => api.whoCan(query),
    lintFleet: (query) => api.lintFleet(query),
    diffPolicy: (query) => api.diffPolicy(query),
    policy: () => api.policy(),
    policyHistory: () => api.policyHistory(),
    applyPolicy: (request) => api.applyPolicy(request),
    cas: async () => (await api.cas()).items,
    caRotation: () => api.caRotation(),
    rotateCa: (request) => api.rotateCa(request),
    requestCa: () => api.requestCa(),
    importCa: async (source) => (await api.importCa(source)).items,
    noteCaKey: async (ca, action) => void (await api.noteCaKey({ ca, action })),
    reload: () => api.reload(),
    logLevels: async () => (await api.logLevels()).items,
    changeLogLevel: async (order) => (await api.changeLogLevel(order)).items,
    resetLogLevels: async () => (await api.resetLogLevels()).items,
    detections: async () => (await api.detections()).items,
    clearDetection: (id) => api.clearDetection({ id }),
    createTokens: async (tokens) => (await api.createTokens({ tokens })).items,
    tokens: ({ after, limit }) => api.tokens({ after, limit }),
    token: (name) => api.token({ token: name }),
    createClaim: (token, csr) => api.createClaim({ token, csr }),
    admitManufacturer: (token, rule) => api.admitManufacturer({ token, rule }),
    suspendToken: (name, suspended) => api.suspendToken({ token: name, suspended }),
    revokeToken: (name) => api.revokeToken({ token: name }),
    enrollments: ({ after, limit, state }) => api.enrollments({ after, limit, state }),
    enrollment: (id) => api.enrollment({ request: id }),
    decideEnrollment: (id, state) => api.decideEnrollment({ request: id, state }),
    orderRenewal: (order) => api.orderRenewal(order),
    renewalOrders: async () => (await api.renewalOrders()).items,
    endRenewalOrder: async (order) => void (await api.endRenewalOrder({ order })),
    renewOwn: (credential) => api.renewOwn({ credential }),
    expiring: (query) => api.expiring(query),
    operators: (query) => api.operators(query),
    addOperator: (operator) => api.addOperator(operator),
    certifyOperator: (name, csr) => api.certifyOperator({ operator: name, csr }),
    changeOperatorRole: (name, role) => api.changeOperatorRole({ operator: name, role }),
    revokeOperator: (name) => api.revokeOperator({ operator: name }),
    connections: (query) => api.connections(query),
    endConnection: (id) => api.endConnection({ connection: id }),
    refusals: (query) => api.refusals(query),
    refusalGroups: (filter) => api.refusalGroups(filter),
    refusal: (id) => api.refusal({ refusal: id }),
    overview: () => api.overview(),
    deviceSessions: (id) => api.deviceSessions({ id }),
    deviceTopics: (id) => api.deviceTopics({ id }),
    deviceTimeline: async (id) => (await api.deviceTimeline({ id })).items,
    webhooks: async () => (await api.webhooks()).items,
    addWebhook: (webhook) => api.addWebhook(webhook),
    removeWebhook: async (name) => void (await api.removeWebhook({ webhook: name })),
    testWebhook: (name) => api.testWebhook({ webhook: name }),
    webhookDeliveries: (name) => api.webhookDeliveries({ webhook: name }),
    retryWebhook: (name, letter) => api.retryWebhook({ webhook: name, letter }),
    auditTail: async (count) => (await api.auditTail({ count })).items,
    auditRecords: (query) => api.auditRecords(query),
    auditVerify: () => api.auditVerify(),
    reports: async () => (await api.reports()).items,
    report: (name) => api.report({ report: name }),
    makeConsoleLink: () => api.makeConsoleLink(),
    consoleSessions: async () => (await api.consoleSessions()).items,
    endConsoleSession: async (id) => void (await api.endConsoleSession({ session: id })),
    [Symbol.asyncDispose]() {
      api[Symbol.dispose]()
      return Promise.resolve()
    },
  }
}

/** What is no refusal of the device is a failure of the server. */
function addedOf(row: DeviceAdded): DeviceAdded {
  if (row.ok) return { ok: true }
  const { code, message } = row
  if (Object.hasOwn(REASONS, code) && code !== 'registry-unavailable') return { ok: false, code, message }
  throw new SallyportError(failureCodeOf(code), message)
}
