// Leaves with one flaw each, of our own CA and of one that is trusted for others. They are shown by hand, for most TLS libraries
// would not load them; the same hand with a good certificate is admitted. Which flaws there are is the families' business.

import { forgeLeaf, type ForgedAuthority, type LeafWishes } from '../forge/authority.ts'
import { OID } from '../forge/der.ts'
import { proofWith, type Proof } from '../forge/proof.ts'
import type { Runner } from './arena.ts'
import { admittedByHand, handWorks, tryByHand, type RawCredentials } from './handmade.ts'
import { factoryId, factoryOf, issuingOf } from './impostors.ts'
import { tryToSpeakFor, type StrangeName } from './strange-names.ts'

export interface Flaw extends LeafWishes {
  /** Where the key cannot prove itself as keys do. */
  readonly proof?: Proof
}

/** Made for the device of this id. */
export type Flaws = (id: string) => Readonly<Record<string, Flaw>>

/** A leaf with this flaw, ready to be shown. */
export function flawedLeaf(authority: ForgedAuthority, id: string, flaw: Flaw, ...chain: readonly Buffer[]): RawCredentials {
  const leaf = forgeLeaf(authority, id, flaw)
  return { chain: [leaf.certificate, ...chain], proof: flaw.proof ?? proofWith(leaf.key) }
}

/** Those of the flaws that are in the name. */
export function strangeNames(issuing: ForgedAuthority, id: string, flaws: Readonly<Record<string, Flaw>>): Readonly<Record<string, StrangeName>> {
  return Object.fromEntries(Object.entries(flaws).flatMap(([label, flaw]) => {
    const names = flaw.subject?.flat().flatMap(({ type, value }) => (type === OID.commonName && typeof value === 'string' ? [value] : []))
    // A name that is its own, however it is written, may speak for itself.
    return names === undefined || names.every((name) => name === id) ? [] : [[label, { credentials: flawedLeaf(issuing, id, flaw, issuing.certificate), names }]]
  }))
}

/** Of our CA, in the name of a device that has another certificate: claim 'attack'. */
export function ofOurCa(flaws: Flaws): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('flaw')
    await handWorks(arena, bench, device)
    const issuing = issuingOf(arena)
    const wanted = Object.entries(flaws(device.id))
    for (const [label, flaw] of wanted) await tryByHand(arena, bench, 'attack', label, flawedLeaf(issuing, device.id, flaw, issuing.certificate), device.id)
    await tryToSpeakFor(arena, bench, device.id, strangeNames(issuing, device.id, Object.fromEntries(wanted)))
  }
}

/** Of the trusted CA, each in the name of a new device: claim 'trusted'. */
export function ofTrustedCa(flaws: Flaws): Runner {
  return async (arena, bench) => {
    if (!arena.offers('second-ca')) return bench.skip('the same of a trusted CA', 'its key is not at hand')
    const factory = factoryOf(arena)
    const good = factoryId()
    await admittedByHand(arena, bench, 'a good one of a trusted CA', flawedLeaf(factory, good, {}), good)
    for (const label of Object.keys(flaws(good))) {
      const id = factoryId()
      await tryByHand(arena, bench, 'trusted', `${label}, of a trusted CA`, flawedLeaf(factory, id, flaws(id)[label] ?? {}), id)
    }
  }
}

export function flawedByHand(flaws: Flaws): Runner {
  return async (arena, bench) => {
    await ofOurCa(flaws)(arena, bench)
    await ofTrustedCa(flaws)(arena, bench)
  }
}
