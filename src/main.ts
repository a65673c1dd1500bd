// The composition root of `serve`: configuration → home → CA → broker and admin API → ready; then signals, and an orderly
// end. It wires and starts; every decision is made in the rooms.

import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { openBroker, type Broker } from './broker/broker.ts'
import type { TlsMaterial } from './broker/listener.ts'
import { RESTORED } from './backup.ts'
import { rootsInForce } from './ca/chains.ts'
import { writeSecretFile } from './ca/key-file.ts'
import type { Config } from './config.ts'
import { consoleLink, openConsole } from './console-desk.ts'
import type { OwnCredential } from './core/renewal-desk.ts'
import type { CertificateRecord } from './core/registry.ts'
import type { Principal } from './core/policy/template.ts'
import { ensureDemo, type Demo } from './demo.ts'
import { openDesk, type DeskPorts } from './desk.ts'
import { openWatch } from './detection.ts'
import { tlsMaterial, trustOfDoors, type DoorMaterial, type TrustOfDoors } from './door-material.ts'
import { openEnrollDoor } from './enroll/behind.ts'
import type { EnrollTls } from './enroll/server.ts'
import { openEnrollments } from './enrollments.ts'
import { openExpiryWatch, ownExpiries } from './expiry.ts'
import { observeForeign, readForeignCas, recordForeignCas, type ForeignCa } from './foreign.ts'
import type { FleetPorts } from './fleet.ts'
import { connectedAs, openHeldSessions } from './held-sessions.ts'
import { ensureStarter, openHome } from './home.ts'
import { openAdminServer, type AdminTls } from './http/admin.ts'
import { LIFE } from './limits.ts'
import { levelsOf } from './core/log-levels.ts'
import { openLive } from './live.ts'
import { openLog, traceTo } from './observe/log.ts'
import { openLogLevels } from './log-levels.ts'
import { openMeters, openObserving } from './observing.ts'
import { loadPolicy } from './policy-file.ts'
import { compileInBackground, loadPolicyInBackground } from './policy-file/background.ts'
import { openPolicies } from './policies.ts'
import { openPublicPki } from './public-pki.ts'
import type { Actor } from './core/audit.ts'
import type { Reloaded } from './core/reload.ts'
import { openReloads } from './reloading.ts'
import type { Ready } from './ready.ts'
import { openRenewal } from './renewal.ts'
import { endFinishedOrders } from './renewal-desk.ts'
import { openHints } from './renewal-hints.ts'
import { openRouter } from './router/memory.ts'
import { restoredMark, whatIsUnknown } from './restore.ts'
import type { SignerProcess } from './signer/process.ts'
import { openSeparateSigner } from './signing.ts'
import { openDecreedView, type Decree } from './store/decreed.ts'
import { openSqliteSessions } from './store/sessions/sqlite.ts'
import { openUpkeep } from './upkeep.ts'
import { encodePem } from './x509/pem.ts'

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

/** What a reload replaces: all of it, or nothing. */
interface InForce {
  readonly config: Config
  readonly foreign: readonly ForeignCa[]
  readonly trust: TrustOfDoors
  readonly tls: DoorMaterial
}

