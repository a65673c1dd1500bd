// CONNECT: every rule with its nearest neighbour, which of two broken rules is told, and the edges of client ids, sessions
// and Wills.

import { describe, expect, test } from 'vitest'
import { admit, judgeReturn, judgeStanding, judgeStay, judgeWillStanding, type ConnectFacts, type StayFacts, type WillFacts } from '../../src/core/admission.ts'
import { DEVICE_STATES } from '../../src/core/device.ts'
import type { CaName } from '../../src/core/ids.ts'
import { grantsFor, type Grants } from '../../src/core/policy/grants.ts'
import { CERTIFICATE_STATES, PROFILE_NAMES } from '../../src/core/registry.ts'
import { readPolicy } from '../../src/policy-file.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { detailOf, device, NOW, planned, reasonOf, valueOf } from './facts.ts'

const POLICY = `version: 1
grants:
  - id: sensor
    to: { group: sensors }
    publish: ["t/\${device.id}/#"]
    will: [ { topic: "state/\${device.id}", qos: 1, retain: false, maxBytes: 10 } ]
deny:
  - { id: quiet, to: any, publish: ["state/muted"] }
`

function grants(clientId: string, connect = '', of = device('sensor-7')): Grants {
  const read = readPolicy('policy.yaml', POLICY.replace('    publish:', `${connect}    publish:`), 1)
  if (!('policy' in read)) throw new Error(JSON.stringify(read.problems))
  return grantsFor(read.policy, { device: of, ca: 'issuing-1' as CaName, clientId })
}

const record = planned('a', 'sensor-7', { state: 'active', notBefore: NOW - 10, notAfter: NOW + 10 })
const will = (facts: Partial<WillFacts> = {}): WillFacts => ({ topic: 'state/sensor-7', qos: 0, retain: false, bytes: 0, ...facts })

function facts(changed: Partial<ConnectFacts> = {}, connect = ''): ConnectFacts {
  const clientId = changed.clientId ?? 'sensor-7'
  return {
    now: NOW, record, device: device('sensor-7'), protocol: 5, clientId, clean: true, will: undefined, authenticationMethod: undefined,
    freeClientId: 'sensor-7', grants: grants(clientId === '' ? 'sensor-7' : clientId, connect), otherSessions: 0, withinRate: true, ...changed,
  }
}

