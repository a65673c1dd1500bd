// Which addresses a webhook may go to: those of the public Internet, and the internal ones that the configuration lists. Everything
// else could be a door that only this machine can reach (A05): loopback, private and link-local networks, the metadata of a cloud, and
// whatever wraps an IPv4 address into an IPv6 one.

import { BlockList, isIP } from 'node:net'
import { allow, deny, type Decision } from '../core/decision.ts'
import { parseNetwork } from '../core/webhook.ts'

type Family = 'ipv4' | 'ipv6'
type Network = readonly [address: string, prefix: number]

/** IANA's registry of special-purpose IPv4 addresses, and multicast (RFC 5771) and what is reserved. */
const INTERNAL_4: readonly Network[] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.31.196.0', 24], ['192.52.193.0', 24],
  ['192.88.99.0', 24], ['192.168.0.0', 16], ['192.175.48.0', 24], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
]
/** Of the only block of IPv6 that is given out (2000::/3): IETF protocols with Teredo, documentation, 6to4. */
const INTERNAL_6: readonly Network[] = [['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['2620:4f:8000::', 48], ['3fff::', 20]]

const listOf = (networks: readonly Network[], family: Family): BlockList => {
  const list = new BlockList()
  for (const [address, prefix] of networks) list.addSubnet(address, prefix, family)
  return list
}
const SPECIAL_4 = listOf(INTERNAL_4, 'ipv4')
const SPECIAL_6 = listOf(INTERNAL_6, 'ipv6')
const GIVEN_OUT_6 = listOf([['2000::', 3]], 'ipv6')

const FAMILIES = { 4: 'ipv4', 6: 'ipv6' } as const
const familyOf = (address: string): Family | undefined => ({ 0: undefined, ...FAMILIES })[isIP(address)]

export interface Addresses {
  /** May a webhook go to this address? Reason: webhook-address-internal. */
  judge(address: string): Decision<void>
}

export function openAddresses(allowed: readonly string[]): Addresses {
  const list = new BlockList()
  for (const text of allowed) {
    const network = parseNetwork(text, isIP)
    if (network !== undefined) list.addSubnet(network.address, network.prefix, FAMILIES[network.version])
  }
  return {
    judge(text) {
      const address = unmapped(text)
      const family = familyOf(address)
      const isPublic = family === 'ipv4' ? !SPECIAL_4.check(address, 'ipv4') : family === 'ipv6' && GIVEN_OUT_6.check(address, 'ipv6') && !SPECIAL_6.check(address, 'ipv6')
      return family !== undefined && (isPublic || list.check(address, family)) ? allow(undefined) : deny('webhook-address-internal', address)
    },
  }
}

/** ::ffff:192.0.2.1, however it is written, is 192.0.2.1: that is where a packet to it goes. */
function unmapped(address: string): string {
  const text = address.replaceAll(/^\[|\]$/g, '').replace(/%.*$/, '')
  if (isIP(text) !== 6) return text
  // As the parser of URLs writes it, an IPv6 address has one form.
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical)
  if (mapped === null) return canonical
  const [high, low] = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)]
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}
