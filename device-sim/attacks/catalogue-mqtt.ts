// Family Q: what a device with a good certificate may not ask for. The form of a row is in catalogue-row.ts.

import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { Claim, Expected } from '../oracle.ts'
import { BAD_CLIENT_ID, BORNE, ITS_OWN_BOUND, ONLY_A_SESSION, TLS, UNDISTURBED, WITHSTOOD, type CatalogueRow } from './catalogue-row.ts'

const DROPPED: Expected = { kind: 'publish-dropped', v5: [0x87] }
const SILENCE: Claim = { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] }
/** Malformed packet, protocol error. */
const BROKEN: Expected = { kind: 'cut', v5: [0x81, 0x82] }
const NO_CONNECT: Expected = { kind: 'tls-or-connack', v3: [], v5: [0x81, 0x82, 0x95] }

export const MQTT_ROWS = {
  Q01: { family: 'mqtt', title: 'client id of another device', why: 'The client id is only a claim.', expected: 'CONNACK 0x02/0x05, v5 0x85/0x87', topics: 'acl', claims: { attack: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: ONLY_A_SESSION } } },
  Q02: {
    family: 'mqtt', title: 'take-over of another device\'s session, also at 50 Hz', why: 'One device could keep every other one offline.', expected: 'refused, the incumbent stays', topics: 'acl',
    claims: {
      attack: { outcome: BAD_CLIENT_ID, reasons: ['client-id-mismatch'], elsewhere: { judgedBy: 'incumbent', because: 'It was let in; what counts is that the incumbent was not put out, which is judged.' } },
      war: { outcome: { kind: 'all-closed', withinMs: SIM_LIMITS.verdictMs }, reasons: ['client-id-mismatch', 'connect-rate'], counted: true },
      incumbent: UNDISTURBED,
    },
  },
  Q03: { family: 'mqtt', title: 'a device takes over its own session while messages are on their way', why: 'What is meant for one of two connections must not be lost between them.', expected: 'the older one is closed, v5 0x8e; nothing lost', claims: { older: { outcome: { kind: 'cut', v5: [0x8e] }, reasons: [] }, messages: UNDISTURBED } },
  Q04: { family: 'mqtt', title: 'no client id', why: 'Whoever has no name must not get that of another.', expected: 'a free id of its own; 3.1.1 with a session to keep: 0x02', claims: { attack: { outcome: { kind: 'connack', v3: [0x02], v5: [] }, reasons: ['client-id-empty'], elsewhere: { judgedBy: 'incumbent', because: 'The server gave it a name; what counts is that it was nobody else\'s, which is judged.' } }, incumbent: UNDISTURBED } },
  Q05: {
    family: 'mqtt', title: 'client ids of 64 kB, with NUL, wildcards, paths, line breaks, HTML', why: 'A client id gets into topics, file names, logs and web pages.', advisory: 'CVE-2017-7650 (Mosquitto)', expected: 'refused', 
    claims: { attack: { outcome: { kind: 'tls-or-connack', v3: [0x02, 0x05], v5: [0x81, 0x85, 0x87, 0x95] }, reasons: ['client-id-invalid', 'client-id-mismatch', 'malformed-packet', 'packet-too-large'], elsewhere: ONLY_A_SESSION } },
  },
  Q06: {
    family: 'mqtt', title: 'user name and password, without and beside a certificate', why: 'Guessed passwords are how fleets are taken.', expected: 'no certificate: closed; beside one: ignored, not logged', needs: ['ears'], topics: 'acl',
    claims: {
      without: { outcome: TLS, reasons: ['tls-no-certificate'] },
      beside: { outcome: DROPPED, reasons: ['publish-not-granted'] },
      log: UNDISTURBED,
    },
  },
  Q07: {
    family: 'mqtt', title: 'Will on a forbidden, reserved or wildcard topic', why: 'A Will is a publish that comes later, and from nobody.', expected: 'refused at CONNECT, never delivered', needs: ['ears'], topics: 'acl',
    claims: {
      attack: { outcome: { kind: 'connack', v3: [0x05, 0x02], v5: [0x87, 0x90] }, reasons: ['will-not-granted', 'will-invalid', 'topic-reserved', 'topic-invalid'], elsewhere: { judgedBy: 'silence', because: 'It was let in; what counts is that its Will is heard by nobody, which is judged.' } },
      silence: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] },
    },
  },
  Q08: { family: 'mqtt', title: 'Will of a device that was revoked or suspended, retained', why: 'Whoever is thrown out must not have the last word.', expected: 'not published, not retained', needs: ['ears', 'revocation', 'registry'], onlyOurs: 'MQTT has a Will published however its connection ends', claims: { attack: SILENCE, left: UNDISTURBED } },
  Q09: { family: 'mqtt', title: 'publish to another device\'s topic (QoS 0, 1, 2)', why: 'A thermometer must not speak for the boiler.', expected: 'not delivered; v5 0x87, 3.1.1 plain ack', needs: ['ears'], topics: 'acl', claims: { attack: { outcome: DROPPED, reasons: ['publish-not-granted'] } } },
  Q10: {
    family: 'mqtt', title: 'retained under a topic of another device, wiped there, and left behind by a revoked one', why: 'What is retained speaks for ever, long after its speaker.', advisory: 'CVE-2018-12546 (Mosquitto)', expected: 'not stored, not wiped, not shown', needs: ['ears'],
    claims: { attack: { outcome: DROPPED, reasons: ['publish-not-granted', 'publish-retain'] }, left: UNDISTURBED },
  },
  Q11: { family: 'mqtt', title: 'subscribe to #, +/#, t/+/x, // and prefix tricks', why: 'One wide filter hears the whole fleet.', expected: 'SUBACK ≥ 0x80, nothing received', needs: ['ears'], topics: 'acl', claims: { attack: { outcome: { kind: 'subscribe-refused' }, reasons: ['subscribe-not-granted', 'filter-invalid', 'malformed-packet', 'protocol-error'] } } },
  Q12: {
    family: 'mqtt', title: 'neighbours by name: x-1 and x-10, capitals, a level more', why: 'Who compares beginnings gives one device the topics of ten.', expected: 'not delivered; SUBACK ≥ 0x80', needs: ['ears'],
    claims: { attack: { outcome: DROPPED, reasons: ['publish-not-granted'] }, subscribe: { outcome: { kind: 'subscribe-refused' }, reasons: ['subscribe-not-granted', 'filter-invalid'] } },
  },
  Q13: {
    family: 'mqtt', title: 'shared subscriptions around the policy', why: '$share would not only hear messages but take them away.', expected: 'SUBACK ≥ 0x80, nothing stolen', needs: ['ears'], topics: 'acl',
    claims: { attack: { outcome: { kind: 'subscribe-refused' }, reasons: ['share-unavailable', 'share-not-granted', 'subscribe-not-granted', 'filter-invalid', 'topic-reserved'] }, others: UNDISTURBED },
  },
  Q14: {
    family: 'mqtt', title: 'publish and subscribe below $SYS', why: 'It shows other clients, and lets one lie about the server.', advisory: 'CVE-2018-12543 (Mosquitto)', expected: 'denied', needs: ['ears'], topics: 'acl',
    claims: {
      subscribe: { outcome: { kind: 'subscribe-refused' }, reasons: ['subscribe-not-granted', 'topic-reserved', 'filter-invalid'] },
      publish: { outcome: DROPPED, reasons: ['topic-reserved', 'publish-not-granted', 'topic-invalid'] },
    },
  },
  Q15: {
    family: 'mqtt', title: 'topic aliases: 0, too large, never set, set to a forbidden topic and used', why: 'A check of the topic that is written sees an empty one.', expected: 'closed, v5 0x94 or 0x82; what it stands for is what is judged', needs: ['ears'],
    claims: { attack: { outcome: DROPPED, reasons: ['publish-not-granted'], counted: true }, broken: { outcome: { kind: 'cut', v5: [0x94, 0x82] }, reasons: ['protocol-error', 'malformed-packet', 'topic-invalid'], elsewhere: BORNE }, resolved: { outcome: { kind: 'withstood' }, reasons: ['publish-not-granted', 'protocol-error'] } },
  },
  Q16: { family: 'mqtt', title: 'subscription identifiers: 0, too large, many', why: 'What comes back with every message must be a number that the client has said.', expected: 'closed, v5 0x82 or 0x81', claims: { attack: { outcome: BROKEN, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE } } },
  Q17: { family: 'mqtt', title: 'properties twice, unknown, zero, in the wrong packet', why: 'Who takes the first and who takes the last read two different packets.', advisory: 'CVE-2023-3592 (Mosquitto)', expected: 'closed, v5 0x82 or 0x81', claims: { attack: { outcome: BROKEN, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE }, connect: { outcome: NO_CONNECT, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE } } },
  Q18: { family: 'mqtt', title: 'user properties: 10,000 pairs, 60,000 pairs, 600 kB', why: 'Nobody limits them, and everybody reads them.', expected: 'too large: closed, v5 0x95; what fits is worked through in time', claims: { attack: { outcome: { kind: 'cut', v5: [0x95] }, reasons: ['packet-too-large'], elsewhere: ITS_OWN_BOUND }, connect: { outcome: NO_CONNECT, reasons: ['packet-too-large'], elsewhere: ITS_OWN_BOUND }, time: { ...WITHSTOOD, elsewhere: ITS_OWN_BOUND } } },
  Q19: {
    family: 'mqtt', title: 'topics and filters that are not UTF-8, or hold NUL', why: 'A server that passes them on brings down the clients that read them.', advisory: 'CVE-2017-7653 (Mosquitto)', expected: 'closed, v5 0x81; nothing delivered', needs: ['ears'],
    claims: { attack: { outcome: { kind: 'cut', v5: [0x81] }, reasons: ['malformed-packet'], elsewhere: { ...BORNE, judgedBy: 'silence' } }, silence: { outcome: { kind: 'publish-dropped', v5: [] }, reasons: [] }, mark: { outcome: { kind: 'publish-dropped', v5: [0x87, 0x90] }, reasons: ['publish-not-granted', 'topic-invalid'] } },
  },
  Q20: { family: 'mqtt', title: 'PUBLISH without a topic', why: 'A message to nowhere is one to whoever forgot to look.', expected: 'closed, v5 0x82 or 0x81', claims: { attack: { outcome: BROKEN, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE } } },
  Q21: {
    family: 'mqtt', title: 'topics and filters of 60,000 and of 65,535 slashes', why: 'Every slash is a level of a tree, and every level costs.', advisory: 'CVE-2019-11779 (Mosquitto)', expected: 'refused, in time', needs: ['ears'],
    claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['topic-invalid', 'publish-not-granted', 'protocol-error'] }, subscribe: { outcome: { kind: 'subscribe-refused' }, reasons: ['filter-invalid', 'subscribe-not-granted', 'packet-too-large'] } },
  },
  Q22: {
    family: 'mqtt', title: 'lengths that lie: five bytes, 256 MB, nothing, more than there is', why: 'Whoever sets aside what is only announced is emptied by a few bytes.', advisory: 'CVE-2017-7651 (Mosquitto)', expected: 'closed; nothing set aside', 
    claims: { attack: { outcome: { kind: 'cut', v5: [0x81, 0x82, 0x95] }, reasons: ['malformed-packet', 'protocol-error', 'packet-too-large'], elsewhere: BORNE }, connect: { outcome: NO_CONNECT, reasons: ['malformed-packet', 'protocol-error', 'packet-too-large'], elsewhere: BORNE }, empty: { outcome: { kind: 'tls-or-connack', v3: [0x01], v5: [0x01, 0x84, 0x81] }, reasons: ['malformed-packet', 'protocol-version'], elsewhere: BORNE }, memory: WITHSTOOD },
  },
  Q23: { family: 'mqtt', title: 'every packet before CONNECT, packets of a server, reserved flags, QoS 3', why: 'Code that was written for one order is run in another.', advisory: 'CVE-2023-0809 (Mosquitto)', expected: 'closed, v5 0x82 or 0x81', claims: { attack: { outcome: BROKEN, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE }, connect: { outcome: NO_CONNECT, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE } } },
  Q24: { family: 'mqtt', title: 'second CONNECT on one connection', why: 'A session must not change its identity half-way.', expected: 'closed, v5 0x82', topics: 'acl', claims: { attack: { outcome: { kind: 'cut', v5: [0x82] }, reasons: ['protocol-error'] } } },
  Q25: { family: 'mqtt', title: 'SUBSCRIBE and UNSUBSCRIBE with no filter, 10,000 filters, packet id 0, reserved options', why: 'One packet asks for as much as ten thousand.', expected: 'closed', claims: { attack: { outcome: BROKEN, reasons: ['protocol-error', 'malformed-packet'], elsewhere: BORNE }, many: { outcome: { kind: 'cut', v5: [0x81, 0x82, 0x95, 0x97] }, reasons: ['protocol-error', 'malformed-packet', 'quota-exceeded', 'packet-too-large'], elsewhere: ITS_OWN_BOUND } } },
  Q26: { family: 'mqtt', title: 'other protocol names and levels, and the bit of a bridge', why: 'A bridge is asked fewer questions.', expected: 'CONNACK 0x01, v5 0x84, or closed', needs: ['ears'], claims: { attack: { outcome: { kind: 'tls-or-connack', v3: [0x01], v5: [0x84, 0x01] }, reasons: ['protocol-version', 'malformed-packet', 'protocol-error'], elsewhere: { seen: 'admitted', judgedBy: 'speaks', because: 'A server may speak other versions, too [MQTT-3.1.2-2]; that a bridge has no more rights than its certificate is judged.' } }, speaks: SILENCE } },
  Q27: { family: 'mqtt', title: `${MQTT_LIMITS.halfOpenMessages} messages of QoS 2 that are never released`, why: 'Each is remembered until it is.', expected: 'closed, v5 0x93', needs: ['floods'], claims: { attack: { outcome: { kind: 'cut', v5: [0x93] }, reasons: ['receive-maximum'], elsewhere: { ...ITS_OWN_BOUND, judgedBy: 'others' } }, others: UNDISTURBED } },
  Q28: { family: 'mqtt', title: 'QoS 2: one packet id many times, and thousands of acknowledgements of nothing', why: 'Exactly once is what a valve is opened with.', advisory: 'CVE-2023-28366 (Mosquitto)', expected: 'delivered once; answered or closed', needs: ['ears'], claims: { attack: WITHSTOOD, stray: { ...WITHSTOOD, elsewhere: ITS_OWN_BOUND } } },
  Q29: { family: 'mqtt', title: 'keep-alive 0 and 65,535, silence, and a byte now and then', why: 'Every silent connection takes a place, until nobody gets one.', advisory: 'CVE-2020-13849 (SlowITe)', expected: 'the server sets a bound; closed at 1.5 keep-alives', pace: 'background', claims: { attack: { outcome: { kind: 'all-closed', withinMs: MQTT_LIMITS.keepAliveEndMs }, reasons: [] }, bound: { ...WITHSTOOD, elsewhere: ITS_OWN_BOUND } } },
  Q30: { family: 'mqtt', title: 'half a CONNECT behind a good handshake, and then nothing', why: 'A good certificate is no right to a place for ever.', expected: `closed within ${MQTT_LIMITS.connectMs / 1_000} s`, needs: ['floods'], pace: 'background', claims: { attack: { outcome: { kind: 'all-closed', withinMs: MQTT_LIMITS.connectMs }, reasons: ['connect-timeout'], counted: true } } },
  Q31: { family: 'mqtt', title: 'publish flood of a device with a rate, and of one without', why: 'One sensor that has gone mad must not silence the hall.', expected: 'v5 0x97 beyond the rate; others undisturbed', needs: ['ears', 'floods'], claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['publish-rate'], counted: true }, others: UNDISTURBED } },
  Q32: { family: 'mqtt', title: 'subscriber that stops reading', why: 'What it does not take stays with the server.', expected: 'dropped or closed; the server does not grow', needs: ['server-process', 'floods'], pace: 'alone', claims: { memory: { ...WITHSTOOD, elsewhere: { ...ITS_OWN_BOUND, judgedBy: 'others' } }, others: UNDISTURBED } },
  Q33: { family: 'mqtt', title: `${MQTT_LIMITS.waitingMessages} large messages for a session that nobody comes for`, why: 'A device in a drawer would fill the disk.', expected: 'so many bytes and no more; the newest are there', needs: ['registry', 'floods'], onlyOurs: 'which of what waits is dropped, and when, MQTT leaves to the server', claims: { attack: WITHSTOOD } },
  Q34: { family: 'mqtt', title: `${MQTT_LIMITS.retainedMessages} large retained messages of one device`, why: 'They are kept for ever.', expected: 'so many bytes and no more, v5 0x97', needs: ['own-policy', 'registry', 'floods'], onlyOurs: 'how much may be retained, MQTT leaves to the server', claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['quota-exceeded'], counted: true }, others: UNDISTURBED } },
  Q35: { family: 'mqtt', title: 'filters without end that all match one topic', why: 'Every message pays for each of them.', expected: 'SUBACK 0x97 beyond a number; a message is delivered in time', needs: ['floods'], claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['quota-exceeded'], counted: true, elsewhere: { ...ITS_OWN_BOUND, judgedBy: 'others' } }, time: { ...WITHSTOOD, elsewhere: ITS_OWN_BOUND }, others: UNDISTURBED } },
  Q36: { family: 'mqtt', title: 'sessions for ever, under one client id after the other', why: 'Each keeps a queue, and nobody ever comes for it.', expected: 'the server sets an end, and a number', needs: ['registry', 'floods'], pace: 'background', onlyOurs: 'how many sessions are kept, and for how long, MQTT leaves to the server', claims: { attack: { outcome: { kind: 'withstood' }, reasons: ['sessions-limit', 'connect-rate'], counted: true }, bound: WITHSTOOD } },
  Q37: {
    family: 'mqtt', title: `CONNECT flood of one certificate beside ${SIM_LIMITS.honestDevices} honest devices behind the same address`, why: 'Many devices share one address: the flood of one must not shut out the others.', expected: 'flood limited, every honest device connected', pace: 'alone', needs: ['floods'], topics: 'acl',
    claims: { attack: { outcome: { kind: 'some-refused' }, reasons: ['connect-rate'], counted: true }, others: UNDISTURBED },
  },
  Q38: {
    family: 'mqtt', title: 'Response Topics of others, and a Will that waits for ever', why: 'A server that answers where it is told speaks in its own name to everybody.', advisory: 'CVE-2019-11778 (Mosquitto, Will delay)', expected: 'not answered there; the Will comes with the end of its session', needs: ['ears'],
    claims: { answer: WITHSTOOD, wildcard: { outcome: BROKEN, reasons: ['protocol-error'], elsewhere: BORNE }, late: WITHSTOOD },
  },
  Q39: { family: 'mqtt', title: 'AUTH that nobody asked for, and authentication methods', why: 'A second way to say who one is would be a way around the certificate.', expected: 'closed, v5 0x81, 0x82 or 0x8c', claims: { attack: { outcome: { kind: 'cut', v5: [0x81, 0x82, 0x8c] }, reasons: ['protocol-error', 'malformed-packet', 'authentication-method'], elsewhere: BORNE }, connect: { outcome: { kind: 'connack', v3: [], v5: [0x8c, 0x82] }, reasons: ['authentication-method', 'protocol-error'], elsewhere: { because: 'It was let in by its certificate; the method gave it no other name.' } } } },
  Q40: { family: 'mqtt', title: 'the session of a device that was revoked, under its name again', why: 'What waited for the stolen device is not for its successor, and not the other way around.', expected: 'a new session, and nothing in it', needs: ['revocation', 'enrollment'], onlyOurs: 'by MQTT a session belongs to a client id, and ends with no certificate', claims: { attack: WITHSTOOD } },
  Q41: { family: 'mqtt', title: 'subscription that was granted once, live and kept', why: 'A right that was taken away must end, not wait for the next connection.', expected: 'nothing more heard within 1 s; what is granted goes on', needs: ['ears', 'registry'], claims: { attack: SILENCE } },
  Q42: { family: 'mqtt', title: `${MQTT_LIMITS.fuzzPackets} packets by chance, well-made and broken`, why: 'Somebody will send what nobody has thought of.', expected: 'no crash, nothing heard that nobody may hear', needs: ['ears', 'floods'], claims: { leak: WITHSTOOD, others: UNDISTURBED } },
  Q43: {
    family: 'mqtt', title: 'WebSocket: no upgrade, pages of others, frames that are none', why: 'A browser sends the certificate of its user along with the request of any page.', expected: 'HTTP 4xx, or closed', needs: ['websocket'],
    claims: {
      stranger: { outcome: TLS, reasons: ['tls-no-certificate'] },
      request: { outcome: { kind: 'http', statuses: [400, 404, 405, 426, 431] }, reasons: ['websocket-upgrade'] },
      origin: { outcome: { kind: 'http', statuses: [403] }, reasons: ['websocket-origin'] },
      frame: { outcome: { kind: 'withstood' }, reasons: ['malformed-packet', 'protocol-error', 'packet-too-large', 'quota-exceeded'] },
    },
  },
} as const satisfies Record<string, CatalogueRow>
