// Family D: false servers, which devices must refuse. The form of a row is in catalogue-row.ts.

import type { CatalogueRow } from './catalogue-row.ts'

export const SERVER_SIDE_ROWS = {
  D01: { family: 'server-side', title: 'false server of another CA', why: 'The device would hand its messages to whoever answers.', expected: 'no CONNECT byte leaves the device', claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D02: { family: 'server-side', title: 'false server of a look-alike CA: same name and key id', why: 'Names and key ids can be copied.', expected: 'no CONNECT byte leaves the device', claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D03: { family: 'server-side', title: 'false server of the right CA with another name or address', why: 'Any server of the organisation could stand in for the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D04: { family: 'server-side', title: 'server certificate expired, and not yet valid', why: 'An old key that was thrown away would be good again.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D05: { family: 'server-side', title: 'a device\'s certificate used as a server', why: 'Every device of the fleet could play the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
} as const satisfies Record<string, CatalogueRow>
