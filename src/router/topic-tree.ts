// The filters that exist, as a tree that a topic walks down. Chains of levels in which nothing branches are one node, so
// that the tree has at most two nodes for each filter, however many levels it has: a walk costs the filters it meets, and
// not their levels. It refuses to know what hangs at a filter, and never recurses.

import { ROUTER_LIMITS } from '../limits.ts'
import type { Levels } from '../core/topic.ts'

/** Where a filter ends, or where two of them part. */
export interface TreeNode<C> {
  /** A filter that passes through here. Its levels from the depth of the parent up to `depth` lead from there to here. */
  readonly path: Levels
  readonly depth: number
  parent: TreeNode<C> | undefined
  /** By the first level that leads to them. Wildcards stand apart, so that a topic is looked up once. */
  children: Map<string, TreeNode<C> | undefined> | undefined
  /** Levels in `children` that lead nowhere any longer. */
  vacant: Set<string> | undefined
  plus: TreeNode<C> | undefined
  hash: TreeNode<C> | undefined
  /** What is kept for the filter that ends here. */
  content: C | undefined
}

export interface TopicTree<C> {
  /** The node of this filter, made where there is none. Whoever gives it no content prunes it. */
  grow(filter: Levels): TreeNode<C>
  /** Takes a node without content out, if nothing passes through it; what is then a mere link goes, too. */
  prune(node: TreeNode<C>): void
  /** The contents of all filters that match this topic name, each once, in no promised order. */
  match(topic: Levels): C[]
  /** Nodes, the root excepted. */
  readonly nodes: number
}

function makeNode<C>(path: Levels, depth: number, parent: TreeNode<C> | undefined): TreeNode<C> {
  return { path, depth, parent, children: undefined, vacant: undefined, plus: undefined, hash: undefined, content: undefined }
}

function childOf<C>(node: TreeNode<C>, level: string): TreeNode<C> | undefined {
  if (level === '+') return node.plus
  return level === '#' ? node.hash : node.children?.get(level)
}

function setChild<C>(node: TreeNode<C>, level: string, child: TreeNode<C> | undefined): void {
  if (level === '+') node.plus = child
  else if (level === '#') node.hash = child
  else if (child === undefined) vacate(node, level)
  else {
    (node.children ??= new Map()).set(level, child)
    node.vacant?.delete(level)
  }
}

function countOf<C>({ children, vacant }: TreeNode<C>): number {
  return (children?.size ?? 0) - (vacant?.size ?? 0)
}

/** Takes a level out of `children`, in a large Map not at once: ROUTER_LIMITS.vacantLevelsMax says why. */
function vacate<C>(node: TreeNode<C>, level: string): void {
  if (countOf(node) <= 1) {
    node.children = undefined
    node.vacant = undefined
    return
  }
  let last: string | undefined = level
  if (node.vacant !== undefined || (node.children?.size ?? 0) > ROUTER_LIMITS.vacantLevelsFromChildren) {
    node.children?.set(level, undefined)
    node.vacant = (node.vacant ?? new Set()).add(level)
    last = node.vacant.size > ROUTER_LIMITS.vacantLevelsMax ? node.vacant.values().next().value : undefined
    if (last !== undefined) node.vacant.delete(last)
  }
  if (last !== undefined) node.children?.delete(last)
}

/** The only child, if there is exactly one. */
function onlyChildOf<C>(node: TreeNode<C>): TreeNode<C> | undefined {
  const { children, plus, hash } = node
  const count = countOf(node) + (plus === undefined ? 0 : 1) + (hash === undefined ? 0 : 1)
  return count === 1 ? (plus ?? hash ?? [...(children?.values() ?? [])].find((child) => child !== undefined)) : undefined
}

function isLeaf<C>({ children, plus, hash }: TreeNode<C>): boolean {
  return children === undefined && plus === undefined && hash === undefined
}

/** The level by which a node hangs at its parent. */
function firstLevel<C>(node: TreeNode<C>): string {
  return node.path[node.parent?.depth ?? 0] ?? ''
}

/** How the way from a node at `from` to its child, of which the first level is known to fit, goes on for this topic. */
function follow<C>(child: TreeNode<C>, from: number, topic: Levels): 'arrives' | 'matches' | 'parts' {
  const { path, depth } = child
  for (let i = from + 1; i < depth; i++) {
    const level = path[i]
    // It is the last one. a/# also matches a: that the topic has ended is no matter.
    if (level === '#') return 'matches'
    if (i >= topic.length || (level !== '+' && level !== topic[i])) return 'parts'
  }
  return 'arrives'
}

export function openTopicTree<C>(): TopicTree<C> {
  const root = makeNode<C>([], 0, undefined)
  let nodes = 0

  /** A node on the way to `child`, after `depth` levels of it. */
  function split(node: TreeNode<C>, child: TreeNode<C>, depth: number): TreeNode<C> {
    const link = makeNode(child.path, depth, node)
    setChild(node, firstLevel(child), link)
    child.parent = link
    setChild(link, firstLevel(child), child)
    nodes++
    return link
  }

  function grow(filter: Levels): TreeNode<C> {
    let node = root
    while (node.depth < filter.length) {
      const level = filter[node.depth] ?? ''
      const child = childOf(node, level)
      if (child === undefined) {
        const leaf = makeNode(filter, filter.length, node)
        setChild(node, level, leaf)
        nodes++
        return leaf
      }
      let depth = node.depth + 1
      while (depth < child.depth && depth < filter.length && child.path[depth] === filter[depth]) depth++
      node = depth === child.depth ? child : split(node, child, depth)
    }
    return node
  }

  /** Takes out a node that only links its parent to its only child. */
  function unlink(node: TreeNode<C>): void {
    const { parent } = node
    const child = onlyChildOf(node)
    if (parent === undefined || child === undefined || node.content !== undefined) return
    setChild(parent, firstLevel(node), child)
    child.parent = parent
    nodes--
  }

  function prune(node: TreeNode<C>): void {
    const { parent } = node
    if (parent === undefined || node.content !== undefined) return
    if (!isLeaf(node)) {
      unlink(node)
      return
    }
    setChild(parent, firstLevel(node), undefined)
    nodes--
    unlink(parent)
  }

  function match(topic: Levels): C[] {
    const found: C[] = []
    const ahead: TreeNode<C>[] = [root]
    const isReserved = topic[0]?.startsWith('$') === true
    const step = (child: TreeNode<C> | undefined, from: number): void => {
      if (child === undefined) return
      const way = follow(child, from, topic)
      if (way === 'arrives') ahead.push(child)
      else if (way === 'matches' && child.content !== undefined) found.push(child.content)
    }
    for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
      const { depth, hash } = node
      const level = topic[depth]
      if (level === undefined) {
        if (node.content !== undefined) found.push(node.content)
      } else {
        step(node.children?.get(level), depth)
        // A topic that begins with $ is not for those who ask for everything [MQTT-4.7.2-1].
        if (isReserved && depth === 0) continue
        step(node.plus, depth)
      }
      if (hash?.content !== undefined) found.push(hash.content)
    }
    return found
  }

  return { grow, prune, match, get nodes() { return nodes } }
}
