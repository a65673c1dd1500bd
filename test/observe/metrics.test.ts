// What a scrape says, against a broker that real clients use: every number has a cause that is made here.

import { closeSync, existsSync, openSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newTraffic } from '../../src/core/traffic.ts'
import { METRICS } from '../../src/observe/metric-table.ts'
import { openMetrics, type MetricSources } from '../../src/observe/metrics.ts'
import { REASONS } from '../../src/vocabulary.ts'
import { openHouse, type House } from '../broker/house.ts'
import { client, connected, message, tryConnect, connectPacket } from '../broker/wire.ts'

let house: House
const metrics = openMetrics('1.2.3')
beforeAll(async () => {
  house = await openHouse({ onEvent: (event) => metrics.count(event), timing: (what, seconds) => metrics.timed(what, seconds) })
  const sources: MetricSources = {
    traffic: house.traffic, sessions: () => house.broker.sessionCount, devices: () => house.home.view.size.devices, policyGeneration: () => 7,
    audit: () => ({ records: 1, bytes: 2, waiting: 3, writable: true }), sessionStoreOk: () => true, signers: () => [{ ca: 'issuing-1', up: false }],
    auditExports: () => [{ receiver: 'siem', behind: 5 }, { receiver: 'siem', behind: 0 }],
    expiries: () => [{ kind: 'server', name: 'server', notBefore: 0, notAfter: 1_800_000_000_000 }, { kind: 'crl', name: 'crl issuing-1', notBefore: 0, notAfter: 1_700_000_000_000 }],
  }
  metrics.read(sources)
})
afterAll(() => house[Symbol.asyncDispose]())

/** Series of the program's own, without those that are 0. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('sallyport_'))
  return new Map(lines.map((line): [string, number] => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]).filter(([, value]) => value !== 0))
}

/** What has grown while `work` ran. */
async function grown(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
  const before = await scrape()
  await work()
  const after = await scrape()
  return Object.fromEntries([...after].map(([name, value]): [string, number] => [name, value - (before.get(name) ?? 0)]).filter(([, by]) => by !== 0))
}

describe('a scrape', () => {
  test('tells of the process what every process tells, and makes no list of its sockets and timers', async () => {
    const text = await metrics.text()
    expect(text).toMatch(/^process_cpu_seconds_total \d/m)
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m)
    expect(text).not.toContain('nodejs_active_')
  })

  test.skipIf(!existsSync('/proc/self/fd'))('counts open file descriptors (needs /proc)', async () => {
    const open = async (): Promise<number> => Number(/^process_open_fds (\d+)$/m.exec(await metrics.text())?.[1])
    const before = await open()
    const files = Array.from({ length: 200 }, () => openSync('/dev/null', 'r'))
    const meanwhile = await open()
    for (const file of files) closeSync(file)
    // A socket of a test before may close in the same moment.
    expect(meanwhile - before).toBeGreaterThan(150)
  })

  test('counts what a device does, by QoS, and its bytes', async () => {
    const device = await house.device('one')
    const by = await grown(async () => {
      const one = await client(house, device)
      await one.subscribeAsync('t/one/#', { qos: 2 })
      for (const qos of [0, 1, 1, 2, 2, 2] as const) {
        const heard = message(one)
        await one.publishAsync('t/one/x', 'payload', { qos })
        await heard
      }
      await one.endAsync()
      await closed(0)
    })
    expect(by).toMatchObject({
      'sallyport_connections_total': 1, 'sallyport_connects_total{protocol="3.1.1"}': 1,
      'sallyport_messages_received_total{qos="0"}': 1, 'sallyport_messages_received_total{qos="1"}': 2, 'sallyport_messages_received_total{qos="2"}': 3,
      'sallyport_messages_sent_total{qos="0"}': 1, 'sallyport_messages_sent_total{qos="1"}': 2, 'sallyport_messages_sent_total{qos="2"}': 3,
    })
    expect(by['sallyport_received_bytes_total']).toBeGreaterThan(6 * 'payload'.length)
    expect(by['sallyport_sent_bytes_total']).toBeGreaterThan(6 * 'payload'.length)
    expect(by).not.toHaveProperty('sallyport_connections_open')
  })

  test('counts a refusal by step and reason, each of a flood', async () => {
    const device = await house.device('two')
    const by = await grown(async () => {
      for (let i = 0; i < 30; i++) await tryConnect(house, device, connectPacket('somebody-else', 4))
    })
    expect(by).toMatchObject({ 'sallyport_refusals_total{step="connect",reason="client-id-mismatch"}': 30 })
  })

  test('says how long it took until the sessions of a revoked device were closed', async () => {
    const device = await house.device('three')
    await connected(house, device)
    const by = await grown(async () => {
      await house.revoke(device)
      await closed(0)
      await turn()
    })
    expect(by).toMatchObject({ sallyport_revocation_closed_seconds_count: 1, 'sallyport_sessions_ended_total{reason="certificate-revoked"}': 1 })
  })

  test('reads the rest when it is asked', async () => {
    const seen = await scrape()
    expect(Object.fromEntries(seen)).toMatchObject({
      'sallyport_build_info{version="1.2.3"}': 1, sallyport_devices: 3, sallyport_policy_generation: 7, sallyport_audit_records: 1, sallyport_audit_bytes: 2, sallyport_audit_waiting_bytes: 3,
      'sallyport_audit_export_behind_bytes{receiver="siem"}': 5, sallyport_audit_writable: 1, sallyport_session_store_healthy: 1,
      'sallyport_certificate_expiry_timestamp_seconds{certificate="server"}': 1_800_000_000, 'sallyport_crl_next_update_timestamp_seconds{issuer="issuing-1"}': 1_700_000_000,
    })
    expect(seen.has('sallyport_signer_up{ca="issuing-1"}')).toBe(false)
    expect(await metrics.text()).toContain('sallyport_signer_up{ca="issuing-1"} 0')
  })

  test('has as many series for ten thousand devices as for one: nobody who connects makes one', async () => {
    const own = openMetrics('1')
    const events = Object.keys(REASONS).map((reason) => ({ kind: 'refusal', at: 0, step: REASONS[reason as keyof typeof REASONS].step, reason: reason as keyof typeof REASONS }) as const)
    for (const event of events) own.count(event)
    const before = (await own.text()).split('\n').length
    for (let i = 0; i < 10_000; i++) own.count({ ...events[i % events.length]!, device: `d-${i}` as never, clientId: `c-${i}`, source: { address: `10.0.${i >> 8}.${i & 255}`, port: i }, detail: `x${i}` })
    expect((await own.text()).split('\n').length).toBe(before)
  })
})

test('every name keeps the conventions of Prometheus', () => {
  for (const [name, { type, help, labels }] of Object.entries(METRICS)) {
    expect(name, name).toMatch(/^sallyport_[a-z0-9_]+$/)
    expect(name.endsWith('_total'), name).toBe(type === 'counter')
    expect(name, name).not.toMatch(/_(ms|milliseconds|kb|count|sum|bucket)$/)
    expect(help, name).toMatch(/\.$/)
    for (const label of labels) expect(['device', 'client', 'topic', 'address', 'serial']).not.toContain(label)
  }
  expect(newTraffic().opened).toBe(0)
})

/** Until so many connections are open. */
async function closed(open: number): Promise<void> {
  while (house.traffic.opened - house.traffic.closed > open) await turn()
}

