// Where messages of a topic went last time, as long as no subscription that could match it has changed. Topics that the
// same filters match share one route. It forgets by halves: what was not asked for since the last time goes when the rest
// is full, so that neither a spray of topics nor a crowd of subscribers can make it grow.

import { ROUTER_LIMITS } from '../limits.ts'
import type { Subscriber } from '../core/router.ts'
import type { Levels } from '../core/topic.ts'
import type { Leaf, Merged } from './merge.ts'

/** What a set of filters comes to, and for which state of them that was found. */
export interface Remembered<S extends Subscriber> {
  merged: Merged<S>
  version: number
}

interface Topic<S extends Subscriber> {
  readonly set: Remembered<S>
  readonly key: string
  /** The counters of all beginnings of this topic, and what they added up to. */
  readonly counters: readonly number[]
  sum: number
  /** When that was last found to hold, in changes of subscriptions. */
  checkedAt: number
}

interface Half<S extends Subscriber> {
  readonly topics: Map<string, Topic<S>>
  /** By the ids of the filters. Each set of these topics is here. */
  readonly sets: Map<string, Remembered<S>>
  weight: number
}

export interface RouteMemory<S extends Subscriber> {
  get(topic: string): Remembered<S> | undefined
  /** Merges what matches, unless that is remembered for another topic, and remembers it. */
  put(topic: string, levels: Levels, leaves: readonly Leaf<S>[]): Remembered<S>
  /** Something changed at this filter; for a shared subscription, its inner filter. */
  changed(filter: Levels): void
  clear(): void
  readonly topics: number
  /** Deliveries and what counts as such. */
  readonly weight: number
}

const TOPICS_MAX = ROUTER_LIMITS.topicsRememberedMax / 2
const WEIGHT_MAX = ROUTER_LIMITS.deliveriesRememberedMax / 2

// FNV-1a.
const HASH_START = 0x811c9dc5
const HASH_PRIME = 0x01000193

function hashOf(level: string, before: number): number {
  let hash = before
  for (let i = 0; i < level.length; i++) hash = Math.imul(hash ^ level.charCodeAt(i), HASH_PRIME)
  return Math.imul(hash ^ 0x2f, HASH_PRIME)
}

/** The counter of each beginning of these levels: of none, of the first, of the first two, and so on. */
function countersOf(levels: Levels, depth: number): number[] {
  let hash = HASH_START
  const counters = [(hash >>> 0) % ROUTER_LIMITS.prefixCountersMax]
  for (let i = 0; i < Math.min(depth, ROUTER_LIMITS.prefixLevelsMax); i++) {
    hash = hashOf(levels[i] ?? '', hash)
    counters.push((hash >>> 0) % ROUTER_LIMITS.prefixCountersMax)
  }
  return counters
}

function emptyHalf<S extends Subscriber>(): Half<S> {
  return { topics: new Map(), sets: new Map(), weight: 0 }
}

export function openRouteMemory<S extends Subscriber>(merge: (leaves: readonly Leaf<S>[]) => Merged<S>): RouteMemory<S> {
  let young = emptyHalf<S>()
  let old = emptyHalf<S>()
  // Doubles: they do not wrap around.
  const counts = new Float64Array(ROUTER_LIMITS.prefixCountersMax)
  let changes = 0

  function sumOf(counters: readonly number[]): number {
    let sum = 0
    for (const counter of counters) sum += counts[counter] ?? 0
    return sum
  }

  function isFresh(known: Topic<S>): boolean {
    if (known.checkedAt === changes) return true
    // Counters only grow: the sum is the same when each of them is.
    if (sumOf(known.counters) !== known.sum) return false
    known.checkedAt = changes
    return true
  }

  /** It stays where it is, to be replaced: a Map whose keys come and go gets slow. */
  function outdate(known: Topic<S> | undefined): void {
    if (known === undefined) return
    known.sum = Number.NaN
    known.checkedAt = -1
  }

  function keep(topic: string, known: Topic<S>): void {
    const { set, key } = known
    const isNew = young.sets.get(key) !== set
    if (young.topics.size >= TOPICS_MAX || young.weight + (isNew ? set.merged.weight : 0) > WEIGHT_MAX) {
      old = young
      young = emptyHalf()
    }
    young.topics.set(topic, known)
    if (young.sets.get(key) === set) return
    young.sets.set(key, set)
    young.weight += set.merged.weight
  }

  function setOf(key: string, leaves: readonly Leaf<S>[]): Remembered<S> {
    let version = 0
    for (const leaf of leaves) version += leaf.version
    const known = young.sets.get(key) ?? old.sets.get(key)
    if (known?.version === version) return known
    const merged = merge(leaves)
    // One that is too large to be remembered leaves what is known of the same filters as outdated as it is.
    if (known === undefined || merged.weight > WEIGHT_MAX) return { merged, version }
    // In place: all topics that share it share what is new, and what is old is held by nobody.
    if (young.sets.get(key) === known) young.weight += merged.weight - known.merged.weight
    known.merged = merged
    known.version = version
    return known
  }

  return {
    get(topic) {
      const known = young.topics.get(topic)
      if (known !== undefined) return isFresh(known) ? known.set : undefined
      const before = old.topics.get(topic)
      if (before === undefined || !isFresh(before)) return undefined
      keep(topic, before)
      return before.set
    },
    put(topic, levels, leaves) {
      let key = ''
      for (const { id } of leaves) key += `${id},`
      const set = setOf(key, leaves)
      if (set.merged.weight > WEIGHT_MAX) return set
      const counters = countersOf(levels, levels.length)
      keep(topic, { set, key, counters, sum: sumOf(counters), checkedAt: changes })
      return set
    },
    changed(filter) {
      changes++
      const wildcard = filter.findIndex((level) => level === '+' || level === '#')
      if (wildcard === -1) {
        const topic = filter.join('/')
        outdate(young.topics.get(topic))
        outdate(old.topics.get(topic))
        return
      }
      const counter = countersOf(filter, wildcard).at(-1) ?? 0
      counts[counter] = (counts[counter] ?? 0) + 1
    },
    clear() {
      young = emptyHalf()
      old = emptyHalf()
    },
    get topics() { return young.topics.size + old.topics.size },
    get weight() { return young.weight + old.weight },
  }
}
