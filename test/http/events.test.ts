// The event stream over real TLS: what is told, how it goes on after a break, who is cut off and who may not listen at all (A14).

import { once } from 'node:events'
import { get } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { FeedEvent } from '../../src/core/feed.ts'
import type { DeviceId, TenantId } from '../../src/core/ids.ts'
import { STREAM_LIMITS } from '../../src/feed-limits.ts'
import type { AdminServer } from '../../src/http/admin.ts'
import { openEventStreams } from '../../src/http/event-stream.ts'
import { openEventRing } from '../../src/observe/event-ring.ts'
import { ask, openHouse, type Credential, type House } from './house.ts'

let house: House
let admin: AdminServer
const open = new Set<ClientRequest>()
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
})
afterEach(() => {
  for (const sent of open) sent.destroy()
  open.clear()
})
afterAll(() => house[Symbol.asyncDispose]())

interface Told {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly data: { readonly [name: string]: unknown } | undefined
}

/** A listener that reads as EventSource does: fields of a block, a block to each blank line. */
interface Ear {
  readonly response: IncomingMessage
  readonly told: readonly Told[]
  lastId: string | undefined
  /** The next event that fits, told already or to come; rejects when the stream ends first. */
  next(fits: (told: Told) => boolean): Promise<Told>
  readonly ended: Promise<void>
}

async function listen(query = '', headers: Readonly<Record<string, string>> = {}, credential: Omit<Credential, 'serial'> = house.operator): Promise<Ear> {
  const { port } = new URL(admin.url)
  const sent = get({ hostname: '127.0.0.1', port, path: `/v1/events${query}`, ca: house.root, servername: 'localhost', agent: false, cert: credential.cert, key: credential.key, headers })
  open.add(sent)
  sent.on('error', () => {})
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const told: Told[] = []
  const waiting = new Set<() => void>()
  const ended = Promise.withResolvers<void>()
  let isOver = false
  let text = ''
  const ear: Ear = {
    response, told, lastId: undefined, ended: ended.promise,
    next: (fits) => new Promise((resolve, reject) => {
      const look = (): void => {
        const found = told.find(fits)
        if (found === undefined && !isOver) return
        waiting.delete(look)
        if (found === undefined) reject(new Error(`the stream ended before that: ${JSON.stringify(told.at(-1))}`))
        else resolve(found)
      }
      waiting.add(look)
      look()
    }),
  }
  const wake = (): void => waiting.forEach((look) => look())
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (name: string): string | undefined => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const data = field('data')
      ear.lastId = field('id') ?? ear.lastId
      told.push({ id: field('id'), event: field('event'), data: data === undefined ? undefined : (JSON.parse(data) as Told['data']) })
    }
    wake()
  })
  response.on('error', () => {})
  response.on('close', () => {
    isOver = true
    wake()
    ended.resolve()
  })
  return ear
}
const refuse = (device: string): void => house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'registry', reason: 'device-suspended', device: device as DeviceId })
const detect = (device: string): void => house.home.audit.record({ kind: 'detection', at: Date.now(), device: device as DeviceId, from: 'none', to: 'observe', because: 'x' } satisfies AuditEvent)
const of = (device: string) => ({ data }: Told): boolean => (data?.['device'] as { id?: string } | undefined)?.id === device

