// The composition root of `serve`: configuration → home → CA → broker and admin API → ready; then signals, and an orderly
// end. It wires and starts; every decision is made in the rooms.

import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { openBroker, type Broker } from './broker/broker.ts'
import type { TlsMaterial } from './broker/listener.ts'
import { readSecretFile, writeSecretFile } from './ca/key-file.ts'
import type { Config } from './config.ts'
import { SallyportError } from './core/errors.ts'
import { EMPTY_POLICY, type CompiledPolicy } from './core/policy/compile.ts'
import type { CaRecord } from './core/registry.ts'
import { ensureDemo, type Demo } from './demo.ts'
import { openDesk, type DeskPorts } from './desk.ts'
import { observeForeign } from './foreign.ts'
import { ensureStarter, openHome, type OpenHome } from './home.ts'
import { openAdminServer } from './http/admin.ts'
import { openLog } from './observe/log.ts'
import { loadPolicy } from './policy-file.ts'
import { openTrust, type Trust } from './x509/chain.ts'
import { decodePem, encodePem } from './x509/pem.ts'

export interface Ready {
  readonly mqtt: { readonly host: string; readonly port: number }
  readonly admin: { readonly url: string }
  readonly rootSha256: string
  readonly demo: Demo | undefined
  /** This start made the home. */
  readonly fresh: boolean
}

export interface ServeOptions {
  readonly home: string
  /** Read at start and at every reload. */
  readonly config: () => Config
  /** Ends the server. */
  readonly signal: AbortSignal
  /** Called when everything answers. */
  readonly onReady: (ready: Ready) => void
  /** Hands out the way to reload: policy, trust and server certificate. */
  readonly onReload: (reload: () => Promise<void>) => void
  readonly version: string
}

