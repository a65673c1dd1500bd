// Which certificates go with which: the root above an issuing CA, the chain that a certificate is given with, and the chain that
// the server shows, so that a device verifies it whether it knows the old root, the new one or both. It makes and writes nothing.

import type { CaName, EpochMs } from '../core/ids.ts'
import type { CaRecord, CaState, CrossCertificate, Registry } from '../core/registry.ts'
import { certificateParts } from '../x509/certificate.ts'
import { openPublicKey } from '../x509/keys.ts'
import { isCertificateSignedBy } from '../x509/signatures.ts'

/** States in which the door takes certificates of a CA. */
const STATES_IN_FORCE: readonly CaState[] = ['trusted', 'current', 'replaced']

export const isInForce = (ca: Pick<CaRecord, 'state'>): boolean => STATES_IN_FORCE.includes(ca.state)

export function currentCa(cas: readonly CaRecord[], role: 'root' | 'issuing'): CaRecord | undefined {
  return cas.find((ca) => ca.role === role && ca.state === 'current')
}

/** What a device is given to verify this server with, the current root first. */
export function rootsInForce(cas: readonly CaRecord[]): readonly CaRecord[] {
  const roots = cas.filter((ca) => ca.role === 'root' && isInForce(ca))
  return roots.toSorted((a, b) => Number(b.state === 'current') - Number(a.state === 'current'))
}

/** The root that signed this issuing CA: two roots may have one name, never one key. */
export function rootOf(issuing: CaRecord, cas: readonly CaRecord[]): CaRecord | undefined {
  return cas.find((ca) => ca.role === 'root' && isSignedBy(issuing.der, ca))
}

function isSignedBy(der: Uint8Array, issuer: CaRecord): boolean {
  const parts = certificateParts(issuer.der)
  const key = parts.allow ? openPublicKey(parts.value.spki.raw) : undefined
  return key !== undefined && isCertificateSignedBy(der, key)
}

/** What stands between a certificate of this CA and its root, leaf side first. */
export function chainOf(issuer: CaName, cas: readonly CaRecord[]): readonly Uint8Array[] {
  return cas.filter((ca) => ca.name === issuer && ca.role === 'issuing').map(({ der }) => der)
}

/**
 * The chain of the server: its issuing CA, then one certificate for each older root that a device may know alone, each signed by
 * the root before. Where there is no older one, the same for a newer root. It is one line: many clients try only one.
 * A link is shown as long as it is in force, also when its root is retired: the device that knows that root alone needs it.
 */
export function serverChain(issuing: CaRecord, cas: readonly CaRecord[], crosses: readonly CrossCertificate[], now: EpochMs): readonly Uint8Array[] {
  const chain = [issuing.der]
  const age = (name: CaName): number => cas.findIndex((ca) => ca.name === name)
  let root = rootOf(issuing, cas)
  while (root !== undefined) {
    const { name, spkiSha256 } = root
    const links = crosses.filter((cross) => cross.spkiSha256 === spkiSha256 && cross.notAfter > now)
    const link = links.find((cross) => age(cross.issuer) < age(name)) ?? (chain.length === 1 ? links.find(({ issuer }) => cas.some((ca) => ca.name === issuer && isInForce(ca))) : undefined)
    if (link === undefined || chain.includes(link.der)) return chain
    chain.push(link.der)
    // Whoever knows a newer root alone has what it needs; the way on from there leads back.
    root = age(link.issuer) < age(name) ? cas.find((ca) => ca.name === link.issuer) : undefined
  }
  return chain
}

/**
 * The CA that the server's own certificate is of. The current one, unless some root that devices know alone does not vouch for its
 * root, as that of a CA that was made elsewhere: then the one before, until that is retired.
 */
export function issuerOfServer(cas: readonly CaRecord[], crosses: readonly CrossCertificate[]): CaRecord | undefined {
  const current = currentCa(cas, 'issuing')
  const root = current && rootOf(current, cas)
  if (current === undefined || root === undefined) return current
  const strange = cas.find((ca) => ca.role === 'root' && ca.state === 'replaced' && !crosses.some((cross) => cross.issuer === ca.name && cross.spkiSha256 === root.spkiSha256))
  if (strange === undefined) return current
  return cas.findLast((ca) => ca.role === 'issuing' && ca.state === 'replaced' && rootOf(ca, cas)?.name === strange.name) ?? current
}

/** What anybody may fetch who has to build a chain: what signs now first, the roots behind it, and what roots have given each other. DER. */
export function publishedCas(registry: Pick<Registry, 'cas' | 'crossCertificates'>): readonly Uint8Array[] {
  const cas = registry.cas().filter((ca) => ca.role !== 'trusted' && isInForce(ca))
  const place = ({ role, state }: CaRecord): number => (role === 'root' ? 2 : 0) + (state === 'current' ? 0 : 1)
  return [...cas.toSorted((a, b) => place(a) - place(b)), ...registry.crossCertificates()].map(({ der }) => der)
}
