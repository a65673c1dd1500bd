// Webhooks over a real home and real HTTPS servers: in order, at least once, over restarts; what does not arrive is seen and can be sent
// again; and one bad receiver is nobody else's trouble.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../src/config.ts'
import type { CaName, DeviceId, SerialNumber } from '../src/core/ids.ts'
import type { WebhookDesk } from '../src/core/webhook-desk.ts'
import { WEBHOOK_LIMITS } from '../src/feed-limits.ts'
import { openHome, type OpenHome } from '../src/home.ts'
import { openWebhooks, type Webhooks, type WebhooksPorts } from '../src/webhook-desk.ts'
import { answering, isSigned, openReceiver, type Received, type Receiver } from './webhooks/receiver.ts'

let folder: string
let home: OpenHome
let webhooks: Webhooks
let desk: WebhookDesk
let receiver: Receiver
let ahead = 0
const warned: string[] = []
const OPERATOR = { kind: 'operator', name: 'anna' } as const
const clock = (): number => Date.now() + ahead

beforeEach(async () => {
  receiver = await openReceiver()
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-hooks-'))
  writeFileSync(path.join(folder, 'ca.pem'), receiver.ca)
  ahead = 0
  warned.length = 0
  await start()
})
afterEach(async () => {
  await stop()
  await receiver[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function start(more: Partial<WebhooksPorts> = {}): Promise<void> {
  home = await openHome(folder, loadConfig(folder, {}))
  webhooks = openWebhooks({
    registry: home.registry, audit: home.audit, folder: path.join(home.paths.local, 'webhooks'), rules: () => ({ allow: ['127.0.0.0/8', '::1'], caFile: path.join(folder, 'ca.pem') }),
    clock, tells: true, chance: () => 0, warn: (_, message) => warned.push(message), ...more,
  })
  desk = webhooks.deskFor(OPERATOR)
}
async function stop(): Promise<void> {
  await webhooks[Symbol.asyncDispose]()
  await home[Symbol.asyncDispose]()
}
const refuse = (device: string): void => home.audit.record({ kind: 'refusal', at: clock(), step: 'registry', reason: 'device-suspended', device: device as DeviceId })
const detect = (device: string): void => home.audit.record({ kind: 'detection', at: clock(), device: device as DeviceId, from: 'none', to: 'observe', because: 'x' })
const of = (device: string) => ({ json }: Received): boolean => (json.data['device'] as { id?: string } | undefined)?.id === device
const devicesOf = (received: readonly Received[]): readonly (string | undefined)[] => received.map(({ json }) => (json.data['device'] as { id?: string } | undefined)?.id)

describe('what is told', () => {
  test('is signed with the secret that was shown once, and is the record of the log', async () => {
    const { secret, webhook } = await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: [] })
    expect(webhook).toMatchObject({ name: 'pager', url: receiver.url, kinds: [], dead: 0 })
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    refuse('a')
    const message = await receiver.next(of('a'))
    expect(isSigned(message, secret)).toBe(true)
    expect(isSigned({ ...message, body: `${message.body} ` }, secret)).toBe(false)
    expect(message.json).toMatchObject({ type: 'refusal.refusal', data: (await home.audit.tail(1))[0] })
    expect(message.id).toBe(`pager_${(message.json.data['sallyport'] as { seq: number }).seq}`)
    expect(JSON.stringify([await desk.webhooks(), await desk.webhookDeliveries('pager'), await home.audit.tail(100)])).not.toContain(secret.slice(6))
  })
  test('is in the order of the log, each once, from the making of the webhook on', async () => {
    refuse('before')
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    const names = Array.from({ length: 60 }, (_, i) => `d${i}`)
    for (const name of names) refuse(name)
    await receiver.next(of('d59'))
    expect(devicesOf(receiver.received)).toEqual(names)
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(receiver.received.length)
  })
  test('is what was asked for, and nothing else', async () => {
    await desk.addWebhook({ name: 'ladder', url: receiver.url, kinds: ['detection', 'policy'] })
    refuse('a')
    detect('b')
    await receiver.next(of('b'))
    expect(receiver.received.map(({ json }) => json.type)).toEqual(['detection.detection'])
    await expect.poll(async () => (await desk.webhooks())[0]!.behind).toBe(0)
  })
})

describe('over a restart', () => {
  test('nothing is lost, whoever was away, and the order stays', async () => {
    receiver.behave(answering(503))
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('a')
    await receiver.next(of('a'))
    await stop()
    receiver.behave(answering(204))
    await start()
    refuse('b')
    await receiver.next(of('b'))
    const taken = receiver.received.slice(receiver.received.findIndex((each) => each === receiver.received.findLast(of('a'))))
    expect(devicesOf(taken)).toEqual(['a', 'b'])
  })
  test('what was told before is not told again', async () => {
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('a')
    await receiver.next(of('a'))
    await expect.poll(async () => (await desk.webhooks())[0]!.behind).toBe(0)
    await stop()
    await start()
    refuse('b')
    await receiver.next(of('b'))
    expect(devicesOf(receiver.received)).toEqual(['a', 'b'])
  })
  test('an audit log that somebody has put in the place of this one is not told from its beginning', async () => {
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    for (const name of ['a', 'b', 'c']) refuse(name)
    await receiver.next(of('c'))
    home.registry.deliveries.move('pager', { number: 1_000_000, offset: 5 })
    await webhooks[Symbol.asyncDispose]()
    home.registry.deliveries.move('pager', { number: 1_000_000, offset: 5 })
    await home[Symbol.asyncDispose]()
    await start()
    await expect.poll(() => warned.join()).toContain('is gone')
    refuse('now')
    await receiver.next(of('now'))
    expect(devicesOf(receiver.received)).toEqual(['a', 'b', 'c', 'now'])
  }, 10_000)
})

describe('a receiver that does not want it', () => {
  test('is offered it five times with the same id and a signature of its own time, then it is given up and the next is told', async () => {
    await stop()
    await start()
    receiver.behave((message, response) => answering(of('bad')(message) ? 422 : 204)(message, response))
    const { secret } = await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('bad')
    await receiver.next(of('bad'))
    await expect.poll(async () => (await desk.webhooks())[0]!.failing).toMatchObject({ because: 'it answered 422' })
    expect(webhooks.attention()).toMatchObject([{ kind: 'webhooks', count: 1, sentence: 'pager takes nothing: it answered 422.' }])
    refuse('good')
    await receiver.next(of('good'))
    expect(devicesOf(receiver.received)).toEqual(['bad', 'bad', 'bad', 'bad', 'bad', 'good'])
    expect(new Set(receiver.received.slice(0, 5).map(({ id }) => id)).size).toBe(1)
    expect(receiver.received.every((message) => isSigned(message, secret))).toBe(true)
    await expect.poll(async () => (await desk.webhookDeliveries('pager')).recent.map(({ outcome }) => outcome)).toEqual(['delivered', 'refused', 'refused', 'refused', 'refused', 'refused'])
    expect((await desk.webhookDeliveries('pager')).dead).toMatchObject([{ attempts: 5, because: 'it answered 422' }])
    expect((await desk.webhooks())[0]).toMatchObject({ dead: 1 })
    expect((await desk.webhooks())[0]!.failing).toBeUndefined()
  }, 30_000)
  test('what was given up can be sent again, over a restart, until it arrives', async () => {
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['policy'] })
    const place = home.registry.deliveries.place('pager')!
    for (const [number, name] of [[7, 'x'], [8, 'y'], [9, 'z']] as const) home.registry.deliveries.bury('pager', { number, line: JSON.stringify({ event: { action: 'refusal' }, device: { id: name } }), at: 1, attempts: 5, because: 'it answered 422' }, place)
    await stop()
    await start()
    receiver.behave((message, response) => answering(of('z')(message) ? 500 : 204)(message, response))
    expect(await desk.retryWebhook('pager', 2)).toEqual({ delivered: 1, left: 2 })
    expect(devicesOf(receiver.received)).toEqual(['y'])
    expect(await desk.retryWebhook('pager')).toEqual({ delivered: 1, left: 1, because: 'it answered 500' })
    receiver.behave(answering(200))
    expect(await desk.retryWebhook('pager')).toEqual({ delivered: 1, left: 0 })
    expect(receiver.received.map(({ id }) => id)).toEqual(['pager_8', 'pager_7', 'pager_9', 'pager_9'])
    expect(await desk.retryWebhook('pager')).toEqual({ delivered: 0, left: 0 })
    await expect(desk.retryWebhook('pager', 2)).rejects.toMatchObject({ reason: 'webhook-not-found', message: expect.stringContaining('pager has no letter 2') as string })
  })
  test('more than are kept push out the oldest', async () => {
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['policy'] })
    const place = home.registry.deliveries.place('pager')!
    for (let number = 1; number <= WEBHOOK_LIMITS.deadMax + 5; number++) home.registry.deliveries.bury('pager', { number, line: '{}', at: 1, attempts: 1, because: 'x' }, place)
    expect(home.registry.deliveries.deadCount('pager')).toBe(WEBHOOK_LIMITS.deadMax)
    expect((await desk.webhookDeliveries('pager')).dead[0]).toMatchObject({ number: 6 })
  })
})

