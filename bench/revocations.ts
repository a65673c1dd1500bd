// Revoked means gone: how long it takes from an operator's request until the device's socket is closed, while the whole
// fleet publishes. Real devices: enrolled through the admin API, MQTT 5 over mutual TLS, by the client that devices use.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import type { Desk } from '../src/core/desk.ts'
import type { DeviceId, GroupName } from '../src/core/ids.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { generateKey, privateKeyPem } from '../src/x509/keys.ts'
import type { Identity } from './connect-client.ts'
import { percentile } from './process-cpu.ts'
import type { Served } from './servers.ts'

const CONNECTING_AT_ONCE = 8
/** Every device publishes this often, QoS 1. */
const PUBLISH_EVERY_MS = 250
const PAYLOAD = Buffer.alloc(128, 0x2e)

export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Revocations {
  readonly revocations: number
  readonly devices: number
  /** QoS 1 messages of the fleet per second, acknowledged, while it was being revoked. */
  readonly publishedPerSecond: number
  /** From sending the request to the close of the device's socket, in ms. */
  readonly client: Percentiles
  /** What the server answers: from the commit to the last socket closed, in ms. */
  readonly server: Percentiles
}

function openOperator(served: Served): Desk {
  const file = (name: string): string => readFileSync(path.join(served.home, 'certs/local/operator', name), 'utf8')
  return openAdminClient({ url: served.adminUrl, key: file('key.pem'), cert: file('cert.pem'), ca: file('ca.pem') })
}

/** Registers and enrolls `count` devices through the admin API. */
export async function enrollFleet(served: Served, count: number): Promise<readonly Identity[]> {
  await using desk = openOperator(served)
  const enroll = async (n: number): Promise<Identity> => {
    const id = `bench-${n}` as DeviceId
    const key = generateKey('P-256')
    await desk.addDevice({ id, groups: ['sensors' as GroupName], attributes: {} })
    const { certificate, chain } = await desk.enroll(id, makeCsr(key, id))
    return { id, key: privateKeyPem(key), cert: certificate + chain.join('') }
  }
  // Awaited here: the desk is closed when this function is left.
  return await Promise.all(Array.from({ length: count }, (_, n) => enroll(n)))
}

interface Speaker {
  readonly id: DeviceId
  readonly client: MqttClient
  acknowledged: number
}

async function connectFleet(served: Served, identities: readonly Identity[], ca: string): Promise<readonly Speaker[]> {
  const speakers: Speaker[] = []
  for (let at = 0; at < identities.length; at += CONNECTING_AT_ONCE) {
    const some = identities.slice(at, at + CONNECTING_AT_ONCE).map(async ({ id, key, cert }): Promise<Speaker> => {
      const client = await connectAsync({ protocol: 'mqtts', host: '127.0.0.1', port: served.port, servername: 'localhost', ca, key, cert, clientId: id, protocolVersion: 5, reconnectPeriod: 0, keepalive: 60 })
      // A revoked device's socket is closed under it: that is what is measured, not an error.
      client.on('error', () => {})
      return { id: id as DeviceId, client, acknowledged: 0 }
    })
    speakers.push(...(await Promise.all(some)))
  }
  return speakers
}

/** Lets everybody publish, the beginnings spread over one period. Returns the way to stop. */
function letPublish(speakers: readonly Speaker[]): () => void {
  const timers: NodeJS.Timeout[] = []
  for (const [i, speaker] of speakers.entries()) {
    const publish = (): void => {
      if (!speaker.client.connected) return
      speaker.client.publish(`t/${speaker.id}/bench`, PAYLOAD, { qos: 1 }, (error) => {
        if (error === undefined || error === null) speaker.acknowledged += 1
      })
    }
    timers.push(setTimeout(() => {
      publish()
      timers.push(setInterval(publish, PUBLISH_EVERY_MS))
    }, (i * PUBLISH_EVERY_MS) / speakers.length))
  }
  return () => {
    for (const timer of timers) clearInterval(timer)
  }
}

/** Connects the fleet, lets it publish, and revokes `count` of its devices, one at a time. */
export async function measureRevocations(served: Served, identities: readonly Identity[], ca: string, count: number): Promise<Revocations> {
  await using desk = openOperator(served)
  const speakers = await connectFleet(served, identities, ca)
  const stop = letPublish(speakers)
  const [seen, told]: [number[], number[]] = [[], []]
  const total = (): number => speakers.reduce((sum, s) => sum + s.acknowledged, 0)
  try {
    // Everybody has spoken, and the operator's connection is open, before the first is revoked.
    while (speakers.some((s) => s.acknowledged === 0)) await new Promise((resolve) => setTimeout(resolve, PUBLISH_EVERY_MS))
    await desk.cas()
    const since = performance.now()
    const before = total()
    for (const { id, client } of speakers.slice(0, count)) {
      // Not `once`: a socket that is cut while it sends ends with an error first, and is measured all the same.
      const closed = new Promise<number>((resolve) => {
        client.stream.once('close', () => resolve(performance.now()))
      })
      const sent = performance.now()
      const answer = await desk.revoke({ device: id }, 'keyCompromise')
      if (answer.sessionsClosed !== 1) throw new Error(`${answer.sessionsClosed} sessions of ${id} were closed`)
      seen.push((await closed) - sent)
      told.push(answer.closedMs)
    }
    const publishedPerSecond = (total() - before) / ((performance.now() - since) / 1_000)
    const cut = speakers.slice(count).find((s) => !s.client.connected)
    if (cut !== undefined) throw new Error(`${cut.id} was not revoked and is gone`)
    return { revocations: seen.length, devices: identities.length, publishedPerSecond, client: percentiles(seen), server: percentiles(told) }
  } finally {
    stop()
    for (const { client } of speakers) client.end(true)
  }
}

function percentiles(samples: readonly number[]): Percentiles {
  return { p50: percentile(samples, 50), p99: percentile(samples, 99), max: percentile(samples, 100) }
}
