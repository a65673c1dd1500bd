// Who is connected, over real sockets: what is said of a connection, pages and filters, and the end of one.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DeviceId, GroupName } from '../src/core/ids.ts'
import { openConnections, type Connections } from '../src/connections.ts'
import { openHouse, type House, type Identity } from './broker/house.ts'
import { connected, subscribe, type Wire } from './broker/wire.ts'

let house: House
let connections: Connections
const identities = new Map<string, Identity>()
const open: Wire[] = []
const OPERATOR = { kind: 'operator', name: 'anna' } as const

beforeAll(async () => {
  house = await openHouse({ websocketOrigins: [] })
  for (const id of ['pump-1', 'pump-2', 'pump-10']) identities.set(id, await house.device(id))
  identities.set('hub', await house.device('hub', 'backend'))
  connections = openConnections({ broker: house.broker, view: house.home.view, audit: { record: (event) => void (house.events as unknown[]).push(event) }, clock: () => house.clock() })
})
afterEach(async () => {
  for (const wire of open.splice(0)) {
    wire.end()
    await wire.ended
  }
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

async function come(id: string, options: Parameters<typeof connected>[2] = {}): Promise<Wire> {
  const wire = await connected(house, identities.get(id)!, options)
  open.push(wire)
  return wire
}
/** What the log says of the end of this connection and no other. */
function ended({ socket }: Wire): ReturnType<House['heard']> {
  const { localPort } = socket
  return house.heard((event) => event.kind === 'connection-closed' && event.source.port === localPort)
}
const devicesOf = async (query: Parameters<Connections['page']>[0] = {}): Promise<readonly string[]> => (await connections.page(query)).items.map(({ device }) => device)

describe('a connection', () => {
  test('is shown with all that is known of it, and what it did', async () => {
    const wire = await come('pump-1', { version: 5 })
    await subscribe(wire, 't/pump-1/#')
    await wire.ping()
    const [shown] = (await connections.page({ device: 'pump-1' as DeviceId })).items
    expect(shown).toMatchObject({
      device: 'pump-1', clientId: 'pump-1', address: '127.0.0.1', port: wire.socket.localPort, listener: 'mqtt', protocol: 5, tls: '1.3', cipher: expect.stringMatching(/^TLS_/),
      kept: false, subscriptions: 1, queued: 0, inFlight: 0, issuer: 'issuing-1', serial: identities.get('pump-1')!.serial, packetsIn: 3,
    })
    expect(shown!.bytesIn).toBeGreaterThan(20)
    expect(shown!.bytesOut).toBeGreaterThan(10)
    expect(Math.abs(shown!.since - house.clock())).toBeLessThan(30_000)
    expect(connections.of('pump-1' as DeviceId)[0]!.filters).toEqual(['t/pump-1/#'])
  })
  test('has another id each time, and is gone with its socket', async () => {
    const first = await come('pump-1')
    const [before] = (await connections.page({})).items
    const over = ended(first)
    first.end()
    await over
    expect(await devicesOf()).toEqual([])
    await come('pump-1')
    expect((await connections.page({})).items[0]!.id).not.toBe(before!.id)
  })
})

describe('pages', () => {
  test('are in the order of ids, show each once, and count all that match', async () => {
    for (const id of ['hub', 'pump-10', 'pump-2', 'pump-1']) await come(id)
    const first = await connections.page({ limit: 3 })
    const second = await connections.page({ limit: 3, after: first.next })
    expect([...first.items, ...second.items].map(({ device }) => device)).toEqual(['hub', 'pump-1', 'pump-10', 'pump-2'])
    expect([first.matched, second.matched, second.next]).toEqual([4, 4, undefined])
    expect((await connections.page({ limit: 4 })).next).toBeUndefined()
    expect(connections.counted()).toEqual({ devices: 4, sessions: 4 })
  })
  test('of one leave nobody out, however small the page', async () => {
    for (const id of ['hub', 'pump-10', 'pump-2', 'pump-1']) await come(id)
    const seen: string[] = []
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page = await connections.page({ limit: 1, after })
      seen.push(...page.items.map(({ device }) => device))
      after = page.next
    }
    expect(seen).toEqual(['hub', 'pump-1', 'pump-10', 'pump-2'])
  })
  test.each([1, 2, 7, 100])('of %s out of many, in whatever order they are walked through, show each once', async (limit) => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `d${String((i * 617) % 1_000).padStart(4, '0')}`)
    const sessions = keys.map((key) => ({ key, device: key, clientId: key, source: { address: '127.0.0.1', port: 1 }, connection: { tls: '1.3' }, held: () => [], detail: () => ({}) }))
    const many = openConnections({ broker: { live: () => sessions as unknown as ReturnType<House['broker']['live']> }, view: house.home.view, audit: { record: () => {} }, clock: () => 0 })
    const seen: string[] = []
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page = await many.page({ limit, after })
      expect(page.matched).toBe(1_000)
      seen.push(...page.items.map(({ device }) => device))
      after = page.next
    }
    expect(seen).toEqual(keys.toSorted())
  })
  test('a filter keeps what fits, and its nearest neighbour out', async () => {
    for (const id of ['hub', 'pump-10', 'pump-1']) await come(id)
    expect(await devicesOf({ device: 'pump-1' as DeviceId })).toEqual(['pump-1'])
    expect(await devicesOf({ group: 'backend' as GroupName })).toEqual(['hub'])
    expect(await devicesOf({ q: 'PUMP-1' })).toEqual(['pump-1', 'pump-10'])
    expect(await devicesOf({ q: 'pump_1' })).toEqual([])
    expect(await devicesOf({ address: '127.0.0.1' })).toHaveLength(3)
    expect(await devicesOf({ address: '127.0.0.2' })).toEqual([])
    expect(await devicesOf({ listener: 'websocket' })).toEqual([])
  })
})

