// What a change makes of a record: the life cycle of a certificate as a table, written again by hand.

import { describe, expect, test } from 'vitest'
import { DEVICE_STATES } from '../../src/core/device.ts'
import type { DeviceId, GroupName } from '../../src/core/ids.ts'
import { CERTIFICATE_STATES, type CertificateState } from '../../src/core/registry.ts'
import { certificateAfter, deviceAfter, type CertificateChange } from '../../src/store/apply.ts'
import { CA, device, issued, NOW, planned, printOf, revoked, serialOf, superseded } from '../contract/records.ts'

const activated: CertificateChange = { kind: 'certificate-state', issuer: CA, serial: serialOf('x'), state: 'active' }
const STEPS: Readonly<Record<string, readonly [CertificateChange, readonly CertificateState[], CertificateState]>> = {
  'signed as issued': [issued('x', 'issued') as CertificateChange, ['planned'], 'issued'],
  'signed as active': [issued('x') as CertificateChange, ['planned'], 'active'],
  activated: [activated, ['issued', 'active'], 'active'],
  superseded: [superseded('x') as CertificateChange, ['planned', 'issued', 'active', 'superseded'], 'superseded'],
  revoked: [revoked('x') as CertificateChange, ['planned', 'issued', 'active', 'superseded'], 'revoked'],
}

describe('a certificate', () => {
  test.each(Object.entries(STEPS).flatMap(([name, [change, from, to]]) => CERTIFICATE_STATES.map((state) => [state, name, change, from.includes(state) ? to : undefined] as const)))('that is %s and is %s', (state, _, change, to) => {
    const before = planned('x', 'a', { state })
    expect(certificateAfter(before, change)).toMatchObject(to === undefined ? { allow: false, reason: 'state-transition' } : { allow: true, value: { state: to } })
    expect(before.state).toBe(state)
  })

  test('gets its fingerprint from the signature, and time and reason from the revocation, and nothing else changes', () => {
    const plan = planned('x', 'a')
    expect(certificateAfter(plan, STEPS['signed as active']![0])).toEqual({ allow: true, value: { ...plan, state: 'active', sha256: printOf('x') } })
    expect(certificateAfter(plan, STEPS['revoked']![0])).toEqual({ allow: true, value: { ...plan, state: 'revoked', revokedAt: NOW + 5, revocationReason: 'keyCompromise' } })
    expect(certificateAfter({ ...plan, state: 'issued' }, activated)).toEqual({ allow: true, value: { ...plan, state: 'active' } })
  })
})

describe('a device', () => {
  test.each(DEVICE_STATES.flatMap((from) => DEVICE_STATES.map((to) => [from, to] as const)))('that is %s becomes %s, unless it is retired', (from, to) => {
    const after = deviceAfter(device('a', { state: from }), { kind: 'device-state', id: 'a' as DeviceId, state: to })
    const refused = from === 'retired' && to !== 'retired'
    expect(after).toMatchObject(refused ? { allow: false, reason: 'state-transition' } : { allow: true, value: device('a', { state: to, revision: 2 }) })
  })

  test('is held by the ladder only where it is kept out, until its state is said again', () => {
    const hold = { since: NOW, from: 'active', because: 'why' } as const
    const held = deviceAfter(device('a'), { kind: 'device-state', id: 'a' as DeviceId, state: 'quarantined', hold })
    expect(held).toEqual({ allow: true, value: device('a', { state: 'quarantined', revision: 2, hold }) })
    const before = device('a', { state: 'quarantined', hold })
    expect(deviceAfter(before, { kind: 'device-state', id: 'a' as DeviceId, state: 'quarantined' })).toEqual({ allow: true, value: device('a', { state: 'quarantined', revision: 2 }) })
    expect(deviceAfter(before, { kind: 'device-described', id: 'a' as DeviceId, groups: [], attributes: {} })).toMatchObject({ allow: true, value: { hold } })
    expect(deviceAfter(device('a'), { kind: 'device-state', id: 'a' as DeviceId, state: 'suspended', hold })).toMatchObject({ allow: true })
    for (const state of ['active', 'pending', 'retired'] as const) expect(deviceAfter(device('a'), { kind: 'device-state', id: 'a' as DeviceId, state, hold })).toMatchObject({ allow: false, reason: 'state-transition' })
  })

  test('is described as a whole: what is not said again is gone', () => {
    const after = deviceAfter(device('a'), { kind: 'device-described', id: 'a' as DeviceId, groups: ['lab' as GroupName], attributes: {} })
    expect(after).toEqual({ allow: true, value: device('a', { groups: ['lab' as GroupName], attributes: {}, revision: 2 }) })
  })
})
