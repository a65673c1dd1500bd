// Messages that are posted without a session: durable when they are answered, known to the detection ladder, bounded as a device is, and forgotten
// with the thread that read them.

import { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_RULES, type Thresholds } from '../../../src/core/detection/rules.ts'
import type { DeviceId } from '../../../src/core/ids.ts'
import { DETECTION_LIMITS } from '../../../src/detection-limits.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import type { Signal } from '../../../src/vocabulary.ts'
import { openDoor, outcome, type Door } from '../../enroll/publish/door.ts'
import { openGate } from '../gated-store.ts'
import { HOUSE_POLICY, type Identity } from '../house.ts'
import { client, connected, kept, message, publishPacket } from '../wire.ts'

const gate = openGate()
let door: Door
let count = 0
const threads: Worker[] = []
beforeAll(async () => {
  door = await openDoor({ wrapStore: gate.wrap }, (start) => {
    const thread = new Worker(new URL('../../../src/enroll/thread.ts', import.meta.url), { workerData: start })
    threads.push(thread)
    return thread
  })
})
afterEach(() => {
  gate.open()
  door.house.detect({ upTo: 'none' })
  door.house.watch.sweep()
  door.house.policy(HOUSE_POLICY)
  door.house.forget()
  door.house.rest()
})
afterAll(() => door[Symbol.asyncDispose]())

const fresh = (group?: string): Promise<Identity> => door.house.device(`p-${++count}`, group)
const never: Thresholds = { observe: Infinity, throttle: Infinity, quarantine: Infinity, suspend: Infinity }
const watchFor = (signal: Signal, thresholds: Partial<Thresholds>): void =>
  door.house.detect({ upTo: 'throttle', thresholds: { ...DEFAULT_RULES.thresholds, ...Object.fromEntries(Object.keys(DEFAULT_RULES.thresholds).map((each) => [each, never])), [signal]: { ...never, ...thresholds } } })

/** A kept session that is away, with this filter. */
async function away(filter: string): Promise<Identity> {
  const backend = await fresh('backend')
  const listener = await client(door.house, backend, { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 } })
  await listener.subscribeAsync(filter, { qos: 1 })
  await listener.endAsync()
  return backend
}
async function backAgain(backend: Identity): Promise<string> {
  const wire = await connected(door.house, backend, kept(5))
  const { payload } = await wire.take('publish')
  wire.end()
  return payload.toString()
}

describe('200', () => {
  test('of QoS 1 comes when the message is stored for a session that is away, and not before', async () => {
    const device = await fresh()
    const backend = await away(`t/${device.id}/a`)
    // For whom it is is known from here on.
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a?qos=1`, { body: 'first' }))).toBe('200')
    expect(await backAgain(backend)).toBe('first')
    gate.close()
    const posted = door.post(device, `/topics/t/${device.id}/a?qos=1`, { body: 'stored' })
    await gate.asked((change) => change.kind === 'published' && change.message.payload.toString() === 'stored')
    expect(await Promise.race([posted.then(outcome), door.post(device, `/topics/t/${device.id}/b`, { body: 'of QoS 0 meanwhile' }).then(() => 'the other one')])).toBe('the other one')
    gate.open()
    expect(outcome(await posted)).toBe('200')
    expect(await backAgain(backend)).toBe('stored')
  })

  test('does not come while the disk does not write: then it is 503, and the message may be stored yet', async () => {
    const device = await fresh()
    const backend = await away(`t/${device.id}/#`)
    gate.close()
    const answer = await door.post(device, `/topics/t/${device.id}/a?qos=1`, { body: 'late' })
    expect([outcome(answer), answer.headers['retry-after']]).toEqual(['503 store-unavailable', '5'])
    expect(await door.house.refused('store-unavailable')).toMatchObject({ device: device.id, topic: `t/${device.id}/a` })
    gate.open()
    expect(await backAgain(backend)).toBe('late')
  })

  test('does not come where a device has no room for another retained message; it is published all the same', async () => {
    const device = await fresh()
    const wire = await connected(door.house, device, { version: 5 })
    for (let i = 0; i < BROKER_LIMITS.retainedMessagesPerDeviceMax; i++) wire.send(publishPacket(`t/${device.id}/r/${i}`, 'x', { retain: true }))
    await wire.ping()
    const listener = await client(door.house, await fresh('backend'), { protocolVersion: 5 })
    await listener.subscribeAsync(`t/${device.id}/more`, { qos: 1 })
    const coming = message(listener, (_, payload) => payload === 'more')
    expect(outcome(await door.post(device, `/topics/t/${device.id}/more?qos=1&retain=true`, { body: 'more' }))).toBe('429 quota-exceeded')
    await coming
    await listener.endAsync(true)
    wire.end()
  }, 60_000)
})

describe('a certificate', () => {
  test('that waits for its first use is put in force by it, and the one before is out, on its open connection as well', async () => {
    const device = await fresh()
    const agent = door.agent(device)
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent }))).toBe('200')
    const next = await door.house.certify(device.id, 'issued')
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent }))).toBe('200')
    expect(outcome(await door.post(next, `/topics/t/${device.id}/a`))).toBe('200')
    expect(await door.house.heard((event) => event.kind === 'session-closed')).toMatchObject({ device: device.id, reason: 'certificate-superseded' })
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('403 certificate-superseded')
    expect(door.house.home.view.certificate(door.house.organisation.issuing.name, next.serial)?.state).toBe('active')
  })

  test('that expires ends its connection within a second, and is told of as that', async () => {
    const device = await fresh()
    const agent = door.agent(device)
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent }))).toBe('200')
    const { notAfter } = door.house.home.view.certificate(door.house.organisation.issuing.name, device.serial)!
    const ahead = notAfter - door.house.clock()
    door.house.rest(ahead)
    await door.house.looked()
    expect(await door.house.heard((event) => event.kind === 'session-closed')).toMatchObject({ device: device.id, reason: 'certificate-expired' })
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('403 certificate-expired')
    door.house.rest(-ahead)
  })
})

