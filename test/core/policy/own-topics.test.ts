// The topics that a device has to itself, whatever its policy says; and that it has no others below $device/.

import { describe, expect, test } from 'vitest'
import { X509_LIMITS } from '../../../src/limits.ts'
import { grant, grantAndDeny, grantsOf } from './policies.ts'

const NARROW = grantsOf(grant('publish: [a]'))
const WIDE = grantsOf(grant('publish: ["#"], subscribe: ["#"]'))
const FORBIDDEN = grantsOf(grantAndDeny('publish: ["#"]', 'publish: ["#"], subscribe: ["#"], receive: ["#"]'))

describe.each([['narrow', NARROW], ['wide', WIDE], ['forbidding', FORBIDDEN]] as const)('under a %s policy', (_, grants) => {
  test('a device publishes requests on its own topic, and nothing else below $device/', () => {
    expect(grants.publish('$device/d/certificate/renew', 1, false, X509_LIMITS.csrBytesMax).reason).toBe('granted')
    for (const topic of ['$device/e/certificate/renew', '$device/d', '$device/d/', '$device/d/certificate', '$device/d/certificate/renew/', '$device/d/certificate/renew/accepted', '$device/dd/certificate/renew', '$Device/d/certificate/renew', '$SYS/x']) expect(grants.publish(topic, 0, false, 1).reason, topic).toBe('topic-reserved')
  })

  test('a request has QoS 1 at most, is not retained, and not larger than a request', () => {
    const say = (qos: 0 | 1 | 2, retain: boolean, bytes: number) => grants.publish('$device/d/certificate/renew', qos, retain, bytes).reason
    expect([say(2, false, 1), say(0, true, 1), say(0, false, X509_LIMITS.csrBytesMax + 1)]).toEqual(['publish-qos', 'publish-retain', 'publish-size'])
  })

  test('it subscribes to its own topics, with QoS 1 at most, and to nobody else\'s', () => {
    for (const filter of ['$device/d/#', '$device/d/certificate/#', '$device/d/+', '$device/d/certificate/renew/accepted']) expect(grants.subscribe(filter, 2), filter).toMatchObject({ effect: 'allow', grantedQos: 1 })
    expect(grants.subscribe('$device/d/#', 0).grantedQos).toBe(0)
    for (const filter of ['$device/#', '$device/+/#', '$device/+/certificate/renew/accepted', '$device/e/#', '$share/g/$device/d/#', '$device/dd/#']) expect(grants.subscribe(filter, 0).effect, filter).toBe('deny')
  })

  test('it receives what is its own, has no Will there, and no other device\'s', () => {
    expect([grants.mayReceive('$device/d/certificate/renew/accepted'), grants.receive('$device/d/x').reason]).toEqual([true, 'granted'])
    expect([grants.mayReceive('$device/e/certificate/renew/accepted'), grants.receive('$device/e/x').reason]).toEqual([false, 'topic-reserved'])
    expect(grants.will('$device/d/certificate/renew', 0, false, 1).reason).toBe('will-invalid')
  })
})
