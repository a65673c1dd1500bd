// What every attack must come to, written by hand from the catalogue of hostile cases and from the promises that the
// operator is given. Nothing here is computed from the server's own rules. `expected` is what the report prints, `claims`
// what the oracle holds the run to; the reasons are those that the audit log may name.

import type { Claim, Expected } from '../oracle.ts'
import { SIM_LIMITS } from '../limits.ts'

export type Family = 'tls' | 'identity' | 'mqtt' | 'enrollment' | 'server-side'
/** What must be at hand for a case; without it the case is not run. */
export type Need = 'ca-key' | 'loopback-sources'

export interface CatalogueRow {
  readonly family: Family
  readonly title: string
  /** What goes wrong in the world when this is not refused. */
  readonly why: string
  readonly expected: string
  readonly claims: Readonly<Record<string, Claim>>
  readonly needs?: readonly Need[]
  /** Runs beside all others, because it mostly waits; or after them, because it takes the whole machine. */
  readonly pace?: 'background' | 'alone'
}

const TLS: Expected = { kind: 'tls' }
const CUT: Expected = { kind: 'cut', v5: [0x87, 0x98] }
const UNDISTURBED: Claim = { outcome: { kind: 'undisturbed' }, reasons: [] }
/** Refused before or in CONNACK. 3.1.1: not authorised (5). */
const TLS_OR_CONNACK: Expected = { kind: 'tls-or-connack', v3: [0x05], v5: [0x87] }
const BAD_CLIENT_ID: Expected = { kind: 'connack', v3: [0x02, 0x05], v5: [0x85, 0x87] }
const DROPPED: Expected = { kind: 'publish-dropped', v5: [0x87] }

const inTls = (...reasons: Claim['reasons']): Readonly<Record<string, Claim>> => ({ attack: { outcome: TLS, reasons } })
/** Of a CA that issues for others, too, the identity rule says where the name stands and what it may look like. */
const BY_RULE: Claim = { outcome: TLS_OR_CONNACK, reasons: ['certificate-name-ambiguous', 'certificate-name-invalid', 'certificate-subject-empty', 'device-unknown'] }
const inBoth = (...reasons: Claim['reasons']): Readonly<Record<string, Claim>> => ({ attack: { outcome: TLS, reasons }, trusted: { outcome: TLS, reasons } })
const byName = (...reasons: Claim['reasons']): Readonly<Record<string, Claim>> => ({ attack: { outcome: TLS_OR_CONNACK, reasons } })

const CLOSED = 'closed without an MQTT byte'

