// Renewal over the wire, in both versions: a device asks for its next certificate, connects with it, and only then is the old
// one superseded. And what is refused: other devices' topics, other names, garbage, too much.

import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import type { CertificateState } from '../../src/core/registry.ts'
import { X509_LIMITS } from '../../src/limits.ts'
import { RENEWAL_LIMITS } from '../../src/renewal-limits.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { decodePem } from '../../src/x509/pem.ts'
import { statesOf as statesInRegistry } from '../contract/records.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { client, connected, connectPacket, kept, message, publishPacket, subscribe, tryConnect, versions, type Version, type Wire } from './wire.ts'

let house: House
let number = 0
beforeAll(async () => {
  house = await openHouse()
})
afterEach(() => {
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const fresh = (): Promise<Identity> => house.device(`d${(number += 1)}`)
const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const renewTopic = (id: string): string => `$device/${id}/certificate/renew`
const answers = (id: string): string => `$device/${id}/certificate/#`
const statesOf = (id: string): readonly CertificateState[] => statesInRegistry(house.home.registry, id as DeviceId)

/** The newest certificate of the device is in force. */
async function activated(id: string): Promise<void> {
  const isIt = (): boolean => statesOf(id).at(-1) === 'active'
  if (isIt()) return
  await new Promise<void>((resolve) => {
    const stop = house.home.view.onChange(() => {
      if (!isIt()) return
      stop()
      resolve()
    })
  })
}

interface Answer {
  readonly certificate?: string
  readonly chain?: readonly string[]
  readonly serial?: string
  readonly notAfter?: string
  readonly code?: string
  readonly message?: string
  readonly fix?: string
}

async function ask(wire: Wire, id: string, payload: string | Buffer, fields: Parameters<typeof publishPacket>[2] = {}): Promise<Answer & { readonly topic: string }> {
  const before = wire.published().length
  wire.send(publishPacket(renewTopic(id), payload, { qos: 1, ...fields }))
  const answer = await wire.take('publish', () => wire.published().length > before)
  return { topic: answer.topic, ...(JSON.parse(answer.payload.toString()) as Answer) }
}

/** Asks for the next certificate on a session of its own, and is the device with it. */
async function renewed(old: Identity, key = newKey(), version: Version = 4): Promise<Identity> {
  const wire = await connected(house, old, { version, clientId: `${old.id}:asks` })
  await subscribe(wire, answers(old.id))
  const answer = await ask(wire, old.id, makeCsr(key, old.id))
  wire.end()
  await wire.ended
  if (answer.certificate === undefined) throw new Error(`${answer.code}`)
  return { id: old.id, cert: answer.certificate + (answer.chain ?? []).join(''), key: pemOf(key), serial: answer.serial as Identity['serial'] }
}

describe.each(versions)('MQTT %s', (version) => {
  test.each([0, 1] as const)('a device renews with QoS %s, connects with the new certificate, and the old one is refused from then on', async (qos) => {
    const old = await fresh()
    const wire = await connected(house, old, { version })
    expect(await subscribe(wire, answers(old.id))).toEqual([1])
    const key = newKey()
    const answer = await ask(wire, old.id, makeCsr(key, old.id), { qos })
    expect(answer).toMatchObject({ topic: `${renewTopic(old.id)}/accepted`, serial: expect.stringMatching(/^[0-9a-f]{32}$/) })
    expect(Date.parse(answer.notAfter ?? '')).toBeGreaterThan(house.clock())
    expect(statesOf(old.id)).toEqual(['active', 'issued'])
    const next: Identity = { id: old.id, cert: `${answer.certificate}${answer.chain?.join('')}`, key: pemOf(key), serial: answer.serial as Identity['serial'] }
    const second = await connected(house, next, { version, clientId: `${old.id}:new` })
    await activated(old.id)
    // What still runs on the old one is ended, and says why.
    await wire.ended
    expect(await house.heard((event) => event.kind === 'session-closed' && event.device === old.id)).toMatchObject({ reason: 'certificate-superseded' })
    expect(statesOf(old.id)).toEqual(['superseded', 'active'])
    expect(await tryConnect(house, old, connectPacket(old.id, version), { version })).toBe(version === 5 ? 0x87 : 5)
    expect((await house.refused('certificate-superseded')).device).toBe(old.id)
    await second.ping()
    second.end()
  })

  test('as long as the new certificate was not used, the old one works', async () => {
    const old = await fresh()
    await renewed(old, newKey(), version)
    expect(await tryConnect(house, old, connectPacket(old.id, version), { version })).toBe(0)
    expect(statesOf(old.id)).toEqual(['active', 'issued'])
  })

  test('the session of the old certificate is kept, and goes on with the new one', async () => {
    const old = await fresh()
    const wire = await connected(house, old, kept(version))
    await subscribe(wire, `t/${old.id}/kept`)
    const next = await renewed(old, newKey(), version)
    const other = await connected(house, next, { version, clientId: `${old.id}:other` })
    await wire.ended
    other.send(publishPacket(`t/${old.id}/kept`, 'waited', { qos: 1 }))
    await other.take('puback')
    const back = await connected(house, next, kept(version))
    expect(back.connack.sessionPresent).toBe(true)
    expect((await back.take('publish')).payload.toString()).toBe('waited')
    back.end()
    other.end()
  })

  test('MQTT.js renews as any client does', async () => {
    const old = await fresh()
    const device = await client(house, old, { protocolVersion: version })
    await device.subscribeAsync(`${renewTopic(old.id)}/+`, { qos: 1 })
    const heard = message(device)
    await device.publishAsync(renewTopic(old.id), JSON.stringify({ csr: makeCsr(newKey(), old.id) }), { qos: 1 })
    expect((await heard).topic).toBe(`${renewTopic(old.id)}/accepted`)
    await device.endAsync()
  })
})

describe('a request', () => {
  test('is PEM, DER, or JSON that holds PEM: asked again with the same key, the same certificate', async () => {
    const device = await fresh()
    const wire = await connected(house, device)
    await subscribe(wire, answers(device.id))
    const pem = makeCsr(newKey(), device.id)
    const der = decodePem(pem, 'CERTIFICATE REQUEST')
    const serials = []
    for (const payload of [pem, Buffer.from((der.allow ? der.value[0] : undefined) ?? []), JSON.stringify({ csr: pem })]) serials.push((await ask(wire, device.id, payload)).serial)
    expect(new Set(serials).size).toBe(1)
    wire.end()
  })

  test.each<[string, string | Buffer]>([
    ['nothing', ''], ['text', 'renew me'], ['JSON without a csr', '{"key": 1}'], ['JSON that is none', '{"csr": '], ['JSON null', '{"csr": null}'],
    ['DER that ends early', Buffer.from([0x30, 0x82, 0x10, 0x00, 0x30])], ['deep DER', Buffer.from('30'.padEnd(8_000, '80'), 'hex')], ['deep JSON', `{"csr":${'['.repeat(8_000)}`],
  ])('that is %s is rejected, and the session goes on', async (_, payload) => {
    const device = await fresh()
    const wire = await connected(house, device)
    await subscribe(wire, answers(device.id))
    expect(await ask(wire, device.id, payload)).toMatchObject({ topic: `${renewTopic(device.id)}/rejected`, code: 'csr-malformed', message: expect.stringContaining('PKCS#10'), fix: expect.any(String) })
    await house.refused('csr-malformed')
    expect((await ask(wire, device.id, makeCsr(newKey(), device.id))).certificate).toContain('BEGIN CERTIFICATE')
    wire.end()
  })

  test('for another name is rejected', async () => {
    const device = await fresh()
    const wire = await connected(house, device)
    await subscribe(wire, answers(device.id))
    expect((await ask(wire, device.id, makeCsr(newKey(), `${device.id}x`))).code).toBe('csr-subject-changed')
    wire.end()
  })

  test('for the key of another device is rejected', async () => {
    const [one, two] = [await fresh(), await fresh()]
    const key = newKey()
    await renewed(one, key)
    const wire = await connected(house, two)
    await subscribe(wire, answers(two.id))
    expect((await ask(wire, two.id, makeCsr(key, two.id))).code).toBe('key-in-use')
    wire.end()
  })

  test('is answered where MQTT 5 says, when that is a topic of the device itself, with its correlation data', async () => {
    const device = await fresh()
    const wire = await connected(house, device, { version: 5 })
    await subscribe(wire, `$device/${device.id}/#`)
    const say = async (responseTopic: string) => {
      const before = wire.published().length
      wire.send(publishPacket(renewTopic(device.id), makeCsr(newKey(), device.id), { qos: 1, properties: { responseTopic, correlationData: Buffer.from('42') } }))
      return wire.take('publish', () => wire.published().length > before)
    }
    const own = await say(`$device/${device.id}/inbox`)
    expect(own.topic).toBe(`$device/${device.id}/inbox`)
    expect(own.properties?.correlationData?.toString()).toBe('42')
    for (const foreign of ['$device/other/inbox', 'open/inbox', `$device/${device.id}x/inbox`]) expect((await say(foreign)).topic, foreign).toBe(`${renewTopic(device.id)}/accepted`)
    wire.end()
  })
})

describe('nobody else', () => {
  test('publishes to the topic of a device, or hears its answers: neither by its policy nor by the widest', async () => {
    const [victim, backend] = [await fresh(), await house.device('backend-1', 'backend')]
    const spy = await connected(house, backend, { version: 5 })
    const refused = async (topic: string): Promise<number | undefined> => {
      const packet = publishPacket(topic, makeCsr(newKey(), victim.id), { qos: 1 })
      spy.send(packet)
      return (await spy.take('puback', ({ messageId }) => messageId === packet.messageId)).reasonCode
    }
    for (const topic of [renewTopic(victim.id), `${renewTopic(victim.id)}/accepted`, `$device/${backend.id}/other`, '$device/', '$device//certificate/renew']) expect(await refused(topic), topic).toBe(0x87)
    expect(await subscribe(spy, answers(victim.id), '$device/#', '$device/+/certificate/#', `$share/g/${answers(backend.id)}`, '$device/+/certificate/renew/accepted')).toEqual([0x87, 0x87, 0x87, 0x87, 0x87])
    // What it may have is its own, and '#' has no topic that begins with $.
    expect(await subscribe(spy, '#', answers(backend.id))).toEqual([1, 1])
    const next = await renewed(victim)
    expect(next.cert).toContain('BEGIN CERTIFICATE')
    await spy.ping()
    expect(spy.published()).toEqual([])
    spy.end()
  })

  test('its own topic takes no QoS 2, nothing retained, and nothing larger than a request', async () => {
    const device = await fresh()
    const wire = await connected(house, device, { version: 5 })
    await subscribe(wire, answers(device.id))
    wire.send(publishPacket(renewTopic(device.id), makeCsr(newKey(), device.id), { qos: 2 }))
    expect((await wire.take('pubrec')).reasonCode).toBe(0x87)
    for (const [payload, fields] of [[makeCsr(newKey(), device.id), { retain: true }], [Buffer.alloc(X509_LIMITS.csrBytesMax + 1), {}]] as const) {
      wire.send(publishPacket(renewTopic(device.id), payload, { qos: 1, ...fields }))
      expect((await wire.take('puback')).reasonCode).toBe(0x87)
    }
    expect(wire.published()).toEqual([])
    expect(statesOf(device.id)).toEqual(['active'])
    wire.end()
  })
})

describe('what goes wrong on the way', () => {
  test('a device that lost its new key asks again with another: the one that was never used ends, and there are two at most', async () => {
    const device = await fresh()
    const lost = await renewed(device)
    await renewed(device)
    expect(statesOf(device.id)).toEqual(['active', 'superseded', 'issued'])
    expect(await tryConnect(house, lost, connectPacket(device.id, 4))).toBe(5)
    await house.refused('certificate-superseded')
  })

  test('a new certificate that is revoked while it waits does not come in, and supersedes nothing', async () => {
    const device = await fresh()
    const next = await renewed(device)
    await house.revoke(next)
    expect(await tryConnect(house, next, connectPacket(device.id, 4))).toBe(5)
    await house.refused('certificate-revoked')
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(0)
    expect(statesOf(device.id)).toEqual(['active', 'revoked'])
  })

  test('50 requests at once, each with a key of its own: two certificates in force, as many answers as the rate allows, and the last one works', async () => {
    const device = await fresh()
    const wire = await connected(house, device)
    await subscribe(wire, answers(device.id))
    const keys = Array.from({ length: 50 }, newKey)
    wire.send(...keys.map((key) => publishPacket(renewTopic(device.id), makeCsr(key, device.id), { qos: 1 })))
    for (let i = 0; i < 50; i++) await wire.take('puback')
    const heard = wire.published().map(({ topic, payload }) => ({ topic, ...(JSON.parse(payload.toString()) as Answer) }))
    expect(heard.filter(({ certificate }) => certificate !== undefined)).toHaveLength(RENEWAL_LIMITS.burst)
    expect(heard.filter(({ code }) => code === 'renewal-rate')).toHaveLength(50 - RENEWAL_LIMITS.burst)
    expect(statesOf(device.id).filter((state) => state === 'active' || state === 'issued' || state === 'planned')).toEqual(['active', 'issued'])
    const last = heard.findLast(({ certificate }) => certificate !== undefined)!
    const key = keys[RENEWAL_LIMITS.burst - 1]!
    expect(await tryConnect(house, { id: device.id, cert: `${last.certificate}${last.chain?.join('')}`, key: pemOf(key), serial: device.serial }, connectPacket(device.id, 4))).toBe(0)
    await activated(device.id)
    wire.end()
  })

  test('20 connections with the new certificate at once: it is put in force once', async () => {
    const device = await fresh()
    const next = await renewed(device)
    const codes = await Promise.all(Array.from({ length: 20 }, (_, i) => tryConnect(house, next, connectPacket(`${device.id}:${i}`, 4))))
    expect(new Set(codes)).toEqual(new Set([0]))
    await activated(device.id)
    const steps = house.home.registry.changesAfter(0, 10_000).flatMap(({ change }) => (change.kind === 'certificate-state' && [device.serial, next.serial].includes(change.serial) ? [change.state] : []))
    expect(steps).toEqual(['active', 'superseded'])
  })

  test('a device that is quarantined meanwhile gets none', async () => {
    const device = await fresh()
    await house.state(device.id, 'quarantined')
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(5)
    expect(statesOf(device.id)).toEqual(['active'])
  })
})

test('the bytes that were answered are those that are recorded', async () => {
  const device = await fresh()
  const next = await renewed(device)
  const [leaf] = (() => {
    const decoded = decodePem(next.cert, 'CERTIFICATE')
    return decoded.allow ? decoded.value : []
  })()
  expect(house.home.view.certificatesOf(device.id as DeviceId).at(-1)?.sha256).toBe(createHash('sha256').update(leaf ?? '').digest('hex'))
})
