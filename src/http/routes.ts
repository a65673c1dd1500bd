// The route table of the admin API: every operation under its name. The server serves these rows and nothing else; the OpenAPI
// document and the typed client are made from them.

import { ADMIN_PATHS } from '../vocabulary.ts'
import * as answers from './answers.ts'
import { CA_ROUTES } from './ca-routes.ts'
import { CERTIFICATE_ROUTES } from './certificate-routes.ts'
import { CONSOLE_ROUTES } from './console-routes.ts'
import { DEVICE_ROUTES } from './device-routes.ts'
import { FEED_ROUTES } from './feed-routes.ts'
import { RENEWAL_ROUTES, TOKEN_ROUTES } from './enrollment-routes.ts'
import { OPERATOR_ROUTES } from './operator-routes.ts'
import { POLICY_ROUTES } from './policy-routes.ts'
import { RELOAD_ROUTES } from './reload-routes.ts'
import { LOG_ROUTES } from './log-routes.ts'
import * as requests from './requests.ts'
import { route, type RouteTable } from './route.ts'
import { WEBHOOK_ROUTES } from './webhook-routes.ts'

/** How many records of the audit log are shown where nobody says. */
const AUDIT_TAIL_DEFAULT = 50

const SERVER_ROUTES = {
  status: route({
    method: 'GET', path: ADMIN_PATHS.status, role: 'viewer', tag: 'server',
    summary: 'Says how the server is: its version, its sessions, what expires.',
    answer: answers.status,
    act: async ({ status }) => status(),
  }),
  openapi: route({
    method: 'GET', path: ADMIN_PATHS.openapi, role: 'viewer', tenants: 'own', tag: 'server',
    summary: 'Describes this API: OpenAPI 3.1.',
    answer: answers.openapi,
    act: async ({ document }) => document(),
  }),
} as const

const AUDIT_ROUTES = {
  auditTail: route({
    method: 'GET', path: ADMIN_PATHS.audit, role: 'viewer', tag: 'audit',
    summary: 'Shows the last records of the audit log, oldest first.',
    query: requests.auditQuery, answer: answers.auditTail, example: { query: 'count=100' },
    act: async ({ desk, query: { count } }) => ({ items: await desk.auditTail(count ?? AUDIT_TAIL_DEFAULT) }),
  }),
  auditRecords: route({
    method: 'GET', path: ADMIN_PATHS.auditRecords, role: 'viewer', tag: 'audit',
    summary: 'Lists all records of the audit log, newest first, in pages. A page may be short, and even empty, and not be the last.',
    query: requests.auditRecordsQuery, answer: answers.auditPage, example: { query: 'action=device-changed&limit=100' },
    act: ({ desk, query }) => desk.auditRecords(query),
  }),
  auditVerify: route({
    method: 'POST', path: ADMIN_PATHS.auditVerify, role: 'viewer', tag: 'audit',
    summary: 'Verifies the chain of the audit log, from its first record on.',
    answer: answers.auditVerdict,
    act: ({ desk }) => desk.auditVerify(),
  }),
} as const

export const ROUTES = {
  ...SERVER_ROUTES,
  ...RELOAD_ROUTES,
  ...LOG_ROUTES,
  ...DEVICE_ROUTES,
  ...CERTIFICATE_ROUTES,
  ...TOKEN_ROUTES,
  ...RENEWAL_ROUTES,
  ...CA_ROUTES,
  ...POLICY_ROUTES,
  ...FEED_ROUTES,
  ...WEBHOOK_ROUTES,
  ...OPERATOR_ROUTES,
  ...AUDIT_ROUTES,
  ...CONSOLE_ROUTES,
} as const satisfies RouteTable
