// Which targets are wider than others: whatever a rule for everybody says holds for a group, too.

import type { AttributeQuery, Target } from './document.ts'
import type { GroupClosure } from './groups.ts'

/** The same for two targets that name the same devices in the same words. */
export function targetKey(to: Target): string {
  switch (to.kind) {
    case 'any':
      return 'any'
    case 'group':
      return `group/${to.group}`
    case 'device':
      return `device/${to.device}`
    case 'ca':
      return `ca/${to.ca}`
    case 'tenant':
      return `tenant/${to.tenant}`
    case 'attributes':
      return `attributes/${JSON.stringify(to.all.map(({ name, values }) => JSON.stringify([name, values.toSorted()])).toSorted())}`
  }
}

/** The keys of those of `targets` that every device of a target is in, its own included. */
export function coveringTargets(targets: readonly Target[], groupsOf: GroupClosure): (to: Target) => readonly string[] {
  const queries = new Map(targets.flatMap((to) => (to.kind === 'attributes' ? [[targetKey(to), to.all] as const] : [])))
  return (to) => {
    if (to.kind === 'any') return ['any']
    if (to.kind === 'group') return ['any', ...groupsOf([to.group]).map((group) => targetKey({ kind: 'group', group }))]
    if (to.kind === 'attributes') return ['any', ...[...queries].filter(([, all]) => all.every((query) => asks(to.all, query))).map(([key]) => key)]
    return ['any', targetKey(to)]
  }
}

/** Whoever fits these queries fits that one. */
function asks(queries: readonly AttributeQuery[], { name, values }: AttributeQuery): boolean {
  return queries.some((query) => query.name === name && query.values.every((value) => values.includes(value)))
}
