// Restoring a home from a backup, so that no revocation is forgotten: what the home there knows and the backup does not is named,
// and taken over from its registry or from a newer audit log. Everything is made ready and judged beside the home; the moment at
// which it takes its place is restore-swap.ts.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { openBackup, AUDIT_PART, judgeExtracted, REGISTRY_PART, RESTORED, SESSIONS_PART, type BackupManifest } from './backup.ts'
import { writeSecretFile } from './ca/key-file.ts'
import type { AuditEvent } from './core/audit.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import type { CaName, SerialNumber } from './core/ids.ts'
import type { CertificateRecord, Change } from './core/registry.ts'
import { homePaths, type HomePaths } from './home.ts'
import { replayAfter, type Replayed } from './observe/replay.ts'
import { BEFORE_PREFIX, clearReady, decideRestore, finishRestore, READY_PREFIX } from './restore-swap.ts'
import { changesOfReplay, count, devicesToAdd, emptyTally, eventsOf, tallyOf, type Tally } from './restore-replay.ts'
import { syncPath, type BackupReader } from './store/sqlite/backup-file.ts'
import { lockHome } from './store/sqlite/lock.ts'
import { openRegistry, type SqliteRegistry } from './store/sqlite/registry.ts'
import { changesOf, commonSequence, registryFacts } from './store/sqlite/snapshot.ts'

/** Where what happened after the backup comes from: nowhere; the home has nothing newer; its registry; an audit log; or it is given up. */
const NEWER = ['unknown', 'nothing', 'registry', 'audit', 'given-up'] as const
export type Newer = (typeof NEWER)[number]

export interface RestoreOptions {
  readonly file: string
  readonly home: string
  /** Take over what the registry of the home has and the backup does not. */
  readonly reimport: boolean
  /** The same from an audit log that goes on after the backup. */
  readonly audit?: string | undefined
  /** Go back all the same. */
  readonly acceptLoss: boolean
  readonly passphrase: Uint8Array | undefined
  readonly clock: () => number
  readonly atStep?: (step: string) => void
}

export interface Restored {
  readonly manifest: BackupManifest
  readonly newer: Newer
  /** What was taken over, or given up. */
  readonly tally: Tally
  /** Devices that only an audit log knows, without their groups and attributes: they have to be added again. */
  readonly toAdd: readonly string[]
  readonly right: readonly string[]
  readonly wrong: readonly string[]
  /** Where what was there before is kept; undefined when nothing was. */
  readonly before: string | undefined
}

const restoredSchema = z.object({
  at: z.number(), backupAt: z.number(), sequence: z.number(), newer: z.enum(NEWER),
  /**
   * Numbers that only count up must skip those that were given after the backup: by this much, which is more than there can
   * have been, one for each second.
   */
  skipNumbers: z.number().int().positive(),
})
export type RestoredMark = z.infer<typeof restoredSchema>

/** What this home remembers of the restore that made it. */
export function restoredMark(home: string): RestoredMark | undefined {
  const file = path.join(path.resolve(home), RESTORED)
  return existsSync(file) ? restoredSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
}

/** What a person must know of a home that was restored and may have forgotten something. */
export function whatIsUnknown({ backupAt, newer }: RestoredMark): string | undefined {
  const since = new Date(backupAt).toISOString()
  if (newer === 'unknown') return `This home was restored from a backup of ${since}: what was revoked and issued after that is not known here. Revoke again what was revoked since; certificates that were issued since are refused as certificate-unrecorded.`
  if (newer === 'given-up') return `This home was restored from a backup of ${since}, and what its registry knew after that was given up: revoke again what was revoked since.`
  return undefined
}

