// sallyport.yaml, environment and flags → Config. Flags win over the environment, the environment over the file, the file
// over defaults. An unknown key or a wrong value is refused with its line, its column and a suggestion. Which keys there are stands in
// config/table.ts; here is what several of them mean together.

import { hostname } from 'node:os'
import type { AuditExport } from './config/audit-export.ts'
import { detectionOf, thresholdSettings } from './config/detection.ts'
import { isHost, type Json } from './config/kinds.ts'
import { invalid, readLayers, type Environment, type Layers } from './config/layers.ts'
import type { Row, Section } from './config/rows.ts'
import type { LogLevel } from './core/log-levels.ts'
import { BURST_MAX, HOSTS_MAX, SECTIONS, TABLE, type ConfigSettings, type Key } from './config/table.ts'
import type { TrustedFile } from './config/trust.ts'
import type { DetectionRules } from './core/detection/rules.ts'
import type { EnrollRules } from './core/enroll-rules.ts'
import type { WebhookRules } from './core/webhook.ts'
import { SallyportError } from './core/errors.ts'
import type { Problem } from './core/source-tree.ts'
import type { RenewalRules } from './core/renewal.ts'
import { BROKER_LIMITS, LIFE } from './limits.ts'

export type { TrustedFile } from './config/trust.ts'

