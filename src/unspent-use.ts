// A use of a token that brought no certificate: the signer was away, or the program ended on the way. Who brings his own key asks again
// with that key. Where the key is made here it is lost with the answer, and the use is handed on to the next key of the same device.

import type { DeviceId, KeyHash, TokenName } from './core/ids.ts'
import type { Registry } from './core/registry.ts'
import { allCertificatesOf } from './device-certificates.ts'

/** The key that stands for such a use; undefined: there is none. Whether it is so still is to be expected of the commit that hands it on. */
export function unspentUse(registry: Pick<Registry, 'tokenUses' | 'certificates'>, token: TokenName, device: DeviceId): KeyHash | undefined {
  const keys = registry.tokenUses(token, device)
  if (keys.length === 0) return undefined
  const signed = new Set(allCertificatesOf(registry, device).filter(({ sha256 }) => sha256 !== undefined).map(({ spkiSha256 }) => spkiSha256))
  return keys.find((key) => !signed.has(key))
}
