import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { DeviceId, OperatorName, TokenName } from '../../../src/core/ids.ts'
import { SallyportError } from '../../../src/core/errors.ts'
import type { Registry } from '../../../src/core/registry.ts'
import { openRegistry } from '../../../src/store/sqlite/registry.ts'
import { added, CA, device, issued, NOW, plan, revoked, serialOf } from '../../contract/records.ts'
import { tempDir } from '../temp.ts'

const options = { clock: () => NOW }
const failure = (code: string): unknown => expect.objectContaining({ code, fix: expect.any(String) })

async function fill(registry: Registry, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await registry.commit([added(`d${i}`), plan(`d${i}`, `d${i}`), issued(`d${i}`), ...(i % 2 === 0 ? [revoked(`d${i}`)] : [])], [], [])
}

test('the file of a new registry is for its owner alone', () => {
  using dir = tempDir()
  using _registry = openRegistry(dir.file('registry.db'), options)
  expect(statSync(dir.file('registry.db')).mode & 0o777).toBe(0o600)
})

test.each([
  ['random bytes', randomBytes(8_192)], ['a text', Buffer.from('{"devices": []}\n'.repeat(100))], ['zeros', Buffer.alloc(8_192)],
])('%s in place of the database are refused as corrupt, and left as they are', (_, bytes) => {
  using dir = tempDir()
  writeFileSync(dir.file('registry.db'), bytes)
  expect(() => openRegistry(dir.file('registry.db'), options)).toThrow(failure('database-corrupt'))
  expect(readFileSync(dir.file('registry.db')).equals(bytes)).toBe(true)
})

test('an empty file, as a crash of the first start leaves it, becomes a registry', () => {
  using dir = tempDir()
  writeFileSync(dir.file('registry.db'), '')
  using registry = openRegistry(dir.file('registry.db'), options)
  expect(registry.devices({}).items).toEqual([])
})

test('a file that was emptied beside its log is corrupt, not new', async () => {
  using dir = tempDir()
  const registry = openRegistry(dir.file('registry.db'), options)
  await fill(registry, 3)
  copyFileSync(dir.file('registry.db-wal'), dir.file('copy.db-wal'))
  registry.close()
  writeFileSync(dir.file('copy.db'), '')
  expect(() => openRegistry(dir.file('copy.db'), options)).toThrow(failure('database-corrupt'))
})

test('the database of another program is not taken for an empty registry', () => {
  using dir = tempDir()
  const other = new DatabaseSync(dir.file('registry.db'))
  other.exec('CREATE TABLE devices (a)')
  other.close()
  expect(() => openRegistry(dir.file('registry.db'), options)).toThrow(failure('database-corrupt'))
})

test('a truncated database is corrupt, wherever it was cut', async () => {
  using dir = tempDir()
  const registry = openRegistry(dir.file('registry.db'), options)
  await fill(registry, 40)
  registry.close()
  const size = statSync(dir.file('registry.db')).size
  for (const left of [50, 512, 4_096, 8_192, Math.floor(size / 2), size - 4_096]) {
    copyFileSync(dir.file('registry.db'), dir.file('cut.db'))
    truncateSync(dir.file('cut.db'), left)
    expect(() => openRegistry(dir.file('cut.db'), options), `${left} of ${size} bytes`).toThrow(failure('database-corrupt'))
  }
})

test('whichever page is zeroed: refused, or no device and certificate is seen in another state than it was', async () => {
  using dir = tempDir()
  const registry = openRegistry(dir.file('registry.db'), options)
  await fill(registry, 40)
  const truth = registry.certificates({ limit: 1_000 }).items
  registry.close()
  const bytes = readFileSync(dir.file('registry.db'))
  let refused = 0
  for (let page = 0; page < bytes.length; page += 4_096) {
    writeFileSync(dir.file('hurt.db'), Buffer.from(bytes).fill(0, page, page + 4_096))
    try {
      using hurt = openRegistry(dir.file('hurt.db'), options)
      for (let i = 0; i < 40; i++) {
        expect(hurt.device(`d${i}` as DeviceId)).toEqual(device(`d${i}`))
        expect(hurt.certificate(CA, serialOf(`d${i}`))?.state).toBe(i % 2 === 0 ? 'revoked' : 'active')
      }
      expect(hurt.certificates({ limit: 1_000 }).items).toEqual(truth)
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      expect(error.code).toBe('database-corrupt')
      refused++
    }
    rmSync(dir.file('hurt.db-wal'), { force: true })
    rmSync(dir.file('hurt.db-shm'), { force: true })
  }
  expect(refused).toBeGreaterThan(10)
})

test('a newer schema is refused before anything is written', () => {
  using dir = tempDir()
  openRegistry(dir.file('registry.db'), options).close()
  const newer = new DatabaseSync(dir.file('registry.db'))
  newer.exec('PRAGMA user_version = 999')
  newer.close()
  const before = readFileSync(dir.file('registry.db'))
  expect(() => openRegistry(dir.file('registry.db'), options)).toThrow(failure('database-newer'))
  expect(readFileSync(dir.file('registry.db')).equals(before)).toBe(true)
})

