// Load that piles up: exchanges that are never ended, messages that nobody fetches, a reader that has stopped reading. The
// memory of the server is bounded, and the others do not notice. Every bound that is asserted is stated here.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { inParallel, type Identity } from '../../device-sim/identities.ts'
import { within } from '../../device-sim/within.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { openAccount } from './account.ts'
import { setting } from './chance.ts'
import { Hearer } from './hearer.ts'
import { openLine, type Line } from './line.ts'
import { payloadOf, Speaker } from './speaker.ts'
import { Stage } from './stage.ts'

const MiB = 1_048_576
/**
 * How much the resident memory may grow under each load. Far above what is kept at any time, for V8 takes room before it
 * clears away; far below what would pile up without a bound.
 */
const HALF_OPEN_GROWTH_BYTES = 128 * MiB
// What waits is bounded at 16 MiB. The rest is found by running: 71 to 277 MiB with 100,000 messages, 356 with 300,000, 325 with
// 500,000. That it does not go on growing with their number was seen, and is why this is a bound; why it is so much is not known.
const QUEUED_GROWTH_BYTES = 384 * MiB
const STALLED_GROWTH_BYTES = 192 * MiB

/** The resident memory while it is watched; `growth` ends the watch and says how far it rose. */
function watchMemory(stage: Stage): Disposable & { readonly growth: () => number } {
  const before = stage.residentBytes
  let highest = before
  const look = (): void => void (highest = Math.max(highest, stage.residentBytes))
  const timer = setInterval(look, 50)
  return {
    growth() {
      clearInterval(timer)
      look()
      return highest - before
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

const inMiB = (bytes: number): string => `${(bytes / MiB).toFixed(0)} MiB`

/** A client that leaves its exchanges of QoS 2 half open. */
async function openHalfWay(stage: Stage, identity: Identity, clientId: string): Promise<{ readonly line: Line; readonly receiveMaximum: number; readonly received: Set<number>; readonly completed: Set<number>; readonly until: (holds: () => boolean) => Promise<boolean> }> {
  const received = new Set<number>()
  const completed = new Set<number>()
  let wake = (): void => {}
  const line = await openLine({
    target: stage.target, credentials: identity, clientId, version: 5, clean: false,
    onPacket: (packet) => {
      if (packet.cmd === 'pubrec' && (packet.reasonCode ?? 0) < 0x80) received.add(packet.messageId ?? 0)
      if (packet.cmd === 'pubcomp') completed.add(packet.messageId ?? 0)
      wake()
    },
  })
  const until = async (holds: () => boolean): Promise<boolean> => (await within(new Promise<true>((resolve) => {
    wake = () => void (holds() && resolve(true))
    wake()
  }), 60_000)) === true
  return { line, receiveMaximum: line.connack.properties?.receiveMaximum ?? 65_535, received, completed, until }
}

const HALF_OPEN = 10_000
const HALF_OPEN_PAYLOAD_BYTES = 1_024
const CLIENTS_PER_DEVICE = 20

test('10,000 half-open QoS 2: memory is bounded, one more than the Receive Maximum is 0x93, and all can be ended after a restart', async () => {
  await using stage = new Stage()
  await stage.start()
  const clients = Math.ceil(HALF_OPEN / BROKER_LIMITS.receiveMaximum)
  const devices = await stage.identities('half', Math.ceil(clients / CLIENTS_PER_DEVICE), 'sensors')
  const names = Array.from({ length: clients }, (_, i) => ({ identity: devices[Math.floor(i / CLIENTS_PER_DEVICE)]!, clientId: `${devices[Math.floor(i / CLIENTS_PER_DEVICE)]!.id}:${i}` }))
  const open = await inParallel(names, 8, ({ identity, clientId }) => openHalfWay(stage, identity, clientId))
  const size = open[0]?.receiveMaximum ?? 0
  expect(size).toBe(BROKER_LIMITS.receiveMaximum)
  using memory = watchMemory(stage)
  const publish = (i: number, messageId: number): void => open[i]!.line.send({ cmd: 'publish', topic: `t/${names[i]!.identity.id}/x`, payload: payloadOf(messageId, HALF_OPEN_PAYLOAD_BYTES), qos: 2, dup: false, retain: false, messageId })
  for (let i = 0; i < clients; i++) for (let id = 1; id <= size; id++) publish(i, id)
  const received = await Promise.all(open.map((client) => client.until(() => client.received.size === size)))
  expect(received.every(Boolean), `PUBREC for all: ${open.reduce((sum, client) => sum + client.received.size, 0)}`).toBe(true)
  const growth = memory.growth()
  console.log(`half-open: ${clients * size} exchanges, memory grew by ${inMiB(growth)}`)
  expect(growth).toBeLessThan(HALF_OPEN_GROWTH_BYTES)

  publish(0, size + 1)
  expect((await within(open[0]!.line.closed, 10_000))?.reasonCode, 'the DISCONNECT for one exchange too many').toBe(0x93)

  await stage.stop('SIGKILL')
  await stage.start()
  const back = await inParallel(names, 8, ({ identity, clientId }) => openHalfWay(stage, identity, clientId))
  expect(back.filter((client) => !client.line.connack.sessionPresent).length, 'kept sessions that are gone').toBe(0)
  for (const client of back) for (let id = 1; id <= size; id++) client.line.send({ cmd: 'pubrel', messageId: id })
  const completed = await Promise.all(back.map((client) => client.until(() => client.completed.size === size)))
  expect(completed.every(Boolean)).toBe(true)
  for (const client of back) client.line.cut()
})

const QUEUED = 100_000
const QUEUED_PAYLOAD_BYTES = 128

test('100,000 messages for somebody who is away: all acknowledged, memory bounded, the newest are kept in order, the loss is said', async () => {
  await using stage = new Stage()
  await stage.start()
  const [sensors, backend] = await Promise.all([stage.identities('speaker', 4, 'sensors'), stage.identity('away', 'backend')])
  const account = openAccount([backend.id])
  const away = new Hearer({ identity: backend, clientId: backend.id, version: 5, filters: ['t/#'], account })
  await away.connect(stage.target)
  await away.end()
  using memory = watchMemory(stage)
  const each = QUEUED / sensors.length
  const speakers = sensors.map((identity, i) => new Speaker({ identity, clientId: identity.id, version: i % 2 === 0 ? 4 : 5, qos: 1, topics: [`t/${identity.id}/a`], windowMax: BROKER_LIMITS.receiveMaximum, payloadBytes: QUEUED_PAYLOAD_BYTES, account }))
  const since = performance.now()
  await Promise.all(speakers.map(async (speaker) => {
    await speaker.connect(stage.target)
    let said = 0
    while (said < each) {
      const before = speaker.underWay
      speaker.speak(each - said)
      said += speaker.underWay - before
      if (!speaker.open) throw new Error(`${speaker.name} lost its connection`)
      const acknowledged = speaker.acknowledged
      await speaker.until(() => speaker.acknowledged > acknowledged || speaker.underWay === 0)
    }
    await speaker.settled()
  }))
  const seconds = (performance.now() - since) / 1_000
  const growth = memory.growth()
  console.log(`queued: ${QUEUED} acknowledged in ${seconds.toFixed(1)} s, memory grew by ${inMiB(growth)}`)
  expect(account.totals.acknowledged).toBe(QUEUED)
  expect(growth).toBeLessThan(QUEUED_GROWTH_BYTES)

  const { queueMessagesMax } = BROKER_LIMITS
  await away.connect(stage.target)
  // The newest of every stream come last: when they are there, so is everything before them.
  const newest = sensors.map(({ id }) => `t/${id}/a ${each}`)
  await within(away.until(() => newest.every((name) => !account.owed(backend.id).has(name))), 30_000)
  const kept = QUEUED - account.owed(backend.id).size
  expect(account.faults).toEqual([])
  expect(kept, 'messages that were kept').toBeLessThanOrEqual(queueMessagesMax)
  expect(kept, 'messages that were kept').toBeGreaterThanOrEqual(queueMessagesMax * 0.9)
  // The oldest went: of every stream, what is missing lies before what came.
  for (const { id } of sensors) {
    const lost = Array.from({ length: each }, (_, i) => i + 1).filter((number) => account.owed(backend.id).has(`t/${id}/a ${number}`))
    expect(lost.length, `t/${id}/a: the lost ones are the first`).toBe(Math.max(0, ...lost))
  }
  // An orderly end writes what the audit log has not written yet.
  expect(await stage.stop('SIGTERM')).toBe(EXIT.ok)
  expect(droppedOf(stage, backend.id), 'lost messages that the audit log tells of').toBe(QUEUED - kept)
}, 300_000)

/** How many messages this device has lost to the bound of its queue, as data/audit.ndjson says. */
function droppedOf(stage: Stage, device: string): number {
  const records = readFileSync(path.join(stage.data, 'audit.ndjson'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { readonly event: { readonly action: string }; readonly device?: { readonly id: string }; readonly detail?: { readonly count?: number } })
  return records.reduce((sum, { event, device: of, detail }) => sum + (event.action === 'messages-dropped' && of?.id === device ? (detail?.count ?? 0) : 0), 0)
}

const SUBSCRIBERS = setting('SUBSCRIBERS', 1_000)
const SUBSCRIBERS_PER_DEVICE = 25
const REPEATS = 5
const PHASE_MS = 4_000
const PROBES_PER_SECOND = 100
/** Late ones of a phase are still waited for. */
const LATE_MS = 500
/** The stalled one has so much more coming that every buffer on its way is full within a phase. */
const HOSE_PAYLOAD_BYTES = 65_536
const HOSE_PER_SECOND = 64
/** Below this a ratio says more of the machine than of the server. */
const P99_FLOOR_MS = 10
const RATIO_MAX = 2

test('one stalled subscriber of many: memory is bounded, and the p99 of the others stays within twice the calm one', { timeout: 300_000 }, async () => {
  await using stage = new Stage()
  await stage.start()
  const groups = Math.ceil(SUBSCRIBERS / SUBSCRIBERS_PER_DEVICE)
  const [backends, [probe, hose], stalling] = await Promise.all([stage.identities('crowd', groups, 'backend'), stage.identities('mouth', 2, 'sensors'), stage.identity('stalled', 'backend')])
  if (probe === undefined || hose === undefined) throw new Error('two sensors were asked for')
  let latencies: number[] = []
  let lost = 0
  const crowd = await inParallel(Array.from({ length: SUBSCRIBERS - 1 }, (_, i) => i), 16, async (i) => {
    const group = Math.floor(i / SUBSCRIBERS_PER_DEVICE)
    const identity = backends[group]!
    return subscriber(stage, identity, `${identity.id}:${i}`, [`t/${probe.id}/${group}`], (payload) => void latencies.push(performance.now() - Number(payload)))
  })
  for (const line of crowd) void line.closed.then(() => void (lost += 1))
  const mouths = await Promise.all([probe, hose].map((identity) => openLine({ target: stage.target, credentials: identity, clientId: identity.id, version: 5, clean: true, onPacket: () => {} })))
  const send = (i: 0 | 1, topic: string, payload: string | Buffer): void => mouths[i]!.send({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false })
  const water = Buffer.alloc(HOSE_PAYLOAD_BYTES, 0x77)
  let hosed = 0
  const hosing = setInterval(() => {
    send(1, `t/${hose.id}/x`, water)
    hosed += 1
  }, 1_000 / HOSE_PER_SECOND)
  using memory = watchMemory(stage)

  /** The p99 of everybody's latencies in one phase, while the one who hears all this and the hose reads, or has stopped. */
  const phase = async (stalled: boolean): Promise<number> => {
    let drops = 0
    const ear = await subscriber(stage, stalling, stalling.id, [`t/${probe.id}/#`, `t/${hose.id}/#`], (payload) => void (drops += payload === '' ? 1 : 0))
    const hosedBefore = hosed
    if (stalled) ear.pause()
    latencies = []
    const probes = (PHASE_MS / 1_000) * PROBES_PER_SECOND
    // Every group gets as many.
    const rounds = Math.ceil(probes / (groups - 1)) * (groups - 1)
    for (let i = 0; i < rounds; i++) {
      send(0, `t/${probe.id}/${i % (groups - 1)}`, `${performance.now()}`)
      await delay(1_000 / PROBES_PER_SECOND)
    }
    await delay(LATE_MS)
    const heard = latencies.toSorted((a, b) => a - b)
    expect(heard.length / (rounds * SUBSCRIBERS_PER_DEVICE), 'of all deliveries that should have come').toBeGreaterThan(0.99)
    const coming = hosed - hosedBefore
    ear.resume()
    await delay(LATE_MS)
    ear.cut()
    await ear.closed
    // Otherwise its buffers were never full, and nothing was tried.
    if (stalled) expect(drops, `of ${coming} messages, what reached the stalled one at last`).toBeLessThan(coming)
    return heard[Math.floor(heard.length * 0.99)] ?? Number.POSITIVE_INFINITY
  }
  try {
    await phase(false) // The first is for warming up.
    const pairs: { readonly calm: number; readonly stalled: number }[] = []
    for (let i = 0; i < REPEATS; i++) pairs.push({ calm: await phase(false), stalled: await phase(true) })
    const ratios = pairs.map(({ calm, stalled }) => Math.max(stalled, P99_FLOOR_MS) / Math.max(calm, P99_FLOOR_MS)).toSorted((a, b) => a - b)
    const growth = memory.growth()
    console.log(`stalled: one of ${SUBSCRIBERS}; p99 calm/stalled ms ${pairs.map(({ calm, stalled }) => `${calm.toFixed(1)}/${stalled.toFixed(1)}`).join(' ')}, memory grew by ${inMiB(growth)}`)
    expect(ratios[Math.floor(REPEATS / 2)], 'the median of p99 stalled / p99 calm').toBeLessThanOrEqual(RATIO_MAX)
    expect(growth).toBeLessThan(STALLED_GROWTH_BYTES)
    expect(lost, 'of the others, connections that ended').toBe(0)
  } finally {
    clearInterval(hosing)
    for (const line of [...crowd, ...mouths]) line.cut()
  }
})

/** A clean session that subscribes with QoS 0; it is told of payloads of the hose as ''. */
async function subscriber(stage: Stage, identity: Identity, clientId: string, filters: readonly string[], onMessage: (payload: string) => void): Promise<Line> {
  let granted = (): void => {}
  const subscribed = new Promise<void>((resolve) => void (granted = resolve))
  const line = await openLine({
    target: stage.target, credentials: identity, clientId, version: 5, clean: true,
    onPacket: (packet) => {
      if (packet.cmd === 'suback') granted()
      else if (packet.cmd === 'publish') onMessage(packet.payload.length === HOSE_PAYLOAD_BYTES ? '' : packet.payload.toString())
    },
  })
  line.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters.map((topic) => ({ topic, qos: 0 as const })) })
  await subscribed
  return line
}
