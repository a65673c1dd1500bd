// Family I: names in certificates, and certificates whose device is no longer welcome. The form of a row is in catalogue-row.ts.

import { BAD_CLIENT_ID, BY_RULE, byName, CUT, TLS_OR_CONNACK, type CatalogueRow } from './catalogue-row.ts'

export const IDENTITY_ROWS = {
  I01: { family: 'identity', title: 'no common name, empty subject, CN=""', why: 'Whoever has no name must not become everybody.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-subject-empty'), trusted: BY_RULE } },
  I02: { family: 'identity', title: 'two common names, in both orders', why: 'Two programs read two different names.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-ambiguous'), trusted: BY_RULE } },
  I07: {
    family: 'identity', title: 'the wildcards + and # as a device name', why: 'In a topic template they mean every device.', expected: 'refused at issuance and at connect', needs: ['ca-key', 'registry'],
    claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE, issuance: { outcome: { kind: 'http', statuses: [400] }, reasons: ['device-id-invalid', 'request-invalid'] } },
  },
  I10: {
    family: 'identity', title: '__proto__, constructor, toString as a device name', why: 'Names that a JavaScript object already has crash or confuse the server.', expected: 'as any unknown device', needs: ['ca-key', 'registry'],
    claims: { ...byName('certificate-name-invalid', 'certificate-unrecorded', 'device-unknown'), trusted: BY_RULE, client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'] } },
  },
  I14: { family: 'identity', title: 'certificate of a trusted CA in the name of a device of ours', why: 'A factory could speak for every device of the organisation.', expected: 'refused', needs: ['second-ca', 'registry'], claims: byName('device-issuer-mismatch') },
  I16: { family: 'identity', title: 'valid certificate that is not in the registry', why: 'It means that the CA key was used by somebody else.', expected: 'refused', needs: ['ca-key', 'registry'], claims: byName('certificate-unrecorded') },
  I18: {
    family: 'identity', title: 'device suspended, then retired, with a valid certificate', why: 'The operator\'s word counts more than the certificate.', expected: 'cut within 1 s and refused', needs: ['registry'],
    claims: {
      kick: { outcome: CUT, reasons: [] },
      suspended: { outcome: TLS_OR_CONNACK, reasons: ['device-suspended'] },
      retired: { outcome: TLS_OR_CONNACK, reasons: ['device-retired', 'certificate-revoked'] },
    },
  },
} as const satisfies Record<string, CatalogueRow>
