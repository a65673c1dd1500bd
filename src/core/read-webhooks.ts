// `webhooks:` of the configuration: which networks inside may be told something, and whose CA their servers are of.

import type { MapEntry, SourceNode, TreeReader } from './source-tree.ts'

export interface WebhookRules {
  /** Networks, as 10.20.0.0/16 or a single address, to which webhooks may go though they are internal. */
  readonly allow: readonly string[]
  /** A PEM file with CAs that receivers' certificates may be of, besides those that everybody trusts. */
  readonly caFile: string | undefined
}

const DEFAULT_WEBHOOKS: WebhookRules = { allow: [], caFile: undefined }
const NETWORKS_MAX = 64

/** The version of an IP address; 0: it is none. */
export type VersionOf = (address: string) => number

export interface Network {
  readonly address: string
  readonly prefix: number
  readonly version: 4 | 6
}

/** An address, or one with the length of its prefix. A zone (fe80::1%eth0) means something on one machine only. */
export function parseNetwork(text: string, versionOf: VersionOf): Network | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const version = versionOf(address)
  if ((version !== 4 && version !== 6) || more.length > 0 || address.includes('%')) return undefined
  const bits = BITS[version]
  const length = prefix === undefined ? bits : /^(?:0|[1-9]\d{0,2})$/.test(prefix) ? Number(prefix) : Number.NaN
  return length <= bits ? { address, prefix: length, version } : undefined
}

const BITS = { 4: 32, 6: 128 } as const

/** `place`: a path in the home. */
export function readWebhooks(reader: TreeReader, node: SourceNode | undefined, versionOf: VersionOf, place: (file: string) => string): WebhookRules {
  const map = node && reader.map(node, 'webhooks', ['allow', 'ca'])
  if (map === undefined) return DEFAULT_WEBHOOKS
  const ca = map.get('ca')
  const file = ca && reader.string(ca.value, 'webhooks.ca')
  return { allow: networksOf(reader, map.get('allow'), versionOf), caFile: file === undefined ? undefined : place(file) }
}

function networksOf(reader: TreeReader, entry: MapEntry | undefined, versionOf: VersionOf): readonly string[] {
  const nodes = (entry && reader.list(entry.value, 'webhooks.allow')) ?? []
  if (entry !== undefined && nodes.length > NETWORKS_MAX) reader.report(entry.value.at, `webhooks.allow: at most ${NETWORKS_MAX} networks.`)
  return nodes.flatMap((node) => {
    const text = reader.string(node, 'a network')
    if (text === undefined) return []
    if (parseNetwork(text, versionOf) !== undefined) return [text]
    reader.report(node.at, 'webhooks.allow: this is not a network.', 'Write it as 10.20.0.0/16 or fd00:1::/64, or a single address.')
    return []
  })
}
