// Family T: connections that break off, at every message of the handshake and in the middle of a packet, and handshakes that
// leave something behind. The last two look at the server's process from outside, where it is on this machine.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'
import { forgeIssuing, forgeLeaf, forgeRoot } from '../forge/authority.ts'
import { OID, type ForgedName } from '../forge/der.ts'
import { proofWith } from '../forge/proof.ts'
import { openTls12, TLS12_STEPS, type Tls12Step } from '../forge/tls12.ts'
import type { Wire } from '../forge/wire.ts'
import { inParallel } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Observed } from '../oracle.ts'
import { resourcesOf } from '../resources.ts'
import { TLS_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { handWorks, rawOf, sayConnect, shakeHands } from './handmade.ts'
import { openWatcher } from './watcher.ts'

/** T50. */
async function breaks(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t50')
  await handWorks(arena, bench, device)
  const { chain, proof } = rawOf(device)
  const before = await resourcesOf(await arena.pid())
  const source = arena.sources.next()
  const breakAt = (step: Tls12Step, end: (wire: Wire) => void): Promise<unknown> => openTls12({
    host: arena.target.host, port: arena.target.port, localAddress: source, chain, certificateVerify: (content) => proof(content, 'TLSv1.2'),
    stopBefore(next, wire) {
      if (next === step) end(wire)
      return next === step
    },
  })
  const ways = [(wire: Wire): void => void wire.socket.resetAndDestroy(), (wire: Wire): void => wire.destroy()]
  for (const step of TLS12_STEPS) {
    for (const way of ways) await Promise.all(Array.from({ length: SIM_LIMITS.breaksPerMessage }, () => breakAt(step, way)))
  }
  const tried = TLS12_STEPS.length * ways.length * SIM_LIMITS.breaksPerMessage
  bench.attack('attack', `${tried} handshakes broken off`, await givenBack(arena, before?.descriptors, tried), { address: source })
}

/** Waits until the server has closed what it had opened for them. */
async function givenBack(arena: Arena, before: number | undefined, tried: number): Promise<Observed> {
  if (before === undefined) return { kind: 'withstood', how: `${tried} broken off` }
  // A connection of the operator's client may have come meanwhile.
  const enough = before + SIM_LIMITS.adminSocketsMax
  const deadline = performance.now() + SIM_LIMITS.settleMs
  let open = await descriptors(arena)
  while (open > enough && performance.now() < deadline) {
    await delay(SIM_LIMITS.settlePollMs)
    open = await descriptors(arena)
  }
  return open <= enough ? { kind: 'withstood', how: `${tried} broken off, nothing left open` } : { kind: 'disturbed', how: `${open - before} descriptors are still open` }
}

async function descriptors(arena: Arena): Promise<number> {
  return (await resourcesOf(await arena.pid()))?.descriptors ?? 0
}

/** T51: the sender's TCP ends, and its TLS does not say so. */
async function cutOff(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  for (const tls of TLS_VERSIONS) {
    const device = await arena.identities.fresh('t51')
    const { result } = await shakeHands(arena, tls, rawOf(device))
    if (result.kind !== 'established') throw new Error(`${device.id} was not let in: ${result.kind}`)
    const { connection } = result
    const [will, part] = [randomUUID(), randomUUID()]
    const seen = await sayConnect(connection, device.id, 4, { will: { topic: `state/${device.id}`, payload: Buffer.from(will), qos: 0, retain: false } })
    bench.control(`connected with a Will, ${tls}`, seen.kind === 'admitted', seen.kind)
    const publish = mqttPacket.generate({ cmd: 'publish', topic: `t/${device.id}/part`, payload: Buffer.concat([Buffer.from(part), Buffer.alloc(1_000)]), qos: 0, dup: false, retain: false })
    connection.send(publish.subarray(0, publish.length - 500))
    connection.end()
    bench.control(`its Will, ${tls}`, (await watcher.heard(will)).length > 0, 'published when the connection broke off')
    await watcher.witness()
    bench.attack('attack', `half a PUBLISH, ${tls}`, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: watcher.receiversOfBeginning(part) })
  }
}


/** A subject of so many bytes, none of them ASCII. */
function heavySubject(id: string, bytes: number): ForgedName {
  const line = 'ü'.repeat(500)
  return [...Array.from({ length: Math.ceil(bytes / 1_000) }, () => [{ type: OID.organization, value: line }]), [{ type: OID.commonName, value: id }]]
}

/** T52: what is read of a certificate must not stay for ever. */
async function heavyCertificates(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t52')
  await handWorks(arena, bench, device)
  const issuing = forgeIssuing(forgeRoot('Another organisation'), 'Another organisation')
  const leaf = forgeLeaf(issuing, device.id, { subject: heavySubject(device.id, SIM_LIMITS.heavyCertificateBytes) })
  const { target } = arena
  const source = arena.sources.next()
  const round = async (): Promise<number> => {
    await inParallel(Array.from({ length: SIM_LIMITS.heavyHandshakes }, (_, i) => i), SIM_LIMITS.heavyParallel, async () => {
      const proof = proofWith(leaf.key)
      const result = await openTls12({ host: target.host, port: target.port, localAddress: source, chain: [leaf.certificate, issuing.certificate], certificateVerify: (content) => proof(content, 'TLSv1.2') })
      if (result.kind === 'established') result.connection.end()
    })
    const held = await resourcesOf(await arena.pid())
    if (held === undefined) throw new Error('the server is on another machine')
    return held.residentBytes
  }
  // Half of what it would keep if it kept every certificate.
  const calmBytes = (SIM_LIMITS.heavyHandshakes * leaf.certificate.length) / 2
  let [before, calm, rounds, grown] = [await round(), 0, 1, 0]
  while (calm < SIM_LIMITS.heavyCalmRounds && rounds < SIM_LIMITS.heavyRounds) {
    const after = await round()
    grown = after - before
    calm = grown < calmBytes ? calm + 1 : 0
    before = after
    rounds += 1
  }
  const how = `${rounds * SIM_LIMITS.heavyHandshakes} handshakes, the last ${SIM_LIMITS.heavyHandshakes}: ${Math.round(grown / 1_048_576)} MiB more`
  bench.attack('attack', 'heavy certificates', calm < SIM_LIMITS.heavyCalmRounds ? { kind: 'disturbed', how } : { kind: 'withstood', how }, { address: source })
}

export const TLS_BREAK_CASES = {
  T50: breaks,
  T51: cutOff,
  T52: heavyCertificates,
} as const satisfies Record<string, Runner>