test('a home that cannot be written is named, with the fix', () => {
  using dir = tempDir()
  writeFileSync(dir.file('plain'), '')
  for (const file of [dir.file('missing/registry.db'), dir.file('plain/registry.db')]) {
    expect(() => openRegistry(file, options), file).toThrow(failure('home-not-writable'))
  }
})

test.skipIf(process.getuid?.() === 0)('a database without write permission is named (not as root: root may write everything)', () => {
  using dir = tempDir()
  openRegistry(dir.file('registry.db'), options).close()
  chmodSync(dir.file('registry.db'), 0o400)
  expect(() => openRegistry(dir.file('registry.db'), options)).toThrow(failure('home-not-writable'))
})

test('a directory in place of the database is refused', () => {
  using dir = tempDir()
  mkdirSync(dir.file('registry.db'))
  expect(() => openRegistry(dir.file('registry.db'), options)).toThrow(failure('database-corrupt'))
})

test('nothing is acknowledged once the file was replaced under the open registry', async () => {
  using dir = tempDir()
  using registry = openRegistry(dir.file('registry.db'), options)
  expect((await registry.commit([added('a')], [], [])).allow).toBe(true)
  renameSync(dir.file('registry.db'), dir.file('away.db'))
  await expect(registry.commit([added('b')], [], [])).rejects.toMatchObject({ code: 'database-corrupt' })
  writeFileSync(dir.file('registry.db'), '')
  await expect(registry.commit([added('c')], [], [])).rejects.toMatchObject({ code: 'database-corrupt' })
  renameSync(dir.file('away.db'), dir.file('registry.db'))
  expect((await registry.commit([added('d')], [], [])).allow).toBe(true)
})

test('a registry that was written before there were holds has its devices, and none is held', async () => {
  using dir = tempDir()
  const first = new DatabaseSync(dir.file('registry.db'))
  first.exec(readFileSync(new URL('../../../src/store/sqlite/migrations/0001-registry.sql', import.meta.url), 'utf8'))
  first.exec("INSERT INTO devices VALUES ('a', 'default', '[\"sensors\"]', '{\"site\":\"north\"}', 'quarantined', 1800000000000, 1)")
  first.exec('PRAGMA user_version = 1; PRAGMA application_id = 0x53414c59')
  first.close()
  using registry = openRegistry(dir.file('registry.db'), options)
  expect(registry.devices({}).items).toEqual([device('a', { state: 'quarantined' })])
  const hold = { since: NOW, from: 'quarantined', because: 'why' } as const
  expect((await registry.commit([{ kind: 'device-state', id: 'a' as DeviceId, state: 'suspended', hold }], [], [])).allow).toBe(true)
  expect(registry.device('a' as DeviceId)?.hold).toEqual(hold)
})

test('a registry that was written before claims has its tokens, and knows what came through them', async () => {
  using dir = tempDir()
  const first = new DatabaseSync(dir.file('registry.db'))
  const migrations = new URL('../../../src/store/sqlite/migrations/', import.meta.url)
  const older = readdirSync(migrations).filter((name) => name < '0007').toSorted()
  for (const name of older) first.exec(readFileSync(new URL(name, migrations), 'utf8'))
  const key = (digit: string): string => digit.repeat(64)
  first.exec(`INSERT INTO devices (id, tenant, groups, attributes, state, created_at, revision) VALUES ('a', 'default', '[]', '{}', 'active', 1, 1);
    INSERT INTO tokens VALUES ('ABCDEFGH', '${key('a')}', '{"device":"a"}', 0, '[]', '[]', 'auto', 1, 1, 1, 2, NULL)`)
  for (const [serial, actor] of [['40', '{"kind":"token","name":"ABCDEFGH"}'], ['41', '{"kind":"token","name":"ABCDEFGH"}'], ['42', '{"kind":"local"}']] as const) {
    first.exec(`INSERT INTO certificates (issuer, serial, profile, device, state, spki_sha256, not_before, not_after, created_at) VALUES ('i', '${serial}', 'device', 'a', 'planned', '${key('b')}', 1, 2, 1);
      INSERT INTO certificate_plans SELECT number, '{"actor":${actor}}' FROM certificates WHERE serial = '${serial}'`)
  }
  first.exec(`UPDATE certificates SET state = 'revoked', revoked_at = 1, revocation_reason = 'superseded' WHERE serial = '41'; PRAGMA user_version = ${older.length}; PRAGMA application_id = 0x53414c59`)
  first.close()
  using registry = openRegistry(dir.file('registry.db'), options)
  expect(registry.token('ABCDEFGH' as TokenName)).toMatchObject({ proof: { kind: 'secret', sha256: key('a') }, uses: 1 })
  expect(registry.certificates({ through: 'ABCDEFGH' as TokenName }).items.map((c) => c.serial)).toEqual(['40'])
  expect(registry.journal({}).items.map(({ serial, by }) => [serial, by?.kind])).toEqual([['40', 'token'], ['41', 'token'], ['42', 'local']])
})

