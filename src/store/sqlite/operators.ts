// Operators in the tables: changes inside a commit, whether an admin remains after one, and what is asked of them.

import type { DatabaseSync } from 'node:sqlite'
import { allow, deny, unreachable, type Decision } from '../../core/decision.ts'
import type { CertificateRecord, Change, Expectation, Registry } from '../../core/registry.ts'
import { isFullAdmin, operatorAfter, type Operator } from '../../core/operator.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { OPERATOR_LIMITS } from '../../operator-limits.ts'
import { CERTIFICATE_COLUMNS, parseCertificate, prepareTuples, type Tuple } from './rows.ts'

export type OperatorTableChange = Extract<Change, { kind: 'operator-added' | 'operator-role' | 'operator-revoked' | 'operator-certified' }>
type OperatorExpectation = Extract<Expectation, { kind: 'operators-remain' | 'operator-open' }>

const OPERATOR_COLUMNS = 'name, role, tenant, created_at, revoked_at'
const DONE = allow(undefined)

export function prepareOperatorChanges(db: DatabaseSync): (change: OperatorTableChange) => Decision<void> {
  const find = prepareTuples(db, `SELECT ${OPERATOR_COLUMNS} FROM operators WHERE name = ?`)
  const count = db.prepare('SELECT count(*) AS count FROM operators')
  const insert = db.prepare(`INSERT INTO operators (${OPERATOR_COLUMNS}) VALUES (?, ?, ?, ?, ?)`)
  const update = db.prepare('UPDATE operators SET role = ?, revoked_at = ? WHERE name = ?')
  const certify = db.prepare('UPDATE operator_certificates SET operator = ? WHERE issuer = ? AND serial = ?')
  return (change) => {
    if (change.kind === 'operator-added') {
      const { name, role, tenant, createdAt } = change.operator
      if (find.get(name) !== undefined) return deny('operator-exists', name)
      if (Number(count.get()?.['count']) >= OPERATOR_LIMITS.operatorsMax) return deny('operators-limit')
      insert.run(name, role, tenant ?? null, createdAt, null)
      return DONE
    }
    const row = find.get(change.name)
    if (row === undefined) return deny('operator-not-found', change.name)
    const operator = parseOperator(row)
    if (operator.revokedAt !== undefined) return deny('operator-revoked', change.name)
    switch (change.kind) {
      case 'operator-role':
      case 'operator-revoked': {
        const { role, revokedAt } = operatorAfter(operator, change)
        update.run(role, revokedAt ?? null, change.name)
        return DONE
      }
      case 'operator-certified':
        return certify.run(change.name, change.issuer, change.serial).changes === 1 ? DONE : deny('certificate-not-found', `${change.issuer}/${change.serial}`)
      default:
        return unreachable(change)
    }
  }
}

export function prepareOperatorExpectations(db: DatabaseSync): (expected: OperatorExpectation, changes: readonly Change[], ended: ReadonlySet<string>) => Decision<void> {
  const find = prepareTuples(db, `SELECT ${OPERATOR_COLUMNS} FROM operators WHERE name = ?`)
  const inForce = prepareTuples(db, `SELECT operators.name, role, tenant, operators.created_at, operators.revoked_at, issuer || '/' || serial
    FROM operator_certificates JOIN certificates USING (issuer, serial) JOIN operators ON operators.name = operator WHERE state = 'active' AND not_after > ?`)
  return (expected, changes, ended) => {
    if (expected.kind === 'operator-open') {
      const row = find.get(expected.name)
      if (row === undefined) return deny('operator-not-found', expected.name)
      return parseOperator(row).revokedAt === undefined ? DONE : deny('operator-revoked', expected.name)
    }
    const remains = inForce.all(expected.now).some((row) => !ended.has(String(row.at(-1))) && isFullAdmin(afterAll(parseOperator(row), changes)))
    return remains ? DONE : deny('last-admin')
  }
}

function afterAll(operator: Operator, changes: readonly Change[]): Operator {
  return changes.reduce((now, change) => ((change.kind === 'operator-role' || change.kind === 'operator-revoked') && change.name === operator.name ? operatorAfter(now, change) : now), operator)
}

export type OperatorReads = Pick<Registry, 'operator' | 'operators' | 'certificatesOfOperator'> & {
  readonly loadOperators: (into: { operator(operator: Operator): void; operatorCertified(issuer: CertificateRecord['issuer'], serial: string, name: Operator['name']): void }) => void
}

export function prepareOperatorReads(db: DatabaseSync): OperatorReads {
  const one = prepareTuples(db, `SELECT ${OPERATOR_COLUMNS} FROM operators WHERE name = ?`)
  const page = prepareTuples(db, `SELECT ${OPERATOR_COLUMNS} FROM operators WHERE name > ? ORDER BY name LIMIT ?`)
  const certificates = prepareTuples(db, `SELECT ${CERTIFICATE_COLUMNS} FROM operator_certificates JOIN certificates USING (issuer, serial) WHERE operator = ? ORDER BY number DESC`)
  const owned = prepareTuples(db, "SELECT issuer, serial, operator FROM operator_certificates WHERE operator <> 'operator'")
  return {
    operator(name) {
      const row = one.get(name)
      return row === undefined ? undefined : parseOperator(row)
    },
    operators({ after = '', limit = REGISTRY_LIMITS.pageSizeDefault }) {
      const rows = page.all(after, limit + 1)
      const items = rows.slice(0, limit).map(parseOperator)
      const last = items.at(-1)
      return rows.length > limit && last !== undefined ? { items, next: last.name } : { items }
    },
    certificatesOfOperator: (name) => certificates.all(name).map(parseCertificate),
    loadOperators(into) {
      for (const row of page.all('', OPERATOR_LIMITS.operatorsMax)) into.operator(parseOperator(row))
      for (const [issuer, serial, name] of owned.all()) into.operatorCertified(issuer as CertificateRecord['issuer'], serial as string, name as Operator['name'])
    },
  }
}

/** Of OPERATOR_COLUMNS. */
function parseOperator([name, role, tenant, createdAt, revokedAt]: Tuple): Operator {
  return {
    name: name as Operator['name'],
    role: role as Operator['role'],
    ...(tenant === null ? {} : { tenant: tenant as NonNullable<Operator['tenant']> }),
    createdAt: createdAt as number,
    ...(revokedAt === null ? {} : { revokedAt: revokedAt as number }),
  }
}
