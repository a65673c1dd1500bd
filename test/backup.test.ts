// A backup of a home: that it is one moment, that nobody else can read it, that verify finds what is wrong with it, and that a home
// made from it forgets nothing.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createBackup, lastBackup, openBackup, verifyBackup, type BackupManifest } from '../src/backup.ts'
import { loadConfig } from '../src/config.ts'
import { openHome, settleRestore } from '../src/home.ts'
import { restoreBackup, restoredMark, whatIsUnknown, type RestoreOptions } from '../src/restore.ts'
import { spkiOf } from '../src/x509/keys.ts'
import { sallyport } from './cli/shell.ts'
import { device, newKey, openHouse, type Credential, type House } from './http/house.ts'

const PASSPHRASE = 'certs/local/passphrase'
const place = mkdtempSync(path.join(tmpdir(), 'sallyport-backup-test-'))
const at = (name: string): string => path.join(place, name)

let house: House
let before: Credential
let revokedLater: Credential
let issuedLater: Credential
let manifest: BackupManifest
const FILE = at('a.backup')

const create = (home: string, out: string, more: { readonly passphrase?: boolean; readonly sessions?: boolean } = {}) =>
  createBackup({ home, config: loadConfig(home, {}), out, sessions: more.sessions === true, passphrase: more.passphrase === true, program: '0.0.0', clock: Date.now })
const restore = (home: string, more: Partial<RestoreOptions> = {}) =>
  restoreBackup({ file: FILE, home, reimport: false, acceptLoss: false, passphrase: undefined, clock: Date.now, ...more })

beforeAll(async () => {
  house = await openHouse()
  before = await house.device('before')
  revokedLater = await house.device('stolen')
  await house.home.audit.verify()
  manifest = create(house.folder, FILE).manifest
  // What the backup does not know.
  await house.desk().revoke({ serial: revokedLater.serial }, 'keyCompromise')
  issuedLater = await house.device('after')
  await house.desk().changeDevice(device('before'), 'suspend')
  writeFileSync(path.join(house.folder, 'policy.yaml'), `${readFileSync(path.join(house.folder, 'policy.yaml'), 'utf8')}# edited\n`)
  await house.home[Symbol.asyncDispose]()
})
afterAll(() => {
  rmSync(house.folder, { recursive: true, force: true })
  rmSync(place, { recursive: true, force: true })
})

/** A copy of the home as it was when the server stopped, which knows more than the backup. */
function copyOfHome(name: string): string {
  cpSync(house.folder, at(name), { recursive: true })
  // The key is tried where the passphrase is at hand, which takes its time; here it has nothing to say.
  rmSync(path.join(at(name), PASSPHRASE))
  return at(name)
}

async function look(home: string) {
  await using opened = await openHome(home, loadConfig(home, {}))
  const state = (serial: Credential['serial']) => opened.registry.certificatesBySerial(serial)[0]
  const verdict = await opened.audit.verify()
  return {
    sequence: opened.registry.changesAfter(0, 1_000).length, intact: verdict.intact, policy: readFileSync(path.join(home, 'policy.yaml'), 'utf8').endsWith('# edited\n') ? 'edited' : 'as it was',
    stolen: state(revokedLater.serial)?.state, reason: state(revokedLater.serial)?.revocationReason, after: state(issuedLater.serial)?.state, before: state(before.serial)?.state, device: opened.registry.device(device('before'))?.state,
    sees: opened.view.certificate(opened.registry.cas().find((ca) => ca.role === 'issuing')?.name ?? ('' as never), revokedLater.serial)?.state,
  }
}

const OLD = { intact: true, policy: 'edited', stolen: 'revoked', after: 'active', device: 'suspended' }
const NEW = { intact: true, policy: 'as it was', before: 'active' }

async function failure(work: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  const error: unknown = await work.then(() => new Error('it was done'), (cause: unknown) => cause)
  const { code, message } = error as { code: string; message: string }
  return { code, message }
}