export const CATALOGUE = {
  T01: { family: 'tls', title: 'no client certificate', why: 'Anybody on the network could publish.', expected: CLOSED, claims: inTls('tls-no-certificate') },
  T02: { family: 'tls', title: 'self-signed certificate with the name of a device', why: 'Names are free; only a signature of our CA is not.', expected: CLOSED, claims: inTls('tls-self-signed') },
  T03: { family: 'tls', title: 'certificate of an unknown CA', why: 'Any other CA would speak for our fleet.', expected: CLOSED, claims: inTls('tls-untrusted-issuer') },
  T04: { family: 'tls', title: 'look-alike CA: same name and key id, another key', why: 'Who compares names in place of keys trusts the forger.', expected: CLOSED, claims: inTls('tls-untrusted-issuer', 'tls-signature-invalid', 'tls-chain-incomplete') },
  T05: { family: 'tls', title: 'look-alike intermediate with the real serial and issuer', why: 'Who finds issuers by serial number trusts the forger.', expected: CLOSED, claims: inTls('tls-untrusted-issuer', 'tls-signature-invalid', 'tls-chain-incomplete') },
  T06: { family: 'tls', title: 'expired one second ago, and one year ago', why: 'A certificate must end when it says so.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-expired') },
  T10: {
    family: 'tls', title: 'revoked while connected', why: 'A stolen device keeps talking until somebody pulls its plug.', expected: 'cut within 1 s, nothing more delivered, not let in again',
    claims: {
      kick: { outcome: CUT, reasons: [] },
      silence: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] },
      again: { outcome: TLS_OR_CONNACK, reasons: ['certificate-revoked'] },
    },
  },
  T11: { family: 'tls', title: 'revoked, then a saved TLS session resumed (1.2 and 1.3)', why: 'A resumed session shows no certificate, so a check of certificates never runs.', expected: 'refused', claims: { attack: { outcome: TLS_OR_CONNACK, reasons: ['certificate-revoked', 'tls-no-certificate'] } } },
  T16: { family: 'tls', title: 'extended key usage serverAuth only', why: 'The certificate of a web server would open the broker.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-usage-wrong') },
  T17: { family: 'tls', title: 'no extended key usage', why: 'OpenSSL takes this as permission for everything.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-usage-missing') },
  T21: { family: 'tls', title: 'CA certificate used as a client', why: 'A CA key that speaks MQTT is a CA key on the network.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-is-ca') },
  T36: { family: 'tls', title: 'certificate of another device, without its key', why: 'Certificates are public: they are sent over the air and lie in logs.', expected: CLOSED, claims: inTls('tls-possession-unproven') },
  T37: { family: 'tls', title: 'malformed CertificateVerify (hash, scheme, length)', why: 'The one message that proves possession must be held to the letter.', expected: CLOSED, claims: inTls('tls-possession-unproven', 'tls-malformed') },
  T39: { family: 'tls', title: 'SSL 3.0, TLS 1.0 and TLS 1.1', why: 'Their handshakes can be broken into.', expected: CLOSED, claims: inTls('tls-protocol-version') },
  T46: {
    family: 'tls', title: `handshake slowloris and ${SIM_LIMITS.halfOpenSockets} half-open connections`, why: 'Connections that never finish use up the server for everybody else.', expected: `all closed within ${SIM_LIMITS.handshakeMs / 1_000} s, others undisturbed`, pace: 'background', needs: ['loopback-sources'],
    claims: { attack: { outcome: { kind: 'all-closed', withinMs: SIM_LIMITS.handshakeMs }, reasons: ['tls-handshake-timeout'], counted: true }, others: UNDISTURBED },
  },
  T47: {
    family: 'tls', title: `flood of ${SIM_LIMITS.connectFloodSockets} connections without a ClientHello`, why: 'The listener must not be lost to whoever opens sockets fastest.', expected: 'some turned away at once, others undisturbed, same address served again', pace: 'alone', needs: ['loopback-sources'],
    claims: { attack: { outcome: { kind: 'some-refused' }, reasons: ['source-rate', 'source-busy', 'tls-aborted', 'tls-handshake-timeout'], counted: true }, others: UNDISTURBED },
  },
  T48: { family: 'tls', title: 'HTTP, SSH and plain MQTT on the TLS port', why: 'A plain-text CONNECT must not be answered.', expected: CLOSED, claims: inTls('tls-not-tls', 'tls-malformed') },

  I01: { family: 'identity', title: 'no common name, empty subject, CN=""', why: 'Whoever has no name must not become everybody.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-subject-empty'), trusted: BY_RULE } },
  I02: { family: 'identity', title: 'two common names, in both orders', why: 'Two programs read two different names.', expected: 'refused', needs: ['ca-key'], claims: { ...byName('certificate-name-ambiguous'), trusted: BY_RULE } },
  I07: {
    family: 'identity', title: 'the wildcards + and # as a device name', why: 'In a topic template they mean every device.', expected: 'refused at issuance and at connect', needs: ['ca-key'],
    claims: { ...byName('certificate-name-invalid'), trusted: BY_RULE, issuance: { outcome: { kind: 'http', statuses: [400] }, reasons: ['device-id-invalid', 'request-invalid'] } },
  },
  I10: {
    family: 'identity', title: '__proto__, constructor, toString as a device name', why: 'Names that a JavaScript object already has crash or confuse the server.', expected: 'as any unknown device', needs: ['ca-key'],
    claims: { ...byName('certificate-name-invalid', 'certificate-unrecorded', 'device-unknown'), trusted: BY_RULE, client: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'] } },
  },
  I14: { family: 'identity', title: 'certificate of a trusted CA in the name of a device of ours', why: 'A factory could speak for every device of the organisation.', expected: 'refused', needs: ['ca-key'], claims: byName('device-issuer-mismatch') },
  I16: { family: 'identity', title: 'valid certificate that is not in the registry', why: 'It means that the CA key was used by somebody else.', expected: 'refused', needs: ['ca-key'], claims: byName('certificate-unrecorded') },
  I18: {
    family: 'identity', title: 'device suspended, then retired, with a valid certificate', why: 'The operator\'s word counts more than the certificate.', expected: 'cut within 1 s and refused',
    claims: {
      kick: { outcome: CUT, reasons: [] },
      suspended: { outcome: TLS_OR_CONNACK, reasons: ['device-suspended'] },
      retired: { outcome: TLS_OR_CONNACK, reasons: ['device-retired', 'certificate-revoked'] },
    },
  },

  Q01: { family: 'mqtt', title: 'client id of another device', why: 'The client id is only a claim.', expected: 'CONNACK 0x02/0x05, v5 0x85/0x87', claims: { attack: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'] } } },
  Q02: {
    family: 'mqtt', title: 'take-over of another device\'s session, also at 50 Hz', why: 'One device could keep every other one offline.', expected: 'refused, the incumbent stays',
    claims: {
      attack: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'] },
      war: { outcome: { kind: 'all-closed', withinMs: SIM_LIMITS.verdictMs }, reasons: ['client-id-mismatch', 'connect-rate'], counted: true },
      incumbent: UNDISTURBED,
    },
  },
  Q06: {
    family: 'mqtt', title: 'user name and password, without and beside a certificate', why: 'Guessed passwords are how fleets are taken.', expected: 'no certificate: closed; beside one: ignored, not logged',
    claims: {
      without: { outcome: TLS, reasons: ['tls-no-certificate'] },
      beside: { outcome: DROPPED, reasons: ['publish-not-granted'] },
      log: UNDISTURBED,
    },
  },
  Q07: {
    family: 'mqtt', title: 'Will on a forbidden, reserved or wildcard topic', why: 'A Will is a publish that comes later, and from nobody.', expected: 'refused at CONNECT, never delivered',
    claims: {
      attack: { outcome: { kind: 'connack', v3: [0x05, 0x02], v5: [0x87, 0x90] }, reasons: ['will-not-granted', 'will-invalid', 'topic-reserved', 'topic-invalid'] },
      silence: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] },
    },
  },
  Q09: { family: 'mqtt', title: 'publish to another device\'s topic (QoS 0, 1, 2)', why: 'A thermometer must not speak for the boiler.', expected: 'not delivered; v5 0x87, 3.1.1 plain ack', claims: { attack: { outcome: DROPPED, reasons: ['publish-not-granted'] } } },
  Q11: { family: 'mqtt', title: 'subscribe to #, +/#, t/+/x, // and prefix tricks', why: 'One wide filter hears the whole fleet.', expected: 'SUBACK ≥ 0x80, nothing received', claims: { attack: { outcome: { kind: 'subscribe-refused' }, reasons: ['subscribe-not-granted', 'filter-invalid', 'malformed-packet', 'protocol-error'] } } },
  Q13: {
    family: 'mqtt', title: 'shared subscriptions around the policy', why: '$share would not only hear messages but take them away.', expected: 'SUBACK ≥ 0x80, nothing stolen',
    claims: { attack: { outcome: { kind: 'subscribe-refused' }, reasons: ['share-unavailable', 'share-not-granted', 'subscribe-not-granted', 'filter-invalid', 'topic-reserved'] }, others: UNDISTURBED },
  },
  Q14: {
    family: 'mqtt', title: 'publish and subscribe below $SYS', why: 'It shows other clients, and lets one lie about the server.', expected: 'denied',
    claims: {
      subscribe: { outcome: { kind: 'subscribe-refused' }, reasons: ['subscribe-not-granted', 'topic-reserved', 'filter-invalid'] },
      publish: { outcome: DROPPED, reasons: ['topic-reserved', 'publish-not-granted', 'topic-invalid'] },
    },
  },
  Q24: { family: 'mqtt', title: 'second CONNECT on one connection', why: 'A session must not change its identity half-way.', expected: 'closed, v5 0x82', claims: { attack: { outcome: { kind: 'cut', v5: [0x82] }, reasons: ['protocol-error'] } } },
  Q37: {
    family: 'mqtt', title: `CONNECT flood of one certificate beside ${SIM_LIMITS.honestDevices} honest devices behind the same address`, why: 'Many devices share one address: the flood of one must not shut out the others.', expected: 'flood limited, every honest device connected', pace: 'alone',
    claims: { attack: { outcome: { kind: 'some-refused' }, reasons: ['connect-rate'], counted: true }, others: UNDISTURBED },
  },

  E01: { family: 'enrollment', title: 'request with an invalid signature, and signed by another key', why: 'The asker must hold the key that is certified.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['csr-signature-invalid'] } } },
  E02: { family: 'enrollment', title: 'request in the name of another device', why: 'One device could enroll as another.', expected: 'HTTP 403, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [403] }, reasons: ['csr-name-mismatch'] } } },
  E07: { family: 'enrollment', title: 'request that asks to be a CA, a server, another name', why: 'What a request asks for must not be copied.', expected: 'dropped, or HTTP 400', claims: { attack: { outcome: { kind: 'http-or-dropped', statuses: [400] }, reasons: [] } } },
  E10: { family: 'enrollment', title: 'weak keys', why: 'A key that can be computed is no key.', expected: 'HTTP 400, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [400] }, reasons: ['key-weak', 'csr-signature-invalid'] } } },
  E11: { family: 'enrollment', title: 'key of another device, of a revoked certificate, of the CA', why: 'One key is one device; a revoked key stays revoked.', expected: 'HTTP 409, nothing issued', claims: { attack: { outcome: { kind: 'http', statuses: [409] }, reasons: ['key-in-use'] } } },

  D01: { family: 'server-side', title: 'false server of another CA', why: 'The device would hand its messages to whoever answers.', expected: 'no CONNECT byte leaves the device', claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D02: { family: 'server-side', title: 'false server of a look-alike CA: same name and key id', why: 'Names and key ids can be copied.', expected: 'no CONNECT byte leaves the device', claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D03: { family: 'server-side', title: 'false server of the right CA with another name or address', why: 'Any server of the organisation could stand in for the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D04: { family: 'server-side', title: 'server certificate expired, and not yet valid', why: 'An old key that was thrown away would be good again.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
  D05: { family: 'server-side', title: 'a device\'s certificate used as a server', why: 'Every device of the fleet could play the broker.', expected: 'no CONNECT byte leaves the device', needs: ['ca-key'], claims: { attack: { outcome: { kind: 'silent-device' }, reasons: [] } } },
} as const satisfies Record<string, CatalogueRow>

export type CaseId = keyof typeof CATALOGUE

export const CASE_IDS: readonly CaseId[] = (Object.keys(CATALOGUE)).filter((id): id is CaseId => id in CATALOGUE)

/** The row under its general type. */
export function rowOf(id: CaseId): CatalogueRow {
  return CATALOGUE[id]
}
