// Family T: chains that do not reach a CA of ours as chains should, too long ones, and ones that go in a circle.

import { forgeIntermediate, forgeIssuing, forgeLeaf, forgeRoot, lookalikeOf, type AuthorityWishes, type ForgedAuthority, type LeafWishes } from '../forge/authority.ts'
import { nameConstraints, publicKeyOf, readCertificate } from '../forge/certificate.ts'
import { commonName, name, OID } from '../forge/der.ts'
import { curveball, ODD_EC_KEYS } from '../forge/odd-keys.ts'
import { proofWith } from '../forge/proof.ts'
import type { Identity } from '../identities.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { flawedByHand, flawedLeaf } from './flawed.ts'
import { admittedByHand, handWorks, rawOf, tryByHand, type RawCredentials } from './handmade.ts'
import { factoryId, factoryOf, issuingOf } from './impostors.ts'
import { withKeys } from './tls-flaws.ts'

/** Chains in the name of a device of ours, beside its own. */
function chains(forge: (arena: Arena, device: Identity) => Readonly<Record<string, RawCredentials>>): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('chain')
    await handWorks(arena, bench, device)
    for (const [label, credentials] of Object.entries(forge(arena, device))) await tryByHand(arena, bench, 'attack', label, credentials, device.id)
  }
}

/** T22: the device's own certificate, used as if it were a CA's. */
function signedByLeaf(_arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const [certificate = Buffer.alloc(0), ...above] = device.chain
  return { 'signed by a leaf': flawedLeaf({ certificate, key: device.keyObject }, 'victim', {}, certificate, ...above) }
}

interface Below {
  readonly ca: AuthorityWishes
  readonly leaf?: LeafWishes
}

/** Leaves of CAs below the trusted one; the control is a leaf of the trusted one itself. */
function belowFactory(cases: (factory: ForgedAuthority) => Readonly<Record<string, Below>>): Runner {
  return async (arena, bench) => {
    const factory = factoryOf(arena)
    const own = factoryId()
    await admittedByHand(arena, bench, 'a leaf of the trusted CA itself', flawedLeaf(factory, own, {}), own)
    for (const [label, { ca, leaf = {} }] of Object.entries(cases(factory))) {
      const id = factoryId()
      const below = forgeIntermediate(factory, 'Below the factory', ca)
      await tryByHand(arena, bench, 'attack', label, flawedLeaf(below, id, leaf, below.certificate), id)
    }
  }
}

/** T24: our issuing CA may sign leaves only. */
function pathTooLong(arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const issuing = issuingOf(arena)
  const below = forgeIntermediate(issuing, 'Below the issuing CA')
  return { 'a CA below the issuing CA': flawedLeaf(below, device.id, {}, below.certificate, issuing.certificate) }
}

const SUBTREES = 1_500

/** T25: every kind of constraint that is asked, broken once. */
const CONSTRAINED: Readonly<Record<string, Below>> = {
  'another organisation permitted': { ca: { more: [nameConstraints('permitted', [name([[{ type: OID.organization, value: 'Elsewhere' }]])])] } },
  'its own name excluded': { ca: { more: [nameConstraints('excluded', [name([])])] } },
  'another DNS name permitted': { ca: { more: [nameConstraints('permitted', ['good.example'])] }, leaf: { names: ['evil.example'] } },
  'its DNS name excluded': { ca: { more: [nameConstraints('excluded', ['evil.example'])] }, leaf: { names: ['www.evil.example'] } },
  [`${SUBTREES} subtrees`]: { ca: { more: [nameConstraints('excluded', Array.from({ length: SUBTREES }, (_, i) => `x${i}.example`))] }, leaf: { names: Array.from({ length: 30 }, (_, i) => `y${i}.example`) } },
}

function withoutIntermediate(_arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const [leaf = Buffer.alloc(0)] = device.chain
  return { 'the leaf alone': { ...rawOf(device), chain: [leaf] } }
}

/** A leaf and so many CAs above it, the topmost nobody's. */
function tower(id: string, cas: number): RawCredentials {
  let ca = forgeRoot('A tower')
  const above = [ca.certificate]
  for (let i = 1; i < cas; i++) {
    ca = forgeIntermediate(ca, `Floor ${i}`)
    above.unshift(ca.certificate)
  }
  return flawedLeaf(ca, id, {}, ...above)
}

const manyNames = (count: number): LeafWishes => ({ names: Array.from({ length: count }, (_, i) => `n${i}.example`) })

/** T28: what a server reads and verifies before it knows anything of whom. */
function towers(_arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const stranger = forgeIssuing(forgeRoot('Another organisation'), 'Another organisation')
  const heavy = forgeLeaf(stranger, device.id, { more: [{ id: '1.3.6.1.4.1.32473.2', critical: false, value: Buffer.alloc(1_000_000) }] })
  return {
    'four CAs above the leaf': tower(device.id, 4),
    'twenty CAs': tower(device.id, 20),
    'a hundred CAs': tower(device.id, 100),
    'a certificate of a megabyte': { chain: [heavy.certificate], proof: proofWith(heavy.key) },
    'a leaf with 3,000 names': flawedLeaf(stranger, device.id, manyNames(3_000), stranger.certificate),
    'a leaf with 10,000 names': flawedLeaf(stranger, device.id, manyNames(10_000), stranger.certificate),
  }
}

/** T29: each CA is vouched for by the other, and none by anybody else. */
function circles(arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const circle = (left: Buffer, right: Buffer): RawCredentials => {
    const nobody = forgeRoot('Nobody')
    const [a, b] = [left, right].map((subject) => forgeIntermediate(nobody, '', { subject }))
    if (a === undefined || b === undefined) throw new Error('two CAs are needed')
    const byB = forgeIntermediate(b, '', { subject: left, key: a.key })
    const byA = forgeIntermediate(a, '', { subject: right, key: b.key })
    return flawedLeaf(byB, device.id, {}, byB.certificate, byA.certificate)
  }
  return {
    'two CAs of nobody': circle(name(commonName('A')), name(commonName('B'))),
    'two CAs with the names of ours': circle(readCertificate(arena.issuing).subject, readCertificate(arena.root).subject),
  }
}

/** T32: the public key of our CA, on a curve whose base point makes everybody its holder. */
function borrowedKey(arena: Arena, device: Identity): Readonly<Record<string, RawCredentials>> {
  const forged = (original: Buffer): RawCredentials => {
    const borrowed = curveball(publicKeyOf(original))
    const ca = lookalikeOf(original, undefined, borrowed)
    return flawedLeaf(ca, device.id, { signature: () => borrowed.signature() }, ca.certificate)
  }
  return { 'the key of our root with another base point': forged(arena.root), 'the key of our issuing CA with another base point': forged(arena.issuing) }
}

async function oddCurves(arena: Arena, bench: Bench): Promise<void> {
  await flawedByHand(() => withKeys(ODD_EC_KEYS))(arena, bench)
  await chains(borrowedKey)(arena, bench)
}

export const TLS_CHAIN_CASES = {
  T22: chains(signedByLeaf),
  T23: belowFactory(() => ({ 'no basic constraints': { ca: { basicConstraints: null } } })),
  T24: chains(pathTooLong),
  T25: belowFactory(() => CONSTRAINED),
  T27: chains(withoutIntermediate),
  T28: chains(towers),
  T29: chains(circles),
  T32: oddCurves,
} as const satisfies Record<string, Runner>
