// Backups of a home: what belongs in one, how it is made beside a running server, and how it is judged before anybody relies
// on it. The form of the file is store/sqlite/backup-file.ts; how a home is made from it, restore.ts.

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { unsealKey, writeSecretFile } from './ca/key-file.ts'
import type { Config } from './config.ts'
import { SallyportError } from './core/errors.ts'
import { homePaths, type HomePaths } from './home.ts'
import { BACKUP_LIMITS } from './backup-limits.ts'
import { verifyAuditFile } from './observe/read-back.ts'
import { unusable, readBackup, writeBackup, type BackupPart, type BackupReader } from './store/sqlite/backup-file.ts'
import { checkDatabase, registryFacts, revocationsAgainstFeed, snapshotDatabase, type RegistryFacts } from './store/sqlite/snapshot.ts'
import { parseCertificate } from './x509/certificate.ts'
import { keyHash, spkiOf } from './x509/keys.ts'
import { decodePem } from './x509/pem.ts'

export const REGISTRY_PART = 'data/registry.db'
export const SESSIONS_PART = 'data/sessions.db'
export const AUDIT_PART = 'data/audit.ndjson'
/** Written by a restore, and read by the next start: what a home does not know. */
export const RESTORED = 'data/restored.json'

const part = z.object({ name: z.string(), bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/), mode: z.number().int() })
const manifestSchema = z.object({
  format: z.literal('sallyport-backup'), version: z.literal(1), program: z.string(), createdAt: z.number(),
  registry: z.object({
    schema: z.number().int(), sequence: z.number().int(), roots: z.array(z.string()),
    audit: z.object({ records: z.number().int(), hash: z.string(), bytes: z.number().int() }),
    counts: z.object({ devices: z.number().int(), certificates: z.number().int(), revoked: z.number().int() }),
  }),
  sessions: z.boolean(), passphrase: z.boolean(),
  /** Files that the configuration names outside the home. They are not in the backup. */
  elsewhere: z.array(z.string()),
  parts: z.array(part),
})
export type BackupManifest = z.infer<typeof manifestSchema>

export interface BackupOptions {
  readonly home: string
  readonly config: Config
  readonly out: string
  readonly sessions: boolean
  readonly passphrase: boolean
  readonly program: string
  readonly clock: () => number
}

export interface BackupMade {
  readonly manifest: BackupManifest
  readonly warnings: readonly string[]
}

/** Databases, which are copied as of one moment; what a running server says of itself; what is half written. */
const NOT_AS_FILES = /^data\/(?:(?:registry|sessions|lock)\.db.*|audit\.ndjson|endpoints\.json|last-backup\.json)$|\.tmp$/

/**
 * Makes a backup beside whatever runs in this home. Keys and files are taken before the registry and looked at again after it:
 * a CA that the registry names has its key in the backup. Failures: 'usage', 'refused', those of the files and of the disk.
 */
export function createBackup(options: BackupOptions): BackupMade {
  process.umask(0o077)
  if (existsSync(options.out)) throw new SallyportError('refused', `${options.out} is there already.`, { fix: 'Choose another name: a backup is never written over.' })
  for (let attempt = 1; ; attempt++) {
    const before = filesOf(options)
    const made = attemptBackup(options, before)
    if (made !== undefined) return made
    if (attempt >= BACKUP_LIMITS.attemptsMax) throw new SallyportError('internal', 'Keys or policy changed each time while the backup was made.', { fix: 'Wait until nobody changes them, and repeat.' })
  }
}