describe('what is told', () => {
  test('is a record of the audit log under its number there, at once', async () => {
    const ear = await listen()
    expect(ear.response.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    refuse('told-1')
    const told = await ear.next(of('told-1'))
    const [record] = await house.home.audit.tail(1)
    expect(told).toMatchObject({ event: 'refusal', data: record })
    const { seq, hash } = record!['sallyport'] as { seq: number; hash: string }
    expect(told.id).toBe(`${seq}.${hash.slice(0, 8)}`)
  })
  test('of a change of the registry comes with who made it', async () => {
    const ear = await listen('?kinds=registry')
    await house.desk().addDevice({ id: 'told-2' as DeviceId, groups: [], attributes: {} })
    expect(await ear.next(of('told-2'))).toMatchObject({ event: 'registry', data: { event: { action: 'device-added' }, user: { name: 'local' } } })
  })
  test('is what was asked for: kinds and device, and nothing of the others', async () => {
    const [kinds, device] = [await listen('?kinds=detection,policy'), await listen('?device=only-1')]
    refuse('only-1')
    detect('only-2')
    detect('only-1')
    await kinds.next(of('only-1'))
    await device.next(({ event, ...told }) => event === 'detection' && of('only-1')({ event, ...told }))
    expect(kinds.told.filter(({ data }) => data?.['device'] !== undefined).map(({ event }) => event)).toEqual(['detection', 'detection'])
    expect(device.told.filter(({ data }) => data?.['device'] !== undefined).map(({ event, data }) => [event, (data!['device'] as { id: string }).id])).toEqual([['refusal', 'only-1'], ['detection', 'only-1']])
  })
  test('A09: what a peer has written cannot begin an event of its own', async () => {
    const ear = await listen('?kinds=refusal')
    house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'api', reason: 'request-invalid', detail: 'a\n\nevent: registry\ndata: {"forged":true}\r\u2028', clientId: '\r\nid: 999999', device: 'hostile' as DeviceId })
    await ear.next(of('hostile'))
    refuse('behind-hostile')
    await ear.next(of('behind-hostile'))
    expect(ear.told.filter(({ event }) => event === 'registry')).toEqual([])
    expect(Number.parseInt(ear.lastId ?? '', 10)).toBeLessThan(999_999)
  })
})

describe('after a break', () => {
  test('it goes on behind the last event, with each that was missed, once and in order', async () => {
    const first = await listen()
    refuse('break-1')
    await first.next(of('break-1'))
    first.response.destroy()
    for (const device of ['break-2', 'break-3', 'break-4']) refuse(device)
    const second = await listen('', { 'last-event-id': first.lastId! })
    refuse('break-5')
    await second.next(of('break-5'))
    expect(second.told.flatMap(({ data }) => (data?.['device'] === undefined ? [] : [(data['device'] as { id: string }).id]))).toEqual(['break-2', 'break-3', 'break-4', 'break-5'])
    const ids = second.told.map(({ id }) => Number.parseInt(id ?? '', 10)).filter((id) => !Number.isNaN(id))
    expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => a - b))
  })
  test('the place in the query is for whoever has no such header; the header counts', async () => {
    const head = (await listen()).told[0]?.id ?? (await house.home.audit.tail(1)).map((r) => String((r['sallyport'] as { seq: number }).seq))[0]!
    refuse('place-1')
    const ear = await listen(`?after=${head}`)
    await ear.next(of('place-1'))
    const later = await listen('?after=1', { 'last-event-id': ear.lastId! })
    refuse('place-2')
    await later.next(of('place-2'))
    expect(later.told.some(of('place-1'))).toBe(false)
  })
  test('of another record of the same number it is none of this log: a crash has taken what was told', async () => {
    refuse('taken-1')
    const [number = ''] = ((await (await listen()).next(({ event }) => event === 'ready')).id ?? '').split('.')
    const [ours, theirs] = [await listen('', { 'last-event-id': number }), await listen('', { 'last-event-id': `${number}.00000000` })]
    expect([(await ours.next(({ event }) => event !== undefined)).event, (await theirs.next(({ event }) => event !== undefined)).event]).toEqual(['ready', 'gap'])
    const query = await listen(`?after=${number}.00000000`)
    expect((await query.next(({ event }) => event !== undefined)).event).toBe('gap')
    expect(await ask(admin.url, house.root, { path: `/v1/events?after=${number}.0000000`, credential: house.operator })).toMatchObject({ status: 400 })
  })
  test.each(['99999999', '999999999999999'])('a place that is not known any more, or not yet (%s), is a gap, and said', async (id) => {
    const ear = await listen('', { 'last-event-id': id })
    expect(await ear.next(({ event }) => event === 'gap')).toMatchObject({ data: { after: Number(id), head: expect.any(Number) } })
    refuse(`gap-${id}`)
    await ear.next(of(`gap-${id}`))
  })
  test.each(['-1', '1e3', 'abc', '', '1'.repeat(400), '1.', '1.0000000', '1.0000000g', '.00000000'])('a last event id that is none of ours (%j) is as good as none', async (id) => {
    const ear = await listen('', { 'last-event-id': id })
    expect(await ear.next(({ event }) => event === 'ready' || event === 'gap')).toMatchObject({ event: 'ready' })
  })
})

