// What the ladder remembers of devices, and what it forgets first when there are too many: who was quiet for longest, and is on no
// rung. A device can fill its own place only, so that nobody pushes another one out without as many certificates as there are places.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { Signal } from '../../vocabulary.ts'
import type { DeviceId } from '../ids.ts'
import { windowOf } from './rules.ts'
import { Tally, Variety } from './tally.ts'
import { newUsual, type Usual } from './usual.ts'

/** On a rung, in the ladder's own time; and what took the device there. */
export interface Stay {
  readonly since: number
  /** When it was last reached. */
  last: number
  readonly signal: Signal
  readonly count: number
}

export interface Watched {
  readonly tallies: Partial<Record<Signal, Tally>>
  /** By the number of the rung. */
  readonly stays: (Stay | undefined)[]
  /** The rung that was told of last. */
  rung: number
}

type Varied = 'topics' | 'client-ids'

export interface Memory {
  readonly size: number
  of(device: DeviceId): Watched | undefined
  /** One more; how many that makes. */
  count(device: DeviceId, signal: Signal, at: number): number
  /** One more that may be like one before; how many different ones that makes. */
  vary(device: DeviceId, signal: Varied, hash: number, at: number): number
  usual(device: DeviceId, at: number): Usual
  /** Those on a rung. */
  pinned(): Iterable<readonly [DeviceId, Watched]>
  pin(device: DeviceId, isOnRung: boolean): void
  forget(device: DeviceId): void
}

export function openMemory(): Memory {
  // Maps keep insertion order: the first key is the one that was quiet for longest, because every use re-inserts.
  const watched = new Map<DeviceId, Watched>()
  const varieties = new Map<DeviceId, Partial<Record<Varied, Variety>>>()
  const usuals = new Map<DeviceId, Usual>()
  const onRung = new Set<DeviceId>()

  function use<T>(map: Map<DeviceId, T>, device: DeviceId, max: number, make: () => T): T {
    const value = map.get(device) ?? make()
    map.delete(device)
    map.set(device, value)
    if (map.size > max) dropLeastWanted(map)
    return value
  }

  /** Of the quietest the first that is on no rung; where many are, the quietest: the bound comes first. */
  function dropLeastWanted<T>(map: Map<DeviceId, T>): void {
    let tried = 0
    for (const [device, value] of map) {
      map.delete(device)
      tried += 1
      if (!onRung.has(device)) return
      if (tried >= TRIED_MAX) {
        if (watched.get(device) === undefined) onRung.delete(device)
        return
      }
      map.set(device, value)
    }
  }

  function watch(device: DeviceId): Watched {
    return use(watched, device, DETECTION_LIMITS.devicesTrackedMax, () => ({ tallies: {}, stays: [], rung: 0 }))
  }

  return {
    get size() {
      return watched.size
    },
    of: (device) => watched.get(device),
    count(device, signal, at) {
      const { tallies } = watch(device)
      const tally = (tallies[signal] ??= new Tally(windowOf(signal)))
      tally.add(at)
      return tally.total(at)
    },
    vary(device, signal, hash, at) {
      watch(device)
      const of = use(varieties, device, DETECTION_LIMITS.varietiesTrackedMax, (): Partial<Record<Varied, Variety>> => ({}))
      const variety = (of[signal] ??= new Variety(windowOf(signal)))
      variety.add(at, hash)
      return variety.total(at)
    },
    usual(device, at) {
      const before = usuals.get(device)
      if (before !== undefined) return before
      const fresh = newUsual(at)
      // Who comes when there is no room is not remembered, and so never an outlier, until somebody is gone for good.
      if (usuals.size >= DETECTION_LIMITS.devicesTrackedMax) {
        const [oldest] = usuals
        if (oldest === undefined) return fresh
        usuals.delete(oldest[0])
        if (at - oldest[1].at < DETECTION_LIMITS.usualMs) {
          usuals.set(...oldest)
          return fresh
        }
      }
      usuals.set(device, fresh)
      return fresh
    },
    *pinned() {
      for (const device of onRung) {
        const found = watched.get(device)
        if (found !== undefined) yield [device, found]
      }
    },
    pin(device, isOnRung) {
      if (isOnRung) onRung.add(device)
      else onRung.delete(device)
    },
    forget(device) {
      watched.delete(device)
      varieties.delete(device)
      onRung.delete(device)
    },
  }
}

/** Looking for one that is on no rung must not cost a walk through all. */
const TRIED_MAX = 64