function attemptBackup(options: BackupOptions, found: Found): BackupMade | undefined {
  const paths = homePaths(path.resolve(options.home))
  const scratch = mkdtempSync(path.join(path.dirname(path.resolve(options.out)), '.sallyport-backup-'))
  try {
    using writer = writeBackup(options.out)
    const parts = found.names.map((name) => writer.add(name, path.join(paths.home, name), statSync(path.join(paths.home, name)).mode & 0o777))
    const copy = path.join(scratch, 'registry.db')
    snapshotDatabase(paths.registry, copy)
    const registry = registryFacts(copy)
    parts.push(writer.add(REGISTRY_PART, copy, 0o600))
    rmSync(copy)
    const warnings = addAudit(writer, parts, paths, registry)
    // After the registry: a session that is newer than its device is thrown away by the next start, which is the safe way round.
    const hasSessions = options.sessions && existsSync(paths.sessions)
    if (hasSessions) {
      const sessions = path.join(scratch, 'sessions.db')
      snapshotDatabase(paths.sessions, sessions)
      parts.push(writer.add(SESSIONS_PART, sessions, 0o600))
    }
    if (isChanged(options, found, parts)) return undefined
    const manifest: BackupManifest = {
      format: 'sallyport-backup', version: 1, program: options.program, createdAt: options.clock(),
      registry: { ...registry, roots: [...registry.roots] }, sessions: hasSessions, passphrase: options.passphrase, elsewhere: [...found.elsewhere], parts,
    }
    writer.finish(JSON.stringify(manifest))
    // Doctor asks how old the last one is.
    writeSecretFile(lastBackupFile(paths), `${JSON.stringify({ at: manifest.createdAt, file: path.resolve(options.out), sequence: registry.sequence })}\n`)
    return { manifest, warnings: [...warnings, ...found.elsewhere.map((file) => `${file} lies outside the home and is not in the backup: keep a copy of it.`)] }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The log up to the head that this registry remembers: what comes after it waits in the registry, or belongs to a later moment. */
function addAudit(writer: { add(name: string, file: string, mode: number, bytesMax: number): BackupPart }, parts: BackupPart[], paths: HomePaths, registry: RegistryFacts): readonly string[] {
  if (registry.audit.records === 0 || !existsSync(paths.audit)) return registry.audit.records === 0 ? [] : ['The audit log is gone: the backup has none.']
  const added = writer.add(AUDIT_PART, paths.audit, 0o600, registry.audit.bytes)
  parts.push(added)
  return added.bytes < registry.audit.bytes ? ['The audit log is shorter than the registry remembers: see sallyport audit verify.'] : []
}

interface Found {
  /** Relative to the home. */
  readonly names: readonly string[]
  readonly elsewhere: readonly string[]
}

function filesOf({ home, config, passphrase }: BackupOptions): Found {
  const paths = homePaths(path.resolve(home))
  const inHome = (file: string): string => path.relative(paths.home, path.resolve(paths.home, file))
  const secret = config.passphraseFile ?? path.join(paths.local, 'passphrase')
  const policyFolder = path.join(path.dirname(config.policyFile), 'policy.d')
  const named = [paths.config, config.policyFile, ...below(policyFolder), ...config.trust.map((ca) => ca.file), ...(passphrase ? [secret] : [])].filter((file) => existsSync(file)).map(inHome)
  const found = [...below(paths.local), ...below(paths.data)].map(inHome).filter((name) => !NOT_AS_FILES.test(name) && (passphrase || name !== inHome(secret)))
  const isOutside = (name: string): boolean => name.startsWith('..') || path.isAbsolute(name)
  if (passphrase && isOutside(inHome(secret))) throw new SallyportError('usage', `The passphrase is kept outside the home, in ${secret}.`, { fix: 'Make the backup without --with-passphrase, and keep that file yourself.' })
  const all = [...new Set([...named, ...found])].toSorted()
  return { names: all.filter((name) => !isOutside(name)), elsewhere: all.filter(isOutside).map((name) => path.resolve(paths.home, name)) }
}

function below(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
}

/** Has a file come, gone or changed while the registry was copied? */
function isChanged(options: BackupOptions, found: Found, parts: readonly BackupPart[]): boolean {
  const again = filesOf(options)
  if (again.names.join('\n') !== found.names.join('\n')) return true
  const saved = new Map(parts.map((each) => [each.name, each.sha256]))
  return again.names.some((name) => sha256Of(path.join(options.home, name)) !== saved.get(name))
}

function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

function lastBackupFile(paths: HomePaths): string {
  return path.join(paths.data, 'last-backup.json')
}

const lastBackupSchema = z.object({ at: z.number(), file: z.string(), sequence: z.number() })

/** The last backup that was made of this home, as far as it knows. */
export function lastBackup(home: string): z.infer<typeof lastBackupSchema> | undefined {
  const file = lastBackupFile(homePaths(path.resolve(home)))
  if (!existsSync(file)) return undefined
  try {
    return lastBackupSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined // Written by nobody who knows: as good as none.
  }
}

export interface OpenBackup extends Disposable {
  readonly manifest: BackupManifest
  readonly reader: BackupReader
}

/** Opens a backup and holds its parts against its manifest. Failures: 'not-found', 'backup-unusable'. */
export function openBackup(file: string): OpenBackup {
  const reader = readBackup(file)
  try {
    return { reader, manifest: manifestOf(file, reader), [Symbol.dispose]: () => reader[Symbol.dispose]() }
  } catch (error) {
    reader[Symbol.dispose]()
    throw error
  }
}

function manifestOf(file: string, reader: BackupReader): BackupManifest {
  if (reader.manifest.length > BACKUP_LIMITS.manifestCharsMax) throw unusable(file, 'its manifest is too large')
  let manifest: BackupManifest
  try {
    manifest = manifestSchema.parse(JSON.parse(reader.manifest))
  } catch (cause) {
    throw unusable(file, 'its manifest is of another version, or damaged', cause)
  }
  if (JSON.stringify(manifest.parts) !== JSON.stringify(reader.parts)) throw unusable(file, 'its parts are not those of its manifest')
  const strange = manifest.parts.find(({ name }) => !isNameInHome(name))
  if (strange !== undefined) throw unusable(file, 'a part has a name that leads out of the home')
  if (!manifest.parts.some(({ name }) => name === REGISTRY_PART)) throw unusable(file, 'it has no registry')
  return manifest
}

/** A name in a backup is somebody's word: it must stay below the home, and not touch the lock. */
function isNameInHome(name: string): boolean {
  return name !== '' && !/[\0\\]/.test(name) && name !== 'data/lock.db' && name.split('/').every((step) => step !== '' && step !== '.' && step !== '..')
}

export interface BackupVerdict {
  readonly manifest: BackupManifest
  /** What was looked at and is right. */
  readonly right: readonly string[]
  /** What is not; a backup with one of these does not give back the home that it was made of. */
  readonly wrong: readonly string[]
}

/** Extracts it to a scratch folder and looks at everything. Throws 'backup-unusable' when it is not whole. */
export async function verifyBackup(file: string, passphrase: Uint8Array | undefined): Promise<BackupVerdict> {
  using backup = openBackup(file)
  const folder = mkdtempSync(path.join(path.dirname(path.resolve(file)), '.sallyport-verify-'))
  try {
    for (const each of backup.manifest.parts) backup.reader.extract(each, path.join(folder, each.name))
    return { manifest: backup.manifest, ...(await judgeExtracted(file, folder, backup.manifest, passphrase)) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Looks at a home that was extracted from a backup. Throws 'backup-unusable' when its registry is not the one of the manifest. */
export async function judgeExtracted(file: string, folder: string, manifest: BackupManifest, passphrase: Uint8Array | undefined): Promise<Omit<BackupVerdict, 'manifest'>> {
  const paths = homePaths(folder)
  const right: string[] = [`${manifest.parts.length} files have their hashes`]
  const wrong: string[] = []
  checkDatabase(paths.registry)
  if (manifest.sessions) checkDatabase(paths.sessions)
  const facts = registryFacts(paths.registry)
  if (!isDeepStrictEqual(facts, manifest.registry)) throw unusable(file, 'its registry is not the one that its manifest describes')
  right.push(`the registry is whole: ${facts.counts.devices} devices, ${facts.counts.certificates} certificates, ${facts.counts.revoked} of them revoked, at place ${facts.sequence} of the feed`)
  const strayed = revocationsAgainstFeed(paths.registry)
  if (strayed.length > 0) wrong.push(`the feed and the certificates disagree about ${strayed.length} revocations: ${strayed.join(', ')}`)
  const audit = await verifyAuditFile(paths.audit, facts.audit)
  if (audit.intact) right.push(`the audit log is intact: ${audit.records} records`)
  else wrong.push(`the audit log does not verify: line ${audit.firstBad?.line ?? 0}: ${audit.firstBad?.problem ?? ''}`)
  const key = await judgeKey(paths, passphrase)
  ;(key.fits ? right : wrong).push(key.sentence)
  return { right, wrong }
}

async function judgeKey({ local }: HomePaths, passphrase: Uint8Array | undefined): Promise<{ readonly fits: boolean; readonly sentence: string }> {
  const [keyFile, certificateFile, own] = ['issuing.key', 'issuing.pem', 'passphrase'].map((name) => path.join(local, name)) as [string, string, string]
  if (!existsSync(keyFile) || !existsSync(certificateFile)) return { fits: false, sentence: 'the key of the issuing CA is not in it' }
  const secret = passphrase ?? (existsSync(own) ? Buffer.from(readFileSync(own, 'utf8').trim()) : undefined)
  if (secret === undefined) return { fits: true, sentence: 'the key of the issuing CA is there, sealed; whether its passphrase is yours was not tried (--passphrase-file)' }
  const pem = decodePem(readFileSync(certificateFile, 'utf8'), 'CERTIFICATE')
  const certificate = pem.allow ? parseCertificate(pem.value[0] ?? new Uint8Array()) : pem
  try {
    const key = await unsealKey(readFileSync(keyFile, 'utf8'), secret, keyFile)
    const fits = certificate.allow && certificate.value.key.spkiSha256 === keyHash(spkiOf(key))
    return { fits, sentence: fits ? 'the key of the issuing CA opens and fits its certificate' : 'the key of the issuing CA does not fit its certificate' }
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    return { fits: false, sentence: `the key of the issuing CA does not open: ${error.message}` }
  }
}