/** Serves until `signal` says otherwise. Failures before it is ready leave nothing running. */
export async function serve(options: ServeOptions): Promise<void> {
  const config = options.config()
  const log = openLog(levelsOf(config.logLevel))
  const say = log.of('server')
  for (const warning of config.warnings) say('warn', {}, warning)
  const meters = openMeters(options.version)
  const trace = traceTo(log, meters.trace)
  await using home = await openHome(options.home, config, meters.timing)
  using levels = openLogLevels({ log, configured: config.logLevel, record: (event) => home.audit.record(event), clock: Date.now })
  home.audit.onEvent((event) => meters.metrics.count(event))
  // A disk that fills up later must not be what keeps a revocation from being recorded.
  home.registry.reserveRoom()
  const fresh = ensureStarter(home, config.policyFile)
  // One after the other: two signals at once must not make two policies of one generation.
  let reloading: Promise<unknown> = Promise.resolve()
  const serially = <T>(work: () => Promise<T>): Promise<T> => {
    const done = reloading.then(work)
    reloading = done.catch(() => {})
    return done
  }
  let isServing = false
  const policies = await openPolicies({
    data: home.paths.data, policyFile: config.policyFile, audit: home.audit, clock: Date.now, serially,
    warn: (message) => say('warn', {}, message),
    // Before it serves, nobody has to wait for it.
    read: (file) => (isServing ? loadPolicyInBackground(file, 1, options.signal) : loadPolicy(file, 1)),
    compile: (texts, generation) => compileInBackground(texts, generation, options.signal),
    fleet: () => fleet,
    onReplaced: () => broker.regrant(),
    connected: () => connected(),
  })
  policies.replace(await policies.load(config.policyFile))
  isServing = true
  const foreign = readForeignCas(config.trust, home.registry.cas())
  await using signing = new AsyncDisposableStack()
  const signers: (SignerProcess & { readonly ca: string })[] = []
  // The key is opened in another process while this one goes on: only who is issued something has to wait for it.
  home.signWith((ca, place) => {
    const signer = signing.use(openSeparateSigner(ca, place, log.of('signer'), { timing: meters.timing }))
    signers.push(Object.assign(signer, { ca: ca.name }))
    return signer
  })
  const organisation = await home.organisation({ kind: 'system' }, 'make')
  const fleet: FleetPorts = { registry: home.registry, view: home.view, get issuer() { return organisation.authority.issuer } }
  await recordForeignCas(home, foreign)
  let inForce: InForce = { config, foreign, trust: trustOfDoors(home, foreign), tls: tlsMaterial(home, config, foreign) }
  // Operators are ours alone: no foreign CA opens the admin API.
  const adminTls = ({ key, cert }: TlsMaterial): AdminTls => ({ key, cert, anchors: rootsInForce(home.registry.cas()).map(({ der }) => encodePem('CERTIFICATE', der)) })

  await using stack = new AsyncDisposableStack()
  const store = await openSqliteSessions({ file: home.paths.sessions, clock: Date.now, log: log.of('store'), timing: meters.timing })
  stack.defer(() => store.close())
  const standing = stack.use(openDecreedView(home.view))
  const watch = stack.use(openWatch({ rules: () => inForce.config.detection, registry: home.registry, view: home.view, audit: home.audit, clock: Date.now, log: log.of('detection') }))
  const renewal = openRenewal({ registry: home.registry, view: home.view, authority: organisation.authority, rules: () => inForce.config.renewal, clock: Date.now, log: log.of('renewal') })
  const hints = stack.use(openHints({ registry: home.registry, view: home.view, clock: Date.now }))
  const broker: Broker = await openBroker({
    host: config.listen.mqtt.host,
    port: config.listen.mqtt.port,
    websocket: config.listen.websocket,
    tls: inForce.tls,
    // It is read at every connection, and a reload may have changed it.
    sourceRate: { get perSecond() { return inForce.config.sourceRate.perSecond }, get burst() { return inForce.config.sourceRate.burst } },
    bounds: () => inForce.config,
    view: standing,
    audit: home.audit,
    clock: Date.now, log: log.of('broker'),
    trust: () => inForce.trust.devices,
    enrolls: () => inForce.trust.enrollment,
    policy: () => policies.inForce().policy,
    certificateDer: (issuer, serial) => home.registry.certificateDer(issuer, serial),
    router: openRouter(),
    store,
    observe: (peer) => observeForeign(home, peer, Date.now),
    detection: watch,
    renewal,
    hints,
    traffic: meters.traffic,
    timing: meters.timing, trace,
  })
  stack.defer(() => broker.close())
  const live = stack.use(openLive({ home, broker, store, view: standing, webhooks: () => inForce.config.webhooks, clock: Date.now, log: log.of('webhooks') }))
  const own = () => ownExpiries({ home, foreign: inForce.foreign })
  const expiry = openExpiryWatch({ registry: home.registry, view: home.view, own, clock: Date.now, log: log.of('renewal') })
  const reloads = openReloads({ started: config, inForce: () => inForce.config, read: options.config, prepare: prepareReload, done: reloaded, serially, record: (event) => home.audit.record(event), clock: Date.now, log: say, isEnding: () => options.signal.aborted })
  const web = stack.use(openConsole({ audit: home.audit, view: home.view, clock: Date.now }))
  const desk: DeskPorts = {
    registry: home.registry, lists: home.lists,
    view: home.view,
    audit: home.audit,
    authority: organisation.authority,
    sessions: { closed: (match) => broker.closed(match), connected: liveOf, of: openHeldSessions({ fleet, broker, store, clock: Date.now }) },
    decrees: { decree, lift: (device) => standing.lift(device) },
    detection: watch,
    policies,
    live: live.desk,
    webhooks: live.webhooks,
    ca: { genesis: (actor) => home.genesis(actor), alone: home.alone, connected: () => broker.live(), changed: () => serially(followCas) },
    own: { expiries: own, renew: (credential) => serially(() => renew(credential)) },
    console: { access: web.access, url: () => admin.url }, reports: home.paths.reports,
    reload: reloads.asked, logLevels: levels,
    clock: Date.now, trace,
  }
  const admin = await openAdminServer({
    listen: config.listen.admin,
    hosts: config.hosts,
    tls: adminTls(inForce.tls),
    view: standing,
    audit: home.audit,
    clock: Date.now,
    deskFor: (actor) => openDesk(desk, actor),
    events: live.feed.events,
    version: options.version, status: () => ({ version: options.version, sessions: broker.sessionCount, policyGeneration: policies.inForce().policy.generation, mqtt: broker.address, sessionStore: store.health, expiring: expiry.near }),
    console: web,
    log: log.of('http'),
  })
  stack.defer(() => admin.close())
  const enrollTls = ({ key, cert, enrollAnchors }: DoorMaterial): EnrollTls => ({ key, cert, anchors: enrollAnchors })
  const enroll = await openEnrollDoor({
    listen: config.listen.enroll,
    tls: enrollTls(inForce.tls),
    enrollments: openEnrollments({ home, authority: organisation.authority, renewal, trust: () => inForce.trust.enrollment, rules: () => inForce.config.enroll, clock: Date.now }),
    desk: broker.desk, audit: home.audit, log: log.of('enroll'), trace,
  })
  stack.defer(() => enroll.close())
  const pki = stack.use(await openPublicPki({ home, config, organisation, genesis: home.genesis({ kind: 'system' }), clock: Date.now, log: log.of('pki') }))
  const observing = stack.use(await openObserving({
    listen: config.listen.metrics, auditExport: config.auditExport, meters, home, broker, store, expiries: own, tls: inForce.tls, closing: options.signal, clock: Date.now,
    policyGeneration: () => policies.inForce().policy.generation,
    signers: () => signers.map(({ ca, pid }) => ({ ca, up: pid !== undefined })),
    log: log.of('observe'),
  }))
  // The first lists are empty, and there when the first person asks; later ones may be long, and nobody waits for them.
  const published = pki.publish()
  if (fresh) await published
  const demo = fresh || existsSync(home.paths.demo) ? await openDemo(broker.address.port) : undefined

  const next = (work: () => Promise<void>, complaint: string): Promise<void> => serially(work).catch((error: unknown) => say('error', { error: messageOf(error) }, complaint))
  options.onReload(reloads.unasked)
  stack.use(openUpkeep([
    { everyMs: LIFE.credentialsLookMs, work: () => renew(), complaint: 'the certificates could not be renewed' },
    { everyMs: LIFE.day, work: () => pki.renew(), complaint: 'the certificate of the OCSP responder could not be renewed' },
    { everyMs: LIFE.day, work: () => expiry.look('all'), complaint: 'the certificates could not be looked at' },
    { everyMs: LIFE.day, work: () => endFinishedOrders(desk, { kind: 'system' }), complaint: 'the orders to renew could not be looked at' },
    // What was set aside has been used up by what the registry has grown.
    { everyMs: LIFE.day, work: async () => home.registry.reserveRoom(), complaint: 'no room could be set aside for the registry' },
  ], next))

  function liveOf({ sha256, device }: CertificateRecord): number {
    return [...broker.live(device)].filter(({ leaf }) => createHash('sha256').update(leaf).digest('hex') === sha256).length
  }

  function decree(changes: readonly Decree[]): void {
    say('error', { count: changes.length, first: changes[0] }, 'the registry cannot record what ends access: it is in force until it is recorded or the server restarts')
    standing.decree(changes)
  }

  /** For whoever asks what a policy would mean to them. */
  function* connected(): Generator<Principal> {
    for (const session of broker.live()) {
      const device = standing.device(session.device)
      if (device !== undefined) yield connectedAs(device, session, Date.now())
    }
  }

  /** A demo that cannot be had is no reason not to serve a fleet. */
  async function openDemo(port: number): Promise<Demo | undefined> {
    try {
      return await ensureDemo(home, openDesk(desk, { kind: 'system' }), port)
    } catch (error) {
      say('warn', { error: messageOf(error), folder: home.paths.demo }, 'no demo: remove its folder to be rid of this line')
      return undefined
    }
  }

  /** Everything that can fail is done before anything is replaced. Returns the way to replace it. */
  async function prepareReload(nextConfig: Config): Promise<() => void> {
    const nextPolicy = await policies.load(nextConfig.policyFile)
    const nextForeign = readForeignCas(nextConfig.trust, home.registry.cas())
    const nextTrust = trustOfDoors(home, nextForeign)
    await home.followCas(nextConfig.hosts)
    const nextTls = tlsMaterial(home, nextConfig, nextForeign)
    const replaceTls = prepareTls(nextTls, nextConfig.hosts)
    await recordForeignCas(home, nextForeign)
    return () => {
      replaceTls()
      policies.replace(nextPolicy)
      inForce = { config: nextConfig, foreign: nextForeign, trust: nextTrust, tls: nextTls }
    }
  }

  /** Everybody is judged by what is in force from here on. */
  function reloaded(actor: Actor): Pick<Reloaded, 'policyGeneration' | 'trustedCas'> {
    levels.configure(inForce.config.logLevel, actor)
    broker.regrant()
    policies.note('reload', actor)
    home.audit.record({ kind: 'trust-loaded', at: Date.now(), cas: inForce.foreign.length })
    return { policyGeneration: policies.inForce().policy.generation, trustedCas: inForce.foreign.length }
  }

  function prepareTls(tls: DoorMaterial, hosts: readonly string[]): () => void {
    const replace = [broker.prepareTls(tls), admin.prepare(adminTls(tls), hosts), enroll.prepare(enrollTls(tls)), () => observing.replaceTls(tls)]
    return () => replace.forEach((each) => each())
  }

  /** The certificates of server and operator must not run out while nobody restarts the server. Policy and trust stay. */
  async function renew(anew?: OwnCredential): Promise<void> {
    await home.followCas(inForce.config.hosts, anew)
    const tls = tlsMaterial(home, inForce.config, inForce.foreign)
    if (tls.cert === inForce.tls.cert) return
    prepareTls(tls, inForce.config.hosts)()
    inForce = { ...inForce, tls }
    say('info', {}, 'renewed: the server certificate')
  }

  /** The CAs have changed: the door's trust, the server's certificate and its chain follow. Who has a session keeps it, unless its CA is retired. */
  async function followCas(): Promise<void> {
    const trust = trustOfDoors(home, inForce.foreign)
    await home.followCas(inForce.config.hosts)
    const tls = tlsMaterial(home, inForce.config, inForce.foreign)
    prepareTls(tls, inForce.config.hosts)()
    inForce = { ...inForce, trust, tls }
    broker.regrant()
    home.audit.record({ kind: 'trust-loaded', at: Date.now(), cas: inForce.foreign.length })
    say('info', { cas: home.registry.cas().map(({ name, state }) => `${name} ${state}`) }, 'the CAs have changed: trust and server certificate follow')
  }

  /** A list that a stop of weeks has let run out is published anew before anybody is told of it. */
  async function lookWhenPublished(): Promise<void> {
    await published
    if (!options.signal.aborted) await next(() => expiry.look('all'), 'the certificates could not be looked at')
  }

  /** A home that was restored without newer records has forgotten what came after its backup: it says so until somebody has looked. */
  function warnOfRestore(): void {
    const mark = restoredMark(home.paths.home)
    const unknown = mark === undefined ? undefined : whatIsUnknown(mark)
    if (unknown !== undefined) say('warn', { file: path.join(home.paths.home, RESTORED) }, unknown)
  }

  // Devices are being served by now. But a key that cannot be opened is told of at the start, and not at the first enrollment.
  await Promise.all(signers.map(({ opened }) => opened))
  writeSecretFile(home.paths.endpoints, `${JSON.stringify({ pid: process.pid, mqtt: broker.address, websocket: broker.websocket, admin: { url: admin.url }, enroll: enroll.address, pki: pki.address, metrics: { url: observing.url } }, null, 2)}\n`)
  stack.defer(() => rmSync(home.paths.endpoints, { force: true }))
  home.audit.record({ kind: 'server-started', at: Date.now(), version: options.version })
  policies.note('start', { kind: 'system' })
  const websocket = broker.websocket && config.listen.websocket && { ...broker.websocket, path: config.listen.websocket.path }
  options.onReady({ mqtt: broker.address, websocket, admin: { url: admin.url }, console: consoleLink({ access: web.access, url: () => admin.url }, { kind: 'system' }), enroll: enroll.address, pki: pki.address, metrics: { url: observing.url }, rootSha256: new X509Certificate(organisation.root.der).fingerprint256, demo, fresh })
  await expiry.look('certificates')
  void lookWhenPublished()
  warnOfRestore()
  say('info', { mqtt: broker.address, websocket: broker.websocket, admin: admin.url, enroll: enroll.address, devices: home.view.size.devices }, 'ready')

  await ended(options.signal)
  await reloading
  say('info', { sessions: broker.sessionCount }, 'shutting down')
  home.audit.record({ kind: 'server-stopped', at: Date.now() })
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown')
