// `renewal:` of the configuration → the rules of renewal. What is not said is as in the defaults.

import { LIFE } from '../limits.ts'
import { parseGroupName, printable, type GroupName } from './ids.ts'
import { DEFAULT_RENEWAL, type RenewalRules } from './renewal.ts'
import type { MapEntry, SourceNode, TreeReader } from './source-tree.ts'

/** Ten years: who sleeps longer is provisioned anew. */
const GRACE_DAYS_MAX = 3_650

/** Without a node, the defaults. */
export function readRenewal(reader: TreeReader, node: SourceNode | undefined): RenewalRules {
  const map = node && reader.map(node, 'renewal', ['graceDays', 'groups', 'sameKey'])
  if (map === undefined) return DEFAULT_RENEWAL
  const grace = map.get('graceDays')
  const sameKey = map.get('sameKey')
  return {
    graceMs: (grace && graceOf(reader, grace.value, 'renewal.graceDays')) ?? DEFAULT_RENEWAL.graceMs,
    graceOfGroups: groupsOf(reader, map.get('groups')),
    sameKey: (sameKey && reader.oneOf(sameKey.value, 'renewal.sameKey', ['allowed', 'refused'])) ?? DEFAULT_RENEWAL.sameKey,
  }
}

function graceOf(reader: TreeReader, node: SourceNode, what: string): number | undefined {
  const days = reader.integer(node, what, 0, GRACE_DAYS_MAX)
  return days === undefined ? undefined : days * LIFE.day
}

/** Names of groups are the keys: which there are is not known here. */
function groupsOf(reader: TreeReader, entry: MapEntry | undefined): ReadonlyMap<GroupName, number> {
  const named = entry?.value.kind === 'map' ? entry.value.entries.map(({ key }) => key) : []
  const map = entry && reader.map(entry.value, 'renewal.groups', named)
  const found = new Map<GroupName, number>()
  for (const [key, { keyAt, value }] of map ?? []) {
    const group = parseGroupName(key)
    const grace = graceOf(reader, value, `renewal.groups.${printable(key)}`)
    if (!group.allow) reader.report(keyAt, `renewal.groups: "${printable(key)}" is not a group name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
    else if (grace !== undefined) found.set(group.value, grace)
  }
  return found
}
