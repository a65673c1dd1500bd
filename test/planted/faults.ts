// The faults that are planted: what each breaks, how, and the cases of the simulator or the tests that must catch it. A text
// to replace occurs exactly once in its file; where a second line of defence would hide the fault, the fault takes it out
// as well.

import type { CaseId } from '../../device-sim/attacks/catalogue.ts'
import { API_FAULTS } from './faults-api.ts'
import { ENROLLMENT_FAULTS } from './faults-enrollment.ts'
import { HTTPS_FAULTS } from './faults-https.ts'
import { MESSAGE_FAULTS } from './faults-messages.ts'

export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** A test, for what no client can see from outside without stopping the disk or reloading the policy. */
export interface CatchingTest {
  readonly file: string
  /** What the name of each of these tests begins with or contains, as a regular expression. */
  readonly name: string
  /** Of a `.fault.ts`: at how many places it disturbs. */
  readonly points?: number
}

export interface Fault {
  readonly id: string
  /** On whose side of the connection the fault lies. */
  readonly side: 'broker' | 'ca' | 'device'
  /** Every one of these must fail. */
  readonly cases: readonly CaseId[]
  readonly tests?: readonly CatchingTest[]
  readonly edits: readonly Edit[]
}

export const FAULTS: readonly Fault[] = [
  {
    id: 'extended-key-usage-unchecked', side: 'broker', cases: ['T17'],
    edits: [
      { file: 'src/core/certificate-rules.ts', find: "when(c.extendedKeyUsage === undefined, deny('certificate-usage-missing'))", replace: 'undefined' },
      { file: 'src/core/certificate-rules.ts', find: 'when(c.extendedKeyUsage?.includes(EXTENDED_KEY_USAGES.clientAuth) !== true,', replace: 'when(false,' },
    ],
  },
  {
    id: 'ca-as-client-unchecked', side: 'broker', cases: ['T21'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: "when(c.basicConstraints?.ca === true || c.keyUsage?.includes('keyCertSign') === true,", replace: 'when(false,' }],
  },
  {
    id: 'two-names-accepted', side: 'broker', cases: ['I02'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: "if (names.length > 1 || facts.subject.some((rdn) => rdn.length > 1)) return deny('certificate-name-ambiguous')", replace: '' }],
  },
  {
    id: 'registry-skipped-on-resumption', side: 'broker', cases: ['T11'],
    edits: [
      { file: 'src/broker/peer.ts', find: 'return judgeShown(presented.raw, () => presentedChain(presented), verificationFailure(socket), ports)', replace: 'const judged = judgeShown(presented.raw, () => presentedChain(presented), verificationFailure(socket), ports)\n  return judged.allow ? allow({ ...judged.value, resumed: socket.isSessionReused() } as Peer) : judged' },
      { file: 'src/broker/engine/connect.ts', find: 'const standing = { now, record: ports.view.certificate(peer.issuer, peer.serial),', replace: "const recorded = ports.view.certificate(peer.issuer, peer.serial)\n      const standing = { now, record: (peer as any).resumed ? { ...recorded, state: 'active' } as any : recorded," },
    ],
  },
  {
    id: 'unrecorded-certificate-accepted', side: 'broker', cases: ['I16'],
    edits: [
      { file: 'src/broker/peer.ts', find: 'return named.allow ? notOurs(ports.view.certificate(issuer, serial)) : named', replace: 'return named.allow ? allow({ issuer, serial, sha256, leaf: chain[0] ?? new Uint8Array(), notAfter: leaf.notAfter, device: name.value }) : named' },
      { file: 'src/core/admission.ts', find: "if (record === undefined || record.state === 'planned') return deny('certificate-unrecorded')", replace: "if (record === undefined) return device === undefined ? deny('device-unknown') : allow(device)" },
    ],
  },
  {
    id: 'trusted-ca-speaks-for-anybody', side: 'broker', cases: ['I14'],
    edits: [{ file: 'src/foreign.ts', find: "{ kind: 'device-issuer', device, issuer },", replace: '' }],
  },
  {
    id: 'revocation-leaves-sessions', side: 'broker', cases: ['T10', 'I18'],
    edits: [{ file: 'src/broker/broker.ts', find: 'sessions.matching(match, owner).flatMap((session) => engine.renew(session) ?? [])', replace: '[] as Promise<void>[]' }],
  },
  {
    id: 'device-state-ignored', side: 'broker', cases: ['I18'],
    edits: [{ file: 'src/core/admission.ts', find: 'return refusal === undefined ? allow(device) : deny(refusal)', replace: 'return allow(device)' }],
  },
  {
    id: 'client-id-unchecked', side: 'broker', cases: ['Q01', 'I10'],
    edits: [{ file: 'src/core/admission.ts', find: "const connect = facts.grants.connect(clientId)\n  if (connect.effect === 'deny') return denied(connect)", replace: '' }],
  },
  {
    id: 'session-owner-unchecked', side: 'broker', cases: ['Q02'],
    edits: [
      { file: 'src/core/admission.ts', find: "const connect = facts.grants.connect(clientId)\n  if (connect.effect === 'deny') return denied(connect)", replace: '' },
      { file: 'src/core/ids.ts', find: 'return `${tenant}/${device}/${clientId}` as SessionKey', replace: 'return `${tenant}/-/${clientId}` as SessionKey' },
      { file: 'src/broker/engine/connect.ts', find: 'if (incumbent !== undefined && (incumbent.device !== device.id || incumbent.tenant !== device.tenant))', replace: 'if (false)' },
    ],
  },
  {
    id: 'connect-rate-unbounded', side: 'broker', cases: ['Q37'],
    edits: [{ file: 'src/core/admission.ts', find: "if (!facts.withinRate) return deny('connect-rate')", replace: '' }],
  },
  {
    id: 'will-unchecked', side: 'broker', cases: ['Q07'],
    edits: [{ file: 'src/core/admission.ts', find: "const verdict = facts.grants.will(will.topic, will.qos, will.retain, will.bytes)\n    if (verdict.effect === 'deny') return denied(verdict)", replace: '' }],
  },
  {
    id: 'plus-covers-hash', side: 'broker', cases: ['Q11'],
    edits: [{ file: 'src/core/topic.ts', find: "if (fi === '#') return false\n    if (fi === '+'", replace: "if (fi === '+'" }],
  },
  {
    id: 'publish-unchecked', side: 'broker', cases: ['Q09', 'Q14'],
    edits: [{ file: 'src/broker/engine/messages.ts', find: "if (verdict.effect === 'deny') return inTurn(() => refuse(link, session, packet, verdict, answer))", replace: '' }],
  },
  {
    id: 'acknowledged-before-stored', side: 'broker', cases: [], tests: [{ file: 'test/broker/engine/traps.test.ts', name: 'while the store does not answer nothing that it must keep is acknowledged' }],
    edits: [{ file: 'src/broker/engine/messages.ts', find: '(outcome) => inTurn(() => conclude(link, session, packet, outcome, answer)))', replace: '() => {})\n    if (packet.qos > 0) inTurn(() => answer(null))' }],
  },
  {
    id: 'delivery-unchecked', side: 'broker', cases: [], tests: [{ file: 'test/broker/messages.test.ts', name: 'a topic that a rule forbids to hear is not delivered' }],
    edits: [{ file: 'src/broker/engine/outbound.ts', find: 'return this.session.grants.mayReceive(topic) && ', replace: 'return ' }],
  },
  {
    id: 'share-member-unchecked', side: 'broker', cases: [], tests: [{ file: 'test/broker/shared.test.ts', name: 'goes to a member that may hear its topic' }],
    edits: [{ file: 'src/broker/engine/outbound.ts', find: ' && this.#mayReceive(topic)', replace: '' }],
  },
  {
    id: 'resumed-filters-unjudged', side: 'broker', cases: [], tests: [{ file: 'test/broker/engine/traps.test.ts', name: 'a filter whose grant is gone when its session comes back is gone' }],
    edits: [
      { file: 'src/broker/engine/admitting.ts', find: 'subscriptions: rights.admit(link, session, subscriptions)', replace: 'subscriptions' },
      { file: 'src/broker/engine/messages.ts', find: 'const granted = ports.stillGranted(session, { filter: toWireFilter(subscription.topic), qos: subscription.qos })', replace: 'const granted = subscription.qos' },
      { file: 'src/broker/engine/outbound.ts', find: 'return this.session.grants.mayReceive(topic) && ', replace: 'return ' },
      { file: 'src/broker/engine/absent.ts', find: 'await keeping.narrow(kept.key, lose, 0)', replace: '' },
    ],
  },
  {
    id: 'change-not-applied-at-once', side: 'broker', cases: [], tests: [{ file: 'test/broker/engine/rights.test.ts', name: 'is judged by what is in force when it is used before its turn' }],
    edits: [{ file: 'src/broker/engine/rights.ts', find: 'if (holding.round !== round && session.ending === undefined) void renew(session, holding)', replace: '' }],
  },
  {
    id: 'queue-of-a-lost-filter-stays', side: 'broker', cases: [], tests: [{ file: 'test/broker/policy-live.test.ts', name: 'and away: the filter goes, and what waits for it alone' }],
    edits: [{ file: 'src/store/sessions/tables.ts', find: 'queue.withdraw(counted,', replace: 'void (counted,' }],
  },
  {
    id: 'half-of-a-policy-is-read', side: 'broker', cases: [], tests: [{ file: 'test/policy-file/files.test.ts', name: 'is refused: in ' }],
    edits: [{ file: 'src/policy-file/files.ts', find: 'if (problems.length === 0) problems.push(...(await changedSince(policyFile, before, found)))', replace: '' }],
  },
  {
    id: 'part-of-a-policy-is-passed-over', side: 'broker', cases: [], tests: [{ file: 'test/policy-file/files.test.ts', name: 'a name that a person takes for one of the policy' }],
    edits: [{ file: 'src/policy-file/files.ts', find: 'NEARLY.test(name) && !IN_FOLDER.test(name)', replace: 'false' }],
  },
  {
    id: 'instant-that-never-comes', side: 'broker', cases: [], tests: [{ file: 'test/core/policy/forms.test.ts', name: 'notAfter: 2027-13-01' }],
    edits: [{ file: 'src/core/policy/read-conditions.ts', find: 'isDay && !Number.isNaN(instant)', replace: 'isDay' }],
  },
  {
    id: 'password-in-the-log', side: 'broker', cases: ['Q06'],
    edits: [{ file: 'src/broker/engine/admitting.ts', find: 'auditAdmission(link.session, packet.username !== undefined)', replace: 'auditAdmission({ ...link.session, clientId: `${link.session.clientId} ${String((packet as any).password)}` }, packet.username !== undefined)' }],
  },
  {
    id: 'refused-connect-not-audited', side: 'broker', cases: ['Q01'],
    edits: [{ file: 'src/broker/engine/endings.ts', find: 'auditLink(link, denied, packet.clientId)', replace: '' }],
  },
  {
    id: 'refused-handshake-not-audited', side: 'broker', cases: ['T03'],
    edits: [{ file: 'src/broker/broker.ts', find: 'auditStranger(connection.source, peer, leaf)', replace: 'void leaf' }],
  },
  {
    id: 'half-open-for-ever', side: 'broker', cases: ['T46'],
    edits: [{ file: 'src/broker/listener.ts', find: "const deadline = setTimeout(() => refuse('tls-handshake-timeout', undefined), BROKER_LIMITS.handshakeMs)", replace: 'const deadline = setTimeout(() => {}, BROKER_LIMITS.handshakeMs)' }],
  },
  {
    id: 'hints-unpaced', side: 'broker', cases: [], tests: [{ file: 'test/broker/hints.test.ts', name: 'sixty that come back at once' }],
    edits: [{ file: 'src/renewal-limits.ts', find: 'hintsPerSweepMax: 20,', replace: 'hintsPerSweepMax: 20_000,' }],
  },
  {
    id: 'hint-for-any-session', side: 'broker', cases: [], tests: [{ file: 'test/broker/hints.test.ts', name: 'nobody is told; an order tells whom it means' }],
    edits: [{ file: 'src/core/renewal-hints.ts', find: '(order === undefined && !isExpiring) || ', replace: '' }],
  },
  {
    id: 'older-by-the-clock', side: 'ca', cases: [], tests: [{ file: 'test/core/renewal.test.ts', name: 'which is older is what was recorded first' }],
    edits: [{ file: 'src/core/renewal.ts', find: 'const older = ofDevice.slice(0, Math.max(0, ofDevice.findIndex((other) => isSame(other, record))))', replace: 'const older = ofDevice.filter((other) => !isSame(other, record) && other.createdAt <= record.createdAt)' }],
  },
  {
    id: 'expiry-told-at-every-start', side: 'ca', cases: [], tests: [{ file: 'test/expiry.test.ts', name: 'what is near is in the log and in the audit log, once a day' }],
    edits: [{ file: 'src/expiry.ts', find: 'return at !== undefined && Math.abs(clock() - at) < EXPIRY_LIMITS.tellEveryMs', replace: 'return false' }],
  },
  {
    id: 'possession-unproven', side: 'ca', cases: ['E01'],
    edits: [{ file: 'src/core/enrollment.ts', find: "if (!csr.possessionProven) return deny('csr-signature-invalid')", replace: '' }],
  },
  {
    id: 'request-name-unchecked', side: 'ca', cases: ['E02'],
    edits: [{ file: 'src/core/enrollment.ts', find: 'if (foreign !== undefined || names.length > 1) return', replace: 'if (false) return' }],
  },
  {
    id: 'known-weak-key-certified', side: 'ca', cases: ['E10'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: 'if (key.weakness !== undefined) return key.weakness', replace: '' }],
  },
  {
    id: 'revoked-key-certified-again', side: 'ca', cases: ['E11'],
    edits: [{ file: 'src/store/sqlite/expect.ts', find: 'return taken === undefined ? HOLDS : deny(', replace: 'return taken !== null ? HOLDS : deny(' }],
  },
  {
    id: 'bound-to-another-connection', side: 'ca', cases: [], tests: [{ file: 'test/enroll/channel-binding.test.ts', name: 'gets a certificate for the device' }, { file: 'test/enroll/channel-binding.test.ts', name: 'the number of this connection is a certificate' }],
    edits: [{ file: 'src/core/channel-binding.ts', find: "if (found === 'differs') return deny(", replace: "if (found === 'absent' && rule === 'required') return deny(" }],
  },
  {
    id: 'key-in-the-clear', side: 'ca', cases: [], tests: [{ file: 'test/enroll/server-keys.test.ts', name: 'a wish for the key to be encrypted' }],
    edits: [{ file: 'src/est-request.ts', find: "'1.2.840.113549.1.9.16.2.37', '1.2.840.113549.1.9.16.2.54'", replace: '' }],
  },
  {
    id: 'token-shown-without-end', side: 'ca', cases: [], tests: [{ file: 'test/enroll/credential-rates.test.ts', name: 'that is shown from everywhere is told to wait' }],
    edits: [{ file: 'src/enrollment-desk.ts', find: "if (!withinRate(token.name, now)) return deny('token-rate')", replace: 'withinRate(token.name, now)' }],
  },
  {
    id: 'critical-extension-passed-over', side: 'broker', cases: ['T26'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: 'when(c.unknownCritical.length > 0,', replace: 'when(false,' }],
  },
  {
    id: 'days-that-are-none', side: 'broker', cases: ['T08'],
    edits: [{ file: 'src/x509/der.ts', find: "replaceAll(/[-:T]/g, '') === said ? ms : undefined", replace: "replaceAll(/[-:T]/g, '') === said ? ms : ms" }],
  },
  {
    id: 'key-usage-unchecked', side: 'broker', cases: ['T20'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: "when(c.keyUsage !== undefined && (!c.keyUsage.includes('digitalSignature')", replace: "when(false && c.keyUsage !== undefined && (!c.keyUsage.includes('digitalSignature')" }],
  },
  {
    id: 'weak-signature-accepted', side: 'broker', cases: ['T30'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: 'when(!isSignatureAccepted(c.signatureAlgorithm),', replace: 'when(false,' }],
  },
  {
    id: 'weak-key-comes-in', side: 'broker', cases: ['T31'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: "problem === undefined ? undefined : deny('certificate-key-weak', problem)", replace: "problem !== null ? undefined : deny('certificate-key-weak', problem)" }],
  },
  {
    id: 'failed-handshake-misnamed', side: 'broker', cases: ['T33'],
    edits: [{ file: 'src/broker/peer.ts', find: 'return judged.allow ? denied : judged', replace: 'return judged.allow ? denied : denied' }],
  },
  {
    id: 'old-suite-offered', side: 'broker', cases: ['T40'],
    edits: [{ file: 'src/broker/listener.ts', find: "  'ECDHE-ECDSA-CHACHA20-POLY1305',", replace: "  'ECDHE-ECDSA-CHACHA20-POLY1305',\n  'ECDHE-ECDSA-AES128-SHA'," }],
  },
  {
    // OpenSSL refuses it by itself; 1 << 8 is SSL_OP_ALLOW_CLIENT_RENEGOTIATION, which Node has no name for.
    id: 'renegotiation-allowed', side: 'broker', cases: ['T41'],
    edits: [{ file: 'src/broker/listener.ts', find: 'constants.SSL_OP_NO_RENEGOTIATION', replace: '(1 << 8)' }],
  },
  {
    id: 'any-protocol-behind-tls', side: 'broker', cases: ['T44'],
    edits: [{ file: 'src/broker/listener.ts', find: 'ALPNProtocols: [...SERVICES[ports.service].alpn],', replace: '' }],
  },
  {
    id: 'joined-names-accepted', side: 'broker', cases: ['I03'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: 'names.length > 1 || facts.subject.some((rdn) => rdn.length > 1)', replace: 'names.length > 1' }],
  },
  {
    id: 'name-read-to-the-nul', side: 'broker', cases: ['I04'],
    edits: [{ file: 'src/x509/names.ts', find: 'return utf8.decode(contents)', replace: "return utf8.decode(contents).split('\\0')[0]" }],
  },
  {
    id: 'serial-number-is-enough', side: 'broker', cases: ['I17'],
    edits: [{ file: 'src/broker/peer.ts', find: 'recorded !== undefined && recorded.sha256 !== sha256', replace: 'recorded !== undefined && recorded.sha256 === undefined' }],
  },
  {
    id: 'alternative-names-unread', side: 'broker', cases: ['I19'],
    edits: [{ file: 'src/core/certificate-rules.ts', find: 'return other === undefined ? allow(id.value)', replace: 'return other !== null ? allow(id.value)' }],
  },
  {
    id: 'superseded-stays', side: 'broker', cases: ['I20'],
    edits: [{ file: 'src/core/renewal.ts', find: 'const superseded = older.filter(', replace: 'const superseded = older.filter(() => false).filter(' }],
  },
  {
    id: 'device-speaks-old-tls', side: 'device', cases: ['D08'],
    edits: [{ file: 'device-sim/device.ts', find: 'rejectUnauthorized: true', replace: "rejectUnauthorized: true, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0'" }],
  },
  {
    id: 'device-trusts-any-ca', side: 'device', cases: ['D01', 'D02', 'D06'],
    edits: [{ file: 'device-sim/device.ts', find: 'rejectUnauthorized: true', replace: 'rejectUnauthorized: false' }],
  },
  {
    id: 'device-accepts-any-server-name', side: 'device', cases: ['D03'],
    edits: [{ file: 'device-sim/device.ts', find: 'rejectUnauthorized: true', replace: 'rejectUnauthorized: true, checkServerIdentity: () => undefined' }],
  },
  {
    id: 'leaks-of-others-excused', side: 'device', cases: [], tests: [{ file: 'test/device-sim/promises.test.ts', name: 'expected publish-dropped.*what is a hole' }],
    edits: [{ file: 'device-sim/promises.ts', find: "(seen.kind === 'published' && seen.receivers.length === 0)", replace: "seen.kind === 'published'" }],
  },
  {
    id: 'powers-taken-unnamed', side: 'device', cases: [], tests: [{ file: 'test/device-sim/attacks/run.test.ts', name: 'without having named it' }],
    edits: [{ file: 'device-sim/attacks/run.ts', find: 'if (!named.has(need) && !evidence.faults.includes(fault))', replace: 'if (false)' }],
  },
  {
    id: 'foreign-target-by-name', side: 'device', cases: [], tests: [{ file: 'test/device-sim/target.test.ts', name: 'localhost.example.org is not' }],
    edits: [{ file: 'device-sim/target.ts', find: "bare === 'localhost'", replace: "bare.startsWith('localhost')" }],
  },
  {
    id: 'certificate-answered-unrecorded', side: 'ca', cases: [],
    tests: [{ file: 'test/ca/issue-order.test.ts', name: 'the second commit fails before it is made' }],
    edits: [{ file: 'src/ca/issue.ts', find: 'const committed = await ports.registry.commit(', replace: 'const committed = { allow: true } as any\n    void ports.registry.commit(' }],
  },
  {
    id: 'token-used-up-afterwards', side: 'ca', cases: [], tests: [{ file: 'test/faults/issuance.fault.ts', name: 'enrollment with a token', points: 20 }],
    edits: [
      { file: 'src/ca/issue.ts', find: '[...along.changes, ...ends.map(', replace: '[...ends.map(' },
      { file: 'src/ca/issue.ts', find: 'return committed.allow ? allow({ record: issued, der }) : committed', replace: 'if (along.changes.length > 0) await ports.registry.commit(along.changes, [], [])\n    return committed.allow ? allow({ record: issued, der }) : committed' },
    ],
  },
  {
    id: 'crl-number-given-twice', side: 'ca', cases: [], tests: [{ file: 'test/faults/issuance.fault.ts', name: 'revocation, and the list that follows', points: 3 }],
    edits: [{ file: 'src/pki/crl-lists.ts', find: "const committed = await ports.registry.commit([{ kind: 'crl-numbered', crl }], [], [{ kind: 'crl-numbered', at: ports.clock(), issuer: issuer.name, number: crl.number, ...(scope === WHOLE ? {} : { scope }) }])", replace: 'const committed = { allow: true } as any' }],
  },
  {
    id: 'crl-written-in-place', side: 'ca', cases: [], tests: [{ file: 'test/pki/whole-file.test.ts', name: 'leaves the old one' }],
    edits: [
      { file: 'src/pki/whole-file.ts', find: "const temporary = `${file}.${randomBytes(6).toString('hex')}${SUFFIX}`", replace: 'const temporary = file' },
      { file: 'src/pki/whole-file.ts', find: "open(temporary, 'wx', PUBLIC_MODE)", replace: "open(temporary, 'w', PUBLIC_MODE)" },
    ],
  },
  {
    id: 'serial-index-missing', side: 'ca', cases: [], tests: [{ file: 'test/ca/serials.test.ts', name: 'is refused by the index itself' }],
    edits: [{ file: 'src/store/sqlite/migrations/0001-registry.sql', find: 'UNIQUE (issuer, serial),', replace: '' }],
  },
  {
    id: 'serial-not-drawn-again', side: 'ca', cases: [], tests: [{ file: 'test/ca/serials.test.ts', name: 'is drawn again: the second' }],
    edits: [{ file: 'src/ca/issue.ts', find: 'if (draws >= CA_LIFE_LIMITS.serialDrawsMax) throw repeating(record)', replace: 'return planned' }],
  },
  {
    id: 'signed-though-issued-before', side: 'ca', cases: [], tests: [{ file: 'test/signer/forged.test.ts', name: 'what is not planned, or not any more, is not signed' }],
    edits: [{ file: 'src/signer/plan-rules.ts', find: "if (record.state !== 'planned') return no(`the certificate with this serial number is ${record.state}`)", replace: '' }],
  },
  ...MESSAGE_FAULTS,
  ...ENROLLMENT_FAULTS,
  ...HTTPS_FAULTS,
  ...API_FAULTS,
]
