// Webhooks in the registry: which there are, inside a commit; and, beside the change feed, how far each has been told and what was given
// up, as it is with the head of the audit log: that changes with every message, and nobody reads its history.

import type { DatabaseSync } from 'node:sqlite'
import { WEBHOOK_LIMITS } from '../../feed-limits.ts'
import { allow, deny, type Decision } from '../../core/decision.ts'
import type { FeedKind } from '../../core/feed.ts'
import type { Change, Registry } from '../../core/registry.ts'
import type { DeadLetter, LogPlace, WebhookRecord } from '../../core/webhook.ts'

export interface DeliveryStore {
  /** How far it has been told; undefined: there is no such webhook. */
  place(webhook: string): LogPlace | undefined
  move(webhook: string, place: LogPlace): void
  /** Gives a message up, and goes on behind it: both, or neither. Of more than `deadMax` the oldest goes. */
  bury(webhook: string, letter: Omit<DeadLetter, 'id'>, place: LogPlace): void
  /** A page of what was given up, in order, behind this letter. */
  dead(webhook: string, after: number): readonly DeadLetter[]
  deadCount(webhook: string): number
  forget(letter: number): void
}

const DONE = allow(undefined)
const COLUMNS = 'name, url, kinds, created_at, from_number, from_offset'

export function prepareWebhookChanges(db: DatabaseSync): (change: Extract<Change, { kind: 'webhook-added' | 'webhook-removed' }>) => Decision<void> {
  const find = db.prepare('SELECT 1 FROM webhooks WHERE name = ?')
  const count = db.prepare('SELECT count(*) AS count FROM webhooks')
  const insert = db.prepare(`INSERT INTO webhooks (${COLUMNS}, told_number, told_offset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6)`)
  const drop = [db.prepare('DELETE FROM webhook_dead WHERE webhook = ?'), db.prepare('DELETE FROM webhooks WHERE name = ?')]
  return (change) => {
    if (change.kind === 'webhook-removed') {
      if (find.get(change.name) === undefined) return deny('webhook-not-found', change.name)
      for (const each of drop) each.run(change.name)
      return DONE
    }
    const { name, url, kinds, createdAt, from } = change.webhook
    if (find.get(name) !== undefined) return deny('webhook-exists', name)
    if (Number(count.get()?.['count']) >= WEBHOOK_LIMITS.webhooksMax) return deny('webhooks-limit', `${WEBHOOK_LIMITS.webhooksMax}`)
    insert.run(name, url, JSON.stringify(kinds), createdAt, from.number, from.offset)
    return DONE
  }
}

export function prepareWebhookReads(db: DatabaseSync): Registry['webhooks'] {
  const all = db.prepare(`SELECT ${COLUMNS} FROM webhooks ORDER BY name`)
  return () => all.all().map((row): WebhookRecord => ({
    name: String(row['name']), url: String(row['url']), kinds: JSON.parse(String(row['kinds'])) as readonly FeedKind[], createdAt: Number(row['created_at']),
    from: { number: Number(row['from_number']), offset: Number(row['from_offset']) },
  }))
}

export function prepareDeliveries(db: DatabaseSync): DeliveryStore {
  const place = db.prepare('SELECT told_number, told_offset FROM webhooks WHERE name = ?')
  const move = db.prepare('UPDATE webhooks SET told_number = ?, told_offset = ? WHERE name = ?')
  const insert = db.prepare('INSERT INTO webhook_dead (webhook, number, line, at, attempts, because) VALUES (?, ?, ?, ?, ?, ?)')
  const cut = db.prepare('DELETE FROM webhook_dead WHERE webhook = ?1 AND id <= (SELECT id FROM webhook_dead WHERE webhook = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)')
  const page = db.prepare('SELECT id, number, line, at, attempts, because FROM webhook_dead WHERE webhook = ? AND id > ? ORDER BY id LIMIT ?')
  const count = db.prepare('SELECT count(*) AS count FROM webhook_dead WHERE webhook = ?')
  const forget = db.prepare('DELETE FROM webhook_dead WHERE id = ?')
  return {
    place(webhook) {
      const row = place.get(webhook)
      return row === undefined ? undefined : { number: Number(row['told_number']), offset: Number(row['told_offset']) }
    },
    move: (webhook, { number, offset }) => void move.run(number, offset, webhook),
    bury(webhook, { number, line, at, attempts, because }, behind) {
      db.exec('BEGIN IMMEDIATE')
      try {
        insert.run(webhook, number, line, at, attempts, because)
        cut.run(webhook, WEBHOOK_LIMITS.deadMax)
        move.run(behind.number, behind.offset, webhook)
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    dead: (webhook, after) => page.all(webhook, after, WEBHOOK_LIMITS.deadPage).map((row): DeadLetter => ({
      id: Number(row['id']), number: Number(row['number']), line: String(row['line']), at: Number(row['at']), attempts: Number(row['attempts']), because: String(row['because']),
    })),
    deadCount: (webhook) => Number(count.get(webhook)?.['count'] ?? 0),
    forget: (letter) => void forget.run(letter),
  }
}
