// Family E: requests that must not become certificates. The form of a row is in catalogue-row.ts.

import type { CatalogueRow } from './catalogue-row.ts'

export const ENROLLMENT_ROWS = {
  E01: { family: 'enrollment', title: 'request with an invalid signature, and signed by another key', why: 'The asker must hold the key that is certified.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-signature-invalid'] } } },
  E02: { family: 'enrollment', title: 'request in the name of another device', why: 'One device could enroll as another.', expected: 'HTTP 403, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] } } },
  E07: { family: 'enrollment', title: 'request that asks to be a CA, a server, another name', why: 'What a request asks for must not be copied.', expected: 'dropped, or HTTP 400', claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E10: { family: 'enrollment', title: 'weak keys', why: 'A key that can be computed is no key.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['key-weak', 'csr-signature-invalid'] } } },
  E11: { family: 'enrollment', title: 'key of another device, of a revoked certificate, of the CA', why: 'One key is one device; a revoked key stays revoked.', expected: 'HTTP 409, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [409] }, reasons: ['key-in-use'] } } },
} as const satisfies Record<string, CatalogueRow>
