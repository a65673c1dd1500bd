// Family I: names in certificates, and certificates whose device is no longer welcome. The form of a row is in catalogue-row.ts.

import { BAD_CLIENT_ID, BY_RULE, byName, CUT, TLS_OR_CONNACK, elsewhere, ONLY_A_SESSION, type CatalogueRow } from './catalogue-row.ts'

export const IDENTITY_ROWS = {
  I01: { family: 'identity', title: 'no common name, empty subject, CN=""', why: 'Whoever has no name must not become everybody.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-subject-empty'), trusted: BY_RULE } },
  I02: { family: 'identity', title: 'two common names, in both orders', why: 'Two programs read two different names.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-ambiguous'), trusted: BY_RULE } },
  I03: { family: 'identity', title: 'two attributes in one part of the name: CN and CN, CN and UID', why: 'Which of them is the name depends on who reads it.', expected: 'refused; of another CA in as its common name alone', needs: ['ca-key', 'second-ca'], claims: { ...byName('certificate-name-ambiguous'), trusted: BY_RULE, client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: ONLY_A_SESSION } } },
  I04: { family: 'identity', title: 'NUL in the common name', why: 'Programs in C read to the NUL, the CA has read to the end.', advisory: 'CVE-2009-2408 (browsers)', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE } },
  I05: { family: 'identity', title: 'line breaks and commas that look like another name, in CN and O', why: 'Who prints a name and reads it again finds two.', advisory: 'CVE-2021-44532, CVE-2021-44533 (Node.js)', expected: 'refused; from an organisation no name is read', needs: ['ca-key', 'second-ca'], claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE, client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: ONLY_A_SESSION } } },
  I06: { family: 'identity', title: 'letters that look alike, that are composed, that cannot be seen', why: 'An operator who reads the list must not take one device for another.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE } },
  I07: {
    family: 'identity', title: 'the wildcards + and # as a device name', why: 'In a topic template they mean every device.', expected: 'refused at issuance and at connect', needs: ['ca-key'], 
    claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE, issuance: { outcome: { kind: 'http', statuses: [400] }, reasons: ['device-id-invalid', 'request-invalid'] } },
  },
  I08: { family: 'identity', title: 'names that are paths: a/b, ../x, /x, $SYS, $share/g/x', why: 'In a topic template they stand somewhere else.', expected: 'refused at issuance and at connect', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE, issuance: { outcome: { kind: 'http', statuses: [400] }, reasons: ['device-id-invalid', 'request-invalid'] } } },
  I09: { family: 'identity', title: 'names that are placeholders: %c, %u, ${clientId}', why: 'A name that is put into a template must not be taken for a template.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE } },
  I10: {
    family: 'identity', title: '__proto__, constructor, toString as a device name', why: 'Names that a JavaScript object already has crash or confuse the server.', expected: 'as any unknown device', needs: ['ca-key'],
    claims: { ...byName('certificate-name-invalid', 'certificate-unrecorded', 'device-unknown'), trusted: BY_RULE, client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: ONLY_A_SESSION } },
  },
  I11: { family: 'identity', title: 'common name of 65 characters, and of 60 kB', why: 'X.520 allows 64; who cuts makes two names one.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid', 'certificate-malformed'), trusted: { ...BY_RULE, reasons: [...BY_RULE.reasons, 'certificate-malformed'] } } },
  I12: { family: 'identity', title: 'names whose bytes are not of the type that they say', why: 'What one program replaces and another drops are two names.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid', 'tls-malformed'), trusted: { ...BY_RULE, reasons: [...BY_RULE.reasons, 'tls-malformed'] } } },
  I13: { family: 'identity', title: 'the same name from two CAs that are both trusted', why: 'One supplier could speak for the devices of another.', expected: 'refused, and the first stays', needs: ['second-ca', 'third-ca'], claims: byName('device-issuer-mismatch') },
  I14: { family: 'identity', title: 'certificate of a trusted CA in the name of a device of ours', why: 'A factory could speak for every device of the organisation.', expected: 'refused', needs: ['second-ca'], claims: byName('device-issuer-mismatch') },
  I15: { family: 'identity', title: 'the name in capitals, with spaces, with a full stop', why: 'What is nearly a device is not that device.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-invalid', 'certificate-unrecorded'), trusted: BY_RULE } },
  I16: { family: 'identity', title: 'valid certificate that is not in the registry', why: 'It means that the CA key was used by somebody else.', expected: 'refused', needs: ['ca-key', 'registry'], claims: byName('certificate-unrecorded') },
  I17: { family: 'identity', title: 'the serial number of a certificate, given again to another key', why: 'Who knows certificates by number lets the second in for the first.', expected: 'refused', needs: ['ca-key', 'registry', 'second-ca'], claims: byName('certificate-mismatch') },
  I18: {
    family: 'identity', title: 'device suspended, then retired, with a valid certificate', why: 'The operator\'s word counts more than the certificate.', expected: 'cut within 1 s and refused', needs: ['registry'],
    claims: {
      kick: { outcome: CUT, reasons: [] },
      suspended: { outcome: TLS_OR_CONNACK, reasons: ['device-suspended'] },
      retired: { outcome: TLS_OR_CONNACK, reasons: ['device-retired', 'certificate-revoked'] },
    },
  },
  I19: { family: 'identity', title: 'alternative names that say another device', why: 'Two programs read two different names.', expected: 'refused; of another CA in as its common name alone', needs: ['ca-key', 'second-ca'], claims: { ...elsewhere({ because: 'Here the common name names the device, and nothing else of a certificate is read.' }, byName('certificate-name-ambiguous')), client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: ONLY_A_SESSION } } },
  I20: { family: 'identity', title: 'the old certificate after the next one is used', why: 'A certificate that was replaced lies in backups and on old boards.', expected: 'works until then; then cut within 1 s and refused', needs: ['registry'], claims: { kick: { outcome: CUT, reasons: [] }, attack: { outcome: TLS_OR_CONNACK, reasons: ['certificate-superseded'] } } },
} as const satisfies Record<string, CatalogueRow>
