// Revocation lists of the forge, for brokers that read them: the list that an operator's CA would publish.

import { sign } from 'node:crypto'
import { Constructed, Integer } from 'asn1js'
import type { ForgedAuthority } from './authority.ts'
import { authorityKeyId, extensionBlock, keyIdentifier, readCertificate, signatureAlgorithm } from './certificate.ts'
import { bits, der, integer, OID, raw, sequence, time } from './der.ts'

const DAY = 24 * 3_600 * 1_000

export interface CrlPlan {
  /** Content octets of the serial numbers. */
  readonly serials: readonly Buffer[]
  readonly number: number
  /** Milliseconds since 1970. */
  readonly thisUpdate: number
}

/** A version 2 list in DER, valid for a month. RFC 5280 §5.1. */
export function forgeCrl(authority: ForgedAuthority, { serials, number, thisUpdate }: CrlPlan): Buffer {
  const issuer = readCertificate(authority.certificate)
  const algorithm = signatureAlgorithm(authority.key)
  const entries = serials.map((serial) => sequence(integer(serial), time(thisUpdate)))
  const extensions = [authorityKeyId(keyIdentifier(issuer.spki)), { id: OID.crlNumber, critical: false, value: der(new Integer({ value: number })) }]
  const tbs = der(sequence(
    new Integer({ value: 1 }),
    algorithm,
    raw(issuer.subject),
    time(thisUpdate),
    time(thisUpdate + 30 * DAY),
    // An empty list has no field for its entries.
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [sequence(...extensions.map(extensionBlock))] }),
  ))
  return der(sequence(raw(tbs), algorithm, bits(sign('sha256', tbs, authority.key))))
}
