// What those who watch are shown: metrics and health of the whole program, put together from its rooms and served at a door of its own.

import { createHash } from 'node:crypto'
import path from 'node:path'
import type { Broker } from './broker/broker.ts'
import type { AuditExport } from './config/audit-export.ts'
import { CONFIG_LIMITS } from './config-limits.ts'
import { readPlainFile, whyUnread } from './config/plain-file.ts'
import type { MetricsListen } from './config.ts'
import { SallyportError } from './core/errors.ts'
import { judgeHealth, type Health } from './core/health.ts'
import type { OwnExpiry } from './core/expiry.ts'
import type { SessionStore } from './core/session-store.ts'
import type { Trace } from './core/trace.ts'
import { newTraffic, type Timing, type Traffic } from './core/traffic.ts'
import type { OpenHome } from './home.ts'
import { OBSERVE_LIMITS } from './observe-limits.ts'
import { openDiskProbe } from './observe/disk-probe.ts'
import { openExporter, type Exporter } from './observe/export/exporter.ts'
import { openHttps } from './observe/export/https.ts'
import type { Receiver } from './observe/export/receiver.ts'
import { openSyslog } from './observe/export/syslog.ts'
import { openMetrics, type Metrics } from './observe/metrics.ts'
import { openTraces } from './observe/traces.ts'
import { openObserveServer, type ObserveServer, type ObserveTls } from './observe/server.ts'

/** What is there before anything that is counted. */
export interface Meters {
  readonly metrics: Metrics
  readonly traffic: Traffic
  readonly timing: Timing
  readonly trace: Trace
}

export function openMeters(version: string): Meters {
  const metrics = openMetrics(version)
  return { metrics, traffic: newTraffic(), timing: (what, seconds) => metrics.timed(what, seconds), trace: openTraces(version) }
}

export interface ObservingPorts {
  readonly listen: MetricsListen
  readonly auditExport: readonly AuditExport[]
  readonly meters: Meters
  readonly home: Pick<OpenHome, 'registry' | 'view' | 'audit' | 'paths'>
  readonly broker: Pick<Broker, 'sessionCount'>
  readonly store: Pick<SessionStore, 'health'>
  readonly policyGeneration: () => number
  readonly signers: () => readonly { readonly ca: string; readonly up: boolean }[]
  readonly expiries: () => readonly OwnExpiry[]
  /** The program is on its way to its end. */
  readonly closing: AbortSignal
  readonly tls: ObserveTls
  readonly clock: () => number
  readonly log: (level: 'info' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void
}

/** Begins to send the audit log to those who are to have it. Failure: 'config-invalid' for a file that cannot be read. */
function openAuditExports({ auditExport, home, clock, log }: Pick<ObservingPorts, 'auditExport' | 'home' | 'clock' | 'log'>): readonly (Exporter & { readonly receiver: string })[] {
  // First what can fail: what is sending already would be left behind.
  const targets = auditExport.map((target) => ({ target, receiver: receiverOf(target) }))
  return targets.map(({ target, receiver }) => Object.assign(openExporter({
    log: home.paths.audit,
    // A receiver that is named by another URL is another one, and gets everything.
    positionFile: path.join(home.paths.data, `audit-export-${createHash('sha256').update(target.url).digest('hex').slice(0, POSITION_CHARS)}.json`),
    receiver, name: new URL(target.url).host, clock, chance: Math.random, say: log,
  }), { receiver: new URL(target.url).host }))
}

const POSITION_CHARS = 16

function receiverOf({ protocol, host, port, url, caFile, tokenFile }: AuditExport): Receiver {
  const ca = caFile === undefined ? undefined : fileOf(caFile, 'caFile')
  if (protocol === 'https') return openHttps({ url, ca, token: tokenFile === undefined ? undefined : fileOf(tokenFile, 'tokenFile').trim() })
  return openSyslog({ host, port, tls: protocol === 'syslog-tcp' ? undefined : ca === undefined ? {} : { ca } })
}

function fileOf(file: string, key: string): string {
  try {
    return readPlainFile(file, CONFIG_LIMITS.pemBytesMax)
  } catch (cause) {
    throw new SallyportError('config-invalid', `The file ${file} cannot be read: ${whyUnread(cause)}.`, { fix: `Check audit.export.${key} in sallyport.yaml, and who owns the file.`, cause })
  }
}

/** Opens the door, and begins to send the audit log away. Failures: 'port-in-use', 'config-invalid' for a token that is none or a file that cannot be read. */
export async function openObserving(ports: ObservingPorts): Promise<ObserveServer> {
  const { home, meters, store, listen } = ports
  await using opening = new AsyncDisposableStack()
  const exports = openAuditExports(ports)
  for (const each of exports) opening.use(each)
  const probe = openDiskProbe(path.join(home.paths.data, '.probe'), ports.clock)
  meters.metrics.read({
    traffic: meters.traffic,
    sessions: () => ports.broker.sessionCount,
    devices: () => home.view.size.devices,
    policyGeneration: ports.policyGeneration,
    audit: () => ({ ...home.audit.size, writable: !home.audit.degraded }),
    sessionStoreOk: () => store.health.ok,
    signers: ports.signers,
    expiries: ports.expiries,
    auditExports: () => exports.map(({ receiver, sent }) => ({ receiver, behind: home.audit.size.bytes - sent })),
  })
  async function health(): Promise<Health> {
    return judgeHealth({
      now: ports.clock(), closing: ports.closing.aborted,
      sessionStore: store.health, auditWritable: !home.audit.degraded, disk: await probe(),
      feedBehind: home.registry.changesAfter(home.view.sequence, OBSERVE_LIMITS.feedLookChanges).length,
      expiries: ports.expiries(), signers: ports.signers(),
    })
  }
  const server = opening.use(await openObserveServer({ listen, guarded: listen.tokenFile === undefined ? undefined : { tls: ports.tls, token: tokenIn(listen.tokenFile) }, metrics: meters.metrics, health, log: ports.log }))
  const stack = opening.move()
  return { url: server.url, replaceTls: (tls) => server.replaceTls(tls), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

function tokenIn(file: string): string {
  let token: string
  try {
    token = readPlainFile(file, CONFIG_LIMITS.valueBytesMax).trim()
  } catch (cause) {
    throw new SallyportError('config-invalid', `The token of the door for metrics cannot be read from ${file}: ${whyUnread(cause)}.`, { fix: 'Check listen.metrics.tokenFile in sallyport.yaml, and who owns the file.', cause })
  }
  if (token.length >= OBSERVE_LIMITS.tokenCharsMin && /^[\x21-\x7e]+$/.test(token)) return token
  throw new SallyportError('config-invalid', `The token in ${file} is not one word of at least ${OBSERVE_LIMITS.tokenCharsMin} characters.`, { fix: `Make one: openssl rand -hex 32 > ${file}` })
}
