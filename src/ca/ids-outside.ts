// Devices that a CA may not name: they keep what they have, and get no certificate from it. Counted before such a CA issues.

import { setImmediate } from 'node:timers/promises'
import { judgeId, type CaIds } from '../core/ca-names.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Registry } from '../core/registry.ts'
import { CA_LIFE_LIMITS } from '../ca-limits.ts'
import { REGISTRY_LIMITS } from '../limits.ts'

/** What a CA with these ids means, as sentences; none where it may name any device. Pages of the registry, with everybody else's turn between. */
export async function toldOfIds(registry: Pick<Registry, 'devices'>, ids: CaIds): Promise<readonly string[]> {
  if (ids === undefined) return []
  const first: DeviceId[] = []
  let count = 0
  let after: string | undefined
  do {
    const page = registry.devices({ after, limit: REGISTRY_LIMITS.pageSizeMax })
    for (const { id, state } of page.items) {
      if (state === 'retired' || judgeId(ids, id).allow) continue
      count += 1
      if (first.length < CA_LIFE_LIMITS.devicesInSentenceMax) first.push(id)
    }
    after = page.next
    await setImmediate()
  } while (after !== undefined)
  const may = `It may name devices of ${ids.join(', ')} and no others.`
  if (count === 0) return [may]
  const who = `${first.join(', ')}${count > first.length ? ' …' : ''}`
  return [may, `${count} device${count === 1 ? ' has another id: it keeps what it has, and gets' : 's have other ids: they keep what they have, and get'} no certificate from it: ${who}`]
}
