// Family I: certificates that are well made, and that the registry knows better: of another CA, of another key, of yesterday.

import { z } from 'zod'
import { forgeLeaf } from '../forge/authority.ts'
import { readCertificate } from '../forge/certificate.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { identityOf, type Identity } from '../identities.ts'
import { howSessionEnded, type Peer } from '../raw-peer.ts'
import { admittedControl, auditOf, connectFrom, ownCertificateWorks, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { factoryId, factoryOf, issuingOf, presenting } from './impostors.ts'
import { NotOffered } from './powers.ts'
import { subscribe } from './watcher.ts'

/** I13: two CAs are trusted for the same names; who came first is who it is. */
async function twoIssuers(arena: Arena, bench: Bench): Promise<void> {
  const factory = factoryOf(arena)
  const { secondFactoryAuthority: second } = arena
  arena.take('third-ca')
  if (second === undefined) throw new NotOffered('third-ca')
  const [device, other] = [factoryId(), factoryId()]
  const first = await admittedControl(arena, bench, 'a device of the one', { credentials: presenting(forgeLeaf(factory, device)) }, device)
  const elsewhere = await admittedControl(arena, bench, 'a device of the other', { credentials: presenting(forgeLeaf(second, other)) }, other)
  await tryOnBothVersions(arena, bench, 'attack', 'the name of the first, of the other CA', presenting(forgeLeaf(second, device)), device)
  await tryOnBothVersions(arena, bench, 'attack', 'the reverse', presenting(forgeLeaf(factory, other)), other)
  for (const peer of [first, elsewhere]) {
    bench.control('it is still connected', !peer.socket.destroyed, peer.socket.destroyed ? 'closed' : 'open')
    peer.end()
  }
}

/** I17: a serial number is given once. */
async function sameSerial(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('i17')
  await ownCertificateWorks(arena, bench, device)
  const issuing = issuingOf(arena)
  const { serial } = readCertificate(device.chain[0] ?? Buffer.alloc(0))
  await tryOnBothVersions(arena, bench, 'attack', 'the serial number of its certificate', presenting(forgeLeaf(issuing, device.id, { serial }), issuing.certificate), device.id)
  const factory = factoryOf(arena)
  const id = factoryId()
  const first = forgeLeaf(factory, id)
  const peer = await admittedControl(arena, bench, 'of a trusted CA, for the first time', { credentials: presenting(first) }, id)
  peer.end()
  const again = forgeLeaf(factory, id, { serial: readCertificate(first.certificate).serial })
  await tryOnBothVersions(arena, bench, 'attack', 'of a trusted CA, for the second time', presenting(again), id)
}

const Renewed = z.looseObject({ certificate: z.string(), chain: z.array(z.string()) })

/** Asks over MQTT for the next certificate, as a device does. */
async function renew(peer: Peer, id: string): Promise<Identity> {
  const key = privateKey()
  await subscribe(peer, `$device/${id}/certificate/renew/accepted`, 1)
  peer.send({ cmd: 'publish', topic: `$device/${id}/certificate/renew`, payload: forgeRequest(key, id), qos: 1, messageId: 1, dup: false, retain: false })
  const answer = await peer.take((packet) => packet.cmd === 'publish')
  if (answer?.cmd !== 'publish') throw new Error('the renewal was not answered')
  const { certificate, chain } = Renewed.parse(JSON.parse(answer.payload.toString()))
  return identityOf(id, [certificate, ...chain].join(''), keyPem(key))
}

/** I20: the old certificate works until the next one is used, and not after. */
async function superseded(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('i20')
  const old = await admittedControl(arena, bench, 'the old certificate', { credentials: device, version: 5 }, device.id)
  const next = await renew(old, device.id)
  const meanwhile = await admittedControl(arena, bench, 'the old certificate while the next one waits', { credentials: device, version: 5 }, `${device.id}:meanwhile`)
  const first = await admittedControl(arena, bench, 'the next certificate', { credentials: next, version: 5 }, `${device.id}:next`)
  const since = performance.now()
  for (const [label, peer] of [['live session', old], ['another live session', meanwhile]] as const) bench.attack('kick', label, await howSessionEnded(peer, since), auditOf(peer))
  await tryOnBothVersions(arena, bench, 'attack', 'the old certificate again', device, device.id)
  bench.control('the next one stays', !first.socket.destroyed, first.socket.destroyed ? 'closed' : 'open')
  const again = await connectFrom(arena, { credentials: next }, device.id)
  bench.control('the next one again', again.seen.kind === 'admitted', again.seen.kind)
  for (const peer of [first, again.peer]) peer.end()
}

export const IDENTITY_RECORD_CASES = {
  I13: twoIssuers,
  I17: sameSerial,
  I20: superseded,
} as const satisfies Record<string, Runner>