/**
 * Makes `home` what the backup says. Failures: 'not-found', 'backup-unusable', 'home-in-use' while a server or command works there,
 * 'refused' when it would forget something, or belongs to another organisation. Until it is decided nothing of the home changes.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  process.umask(0o077)
  const paths = homePaths(path.resolve(options.home))
  using backup = openBackup(options.file)
  mkdirSync(paths.data, { recursive: true, mode: 0o700 })
  using _lock = lockForRestore(paths)
  finishRestore(paths.home)
  clearReady(paths.home)
  const name = `${READY_PREFIX}${randomBytes(6).toString('hex')}`
  const ready = path.join(paths.home, name)
  try {
    return await restoreInto(options, paths, { backup, name, ready })
  } catch (error) {
    // What was decided is finished by the next command; what was not leaves nothing behind.
    if (!existsSync(path.join(paths.home, 'restore-begun.json'))) rmSync(ready, { recursive: true, force: true })
    throw error
  }
}

interface Making {
  readonly backup: { readonly manifest: BackupManifest; readonly reader: BackupReader }
  readonly name: string
  readonly ready: string
}

async function restoreInto(options: RestoreOptions, paths: HomePaths, { backup: { manifest, reader }, name, ready }: Making): Promise<Restored> {
  const atStep = options.atStep ?? ((): void => {})
  for (const part of manifest.parts) {
    reader.extract(part, path.join(ready, part.name))
    atStep(`${part.name} extracted`)
  }
  const hadHome = existsSync(paths.registry)
  const own = path.join(paths.local, 'passphrase')
  const verdict = await judgeExtracted(options.file, ready, manifest, options.passphrase ?? (existsSync(own) ? Buffer.from(readFileSync(own, 'utf8').trim()) : undefined))
  const news = await newsOf(options, paths, manifest)
  const { tally, toAdd } = await takeOver(path.join(ready, REGISTRY_PART), news, manifest, options.clock)
  atStep('taken over')
  const mark: RestoredMark = { at: options.clock(), backupAt: manifest.createdAt, sequence: manifest.registry.sequence, newer: news.newer, skipNumbers: 1 + Math.max(1, Math.ceil((options.clock() - manifest.createdAt) / 1_000)) }
  writeSecretFile(path.join(ready, RESTORED), JSON.stringify(mark))
  for (const part of manifest.parts) syncPath(path.dirname(path.join(ready, part.name)))
  const before = `${BEFORE_PREFIX}${new Date(options.clock()).toISOString().replaceAll(':', '')}`
  atStep('made ready')
  decideRestore(paths.home, { ready: name, before, names: [...new Set([...manifest.parts.map((part) => part.name), ...movedAway(manifest), RESTORED])] })
  atStep('decided')
  finishRestore(paths.home, atStep)
  return { manifest, newer: news.newer, tally, toAdd, ...verdict, before: hadHome ? path.join(paths.home, before) : undefined }
}

/** What belongs to files that are replaced, and would be taken for theirs. */
function movedAway(manifest: BackupManifest): readonly string[] {
  const logs = (name: string): readonly string[] => [`${name}-wal`, `${name}-shm`]
  return [...logs(REGISTRY_PART), ...(manifest.sessions ? logs(SESSIONS_PART) : []), AUDIT_PART, 'data/endpoints.json']
}

function lockForRestore(paths: HomePaths): Disposable {
  try {
    return lockHome(paths.lock)
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'home-in-use') throw error
    throw new SallyportError('home-in-use', `A server or another command works in ${paths.home}: a home is not replaced under a server that runs.`, { fix: 'Stop the server, restore, and start it again; or restore into another folder with --home.', cause: error })
  }
}

interface News {
  readonly newer: Newer
  /** Pages of changes that the backup does not have. */
  readonly changes: (registry: SqliteRegistry) => Iterable<readonly Change[]>
  /** Where they come from an audit log: what stands there. */
  readonly replayed?: readonly Replayed[]
  /** They are counted, and not made. */
  readonly isGivenUp: boolean
}

/** What is known of the time after the backup; refuses to go back behind it without a word. */
async function newsOf(options: RestoreOptions, paths: HomePaths, manifest: BackupManifest): Promise<News> {
  if (options.reimport && options.audit !== undefined) throw new SallyportError('usage', '--reimport and --audit exclude each other: the registry of the home knows more than its audit log.')
  const present = presentRegistry(options, paths, manifest)
  if (options.audit !== undefined) {
    if (present !== undefined && changedSince(present) > 0) throw new SallyportError('refused', 'The registry of this home is readable and newer than the backup.', { fix: 'Take over what it knows with --reimport instead of --audit: it knows more.' })
    const replayed = await replayAfter(options.audit, manifest.registry.audit)
    return { newer: 'audit', replayed, changes: (registry) => [changesOfReplay(replayed, registry)], isGivenUp: false }
  }
  if (present === undefined) {
    if (!existsSync(paths.registry) && existsSync(paths.audit) && !options.acceptLoss) {
      throw new SallyportError('refused', `There is no registry in ${paths.home}, but an audit log, which knows what was revoked after the backup.`, { fix: `Take it over: --audit ${paths.audit}. To do without: --accept-loss.` })
    }
    if (options.reimport) throw new SallyportError('refused', `There is no registry in ${paths.home} to take anything over from.`, { fix: 'Leave --reimport out, or name a newer audit log with --audit.' })
    return { newer: existsSync(paths.registry) ? 'given-up' : 'unknown', changes: () => [], isGivenUp: false }
  }
  if (changedSince(present) === 0) return { newer: 'nothing', changes: () => [], isGivenUp: false }
  const changes = (): Iterable<readonly Change[]> => changesOf(paths.registry, present.common)
  if (options.reimport) return { newer: 'registry', changes, isGivenUp: false }
  if (options.acceptLoss) return { newer: 'given-up', changes, isGivenUp: true }
  throw wouldForget(tallyOf(changes()), manifest)
}