describe('the end of one', () => {
  test('closes that connection and no other, says by whom, and leaves the device what it may', async () => {
    const [wire, other] = [await come('pump-1', { version: 5 }), await come('pump-2')]
    const [shown] = (await connections.page({ device: 'pump-1' as DeviceId })).items
    const over = ended(wire)
    house.forget()
    expect(await connections.end(shown!.id, OPERATOR)).toEqual({ id: shown!.id, device: 'pump-1', clientId: 'pump-1' })
    expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(house.events).toContainEqual(expect.objectContaining({ kind: 'connection-ended', device: 'pump-1', actor: OPERATOR }))
    expect(house.events).toContainEqual(expect.objectContaining({ kind: 'session-closed', device: 'pump-1', reason: 'ended-by-operator' }))
    expect(await over).toMatchObject({ because: 'An operator ended this connection.' })
    expect(other.open).toBe(true)
    await come('pump-1')
    expect(await devicesOf()).toEqual(['pump-1', 'pump-2'])
  })
  test('one that is gone is not found: whoever came back under the same client id is not touched', async () => {
    const wire = await come('pump-1')
    const { id } = (await connections.page({})).items[0]!
    wire.end()
    await wire.ended
    await come('pump-1')
    await expect(connections.end(id, OPERATOR)).rejects.toMatchObject({ reason: 'connection-not-found' })
    expect(await devicesOf()).toEqual(['pump-1'])
  })
  test('fifty operators who end the same one at once end it once', async () => {
    const wire = await come('pump-2')
    const { id } = (await connections.page({})).items[0]!
    house.forget()
    const ends = await Promise.allSettled(Array.from({ length: 50 }, () => connections.end(id, OPERATOR)))
    await wire.ended
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(house.events.filter(({ kind }) => kind === 'session-closed')).toHaveLength(1)
  })
})

describe('how a connection ended stands in the log', () => {
  test('a DISCONNECT is told from a broken line, and how long it was there', async () => {
    const polite = await come('pump-1')
    const politeEnd = ended(polite)
    polite.send({ cmd: 'disconnect' })
    expect(await politeEnd).toMatchObject({ device: 'pump-1', because: 'the client disconnected', source: { address: '127.0.0.1' } })
    const rude = await come('pump-2')
    const rudeEnd = ended(rude)
    rude.socket.destroy()
    expect(await rudeEnd).toMatchObject({ device: 'pump-2', because: 'the connection was lost' })
  })
})
