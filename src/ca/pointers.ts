// Where the certificates of this CA point: the URLs of the public door, where it has one, for what their profile names. A
// certificate that points nowhere is worse than one that does not point.

import { crlUrl, shardOf, WHOLE } from '../core/crl-scope.ts'
import type { CaName, SerialNumber } from '../core/ids.ts'
import type { Pointers } from '../x509/pointers.ts'
import type { Profile } from './profiles.ts'

/** How the public door is reached from outside. */
export interface PublicDoor {
  /** Without a slash at its end. */
  readonly url: string
  /** Into how many shards the CRL is cut; the shard of a certificate is fixed when it is issued. */
  readonly crlShards: number
}

export function pointersOf(profile: Pick<Profile, 'pointers' | 'ocspNoCheck'>, issuer: CaName, serial: SerialNumber, door: PublicDoor | undefined): Pointers {
  const points = (to: Profile['pointers'][number]): boolean => door !== undefined && profile.pointers.includes(to)
  return {
    ...(profile.ocspNoCheck ? { ocspNoCheck: true } : {}),
    ...(door !== undefined && points('issuer') ? { issuer: `${door.url}/ca/${issuer}.cer` } : {}),
    ...(door !== undefined && points('ocsp') ? { ocsp: `${door.url}/ocsp` } : {}),
    ...(door !== undefined && points('crl') ? { crl: crlUrl(door.url, issuer, door.crlShards > 1 ? shardOf(serial, door.crlShards) : WHOLE) } : {}),
  }
}
