// Groups that contain groups: a device of one that is contained is of the containing one, too, and of whatever contains that.

import type { GroupName } from '../ids.ts'
import type { GroupRule } from './document.ts'

/** All the groups that a device of these is in, itself included; each once. */
export type GroupClosure = (direct: readonly GroupName[]) => readonly GroupName[]

/** The containment of rules that have no cycle; with one, it still ends. */
export function groupClosure(rules: readonly GroupRule[]): GroupClosure {
  const containers = new Map<GroupName, GroupName[]>()
  for (const { group, contains } of rules) {
    for (const inner of contains) {
      const known = containers.get(inner)
      if (known === undefined) containers.set(inner, [group])
      else known.push(group)
    }
  }
  return (direct) => {
    if (containers.size === 0) return direct
    // A set is walked in the order of insertion, what is added on the way included.
    const all = new Set(direct)
    for (const group of all) for (const container of containers.get(group) ?? []) all.add(container)
    return [...all]
  }
}

/** The circles of groups that contain each other, each in its order; a group is told of in one of them. In steps, as a policy is read. */
export function* groupCircles(rules: readonly GroupRule[]): Generator<void, readonly (readonly GroupRule[])[]> {
  const byName = new Map(rules.map((rule) => [rule.group, rule]))
  const circles: (readonly GroupRule[])[] = []
  const done = new Set<GroupRule>()
  for (const start of rules) {
    // Depth first without recursion: a chain may be as long as a file.
    const path: { readonly rule: GroupRule; next: number }[] = done.has(start) ? [] : [{ rule: start, next: 0 }]
    const onPath = new Set(path.map(({ rule }) => rule))
    const leave = (from: number): readonly GroupRule[] => {
      const left = path.splice(from).map(({ rule }) => rule)
      for (const rule of left) {
        done.add(rule)
        onPath.delete(rule)
      }
      return left
    }
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      yield
      const name = top.rule.contains[top.next++]
      const inner = name === undefined ? undefined : byName.get(name)
      if (name === undefined) leave(path.length - 1)
      else if (inner !== undefined && onPath.has(inner)) circles.push(leave(path.findIndex(({ rule }) => rule === inner)))
      else if (inner !== undefined && !done.has(inner)) {
        path.push({ rule: inner, next: 0 })
        onPath.add(inner)
      }
    }
  }
  return circles
}
