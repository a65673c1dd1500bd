// What a session loses of what it holds when its grants are others: the difference, by which a change is applied. policy.md R10.

import type { Qos } from '../message.ts'
import type { Grants, Verdict } from './grants.ts'

/** A filter that was granted, with the QoS that was granted. */
export interface HeldFilter {
  readonly filter: string
  readonly qos: Qos
}

export interface Narrowing {
  /** Filters that are granted no longer, and why. */
  readonly lost: readonly { readonly filter: string; readonly verdict: Verdict }[]
  /** Filters that are granted with a lower QoS. What was lowered is not raised again: SUBACK has told the client once. */
  readonly lowered: readonly HeldFilter[]
}

/** `grants`: those that the session may come to have; a filter that one of them grants is not lost. At least one. */
export function narrowing(held: Iterable<HeldFilter>, grants: readonly Pick<Grants, 'subscribe'>[]): Narrowing {
  const lost: { filter: string; verdict: Verdict }[] = []
  const lowered: HeldFilter[] = []
  for (const { filter, qos } of held) {
    let granted: Qos | undefined
    let refused: Verdict | undefined
    for (const each of grants) {
      const verdict = each.subscribe(filter, qos)
      if (verdict.effect === 'deny') refused ??= verdict
      else granted = highest(granted, verdict.grantedQos ?? qos)
    }
    if (granted === undefined && refused !== undefined) lost.push({ filter, verdict: refused })
    else if (granted !== undefined && granted < qos) lowered.push({ filter, qos: granted })
  }
  return { lost, lowered }
}

function highest(a: Qos | undefined, b: Qos): Qos {
  return a === undefined || b > a ? b : a
}