describe('standing', () => {
  const standing = (changed: object): DenyReason | 'allowed' => reasonOf(judgeStanding({ now: NOW, record, device: device('sensor-7'), ...changed }))

  test.each(CERTIFICATE_STATES)('a %s certificate', (state) => {
    const expected = { planned: 'certificate-unrecorded', issued: 'allowed', active: 'allowed', superseded: 'certificate-superseded', revoked: 'certificate-revoked' } as const
    expect(standing({ record: { ...record, state } })).toBe(expected[state])
  })

  test.each(PROFILE_NAMES)('a certificate of the profile %s', (profile) => {
    expect(standing({ record: { ...record, profile } })).toBe(profile === 'device' ? 'allowed' : 'certificate-purpose')
  })

  test.each(DEVICE_STATES)('a %s device', (state) => {
    expect(standing({ device: device('sensor-7', { state }) })).toBe(state === 'active' ? 'allowed' : `device-${state}`)
  })

  test('a quarantined device stands where the policy grants it something even so; no other state is helped by that', () => {
    for (const state of DEVICE_STATES) {
      const refused = state === 'active' ? 'allowed' : `device-${state}`
      expect(standing({ device: device('sensor-7', { state }), grants: { empty: true } })).toBe(refused)
      expect(standing({ device: device('sensor-7', { state }), grants: { empty: false } })).toBe(state === 'quarantined' ? 'allowed' : refused)
    }
    expect(standing({ device: device('sensor-7', { state: 'quarantined' }), grants: { empty: false }, record: { ...record, state: 'revoked' } })).toBe('certificate-revoked')
  })

  test('time is judged to the millisecond', () => {
    expect(standing({ now: NOW - 11 })).toBe('certificate-not-yet-valid')
    expect(standing({ now: NOW - 10 })).toBe('allowed')
    expect(standing({ now: NOW + 9 })).toBe('allowed')
    expect(standing({ now: NOW + 10 })).toBe('certificate-expired')
  })

  test('no record, no device, another device', () => {
    expect(standing({ record: undefined })).toBe('certificate-unrecorded')
    expect(standing({ device: undefined })).toBe('device-unknown')
    expect(standing({ device: device('sensor-8') })).toBe('device-name-mismatch')
    const { device: _, ...nobodys } = record
    expect(standing({ record: nobodys })).toBe('device-name-mismatch')
  })

  test('the first failing rule is told: revoked before expired before what the device is', () => {
    const worst = { now: NOW + 10, device: device('sensor-8', { state: 'retired' }) }
    expect(standing({ ...worst, record: { ...record, profile: 'operator', state: 'revoked' } })).toBe('certificate-purpose')
    expect(standing({ ...worst, record: { ...record, state: 'revoked' } })).toBe('certificate-revoked')
    expect(standing({ ...worst, record: { ...record, state: 'superseded' } })).toBe('certificate-superseded')
    expect(standing({ ...worst, record })).toBe('certificate-expired')
    expect(standing({ ...worst, now: NOW })).toBe('device-name-mismatch')
  })

  test('why it was revoked is in the detail', () => {
    expect(detailOf(judgeStanding({ now: NOW, record: { ...record, state: 'revoked', revocationReason: 'keyCompromise' }, device: undefined }))).toBe('keyCompromise')
  })
})

describe('admission', () => {
  test('a device with its own id is admitted, in both protocols', () => {
    for (const protocol of [4, 5] as const) expect(valueOf(admit(facts({ protocol })))).toEqual({ device: device('sensor-7'), clientId: 'sensor-7', clientIdAssigned: false })
  })

  /** Each breaks one rule; they stand in the order in which the rules are asked. */
  const BROKEN: readonly (readonly [string, Partial<ConnectFacts>, DenyReason, Partial<ConnectFacts>])[] = [
    ['MQTT 3.1', { protocol: 3 }, 'protocol-version', { protocol: 4 }],
    ['an unrecorded certificate', { record: undefined }, 'certificate-unrecorded', {}],
    ['too many CONNECTs', { withinRate: false }, 'connect-rate', { withinRate: true }],
    ['enhanced authentication', { authenticationMethod: '' }, 'authentication-method', { authenticationMethod: undefined }],
    ['a client id with a slash', { clientId: 'sensor-7/x' }, 'client-id-invalid', { clientId: 'sensor-7:x' }],
    ['no grant', { grants: grants('sensor-7', '', device('sensor-7', { groups: [] })) }, 'no-grant', {}],
    ['as many sessions as a device may have', { otherSessions: 32 }, 'sessions-limit', { otherSessions: 31 }],
    ['a Will that is not granted', { will: will({ topic: 'state/sensor-8' }) }, 'will-not-granted', { will: will() }],
  ]

  test.each(BROKEN)('%s is refused; its neighbour is admitted', (_, broken, reason, neighbour) => {
    expect(reasonOf(admit(facts(broken)))).toBe(reason)
    expect(reasonOf(admit(facts(neighbour)))).toBe('allowed')
  })

  test('of two broken rules the one that is asked first is told', () => {
    for (const [i, [, first, reason]] of BROKEN.entries()) {
      for (const [, second] of BROKEN.slice(i + 1)) expect(reasonOf(admit(facts({ ...second, ...first })))).toBe(reason)
    }
  })

  test('an authentication method is refused whatever it is called', () => {
    for (const method of ['SCRAM-SHA-256', 'x'.repeat(65_535)]) expect(reasonOf(admit(facts({ authenticationMethod: method })))).toBe('authentication-method')
  })
})

