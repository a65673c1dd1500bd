// The rows of the route table about operators: who they are, and what each of them may do.

import { z } from 'zod'
import { ADMIN_PATHS } from '../vocabulary.ts'
import { X509_LIMITS } from '../limits.ts'
import { parseOperatorName, parseTenantId } from '../core/ids.ts'
import { ROLES } from '../core/operator.ts'
import { pageQuery, parsed } from './requests.ts'
import { route } from './route.ts'
import { anInstant, anOperator, aSerial, aTenant, pageOf, pem } from './shapes.ts'

const operatorName = parsed(parseOperatorName)
const ofOperator = z.strictObject({ operator: operatorName })
const csr = z.string().max(2 * X509_LIMITS.csrBytesMax)
const role = z.enum(ROLES)
const EXAMPLE_CSR = '-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n'
const ISSUANCE = ['csr-malformed', 'csr-signature-invalid', 'key-weak', 'key-in-use', 'issuance-unavailable'] as const

const shown = z.strictObject({
  name: anOperator,
  role,
  tenant: aTenant.exactOptional(),
  createdAt: anInstant,
  revokedAt: anInstant.exactOptional(),
  certificates: z.array(z.strictObject({ serial: aSerial, notAfter: anInstant })),
}).meta({ id: 'Operator', description: 'An operator, and the certificates that are in force.' })
const certified = z.strictObject({ name: anOperator, role, tenant: aTenant.exactOptional(), serial: aSerial, certificate: pem, chain: z.array(pem), root: pem, notAfter: anInstant }).meta({ id: 'OperatorCertified' })

export const OPERATOR_ROUTES = {
  operators: route({
    method: 'GET', path: ADMIN_PATHS.operators, role: 'viewer', tag: 'operators',
    summary: 'Lists operators, those who are revoked, too, in pages.',
    query: pageQuery, answer: pageOf(shown).meta({ id: 'OperatorPage' }),
    act: ({ desk, query }) => desk.operators(query),
  }),
  addOperator: route({
    method: 'POST', path: ADMIN_PATHS.operators, role: 'admin', tag: 'operators', status: 201,
    summary: 'Makes an operator, with a certificate for the key of this request.',
    body: z.strictObject({ name: operatorName, role, tenant: parsed(parseTenantId).optional(), csr }), answer: certified,
    reasons: ['operator-exists', 'operators-limit', ...ISSUANCE], example: { body: { name: 'anna', role: 'viewer', csr: EXAMPLE_CSR } },
    act: ({ desk, body }) => desk.addOperator(body),
  }),
  certifyOperator: route({
    method: 'POST', path: ADMIN_PATHS.operatorCertificates, role: 'admin', tag: 'operators', status: 201,
    summary: 'Gives an operator a further certificate. Those before it stay as they are.',
    params: ofOperator, body: z.strictObject({ csr }), answer: certified, reasons: ['operator-not-found', 'operator-revoked', ...ISSUANCE], example: { body: { csr: EXAMPLE_CSR } },
    act: ({ desk, params: { operator }, body: { csr } }) => desk.certifyOperator(operator, csr),
  }),
  changeOperatorRole: route({
    method: 'POST', path: ADMIN_PATHS.operatorRole, role: 'admin', tag: 'operators',
    summary: 'Gives an operator another role, from the next request on.',
    params: ofOperator, body: z.strictObject({ role }), answer: shown, reasons: ['operator-not-found', 'operator-revoked', 'last-admin'], example: { body: { role: 'operator' } },
    act: ({ desk, params: { operator }, body: { role } }) => desk.changeOperatorRole(operator, role),
  }),
  revokeOperator: route({
    method: 'POST', path: ADMIN_PATHS.operatorRevoke, role: 'admin', tag: 'operators',
    summary: 'Revokes an operator, with all certificates. Nobody comes back under this name.',
    params: ofOperator, answer: shown, reasons: ['operator-not-found', 'last-admin'],
    act: ({ desk, params: { operator } }) => desk.revokeOperator(operator),
  }),
} as const
