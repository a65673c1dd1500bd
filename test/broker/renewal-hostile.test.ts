// The cases of hostile and unlucky enrollment (E18, E19, E20, E22) again, at the door of renewal over MQTT: with certificates that are over,
// for other names, for either key, with lost answers; and a device that asks a thousand times.

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import type { CertificateState } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import { RENEWAL_LIMITS } from '../../src/renewal-limits.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { statesOf as statesInRegistry } from '../contract/records.ts'
import { altNames, cn, dns, extensionRequest, makeRequest, name } from '../x509/forge.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, publishPacket, subscribe, tryConnect, type Wire } from './wire.ts'

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

const fresh = (): Promise<Identity> => house.device(`e${(number += 1)}`)
const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const renewTopic = (id: string): string => `$device/${id}/certificate/renew`
const statesOf = (id: string): readonly CertificateState[] => statesInRegistry(house.home.registry, id as DeviceId)
const requested = (id: string, csr: string | Uint8Array) => publishPacket(renewTopic(id), typeof csr === 'string' ? csr : Buffer.from(csr), { qos: 1 })

/** A session that hears its answers. */
async function asking(identity: Identity, suffix = ''): Promise<Wire> {
  const wire = await connected(house, identity, { clientId: `${identity.id}${suffix}` })
  await subscribe(wire, `$device/${identity.id}/certificate/#`)
  return wire
}

interface Answer {
  readonly certificate?: string
  readonly serial?: string
  readonly code?: string
}
async function ask(wire: Wire, id: string, csr: string | Uint8Array): Promise<Answer> {
  const before = wire.published().length
  wire.send(requested(id, csr))
  return JSON.parse((await wire.take('publish', () => wire.published().length > before)).payload.toString()) as Answer
}

describe('E18: with a certificate that is over', () => {
  test('revoked: the session ends, what it had sent is not answered with a certificate, and it does not come back', async () => {
    const device = await fresh()
    const wire = await asking(device)
    await house.revoke(device)
    wire.send(requested(device.id, makeCsr(newKey(), device.id)))
    await wire.ended
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(5)
    expect((await house.refused('certificate-revoked')).device).toBe(device.id)
    expect(statesOf(device.id)).toEqual(['revoked'])
  })

  test('revoked while the request is worked on: there is no certificate, or one that is recorded; never one that is not', async () => {
    for (let i = 0; i < 10; i++) {
      const device = await fresh()
      const wire = await asking(device)
      wire.send(requested(device.id, makeCsr(newKey(), device.id)))
      if (i % 2 === 1) await new Promise((resolve) => setImmediate(resolve))
      await house.revoke(device)
      await wire.ended
      const states = statesOf(device.id)
      expect(states[0]).toBe('revoked')
      expect(states.length).toBeLessThanOrEqual(2)
      // What had been decided before stands, and is revoked by the name of the device.
      for (const state of states.slice(1)) expect(['planned', 'issued']).toContain(state)
    }
  })

  test('superseded: who has used the next one does not renew with the old one', async () => {
    const device = await fresh()
    const wire = await asking(device)
    const key = newKey()
    const { certificate = '', serial } = await ask(wire, device.id, makeCsr(key, device.id))
    const next: Identity = { id: device.id, cert: certificate + device.cert.slice(device.cert.indexOf('-----BEGIN', 1)), key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), serial: serial as Identity['serial'] }
    const other = await connected(house, next, { clientId: `${device.id}:next` })
    await wire.ended
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe(5)
    await house.refused('certificate-superseded')
    expect(statesOf(device.id)).toEqual(['superseded', 'active'])
    other.end()
  })

  test('expired: the session ends with it, and the grace of other doors is not this one\'s', async () => {
    const device = await fresh()
    const wire = await asking(device)
    const { notAfter } = house.home.view.certificatesOf(device.id as DeviceId)[0]!
    const before = house.clock()
    house.rest(notAfter - before)
    await wire.ended
    // Nobody who shows it gets as far as MQTT.
    expect(await tryConnect(house, device, connectPacket(device.id, 4))).toBe('closed')
    await house.refused('certificate-expired')
    expect(statesOf(device.id)).toEqual(['active'])
    house.rest(before - house.clock())
  })

  test('another device\'s: its topic is reserved, and nothing is asked in its name', async () => {
    const [device, other] = await Promise.all([fresh(), fresh()])
    const wire = await asking(device)
    wire.send(requested(other.id, makeCsr(newKey(), other.id)))
    await wire.take('puback')
    expect((await house.refused('topic-reserved')).device).toBe(device.id)
    expect([statesOf(device.id), statesOf(other.id)]).toEqual([['active'], ['active']])
    wire.end()
  })
})