test('the schema refuses what the program would never write: a hand at the file', async () => {
  using dir = tempDir()
  const registry = openRegistry(dir.file('registry.db'), options)
  await fill(registry, 2)
  await registry.commit([{ kind: 'device-state', id: 'd1' as DeviceId, state: 'retired' }], [], [])
  await registry.commit([{ kind: 'token-added', token: { name: 'ABCDEFGH' as TokenName, proof: { kind: 'secret', sha256: '0'.repeat(64) }, target: { pattern: 'd*' }, register: false, groups: [], networks: [], approve: 'auto', usesMax: 1, uses: 0, createdAt: NOW, expiresAt: NOW + 1 } }], [], [])
  await registry.commit([{ kind: 'operator-added', operator: { name: 'gone' as OperatorName, role: 'admin', createdAt: NOW } }, { kind: 'operator-revoked', name: 'gone' as OperatorName, at: NOW }], [], [])
  registry.close()
  const db = new DatabaseSync(dir.file('registry.db'))
  const refused: readonly (readonly [sql: string, why: RegExp])[] = [
    ["UPDATE certificates SET state = 'active', revoked_at = NULL, revocation_reason = NULL WHERE state = 'revoked'", /revocation is final/],
    ["UPDATE devices SET state = 'active', revision = revision + 1 WHERE id = 'd1'", /retirement is final/],
    ["UPDATE devices SET state = 'suspended' WHERE id = 'd0'", /one revision/],
    ["DELETE FROM certificates", /never deleted/],
    ["DELETE FROM devices", /never deleted/],
    ["UPDATE tokens SET proof = '{\"kind\":\"claim\"}'", /fixed/],
    ["UPDATE tokens SET proof_sha256 = '0'", /fixed/],
    ["UPDATE certificates SET through = 'ABCDEFGH' WHERE state <> 'revoked'", /fixed/],
    ["INSERT INTO tokens SELECT 'HGFEDCBA', proof_sha256, target, register, groups, networks, approve, uses_max, uses, created_at, expires_at, revoked_at, '{\"kind\":\"friend\"}', NULL, NULL, NULL FROM tokens", /CHECK/],
    ["UPDATE certificates SET sha256 = NULL, state = 'planned' WHERE state = 'active'", /fixed|go back/],
    ["UPDATE feed SET change = '{}'", /not rewritten/],
    ["INSERT INTO feed VALUES (99, 1, '{}')", /no gaps/],
    ["DELETE FROM audit_head", /is kept/],
    ["INSERT INTO devices VALUES ('a/b', 'default', '[]', '{}', 'active', 1, 1, NULL, NULL)", /CHECK/],
    ["INSERT INTO devices VALUES ('d0', 'default', '[]', '{}', 'active', 1, 1, NULL, NULL)", /UNIQUE/],
    ["INSERT INTO devices VALUES ('x', 'default', '[]', '{}', 'alive', 1, 1, NULL, NULL)", /CHECK/],
    ["INSERT INTO devices VALUES ('x', 'default', '[]', '{}', 'active', 'now', 1, NULL, NULL)", /cannot store TEXT/],
    [`INSERT INTO devices VALUES ('x', 'default', '[]', '{}', 'active', 1, 1, '{"from":"active"}', NULL)`, /CHECK/],
    ["INSERT INTO devices VALUES ('x', 'default', '[]', '{}', 'suspended', 1, 1, 'by whom', NULL)", /CHECK/],
    ["INSERT INTO devices VALUES ('x', 'default', '[]', '{}', 'active', 1, 1, NULL, 'abc')", /CHECK/],
    ["INSERT INTO devices SELECT 'x', 'default', '[]', '{}', 'active', 1, 1, NULL, spki_sha256 FROM certificates WHERE device IS NOT NULL LIMIT 1", /belongs to another/],
    ["UPDATE devices SET key_sha256 = printf('%064d', 1), revision = revision + 1 WHERE id = 'd0'", /fixed/],
    ["INSERT INTO tokens VALUES ('AAAAAAAA', printf('%064d', 1), '{\"device\":\"d1\"}', 0, '[]', '[]', 'auto', 1, 0, 1, 2, NULL, '{\"kind\":\"secret\"}', NULL, 'd0', NULL)", /for its device/],
    ["UPDATE tokens SET tenant = 'acme'", /stays in its tenant/],
    ["DELETE FROM operators", /revoked, not deleted/],
    ["UPDATE operators SET name = 'root' WHERE name = 'operator'", /one name/],
    ["UPDATE operators SET tenant = 'acme' WHERE name = 'operator'", /one tenant/],
    ["UPDATE operators SET role = 'king' WHERE name = 'operator'", /CHECK/],
    ["INSERT INTO operators VALUES ('', 'admin', NULL, 1, NULL)", /CHECK/],
    ["UPDATE operators SET role = 'admin', revoked_at = NULL WHERE name = 'gone'", /stays so/],
    ["INSERT INTO operator_certificates VALUES ('i', '40', 'nobody')", /FOREIGN KEY/],
  ]
  for (const [sql, why] of refused) expect(() => db.exec(sql), sql).toThrow(why)
  db.exec("UPDATE devices SET state = 'suspended', revision = revision + 1 WHERE id = 'd0'")
  db.close()
})
