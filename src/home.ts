// A home: the folder that holds one organisation. Its paths, its lock, and what is opened for every use of it: registry,
// view, audit log, CA, policy. It composes rooms and decides nothing.

import { randomBytes } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { issuingKeyFile, openAuthorityOnly, openOrganisation, type GenesisPorts, type Organisation } from './ca/genesis.ts'
import type { Signer } from './ca/signer.ts'
import type { Config } from './config.ts'
import type { Actor } from './core/audit.ts'
import { SallyportError } from './core/errors.ts'
import type { CaRecord } from './core/registry.ts'
import { openAuditLog, type AuditLog } from './observe/audit-log.ts'
import { isPolicyThere } from './policy-file/files.ts'
import { isLineForm } from './policy-file/source.ts'
import type { SignerPlace } from './signing.ts'
import { loadProfiles } from './shipped-profiles.ts'
import { STARTER_CONFIG, STARTER_LINES, STARTER_POLICY } from './starter.ts'
import { lockHome } from './store/sqlite/lock.ts'
import { openRegistry, type SqliteRegistry } from './store/sqlite/registry.ts'
import { openView, type OpenView } from './store/view.ts'

/** Where everything of a home is. */
export interface HomePaths {
  readonly home: string
  readonly local: string
  readonly operator: string
  readonly server: string
  readonly data: string
  readonly registry: string
  readonly sessions: string
  readonly lock: string
  readonly audit: string
  readonly endpoints: string
  readonly demo: string
  readonly config: string
}

export function homePaths(home: string): HomePaths {
  const local = path.join(home, 'certs/local')
  const data = path.join(home, 'data')
  return {
    home, local, data,
    operator: path.join(local, 'operator'),
    server: path.join(local, 'server'),
    registry: path.join(data, 'registry.db'),
    sessions: path.join(data, 'sessions.db'),
    lock: path.join(data, 'lock.db'),
    audit: path.join(data, 'audit.ndjson'),
    endpoints: path.join(data, 'endpoints.json'),
    demo: path.join(home, 'demo'),
    config: path.join(home, 'sallyport.yaml'),
  }
}

export interface OpenHome extends AsyncDisposable {
  readonly paths: HomePaths
  readonly registry: SqliteRegistry
  readonly view: OpenView
  readonly audit: AuditLog
  /**
   * Opens the CA; with 'make' it is made where there is none, and the server's and operator's credentials, too. `signerOf` signs in place
   * of the key itself, which then is opened by nobody here.
   */
  organisation(actor: Actor, mode: 'make' | 'open', signerOf?: (ca: CaRecord, place: SignerPlace) => Signer): Promise<Organisation>
  /** What an import of a foreign CA needs. */
  genesis(actor: Actor): GenesisPorts
}

/** Has a first start happened here? */
export function isHome(home: string): boolean {
  return existsSync(homePaths(home).registry)
}

function makeFolders(paths: HomePaths): void {
  try {
    for (const folder of [paths.home, paths.data]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    accessSync(paths.data, constants.W_OK)
    accessSync(paths.home, constants.W_OK)
  } catch (cause) {
    throw new SallyportError('home-not-writable', `The home ${paths.home} cannot be written.`, { fix: 'Choose another folder with --home, or give yourself write permission.', cause })
  }
}

/** Opens a home under its lock. Failures: 'home-in-use', 'home-not-writable', 'database-corrupt', 'database-newer'. */
export async function openHome(home: string, config: Config): Promise<OpenHome> {
  process.umask(0o077)
  const paths = homePaths(path.resolve(home))
  makeFolders(paths)
  const stack = new AsyncDisposableStack()
  try {
    stack.use(lockHome(paths.lock))
    const registry = openRegistry(paths.registry, { clock: Date.now })
    stack.defer(() => registry.close())
    const view = stack.use(openView(registry))
    const audit = await openAuditLog({ file: paths.audit, outbox: registry.audit, clock: Date.now })
    stack.defer(() => audit.close())
    const genesis = (actor: Actor): GenesisPorts => ({
      registry, actor,
      profiles: loadProfiles(),
      paths: { local: paths.local, passphrase: config.passphraseFile ?? path.join(paths.local, 'passphrase') },
      organization: config.organisation,
      hosts: config.hosts,
      clock: Date.now,
      random: (count) => randomBytes(count),
    })
    return {
      paths, registry, view, audit, genesis,
      organisation(actor, mode, signerOf) {
        const { paths: at, ...ports } = genesis(actor)
        const place: SignerPlace = { registry: paths.registry, keyFile: issuingKeyFile(at), passphraseFile: at.passphrase }
        const all: GenesisPorts = { ...ports, paths: at, ...(signerOf === undefined ? {} : { signerOf: (ca) => signerOf(ca, place) }) }
        return mode === 'make' ? openOrganisation(all) : openAuthorityOnly(all, false)
      },
      async [Symbol.asyncDispose]() {
        await stack.disposeAsync()
      },
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/**
 * Writes what a fresh home begins with: the starter policy and a configuration to edit. A home that has devices has begun
 * already: there, a policy that is gone denies everything, and is not replaced by ours. Returns whether the home is fresh.
 */
export function ensureStarter(home: Pick<OpenHome, 'paths' | 'view'>, policyFile: string): boolean {
  const fresh = home.view.size.devices === 0
  if (fresh && !isPolicyThere(policyFile)) writeFileSync(policyFile, isLineForm(policyFile) ? STARTER_LINES : STARTER_POLICY, { mode: 0o644 })
  if (fresh && !existsSync(home.paths.config)) writeFileSync(home.paths.config, STARTER_CONFIG, { mode: 0o644 })
  return fresh
}
