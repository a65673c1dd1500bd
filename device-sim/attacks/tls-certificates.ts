// Family T: certificates that the TLS door must turn away.

import { forgeIssuing, forgeLeaf, forgeRoot, lookalikeOf, type LeafWishes } from '../forge/authority.ts'
import { basicConstraints, keyUsage } from '../forge/certificate.ts'
import { OID } from '../forge/der.ts'
import { keyPem, mismatchedKey, privateKey } from '../forge/keys.ts'
import type { Identity } from '../identities.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { flawed, impostors, issuingOf, presenting } from './impostors.ts'

function strangers(device: Identity): Readonly<Record<string, Credentials>> {
  const root = forgeRoot('Another organisation')
  const issuing = forgeIssuing(root, 'Another organisation')
  return { 'unknown CA': presenting(forgeLeaf(issuing, device.id), issuing.certificate, root.certificate) }
}

function lookalikes(arena: Arena, device: Identity): Readonly<Record<string, Credentials>> {
  const issuing = lookalikeOf(arena.issuing)
  const root = lookalikeOf(arena.root)
  return {
    'look-alike of the issuing CA': presenting(forgeLeaf(issuing, device.id), issuing.certificate),
    'look-alike of the issuing CA, real one presented': presenting(forgeLeaf(issuing, device.id), arena.issuing),
    'look-alike of the root': presenting(forgeLeaf(root, device.id), root.certificate),
  }
}

function lookalikeIntermediates(arena: Arena, device: Identity): Readonly<Record<string, Credentials>> {
  const root = lookalikeOf(arena.root)
  const issuing = lookalikeOf(arena.issuing, root)
  return { 'look-alike intermediate below a look-alike root': presenting(forgeLeaf(issuing, device.id), issuing.certificate, root.certificate) }
}

const SECOND = 1_000
const YEAR = 365 * 24 * 3_600 * SECOND

const expired = (ago: number): LeafWishes => ({ notBefore: Date.now() - 2 * YEAR, notAfter: Date.now() - ago })

const CA_LEAF: LeafWishes = { basicConstraints: basicConstraints(true), keyUsage: keyUsage('digitalSignature', 'keyCertSign') }

async function authoritiesAsClients(arena: Arena, bench: Bench): Promise<void> {
  await impostors(() => ({ 'the issuing CA itself': presenting(issuingOf(arena)), ...(arena.factoryAuthority === undefined ? {} : { 'the trusted CA itself': presenting(arena.factoryAuthority) }) }))(arena, bench)
  await flawed(() => ({ 'a leaf that is a CA': CA_LEAF }), 'leaf')(arena, bench)
}

/** T36: OpenSSL loads the stolen certificate only with a key that claims its public half. */
function stolen(_arena: Arena, victim: Identity): Readonly<Record<string, Credentials>> {
  return { 'stolen certificate': { cert: victim.cert, key: keyPem(mismatchedKey(privateKey(), victim.keyObject)) } }
}

export const TLS_CERTIFICATE_CASES = {
  T01: impostors(() => ({ 'no certificate': undefined })),
  T02: impostors((arena, device) => ({ 'self-signed': presenting(forgeLeaf({ certificate: arena.issuing, key: privateKey() }, device.id, { selfSigned: true })) })),
  T03: impostors((_arena, device) => strangers(device)),
  T04: impostors(lookalikes),
  T05: impostors(lookalikeIntermediates),
  T06: flawed(() => ({ 'expired 1 s ago': expired(SECOND), 'expired 1 y ago': expired(YEAR) })),
  T16: flawed(() => ({ serverAuth: { extendedKeyUsage: [OID.serverAuth] } })),
  T17: flawed(() => ({ 'no usage': { extendedKeyUsage: null } })),
  T21: authoritiesAsClients,
  T36: impostors(stolen),
} as const satisfies Record<string, Runner>
