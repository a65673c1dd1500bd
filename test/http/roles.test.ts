// A02: every route, asked by every role, of all tenants and of one, about what is of its own tenant and what is of another. The table of
// outcomes is exact; a route that is not in it does not compile.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { ROUTES } from '../../src/http/routes.ts'
import { enrollmentId } from '../../src/core/token.ts'
import type { CaName, DeviceId, Fingerprint, KeyHash, OperatorName, SerialNumber, TenantId, TokenName } from '../../src/core/ids.ts'
import { DEFAULT_TENANT } from '../../src/core/ids.ts'
import { ROLES, type Role } from '../../src/core/operator.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { ask, newKey, openHouse, type Credential, type House } from './house.ts'

const ACME = 'acme' as TenantId
let house: House
let admin: AdminServer
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
})
afterAll(() => house[Symbol.asyncDispose]())

/** What a request is about: things of one tenant that were made for it alone. */
interface Target {
  readonly tenant: TenantId
  readonly device: DeviceId
  readonly serial: SerialNumber
  readonly token: TokenName
  readonly enrollment: string
  readonly operator: OperatorName
}

interface Sent {
  readonly path?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: unknown
}

const csr = (): string => makeCsr(newKey(), '')
const DAY_MS = 86_400_000
let counted = 0
const fresh = (): string => `n${++counted}`

/** One request for each route that does what it is for. */
const REQUESTS: Readonly<Record<keyof typeof ROUTES, (target: Target) => Sent>> = {
  status: () => ({}),
  openapi: () => ({}),
  reload: () => ({}),
  logLevels: () => ({}),
  changeLogLevel: () => ({ body: { level: 'debug' } }),
  resetLogLevels: () => ({}),
  devices: ({ tenant }) => ({ query: `tenant=${tenant}` }),
  addDevice: ({ tenant }) => ({ body: { id: fresh(), tenant } }),
  device: ({ device }) => ({ path: { id: device } }),
  describeDevice: ({ device }) => ({ path: { id: device }, body: { groups: ['g'] } }),
  enroll: ({ device }) => ({ path: { id: device }, body: { csr: makeCsr(newKey(), device) } }),
  changeDevice: ({ device }) => ({ path: { id: device }, body: { action: 'suspend' } }),
  why: ({ device }) => ({ path: { id: device } }),
  detections: () => ({}),
  clearDetection: ({ device }) => ({ path: { id: device } }),
  certificates: ({ device }) => ({ query: `device=${device}` }),
  certificate: ({ serial }) => ({ path: { serial } }),
  journal: () => ({ query: 'limit=1' }),
  revoke: ({ serial }) => ({ body: { serial, reason: 'superseded' } }),
  revokeMany: () => ({ body: { choice: { group: 'nobody' }, reason: 'superseded', dryRun: true } }),
  tokens: () => ({ query: 'limit=1' }),
  token: ({ token }) => ({ path: { token } }),
  createTokens: ({ device }) => ({ body: { tokens: [{ target: { device }, lifeMs: DAY_MS }] } }),
  createClaim: () => ({ body: { token: { target: { pattern: 'line-*' }, lifeMs: DAY_MS }, csr: csr() } }),
  admitManufacturer: () => ({ body: { token: { target: { pattern: 'line-*' }, lifeMs: DAY_MS }, rule: { ca: 'nobody', nameFrom: 'CN', prefix: '' } } }),
  suspendToken: ({ token }) => ({ path: { token }, body: { suspended: true } }),
  revokeToken: ({ token }) => ({ path: { token } }),
  enrollments: () => ({ query: 'limit=1' }),
  enrollment: ({ enrollment }) => ({ path: { request: enrollment } }),
  decideEnrollment: ({ enrollment }) => ({ path: { request: enrollment }, body: { state: 'rejected' } }),
  expiring: () => ({ query: 'withinMs=1' }),
  renewalOrders: () => ({}),
  orderRenewal: ({ device }) => ({ body: { choice: { device }, overMs: 0, dryRun: true } }),
  endRenewalOrder: () => ({ path: { order: '00000000' } }),
  renewOwn: () => ({ body: { credential: 'server' } }),
  cas: () => ({}),
  caRotation: () => ({}),
  rotateCa: () => ({ body: { step: 'start', dryRun: true } }),
  requestCa: () => ({ body: { surplus: true } }),
  importCa: () => ({ body: { cert: '' } }),
  noteCaKey: () => ({ body: { ca: 'root', action: 'exported' } }),
  policy: () => ({}),
  applyPolicy: () => ({ body: { dryRun: true } }),
  policyHistory: () => ({}),
  explain: ({ device }) => ({ body: { device, publish: 't/x' } }),
  whoCan: () => ({ body: { publish: 't/x' } }),
  diffPolicy: () => ({ body: {} }),
  lintFleet: () => ({ body: {} }),
  operators: () => ({}),
  addOperator: () => ({ body: { name: fresh(), role: 'viewer', csr: csr() } }),
  certifyOperator: ({ operator }) => ({ path: { operator }, body: { csr: csr() } }),
  changeOperatorRole: ({ operator }) => ({ path: { operator }, body: { role: 'operator' } }),
  revokeOperator: ({ operator }) => ({ path: { operator } }),
  overview: () => ({}),
  connections: () => ({}),
  endConnection: () => ({ path: { connection: '1' } }),
  refusals: () => ({}),
  refusalGroups: () => ({}),
  refusal: () => ({ path: { refusal: '999999' } }),
  events: () => ({ query: 'kinds=nothing' }),
  deviceSessions: ({ device }) => ({ path: { id: device } }),
  deviceTopics: ({ device }) => ({ path: { id: device } }),
  deviceTimeline: ({ device }) => ({ path: { id: device } }),
  webhooks: () => ({}),
  addWebhook: () => ({ body: { url: 'http://example.org' } }),
  removeWebhook: () => ({ path: { webhook: 'nobody' } }),
  testWebhook: () => ({ path: { webhook: 'nobody' } }),
  webhookDeliveries: () => ({ path: { webhook: 'nobody' } }),
  retryWebhook: () => ({ path: { webhook: 'nobody' } }),
  auditTail: () => ({ query: 'count=1' }),
  auditRecords: () => ({ query: 'limit=1' }),
  auditVerify: () => ({}),
  reports: () => ({}),
  report: () => ({ path: { report: 'run.json' } }),
  makeConsoleLink: () => ({}),
  consoleSessions: () => ({}),
  endConsoleSession: () => ({ path: { session: '00000000' } }),
}

