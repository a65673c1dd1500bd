// What becomes of a retained message whose publisher may not say it any longer: every state of its device, by each of the three
// wishes that a policy may have.

import { describe, expect, test } from 'vitest'
import { DEVICE_STATES, type Device } from '../../src/core/device.ts'
import type { CaName } from '../../src/core/ids.ts'
import { RETAINED_FATES } from '../../src/core/policy/document.ts'
import { grantsFor } from '../../src/core/policy/grants.ts'
import { CERTIFICATE_STATES } from '../../src/core/registry.ts'
import { judgeRetained, type RetainedFacts } from '../../src/core/retained.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { device, planned } from './facts.ts'

const GRANTED = 'publish: [ { topic: t, retain: true } ]'
function facts(changed: Partial<RetainedFacts> = {}, rules = `grants: [ { id: g, to: any, ${GRANTED} } ]`): RetainedFacts {
  const read = readPolicy('policy.yaml', `version: 1\n${rules}\n`, 1)
  if (!('policy' in read)) throw new Error(JSON.stringify(read.problems))
  return {
    message: { topic: 't', qos: 1, payload: new Uint8Array(4) }, fate: 'hide', device: device('d'), record: planned('a', 'd', { state: 'active' }),
    grantsOf: (of: Device) => grantsFor(read.policy, { device: of, ca: 'ca' as CaName, clientId: 'd' }), ...changed,
  }
}

describe('a retained message', () => {
  test.each(DEVICE_STATES)('of a %s device', (state) => {
    const expected = { pending: 'hidden', active: 'shown', suspended: 'hidden', quarantined: 'hidden', retired: 'gone' } as const
    for (const fate of ['hide', 'purge'] as const) expect(judgeRetained(facts({ fate, device: device('d', { state }) }))).toBe(expected[state])
    expect(judgeRetained(facts({ fate: 'keep', device: device('d', { state }) }))).toBe('shown')
  })

  test.each(CERTIFICATE_STATES)('that was said with a %s certificate', (state) => {
    expect(judgeRetained(facts({ record: planned('a', 'd', { state }) }))).toBe(state === 'revoked' ? 'gone' : 'shown')
  })

  test('of a quarantined device is shown where it may say that in quarantine', () => {
    const quarantined = device('d', { state: 'quarantined' })
    const rules = (topic: string): string => `grants: [ { id: g, to: any, ${GRANTED} } ]\nquarantine: { publish: [ { topic: ${topic}, retain: true } ] }`
    expect([judgeRetained(facts({ device: quarantined }, rules('t'))), judgeRetained(facts({ device: quarantined }, rules('u')))]).toEqual(['shown', 'hidden'])
  })

  test('whose grant is gone is gone, also of a device that is suspended besides', () => {
    for (const state of ['active', 'suspended', 'quarantined'] as const) expect(judgeRetained(facts({ device: device('d', { state }) }, 'grants: [ { id: g, to: any, publish: [ t ] } ]'))).toBe('gone')
  })

  test('that was granted as a Will alone is shown', () => {
    expect(judgeRetained(facts({}, 'grants: [ { id: g, to: any, will: [ t ] } ]'))).toBe('shown')
  })

  test('that was granted at a time or in a network is shown at any time and everywhere', () => {
    expect(judgeRetained(facts({}, `grants: [ { id: g, to: any, when: { notAfter: "2020-01-01T00:00:00Z", source: [ 10.0.0.0/8 ] }, ${GRANTED} } ]`))).toBe('shown')
  })

  test('of somebody who is not known is hidden, and never thrown away', () => {
    expect([judgeRetained(facts({ device: undefined })), judgeRetained(facts({ record: undefined }))]).toEqual(['hidden', 'hidden'])
  })

  test('is kept whatever became of its publisher, where the policy says so', () => {
    const worst = { device: undefined, record: planned('a', 'd', { state: 'revoked' }) }
    expect(RETAINED_FATES.map((fate) => judgeRetained(facts({ ...worst, fate })))).toEqual(['hidden', 'shown', 'hidden'])
  })
})
