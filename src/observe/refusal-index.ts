// The newest refusals, in memory: asked about in milliseconds, however long the audit log is. A ring with a bound on how many there are
// and on what they weigh; it says how far back it reaches. It reads records of the log, and knows nothing that they do not say.

import { FEED_LIMITS } from '../feed-limits.ts'
import type { Reach, RefusalFilter, RefusalGroup, RefusalGroups, RefusalPage, RefusalQuery, RefusalShown } from '../core/feed-desk.ts'

export interface RefusalIndex {
  /** `bytes`: what its line weighs. */
  add(shown: RefusalShown, bytes: number): void
  /** One that was written before all that are here; false: there is no room for it, nor for any before it. */
  addOlder(shown: RefusalShown, bytes: number): boolean
  /** The log was read as far back as it goes, or as anybody reads it. */
  restored(isComplete: boolean): void
  /** `isOf`: is this device of the tenant that is asked about? */
  page(query: RefusalQuery, isOf?: IsOf): RefusalPage
  groups(filter: RefusalFilter, isOf?: IsOf): RefusalGroups
  get(id: number): RefusalShown | undefined
  /** Newest first, those that are of one peer and reason with this one. */
  similar(to: RefusalShown): readonly RefusalShown[]
  newest(count: number): readonly RefusalShown[]
  readonly reach: Reach
}

/** Is this device of this tenant? */
export type IsOf = (device: string, tenant: string) => boolean
const nobody: IsOf = () => false

interface Entry {
  readonly shown: RefusalShown
  readonly bytes: number
}

export function openRefusalIndex(bounds: { readonly countMax: number; readonly bytesMax: number } = { countMax: FEED_LIMITS.refusalsMax, bytesMax: FEED_LIMITS.refusalsBytesMax }): RefusalIndex {
  /** Oldest first. Those before `from` are gone; the array is cut when they are many. */
  let entries: Entry[] = []
  /** Newest first, until the log was read: then they go before all others. */
  let older: Entry[] = []
  let from = 0
  let bytes = 0
  let complete = false
  let reading = true

  const size = (): number => entries.length - from + older.length
  const isOver = (): boolean => size() > bounds.countMax || bytes > bounds.bytesMax

  function dropOldest(): void {
    const gone = older.pop() ?? entries[from++]
    bytes -= gone?.bytes ?? 0
    complete = false
    if (from <= bounds.countMax) return
    entries = entries.slice(from)
    from = 0
  }

  function* newestFirst(): Generator<RefusalShown> {
    for (let at = entries.length - 1; at >= from; at--) {
      const entry = entries[at]
      if (entry !== undefined) yield entry.shown
    }
    for (const { shown } of older) yield shown
  }

  const reach = (): Reach => {
    const oldest = older.at(-1) ?? entries[from]
    return { ...(oldest === undefined ? {} : { since: oldest.shown.at }), complete, reading }
  }

  function* matching(filter: RefusalFilter, isOf: IsOf = nobody): Generator<RefusalShown> {
    const fits = fitting(filter, isOf)
    for (const shown of newestFirst()) if (fits(shown)) yield shown
  }

  return {
    get reach() {
      return reach()
    },
    add(shown, weight) {
      entries.push({ shown, bytes: weight })
      bytes += weight
      while (isOver()) dropOldest()
    },
    addOlder(shown, weight) {
      if (size() >= bounds.countMax || bytes + weight > bounds.bytesMax) return false
      older.push({ shown, bytes: weight })
      bytes += weight
      return true
    },
    restored(isComplete) {
      entries = [...older.toReversed(), ...entries.slice(from)]
      from = 0
      older = []
      complete = isComplete
      reading = false
    },
    page(query, isOf) {
      const limit = query.limit ?? FEED_LIMITS.pageDefault
      // A cursor is the number of the last one that was shown: what came since does not move the page.
      const before = query.after === undefined ? Number.POSITIVE_INFINITY : Number(query.after)
      const items: RefusalShown[] = []
      for (const shown of matching(query, isOf)) {
        if (!(shown.id < before)) continue
        if (items.length === limit) return { items, next: String(items.at(-1)?.id), reach: reach() }
        items.push(shown)
      }
      return { items, reach: reach() }
    },
    groups(filter, isOf) {
      const groups = new Map<string, { -readonly [K in keyof RefusalGroup]: RefusalGroup[K] }>()
      for (const shown of matching(filter, isOf)) {
        const key = likenessOf(shown)
        const group = groups.get(key)
        if (group === undefined) groups.set(key, groupOf(shown))
        else {
          group.count += shown.count
          group.first = shown.at
        }
      }
      const all = [...groups.values()].toSorted((a, b) => b.count - a.count || b.id - a.id)
      return { items: all.slice(0, FEED_LIMITS.groupsMax), more: Math.max(0, all.length - FEED_LIMITS.groupsMax), reach: reach() }
    },
    get(id) {
      for (const shown of newestFirst()) {
        if (shown.id === id) return shown
        if (shown.id < id) return undefined
      }
      return undefined
    },
    similar(to) {
      const key = likenessOf(to)
      return [...newestFirst()].filter((shown) => likenessOf(shown) === key)
    },
    newest(count) {
      const found: RefusalShown[] = []
      for (const shown of newestFirst()) {
        if (found.length === count) break
        found.push(shown)
      }
      return found
    },
  }
}

/** Of one reason and one peer: by the device where it is known, by the name that is claimed, or by the address. */
function likenessOf({ reason, device, claimed, address }: RefusalShown): string {
  if (device !== undefined) return `${reason} device/${device}`
  return claimed === undefined ? `${reason} address/${address ?? ''}` : `${reason} claimed/${claimed}`
}

function groupOf({ reason, step, sentence, device, claimed, address, count, at, id }: RefusalShown): RefusalGroup {
  const peer = device !== undefined ? { device } : claimed === undefined ? {} : { claimed }
  return { reason, step, sentence, ...peer, ...(address === undefined ? {} : { address }), count, first: at, last: at, id }
}

function fitting({ step, reason, device, address, since, until, q, tenant }: RefusalFilter, isOf: IsOf): (shown: RefusalShown) => boolean {
  const text = q?.toLowerCase()
  return (shown) =>
    (tenant === undefined || isOf(shown.device ?? shown.claimed ?? '', tenant)) &&
    (step === undefined || shown.step === step) &&
    (reason === undefined || shown.reason === reason) &&
    (device === undefined || shown.device === device || shown.claimed === device) &&
    (address === undefined || shown.address === address) &&
    (since === undefined || shown.at >= since) &&
    (until === undefined || shown.at < until) &&
    (text === undefined || textsOf(shown).some((each) => each?.toLowerCase().includes(text)))
}

function textsOf({ reason, sentence, detail, device, claimed, address, clientId, topic, rule, presented }: RefusalShown): readonly (string | undefined)[] {
  return [reason, sentence, detail, device, claimed, address, clientId, topic, rule, presented?.subject, presented?.issuer, presented?.serial, presented?.sha256]
}
