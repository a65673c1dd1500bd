// Who asks is judged when its request is done, and not only when it begins: between the two there may be as long as a body may take. And what
// strangers hold of the port takes nothing from those who work there.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OperatorName } from '../../src/core/ids.ts'
import type { AdminServer } from '../../src/http/admin.ts'
import { HTTP_LIMITS } from '../../src/http-limits.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { ask, device, newKey, openHouse, type Credential, type House } from './house.ts'

let house: House
let admin: AdminServer
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
})
afterAll(() => house[Symbol.asyncDispose]())

async function named(name: string, role: 'operator' | 'admin'): Promise<Credential> {
  const key = newKey()
  const made = await house.desk().addOperator({ name: name as OperatorName, role, csr: makeCsr(key, name) })
  return { cert: made.certificate + made.chain.join(''), key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), serial: made.serial }
}

/** A request whose body is not whole yet; the server has seen its headers, and let them pass. */
async function begun(credential: Credential, path: string, text: string): Promise<{ finish(): Promise<number> }> {
  const { hostname, port } = new URL(admin.url)
  const sent = request({ hostname, port, path, method: 'POST', ca: house.root, servername: 'localhost', agent: false, cert: credential.cert, key: credential.key, headers: { 'content-type': 'application/json', 'content-length': String(text.length), expect: '100-continue' } })
  const go = once(sent, 'continue')
  sent.flushHeaders()
  await go
  return {
    async finish() {
      const answered = once(sent, 'response') as Promise<[IncomingMessage]>
      sent.end(text)
      const [response] = await answered
      response.resume()
      return response.statusCode ?? 0
    },
  }
}

describe('a request that is under way', () => {
  test('is done for an operator who is one still, and for nobody who was', async () => {
    const body = (id: string): string => JSON.stringify({ id })
    const [stays, leaves, sinks] = [await named('stays', 'operator'), await named('leaves', 'operator'), await named('sinks', 'operator')]
    const [one, two, three] = [await begun(stays, '/v1/devices', body('d-1')), await begun(leaves, '/v1/devices', body('d-2')), await begun(sinks, '/v1/devices', body('d-3'))]
    await house.desk().revokeOperator('leaves' as OperatorName)
    await house.desk().changeOperatorRole('sinks' as OperatorName, 'viewer')
    expect([await one.finish(), await two.finish(), await three.finish()]).toEqual([201, 403, 403])
    expect(['d-1', 'd-2', 'd-3'].map((id) => house.home.registry.device(device(id))?.id)).toEqual(['d-1', undefined, undefined])
  })
})

describe('the certificate of an operator', () => {
  test('is revoked by an admin, and not by somebody who works on devices', async () => {
    const [admins, operators] = [await named('chief', 'admin'), await named('hand', 'operator')]
    const sensor = await house.device('sensor-1')
    const revoking = async (who: Credential, serial: string): Promise<unknown> => {
      const answer = await ask(admin.url, house.root, { method: 'POST', path: '/v1/revocations', credential: who, body: JSON.stringify({ serial, reason: 'superseded' }) })
      return answer.status === 200 ? 200 : answer.json()['code']
    }
    const server = house.home.registry.certificates({ limit: 100, profile: 'server' }).items[0]
    expect(await revoking(operators, admins.serial)).toBe('role-insufficient')
    expect(await revoking(operators, String(server?.serial))).toBe('role-insufficient')
    expect(await revoking(operators, sensor.serial)).toBe(200)
    expect(await revoking(admins, operators.serial)).toBe(200)
  })
})