export interface Listen {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

export interface WebSocketListen extends Listen {
  /** The one path that is answered. */
  readonly path: string
  /** Origins of web pages that may connect. */
  readonly origins: readonly string[]
}

/** The door for metrics and health. */
export interface MetricsListen extends Listen {
  /** Absolute. Anywhere but on loopback: the file with the token that is asked for. */
  readonly tokenFile: string | undefined
}

/** What the public door publishes, and how certificates name it. */
export interface PkiConfig {
  /** Undefined: certificates point nowhere. Without a slash at its end. */
  readonly url: string | undefined
  readonly crlShards: number
  /** How long a CRL is valid; it is replaced at half of that, and soon after a revocation. */
  readonly crlHours: number
}

/** Every key by its name, as the table has them. */
export type AllSettings = ConfigSettings & { readonly 'limits.sourceBurst': number }

export interface Config {
  /** What follows is made of them. */
  readonly settings: AllSettings
  /** The same as they would be written; a secret is not. */
  readonly written: Readonly<Record<string, Json | undefined>>
  /** Which of the optional sections are there. */
  readonly sections: readonly string[]
  readonly organisation: string
  readonly listen: { readonly mqtt: Listen; readonly admin: Listen; readonly enroll: Listen; readonly websocket: WebSocketListen | undefined; readonly pki: Listen; readonly metrics: MetricsListen }
  readonly pki: PkiConfig
  /** Names and addresses for the server certificate, besides localhost and its addresses. */
  readonly hosts: readonly string[]
  /** The name that devices are told to connect to: the first of `hosts:` in the file, or localhost. */
  readonly announcedHost: string
  readonly trust: readonly TrustedFile[]
  readonly resumption: boolean
  readonly sourceRate: { readonly perSecond: number; readonly burst: number }
  readonly packetBytesMax: number
  /** The longest keep-alive, in seconds, that a client is given. */
  readonly keepAliveSecondsMax: number
  readonly detection: DetectionRules
  readonly renewal: RenewalRules
  readonly enroll: EnrollRules
  readonly webhooks: WebhookRules
  readonly auditExport: readonly AuditExport[]
  readonly logLevel: LogLevel
  /** Absolute. */
  readonly policyFile: string
  /** Absolute, where one is set. */
  readonly passphraseFile: string | undefined
  /** What was ignored, and should not be overlooked. */
  readonly warnings: readonly string[]
}

/** What flags may set. */
export interface ConfigFlags {
  readonly portsAuto?: boolean
  /** Further names, before those of the file. */
  readonly hosts?: readonly string[]
  /** key=value of any key. */
  readonly set?: readonly string[]
}

/** A configuration, and where each of its values comes from. */
export interface ReadConfig {
  readonly config: Config
  readonly layers: Layers
}

/** Addresses that mean every interface: they name nobody. */
const EVERYWHERE: readonly string[] = ['::', '0.0.0.0']
/** Addresses of this machine alone. */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost']
const PORT_KEY = /^listen\..*\.port$/

/** Reads the configuration of a home. Failure: 'config-invalid' with all problems. */
export function loadConfig(home: string, environment: Environment, flags: ConfigFlags = {}): Config {
  return readConfig(home, environment, flags).config
}

/** The same, with the origin of each value. `file`: read this one in place of that of the home. */
export function readConfig(home: string, environment: Environment, flags: ConfigFlags = {}, file?: string): ReadConfig {
  const { layers, ...judged } = judgeConfig(home, environment, flags, file)
  if (judged.problems.length > 0) throw invalid(judged.problems)
  return { layers, config: configOf(layers, judged.settings, judged.detection, flags) }
}

/** What is wrong with it, each with its place. */
export function problemsOf(home: string, environment: Environment, file?: string): Pick<Layers, 'warnings'> & { readonly problems: readonly Problem[] } {
  const { layers: { warnings }, problems } = judgeConfig(home, environment, {}, file)
  return { warnings, problems }
}

interface Judged {
  readonly layers: Layers
  readonly settings: AllSettings
  readonly detection: DetectionRules
  readonly problems: readonly Problem[]
}

function judgeConfig(home: string, environment: Environment, flags: ConfigFlags, file?: string): Judged {
  const layers = readLayers({ table: TABLE, home, environment, set: flags.set ?? [], ...(file === undefined ? {} : { file }) })
  const said = settingsOf(layers, flags)
  judgeTogether(layers, said)
  judgeMetrics(layers, said)
  const detection = detectionOf(layers.reader, layers.said, said)
  return { layers, detection, settings: { ...said, ...thresholdSettings(detection) }, problems: layers.reader.problems }
}

function configOf(layers: Layers, settings: AllSettings, detection: DetectionRules, flags: ConfigFlags): Config {
  const listen = listenOf(settings, layers)
  return {
    settings, listen, detection,
    written: writtenOf(layers, settings),
    sections: Object.entries<Section>(SECTIONS).flatMap(([name, { optional }]) => (optional === true && layers.hasSection(name) ? [name] : [])),
    organisation: settings.organisation,
    pki: { url: settings['pki.url'], crlShards: settings['pki.crlShards'], crlHours: settings['pki.crlHours'] },
    hosts: hostsOf(settings, listen, flags),
    announcedHost: flags.hosts?.[0] ?? settings.hosts[0] ?? 'localhost',
    trust: settings.trust,
    resumption: settings['tls.resumption'] === 'on',
    sourceRate: { perSecond: settings['limits.sourceRatePerSecond'], burst: settings['limits.sourceBurst'] },
    packetBytesMax: settings['limits.packetBytesMax'],
    keepAliveSecondsMax: settings['limits.keepAliveSecondsMax'],
    renewal: {
      graceMs: settings['renewal.graceDays'] * LIFE.day,
      graceOfGroups: new Map([...settings['renewal.groups']].map(([group, days]) => [group, days * LIFE.day])),
      sameKey: settings['renewal.sameKey'],
    },
    enroll: { serverKeys: settings['enroll.serverKeys'], channelBinding: settings['enroll.channelBinding'] },
    webhooks: { allow: settings['webhooks.allow'], caFile: settings['webhooks.ca'] },
    auditExport: settings['audit.export'],
    logLevel: settings['log.level'],
    policyFile: settings.policy,
    passphraseFile: settings.passphraseFile,
    warnings: layers.warnings,
  }
}

/** Every row was read by its own kind: what it says of its value is so. */
function settingsOf(layers: Layers, { portsAuto }: ConfigFlags): AllSettings {
  const keys = Object.keys(TABLE) as Key[]
  const settings = Object.fromEntries(keys.map((key) => [key, portsAuto === true && PORT_KEY.test(key) ? 0 : layers.value(key)])) as unknown as ConfigSettings
  return { ...settings, 'limits.sourceBurst': settings['limits.sourceBurst'] ?? Math.max(settings['limits.sourceRatePerSecond'], BROKER_LIMITS.sourceBurst) }
}

function writtenOf(layers: Layers, settings: Readonly<Record<string, unknown>>): Config['written'] {
  return Object.fromEntries(Object.entries<Row<unknown>>(TABLE).map(([key, { preset }]) => {
    const value = settings[key]
    // A number may be made of others; everything else is what was said, or the default.
    const isMade = typeof value === 'number' && value !== layers.value(key)
    return [key, isMade ? (value === Infinity ? 'off' : value) : layers.said(key)?.written ?? (preset === undefined && typeof value === 'number' ? value : preset)]
  }))
}

/** What is wrong with one key because of another. */
function judgeTogether({ reader, said }: Layers, settings: AllSettings): void {
  const burst = said('limits.sourceBurst')
  const perSecond = settings['limits.sourceRatePerSecond']
  // A burst below the rate would make the rate a lie.
  if (burst !== undefined && settings['limits.sourceBurst'] < perSecond) reader.report(burst.at, `limits.sourceBurst must be a whole number from ${perSecond} to ${BURST_MAX}, not ${settings['limits.sourceBurst']}.`)
  // A shard is found by its URL alone: without one there are none.
  const shards = said('pki.crlShards')
  if (shards !== undefined && settings['pki.crlShards'] > 1 && said('pki.url') === undefined && !reader.problems.some(({ message }) => message.startsWith('pki.url'))) {
    reader.report(shards.at, 'pki.crlShards needs pki.url: a certificate says by a URL in which shard it is.', 'Add url, or remove crlShards.')
  }
}

/** What it shows says much about the fleet: whoever is not on this machine needs the token. */
function judgeMetrics({ reader, said }: Layers, settings: AllSettings): void {
  const { 'listen.metrics.host': host, 'listen.metrics.tokenFile': token } = settings
  const at = said('listen.metrics.host')?.at
  if (at !== undefined && token === undefined && !LOOPBACK.includes(host)) reader.report(at, `listen.metrics: ${host} is not loopback, and there is no tokenFile.`, 'Listen on 127.0.0.1, or name a file with a token: openssl rand -hex 32 > metrics.token')
}

function listenOf(settings: AllSettings, { hasSection }: Layers): Config['listen'] {
  const { 'listen.websocket.path': path, 'listen.websocket.origins': origins } = settings
  return {
    mqtt: { host: settings['listen.mqtt.host'], port: settings['listen.mqtt.port'] },
    admin: { host: settings['listen.admin.host'], port: settings['listen.admin.port'] },
    enroll: { host: settings['listen.enroll.host'], port: settings['listen.enroll.port'] },
    websocket: hasSection('listen.websocket') ? { host: settings['listen.websocket.host'], port: settings['listen.websocket.port'], path, origins } : undefined,
    pki: { host: settings['listen.pki.host'], port: settings['listen.pki.port'] },
    metrics: { host: settings['listen.metrics.host'], port: settings['listen.metrics.port'], tokenFile: settings['listen.metrics.tokenFile'] },
  }
}

/** Whoever is told to call a door by its address must find that address in the certificate. */
function hostsOf(settings: AllSettings, { mqtt, admin, enroll, websocket }: Config['listen'], { hosts: flagHosts = [] }: ConfigFlags): readonly string[] {
  const bad = flagHosts.find((host) => !isHost(host))
  if (bad !== undefined) throw new SallyportError('config-invalid', `${JSON.stringify(bad)} is not a host name or an address.`, { fix: 'Give --host a DNS name or an IP address.' })
  const listened = [mqtt, admin, enroll, ...(websocket === undefined ? [] : [websocket])].map(({ host }) => host).filter((host) => !EVERYWHERE.includes(host))
  const hosts = [...new Set([...ownNames(), ...listened, ...settings.hosts, ...flagHosts])]
  if (hosts.length > HOSTS_MAX) throw new SallyportError('config-invalid', `At most ${HOSTS_MAX} names fit into the server certificate, and there are ${hosts.length}.`, { fix: 'Give fewer --host, or shorten hosts: in sallyport.yaml.' })
  return hosts
}

/** The machine's own name, where it is one that a certificate can hold. */
function ownNames(): readonly string[] {
  const name = hostname()
  return isHost(name) ? [name] : []
}
