// Family D: false servers, which devices must refuse. The form of a row is in catalogue-row.ts.

import type { Claim } from '../oracle.ts'
import { TLS, WITHSTOOD, type CatalogueRow } from './catalogue-row.ts'

const SILENT: Claim = { outcome: { kind: 'silent-device' }, reasons: [] }

export const SERVER_SIDE_ROWS = {
  D01: { family: 'server-side', title: 'false server of another CA', why: 'The device would hand its messages to whoever answers.', expected: 'no CONNECT byte leaves the device', claims: { attack: SILENT } },
  D02: { family: 'server-side', title: 'false server of a look-alike CA: same name and key id', why: 'Names and key ids can be copied.', expected: 'no CONNECT byte leaves the device', claims: { attack: SILENT } },
  D03: { family: 'server-side', title: 'false server of the right CA with another name or address', why: 'Any server of the organisation could stand in for the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: SILENT } },
  D04: { family: 'server-side', title: 'server certificate expired, and not yet valid', why: 'An old key that was thrown away would be good again.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: SILENT } },
  D05: { family: 'server-side', title: 'a device\'s certificate used as a server', why: 'Every device of the fleet could play the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: SILENT } },
  D06: {
    family: 'server-side', title: 'relay that ends TLS on both sides', why: 'He would read and write for both, and neither would know.', expected: 'no CONNECT byte leaves the device; the relay is closed out by the broker',
    claims: { device: SILENT, broker: { outcome: TLS, reasons: ['tls-no-certificate', 'tls-untrusted-issuer', 'tls-signature-invalid', 'tls-possession-unproven'] } },
  },
  D07: { family: 'server-side', title: 'relay that records, flips bits, repeats and leaves out', why: 'A message must be read by nobody else, and arrive as it was sent or not at all.', expected: 'nothing readable; the session ends, nothing altered is delivered', claims: { readable: WITHSTOOD, altered: WITHSTOOD } },
  D08: { family: 'server-side', title: 'relay that takes TLS 1.3 away, offers TLS 1.1, or plain MQTT', why: 'Whoever chooses the oldest lock has the oldest key.', advisory: 'CVE-2014-3566 (POODLE), CVE-2015-0204 (FREAK)', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: SILENT } },
} as const satisfies Record<string, CatalogueRow>
