// Family E: requests that must not become certificates. The form of a row is in catalogue-row.ts.

import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { TLS_OR_CONNACK, UNDISTURBED, WITHSTOOD, type CatalogueRow } from './catalogue-row.ts'

export const ENROLLMENT_ROWS = {
  E01: { family: 'enrollment', title: 'request with an invalid signature, and signed by another key', why: 'The asker must hold the key that is certified.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-signature-invalid'] } } },
  E02: { family: 'enrollment', title: 'request in the name of another device', why: 'One device could enroll as another.', expected: 'HTTP 403, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] } } },
  E03: { family: 'enrollment', title: 'token that was used', why: 'Whoever finds the sheet of paper later must find nothing.', expected: 'HTTP 403, nothing issued', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-used-up'] } } },
  E04: { family: 'enrollment', title: `one token, ${MQTT_LIMITS.tokenRace} times at once`, why: 'What is counted before it is written is counted twice.', expected: 'one certificate; the others HTTP 403', needs: ['loopback-sources', 'enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['token-used-up'] }, winners: WITHSTOOD } },
  E05: {
    family: 'enrollment', title: 'tokens that are wrong, expired, revoked, of others, from elsewhere, guessed', why: 'A secret that may be tried without end is found.', expected: 'HTTP 401 or 403; whoever guesses waits, and nobody else', needs: ['loopback-sources', 'enrollment-door'],
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
    family: 'enrollment', title: 'certificate of a claim at the broker, of a device at the enrollment door', why: 'A certificate that many machines of a factory hold must open nothing else.', expected: 'refused', needs: ['enrollment-door'],
    claims: {
      broker: { outcome: TLS_OR_CONNACK, reasons: ['certificate-purpose'] },
      claim: { outcome: { kind: 'http', statuses: [403, 409] }, reasons: ['token-device', 'device-enrolled'] },
      device: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] },
      renewal: { outcome: { kind: 'http', statuses: [403] }, reasons: ['certificate-purpose'] },
    },
  },
  E07: { family: 'enrollment', title: 'request that asks to be a CA, a server, another name', why: 'What a request asks for must not be copied.', expected: 'dropped, or HTTP 400', claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E08: { family: 'enrollment', title: 'alternative names of every kind, asked for in a request', why: 'A name in a certificate is a key to somebody else\'s door.', expected: 'dropped, or HTTP 400', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E09: { family: 'enrollment', title: 'request for a longer life, and for extensions that nobody knows', why: 'How long a device is trusted is not for the device to say.', expected: 'dropped, or HTTP 400', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E10: { family: 'enrollment', title: 'weak keys', why: 'A key that can be computed is no key.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['key-weak', 'csr-signature-invalid'] } } },
  E11: { family: 'enrollment', title: 'key of another device, of a revoked certificate, of the CA', why: 'One key is one device; a revoked key stays revoked.', expected: 'HTTP 409, nothing issued', needs: ['revocation'], claims: { attack: { outcome: { kind: 'http', statuses: [409] }, reasons: ['key-in-use'] } } },
  E12: {
    family: 'enrollment', title: `bodies of 10 MB, without end, and ${MQTT_LIMITS.slowRequests} at two bytes a second`, why: 'The door is open to everybody, and everybody can keep it busy.', advisory: 'CVE-2018-12122 (Node.js)', expected: `HTTP 413 or 408, closed within ${MQTT_LIMITS.slowRequestMs / 1_000} s`, needs: ['enrollment-door'], pace: 'background',
    claims: { large: WITHSTOOD, slow: { outcome: { kind: 'all-closed', withinMs: MQTT_LIMITS.slowRequestMs }, reasons: [] } },
  },
  E13: { family: 'enrollment', title: 'requests with two lengths, bare line ends, folded and a thousand headers', why: 'What one program takes for a body, another takes for the next request.', advisory: 'CVE-2022-32213, CVE-2022-32214, CVE-2022-32215 (Node.js)', expected: 'HTTP 400 or 431, one answer, closed', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [400, 431] }, reasons: [] } } },
  E14: { family: 'enrollment', title: 'bodies that are no request, or two', why: 'What is nearly a request must not be nearly a certificate.', expected: 'HTTP 400, nothing issued', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-malformed'] }, time: WITHSTOOD } },
  E15: { family: 'enrollment', title: 'DER: nested, endless, with lengths of 2^64 and numbers of 60,000 bytes', why: 'Some bytes must not cost seconds.', advisory: 'CVE-2023-2650 (OpenSSL)', expected: 'HTTP 400 or 413, in time', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [400, 413] }, reasons: ['csr-malformed'] }, time: WITHSTOOD } },
  E16: { family: 'enrollment', title: 'CMC and its documents, and keys that the server would make', why: 'What nobody serves must not be read either.', expected: 'HTTP 404, or 403 where it is switched off', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [403, 404, 501] }, reasons: ['enrollment-operation', 'server-key-refused'] } } },
  E17: { family: 'enrollment', title: 'request that is bound to another connection', why: 'Somebody on the path of an old client could pass its request on, and get its certificate.', expected: 'HTTP 403, nothing issued', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [400, 403] }, reasons: ['channel-binding'] } } },
  E18: {
    family: 'enrollment', title: 'renewal with a certificate that is revoked, replaced, forged, of a suspended device', why: 'Whoever was thrown out must not come back with a fresh certificate.', expected: 'HTTP 403, nothing issued', needs: ['enrollment-door', 'revocation'],
    claims: {
      revoked: { outcome: { kind: 'http', statuses: [403] }, reasons: ['certificate-revoked'] },
      superseded: { outcome: { kind: 'http', statuses: [403] }, reasons: ['certificate-superseded'] },
      suspended: { outcome: { kind: 'http', statuses: [403] }, reasons: ['device-suspended'] },
      unrecorded: { outcome: { kind: 'http', statuses: [401, 403] }, reasons: ['certificate-unrecorded', 'tls-untrusted-issuer'] },
      nothing: { outcome: { kind: 'http', statuses: [401] }, reasons: ['credential-missing'] },
    },
  },
  E19: { family: 'enrollment', title: 'renewal under another name', why: 'A device that renews itself into another has enrolled as another.', expected: 'HTTP 400, nothing issued', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-subject-changed'] } } },
  E20: {
    family: 'enrollment', title: 'renewal for the key of another device, of the CA, and for one that it does not hold', why: 'One key is one device, also the second time.', expected: 'HTTP 409 or 400, nothing issued', needs: ['enrollment-door'],
    claims: { attack: { outcome: { kind: 'http', statuses: [409] }, reasons: ['key-in-use'] }, unproven: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-signature-invalid'] } },
  },
  E21: { family: 'enrollment', title: `${MQTT_LIMITS.requestFlood} bad requests from one address`, why: 'To check a request costs more than to send one.', expected: 'HTTP 429 for most; others undisturbed', needs: ['loopback-sources', 'enrollment-door'], claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['credential-missing', 'enrollment-rate'], counted: true }, others: UNDISTURBED } },
  E22: { family: 'enrollment', title: 'one request many times, because its answer was lost', why: 'A device on a bad network must not use up its token, nor fill the registry.', expected: 'one certificate', needs: ['enrollment-door'], claims: { attack: WITHSTOOD } },
  E29: {
    family: 'enrollment', title: 'revocation of what is not there, of everybody, twice', why: 'A switch that answers yes to a typing error has not revoked what was meant.', expected: 'HTTP 404 or 400; twice: the same again', needs: ['revocation'],
    claims: { missing: { outcome: { kind: 'http', statuses: [404] }, reasons: [] }, malformed: { outcome: { kind: 'http', statuses: [400] }, reasons: [] }, again: WITHSTOOD },
  },
  E30: { family: 'enrollment', title: 'OCSP about serial numbers that nobody has, other CAs, noise, 64 kB, a flood', why: 'Good is said of what is known to be good, and of nothing else.', expected: 'never good; answered or turned away', needs: ['revocation', 'ocsp'], claims: { attack: WITHSTOOD, flood: WITHSTOOD } },
  E31: { family: 'enrollment', title: 'unknown operations, labels and methods', why: 'What was not thought of must not be allowed.', expected: 'HTTP 404 or 405', needs: ['enrollment-door'], claims: { attack: { outcome: { kind: 'http', statuses: [404, 405] }, reasons: ['enrollment-operation'] } } },
} as const satisfies Record<string, CatalogueRow>