/** Serves until `signal` says otherwise. Failures before it is ready leave nothing running. */
export async function serve(options: ServeOptions): Promise<void> {
  const config = options.config()
  const log = openLog({ level: config.logLevel })
  await using home = await openHome(options.home, config)
  const fresh = ensureStarter(home, config.policyFile)
  let policy = loadPolicyOf(config, 1)
  const organisation = await home.organisation({ kind: 'system' }, 'make')
  let anchors = anchorsOf(home, config)
  let trust = openTrust(anchors)

  await using stack = new AsyncDisposableStack()
  const broker: Broker = await openBroker({
    host: config.listen.mqtt.host,
    port: config.listen.mqtt.port,
    tls: tlsMaterial(home, config, anchors),
    sourceRate: config.sourceRate,
    packetBytesMax: config.packetBytesMax,
    view: home.view,
    audit: home.audit,
    clock: Date.now,
    log: (level, facts, message) => log[level](facts, message),
    trust: (): Trust => trust,
    policy: () => policy,
    observe: (peer) => observeForeign(home, peer, Date.now),
  })
  stack.defer(() => broker.close())
  const desk: DeskPorts = { registry: home.registry, view: home.view, audit: home.audit, authority: organisation.authority, sessions: broker, policy: () => policy, clock: Date.now }
  const admin = await openAdminServer({
    listen: config.listen.admin,
    hosts: config.hosts,
    tls: { ...tlsMaterial(home, config, anchors), anchors: [encodePem('CERTIFICATE', organisation.root.der)] },
    view: home.view,
    audit: home.audit,
    clock: Date.now,
    deskFor: (actor) => openDesk(desk, actor),
    status: () => ({ version: options.version, sessions: broker.sessionCount, policyGeneration: policy.generation, mqtt: broker.address }),
    log: (level, facts, message) => log[level](facts, message),
  })
  stack.defer(() => admin.close())
  const demo = fresh || existsSync(home.paths.demo) ? await ensureDemo(home, openDesk(desk, { kind: 'system' }), broker.address.port) : undefined

  // One after the other: two signals at once must not make two policies of one generation.
  let reloading = Promise.resolve()
  options.onReload(() => (reloading = reloading.then(reload)))
  async function reload(): Promise<void> {
    try {
      const fresh = options.config()
      const nextPolicy = loadPolicyOf(fresh, policy.generation + 1)
      await home.organisation({ kind: 'system' }, 'make')
      const nextAnchors = anchorsOf(home, fresh)
      const nextTrust = openTrust(nextAnchors)
      broker.reloadTls(tlsMaterial(home, fresh, nextAnchors))
      admin.reloadTls({ ...tlsMaterial(home, fresh, nextAnchors), anchors: [encodePem('CERTIFICATE', organisation.root.der)] })
      ;[policy, anchors, trust] = [nextPolicy, nextAnchors, nextTrust]
      broker.regrant()
      auditPolicy(home, fresh, policy)
      home.audit.record({ kind: 'trust-loaded', at: Date.now(), cas: anchors.length })
      log.info({ generation: policy.generation, cas: anchors.length }, 'reloaded: policy, trust and server certificate')
    } catch (error) {
      home.audit.record({ kind: 'policy-rejected', at: Date.now(), message: error instanceof Error ? error.message : 'unknown' })
      log.error({ error: error instanceof Error ? error.message : 'unknown' }, 'reload refused: what was in force stays in force')
    }
  }

  writeSecretFile(home.paths.endpoints, `${JSON.stringify({ pid: process.pid, mqtt: broker.address, admin: { url: admin.url } }, null, 2)}\n`)
  stack.defer(() => rmSync(home.paths.endpoints, { force: true }))
  home.audit.record({ kind: 'server-started', at: Date.now(), version: options.version })
  auditPolicy(home, config, policy)
  options.onReady({ mqtt: broker.address, admin: { url: admin.url }, rootSha256: new X509Certificate(organisation.root.der).fingerprint256, demo, fresh })
  log.info({ mqtt: broker.address, admin: admin.url, devices: home.view.size.devices }, 'ready')

  await ended(options.signal)
  log.info({ sessions: broker.sessionCount }, 'shutting down')
  home.audit.record({ kind: 'server-stopped', at: Date.now() })
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** A policy that is not there denies everything (R1); one that is wrong is refused. */
function loadPolicyOf(config: Config, generation: number): CompiledPolicy {
  return existsSync(config.policyFile) ? loadPolicy(config.policyFile, path.basename(config.policyFile), generation).policy : { ...EMPTY_POLICY, generation }
}

function auditPolicy(home: OpenHome, config: Config, policy: CompiledPolicy): void {
  const text = existsSync(config.policyFile) ? readFileSync(config.policyFile) : Buffer.alloc(0)
  home.audit.record({ kind: 'policy-loaded', at: Date.now(), generation: policy.generation, sha256: createHash('sha256').update(text).digest('hex') })
}

/** Our own CAs, and those that the configuration trusts. Failure: 'config-invalid' for a file that is no CA certificate. */
function anchorsOf(home: OpenHome, config: Config): readonly Pick<CaRecord, 'name' | 'role' | 'tenant' | 'der'>[] {
  const own = home.registry.cas()
  const [first] = own
  const foreign = config.trust.map(({ name, file }) => {
    const blocks = existsSync(file) ? decodePem(readFileSync(file, 'utf8'), 'CERTIFICATE') : undefined
    const der = blocks?.allow === true ? blocks.value[0] : undefined
    if (der === undefined || first === undefined) {
      throw new SallyportError('config-invalid', `The trusted CA ${name}: ${file} is not a PEM certificate.`, { fix: 'Correct trust: in sallyport.yaml.' })
    }
    return { name, role: 'trusted' as const, tenant: first.tenant, der }
  })
  return [...own, ...foreign]
}

function tlsMaterial(home: OpenHome, config: Config, anchors: readonly Pick<CaRecord, 'role' | 'der'>[]): TlsMaterial {
  return {
    key: readSecretFile(path.join(home.paths.server, 'key.pem')).toString('utf8'),
    cert: readFileSync(path.join(home.paths.server, 'cert.pem'), 'utf8'),
    anchors: anchors.filter((ca) => ca.role !== 'issuing').map((ca) => encodePem('CERTIFICATE', ca.der)),
    resumption: config.resumption,
  }
}