describe('staying', () => {
  const stays = (changed: Partial<StayFacts> = {}): DenyReason | 'allowed' => reasonOf(judgeStay({ now: NOW, record, device: device('sensor-7'), clientId: 'sensor-7', grants: grants('sensor-7'), earlierSessions: 0, ...changed }))
  const two = grants('sensor-7', '    connect: { sessions: 2, clientId: [ "sensor-7" ] }\n')

  test.each<[string, Partial<StayFacts>, DenyReason, Partial<StayFacts>]>([
    ['a certificate that is revoked', { record: { ...record, state: 'revoked' } }, 'certificate-revoked', {}],
    ['a device that is suspended', { device: device('sensor-7', { state: 'suspended' }) }, 'device-suspended', {}],
    ['a device in quarantine that is granted nothing', { device: device('sensor-7', { state: 'quarantined' }), grants: grants('sensor-7', '', device('sensor-7', { groups: [] })) }, 'device-quarantined', { device: device('sensor-7', { state: 'quarantined' }) }],
    ['a device that is granted nothing', { grants: grants('sensor-7', '', device('sensor-7', { groups: [] })) }, 'no-grant', {}],
    ['a client id that is granted no longer', { grants: two, clientId: 'sensor-7:1' }, 'client-id-mismatch', { grants: two }],
    ['as many older sessions as are granted', { grants: two, earlierSessions: 2 }, 'sessions-limit', { grants: two, earlierSessions: 1 }],
  ])('%s ends a session; its neighbour stays', (_, broken, reason, neighbour) => {
    expect([stays(broken), stays(neighbour)]).toEqual([reason, 'allowed'])
  })

  test('older sessions are no matter where their number is not granted', () => expect(stays({ earlierSessions: 31 })).toBe('allowed'))
})

describe('a Will', () => {
  const judged = (willOnKick: 'suppress' | 'publish', changed: Partial<Parameters<typeof judgeWillStanding>[0]> = {}): string => {
    const decision = judgeWillStanding({ now: NOW, record, device: device('sensor-7'), ...changed }, willOnKick)
    return decision.allow ? decision.value.state : decision.reason
  }

  test('of a certificate that has expired since is one like any other, and of a device that is not in force none', () => {
    expect([judged('suppress'), judged('suppress', { now: NOW + 10 })]).toEqual(['active', 'active'])
    expect(judged('suppress', { now: NOW + 10, device: device('sensor-7', { state: 'suspended' }) })).toBe('device-suspended')
  })

  test.each(['suspended', 'retired', 'quarantined'] as const)('of a device that is %s is judged as if it were active, where the policy wants it', (state) => {
    const of = { device: device('sensor-7', { state }) }
    expect([judged('suppress', of), judged('publish', of)]).toEqual([`device-${state}`, 'active'])
  })

  test.each(['revoked', 'superseded'] as const)('of a certificate that is %s, too', (state) => {
    const of = { record: { ...record, state } }
    expect([judged('suppress', of), judged('publish', of)]).toEqual([`certificate-${state}`, 'active'])
  })

  test('in quarantine is judged by what is granted there, where anything is', () => {
    const of = { device: device('sensor-7', { state: 'quarantined' as const }), grants: { empty: false } }
    expect([judged('suppress', of), judged('publish', of)]).toEqual(['quarantined', 'quarantined'])
  })

  test('of who was never in force is none, whatever the policy wants', () => {
    for (const [changed, reason] of [
      [{ record: undefined }, 'certificate-unrecorded'], [{ record: { ...record, device: device('x').id } }, 'device-name-mismatch'], [{ device: device('sensor-7', { state: 'pending' as const }) }, 'device-pending'],
    ] as const) expect(judged('publish', changed)).toBe(reason)
  })
})

