// The rows of the route table about tokens, requests to enroll, and what expires.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { HTTP_LIMITS } from '../http-limits.ts'
import * as claimRequests from './claim-requests.ts'
import * as answers from './enrollment-answers.ts'
import * as renewalRequests from './renewal-requests.ts'
import * as requests from './requests.ts'
import { route } from './route.ts'

const ofToken = z.strictObject({ token: requests.tokenName })
const ofRequest = z.strictObject({ request: requests.enrollmentId })
const DAY_MS = 86_400_000
const EXAMPLE_TOKEN = { target: { device: 'pump-17' }, register: true, groups: ['sensors'], lifeMs: DAY_MS }

export const TOKEN_ROUTES = {
  tokens: route({
    method: 'GET', path: ADMIN_PATHS.tokens, role: 'viewer', tenants: 'own', tag: 'enrollment',
    summary: 'Lists enrollment tokens, without their secrets, in pages.',
    query: requests.pageQuery, answer: answers.tokenPage,
    act: ({ desk, query }) => desk.tokens(query),
  }),
  token: route({
    method: 'GET', path: ADMIN_PATHS.token, role: 'viewer', tenants: 'own', tag: 'enrollment',
    summary: 'Shows a token, without its secret.',
    params: ofToken, answer: answers.token, reasons: ['token-not-found'],
    act: ({ desk, params: { token } }) => desk.token(token),
  }),
  createTokens: route({
    method: 'POST', path: ADMIN_PATHS.tokens, role: 'operator', tenants: 'own', tag: 'enrollment', bodyBytesMax: HTTP_LIMITS.bulkBodyBytesMax,
    summary: 'Makes enrollment tokens, all of them or none. The secrets are shown now and never again.',
    body: requests.newTokens, answer: answers.tokensMade, reasons: ['device-not-found'],
    example: { body: { tokens: [EXAMPLE_TOKEN] } },
    act: async ({ desk, body: { tokens } }) => ({ items: await desk.createTokens(tokens) }),
  }),
  createClaim: route({
    method: 'POST', path: ADMIN_PATHS.claims, role: 'operator', tenants: 'own', tag: 'enrollment',
    summary: 'Makes a token that a certificate proves, and this certificate.',
    body: claimRequests.newClaim, answer: answers.claimMade, reasons: ['csr-malformed', 'csr-signature-invalid', 'key-weak', 'key-in-use', 'issuance-unavailable'],
    act: ({ desk, body: { token, csr } }) => desk.createClaim(token, csr),
  }),
  admitManufacturer: route({
    method: 'POST', path: ADMIN_PATHS.manufacturers, role: 'admin', tag: 'enrollment',
    summary: 'Lets certificates of a trusted CA enroll the devices that they name.',
    body: claimRequests.newManufacturer, answer: answers.token, reasons: ['ca-step'],
    example: { body: { token: { target: { pattern: 'acme-*' }, register: true, uses: 1000, lifeMs: DAY_MS }, rule: { ca: 'acme', nameFrom: 'CN', prefix: 'acme-' } } },
    act: ({ desk, body: { token, rule } }) => desk.admitManufacturer(token, rule),
  }),
  suspendToken: route({
    method: 'POST', path: ADMIN_PATHS.tokenSuspension, role: 'operator', tenants: 'own', tag: 'enrollment',
    summary: 'Refuses a token from now on, or no longer.',
    params: ofToken, body: claimRequests.suspension, answer: answers.token, reasons: ['token-not-found', 'state-transition'],
    example: { body: { suspended: true } },
    act: ({ desk, params: { token }, body: { suspended } }) => desk.suspendToken(token, suspended),
  }),
  revokeToken: route({
    method: 'POST', path: ADMIN_PATHS.tokenRevoke, role: 'operator', tenants: 'own', tag: 'enrollment',
    summary: 'Revokes a token. Who has its certificate keeps it; that of a claim is revoked, too.',
    params: ofToken, answer: answers.token, reasons: ['token-not-found'],
    act: ({ desk, params: { token } }) => desk.revokeToken(token),
  }),
  enrollments: route({
    method: 'GET', path: ADMIN_PATHS.enrollments, role: 'viewer', tenants: 'own', tag: 'enrollment',
    summary: 'Lists requests to enroll: those that wait for an operator, unless another state is asked for.',
    query: requests.enrollmentQuery, answer: answers.enrollmentPage, example: { query: 'state=rejected' },
    act: ({ desk, query }) => desk.enrollments(query),
  }),
  enrollment: route({
    method: 'GET', path: ADMIN_PATHS.enrollment, role: 'viewer', tenants: 'own', tag: 'enrollment',
    summary: 'Shows a request to enroll.',
    params: ofRequest, answer: answers.enrollment, reasons: ['enrollment-not-found'],
    act: ({ desk, params: { request } }) => desk.enrollment(request),
  }),
  decideEnrollment: route({
    method: 'POST', path: ADMIN_PATHS.enrollmentDecision, role: 'operator', tenants: 'own', tag: 'enrollment',
    summary: 'Approves or rejects a request to enroll. The device learns of it when it asks again.',
    params: ofRequest, body: requests.decision, answer: answers.enrollment, reasons: ['enrollment-not-found', 'state-transition'],
    example: { body: { state: 'approved' } },
    act: ({ desk, params: { request }, body: { state } }) => desk.decideEnrollment(request, state),
  }),
} as const

export const RENEWAL_ROUTES = {
  expiring: route({
    method: 'GET', path: ADMIN_PATHS.expiring, role: 'viewer', tag: 'renewal',
    summary: 'Lists what expires within a time: the organisation\'s own first, then devices, soonest first. A page may be short and not be the last.',
    query: renewalRequests.expiring, answer: answers.expiringPage, example: { query: `withinMs=${7 * DAY_MS}` },
    act: ({ desk, query }) => desk.expiring(query),
  }),
  renewalOrders: route({
    method: 'GET', path: ADMIN_PATHS.renewalOrders, role: 'viewer', tag: 'renewal',
    summary: 'Lists open orders to renew, and how far they have come.',
    answer: answers.renewalOrders,
    act: async ({ desk }) => ({ items: await desk.renewalOrders() }),
  }),
  orderRenewal: route({
    method: 'POST', path: ADMIN_PATHS.renewalOrders, role: 'operator', tag: 'renewal',
    summary: 'Orders devices to renew their certificates before they would by themselves. A dry run counts.',
    body: renewalRequests.order, answer: answers.renewalOrdered, reasons: ['device-not-found', 'renewal-orders-limit'],
    example: { body: { choice: { group: 'sensors' }, overMs: DAY_MS, dryRun: true } },
    act: ({ desk, body }) => desk.orderRenewal(body),
  }),
  endRenewalOrder: route({
    method: 'POST', path: ADMIN_PATHS.renewalOrderEnd, role: 'operator', tag: 'renewal',
    summary: 'Ends an order to renew. Who was told has been told.',
    params: z.strictObject({ order: renewalRequests.orderId }), answer: answers.renewalEnded, reasons: ['renewal-order-not-found'],
    act: async ({ desk, params: { order } }) => {
      await desk.endRenewalOrder(order)
      return { ended: order }
    },
  }),
  renewOwn: route({
    method: 'POST', path: ADMIN_PATHS.renewalOwn, role: 'admin', tag: 'renewal',
    summary: 'Issues the server\'s own certificate, or that of the first operator, anew.',
    body: renewalRequests.own, answer: answers.renewedOwn, reasons: ['issuance-unavailable'],
    example: { body: { credential: 'server' } },
    act: ({ desk, body: { credential } }) => desk.renewOwn(credential),
  }),
} as const
