// Which kept subscriptions match a topic: the levels of all filters as a tree in the tables, walked level by level. Nothing of
// it is held in memory, so that a start does not depend on how many sessions wait; it costs the levels, not the filters.

import type { DatabaseSync } from 'node:sqlite'
import { prepareTuples } from '../sqlite/rows.ts'
import { filterLevels } from './filter.ts'

const ROOT = 0

export interface TopicIndex {
  /** Adds a use of the filter and returns its node. */
  add(filter: string): number
  /** Takes a use back; branches that nobody needs any longer go. */
  remove(node: number): void
  /** The nodes of all filters that match this topic name. */
  matching(topic: string): readonly number[]
}

export function prepareTopicIndex(db: DatabaseSync): TopicIndex {
  const child = prepareTuples(db, 'SELECT id FROM topic_nodes WHERE parent = ? AND label = ?')
  const children = prepareTuples(db, "SELECT id, label FROM topic_nodes WHERE parent = ? AND label IN (?, '+', '#')")
  const insert = db.prepare('INSERT INTO topic_nodes (parent, label, uses) VALUES (?, ?, 0)')
  const use = db.prepare('UPDATE topic_nodes SET uses = uses + 1 WHERE id = ?')
  const release = prepareTuples(db, 'UPDATE topic_nodes SET uses = uses - 1 WHERE id = ? RETURNING uses, parent')
  const drop = db.prepare('DELETE FROM topic_nodes WHERE id = ?')

  const childOf = (parent: number, label: string): number => {
    const found = child.get(parent, label)
    if (found !== undefined) return Number(found[0])
    if (parent !== ROOT) use.run(parent)
    return Number(insert.run(parent, label).lastInsertRowid)
  }

  return {
    add(filter) {
      const node = filterLevels(filter).reduce(childOf, ROOT)
      use.run(node)
      return node
    },
    remove(node) {
      for (let at = node; at !== ROOT; ) {
        const [uses, parent] = release.get(at) ?? []
        if (uses !== 0) return
        drop.run(at)
        at = Number(parent)
      }
    },
    matching(topic) {
      const matched: number[] = []
      let reached: number[] = [ROOT]
      for (const [i, level] of topic.split('/').entries()) {
        // [MQTT-4.7.2-1]
        const wildcards = i > 0 || !level.startsWith('$')
        const below: number[] = []
        for (const node of reached) {
          for (const [id, label] of children.all(node, level)) {
            if (label === level) below.push(Number(id))
            else if (wildcards && label === '+') below.push(Number(id))
            else if (wildcards) matched.push(Number(id))
          }
        }
        if (below.length === 0) return matched
        reached = below
      }
      // a/# matches a, too.
      return [...matched, ...reached, ...reached.flatMap((node) => child.all(node, '#').map(([id]) => Number(id)))]
    },
  }
}
