// The honest fleet: devices that enroll both ways, connect as devices do, and speak and hear what is theirs, beside a
// backend that hears all and commands each. Once, each speaks out of place; nobody may hear it. It says what was wrong, and
// never gives up at the first.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connectDevice, type Device } from './device.ts'
import { identityOf, inParallel, type Identities, type Identity } from './identities.ts'
import { openLedger, type Ledger, type LedgerCount } from './ledger.ts'
import { SIM_LIMITS } from './limits.ts'
import type { MqttVersion } from './oracle.ts'
import type { OpenedHome } from './server-process.ts'
import { within } from './within.ts'

export interface FleetPlan {
  readonly home: Pick<OpenedHome, 'target' | 'command'>
  readonly identities: Identities
  readonly devices: number
  /** By each device, and to each device. */
  readonly messagesPerDevice: number
  /** How long the last messages may take to arrive. */
  readonly arriveMs: number
  readonly signal: AbortSignal
  onPhase(phase: string): void
}

export interface FleetResult {
  readonly devices: number
  readonly enrolled: { readonly ownRequest: number; readonly bundle: number }
  readonly connected: { readonly 'MQTT 3.1.1': number; readonly 'MQTT 5': number }
  readonly messages: LedgerCount
  /** Publishes to a neighbour's topic, and how many of them were refused in words (MQTT 5 only: 3.1.1 has none). */
  readonly strays: { readonly sent: number; readonly refused: number }
  readonly durationsMs: { readonly enroll: number; readonly connect: number; readonly messages: number }
  readonly faults: readonly string[]
  readonly interrupted: boolean
  readonly ok: boolean
}

/** Not authorized. MQTT 5 §3.4.2.1. */
const NOT_AUTHORIZED = 0x87

/** The starter policy by hand: what a device, or the backend, may hear. */
function mayHear(backend: string): (receiver: string, topic: string) => boolean {
  const begins = (topic: string, ...levels: readonly string[]): boolean => levels.every((level, i) => topic.split('/')[i] === level)
  return (receiver, topic) => {
    if (receiver === backend) return begins(topic, 't') || begins(topic, 'state')
    return begins(topic, 't', receiver) || (begins(topic, 'cmd', receiver) && topic.split('/').length === 3)
  }
}

interface Clock {
  /** Milliseconds since the last call. */
  lap(): number
}