describe('a backup', () => {
  test('is one file that only its owner can read, made while the home is open, and the home remembers it', () => {
    expect(statSync(FILE).mode & 0o777).toBe(0o600)
    expect(readdirSync(place).filter((name) => name.startsWith('.sallyport') || name.endsWith('.tmp'))).toEqual([])
    expect(lastBackup(house.folder)).toMatchObject({ at: manifest.createdAt, file: FILE })
  })

  test('is whole, its audit log verifies up to the head that its registry has, and its key fits', async () => {
    const verdict = await verifyBackup(FILE, readFileSync(path.join(house.folder, PASSPHRASE)).subarray(0, -1))
    expect(verdict.wrong).toEqual([])
    expect(verdict.right.join('\n')).toMatch(/audit log is intact: \d+ records\n.*opens and fits its certificate/)
    expect(verdict.manifest.registry.audit.records).toBeGreaterThan(0)
  })

  test('has the passphrase only where that was asked for', () => {
    expect(manifest.parts.map((part) => part.name)).not.toContain(PASSPHRASE)
    expect(manifest.parts.map((part) => part.name)).toContain('certs/local/issuing.key')
    expect(create(house.folder, at('with.backup'), { passphrase: true }).manifest.parts.map((part) => part.name)).toContain(PASSPHRASE)
  })

  test('a passphrase that does not open the key is found, and one that is outside the home is not taken in', async () => {
    expect((await verifyBackup(FILE, Buffer.from('wrong'))).wrong.join()).toMatch(/does not open/)
    const config = loadConfig(house.folder, { SALLYPORT_PASSPHRASE_FILE: at('elsewhere') })
    expect(() => createBackup({ home: house.folder, config, out: at('no.backup'), sessions: false, passphrase: true, program: '0.0.0', clock: Date.now })).toThrow(/outside the home/)
    expect(existsSync(at('no.backup'))).toBe(false)
  })

  test('made again and again while devices are added is whole each time: feed and audit head are of one moment', { timeout: 120_000 }, async () => {
    await using busy = await openHouse()
    const enough = new AbortController()
    const keepAdding = async (): Promise<void> => {
      for (let i = 0; !enough.signal.aborted; i++) await busy.desk().addDevice({ id: device(`d${i}`), groups: [], attributes: {} })
    }
    const adding = keepAdding()
    const sequences: number[] = []
    for (let i = 0; i < 4; i++) {
      const out = at(`busy-${i}.backup`)
      expect(await sallyport(['backup', 'create', '--home', busy.folder, '--out', out])).toMatchObject({ status: 0 })
      const verdict = await verifyBackup(out, undefined)
      expect(verdict.wrong).toEqual([])
      sequences.push(verdict.manifest.registry.sequence)
    }
    enough.abort()
    await adding
    // It was not still while they were made.
    expect(new Set(sequences).size).toBe(4)
    await restore(at('busy-home'), { file: at('busy-3.backup') })
    await using opened = await openHome(at('busy-home'), loadConfig(at('busy-home'), {}))
    expect(await opened.audit.verify()).toMatchObject({ intact: true })
    // Every device has its record, also those whose event was waiting in the registry.
    const added = readFileSync(path.join(at('busy-home'), 'data/audit.ndjson'), 'utf8').split('"action":"device-added"').length - 1
    expect(added).toBe(opened.view.size.devices)
    expect(opened.view.size.devices).toBeGreaterThan(0)
  })

  test('is not written over', () => {
    expect(() => create(house.folder, FILE)).toThrow(/is there already/)
  })

  test('that was cut off, changed or is no backup is refused, and one byte of any part is found', async () => {
    const size = statSync(FILE).size
    for (const [name, spoil] of [
      ['cut', (file: string) => truncateSync(file, size - 9_000)], ['half', (file: string) => truncateSync(file, Math.floor(size / 2))], ['empty', (file: string) => truncateSync(file, 0)],
      ['text', (file: string) => writeFileSync(file, 'hello')],
      ['changed', (file: string) => {
        const bytes = readFileSync(file)
        const where = bytes.indexOf('"action":"certificate-issued"')
        expect(where).toBeGreaterThan(0)
        bytes[where + 1] = 0x41
        writeFileSync(file, bytes)
      }],
    ] as const) {
      cpSync(FILE, at(name))
      spoil(at(name))
      expect([name, (await failure(verifyBackup(at(name), undefined))).code]).toEqual([name, 'backup-unusable'])
      expect([name, (await failure(restore(at(`into-${name}`), { file: at(name) }))).code]).toEqual([name, 'backup-unusable'])
      expect(existsSync(at(`into-${name}/data/registry.db`))).toBe(false)
    }
    expect((await failure(verifyBackup(at('nowhere'), undefined))).code).toBe('not-found')
    expect((await failure(verifyBackup(path.join(house.folder, 'data/registry.db'), undefined))).code).toBe('backup-unusable')
  })
})