interface Present {
  readonly sequence: number
  readonly common: number
}

const changedSince = ({ sequence, common }: Present): number => sequence - common

/** The registry that is there now: undefined when there is none, or when it cannot be read and that is accepted. */
function presentRegistry(options: RestoreOptions, paths: HomePaths, manifest: BackupManifest): Present | undefined {
  if (!existsSync(paths.registry)) return undefined
  try {
    const facts = registryFacts(paths.registry)
    if (facts.roots.length > 0 && facts.roots.every((root) => !manifest.registry.roots.includes(root))) {
      throw new SallyportError('refused', `${paths.home} holds another organisation than the backup: it has another root CA.`, { fix: 'Restore into a folder of its own: --home DIR.' })
    }
    using backup = openBackup(options.file)
    const copy = path.join(paths.data, `compared-${randomBytes(6).toString('hex')}.tmp`)
    try {
      const part = backup.manifest.parts.find(({ name }) => name === REGISTRY_PART)
      if (part !== undefined) backup.reader.extract(part, copy)
      return { sequence: facts.sequence, common: commonSequence(copy, paths.registry) }
    } finally {
      rmSync(copy, { force: true })
    }
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'database-corrupt') throw error
    if (options.acceptLoss || options.audit !== undefined) return undefined
    throw new SallyportError('refused', `The registry of this home cannot be read, so nobody can say what it knows and the backup does not (${error.message}).`, {
      fix: 'Name its audit log, from which revocations are taken over: --audit data/audit.ndjson. If there is none: --accept-loss.', cause: error,
    })
  }
}

function wouldForget(tally: Tally, manifest: BackupManifest): SallyportError {
  const named = (what: string, names: readonly string[], count: number): readonly string[] =>
    count === 0 ? [] : [`${count} ${what}: ${names.join(', ')}${count > names.length ? `, and ${count - names.length} more` : ''}`]
  const lines = [
    ...named('revocations', tally.revocations.names, tally.revocations.count), ...named('certificates issued', tally.certificates.names, tally.certificates.count),
    ...named('devices added', tally.devices.names, tally.devices.count), ...(tally.others === 0 ? [] : [`${tally.others} other changes`]),
  ]
  return new SallyportError('refused', `The home knows what happened after this backup (${new Date(manifest.createdAt).toISOString()}), and would forget:\n  ${lines.join('\n  ')}`, {
    fix: 'Take it over with --reimport. To forget it all the same, with every revocation among it: --accept-loss.',
  })
}

/** Tells the registry of the new home what it does not know. A change of a feed that does not fit it ends the restore. */
async function takeOver(file: string, news: News, manifest: BackupManifest, clock: () => number): Promise<Pick<Restored, 'tally' | 'toAdd'>> {
  using registry = openRegistry(file, { clock })
  const tally = emptyTally()
  const toAdd = news.replayed === undefined ? [] : devicesToAdd(news.replayed, registry)
  for (const page of news.changes(registry)) {
    const taken = news.isGivenUp ? page : await commitAll(registry, page, clock())
    for (const change of taken) count(tally, change)
  }
  const event: AuditEvent = { kind: 'home-restored', at: clock(), because: sentence(news.newer, manifest, tally), actor: { kind: 'local' } }
  const committed = await registry.commit([], [], [event])
  if (!committed.allow) throw failureOf(committed)
  return { tally, toAdd }
}

/** A page of changes is one commit; what it plans itself is known to the events of its later changes. */
async function commitAll(registry: SqliteRegistry, changes: readonly Change[], now: number): Promise<readonly Change[]> {
  const planned = new Map(changes.flatMap((change) => (change.kind === 'certificate-planned' ? [[`${change.certificate.issuer}/${change.certificate.serial}`, change.certificate] as const] : [])))
  const certificate = (issuer: CaName, serial: SerialNumber): CertificateRecord | undefined => planned.get(`${issuer}/${serial}`) ?? registry.certificate(issuer, serial)
  const committed = await registry.commit(changes, [], changes.flatMap((change) => eventsOf(change, certificate, now)))
  if (!committed.allow) throw failureOf(committed)
  return changes
}

const FROM: Readonly<Record<Newer, string>> = {
  unknown: 'nothing is known of the time after it', nothing: 'nothing happened after it', registry: 'taken over from the registry of the home',
  audit: 'taken over from an audit log', 'given-up': 'given up, or not readable',
}

function sentence(newer: Newer, { createdAt, registry }: BackupManifest, { revocations, certificates, devices, others }: Tally): string {
  return `Backup of ${new Date(createdAt).toISOString()}, place ${registry.sequence} of the feed; ${FROM[newer]}: ${revocations.count} revocations, ${certificates.count} certificates, ${devices.count} devices, ${others} other changes.`
}
