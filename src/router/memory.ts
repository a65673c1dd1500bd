// The in-process half of the router: which connected sessions of this node a message goes to. Subscriptions hang in a tree
// of topics, routes that were found are remembered. It judges nothing and writes to nobody; see core/router.ts.

import { ROUTER_LIMITS } from '../limits.ts'
import type { Route, Router, Subscriber, SubscriptionOptions } from '../core/router.ts'
import type { SessionKey } from '../core/ids.ts'
import type { TopicFilter } from '../core/topic.ts'
import { deliveryFor, mergeLeaves, routeOfOwn, type Held, type Leaf, type Member } from './merge.ts'
import { openRouteMemory, type Remembered } from './route-memory.ts'
import { changeSeat, openShareGroup, sitDown, standUp, takeTurn, type ShareGroup } from './share-group.ts'
import { openTopicTree, type TreeNode } from './topic-tree.ts'

/** What the router holds, for gauges and for the test that nothing stays behind. */
export interface RouterFootprint {
  readonly sessions: number
  /** Of the tree of filters. */
  readonly nodes: number
  readonly topicsRemembered: number
  readonly deliveriesRemembered: number
}

export interface MemoryRouter<S extends Subscriber> extends Router<S> {
  readonly footprint: RouterFootprint
}

export function openRouter<S extends Subscriber>(): MemoryRouter<S> {
  const tree = openTopicTree<Leaf<S>>()
  const members = new Map<S, Member<S>>()
  let merges = 0
  const memory = openRouteMemory<S>((leaves) => mergeLeaves(leaves, ++merges))
  const nowhere = mergeLeaves<S>([], ++merges).route
  let subscriptionCount = 0
  let leavesMade = 0
  let goneSessions = 0

  function subscribe(subscriber: S, filter: TopicFilter, options: SubscriptionOptions): void {
    const member = memberOf(subscriber)
    const held = member.held.get(filter.text)
    if (held === undefined) {
      member.held.set(filter.text, hang(member, filter, options))
      subscriptionCount++
    } else if (held.kind === 'shared') {
      changeSeat(held.group, held.seat, deliveryFor(subscriber, options))
    } else {
      held.options = options
      held.delivery = undefined
      touch(leafOf(held.node), filter)
    }
  }

  function memberOf(subscriber: S): Member<S> {
    let member = members.get(subscriber)
    if (member === undefined) {
      member = { subscriber, held: new Map(), mergedIn: 0, slot: 0 }
      members.set(subscriber, member)
    }
    return member
  }

  function leafOf(node: TreeNode<Leaf<S>>): Leaf<S> {
    return (node.content ??= { id: ++leavesMade, version: 0, plain: [], groups: undefined })
  }

  /** What the filter comes to is another from now on. */
  function touch(leaf: Leaf<S>, filter: TopicFilter): void {
    leaf.version++
    memory.changed(filter.levels)
  }

  /** Hangs a new subscription into the tree. */
  function hang(member: Member<S>, filter: TopicFilter, options: SubscriptionOptions): Held<S> {
    const node = tree.grow(filter.levels)
    const leaf = leafOf(node)
    if (filter.share !== undefined) {
      const group = groupOf(leaf, filter, filter.share)
      return { kind: 'shared', filter, node, group, seat: sitDown(group, deliveryFor(member.subscriber, options)) }
    }
    const plain: Held<S> = { kind: 'plain', filter, node, member, options, at: leaf.plain.length, delivery: undefined }
    leaf.plain.push(plain)
    touch(leaf, filter)
    return plain
  }

  function groupOf(leaf: Leaf<S>, filter: TopicFilter, share: string): ShareGroup<S> {
    leaf.groups ??= new Map()
    let group = leaf.groups.get(share)
    if (group === undefined) {
      group = openShareGroup(filter.text)
      leaf.groups.set(share, group)
      touch(leaf, filter)
    }
    return group
  }

  /** Takes a subscription out of the tree, and what is empty then with it. */
  function unhang(held: Held<S>): void {
    const { filter, node } = held
    const leaf = leafOf(node)
    if (held.kind === 'plain') {
      const last = leaf.plain.pop()
      if (last !== undefined && last !== held) {
        leaf.plain[held.at] = last
        last.at = held.at
      }
      touch(leaf, filter)
    } else {
      standUp(held.group, held.seat)
      if (held.group.size === 0 && leaf.groups?.delete(filter.share ?? '') === true) touch(leaf, filter)
      if (leaf.groups?.size === 0) leaf.groups = undefined
    }
    subscriptionCount--
    if (leaf.plain.length > 0 || leaf.groups !== undefined) return
    node.content = undefined
    tree.prune(node)
  }

  /**
   * Remembered routes that changed are looked at when their topic is next used, not before: until then they name who is
   * gone, and keep all that hangs at a session. So there is a limit to how many are gone.
   */
  function leave(member: Member<S>): void {
    members.delete(member.subscriber)
    goneSessions++
    if (members.size > 0 && goneSessions < Math.max(ROUTER_LIMITS.goneSessionsMax, members.size / ROUTER_LIMITS.goneSessionsDivisor)) return
    memory.clear()
    goneSessions = 0
  }

  function unsubscribe(subscriber: S, filter: TopicFilter): boolean {
    const member = members.get(subscriber)
    const held = member?.held.get(filter.text)
    if (member === undefined || held === undefined) return false
    member.held.delete(filter.text)
    unhang(held)
    if (member.held.size === 0) leave(member)
    return true
  }

  function remove(subscriber: S): void {
    const member = members.get(subscriber)
    if (member === undefined) return
    for (const held of member.held.values()) unhang(held)
    leave(member)
  }

  function look(topic: string): Remembered<S> {
    const levels = topic.split('/')
    return memory.put(topic, levels, tree.match(levels))
  }

  function route(topic: string, publisher: SessionKey): Route<S> {
    // Where nobody listens, nothing is remembered either.
    if (members.size === 0) return nowhere
    const { merged } = memory.get(topic) ?? look(topic)
    const plain = merged.own?.keys.has(publisher) === true ? routeOfOwn(merged, publisher) : merged.route
    if (merged.groups.length === 0) return plain
    return { deliveries: plain.deliveries, shared: merged.groups.map((group) => takeTurn(group, topic)) }
  }

  return {
    subscribe, unsubscribe, remove, route,
    get subscriptionCount() { return subscriptionCount },
    get footprint() { return { sessions: members.size, nodes: tree.nodes, topicsRemembered: memory.topics, deliveriesRemembered: memory.weight } },
  }
}