async function targetOf(tenant: TenantId): Promise<Target> {
  const desk = house.desk()
  const device = fresh() as DeviceId
  await desk.addDevice({ id: device, tenant, groups: [], attributes: {} })
  const { serial } = await desk.enroll(device, makeCsr(newKey(), device))
  const operator = fresh() as OperatorName
  await house.home.registry.commit([{ kind: 'operator-added', operator: { name: operator, role: 'viewer', createdAt: 0 } }], [], [])
  const [made] = await desk.createTokens([{ target: { device }, register: false, groups: [], networks: [], approve: 'operator', uses: 1, lifeMs: DAY_MS, ...(tenant === DEFAULT_TENANT ? {} : { tenant }) }])
  const token = made?.name ?? ('' as TokenName)
  const spkiSha256 = counted.toString(16).padStart(64, '0') as KeyHash
  const enrollment = enrollmentId(token, { spkiSha256 })
  await house.home.registry.commit([{ kind: 'enrollment-requested', enrollment: { id: enrollment, token, device, spkiSha256, state: 'pending', source: '::1', createdAt: 0 } }], [], [])
  return { tenant, device, serial, token, enrollment, operator }
}

async function askAs(name: keyof typeof ROUTES, credential: Credential, target: Target): Promise<string> {
  const row = ROUTES[name]
  const { method, path } = row
  const { path: params = {}, query, body } = REQUESTS[name](target)
  const at = path.replaceAll(/:(\w+)/g, (_, key: string) => encodeURIComponent(params[key] ?? ''))
  const answer = await ask(admin.url, house.root, { method, path: query === undefined ? at : `${at}?${query}`, credential, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  // What is really sent is what the schema of the row says, with no field besides.
  if (answer.status < 400 && 'answer' in row) expect(row.answer.safeParse(answer.json()).error?.issues, name).toBeUndefined()
  return answer.status < 400 ? String(answer.status) : `${answer.status} ${String(answer.json()['code'])}`
}

interface Who {
  readonly role: Role
  readonly tenant?: TenantId
  readonly credential: Credential
}

async function everybody(): Promise<readonly Who[]> {
  return Promise.all([undefined, ACME].flatMap((tenant) => ROLES.map(async (role): Promise<Who> => ({ role, ...(tenant === undefined ? {} : { tenant }), credential: await house.operatorAs(role, tenant) }))))
}

test('A02: the table of outcomes', { timeout: 120_000 }, async () => {
  const people = await everybody()
  const lines = ['route | asked by viewer | operator | admin | viewer of acme, about acme | about another | operator of acme, about acme | about another | admin of acme, about acme | about another', '---|---|---|---|---|---|---|---|---|---']
  for (const name of Object.keys(ROUTES) as (keyof typeof ROUTES)[]) {
    const cells: string[] = []
    for (const { tenant, credential } of people) {
      for (const about of tenant === undefined ? [DEFAULT_TENANT] : [tenant, DEFAULT_TENANT]) cells.push(await askAs(name, credential, await targetOf(about)))
    }
    lines.push([name, ...cells].join(' | '))
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('roles.table.md')
})

test('A02: a list of a tenant holds what is of it, and nothing else; that of the organisation holds both', async () => {
  const [mine, other] = [await targetOf(ACME), await targetOf(DEFAULT_TENANT)]
  const [viewer, all] = [await house.operatorAs('viewer', ACME), await house.operatorAs('viewer')]
  const listed = async (path: string, field: string, credential: Credential): Promise<readonly unknown[]> => {
    const found: unknown[] = []
    for (let after = ''; ; ) {
      const page = (await ask(admin.url, house.root, { path: `${path}limit=1000${after}`, credential })).json() as { readonly items: readonly Record<string, unknown>[]; readonly next?: string }
      found.push(...page.items.map((item) => item[field]))
      if (page.next === undefined) return found
      after = `&after=${encodeURIComponent(page.next)}`
    }
  }
  for (const [path, field, key] of [['/v1/devices?', 'id', 'device'], ['/v1/certificates?', 'serial', 'serial'], ['/v1/journal?', 'serial', 'serial'], ['/v1/tokens?', 'name', 'token'], ['/v1/enrollments?', 'id', 'enrollment']] as const) {
    const seen = await listed(path, field, viewer)
    const whole = await listed(path, field, all)
    expect([seen.includes(mine[key]), seen.includes(other[key]), whole.includes(mine[key]), whole.includes(other[key])], path).toEqual([true, false, true, true])
  }
  const ofOther = `/v1/certificates?device=${other.device}&`
  expect([await listed(ofOther, 'device', viewer), await listed(ofOther, 'device', all)]).toEqual([[], [other.device]])
})

test('an operator who is given another role has it at the next request, and one who is revoked is out', async () => {
  const name = 'changing' as OperatorName
  const key = newKey()
  const made = await house.desk().addOperator({ name, role: 'viewer', csr: makeCsr(key, name) })
  const credential = { cert: made.certificate + made.chain.join(''), key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), serial: made.serial }
  const adding = (): Promise<string> => askAs('addDevice', credential, { tenant: DEFAULT_TENANT } as Target)
  expect(await adding()).toBe('403 role-insufficient')
  await house.desk().changeOperatorRole(name, 'operator')
  expect(await adding()).toBe('201')
  await house.desk().revokeOperator(name)
  expect(await adding()).toBe('403 certificate-revoked')
})

test('A17: the last admin goes neither by its certificate, nor by its role, nor as an operator; the one before it does', async () => {
  await using alone = await openHouse()
  const desk = alone.desk()
  const first = 'operator' as OperatorName
  const reason = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'done', (error: { reason?: string }) => error.reason)
  expect(await reason(desk.changeOperatorRole(first, 'operator'))).toBe('last-admin')
  expect(await reason(desk.revokeOperator(first))).toBe('last-admin')
  const second = await alone.operatorAs('admin')
  // Of two who end each other at the same moment one stays.
  const [name] = (await desk.operators({})).items.flatMap((o) => (o.name === first ? [] : [o.name]))
  const both = await Promise.all([reason(desk.revokeOperator(first)), reason(desk.changeOperatorRole(name ?? first, 'viewer')), reason(desk.revoke({ serial: second.serial }, 'superseded'))])
  expect(both.filter((outcome) => outcome === 'last-admin').length).toBeGreaterThan(0)
  const admin = await alone.openAdmin()
  const statuses = await Promise.all([alone.operator, second].map(async (credential) => (await ask(admin.url, alone.root, { credential, path: '/v1/operators', method: 'POST', body: JSON.stringify({ name: fresh(), role: 'viewer', csr: csr() }) })).status))
  expect(statuses).toContain(201)
})

test('a serial number that two devices have is revoked for the own one alone', async () => {
  const [mine, other] = [await targetOf(ACME), await targetOf(DEFAULT_TENANT)]
  // As a CA of others could give it: the same number, another issuer, a device of another tenant. It sorts behind ours.
  const twin = { issuer: 'zz-elsewhere' as CaName, serial: mine.serial, profile: 'device', device: other.device, state: 'active', spkiSha256: 'a'.repeat(64) as KeyHash, sha256: 'b'.repeat(64) as Fingerprint, notBefore: 0, notAfter: Date.now() + DAY_MS, createdAt: 0 } as const
  await house.home.registry.commit([{ kind: 'certificate-observed', certificate: twin, der: new Uint8Array(4) }], [], [])
  const answer = await ask(admin.url, house.root, { method: 'POST', path: '/v1/revocations', credential: await house.operatorAs('operator', ACME), body: JSON.stringify({ serial: mine.serial, reason: 'superseded' }) })
  expect(answer.status).toBe(200)
  expect(house.home.registry.certificatesBySerial(mine.serial).map(({ device, state }) => [device, state])).toEqual([[mine.device, 'revoked'], [other.device, 'active']])
})
