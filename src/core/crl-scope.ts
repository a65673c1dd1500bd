// How the CRL of an issuer is cut into shards. The scope of a shard names their number, too: where that is changed, the
// certificates that point to the old shards go on finding them.

/** 'which of how many', from 1: '3of16'. */
export type CrlScope = string

/** The list of all of an issuer's certificates. */
export const WHOLE: CrlScope = ''

/** Serials are random: their last two octets spread them evenly, and anybody can compute it. */
export function shardOf(serial: string, shards: number): CrlScope {
  return scopeName((Number.parseInt(serial.slice(-4), 16) % shards) + 1, shards)
}

const scopeName = (shard: number, shards: number): CrlScope => `${shard}of${shards}`

/** All shards of one cut. */
export function scopesOf(shards: number): readonly CrlScope[] {
  return Array.from({ length: shards }, (_, i) => scopeName(i + 1, shards))
}

/** The number of shards that this scope is one of; undefined for the whole. */
export function shardsOf(scope: CrlScope): number | undefined {
  const [, shards] = /^\d+of(\d+)$/.exec(scope) ?? []
  return shards === undefined ? undefined : Number(shards)
}

/** The file of a CRL, in the folder and in its URL: 'issuing-1.crl', 'issuing-1-3of16.crl'. */
export function crlName(issuer: string, scope: CrlScope): string {
  return scope === WHOLE ? `${issuer}.crl` : `${issuer}-${scope}.crl`
}

/** The CRL that a new certificate points to. */
export function crlUrl(base: string, issuer: string, scope: CrlScope): string {
  return `${base}/crl/${crlName(issuer, scope)}`
}
