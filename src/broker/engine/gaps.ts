// What a policy could not fill in for a device (policy.md R3), told to the audit log once for each device and generation: a
// device that reconnects all day must not fill the log with what an operator knows already.

import { BROKER_LIMITS } from '../../limits.ts'
import type { DeviceId } from '../../core/ids.ts'
import type { Grants } from '../../core/policy/grants.ts'
import type { BrokerPorts } from '../ports.ts'

/** Tells of the gaps in these grants, unless that was done already. */
export function openGapReport({ audit, clock }: Pick<BrokerPorts, 'audit' | 'clock'>): (device: DeviceId, grants: Pick<Grants, 'generation' | 'unresolved'>) => void {
  const told = new Set<DeviceId>()
  let generation = -1
  return (device, grants) => {
    if (grants.generation !== generation || told.size >= BROKER_LIMITS.sourcesTrackedMax) told.clear()
    generation = grants.generation
    if (grants.unresolved.length === 0 || told.has(device)) return
    told.add(device)
    for (const { rule, variable, effect } of grants.unresolved) audit.record({ kind: 'policy-unresolved', at: clock(), device, rule, variable, effect })
  }
}
