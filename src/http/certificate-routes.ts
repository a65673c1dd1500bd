// The rows of the route table about certificates: what there are, who planned them, and their end.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import * as answers from './answers.ts'
import { journalQuery } from './claim-requests.ts'
import * as requests from './requests.ts'
import { route } from './route.ts'

export const CERTIFICATE_ROUTES = {
  certificates: route({
    method: 'GET', path: ADMIN_PATHS.certificates, role: 'viewer', tenants: 'own', tag: 'certificates',
    summary: 'Lists certificates, in pages.',
    query: requests.certificateQuery, answer: answers.certificatePage, reasons: ['registry-unavailable'], example: { query: 'device=pump-17&state=active' },
    act: ({ desk, query }) => desk.certificates(query),
  }),
  certificate: route({
    method: 'GET', path: ADMIN_PATHS.certificate, role: 'viewer', tenants: 'own', tag: 'certificates',
    summary: 'Shows a certificate, in PEM, too.',
    params: z.strictObject({ serial: requests.serialNumber }), answer: answers.certificateShown, reasons: ['certificate-not-found'],
    act: ({ desk, params: { serial } }) => desk.certificate(serial),
  }),
  journal: route({
    method: 'GET', path: ADMIN_PATHS.journal, role: 'viewer', tenants: 'own', tag: 'certificates',
    summary: 'Says who planned which certificate, in the order in which they did.',
    query: journalQuery, answer: answers.journalPage, reasons: ['registry-unavailable'], example: { query: 'by=operator' },
    act: ({ desk, query }) => desk.journal(query),
  }),
  revoke: route({
    method: 'POST', path: ADMIN_PATHS.revocations, role: 'operator', tenants: 'own', tag: 'certificates',
    summary: 'Revokes a certificate, or all of a device. Their sessions are closed when this is answered.',
    body: requests.revocation, answer: answers.revoked, reasons: ['device-not-found', 'certificate-not-found', 'certificate-purpose', 'last-admin', 'state-transition'],
    example: { body: { device: 'pump-17', reason: 'keyCompromise' } },
    act: ({ desk, body: { reason, ...target } }) => desk.revoke(target, reason),
  }),
  revokeMany: route({
    method: 'POST', path: ADMIN_PATHS.massRevocations, role: 'admin', tag: 'certificates',
    summary: 'Revokes what a group, a CA, a token or a time has in common. A dry run counts; `atMost` keeps to what it counted.',
    body: requests.massRevocation, answer: answers.massRevoked, reasons: ['ca-step', 'token-not-found', 'revision-conflict'],
    example: { body: { choice: { group: 'sensors' }, reason: 'keyCompromise', dryRun: true } },
    act: ({ desk, body }) => desk.revokeMany(body),
  }),
} as const