describe('coming back', () => {
  const at = (states: readonly (typeof CERTIFICATE_STATES)[number][], changed: object = {}): readonly (typeof record)[] => states.map((state) => ({ ...record, state, ...changed }))

  const back = (...facts: Parameters<typeof judgeReturn>): DenyReason | 'allowed' => reasonOf(judgeReturn(...facts))

  test.each(DEVICE_STATES)('a %s device with a certificate in force', (state) => {
    expect(back(device('sensor-7', { state }), at(['active']), NOW)).toBe(state === 'retired' ? 'device-retired' : 'allowed')
  })
  test('without a certificate in force nobody comes back; with one beside it, everybody does', () => {
    for (const [state, reason] of [['planned', 'certificate-unrecorded'], ['superseded', 'certificate-superseded'], ['revoked', 'certificate-revoked']] as const) {
      expect(back(device('sensor-7'), at([state]), NOW)).toBe(reason)
      expect(back(device('sensor-7'), at([state, 'issued']), NOW)).toBe('allowed')
      expect(back(device('sensor-7'), at(['active', state]), NOW)).toBe('allowed')
    }
    expect(back(device('sensor-7'), [], NOW)).toBe('certificate-unrecorded')
    expect(back(device('sensor-7'), at(['active'], { profile: 'claim' }), NOW)).toBe('certificate-purpose')
    expect(back(device('sensor-7'), at(['active']), NOW + 9)).toBe('allowed')
    expect(back(device('sensor-7'), at(['active']), NOW + 10)).toBe('certificate-expired')
    expect(back(device('sensor-7'), at(['active']), NOW - 11)).toBe('allowed')
  })
})

describe('client ids', () => {
  test.each(['sensor-7', 'sensor-7:1', 'sensor-7:a:b', 'sensor-7:$SYS', 'sensor-7:__proto__', `sensor-7:${'x'.repeat(119)}`])('%j is the device\'s own', (clientId) => {
    expect(valueOf(admit(facts({ clientId }))).clientId).toBe(clientId)
  })

  test.each(['sensor-8', 'sensor-77', 'sensor-7:', 'Sensor-7', 'sensor-7-x', 'sensor-7.x', ':sensor-7', 'sensor-8:sensor-7', 'constructor', '__proto__', 'toString', '$SYS', '${device.id}', "';DROP", '<script>'])('%j is not', (clientId) => {
    expect(reasonOf(admit(facts({ clientId })))).toBe('client-id-mismatch')
  })

  test('a space between words is accepted in a client id that is granted', () => {
    expect(reasonOf(admit(facts({ clientId: 'sensor-7:a b' })))).toBe('allowed')
    expect(reasonOf(admit(facts({ clientId: 'clean retained' })))).toBe('client-id-mismatch')
    expect(reasonOf(admit(facts({ clientId: 'clean retained' }, '    connect: { clientId: ["*"] }\n')))).toBe('allowed')
  })

  test.each(['sensor-7:a/b', 'sensor-7:+', '#', '../sensor-7', 'default/sensor-8/x', 'sensor-7:\0', 'sensor-7:\n', 'sensor-7:a ', ' sensor-7', 'sensor-7\u00A0', 'sensor-7:\u200B', 'sensor-7:\u202E', 'sensor-7:\uD800', 'sensor-7:\uE000', 'sensor-7:\u2028', `sensor-7:${'x'.repeat(120)}`, `sensor-7:${'ä'.repeat(60)}`, 'x'.repeat(65_535)])('%j is not accepted from anybody', (clientId) => {
    expect(reasonOf(admit(facts({ clientId })))).toBe('client-id-invalid')
    // Also where the policy admits every client id.
    expect(reasonOf(admit(facts({ clientId }, '    connect: { clientId: ["*"] }\n')))).toBe('client-id-invalid')
  })

  test('an empty one is given the device id; in 3.1.1 only where no session is kept [MQTT-3.1.3-8]', () => {
    for (const [protocol, clean] of [[5, true], [5, false], [4, true]] as const) {
      expect(valueOf(admit(facts({ protocol, clean, clientId: '' })))).toEqual({ device: device('sensor-7'), clientId: 'sensor-7', clientIdAssigned: true })
    }
    expect(reasonOf(admit(facts({ protocol: 4, clean: false, clientId: '' })))).toBe('client-id-empty')
    expect(reasonOf(admit(facts({ protocol: 4, clean: false })))).toBe('allowed')
  })

  test('an empty one is given the one that is free, and one that is sent is not exchanged for it', () => {
    const freeClientId = 'sensor-7:1f'
    expect(valueOf(admit(facts({ clientId: '', freeClientId })))).toMatchObject({ clientId: freeClientId, clientIdAssigned: true })
    expect(valueOf(admit(facts({ freeClientId })))).toMatchObject({ clientId: 'sensor-7', clientIdAssigned: false })
    expect(reasonOf(admit(facts({ clientId: '', freeClientId: 'sensor-8:1f' })))).toBe('client-id-mismatch')
  })

  test('an assigned one is judged like any other', () => {
    expect(reasonOf(admit(facts({ clientId: '' }, '    connect: { clientId: ["gw-${device.id}"] }\n')))).toBe('client-id-mismatch')
    expect(reasonOf(admit(facts({ clientId: 'gw-sensor-7' }, '    connect: { clientId: ["gw-${device.id}"] }\n')))).toBe('allowed')
  })

  test('the refusal names the rule that asks for another', () => {
    expect(detailOf(admit(facts({ clientId: 'x' }, '    connect: { clientId: ["gw-${device.id}"] }\n')))).toBe('rule sensor')
    expect(detailOf(admit(facts({ clientId: 'x' })))).toBeUndefined()
  })
})

