// A walk past all connections, a little at a time: among ten thousand of them no message waits until each was looked at.

import { BROKER_LIMITS } from '../../limits.ts'
import type { Link } from './link.ts'

/** What looks at each connection once in a walk, between `begin` and `end`. */
export interface Looker {
  begin?(): void
  look(link: Link): void
  /** What comes of it; where that is much, step by step. */
  end?(): Iterable<void>
}

export interface Walk {
  /** To be called every second. A walk that is under way goes on; the next begins when this is called after its end. */
  begin(): void
  stop(): void
}

/** Connections that come during a walk are looked at in it; those that go before their turn are not. */
export function openWalk(open: ReadonlySet<Link>, lookers: readonly Looker[]): Walk {
  /** While a walk is under way. One that fails is over: the next looks at everybody again, so that no certificate outlives its end for it. */
  let turn: NodeJS.Immediate | undefined

  function* steps(): Generator<void> {
    for (const looker of lookers) looker.begin?.()
    for (const link of open) {
      for (const looker of lookers) looker.look(link)
      yield
    }
    for (const looker of lookers) yield* looker.end?.() ?? []
  }

  function goOn(walk: Iterator<void>): void {
    turn = undefined
    const end = performance.now() + BROKER_LIMITS.walkSliceMs
    do {
      for (let n = 0; n < BROKER_LIMITS.walkStepsAtOnce; n++) {
        if (walk.next().done === true) return
      }
    } while (performance.now() < end)
    turn = setImmediate(goOn, walk)
  }

  return {
    begin() {
      if (turn === undefined) goOn(steps())
    },
    stop() {
      clearImmediate(turn)
    },
  }
}