describe('A14: who may listen', () => {
  test('nobody without a certificate, and no device', async () => {
    expect((await ask(admin.url, house.root, { path: '/v1/events' })).status).toBe(403)
    expect((await ask(admin.url, house.root, { path: '/v1/events', credential: await house.device('ear-1') })).status).toBe(403)
  })
  test('a web page of another origin does not', async () => {
    expect((await ask(admin.url, house.root, { path: '/v1/events', credential: house.operator, headers: { origin: 'https://evil.example' } })).status).toBe(403)
  })
  test.each(['?kinds=everything', '?kinds=', '?kinds=refusal,', '?device=../x', '?after=-1', '?more=1'])('what is not understood is refused: %s', async (query) => {
    const answer = await ask(admin.url, house.root, { path: `/v1/events${query}`, credential: house.operator })
    expect([answer.status, answer.json()['code']]).toEqual([400, query === '?device=../x' ? 'device-id-invalid' : 'request-invalid'])
  })
  test('an operator who is revoked is told so and hears nothing more, within a second; others go on', async () => {
    const second = await house.issue('operator', 'second')
    const [revoked, other] = [await listen('', {}, second), await listen()]
    await revoked.next(({ event }) => event === 'ready')
    const began = performance.now()
    await house.desk().revoke({ serial: second.serial }, 'keyCompromise')
    expect(await revoked.next(({ event }) => event === 'end')).toMatchObject({ data: { because: 'this operator may listen no longer' } })
    await revoked.ended
    expect(performance.now() - began).toBeLessThan(1_000)
    refuse('after-revocation')
    await other.next(of('after-revocation'))
    expect(revoked.told.some(of('after-revocation'))).toBe(false)
  })
})

describe('an operator of a tenant', () => {
  test('hears of the devices of that tenant, and of nothing else', async () => {
    const acme = 'acme' as TenantId
    await house.desk().addDevice({ id: 'of-acme' as DeviceId, groups: [], attributes: {}, tenant: acme })
    await house.desk().addDevice({ id: 'of-us' as DeviceId, groups: [], attributes: {} })
    const [limited, all] = [await listen('', {}, await house.operatorAs('viewer', acme)), await listen()]
    refuse('of-us')
    refuse('of-nobody')
    house.home.audit.record({ kind: 'server-stopped', at: Date.now() })
    refuse('of-acme')
    await Promise.all([limited.next(of('of-acme')), all.next(of('of-acme'))])
    expect(limited.told.filter(({ event }) => event !== 'ready' && event !== undefined).map(({ data }) => data?.['device'])).toEqual([{ id: 'of-acme' }])
    expect(all.told.some(of('of-us'))).toBe(true)
  })
  test('who is revoked, not the certificate but the person, is told so, too', async () => {
    const credential = await house.operatorAs('viewer')
    const ear = await listen('', {}, credential)
    await ear.next(({ event }) => event === 'ready')
    const { items } = await house.desk().operators({ limit: 100 })
    const name = items.find(({ certificates }) => certificates.some(({ serial }) => serial === credential.serial))!.name
    await house.desk().revokeOperator(name)
    expect(await ear.next(({ event }) => event === 'end')).toMatchObject({ data: { because: 'this operator may listen no longer' } })
    await ear.ended
  })
})

describe('A14: many', () => {
  test('two hundred hear the same, and the one beyond what may listen is refused until one goes', async () => {
    const ears = await Promise.all(Array.from({ length: STREAM_LIMITS.listenersPerOperatorMax }, () => listen()))
    const refused = await ask(admin.url, house.root, { path: '/v1/events', credential: house.operator })
    expect([refused.status, refused.json()['code']]).toEqual([429, 'listeners-limit'])
    refuse('crowd')
    await Promise.all(ears.map((ear) => ear.next(of('crowd'))))
    const [first] = ears
    first!.response.destroy()
    await first!.ended
    await expect.poll(async () => (await listen().then(({ response }) => response.statusCode))).toBe(200)
  })
})

