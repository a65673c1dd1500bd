// Family E: requests that must not become certificates. The form of a row is in catalogue-row.ts.

import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { TLS_OR_CONNACK, UNDISTURBED, WITHSTOOD, type CatalogueRow } from './catalogue-row.ts'

export const ENROLLMENT_ROWS = {
  E01: { family: 'enrollment', title: 'request with an invalid signature, and signed by another key', why: 'The asker must hold the key that is certified.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-signature-invalid'] } } },
  E02: { family: 'enrollment', title: 'request in the name of another device', why: 'One device could enroll as another.', expected: 'HTTP 403, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] } } },
  E03: { family: 'enrollment', title: 'token that was used', why: 'Whoever finds the sheet of paper later must find nothing.', expected: 'HTTP 403, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-used-up'] } } },
  E04: { family: 'enrollment', title: `one token, ${MQTT_LIMITS.tokenRace} times at once`, why: 'What is counted before it is written is counted twice.', expected: 'one certificate; the others HTTP 403', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-used-up'] }, winners: WITHSTOOD } },
  E05: {
    family: 'enrollment', title: 'tokens that are wrong, expired, revoked, of others, from elsewhere, guessed', why: 'A secret that may be tried without end is found.', expected: 'HTTP 401 or 403; whoever guesses waits, and nobody else', needs: ['loopback-sources'],
    claims: {
      unknown: { outcome: { kind: 'http', statuses: [401] }, reasons: ['token-unknown'] },
      other: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-device'] },
      expired: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-expired'] },
      elsewhere: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-source'] },
      revoked: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-revoked'] },
      nothing: { outcome: { kind: 'http', statuses: [401] }, reasons: ['credential-missing'] },
      guessing: { outcome: { kind: 'withstood' }, reasons: ['token-unknown', 'token-locked'], counted: true },
      lucky: { outcome: { kind: 'http', statuses: [429] }, reasons: [] },
      spread: WITHSTOOD,
    },
  },
  E06: {
    family: 'enrollment', title: 'certificate of a claim at the broker, of a device at the enrollment door', why: 'A certificate that many machines of a factory hold must open nothing else.', expected: 'refused',
    claims: {
      broker: { outcome: TLS_OR_CONNACK, reasons: ['certificate-purpose'] },
      claim: { outcome: { kind: 'http', statuses: [403, 409] }, reasons: ['token-device', 'device-enrolled'] },
      device: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] },
      renewal: { outcome: { kind: 'http', statuses: [403] }, reasons: ['certificate-purpose'] },
    },
  },
  E07: { family: 'enrollment', title: 'request that asks to be a CA, a server, another name', why: 'What a request asks for must not be copied.', expected: 'dropped, or HTTP 400', claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E10: { family: 'enrollment', title: 'weak keys', why: 'A key that can be computed is no key.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['key-weak', 'csr-signature-invalid'] } } },
  E11: { family: 'enrollment', title: 'key of another device, of a revoked certificate, of the CA', why: 'One key is one device; a revoked key stays revoked.', expected: 'HTTP 409, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [409] }, reasons: ['key-in-use'] } } },
  E21: { family: 'enrollment', title: `${MQTT_LIMITS.requestFlood} bad requests from one address`, why: 'To check a request costs more than to send one.', expected: 'HTTP 429 for most; others undisturbed', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['token-unknown', 'csr-malformed', 'enrollment-rate', 'token-locked'], counted: true }, others: UNDISTURBED } },
  E22: { family: 'enrollment', title: 'one request many times, because its answer was lost', why: 'A device on a bad network must not use up its token, nor fill the registry.', expected: 'one certificate', claims: { attack: WITHSTOOD } },
} as const satisfies Record<string, CatalogueRow>
