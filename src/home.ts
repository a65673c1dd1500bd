// A home: the folder that holds one organisation. Its paths, its lock, and what is opened for every use of it: registry,
// view, audit log, CA, policy. It composes rooms and decides nothing.

import { randomBytes } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { openAuthorities, type Authorities } from './ca/authorities.ts'
import { currentCa } from './ca/chains.ts'
import { ensureCredentials, keyFileOf, openAuthorityOf, openAuthorityOnly, openOrganisation, publishCas, type GenesisPorts, type Organisation, type SeparateSigner } from './ca/genesis.ts'
import type { Config } from './config.ts'
import { configSchemaText, SCHEMA_FILE } from './config/schema.ts'
import type { Actor } from './core/audit.ts'
import { SallyportError } from './core/errors.ts'
import type { CaRecord, Lists } from './core/registry.ts'
import type { OwnCredential } from './core/renewal-desk.ts'
import type { Timing } from './core/traffic.ts'
import { LIFE } from './limits.ts'
import { openAuditLog, type AuditLog } from './observe/audit-log.ts'
import { isPolicyThere } from './policy-file/files.ts'
import { isLineForm } from './policy-file/source.ts'
import { finishRestore, isRestorePending } from './restore-swap.ts'
import { loadProfiles } from './shipped-profiles.ts'
import type { SignerPlace } from './signing.ts'
import { STARTER_CONFIG, STARTER_LINES, STARTER_POLICY } from './starter.ts'
import { openLists } from './store/sqlite/lists.ts'
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
  /** CRLs. */
  readonly pki: string
  readonly endpoints: string
  /** What the simulator has written of its runs. */
  readonly reports: string
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
    pki: path.join(data, 'pki'),
    endpoints: path.join(data, 'endpoints.json'),
    reports: path.join(home, 'reports'),
    demo: path.join(home, 'demo'),
    config: path.join(home, 'sallyport.yaml'),
  }
}

export interface OpenHome extends AsyncDisposable {
  readonly paths: HomePaths
  readonly registry: SqliteRegistry
  /** Its lists, read on a thread that is started when somebody asks for one. */
  readonly lists: Lists
  readonly view: OpenView
  readonly audit: AuditLog
  /** From here on `of` signs in place of the keys of issuing CAs, which then are opened by nobody here. Called once for each CA. */
  signWith(of: (ca: CaRecord, place: SignerPlace) => SeparateSigner): void
  /** Opens the CA; with 'make' it is made where there is none, and the server's and operator's credentials, too. */
  organisation(actor: Actor, mode: 'make' | 'open'): Promise<Organisation>
  /** Those of its CAs. The current one follows a switch by itself. */
  readonly authorities: Authorities
  /** One after the other: two that change the CAs at once would make two keys for one name. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
  /** Writes what follows from the CAs as they are now: their certificates, and the credentials of server and operator. `hosts`: the names of the server. `anew`: this one, however good it is. */
  followCas(hosts?: readonly string[], anew?: OwnCredential): Promise<void>
  /** What an import of a foreign CA needs. */
  genesis(actor: Actor): GenesisPorts
}

/** A certificate that expired this long ago is no longer one that the door expects. */
const EXPIRED_KEPT_MS = 30 * LIFE.day

/** Has a first start happened here? */
export function isHome(home: string): boolean {
  return existsSync(homePaths(home).registry) || isRestorePending(home)
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

/** Finishes a restore that was killed half way: the configuration is one of its files, and is read before the home is opened. */
export function settleRestore(home: string): void {
  if (!isRestorePending(home)) return
  using _lock = lockHome(homePaths(home).lock)
  finishRestore(home)
}

/** Opens a home under its lock. Failures: 'home-in-use', 'home-not-writable', 'database-corrupt', 'database-newer'. */
export async function openHome(home: string, config: Config, timing?: Timing): Promise<OpenHome> {
  process.umask(0o077)
  const paths = homePaths(path.resolve(home))
  makeFolders(paths)
  const stack = new AsyncDisposableStack()
  try {
    stack.use(lockHome(paths.lock))
    // A restore that was killed half way is finished before anything is read.
    finishRestore(paths.home)
    const registry = openRegistry(paths.registry, { clock: Date.now, timing })
    stack.defer(() => registry.close())
    const lists = stack.use(openLists(paths.registry))
    const view = stack.use(openView(registry, Date.now() - EXPIRED_KEPT_MS))
    const audit = await openAuditLog({ file: paths.audit, outbox: registry.audit, clock: Date.now })
    stack.defer(() => audit.close())
    const passphrase = config.passphraseFile ?? path.join(paths.local, 'passphrase')
    let signerOf: ((ca: CaRecord) => SeparateSigner) | undefined
    const genesis = (actor: Actor): GenesisPorts => ({
      registry, actor,
      profiles: loadProfiles(),
      paths: { local: paths.local, passphrase },
      ...(signerOf === undefined ? {} : { signerOf }),
      organization: config.organisation,
      door: config.pki.url === undefined ? undefined : { url: config.pki.url, crlShards: config.pki.crlShards },
      hosts: config.hosts,
      clock: Date.now,
      random: (count) => randomBytes(count),
    })
    let working: Promise<unknown> = Promise.resolve()
    const authorities = openAuthorities({ registry, view, open: (issuer) => openAuthorityOf(genesis({ kind: 'system' }), issuer) })
    return {
      paths, registry, lists, view, audit, genesis, authorities,
      signWith(of) {
        const known = new Map<string, SeparateSigner>()
        signerOf = (ca) => {
          const signer = known.get(ca.name) ?? of(ca, { registry: paths.registry, keyFile: path.join(paths.local, keyFileOf(ca.name)), passphraseFile: passphrase })
          known.set(ca.name, signer)
          return signer
        }
      },
      async organisation(actor, mode) {
        const opened = await (mode === 'make' ? openOrganisation(genesis(actor)) : openAuthorityOnly(genesis(actor), false))
        authorities.adopt(opened.authority)
        return { ...opened, authority: authorities.current }
      },
      alone: (work) => {
        const done = working.then(work)
        working = done.catch(() => {})
        return done
      },
      async followCas(hosts = config.hosts, anew) {
        const ports = { ...genesis({ kind: 'system' }), hosts, anew }
        const [root, issuing] = [currentCa(registry.cas(), 'root'), currentCa(registry.cas(), 'issuing')]
        publishCas(ports)
        if (root !== undefined && issuing !== undefined) await ensureCredentials({ root, issuing, authority: authorities.current }, ports, (issuer) => authorities.of(issuer.name))
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
  // For editors, as the first line of the configuration names it: that of the version that runs.
  writeFileSync(path.join(home.paths.home, SCHEMA_FILE), configSchemaText(), { mode: 0o644 })
  return fresh
}