describe('A14: a slow reader', () => {
  const event = (id: number): FeedEvent => ({ id, mark: undefined, kind: 'registry', device: undefined, line: JSON.stringify({ id, text: 'x'.repeat(1_000) }) })
  const listening = { operator: 'o', isAllowed: () => true, signal: new AbortController().signal }
  const small = { countMax: 100, bytesMax: 1e9 }
  const view = { onChange: () => () => {} }

  test('costs no more than its bound, is told when it has lagged too far, and others hear everything', async () => {
    const ring = openEventRing(small)
    using streams = openEventStreams({ source: ring, view })
    const [slow, quick] = [streams.open(listening), streams.open(listening)]
    let heard = 0
    quick.on('data', (chunk: Buffer) => {
      heard += chunk.toString().split('event: registry').length - 1
    })
    let most = 0
    for (let id = 1; id <= 1_000; id++) {
      ring.add(event(id))
      most = Math.max(most, slow.readableLength)
      // The quick one has its turn.
      if (id % 20 === 0) await new Promise(setImmediate)
    }
    expect(most).toBeLessThan(STREAM_LIMITS.waitingBytesMax + 2_000)
    await expect.poll(() => heard).toBe(1_000)
    const chunks: string[] = []
    slow.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    await once(slow, 'end')
    expect(chunks.join('')).toMatch(/event: end\ndata: {"because":"the events were read too slowly"}\n\n$/)
    expect(streams.size).toBe(1)
  })
  test('is not what a quick one waits for: of a storm it hears each event once, in order, in few pieces', async () => {
    const ring = openEventRing()
    using streams = openEventStreams({ source: ring, view })
    const chunks: string[] = []
    streams.open(listening).on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    await expect.poll(() => chunks.length).toBe(1)
    for (let id = 1; id <= 40; id++) {
      ring.add(event(id))
      await Promise.resolve()
    }
    const told = (): readonly number[] => [...chunks.join('').matchAll(/^id: (\d+)\nevent: registry/gm)].map(([, id]) => Number(id))
    await expect.poll(() => told()).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
    expect(chunks.length).toBeLessThan(6)
  })
  test('and a crowd of quick ones hold nobody up: a few are written to in each turn', async () => {
    const ring = openEventRing()
    using streams = openEventStreams({ source: ring, view })
    const came = { greeted: 0, heard: 0 }
    for (let n = 0; n < 100; n++) {
      streams.open(listening).on('data', (chunk: Buffer) => {
        came.greeted += Number(chunk.includes('event: ready'))
        came.heard += Number(chunk.includes('event: registry'))
      })
    }
    await expect.poll(() => came.greeted).toBe(100)
    ring.add(event(1))
    let most = 0
    for (let before = 0; came.heard < 100; before = came.heard) {
      await new Promise(setImmediate)
      most = Math.max(most, came.heard - before)
    }
    expect([came.heard, most <= STREAM_LIMITS.listenersPerTurn]).toEqual([100, true])
  })
  test('that is only a little behind misses nothing', async () => {
    const ring = openEventRing(small)
    using streams = openEventStreams({ source: ring, view })
    const slow = streams.open(listening)
    for (let id = 1; id <= 90; id++) ring.add(event(id))
    const text: string[] = []
    slow.on('data', (chunk: Buffer) => text.push(chunk.toString()))
    await expect.poll(() => [...text.join('').matchAll(/^id: (\d+)\nevent: registry/gm)].map(([, id]) => Number(id))).toEqual(Array.from({ length: 90 }, (_, i) => i + 1))
  })
  test('whoever hears nothing of what happens keeps its place by the sign of life', async () => {
    const ring = openEventRing()
    using streams = openEventStreams({ source: ring, view, heartbeatMs: 20 })
    const body = streams.open({ ...listening, kinds: ['policy'] })
    const text: string[] = []
    body.on('data', (chunk: Buffer) => text.push(chunk.toString()))
    ring.add(event(1))
    await expect.poll(() => text.join('')).toContain('id: 1\n\n')
    expect(text.join('')).not.toContain('event: registry')
  })
  test('whose operator has expired is found out by the sign of life', async () => {
    let isAllowed = true
    using streams = openEventStreams({ source: openEventRing(), view, heartbeatMs: 20 })
    const body = streams.open({ ...listening, isAllowed: () => isAllowed })
    body.resume()
    isAllowed = false
    await once(body, 'end')
    expect(body.readableEnded).toBe(true)
  })
})