test('of six admins who end each other in every way at once one is left who can do everything, and whoever was ended can do nothing', { timeout: 60_000 }, async () => {
  await using alone = await openHouse()
  const { url } = await alone.openAdmin()
  const post = async (who: Credential, path: string, body: unknown): Promise<string> => {
    const answer = await ask(url, alone.root, { method: 'POST', path, credential: who, body: JSON.stringify(body) })
    return answer.status < 300 ? 'done' : String(answer.json()['code'])
  }
  const people = [{ name: 'operator', credential: alone.operator }]
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    const key = newKey()
    const made = await alone.desk().addOperator({ name: name as OperatorName, role: 'admin', csr: makeCsr(key, name) })
    people.push({ name, credential: { cert: made.certificate + made.chain.join(''), key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), serial: made.serial } })
  }
  await Promise.all(people.flatMap(({ credential: by }) => people.flatMap(({ name, credential: { serial } }) => [
    post(by, `/v1/operators/${name}/revoke`, {}), post(by, `/v1/operators/${name}/role`, { role: 'viewer' }), post(by, '/v1/revocations', { serial, reason: 'superseded' }),
  ])))
  const can = await Promise.all(people.map(async ({ name, credential }) => ({ name, outcome: await post(credential, '/v1/operators', { name: `by-${name}`, role: 'viewer', csr: makeCsr(newKey(), '') }) })))
  const full = (await alone.desk().operators({})).items.filter(({ role, revokedAt, certificates }) => role === 'admin' && revokedAt === undefined && certificates.length > 0).map(({ name }) => String(name))
  expect(full.length).toBeGreaterThan(0)
  expect(can.filter(({ outcome }) => outcome === 'done').map(({ name }) => name).toSorted()).toEqual(full.toSorted())
  expect(await alone.desk().auditVerify()).toMatchObject({ intact: true })
})

describe('when all connections are taken', () => {
  const begin = async (who?: Credential): Promise<tls.TLSSocket> => {
    const { hostname, port } = new URL(admin.url)
    const socket = tls.connect({ host: hostname, port: Number(port), ca: house.root, servername: 'localhost', ...(who === undefined ? {} : { cert: who.cert, key: who.key }) })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    return socket
  }
  /** Asks something, and waits for the whole answer. */
  async function asks(socket: tls.TLSSocket, host = 'localhost'): Promise<void> {
    let heard = ''
    const whole = new Promise<void>((resolve) => socket.on('data', function hear(chunk: Buffer) {
      heard += chunk.toString()
      if (!heard.endsWith('}')) return
      // One that is not read does not learn of its end.
      socket.off('data', hear).resume()
      resolve()
    }))
    socket.write(`GET /v1/status HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    await whole
  }
  const served = async (): Promise<number> => (await ask(admin.url, house.root, { credential: house.operator })).status

  test('by strangers, who may connect as well, an operator is served all the same, again and again', { timeout: 60_000 }, async () => {
    const strangers: tls.TLSSocket[] = []
    for (let i = 0; i < HTTP_LIMITS.connectionsMax + 1; i++) strangers.push(await begin())
    for (let i = 0; i < 5; i++) expect(await served()).toBe(200)
    for (const socket of strangers) socket.destroy()
  })

  test('by one operator who asks nothing, another one is served: the one that was quiet longest ends, and none on which something is under way', { timeout: 60_000 }, async () => {
    const viewer = await house.operatorAs('viewer')
    const under = await begun(house.operator, '/v1/devices', JSON.stringify({ id: 'under-way' }))
    const own: tls.TLSSocket[] = []
    for (let i = 1; i < HTTP_LIMITS.connectionsMax; i++) {
      const socket = await begin(viewer)
      await asks(socket)
      own.push(socket)
    }
    const [first, second, third] = own as [tls.TLSSocket, tls.TLSSocket, tls.TLSSocket]
    // Who asks keeps its place; who is refused has not asked.
    await asks(first)
    await asks(second, 'evil.example')
    const quietest = once(second, 'close')
    const next = await begin(viewer)
    await quietest
    await asks(first)
    await asks(third)
    expect(await served()).toBe(200)
    expect(await under.finish()).toBe(201)
    for (const socket of [...own, next]) socket.destroy()
  })
})
