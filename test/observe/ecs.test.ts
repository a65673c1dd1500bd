import { assert, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { CaName, DeviceId, Fingerprint, SerialNumber } from '../../src/core/ids.ts'
import { chainLine, EMPTY_HEAD } from '../../src/observe/chain.ts'
import { detectionOf, recordOf, refusalOf } from '../../src/observe/ecs.ts'
import { REASONS, SIGNALS } from '../../src/vocabulary.ts'

const NOW = 1_800_000_000_000
const refusal = (more: Partial<AuditEvent & { kind: 'refusal' }> = {}): AuditEvent & { readonly kind: 'refusal' } => ({ kind: 'refusal', at: NOW, step: 'tls', reason: 'tls-untrusted-issuer', ...more })

describe('a refusal as a record', () => {
  test('has the names of the Elastic Common Schema and all that is known', () => {
    expect(recordOf(refusal({
      reason: 'publish-denied', step: 'policy', detail: 'why', device: 'sensor-7' as DeviceId, clientId: 'sensor-7:a', topic: 't/x', rule: 'no-admin', ruleAt: 'policy.yaml:12',
      source: { address: '192.0.2.1', port: 5 }, presented: { subject: 'CN=a', issuer: 'CN=b', serial: '40aa', sha256: 'ff'.repeat(32) as Fingerprint, notAfter: NOW },
    }))).toEqual({
      '@timestamp': '2027-01-15T08:00:00.000Z',
      event: { kind: 'event', category: ['authentication'], action: 'refusal', outcome: 'failure', reason: 'publish-denied' },
      message: REASONS['publish-denied'].sentence,
      source: { ip: '192.0.2.1', port: 5 },
      device: { id: 'sensor-7' },
      rule: { name: 'no-admin', reference: 'policy.yaml:12' },
      tls: { client: { subject: 'CN=a', issuer: 'CN=b', not_after: '2027-01-15T08:00:00.000Z', hash: { sha256: 'ff'.repeat(32) } } },
      x509: { serial_number: '40aa' },
      mqtt: { client_id: 'sensor-7:a', topic: 't/x' },
      detail: { step: 'policy', text: 'why' },
    })
  })
  test('comes back as what `why` shows, for its device and for no other', () => {
    const record = recordOf(refusal({ device: 'sensor-7' as DeviceId, detail: 'd', topic: 't', clientId: 'c', rule: 'r', ruleAt: 'p:1', source: { address: '192.0.2.1', port: 5 } }))
    expect(refusalOf(record, 'sensor-7')).toEqual({ at: NOW, step: 'tls', reason: 'tls-untrusted-issuer', sentence: REASONS['tls-untrusted-issuer'].sentence, fix: REASONS['tls-untrusted-issuer'].fix, detail: 'd', source: '192.0.2.1', clientId: 'c', topic: 't', rule: 'r', ruleAt: 'p:1' })
    expect(refusalOf(record, 'sensor-8')).toBeUndefined()
  })
  test('of somebody who only claimed the name says so, and never when the device is known', () => {
    expect(refusalOf(recordOf(refusal({ claimed: 'sensor-7' })), 'sensor-7')).toMatchObject({ claimed: true })
    expect(refusalOf(recordOf(refusal({ claimed: 'sensor-7', device: 'sensor-7' as DeviceId })), 'sensor-7')?.claimed).toBeUndefined()
  })
  test('a subscription that a change of policy took is one, with the generation and the rule', () => {
    const lost = recordOf({ kind: 'subscription-lost', at: NOW, device: 'sensor-7' as DeviceId, clientId: 'sensor-7', filter: 'cmd/+', reason: 'subscribe-denied', generation: 4, rule: 'no', ruleAt: 'policy.yaml:3' })
    expect(refusalOf(lost, 'sensor-7')).toMatchObject({ step: 'policy', reason: 'subscribe-denied', topic: 'cmd/+', clientId: 'sensor-7', rule: 'no', ruleAt: 'policy.yaml:3', detail: 'it was subscribed to, until policy generation 4' })
    expect(refusalOf(lost, 'sensor-8')).toBeUndefined()
    // Those that were only counted have no reason to tell.
    expect(refusalOf(recordOf({ kind: 'subscriptions-lost', at: NOW, device: 'sensor-7' as DeviceId, count: 3 }), 'sensor-7')).toBeUndefined()
  })

  test('that was counted comes back with its count, for the device or the claim that all of them had', () => {
    const counted = (more: Partial<AuditEvent & { kind: 'refusals-suppressed' }>) => recordOf({ kind: 'refusals-suppressed', at: NOW, step: 'policy', reason: 'publish-denied', count: 30, ...more })
    expect(refusalOf(counted({ device: 'sensor-7' as DeviceId }), 'sensor-7')).toMatchObject({ at: NOW, reason: 'publish-denied', count: 30 })
    expect(refusalOf(counted({ claimed: 'sensor-7' }), 'sensor-7')).toMatchObject({ claimed: true, count: 30 })
    expect(refusalOf(counted({ device: 'sensor-7' as DeviceId }), 'sensor-8')).toBeUndefined()
    expect(refusalOf(counted({}), 'sensor-7')).toBeUndefined()
    expect(refusalOf({ ...counted({ device: 'a' as DeviceId }), detail: { count: '9' } }, 'a')?.count).toBeUndefined()
    expect(refusalOf(recordOf(refusal({ device: 'a' as DeviceId })), 'a')?.count).toBeUndefined()
  })
  test('of a reason that this version does not know, and what is no refusal, are not shown', () => {
    expect(refusalOf({ ...recordOf(refusal({ device: 'a' as DeviceId })), event: { action: 'refusal', reason: '__proto__' } }, 'a')).toBeUndefined()
    expect(refusalOf(recordOf({ kind: 'device-added', at: NOW, device: 'a' as DeviceId, actor: { kind: 'local' } }), 'a')).toBeUndefined()
    for (const record of [{}, { event: null }, { event: 'x', detail: 3 }]) expect(refusalOf(record as never, 'a')).toBeUndefined()
  })
})

describe('a step of the detection ladder', () => {
  const step = (more: Partial<AuditEvent & { kind: 'detection' }> = {}): AuditEvent => ({ kind: 'detection', at: NOW, device: 'sensor-7' as DeviceId, from: 'observe', to: 'throttle', because: 'It was seen.', ...more })
  test('has what was seen, and comes back as what `why` shows, for its device and for no other', () => {
    const record = recordOf(step({ signal: 'topics', count: 200, until: NOW + 1_000 }))
    expect(record).toEqual({
      '@timestamp': '2027-01-15T08:00:00.000Z', event: { kind: 'event', category: ['intrusion_detection'], action: 'detection', outcome: 'success' }, message: 'It was seen.', device: { id: 'sensor-7' },
      detail: { count: 200, signal: 'topics', from: 'observe', to: 'throttle', until: '2027-01-15T08:00:01.000Z' },
    })
    expect(detectionOf(record, 'sensor-7')).toEqual({ at: NOW, from: 'observe', to: 'throttle', because: 'It was seen.', signal: 'topics', fix: SIGNALS.topics.fix, until: NOW + 1_000 })
    expect(detectionOf(record, 'sensor-8')).toBeUndefined()
    expect(refusalOf(record, 'sensor-7')).toBeUndefined()
  })
  test('down has no fix, and says which operator it was', () => {
    const record = recordOf(step({ to: 'none', actor: { kind: 'operator', name: '4711' } }))
    expect(record['user']).toEqual({ name: 'operator:4711' })
    expect(detectionOf(record, 'sensor-7')).toEqual({ at: NOW, from: 'observe', to: 'none', because: 'It was seen.' })
  })
  test('to a rung or for a signal that this version does not know is not shown, or without it', () => {
    const record = recordOf(step({ signal: 'topics' }))
    const with_ = (detail: object) => detectionOf({ ...record, detail: { ...(record['detail'] as object), ...detail } }, 'sensor-7')
    expect([with_({ to: 'banish' }), with_({ from: '__proto__' }), with_({ to: undefined })]).toEqual([undefined, undefined, undefined])
    expect(with_({ signal: 'constructor' })).not.toHaveProperty('fix')
    for (const other of [{}, { event: null }, recordOf(refusal({ device: 'sensor-7' as DeviceId }))]) expect(detectionOf(other as never, 'sensor-7')).toBeUndefined()
  })
})

describe('what a peer had a hand in', () => {
  const hostile = ['\r\n{"event":"forged"}', '\u001b[31mred', '"}}\n{"a":"b', '\u202Egnp.exe', 'é\u0301', '\0', '\ud800', 'x'.repeat(65_536)]
  test.each(hostile)('%j is printable, short, and does not break out', (text) => {
    const record = recordOf(refusal({ detail: text, claimed: text, clientId: text, topic: text, presented: { subject: text, issuer: text, serial: text }, source: { address: text, port: 1 } }))
    const { line } = chainLine(record, EMPTY_HEAD, undefined)
    expect(line.length).toBeLessThan(4_096)
    expect(line).toMatch(/^[\x20-\x7e…]*$/)
    expect(JSON.parse(line)).toMatchObject({ event: { action: 'refusal' }, mqtt: { client_id: (record['mqtt'] as { client_id: string }).client_id } })
  })
  test.each(hostile)('%j, claimed many times, is printable in the count', (text) => {
    const { line } = chainLine(recordOf({ kind: 'refusals-suppressed', at: NOW, step: 'tls', reason: 'tls-untrusted-issuer', count: 9, claimed: text }), EMPTY_HEAD, undefined)
    expect(line.length).toBeLessThan(4_096)
    expect(line).toMatch(/^[\x20-\x7e…]*$/)
  })
  test('whatever it is, the record is one line of printable characters', () => {
    assert(property(string({ unit: 'binary' }), string({ unit: 'grapheme' }), (a, b) => {
      const { line } = chainLine(recordOf(refusal({ detail: a, clientId: b, claimed: b, presented: { subject: a } })), EMPTY_HEAD, undefined)
      expect(line).toMatch(/^[\x20-\x7e…]*$/)
    }))
  })
  test('a date that is none stays out', () => {
    expect(recordOf(refusal({ presented: { notAfter: Number.NaN } }))['tls']).toEqual({ client: {} })
    expect(recordOf(refusal({ presented: { notAfter: 8.64e15 + 1 } }))['tls']).toEqual({ client: {} })
  })
})

describe('other events', () => {
  const device = 'd' as DeviceId
  const issuer = 'issuing-1' as CaName
  const serial = '40' as SerialNumber
  test.each<[AuditEvent, Record<string, unknown>]>([
    [{ kind: 'admission', at: NOW, device, clientId: 'd:1', serial, issuer, source: { address: '::1', port: 2 }, protocol: 5, usernameIgnored: true }, { event: { outcome: 'success', category: ['session'] }, mqtt: { client_id: 'd:1', protocol_version: 5, username_ignored: true }, x509: { serial_number: '40', issuer: { common_name: 'issuing-1' } } }],
    [{ kind: 'session-closed', at: NOW, device, clientId: 'd', because: 'The certificate is revoked.', reason: 'certificate-revoked' }, { event: { reason: 'certificate-revoked', outcome: 'success' }, message: 'The certificate is revoked.' }],
    [{ kind: 'certificate-revoked', at: NOW, issuer, serial, device, revocationReason: 'keyCompromise', actor: { kind: 'operator', name: 'a\u001b' } }, { user: { name: 'operator:a\\u{1b}' }, detail: { revocation_reason: 'keyCompromise' } }],
    [{ kind: 'refusals-suppressed', at: NOW, step: 'tls', reason: 'tls-not-tls', count: 9, source: { address: '::1', port: 2 } }, { event: { outcome: 'failure', reason: 'tls-not-tls' }, detail: { count: 9, step: 'tls' } }],
    [{ kind: 'device-changed', at: NOW, device, action: 'quarantine', state: 'quarantined', actor: { kind: 'system' }, because: 'It was seen.' }, { message: 'It was seen.', user: { name: 'system' }, detail: { action: 'quarantine', state: 'quarantined' } }],
    [{ kind: 'audit-lost', at: NOW, count: 3 }, { event: { category: ['process'] }, detail: { count: 3 } }],
    [{ kind: 'policy-rejected', at: NOW, message: 'line\nbreak' }, { message: 'line\\u{a}break' }],
  ])('%j', (event, expected) => {
    expect(recordOf(event)).toMatchObject(expected)
  })
})
