// Tokens, their uses and what waits for an operator, in the tables: changes inside a commit, and what is asked of them.

import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { allow, deny, unreachable, type Decision } from '../../core/decision.ts'
import type { TokenName } from '../../core/ids.ts'
import type { Change, Page, Registry } from '../../core/registry.ts'
import type { EnrollmentRecord, TokenRecord } from '../../core/token.ts'
import { TOKEN_LIMITS } from '../../enrollment-limits.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { prepareTuples, type Tuple } from './rows.ts'

export type TokenChange = Extract<Change, { kind: 'token-added' | 'token-used' | 'token-revoked' | 'token-suspended' | 'enrollment-requested' | 'enrollment-decided' }>

const TOKEN_COLUMNS = 'name, proof, proof_sha256, target, register, groups, networks, approve, uses_max, uses, created_at, expires_at, revoked_at, suspended_at, password_of, tenant'
const ENROLLMENT_COLUMNS = 'id, token, device, spki_sha256, state, source, created_at, decided_at'
const DONE = allow(undefined)
/** No token has it: a name has no such letters. */
const NO_NAME = '--------'

export function prepareTokenChanges(db: DatabaseSync): (change: TokenChange) => Decision<void> {
  const find = db.prepare('SELECT uses, uses_max, revoked_at FROM tokens WHERE name = ?')
  const insert = db.prepare(`INSERT INTO tokens (${TOKEN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const passwordThere = db.prepare('SELECT name FROM tokens WHERE password_of = ? AND revoked_at IS NULL')
  // The one conditional update: of a thousand that race for the last use one finds a row to change.
  const use = db.prepare('UPDATE tokens SET uses = uses + 1 WHERE name = ? AND uses < uses_max AND revoked_at IS NULL AND suspended_at IS NULL')
  const remember = db.prepare('INSERT OR IGNORE INTO token_uses (token, device, spki_sha256, used_at) VALUES (?, ?, ?, ?)')
  const deviceIsThere = db.prepare('SELECT 1 FROM devices WHERE id = ?')
  const revoke = db.prepare('UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL')
  const suspend = db.prepare('UPDATE tokens SET suspended_at = ? WHERE name = ?')
  const claimOfKey = db.prepare("SELECT name FROM tokens WHERE proof_sha256 = ? AND json_extract(proof, '$.kind') = 'claim'")
  const request = db.prepare(`INSERT OR IGNORE INTO enrollments (${ENROLLMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)`)
  const waiting = db.prepare("SELECT count(*) AS count FROM enrollments WHERE state = 'pending'")
  // An id begins with the name of its token (core/token.ts): from the index alone, however many wait. '.' comes after '-'.
  const waitingOf = db.prepare("SELECT count(*) AS count FROM enrollments WHERE state = 'pending' AND id > ? || '-' AND id < ? || '.'")
  const enrollment = db.prepare('SELECT state FROM enrollments WHERE id = ?')
  const decide = db.prepare("UPDATE enrollments SET state = ?, decided_at = ? WHERE id = ? AND state = 'pending'")

  const addToken = (token: TokenRecord): Decision<void> => {
    if (find.get(token.name) !== undefined) return deny('revision-conflict', `the token ${token.name} is there already`)
    if (token.proof.kind === 'claim' && claimOfKey.get(token.proof.sha256) !== undefined) return deny('key-in-use', 'the key of another claim')
    const device = passwordDevice(token)
    if (device !== null && deviceIsThere.get(device) === undefined) return deny('device-not-found', device)
    if (device !== null && passwordThere.get(device) !== undefined) return deny('revision-conflict', `${device} has a password already`)
    insert.run(...tokenValues(token))
    return DONE
  }

  return (change) => {
    switch (change.kind) {
      case 'token-added':
        return addToken(change.token)
      case 'token-used': {
        if (find.get(change.name) === undefined) return deny('token-not-found', change.name)
        if (deviceIsThere.get(change.device) === undefined) return deny('device-not-found', change.device)
        // A use that is remembered already was counted then.
        if (remember.run(change.name, change.device, change.spkiSha256, change.at).changes === 0) return DONE
        return use.run(change.name).changes === 1 ? DONE : deny('token-used-up')
      }
      case 'token-revoked':
        if (find.get(change.name) === undefined) return deny('token-not-found', change.name)
        revoke.run(change.at, change.name)
        return DONE
      case 'token-suspended':
        if (find.get(change.name) === undefined) return deny('token-not-found', change.name)
        suspend.run(change.at ?? null, change.name)
        return DONE
      case 'enrollment-requested': {
        const { id, token, device, spkiSha256, state, source, createdAt } = change.enrollment
        if (Number(waiting.get()?.['count']) >= REGISTRY_LIMITS.enrollmentsWaitingMax) return deny('enrollment-rate', 'too many requests wait for an operator')
        const uses = Number(find.get(token)?.['uses_max'] ?? 0)
        if (Number(waitingOf.get(token, token)?.['count']) >= uses + TOKEN_LIMITS.waitingBeyondUsesMax) return deny('enrollment-rate', 'too many requests with this token wait for an operator')
        request.run(id, token, device, spkiSha256, state, source, createdAt)
        return DONE
      }
      case 'enrollment-decided': {
        const state = enrollment.get(change.id)?.['state']
        if (state === undefined) return deny('enrollment-not-found', change.id)
        if (state === change.state) return DONE
        return decide.run(change.state, change.at, change.id).changes === 1 ? DONE : deny('state-transition', `${change.id} is ${String(state)}`)
      }
      default:
        return unreachable(change)
    }
  }
}

export type TokenReads = Pick<Registry, 'token' | 'tokens' | 'tokensProvenBy' | 'passwordOf' | 'tokenUsed' | 'enrollment' | 'enrollments'>

export function prepareTokenReads(db: DatabaseSync): TokenReads {
  const token = prepareTuples(db, `SELECT ${TOKEN_COLUMNS} FROM tokens WHERE name = ?`)
  const tokens = prepareTuples(db, `SELECT ${TOKEN_COLUMNS} FROM tokens WHERE name > ? ORDER BY name LIMIT ?`)
  const tokensOf = prepareTuples(db, `SELECT ${TOKEN_COLUMNS} FROM tokens WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`)
  const provenBy = prepareTuples(db, `SELECT ${TOKEN_COLUMNS} FROM tokens WHERE proof_sha256 = ? AND json_extract(proof, '$.kind') <> 'secret' ORDER BY name`)
  // A row in any case: to read one takes longer than to read none, and a stranger could tell which it was.
  const password = prepareTuples(db, `SELECT name, proof_sha256 FROM tokens WHERE password_of = ? AND revoked_at IS NULL UNION ALL SELECT '${NO_NAME}', '${'0'.repeat(64)}' LIMIT 1`)
  const used = db.prepare('SELECT 1 FROM token_uses WHERE token = ? AND device = ? AND spki_sha256 = ?')
  const enrollment = prepareTuples(db, `SELECT ${ENROLLMENT_COLUMNS} FROM enrollments WHERE id = ?`)
  const enrollments = prepareTuples(db, `SELECT ${ENROLLMENT_COLUMNS} FROM enrollments WHERE id > ? AND state = ? ORDER BY id LIMIT ?`)
  const enrollmentsOf = prepareTuples(db, `SELECT ${ENROLLMENT_COLUMNS} FROM enrollments WHERE id > ? AND state = ? AND token IN (SELECT name FROM tokens WHERE tenant = ?) ORDER BY id LIMIT ?`)
  return {
    token(name) {
      const row = token.get(name)
      return row === undefined ? undefined : parseToken(row)
    },
    tokens: ({ after = '', limit = REGISTRY_LIMITS.pageSizeDefault, tenant }) => paged(tenant === undefined ? tokens.all(after, limit + 1) : tokensOf.all(tenant, after, limit + 1), limit, parseToken, (t) => t.name),
    tokensProvenBy: (sha256) => provenBy.all(sha256).map(parseToken),
    passwordOf(device) {
      const [name, sha256] = password.get(device) ?? []
      return name === NO_NAME ? undefined : { name: name as TokenName, sha256: sha256 as string }
    },
    tokenUsed: (name, { device, spkiSha256 }) => used.get(name, device, spkiSha256) !== undefined,
    enrollment(id) {
      const row = enrollment.get(id)
      return row === undefined ? undefined : parseEnrollment(row)
    },
    enrollments: ({ after = '', limit = REGISTRY_LIMITS.pageSizeDefault, state = 'pending', tenant }) => paged(tenant === undefined ? enrollments.all(after, state, limit + 1) : enrollmentsOf.all(after, state, tenant, limit + 1), limit, parseEnrollment, (e) => e.id),
  }
}

/** One row more than the page holds was asked for: it tells whether there is a next one. */
function paged<T>(rows: readonly Tuple[], limit: number, parse: (row: Tuple) => T, key: (item: T) => string): Page<T> {
  const items = rows.slice(0, limit).map((row) => parse(row))
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, next: key(last) } : { items }
}

/** The device whose password it is. */
function passwordDevice({ password, target }: TokenRecord): string | null {
  return password === true && 'device' in target ? target.device : null
}

function tokenValues(token: TokenRecord): SQLInputValue[] {
  const { sha256, ...proof } = token.proof
  return [
    token.name, JSON.stringify(proof), sha256, JSON.stringify(token.target), token.register ? 1 : 0, JSON.stringify(token.groups), JSON.stringify(token.networks),
    token.approve, token.usesMax, token.uses, token.createdAt, token.expiresAt, token.revokedAt ?? null, token.suspendedAt ?? null, passwordDevice(token), token.tenant ?? null,
  ]
}

function parseToken(row: Tuple): TokenRecord {
  const [name, proof, sha256, target, register, groups, networks, approve, usesMax, uses, createdAt, expiresAt, revokedAt, suspendedAt, passwordOf, tenant] = row
  return {
    name: name as TokenName,
    proof: { ...(JSON.parse(proof as string) as object), sha256 } as TokenRecord['proof'],
    target: JSON.parse(target as string) as TokenRecord['target'],
    register: register === 1,
    groups: JSON.parse(groups as string) as TokenRecord['groups'],
    networks: JSON.parse(networks as string) as TokenRecord['networks'],
    approve: approve as TokenRecord['approve'],
    usesMax: usesMax as number,
    uses: uses as number,
    createdAt: createdAt as number,
    expiresAt: expiresAt as number,
    ...(revokedAt === null ? {} : { revokedAt: revokedAt as number }),
    ...(suspendedAt === null ? {} : { suspendedAt: suspendedAt as number }),
    ...(passwordOf === null ? {} : { password: true as const }),
    ...(tenant === null ? {} : { tenant: tenant as NonNullable<TokenRecord['tenant']> }),
  }
}

function parseEnrollment(row: Tuple): EnrollmentRecord {
  const [id, token, device, spkiSha256, state, source, createdAt, decidedAt] = row
  return {
    id: id as string,
    token: token as TokenName,
    device: device as EnrollmentRecord['device'],
    spkiSha256: spkiSha256 as EnrollmentRecord['spkiSha256'],
    state: state as EnrollmentRecord['state'],
    source: source as string,
    createdAt: createdAt as number,
    ...(decidedAt === null ? {} : { decidedAt: decidedAt as number }),
  }
}
