// Impostors: certificates that are forged for a device, or flawed, against its own certificate as the control. Which flaws there
// are is the families' business.

import { randomUUID } from 'node:crypto'
import { forgeLeaf, type ForgedAuthority, type ForgedLeaf, type LeafWishes } from '../forge/authority.ts'
import { pem } from '../forge/certificate.ts'
import { keyPem } from '../forge/keys.ts'
import type { Identity } from '../identities.ts'
import { FACTORY_ID_PREFIX } from '../server-process.ts'
import type { Credentials } from '../raw-peer.ts'
import { NotOffered } from './powers.ts'
import { admittedControl, ownCertificateWorks, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'

/** What a client presents: the leaf, then the CA certificates that it wants to be believed with. */
export function presenting(leaf: ForgedLeaf, ...chain: readonly Buffer[]): Credentials {
  return { cert: [leaf.certificate, ...chain].map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(leaf.key) }
}

/** The real issuing CA. Cases that use it name the need 'ca-key' in the catalogue. */
export function issuingOf(arena: Arena): ForgedAuthority {
  arena.take('ca-key')
  if (arena.issuingAuthority === undefined) throw new NotOffered('ca-key')
  return arena.issuingAuthority
}

/** The factory's CA that this home trusts; of the same cases, and of the same homes. */
export function factoryOf(arena: Arena): ForgedAuthority {
  arena.take('second-ca')
  if (arena.factoryAuthority === undefined) throw new NotOffered('second-ca')
  return arena.factoryAuthority
}

/** A device of the factory that nobody has seen yet. */
export const factoryId = (): string => `${FACTORY_ID_PREFIX}${randomUUID()}`

/**
 * The same flaws in certificates of a CA that this home trusts, and of which it knows no certificate before it comes. The
 * control is the same certificate without the flaw: it is admitted, so that it is the flaw and nothing else that is refused.
 */
export async function flawedOfFactory(arena: Arena, bench: Bench, flaws: Readonly<Record<string, LeafWishes>>): Promise<void> {
  const { factoryAuthority: factory } = arena
  if (factory === undefined) return bench.skip('the same of a trusted CA', 'its key is not at hand')
  for (const [label, flaw] of Object.entries(flaws)) {
    const id = factoryId()
    const clean = await admittedControl(arena, bench, `of a trusted CA, without this flaw: ${label}`, { credentials: presenting(forgeLeaf(factory, id)) }, id)
    clean.end()
    await tryOnBothVersions(arena, bench, 'trusted', `${label}, of a trusted CA`, presenting(forgeLeaf(factory, id, flaw)), id)
  }
}

/** Leaves of the real CA with these flaws, and of the trusted one. */
export function flawed(flaws: () => Readonly<Record<string, LeafWishes>>, claim = 'attack'): Runner {
  return async (arena, bench) => {
    const issuing = issuingOf(arena)
    await impostors((_arena, device) => Object.fromEntries(Object.entries(flaws()).map(([label, flaw]) => [label, presenting(forgeLeaf(issuing, device.id, flaw), issuing.certificate)])), claim)(arena, bench)
    await flawedOfFactory(arena, bench, flaws())
  }
}

/** Forged leaves against the device's own certificate as the control. */
export function impostors(forge: (arena: Arena, device: Identity) => Readonly<Record<string, Credentials | undefined>>, claim = 'attack'): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('imp')
    await ownCertificateWorks(arena, bench, device)
    for (const [label, credentials] of Object.entries(forge(arena, device))) {
      await tryOnBothVersions(arena, bench, claim, label, credentials, device.id)
    }
  }
}
