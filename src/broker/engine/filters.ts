// Filters as the client names them and as the engine must see them: aedes answers every `$share/` of MQTT 5 with "not
// supported" by itself, so a shared subscription that is granted reaches it under another name.

import type { HeldFilter } from '../../core/policy/narrowing.ts'
import { SHARE_ROOT } from '../../core/topic.ts'
import type { EngineClient } from './surface.ts'

const ENGINE_SHARE_ROOT = '$shared/'

/** The filters of a connection, as the client named them, with the QoS that was granted. */
export function heldFilters({ subscriptions }: Pick<EngineClient, 'subscriptions'>): readonly HeldFilter[] {
  return Object.entries(subscriptions).map(([filter, { qos }]) => ({ filter: toWireFilter(filter), qos }))
}

export function toEngineFilter(filter: string): string {
  return filter.startsWith(SHARE_ROOT) ? ENGINE_SHARE_ROOT + filter.slice(SHARE_ROOT.length) : filter
}

export function toWireFilter(filter: string): string {
  return filter.startsWith(ENGINE_SHARE_ROOT) ? SHARE_ROOT + filter.slice(ENGINE_SHARE_ROOT.length) : filter
}
