// Family H: messages that are posted over HTTPS. The form of a row is in catalogue-row.ts.

import { MQTT_LIMITS } from '../mqtt-limits.ts'
import { WITHSTOOD, type CatalogueRow } from './catalogue-row.ts'

export const HTTPS_ROWS = {
  H01: {
    family: 'https', title: 'no certificate, one of its own, of an operator, of a claim, one that nobody recorded', why: 'A second door must not be the one without a lock.', expected: 'HTTP 401 or 403; nobody hears it', needs: ['ca-key', 'loopback-sources'],
    claims: {
      nothing: { outcome: { kind: 'post-refused', statuses: [401] }, reasons: ['tls-no-certificate'] },
      stranger: { outcome: { kind: 'post-refused', statuses: [401] }, reasons: ['tls-self-signed', 'tls-untrusted-issuer'] },
      purpose: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['certificate-purpose'] },
      unrecorded: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['certificate-unrecorded'] },
    },
  },
  H02: { family: 'https', title: 'topics of another device: as they are, encoded, encoded twice, by way of dots and slashes', why: 'What a path is before it is decoded, and what after, has opened many a door.', advisory: 'CVE-2021-41773 (Apache httpd)', expected: 'HTTP 403; nobody hears it', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['publish-not-granted'] } } },
  H03: { family: 'https', title: 'topics that are none: wildcards, NUL, overlong UTF-8, half a character, too many levels', why: 'What cannot be a topic in MQTT must not become one by another way.', advisory: 'CVE-2000-0884 (IIS)', expected: 'HTTP 400; nobody hears it', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'post-refused', statuses: [400] }, reasons: ['topic-invalid', 'publish-request'] } } },
  H04: { family: 'https', title: 'topics of the server: $SYS, $share, the own topics of a device', why: 'What the server says must come from the server.', expected: 'HTTP 403; nobody hears it', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['topic-reserved'] } } },
  H05: { family: 'https', title: 'parameters twice, unknown, empty, QoS 2, properties that are none', why: 'Of two values one program takes the first, the next one the last.', expected: 'HTTP 400; nobody hears it', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'post-refused', statuses: [400] }, reasons: ['publish-request'] } } },
  H06: { family: 'https', title: 'a second message, hidden where one of two programs does not look for it', why: 'What one program takes for a body, another takes for the next request.', advisory: 'CVE-2022-32213 (Node.js)', expected: 'one answer or none; the hidden message is not heard', claims: { attack: WITHSTOOD } },
  H07: { family: 'https', title: 'the name of another device in headers, passwords and parameters', why: 'Behind a proxy these headers are believed; here is none.', expected: 'HTTP 403 or 400; nobody hears it', needs: ['loopback-sources'], claims: { attack: { outcome: { kind: 'post-refused', statuses: [400, 403] }, reasons: ['publish-not-granted', 'publish-request'] } } },
  H08: { family: 'https', title: 'a page in a browser that has a certificate of a device, and other methods', why: 'A browser shows the certificate of its user for whichever page asks.', expected: 'HTTP 403 or 405; nobody hears it', needs: ['loopback-sources'], claims: { page: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['publish-origin'] }, method: { outcome: { kind: 'post-refused', statuses: [405] }, reasons: ['publish-request'] } } },
  H09: {
    family: 'https', title: 'a connection that is open when its device is revoked, suspended or retired', why: 'Revoked means gone, also for who is in already.', expected: 'closed within a second; then HTTP 403', needs: ['revocation', 'loopback-sources'],
    claims: { open: WITHSTOOD, revoked: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['certificate-revoked'] }, suspended: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['device-suspended'] }, retired: { outcome: { kind: 'post-refused', statuses: [403] }, reasons: ['device-retired', 'certificate-revoked'] } },
  },
  H10: {
    family: 'https', title: `bodies that are too large, without end, and ${MQTT_LIMITS.slowRequests} at two bytes a second`, why: 'A device that is known must not be able to hold more than one that is not.', expected: `HTTP 413 or 408, closed within ${MQTT_LIMITS.slowRequestMs / 1_000} s`, pace: 'background',
    claims: { large: WITHSTOOD, slow: { outcome: { kind: 'all-closed', withinMs: MQTT_LIMITS.slowRequestMs }, reasons: [] } },
  },
  H11: { family: 'https', title: `a device with a rate, which it uses up by MQTT, posts ${MQTT_LIMITS.meteredPosts} messages more`, why: 'Two doors must not be twice the rate.', expected: 'HTTP 429 for most', needs: ['own-policy'], claims: { attack: { outcome: { kind: 'some-refused' }, reasons: ['publish-rate'], counted: true } } },
} as const satisfies Record<string, CatalogueRow>
