// Chance that repeats: the same seed, the same numbers. Mulberry32, of Tommy Ettinger, public domain.

export interface Chance {
  /** 0 ≤ x < 1 */
  next(): number
  /** So many of the items, each once, in the order of the list. */
  pick<T>(items: readonly T[], count: number): readonly T[]
}

export function openChance(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  return {
    next,
    pick(items, count) {
      const left = [...items.keys()]
      const chosen = new Set<number>()
      while (chosen.size < count && left.length > 0) {
        const [index] = left.splice(Math.floor(next() * left.length), 1)
        if (index !== undefined) chosen.add(index)
      }
      return items.filter((_, index) => chosen.has(index))
    },
  }
}
