// Which refusals say something about a device, written down by hand: what is not here says nothing.

import { describe, expect, test } from 'vitest'
import { beginningOf, factOfRequest, factsOfConnect, hashOf } from '../../../src/core/detection/signals.ts'
import type { DeviceId } from '../../../src/core/ids.ts'
import { REASONS, type DenyReason } from '../../../src/vocabulary.ts'

const DEVICE = 'sensor-7' as DeviceId
const ALL = Object.keys(REASONS) as DenyReason[]
const registered = (id: DeviceId): boolean => ['sensor-7', 'sensor-8', 'constructor'].includes(id)
const connect = (reason?: DenyReason, clientId = 'sensor-7') => factsOfConnect(DEVICE, reason, clientId, registered).map((fact) => fact.kind)

describe('a request', () => {
  const DENIED = [
    'topic-invalid', 'topic-reserved', 'filter-invalid', 'publish-not-granted', 'publish-denied', 'publish-qos', 'publish-retain', 'publish-size',
    'subscribe-not-granted', 'subscribe-denied', 'share-not-granted',
  ]

  test('that the policy refuses counts; quotas, rates, protocol, certificates and what others publish do not', () => {
    expect(ALL.filter((reason) => factOfRequest(reason, 't') !== undefined)).toEqual(DENIED)
  })

  test('without a topic is none', () => {
    expect(factOfRequest('publish-denied', undefined)).toBeUndefined()
    expect(factOfRequest('publish-denied', '')).toEqual({ kind: 'refused', topic: '' })
  })
})

describe('a CONNECT', () => {
  test('counts when it is admitted, and when it is refused for what it asks', () => {
    expect(connect()).toEqual(['connect'])
    expect(ALL.filter((reason) => connect(reason).length > 0)).toEqual([
      'client-id-mismatch', 'client-id-invalid', 'client-id-empty', 'no-grant', 'sessions-limit', 'will-not-granted', 'will-invalid',
      'protocol-version', 'authentication-method', 'topic-invalid', 'topic-reserved', 'publish-denied', 'publish-qos', 'publish-retain', 'publish-size',
    ])
  })

  test('with the client id of another device that is registered names it, with any suffix', () => {
    expect(factsOfConnect(DEVICE, 'client-id-mismatch', 'sensor-8', registered)).toEqual([{ kind: 'connect' }, { kind: 'named-other', other: 'sensor-8' }])
    expect(connect('client-id-mismatch', 'sensor-8:a:b')).toEqual(['connect', 'named-other'])
    expect(connect('client-id-mismatch', 'constructor')).toEqual(['connect', 'named-other'])
  })

  test.each(['mqttjs_5f3a', 'sensor-9', 'sensor-8/x', '', ':', 'sensor-7', 'sensor-7:', 'x'.repeat(65_535)])('with client id %j names nobody', (clientId) => {
    expect(connect('client-id-mismatch', clientId)).toEqual(['connect'])
  })

  test('that is refused for something else than its client id names nobody', () => {
    expect(connect('no-grant', 'sensor-8')).toEqual(['connect'])
    expect(connect(undefined, 'sensor-8')).toEqual(['connect'])
  })
})

describe('topics', () => {
  test.each([
    ['t/sensor-8/a', 't/sensor-8'], ['t/sensor-8', 't/sensor-8'], ['t', 't'], ['', ''], ['/t/x', '/t'], ['rpc/response/77', 'rpc/response'], ['$share/workers/t/sensor-8/#', 't/sensor-8'],
    ['$share/workers', ''], ['$SYS/broker/load', '$SYS/broker'], ['t/+/a', 't/+'],
  ])('%s begins with %j', (topic, beginning) => {
    expect(beginningOf(topic)).toBe(beginning)
  })

  test('of any length have a short beginning', () => {
    expect(beginningOf('x'.repeat(65_535)).length).toBeLessThanOrEqual(128)
    expect(beginningOf('/'.repeat(65_535))).toBe('/')
  })

  test('spread over the places of a table, differently with another secret', () => {
    const places = (secret: number) => Array.from({ length: 1_000 }, (_, i) => hashOf(`t/sensor-${i}`, secret) % 4_096)
    expect(new Set(places(1)).size).toBeGreaterThan(800)
    expect(places(1)).not.toEqual(places(2))
    expect(places(1)).toEqual(places(1))
  })
})
