// The desk over the admin API answers what the desk at hand answers, refuses in the same words, and speaks to nobody but
// the server that it was told to speak to.

import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Desk } from '../../src/core/desk.ts'
import { SallyportError } from '../../src/core/errors.ts'
import type { SerialNumber } from '../../src/core/ids.ts'
import { openAdminClient } from '../../src/http/admin-client.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { device, group, newKey, openHouse, type Credential, type House } from './house.ts'

let house: House
let local: Desk
let remote: Desk
const servers: { close: () => unknown }[] = []
beforeAll(async () => {
  house = await openHouse()
  local = house.desk()
  remote = openAdminClient({ url: (await house.openAdmin()).url, ...house.operator, ca: house.root })
})
afterAll(async () => {
  await remote[Symbol.asyncDispose]()
  for (const server of servers) server.close()
  await house[Symbol.asyncDispose]()
})

async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was done')
}

describe('both desks say the same', () => {
  test('of devices, certificates, CAs, reasons and refusals', async () => {
    const added = await remote.addDevice({ id: device('r-1'), groups: [group('sensors')], attributes: { model: 'k2' } })
    expect(await local.device(device('r-1'))).toMatchObject(added)
    const enrolled = await remote.enroll(device('r-1'), makeCsr(newKey(), 'r-1'))
    expect(await remote.device(device('r-1'))).toEqual(await local.device(device('r-1')))
    expect(await remote.devices({ group: group('sensors'), limit: 1 })).toEqual(await local.devices({ group: group('sensors'), limit: 1 }))
    expect(await remote.certificates({ device: device('r-1') })).toEqual(await local.certificates({ device: device('r-1') }))
    expect(await remote.certificate(enrolled.serial)).toEqual(await local.certificate(enrolled.serial))
    expect(await remote.cas()).toEqual(await local.cas())
    for (const question of [{ device: device('r-1'), publish: 't/r-1/a', qos: 1 as const }, { device: device('r-1'), subscribe: 't/#' }]) expect(await remote.explain(question)).toEqual(await local.explain(question))
    expect(await remote.describeDevice(device('r-1'), { attributes: { model: 'k2' } })).toMatchObject({ attributes: { model: 'k2' } })
    expect(await remote.changeDevice(device('r-1'), 'suspend')).toMatchObject({ state: 'suspended', sessionsClosed: 0 })
    expect(await remote.changeDevice(device('r-1'), 'resume')).toMatchObject({ state: 'active' })
    house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'policy', reason: 'publish-not-granted', device: device('r-1'), topic: 'a' })
    expect(await remote.why(device('r-1'))).toEqual(await local.why(device('r-1')))
    expect(await remote.revoke({ device: device('r-1') }, 'superseded')).toMatchObject({ revoked: [enrolled.serial] })
    expect(await remote.auditTail(3)).toHaveLength(3)
    expect(await remote.auditVerify()).toMatchObject({ intact: true })
  })

  test.each<[string, (desk: Desk) => Promise<unknown>, DenyReason]>([
    ['a device twice', (desk) => desk.addDevice({ id: device('r-1'), groups: [], attributes: {} }), 'device-exists'],
    ['an unknown device', (desk) => desk.device(device('nobody')), 'device-not-found'],
    ['an unknown serial', (desk) => desk.certificate('ffff' as SerialNumber), 'certificate-not-found'],
    ['a bad request', (desk) => desk.enroll(device('r-1'), 'x'), 'csr-malformed'],
    ['the last operator', (desk) => desk.revoke({ serial: house.operator.serial }, 'keyCompromise'), 'last-admin'],
    ['two questions', (desk) => desk.explain({ device: device('r-1') }), 'request-invalid'],
  ])('of %s, in the same words', async (_, ask, reason) => {
    const [here, there] = [await failureOf(ask(local)), await failureOf(ask(remote))]
    expect(there.reason).toBe(reason)
    expect([there.code, there.reason, there.fix, there.message]).toEqual([here.code, here.reason, here.fix, here.message])
  })

  test('many requests at once share a few connections, and all are answered', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => remote.addDevice({ id: device(`many-${i}`), groups: [], attributes: {} })))
    expect(new Set(answers.map((d) => d.id)).size).toBe(100)
  })
})

describe('whom it speaks to', () => {
  const clientFor = (url: string, ca = house.root, credential: Omit<Credential, 'serial'> = house.operator): Desk => openAdminClient({ url, key: credential.key, cert: credential.cert, ca })

  /** A server that writes down whether anything was asked of it. */
  async function falseServer(credential: Omit<Credential, 'serial'>, answer = '{}'): Promise<{ url: string; asked: () => number }> {
    let asked = 0
    const server: Server = createServer({ key: credential.key, cert: credential.cert }, (_, response) => {
      asked += 1
      response.end(answer)
    })
    server.on('tlsClientError', () => {})
    servers.push(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return { url: `https://127.0.0.1:${(server.address() as { port: number }).port}`, asked: () => asked }
  }

  test('a device that plays the server is asked nothing', async () => {
    const impostor = await falseServer(await house.device('impostor'))
    expect(await failureOf(clientFor(impostor.url).cas())).toMatchObject({ code: 'unreachable' })
    expect(impostor.asked()).toBe(0)
  })

  test('the server of another organisation is asked nothing', async () => {
    await using other = await openHouse()
    const { url } = await other.openAdmin()
    expect(await failureOf(clientFor(url).cas())).toMatchObject({ code: 'unreachable' })
  })

  test('a server certificate of ours for another name is asked nothing', async () => {
    const named = await falseServer(await house.issue('server', 'elsewhere'))
    expect(await failureOf(clientFor(named.url).cas())).toMatchObject({ code: 'unreachable', message: expect.stringContaining('ALTNAME') })
    expect(named.asked()).toBe(0)
  })

  test('nobody there is unreachable, with what to do', async () => {
    const server = tls.createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `https://127.0.0.1:${(server.address() as { port: number }).port}`
    await new Promise((resolve) => server.close(resolve))
    expect(await failureOf(clientFor(url).cas())).toMatchObject({ code: 'unreachable', message: expect.stringContaining('ECONNREFUSED'), fix: expect.stringMatching(/\.$/) })
  })

  test('a revoked operator is refused, and told so', async () => {
    const second = await house.issue('operator', 'second')
    const desk = clientFor((await house.openAdmin()).url, house.root, second)
    expect(await desk.cas()).toHaveLength(2)
    await local.revoke({ serial: second.serial }, 'keyCompromise')
    expect(await failureOf(desk.cas())).toMatchObject({ code: 'refused', reason: 'certificate-revoked' })
    await desk[Symbol.asyncDispose]()
  })
})
