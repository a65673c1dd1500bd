// Family Q: what a device with a good certificate may not ask for. The form of a row is in catalogue-row.ts.

import { SIM_LIMITS } from '../limits.ts'
import type { Expected } from '../oracle.ts'
import { BAD_CLIENT_ID, TLS, UNDISTURBED, type CatalogueRow } from './catalogue-row.ts'

const DROPPED: Expected = { kind: 'publish-dropped', v5: [0x87] }

export const MQTT_ROWS = {
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
} as const satisfies Record<string, CatalogueRow>