describe('restoring yesterday (E33)', () => {
  test('into an empty home gives the home of that moment, and a mark that says what it does not know', async () => {
    const restored = await restore(at('empty-home'))
    expect([restored.newer, restored.before]).toEqual(['unknown', undefined])
    expect(await look(at('empty-home'))).toMatchObject({ ...NEW, stolen: 'active', after: undefined, device: 'active' })
    const mark = restoredMark(at('empty-home'))
    expect(mark?.skipNumbers).toBeGreaterThan(0)
    expect(mark && whatIsUnknown(mark)).toMatch(/Revoke again/)
  })

  test('into a home that knows more is refused, and says what would be forgotten', async () => {
    const home = copyOfHome('refused')
    const { code, message } = await failure(restore(home))
    expect(code).toBe('refused')
    expect(message).toContain(`1 revocations: ${revokedLater.serial}`)
    expect(message).toContain(`1 certificates issued: ${issuedLater.serial}`)
    expect(message).toContain('1 devices added: after')
    expect(await look(home)).toMatchObject(OLD)
    expect(readdirSync(home).filter((name) => name.includes('restore'))).toEqual([])
  })

  test('with --reimport takes all of it over from the registry, and keeps what was there', async () => {
    const home = copyOfHome('reimported')
    const sequence = (await look(home)).sequence
    const restored = await restore(home, { reimport: true })
    expect([restored.newer, restored.tally.revocations.count, restored.tally.certificates.count, restored.tally.devices.count]).toEqual(['registry', 1, 1, 1])
    expect(await look(home)).toMatchObject({ ...NEW, sequence, stolen: 'revoked', sees: 'revoked', reason: 'keyCompromise', after: 'active', device: 'suspended' })
    expect(readFileSync(path.join(restored.before ?? '', 'policy.yaml'), 'utf8')).toMatch(/# edited\n$/)
    const mark = restoredMark(home)
    expect(mark && whatIsUnknown(mark)).toBeUndefined()
    // A second time the home has parted from the backup, and nothing of it is forgotten either.
    expect((await failure(restore(home))).message).toContain(`1 revocations: ${revokedLater.serial}`)
  })

  test('with a newer audit log takes revocations over, and a certificate that was issued since is known and refused', async () => {
    const restored = await restore(at('from-audit'), { audit: path.join(house.folder, 'data/audit.ndjson') })
    expect([restored.newer, restored.tally.revocations.names, restored.toAdd]).toEqual(['audit', [revokedLater.serial], ['after']])
    expect(await look(at('from-audit'))).toMatchObject({ ...NEW, stolen: 'revoked', reason: 'keyCompromise', after: 'planned', device: 'suspended' })
  })

  test('an audit log that was changed, ends too early, or is of another home is not believed', async () => {
    const log = readFileSync(path.join(house.folder, 'data/audit.ndjson'), 'utf8')
    writeFileSync(at('changed.ndjson'), log.replace('"keyCompromise"', '"unspecified"'))
    writeFileSync(at('short.ndjson'), log.split('\n').slice(0, 2).join('\n'))
    await using other = await openHouse()
    await other.device('one')
    for (let i = 0; i < 12; i++) await other.desk().addDevice({ id: device(`d${i}`), groups: [], attributes: {} })
    await other.home.audit.flush()
    for (const file of [at('changed.ndjson'), at('short.ndjson'), path.join(other.folder, 'data/audit.ndjson')]) {
      expect((await failure(restore(at('not-believed'), { audit: file }))).code).toBe('audit-broken')
    }
    expect(existsSync(at('not-believed/data/registry.db'))).toBe(false)
  })

  test('with --accept-loss goes back, and the mark says so', async () => {
    const home = copyOfHome('accepted')
    expect((await restore(home, { acceptLoss: true })).newer).toBe('given-up')
    expect(await look(home)).toMatchObject({ ...NEW, stolen: 'active', after: undefined })
    expect(restoredMark(home)?.newer).toBe('given-up')
  })

  test('over a damaged registry wants the audit log, and with it forgets no revocation', async () => {
    const home = copyOfHome('damaged')
    writeFileSync(path.join(home, 'data/registry.db'), Buffer.alloc(8_192, 1))
    expect(await failure(restore(home))).toMatchObject({ code: 'refused', message: expect.stringMatching(/cannot be read/) as string })
    await restore(home, { audit: path.join(home, 'data/audit.ndjson') })
    expect(await look(home)).toMatchObject({ ...NEW, stolen: 'revoked' })
  })

  test('over a registry that is gone wants the audit log that is there', async () => {
    const home = copyOfHome('gone')
    for (const name of ['registry.db', 'registry.db-wal', 'registry.db-shm']) rmSync(path.join(home, 'data', name), { force: true })
    expect((await failure(restore(home))).message).toMatch(/but an audit log/)
    await restore(home, { audit: path.join(home, 'data/audit.ndjson') })
    expect((await look(home)).stolen).toBe('revoked')
  })

  test('under a running server, or over another organisation, is refused', async () => {
    await using other = await openHouse()
    expect((await failure(restore(other.folder, { acceptLoss: true }))).code).toBe('home-in-use')
    await other.home[Symbol.asyncDispose]()
    expect((await failure(restore(other.folder, { acceptLoss: true }))).message).toMatch(/another organisation/)
  })

  test('serial numbers that were given after the backup are not given again', async () => {
    await restore(at('serials'))
    await using opened = await openHome(at('serials'), loadConfig(at('serials'), {}))
    cpSync(path.join(house.folder, PASSPHRASE), path.join(at('serials'), PASSPHRASE))
    const { authority } = await opened.organisation({ kind: 'local' }, 'open')
    const issued = await authority.issue({ profile: 'device', commonName: 'before', device: device('before'), spki: spkiOf(newKey()) }, { kind: 'local' })
    expect(issued.allow && issued.value.record.serial).not.toBe(issuedLater.serial)
    expect(issued.allow).toBe(true)
  })
})

describe('killed in the middle', () => {
  const script = `
    const { restoreBackup } = await import(process.argv[1])
    const [file, home, stop] = process.argv.slice(2)
    let step = 0
    await restoreBackup({ file, home, reimport: true, acceptLoss: false, passphrase: undefined, clock: Date.now, atStep: (name) => {
      console.log(name)
      if (++step === Number(stop)) process.kill(process.pid, 'SIGKILL')
    } })`
  const run = (home: string, stop: number): readonly string[] =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script, new URL('../src/restore.ts', import.meta.url).href, FILE, home, String(stop)], { encoding: 'utf8' }).stdout.trim().split('\n')

  test('at each step, the home is whole: the old one before it is decided, the new one after', { timeout: 300_000 }, async () => {
    const steps = run(copyOfHome('all-steps'), 0)
    expect(steps.at(-1)).toBe('done')
    const decided = steps.indexOf('decided') + 1
    expect(decided).toBeGreaterThan(10)
    for (let stop = 1; stop <= steps.length; stop++) {
      const home = copyOfHome(`killed-${stop}`)
      expect(run(home, stop)).toHaveLength(stop)
      settleRestore(home)
      // What was killed is no reason that it cannot be done: nothing that it left behind is in the way.
      expect({ stop, ...(await look(home)) }).toMatchObject(stop < decided ? { stop, ...OLD } : { stop, ...NEW, stolen: 'revoked', after: 'active' })
      rmSync(home, { recursive: true, force: true })
    }
  })

  test('into an empty home, too: there it is no home, or the new one', { timeout: 300_000 }, async () => {
    const steps = run(at('empty-steps'), 0)
    // There is nothing to take over here.
    expect(steps).not.toContain('done')
    const bare = script.replace('reimport: true', 'reimport: false')
    const all = spawnSync(process.execPath, ['--input-type=module', '-e', bare, new URL('../src/restore.ts', import.meta.url).href, FILE, at('empty-all'), '0'], { encoding: 'utf8' }).stdout.trim().split('\n')
    const decided = all.indexOf('decided') + 1
    for (let stop = decided; stop <= all.length; stop++) {
      const home = at(`empty-${stop}`)
      spawnSync(process.execPath, ['--input-type=module', '-e', bare, new URL('../src/restore.ts', import.meta.url).href, FILE, home, String(stop)])
      settleRestore(home)
      expect({ stop, ...(await look(home)) }).toMatchObject({ stop, ...NEW, stolen: 'active' })
    }
  })
})

test('what leads out of the home is no part of a backup', () => {
  using backup = openBackup(FILE)
  expect(backup.manifest.parts.every((part) => !part.name.includes('..') && !path.isAbsolute(part.name))).toBe(true)
})