describe('a receiver that is away', () => {
  test('and refuses once when it comes back, as its proxy does that is up before it, is offered the same again', async () => {
    const answers = [503, 503, 503, 503, 404, 204]
    receiver.behave((message, response) => answering(answers.shift() ?? 204)(message, response))
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('a')
    await expect.poll(async () => (await desk.webhookDeliveries('pager')).recent[0]?.outcome, { timeout: 40_000 }).toBe('delivered')
    expect([receiver.received.length, (await desk.webhooks())[0]!.dead]).toEqual([6, 0])
  }, 50_000)
  test('and says for how long, is left alone for as long', async () => {
    receiver.behave((message, response) => answering(429, { 'retry-after': '120' })(message, response))
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    const before = clock()
    refuse('a')
    await expect.poll(async () => ((await desk.webhooks())[0]!.failing?.nextAt ?? 0) - before, { timeout: 10_000 }).toBeGreaterThanOrEqual(120_000)
  })
  test('and much has happened that is not for it, is looked for in it without keeping the server from anything else', async () => {
    await stop()
    await start({ tells: false })
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['detection'] })
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 2_500; i++) home.audit.record({ kind: 'admission', at: clock(), device: `d${i}` as DeviceId, clientId: 'x'.repeat(200), serial: '01' as SerialNumber, issuer: 'issuing-1' as CaName, source: { address: '192.0.2.1', port: 7 }, protocol: 5 })
      await home.audit.flush()
    }
    detect('a')
    await stop()
    // Turns of the event loop while it is looked for: without one nobody else is served.
    let turns = 0
    const found = receiver.next(of('a'))
    const watched = (async () => {
      for (let isOver = false; !isOver; turns += 1) isOver = await Promise.race([found.then(() => true), nextTurn(false)])
    })()
    await start()
    const before = turns
    await watched
    expect(turns - before).toBeGreaterThan(100)
  }, 30_000)

  test('keeps its events for three days, and is told them when it is back', async () => {
    const { port } = receiver
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    await receiver[Symbol.asyncDispose]()
    refuse('a')
    refuse('b')
    await expect.poll(async () => (await desk.webhooks())[0]!.failing?.because, { timeout: 10_000 }).toMatch(/ECONNREFUSED/)
    receiver = await openReceiver(answering(204), port)
    await receiver.next(of('b'))
    expect(devicesOf(receiver.received)).toEqual(['a', 'b'])
  }, 30_000)
  test('older ones are given up, and wait to be sent again', async () => {
    receiver.behave(answering(503))
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('old')
    await receiver.next(of('old'))
    ahead = WEBHOOK_LIMITS.keptMs + 60_000
    await expect.poll(async () => (await desk.webhookDeliveries('pager')).dead, { timeout: 10_000 }).toMatchObject([{ because: 'it answered 503' }])
  }, 30_000)
})

