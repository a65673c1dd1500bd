// Orders to renew, what was said of expiry, and the certificates of devices in the order of their ends: changes inside a commit, and
// what is asked of them.

import type { DatabaseSync } from 'node:sqlite'
import { allow, deny, unreachable, type Decision } from '../../core/decision.ts'
import type { CertificateRecord, Change, ExpiringCertificatesQuery, Registry } from '../../core/registry.ts'
import type { RenewalChoice, RenewalOrder } from '../../core/renewal-orders.ts'
import { RENEWAL_LIMITS } from '../../renewal-limits.ts'
import { CERTIFICATE_COLUMNS, prepareTuples, type Tuple } from './rows.ts'

export type RenewalChange = Extract<Change, { kind: 'renewal-ordered' | 'renewal-order-ended' | 'expiry-told' }>
export type RenewalReads = Pick<Registry, 'renewalOrders' | 'expiryToldAt'> & {
  /** One more than `limit` where there are more. */
  expiringRows(query: ExpiringCertificatesQuery, limit: number): readonly Tuple[]
}

const DONE = allow(undefined)

export function prepareRenewalChanges(db: DatabaseSync): (change: RenewalChange) => Decision<void> {
  const find = db.prepare('SELECT ended_at FROM renewal_orders WHERE id = ?')
  const insert = db.prepare('INSERT INTO renewal_orders (id, choice, ordered_at, over_ms, devices) VALUES (?, ?, ?, ?, ?)')
  const openCount = db.prepare('SELECT count(*) AS count FROM renewal_orders WHERE ended_at IS NULL')
  const end = db.prepare('UPDATE renewal_orders SET ended_at = ? WHERE id = ?')
  const tell = db.prepare('INSERT INTO expiry_told (what, told_at) VALUES (?, ?) ON CONFLICT DO UPDATE SET told_at = excluded.told_at')
  return (change) => {
    switch (change.kind) {
      case 'renewal-ordered': {
        const { id, choice, at, overMs, devices } = change.order
        if (find.get(id) !== undefined) return deny('revision-conflict', `an order ${id} is there already`)
        if (Number(openCount.get()?.['count']) >= RENEWAL_LIMITS.ordersMax) return deny('renewal-orders-limit', `there are ${RENEWAL_LIMITS.ordersMax}`)
        insert.run(id, JSON.stringify(choice), at, overMs, devices)
        return DONE
      }
      case 'renewal-order-ended': {
        const row = find.get(change.id)
        if (row === undefined) return deny('renewal-order-not-found', change.id)
        if (row['ended_at'] === null) end.run(change.at, change.id)
        return DONE
      }
      case 'expiry-told':
        tell.run(change.what, change.at)
        return DONE
      default:
        return unreachable(change)
    }
  }
}

export function prepareRenewalReads(db: DatabaseSync): RenewalReads {
  const open = prepareTuples(db, 'SELECT id, choice, ordered_at, over_ms, devices FROM renewal_orders WHERE ended_at IS NULL ORDER BY ordered_at, id')
  const told = db.prepare('SELECT told_at FROM expiry_told WHERE what = ?')
  const page = (group: string): string => `SELECT ${CERTIFICATE_COLUMNS} FROM certificates INDEXED BY certificates_by_end
    WHERE state IN ('issued', 'active') AND device IS NOT NULL AND not_after < ? AND (not_after, issuer, serial) > (?, ?, ?)${group} ORDER BY not_after, issuer, serial LIMIT ?`
  const all = prepareTuples(db, page(''))
  const ofGroup = prepareTuples(db, page(' AND EXISTS (SELECT 1 FROM device_groups WHERE group_name = ? AND device_groups.device = certificates.device)'))
  return {
    renewalOrders: () => open.all().map(parseOrder),
    expiryToldAt(what) {
      const row = told.get(what)
      return row === undefined ? undefined : Number(row['told_at'])
    },
    expiringRows({ from, until, after, group }, limit) {
      const [at = String(from), issuer = '', serial = ''] = (after ?? '').split('/').filter((part) => part !== '')
      const begin = [until, Math.max(Number(at) || 0, from), issuer, serial]
      return group === undefined ? all.all(...begin, limit) : ofGroup.all(...begin, group, limit)
    },
  }
}

function parseOrder([id, choice, at, overMs, devices]: Tuple): RenewalOrder {
  return { id: String(id), choice: JSON.parse(String(choice)) as RenewalChoice, at: Number(at), overMs: Number(overMs), devices: Number(devices) }
}

/** What a page of those that expire goes on after. */
export const endKey = ({ notAfter, issuer, serial }: CertificateRecord): string => `${notAfter}/${issuer}/${serial}`
