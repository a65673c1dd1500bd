// Attempts with a handshake that is written by hand: for certificates that no TLS library would load to present them, and for
// proofs that none would make.

import mqttPacket from 'mqtt-packet'
import { proofWith, type HandmadeTls, type Proof } from '../forge/proof.ts'
import { openTls12 } from '../forge/tls12.ts'
import { openTls13 } from '../forge/tls13.ts'
import type { HandmadeConnection, HandmadeResult } from '../forge/wire.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { AuditSelector, MqttVersion, Observed } from '../oracle.ts'
import { connectPacket, type ConnectFields } from '../raw-peer.ts'
import { within } from '../within.ts'
import { MQTT_VERSIONS, TLS_VERSIONS, type Arena, type Bench } from './arena.ts'

/** DER, leaf first, and how its holder proves that the leaf is its own. */
export interface RawCredentials {
  readonly chain: readonly Buffer[]
  readonly proof: Proof
}

export interface RawAttempt {
  readonly seen: Observed
  readonly audit: AuditSelector
  /** Of who was admitted: the caller ends it. */
  readonly connection?: HandmadeConnection
}

export function rawOf(identity: Identity): RawCredentials {
  return { chain: identity.chain, proof: proofWith(identity.keyObject) }
}

/** One handshake from an address of its own. */
export async function shakeHands(arena: Arena, tls: HandmadeTls, { chain, proof }: RawCredentials, recordBytes?: number): Promise<{ readonly result: HandmadeResult; readonly audit: AuditSelector }> {
  const source = arena.sources.next()
  await arena.target.turn?.()
  const options = { host: arena.target.host, port: arena.target.port, localAddress: source, chain, certificateVerify: (content: Buffer) => proof(content, tls) }
  const result = tls === 'TLSv1.2' ? await openTls12({ ...options, recordBytes }) : await openTls13(options)
  return { result, audit: { address: source, port: result.localPort } }
}

/** A handshake that was not completed, as the oracle sees it. */
export function brokenOff(result: HandmadeResult): Observed {
  switch (result.kind) {
    case 'alert': return { kind: 'refused-in-tls', how: `alert ${result.description}` }
    case 'closed': return { kind: 'refused-in-tls', how: 'closed' }
    case 'silent': return { kind: 'open', afterMs: SIM_LIMITS.verdictMs }
    case 'established': return { kind: 'disturbed', how: 'the handshake was completed' }
  }
}

/** A handshake and a CONNECT behind it, and how that ended. */
export async function connectByHand(arena: Arena, tls: HandmadeTls, credentials: RawCredentials, clientId: string, version: MqttVersion, recordBytes?: number): Promise<RawAttempt> {
  const { result, audit } = await shakeHands(arena, tls, credentials, recordBytes)
  if (result.kind !== 'established') return { seen: brokenOff(result), audit }
  const { connection } = result
  const seen = await sayConnect(connection, clientId, version)
  if (seen.kind === 'admitted') return { seen, audit, connection }
  connection.end()
  return { seen, audit }
}

const CONNACK = 0x20

/** Sends a CONNECT. In TLS 1.3 a client has finished before the server has looked at it: a refusal of TLS may come only now. */
export async function sayConnect(connection: HandmadeConnection, clientId: string, version: MqttVersion, fields?: ConnectFields): Promise<Observed> {
  const started = performance.now()
  connection.send(mqttPacket.generate(connectPacket(clientId, version, fields), { protocolVersion: version }))
  const answer = await within(connection.receive().then((data) => data ?? 'over' as const), SIM_LIMITS.verdictMs)
  if (answer === undefined) return { kind: 'open', afterMs: performance.now() - started }
  if (answer === 'over') return { kind: 'refused-in-tls', how: 'closed' }
  if (answer[0] !== CONNACK) return { kind: 'disturbed', how: `answered ${answer.subarray(0, 8).toString('hex')}` }
  return answer[3] === 0 ? { kind: 'admitted' } : { kind: 'refused-by-connack', version, code: answer[3] ?? 0 }
}

/** Tries it over TLS 1.2 with MQTT 3.1.1 and over TLS 1.3 with MQTT 5, and lays both on the bench. */
export async function tryByHand(arena: Arena, bench: Bench, claim: string, label: string, credentials: RawCredentials, clientId: string): Promise<void> {
  for (const [i, tls] of TLS_VERSIONS.entries()) {
    const { seen, audit, connection } = await connectByHand(arena, tls, credentials, clientId, MQTT_VERSIONS[i] ?? 4)
    bench.attack(claim, `${label}, ${tls}`, seen, audit)
    connection?.end()
  }
}

/** The positive control of these attempts: the device's own certificate, by the same hand. */
export async function handWorks(arena: Arena, bench: Bench, identity: Identity): Promise<void> {
  await admittedByHand(arena, bench, 'its own certificate', rawOf(identity), identity.id)
}

export async function admittedByHand(arena: Arena, bench: Bench, label: string, credentials: RawCredentials, clientId: string): Promise<void> {
  for (const [i, tls] of TLS_VERSIONS.entries()) {
    const { seen, connection } = await connectByHand(arena, tls, credentials, clientId, MQTT_VERSIONS[i] ?? 4)
    bench.control(`${label}, ${tls} by hand`, seen.kind === 'admitted', seen.kind)
    connection?.end()
  }
}