describe('conditions of a rule', () => {
  test('are asked of the connection and of the moment', async () => {
    const device = await fresh()
    const rule = (when: string): string => `version: 1\ngrants: [ { id: g, to: any, publish: ["t/#"], when: { ${when} } }, { id: h, to: any, publish: ["h"] } ]\n`
    const agent = door.agent(device)
    const said = async (): Promise<string> => outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent }))
    door.house.policy(rule('source: ["127.0.0.1"], tls: "1.3"'))
    expect(await said()).toBe('200')
    door.house.policy(rule('source: ["10.0.0.0/8"]'))
    expect(await said()).toBe('403 publish-not-granted')
    door.house.policy(rule('tls: "1.2"'))
    expect(await said()).toBe('403 publish-not-granted')
    door.house.policy(rule(`notAfter: "${new Date(door.house.clock() + 60_000).toISOString().replace(/\.\d+Z$/, 'Z')}"`))
    expect(await said()).toBe('200')
    door.house.rest(61_000)
    expect(await said()).toBe('403 publish-not-granted')
    door.house.rest(-61_000)
    expect(await said()).toBe('200')
  })

  test('a client id that is not the device’s own is one that nobody has here', async () => {
    const device = await fresh()
    door.house.policy('version: 1\ngrants: [ { id: g, to: any, connect: { clientId: ["${device.id}:gw"] }, publish: ["t/${clientId}/#"] } ]\n')
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('403 client-id-mismatch')
    door.house.policy('version: 1\ngrants: [ { id: g, to: any, publish: ["t/${clientId}/#"] } ]\n')
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('200')
  })

  test('a device that is quarantined may do here what the policy grants it so', async () => {
    const device = await fresh()
    door.house.policy('version: 1\ngrants: [ { id: g, to: any, publish: ["t/#"] }, { id: q, to: any, publish: ["q/#"], when: { state: quarantined } } ]\n')
    await door.house.state(device.id, 'quarantined')
    expect(outcome(await door.post(device, '/topics/q/a'))).toBe('200')
    expect(outcome(await door.post(device, '/topics/t/a'))).toBe('403 publish-not-granted')
  })
})

describe('the detection ladder', () => {
  test('is told of what is refused here, and not of what is granted', async () => {
    watchFor('denials', { observe: 3 })
    const device = await fresh()
    const agent = door.agent(device)
    for (let i = 0; i < 3; i++) await door.post(device, `/topics/t/${device.id}/a`, { agent })
    for (let i = 0; i < 2; i++) await door.post(device, '/topics/t/other/a', { agent })
    expect(door.house.watch.rungOf(device.id as DeviceId)).toBe('none')
    await door.post(device, '/topics/t/other/a', { agent })
    expect(door.house.watch.rungOf(device.id as DeviceId)).toBe('observe')
  })

  test('slows a device down at both doors together, and no other', async () => {
    const [device, other] = [await fresh(), await fresh()]
    const [agent, otherAgent] = [door.agent(device), door.agent(other)]
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent }))).toBe('200')
    watchFor('denials', { observe: 1, throttle: 2 })
    for (let i = 0; i < 2; i++) await door.post(device, '/topics/t/other/a', { agent })
    expect(door.house.watch.rungOf(device.id as DeviceId)).toBe('throttle')
    const answers: string[] = []
    for (let i = 0; i < 2 * DETECTION_LIMITS.throttledBurst; i++) {
      const answer = await door.post(device, `/topics/t/${device.id}/a`, { agent })
      answers.push(`${outcome(answer)} ${String(answer.headers['retry-after'])}`)
      expect(outcome(await door.post(other, `/topics/t/${other.id}/a`, { agent: otherAgent }))).toBe('200')
    }
    expect(answers[0]).toBe('200 undefined')
    expect(answers).toContain('429 publish-throttled 1')
    expect(answers.filter((said) => said.startsWith('200')).length).toBeLessThanOrEqual(DETECTION_LIMITS.throttledBurst + DETECTION_LIMITS.throttledPerSecond)
  })

  test('notices a certificate that speaks MQTT in one place and HTTPS in another', async () => {
    watchFor('two-places', { observe: 1 })
    const device = await fresh()
    const here = await connected(door.house, device, { version: 5 })
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('200')
    expect(door.house.watch.rungOf(device.id as DeviceId)).toBe('none')
    here.end()
    await here.ended
    const there = await connected(door.house, device, { version: 5, tls: { localAddress: '127.0.0.2' } as never })
    expect(outcome(await door.post(device, `/topics/t/${device.id}/a`))).toBe('200')
    expect(door.house.watch.rungOf(device.id as DeviceId)).toBe('observe')
    there.end()
  })
})

describe('the thread that reads', () => {
  test('takes its connections along when it ends; then the door serves again, and a device has all of its connections', async () => {
    const device = await fresh()
    const said = async (): Promise<string> => outcome(await door.post(device, `/topics/t/${device.id}/a`, { agent: door.agent(device) }).catch(() => ({ status: 0, headers: {}, text: '' })))
    expect(await said()).toBe('200')
    await threads.at(-1)!.terminate()
    await expect.poll(said, { timeout: 20_000 }).toBe('200')
    expect(threads).toHaveLength(2)
    door.house.rest()
    const all = await Promise.all(Array.from({ length: 31 }, said))
    expect(new Set(all)).toEqual(new Set(['200']))
  })
})