describe('a receiver that is gone for good', () => {
  test('is asked again after an hour and not at once, loses nothing, and the operator is told', async () => {
    receiver.behave(answering(410))
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('a')
    await expect.poll(async () => ((await desk.webhooks())[0]!.failing?.nextAt ?? 0) - clock(), { timeout: 10_000 }).toBeGreaterThan(WEBHOOK_LIMITS.goneMs / 2)
    expect(webhooks.attention()).toMatchObject([{ sentence: 'pager takes nothing: it answered 410: it wants no more messages.' }])
    expect([receiver.received.length, (await desk.webhooks())[0]!.dead]).toEqual([1, 0])
  })
})

describe('one bad receiver', () => {
  test('that never answers keeps no other waiting, nor the end of the server', async () => {
    await using mute = await openReceiver(() => {})
    await desk.addWebhook({ name: 'mute', url: mute.url, kinds: [] })
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    for (const name of ['a', 'b', 'c']) refuse(name)
    await mute.next(() => true)
    await receiver.next(of('c'))
    const began = performance.now()
    await webhooks[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(2_000)
  })
})

describe('what an operator does', () => {
  test('a webhook is made and removed with who did it, and its secret goes with it', async () => {
    await desk.addWebhook({ name: 'pager', url: `${receiver.url}?token=of-the-receiver`, kinds: ['refusal'] })
    expect((await desk.webhooks())[0]!.url).toBe(`${receiver.url}?…`)
    expect(await desk.testWebhook('pager')).toMatchObject({ outcome: 'delivered' })
    const file = path.join(home.paths.local, 'webhooks/pager.secret')
    expect([statSync(file).mode & 0o777, readFileSync(file, 'utf8').startsWith('whsec_')]).toEqual([0o600, true])
    await desk.removeWebhook('pager')
    expect([existsSync(file), await desk.webhooks()]).toEqual([false, []])
    refuse('after')
    await home.audit.flush()
    const records = await home.audit.tail(10)
    expect(records).toContainEqual(expect.objectContaining({ event: expect.objectContaining({ action: 'webhook-added' }), user: { name: 'operator:anna' }, detail: expect.objectContaining({ webhook: 'pager', url: receiver.url }) }))
    expect(records).toContainEqual(expect.objectContaining({ event: expect.objectContaining({ action: 'webhook-removed' }) }))
    expect(JSON.stringify(records)).not.toContain('of-the-receiver')
    expect(receiver.received.map(({ json }) => json.type)).toEqual(['test'])
  })
  test('a test says what became of it, and is beside the line', async () => {
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['policy'] })
    expect(await desk.testWebhook('pager')).toMatchObject({ outcome: 'delivered', status: 204 })
    expect(receiver.received[0]!.json).toMatchObject({ type: 'test', data: { webhook: 'pager' } })
    receiver.behave(answering(500))
    expect(await desk.testWebhook('pager')).toMatchObject({ outcome: 'unavailable', status: 500, because: 'it answered 500' })
    expect((await desk.webhooks())[0]!.failing).toBeUndefined()
  })
  test.each([['http://example.org/', 'webhook-url-invalid'], ['https://10.0.0.1/', 'webhook-address-internal'], ['https://[::ffff:10.0.0.1]/', 'webhook-address-internal'], ['https://0xa9fea9fe/', 'webhook-address-internal']])('%s is refused with %s', async (url, reason) => {
    await expect(desk.addWebhook({ url, kinds: [] })).rejects.toMatchObject({ reason })
    expect(await desk.webhooks()).toEqual([])
  })
  test.each(['../evil', 'a/b', '', '.', 'a'.repeat(65), 'a\0b', '-a'])('%j is no name', async (name) => {
    await expect(desk.addWebhook({ name, url: receiver.url, kinds: [] })).rejects.toMatchObject({ reason: 'request-invalid' })
  })
  test('what is not there is not found', async () => {
    for (const asked of [desk.removeWebhook('x'), desk.testWebhook('x'), desk.webhookDeliveries('x'), desk.retryWebhook('x')]) await expect(asked).rejects.toMatchObject({ reason: 'webhook-not-found' })
  })
  test('of fifty who make one of the same name at once one succeeds, and its secret is the one that signs', async () => {
    const made = await Promise.allSettled(Array.from({ length: 50 }, () => desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })))
    const succeeded = made.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    expect(succeeded).toHaveLength(1)
    expect(made.filter((each) => each.status === 'rejected' && (each.reason as { reason: string }).reason === 'webhook-exists')).toHaveLength(49)
    refuse('a')
    expect(isSigned(await receiver.next(of('a')), succeeded[0]!.secret)).toBe(true)
  })
  test('there are as many as may be, and no more', async () => {
    for (let i = 0; i < WEBHOOK_LIMITS.webhooksMax; i++) await desk.addWebhook({ url: receiver.url, kinds: ['policy'] })
    await expect(desk.addWebhook({ name: 'one-more', url: receiver.url, kinds: [] })).rejects.toMatchObject({ reason: 'webhooks-limit' })
    expect(existsSync(path.join(home.paths.local, 'webhooks/one-more.secret'))).toBe(false)
  })
  test('one whose secret is gone is told nothing, and the others are', async () => {
    await desk.addWebhook({ name: 'broken', url: receiver.url, kinds: [] })
    await desk.addWebhook({ name: 'whole', url: receiver.url, kinds: ['refusal'] })
    rmSync(path.join(home.paths.local, 'webhooks/broken.secret'))
    await stop()
    await start()
    expect(warned.join()).toContain('cannot be told')
    expect((await desk.webhooks()).map(({ name, failing }) => [name, failing?.because])).toEqual([['broken', 'its secret or webhooks.ca cannot be read'], ['whole', undefined]])
    expect(webhooks.attention()).toMatchObject([{ kind: 'webhooks', count: 1, sentence: 'broken takes nothing: its secret or webhooks.ca cannot be read.' }])
    refuse('a')
    expect((await receiver.next(of('a'))).id).toMatch(/^whole_/)
    await desk.removeWebhook('broken')
  })
  test('without a server everything can be looked after, and nothing is told', async () => {
    await stop()
    await start({ tells: false })
    await desk.addWebhook({ name: 'pager', url: receiver.url, kinds: ['refusal'] })
    refuse('a')
    await home.audit.flush()
    expect(await desk.testWebhook('pager')).toMatchObject({ outcome: 'delivered' })
    expect(receiver.received).toHaveLength(1)
    await stop()
    await start()
    await receiver.next(of('a'))
  })
})