test('E19: for other names than those that it has, nothing is renewed; for the same ones it is', async () => {
  const [device, other] = await Promise.all([fresh(), fresh()])
  const wire = await asking(device)
  const requests = [makeRequest(newKey(), { subject: name(cn(other.id)) }), makeRequest(newKey(), { subject: name() }), makeRequest(newKey(), { subject: name(cn(device.id), cn(other.id)) }), makeRequest(newKey(), { subject: name(cn(device.id)), attributes: [extensionRequest(altNames(dns('evil.example')))] })]
  for (const csr of requests) expect((await ask(wire, device.id, csr)).code).toBe('csr-subject-changed')
  expect(statesOf(device.id)).toEqual(['active'])
  expect((await ask(wire, device.id, makeRequest(newKey(), { subject: name(cn(device.id)) }))).certificate).toContain('BEGIN CERTIFICATE')
  wire.end()
})

test('E20: for the key that it has and for a new one, each is another certificate than the one in force', async () => {
  const device = await fresh()
  const wire = await asking(device)
  const same = await ask(wire, device.id, makeCsr(createPrivateKey(device.key), device.id))
  const fresher = await ask(wire, device.id, makeCsr(newKey(), device.id))
  expect(new Set([device.serial, same.serial, fresher.serial]).size).toBe(3)
  expect(statesOf(device.id)).toEqual(['active', 'superseded', 'issued'])
  wire.end()
})

test('E22: nine times the answer is lost with its connection, and asked again it is the same certificate', async () => {
  const device = await fresh()
  const csr = makeCsr(newKey(), device.id)
  for (let i = 1; i < RENEWAL_LIMITS.burst; i++) {
    const wire = await asking(device, `:${i}`)
    wire.send(requested(device.id, csr))
    // Gone before the answer, or just with it.
    wire.socket.destroy()
    await wire.ended
  }
  const wire = await asking(device)
  const { serial } = await ask(wire, device.id, csr)
  expect(statesOf(device.id)).toEqual(['active', 'issued'])
  expect(house.home.view.certificatesOf(device.id as DeviceId).map((record) => record.serial)).toEqual([device.serial, serial])
  wire.end()
})

describe('a device that asks a thousand times', () => {
  test('is given as many as the rate allows, is told so of the rest, and holds two; nobody else waits', async () => {
    const [device, other] = await Promise.all([fresh(), fresh()])
    const [wire, neighbour] = await Promise.all([asking(device), asking(other)])
    const csr = makeCsr(newKey(), device.id)
    const times = 1_000
    for (let i = 0; i < times; i++) wire.send(publishPacket(renewTopic(device.id), i % 2 === 0 ? csr : 'garbage', { qos: 1 }))
    expect((await ask(neighbour, other.id, makeCsr(newKey(), other.id))).certificate).toContain('BEGIN CERTIFICATE')
    for (let i = 0; i < times; i++) await wire.take('puback')
    const codes = wire.published().map(({ payload }) => (JSON.parse(payload.toString()) as Answer).code ?? 'renewed')
    expect(codes.filter((code) => code !== 'renewal-rate').length).toBeLessThanOrEqual(RENEWAL_LIMITS.burst + 1)
    expect(codes.filter((code) => code === 'renewal-rate').length).toBeGreaterThanOrEqual(times - RENEWAL_LIMITS.burst - 1)
    expect(statesOf(device.id)).toEqual(['active', 'issued'])
    for (const each of [wire, neighbour]) each.end()
  }, 60_000)

  test('has its rate back as time goes by, at any door and after a reconnect, and not before', async () => {
    const device = await fresh()
    const wire = await asking(device)
    const csr = makeCsr(newKey(), device.id)
    for (let i = 0; i < RENEWAL_LIMITS.burst; i++) expect((await ask(wire, device.id, csr)).code).toBeUndefined()
    expect((await ask(wire, device.id, csr)).code).toBe('renewal-rate')
    wire.end()
    await wire.ended
    const again = await asking(device)
    expect((await ask(again, device.id, csr)).code).toBe('renewal-rate')
    house.rest(LIFE.day / 24 / 60)
    expect((await ask(again, device.id, csr)).code).toBeUndefined()
    expect((await ask(again, device.id, csr)).code).toBe('renewal-rate')
    again.end()
  })
})
