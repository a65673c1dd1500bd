// A source address as whoever counts by it sees it: one form for one peer, and one key for all addresses that one peer has.

/** `::ffff:192.0.2.1` and `192.0.2.1` are one address; a dual-stack socket reports the former. */
export function sourceAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/**
 * An attacker with a whole IPv6 /64 owns 2^64 addresses; they share one bucket. IPv4 addresses stand for themselves.
 */
export function sourceKey(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const front = head.split(':').filter((g) => g !== '')
  const back = tail === undefined ? [] : tail.split(':').filter((g) => g !== '')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length)
  return [...front, ...Array<string>(zeros).fill('0'), ...back].slice(0, 4).join(':')
}