function stopwatch(): Clock {
  let last = performance.now()
  return {
    lap() {
      const now = performance.now()
      const elapsed = now - last
      last = now
      return elapsed
    },
  }
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Runs the fleet. It rejects only when nobody can be enrolled at all: the backend. */
export async function runFleet(plan: FleetPlan): Promise<FleetResult> {
  const { signal } = plan
  const faults: string[] = []
  const clock = stopwatch()
  plan.onPhase(`enrolling ${plan.devices} devices`)
  const backend = await plan.identities.fresh('backend', 'backend')
  const { ownRequest, bundle } = await enrollFleet(plan, faults)
  const enroll = clock.lap()

  const ledger = openLedger(mayHear(backend.id))
  plan.onPhase('connecting')
  const { hub, devices } = await connectFleet(plan, backend, interleaved(ownRequest, bundle), ledger, faults)
  const connect = clock.lap()

  let closing = false
  for (const device of [...(hub === undefined ? [] : [hub]), ...devices]) {
    device.onEnd(() => void (closing || faults.push(`${named(device)}: expected to stay connected, seen: its connection ended`)))
  }
  let strays = { sent: 0, refused: 0 }
  if (hub !== undefined) {
    plan.onPhase('speaking')
    strays = await speakOutOfPlace(plan, devices, ledger, faults)
    await speak(plan, hub, devices, ledger, faults)
    await within(ledger.complete(), plan.arriveMs, signal)
  }
  const messages = clock.lap()
  closing = true
  await closeAll([...(hub === undefined ? [] : [hub]), ...devices])

  const of = (version: MqttVersion): number => devices.filter((device) => device.version === version).length
  // What an interrupted fleet has not yet said is not lost.
  const wrong = signal.aborted ? [] : [...faults, ...ledger.faults()]
  return {
    devices: plan.devices,
    enrolled: { ownRequest: ownRequest.length, bundle: bundle.length },
    connected: { 'MQTT 3.1.1': of(4), 'MQTT 5': of(5) },
    messages: ledger.count(),
    strays,
    durationsMs: { enroll, connect, messages },
    faults: wrong,
    interrupted: signal.aborted,
    ok: !signal.aborted && wrong.length === 0 && devices.length === plan.devices,
  }
}

/** Half with a request of their own, half with what `device bundle` makes. */
async function enrollFleet(plan: FleetPlan, faults: string[]): Promise<{ readonly ownRequest: readonly Identity[]; readonly bundle: readonly Identity[] }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-bundles-'))
  const half = Math.ceil(plan.devices / 2)
  const many = (count: number, parallel: number, what: string, enroll: () => Promise<Identity>): Promise<readonly Identity[]> =>
    inParallel(Array.from({ length: count }, (_, i) => i + 1), parallel, async (number) => {
      if (plan.signal.aborted) return undefined
      try {
        return await enroll()
      } catch (error) {
        faults.push(`device ${number} of ${count} that enroll ${what}: expected a certificate, seen: ${said(error)}`)
        return undefined
      }
    }).then((identities) => identities.filter((identity) => identity !== undefined))
  try {
    const [ownRequest, bundle] = await Promise.all([
      many(half, SIM_LIMITS.enrollParallel, 'with a request of their own', () => plan.identities.fresh('own')),
      many(plan.devices - half, SIM_LIMITS.bundleParallel, 'by device bundle', () => bundled(plan, folder)),
    ])
    return { ownRequest, bundle }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function bundled(plan: FleetPlan, folder: string): Promise<Identity> {
  const id = await plan.identities.registered('bundle')
  const out = path.join(folder, id)
  await plan.home.command('device', 'bundle', id, '--out', out)
  const [chain, key] = await Promise.all([readFile(path.join(out, 'device.pem'), 'utf8'), readFile(path.join(out, 'device.key'), 'utf8')])
  return identityOf(id, chain, key)
}

/** One of each in turn, so that both ways of enrolling meet both versions of MQTT. */
function interleaved(a: readonly Identity[], b: readonly Identity[]): readonly Identity[] {
  const pairs = Array.from({ length: Math.ceil(Math.max(a.length, b.length) / 2) }, (_, i) => [...a.slice(2 * i, 2 * i + 2), ...b.slice(2 * i, 2 * i + 2)])
  return pairs.flat()
}

const named = (device: Pick<Device, 'id' | 'version'>): string => `${device.id} (${device.version === 5 ? 'MQTT 5' : 'MQTT 3.1.1'})`

interface ConnectedFleet {
  readonly hub: Device | undefined
  readonly devices: readonly Device[]
}

/** Connects the backend and the devices, and lets each subscribe to what is its own. */
async function connectFleet(plan: FleetPlan, backend: Identity, identities: readonly Identity[], ledger: Ledger, faults: string[]): Promise<ConnectedFleet> {
  const connect = async (identity: Identity, version: MqttVersion, filters: readonly string[]): Promise<Device | undefined> => {
    if (plan.signal.aborted) return undefined
    let device: Device | undefined
    try {
      device = await within(connectDevice({ target: plan.home.target, id: identity.id, credentials: identity, version }), SIM_LIMITS.connectMs, plan.signal)
      if (device === undefined) throw new Error(`no CONNACK in ${SIM_LIMITS.connectMs} ms`)
      device.onMessage(({ topic, payload }) => ledger.receive(identity.id, topic, payload.toString()))
      const granted = await within(device.subscribe(...filters).then(() => true), SIM_LIMITS.acknowledgeMs, plan.signal)
      if (granted === undefined) throw new Error(`no SUBACK in ${SIM_LIMITS.acknowledgeMs} ms`)
      return device
    } catch (error) {
      await closeAll(device === undefined ? [] : [device])
      faults.push(`${named({ id: identity.id, version })}: expected to be admitted and to subscribe to ${filters.join(' and ')}, seen: ${said(error)}`)
      return undefined
    }
  }
  const hub = await connect(backend, 5, ['t/#', 'state/#'])
  const devices = await inParallel(identities, SIM_LIMITS.fleetConnectParallel, (identity, i) => connect(identity, i % 2 === 0 ? 4 : 5, [`t/${identity.id}/#`, `cmd/${identity.id}/+`]))
  return { hub, devices: devices.filter((device) => device !== undefined) }
}

/** Publishes and waits for the answer: the code of a refusal, 0 when there was none. */
async function acknowledged(plan: FleetPlan, device: Device, topic: string, payload: string): Promise<number> {
  try {
    const done = await within(device.publish(topic, payload).then(() => true), SIM_LIMITS.acknowledgeMs, plan.signal)
    if (done === undefined) throw new Error(`nothing in ${SIM_LIMITS.acknowledgeMs} ms`)
    return 0
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code !== 'number') throw error
    return code
  }
}

/** Each device once publishes on its neighbour's topic. Its honest messages follow on the same way, so that silence is evidence. */
async function speakOutOfPlace(plan: FleetPlan, devices: readonly Device[], ledger: Ledger, faults: string[]): Promise<{ readonly sent: number; readonly refused: number }> {
  if (devices.length < 2) return { sent: 0, refused: 0 }
  const codes = await Promise.all(devices.map(async (device, i) => {
    const topic = `t/${devices[(i + 1) % devices.length]?.id ?? 'nobody'}/stray`
    // MQTT 3.1.1 has no word for it: the publish is acknowledged and dropped [MQTT-3.3.5-2].
    const expected = device.version === 5 ? NOT_AUTHORIZED : 0
    const code = await acknowledged(plan, device, topic, ledger.write(device.id, topic, [])).catch(said)
    if (code !== expected) faults.push(`${named(device)} published to ${topic}: expected the answer ${hex(expected)}, seen: ${hex(code)}`)
    return code
  }))
  return { sent: codes.length, refused: codes.filter((code) => code === NOT_AUTHORIZED).length }
}

const hex = (code: number | string): string => (typeof code === 'string' ? code : `0x${code.toString(16).padStart(2, '0')}`)

/** Every device speaks, and the backend commands every device, all at the same time and each in order. */
async function speak(plan: FleetPlan, hub: Device, devices: readonly Device[], ledger: Ledger, faults: string[]): Promise<void> {
  const say = async (speaker: Device, topic: string, receivers: readonly string[]): Promise<void> => {
    for (let i = 0; i < plan.messagesPerDevice && !plan.signal.aborted; i++) {
      const code = await acknowledged(plan, speaker, topic, ledger.write(speaker.id, topic, receivers)).catch(said)
      if (code === 0) continue
      faults.push(`${named(speaker)} published to ${topic}: expected to be acknowledged, seen: ${hex(code)}`)
      return
    }
  }
  await Promise.all(devices.flatMap((device) => [
    say(device, `t/${device.id}/reading`, [device.id, hub.id]),
    say(hub, `cmd/${device.id}/set`, [device.id]),
  ]))
}

async function closeAll(devices: readonly Device[]): Promise<void> {
  await Promise.all(devices.map((device) => within(device.close().catch(() => undefined), SIM_LIMITS.closeMs)))
}