describe('sessions and Wills', () => {
  test('a grant of two sessions admits the second and not the third', () => {
    const two = '    connect: { sessions: 2 }\n'
    expect(reasonOf(admit(facts({ otherSessions: 1 }, two)))).toBe('allowed')
    expect(reasonOf(admit(facts({ otherSessions: 2 }, two)))).toBe('sessions-limit')
    expect(detailOf(admit(facts({ otherSessions: 2 }, two)))).toBe('2 granted')
    expect(reasonOf(admit(facts({ otherSessions: 2 })))).toBe('allowed')
  })

  test.each<[string, Partial<WillFacts>, DenyReason]>([
    ['another topic', { topic: 'state/sensor-8' }, 'will-not-granted'], ['a topic that is granted for publishing only', { topic: 't/sensor-7/x' }, 'will-not-granted'],
    ['a wildcard', { topic: 'state/+' }, 'will-invalid'], ['everything', { topic: '#' }, 'will-invalid'], ['a reserved root', { topic: '$SYS/x' }, 'will-invalid'], ['no topic', { topic: '' }, 'will-invalid'], ['a NUL', { topic: 'state/sensor-7\0' }, 'will-invalid'],
    ['QoS 2', { qos: 2 }, 'publish-qos'], ['retain', { retain: true }, 'publish-retain'], ['eleven bytes', { bytes: 11 }, 'publish-size'],
  ])('a Will with %s is refused', (_, broken, reason) => {
    expect(reasonOf(admit(facts({ will: will(broken) })))).toBe(reason)
  })

  test('a Will at its limits is admitted', () => expect(reasonOf(admit(facts({ will: will({ qos: 1, bytes: 10 }) })))).toBe('allowed'))

  test('what is denied for publishing is denied for a Will', () => {
    const muted = device('muted')
    const decision = admit(facts({ device: muted, record: planned('m', 'muted', { state: 'active' }), clientId: 'muted', grants: grants('muted', '', muted), will: will({ topic: 'state/muted' }) }))
    expect([reasonOf(decision), detailOf(decision)]).toEqual(['publish-denied', 'rule quiet'])
  })
})
