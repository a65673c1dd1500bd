// Family I: names in certificates that would make somebody else of their holder, and certificates whose device is no longer
// welcome. Most need the issuing key: our own CA makes no such certificate.

import { randomUUID } from 'node:crypto'
import { forgeLeaf, type LeafWishes } from '../forge/authority.ts'
import { commonName, OID, type ForgedName } from '../forge/der.ts'
import type { Identity } from '../identities.ts'
import { howSessionEnded } from '../raw-peer.ts'
import { FACTORY_ID_PREFIX } from '../server-process.ts'
import { admittedControl, auditOf, connectFrom, MQTT_VERSIONS, ownCertificateWorks, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { strangeNames } from './flawed.ts'
import { factoryOf, flawedOfFactory, issuingOf, presenting } from './impostors.ts'
import { tryToSpeakFor } from './strange-names.ts'

/** Leaves of the real CA with these wishes, against the device's own certificate as the control. */
function named(wishes: (device: Identity) => Readonly<Record<string, LeafWishes>>): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('name')
    await ownCertificateWorks(arena, bench, device)
    const issuing = issuingOf(arena)
    const flaws = wishes(device)
    for (const [label, wish] of Object.entries(flaws)) {
      await tryOnBothVersions(arena, bench, 'attack', label, presenting(forgeLeaf(issuing, device.id, wish), issuing.certificate), device.id)
    }
    await tryToSpeakFor(arena, bench, device.id, strangeNames(issuing, device.id, flaws))
    // Without a flaw there is nothing to compare.
    await flawedOfFactory(arena, bench, Object.fromEntries(Object.entries(flaws).filter(([, wish]) => wish.subject !== undefined)))
  }
}

const cn = (value: string): ForgedName[number][number] => ({ type: OID.commonName, value })
const organization = (value: string): ForgedName[number][number] => ({ type: OID.organization, value })

/** What must not become a device: in a topic template it would mean more than one. */
const WILDCARD_NAMES = ['+', '#', '+/#'] as const
/** What would stand somewhere else in the tree of topics. */
const PATH_NAMES = ['a/b', '../x', '/x', '$SYS', '$share/g/x'] as const

/** Such names in certificates, and registered at the operator's door. */
function namesNowhere(names: readonly string[]): Runner {
  return async (arena, bench) => {
    await named(() => Object.fromEntries(names.map((text) => [`CN=${text}`, { subject: commonName(text) }])))(arena, bench)
    if (!arena.offers('registry')) return bench.skip('issuance', 'this target has no registry of devices')
    for (const id of names) {
      const source = arena.sources.next()
      const answer = await arena.admin.tryAddDevice({ id, groups: ['sensors'] }, source)
      bench.attack('issuance', `registering ${id}`, { kind: 'answered', status: answer.status, code: answer.code, recorded: await arena.admin.certificatesOf(id) }, { address: source })
    }
  }
}

/** Names that every JavaScript object has already. */
const OBJECT_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] as const

async function objectNames(arena: Arena, bench: Bench): Promise<void> {
  await named(() => Object.fromEntries(OBJECT_NAMES.map((name) => [`CN=${name}`, { subject: commonName(name) }])))(arena, bench)
  const device = await arena.identities.fresh('i10')
  for (const version of MQTT_VERSIONS) {
    for (const clientId of OBJECT_NAMES) {
      const { seen, peer } = await connectFrom(arena, { credentials: device, version }, clientId)
      bench.attack('client', `client id ${clientId}, MQTT ${version}`, seen, auditOf(peer))
      peer.end()
    }
  }
}

/** I14: the factory is trusted, and may name new devices; it must not take one that has a certificate of ours. */
async function foreignSpeaker(arena: Arena, bench: Bench): Promise<void> {
  const factory = factoryOf(arena)
  const [own, newcomer] = [await arena.identities.named(`${FACTORY_ID_PREFIX}${randomUUID()}`), `${FACTORY_ID_PREFIX}${randomUUID()}`]
  await ownCertificateWorks(arena, bench, own)
  const stranger = await admittedControl(arena, bench, 'the same CA, in the name of a new device', { credentials: presenting(forgeLeaf(factory, newcomer)) }, newcomer)
  stranger.end()
  await tryOnBothVersions(arena, bench, 'attack', 'in the name of a device of ours', presenting(forgeLeaf(factory, own.id)), own.id)
  await ownCertificateWorks(arena, bench, own)
}

/** I18: the operator's word, said twice, while the device is connected. */
async function unwelcome(arena: Arena, bench: Bench): Promise<void> {
  for (const version of MQTT_VERSIONS) {
    const device = await arena.identities.fresh('i18')
    for (const [action, state] of [['suspend', 'suspended'], ['retire', 'retired']] as const) {
      const peer = await admittedControl(arena, bench, `connected before ${action}, MQTT ${version}`, { credentials: device, version }, device.id)
      await arena.admin.changeState(device.id, action)
      bench.attack('kick', `live session, ${action}, MQTT ${version}`, await howSessionEnded(peer, performance.now()), auditOf(peer))
      const again = await connectFrom(arena, { credentials: device, version }, device.id)
      bench.attack(state, `reconnect while ${state}, MQTT ${version}`, again.seen, auditOf(again.peer))
      again.peer.end()
      if (action === 'suspend') await arena.admin.changeState(device.id, 'resume')
    }
  }
}

export const IDENTITY_CASES = {
  I01: named(() => ({ 'no common name': { subject: [[organization('Acme')]] }, 'an empty subject': { subject: [] }, 'an empty common name': { subject: commonName('') } })),
  I02: named((device) => ({
    'its name, then another': { subject: [[cn(device.id)], [cn('admin')]] },
    'another, then its name': { subject: [[cn('admin')], [cn(device.id)]] },
    'both in one RDN': { subject: [[cn(device.id), cn('admin')]] },
  })),
  I07: namesNowhere(WILDCARD_NAMES),
  I08: namesNowhere(PATH_NAMES),
  I10: objectNames,
  I14: foreignSpeaker,
  I16: named(() => ({ 'signed outside the registry': {} })),
  I18: unwelcome,
} as const satisfies Record<string, Runner>
