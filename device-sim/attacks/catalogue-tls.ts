// Family T: impostors and broken handshakes that the TLS door must turn away. The form of a row is in catalogue-row.ts.

import { SIM_LIMITS } from '../limits.ts'
import { CLOSED, CUT, inBoth, inTls, TLS, TLS_OR_CONNACK, UNDISTURBED, type CatalogueRow } from './catalogue-row.ts'

export const TLS_ROWS = {
  T01: { family: 'tls', title: 'no client certificate', why: 'Anybody on the network could publish.', expected: CLOSED, claims: inTls('tls-no-certificate') },
  T02: { family: 'tls', title: 'self-signed certificate with the name of a device', why: 'Names are free; only a signature of our CA is not.', expected: CLOSED, claims: inTls('tls-self-signed') },
  T03: { family: 'tls', title: 'certificate of an unknown CA', why: 'Any other CA would speak for our fleet.', expected: CLOSED, claims: inTls('tls-untrusted-issuer') },
  T04: { family: 'tls', title: 'look-alike CA: same name and key id, another key', why: 'Who compares names in place of keys trusts the forger.', expected: CLOSED, claims: inTls('tls-untrusted-issuer', 'tls-signature-invalid', 'tls-chain-incomplete') },
  T05: { family: 'tls', title: 'look-alike intermediate with the real serial and issuer', why: 'Who finds issuers by serial number trusts the forger.', expected: CLOSED, claims: inTls('tls-untrusted-issuer', 'tls-signature-invalid', 'tls-chain-incomplete') },
  T06: { family: 'tls', title: 'expired one second ago, and one year ago', why: 'A certificate must end when it says so.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-expired') },
  T10: {
    family: 'tls', title: 'revoked while connected', why: 'A stolen device keeps talking until somebody pulls its plug.', expected: 'cut within 1 s, nothing more delivered, not let in again', needs: ['revocation', 'ears'],
    claims: {
      kick: { outcome: CUT, reasons: [] },
      silence: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] },
      again: { outcome: TLS_OR_CONNACK, reasons: ['certificate-revoked'] },
    },
  },
  T11: { family: 'tls', title: 'revoked, then a saved TLS session resumed (1.2 and 1.3)', why: 'A resumed session shows no certificate, so a check of certificates never runs.', expected: 'refused', needs: ['revocation'], claims: { attack: { outcome: TLS_OR_CONNACK, reasons: ['certificate-revoked', 'tls-no-certificate'] } } },
  T16: { family: 'tls', title: 'extended key usage serverAuth only', why: 'The certificate of a web server would open the broker.', expected: CLOSED, needs: ['ca-key'], claims: inBoth('certificate-usage-wrong') },
  T17: { family: 'tls', title: 'no extended key usage', why: 'OpenSSL takes this as permission for everything.', expected: CLOSED, needs: ['ca-key'], claims: { ...inBoth('certificate-usage-missing'), attack: { outcome: TLS, reasons: ['certificate-usage-missing'], admittedElsewhere: { because: 'RFC 5280 §4.2.1.12 takes a certificate without this extension to be for everything; there only the CA can keep such a one away.' } } } },
  T21: { family: 'tls', title: 'CA certificate used as a client', why: 'A CA key that speaks MQTT is a CA key on the network.', expected: CLOSED, needs: ['ca-key'], claims: { ...inBoth('certificate-is-ca'), leaf: { outcome: TLS, reasons: ['certificate-is-ca'], admittedElsewhere: { because: 'RFC 5280 lets a CA\'s certificate be used as a client\'s where its key usage says so; there only the CA can keep such a one away.' } } } },
  T36: { family: 'tls', title: 'certificate of another device, without its key', why: 'Certificates are public: they are sent over the air and lie in logs.', expected: CLOSED, claims: inTls('tls-possession-unproven') },
  T37: { family: 'tls', title: 'malformed CertificateVerify (hash, scheme, length)', why: 'The one message that proves possession must be held to the letter.', expected: CLOSED, claims: inTls('tls-possession-unproven', 'tls-malformed') },
  T39: { family: 'tls', title: 'SSL 3.0, TLS 1.0 and TLS 1.1', why: 'Their handshakes can be broken into.', expected: CLOSED, claims: inTls('tls-protocol-version') },
  T46: {
    family: 'tls', title: `handshake slowloris and ${SIM_LIMITS.halfOpenSockets} half-open connections`, why: 'Connections that never finish use up the server for everybody else.', expected: `all closed within ${SIM_LIMITS.handshakeMs / 1_000} s, others undisturbed`, pace: 'background', needs: ['loopback-sources', 'floods'],
    claims: { attack: { outcome: { kind: 'all-closed', withinMs: SIM_LIMITS.handshakeMs }, reasons: ['tls-handshake-timeout'], counted: true }, others: UNDISTURBED },
  },
  T47: {
    family: 'tls', title: `flood of ${SIM_LIMITS.connectFloodSockets} connections without a ClientHello`, why: 'The listener must not be lost to whoever opens sockets fastest.', expected: 'some turned away at once, others undisturbed, same address served again', pace: 'alone', needs: ['loopback-sources', 'floods'],
    claims: { attack: { outcome: { kind: 'some-refused' }, reasons: ['source-rate', 'source-busy', 'tls-aborted', 'tls-handshake-timeout'], counted: true }, others: UNDISTURBED },
  },
  T48: { family: 'tls', title: 'HTTP, SSH and plain MQTT on the TLS port', why: 'A plain-text CONNECT must not be answered.', expected: CLOSED, claims: inTls('tls-not-tls', 'tls-malformed') },
} as const satisfies Record<string, CatalogueRow>
