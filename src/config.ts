// sallyport.yaml, environment and flags → Config. Flags win over the environment, the environment over the file, the file
// over defaults. An unknown key or a wrong value is refused with its line, its column and a suggestion.

import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import path from 'node:path'
import { readDetection } from './core/detection/read-rules.ts'
import type { DetectionRules } from './core/detection/rules.ts'
import { readEnroll, type EnrollRules } from './core/enroll-rules.ts'
import { SallyportError } from './core/errors.ts'
import { parseCaName, printable, type CaName } from './core/ids.ts'
import { readRenewal } from './core/read-renewal.ts'
import type { RenewalRules } from './core/renewal.ts'
import { describeProblem, TreeReader, type MapEntry, type Problem, type SourceNode } from './core/source-tree.ts'
import { BROKER_LIMITS, X509_LIMITS } from './limits.ts'
import { PKI_LIMITS } from './pki-limits.ts'
import { readYaml } from './yaml-source.ts'

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

export interface TrustedFile {
  readonly name: CaName
  readonly file: string
  /** Its certificates enroll devices, and connect none. */
  readonly enrollsOnly: boolean
}

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What the public door publishes, and how certificates name it. */
export interface PkiConfig {
  /** Undefined: certificates point nowhere. Without a slash at its end. */
  readonly url: string | undefined
  readonly crlShards: number
  /** How long a CRL is valid; it is replaced at half of that, and soon after a revocation. */
  readonly crlHours: number
}

export interface Config {
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
  readonly logLevel: LogLevel
  /** Absolute. */
  readonly policyFile: string
  /** Absolute, where one is set. */
  readonly passphraseFile: string | undefined
}

/** What flags may set. */
export interface ConfigFlags {
  readonly portsAuto?: boolean
  readonly hosts?: readonly string[]
}

const CRL_HOURS = 24
/** It stands in every certificate: short, and nothing in it that anybody reads in two ways. */
const PKI_URL = /^http:\/\/[A-Za-z0-9.:[\]-]{1,128}(\/[A-Za-z0-9._~-]{1,64})*\/?$/
const PORT_MAX = 65_535
/** Keep Alive is a number of two bytes. MQTT 5 §3.1.2.10. */
const KEEP_ALIVE_MAX = 65_535
const RATE_MAX = 1_000_000
const BURST_MAX = 10_000_000
const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
// A zone (fe80::1%eth0) means something on one machine only.
const isHost = (text: string): boolean => (isIP(text) !== 0 && !text.includes('%')) || HOST_NAME.test(text)
/** RFC 5280 appendix A.1: ub-organization-name is 64. */
const ORGANISATION = /^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u
/** Room for localhost, its addresses and the machine's own names in one certificate. */
const HOSTS_MAX = X509_LIMITS.subjectAltNamesMax - 8
/** Addresses that mean every interface: they name nobody. */
const EVERYWHERE: readonly string[] = ['::', '0.0.0.0']
/** Addresses of this machine alone. */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost']
/** A path that looks the same to whoever reads it: nothing encoded, no query. */
const PATH = /^\/[A-Za-z0-9._~/-]{0,127}$/
/** The names of our own CAs: a foreign CA of the same name would have its certificates recorded as ours. */
const OWN_CA_NAMES: readonly string[] = ['root', 'issuing-1']

/** Reads the configuration of a home. Failure: 'config-invalid' with all problems. */
export function loadConfig(home: string, environment: Readonly<Record<string, string | undefined>>, flags: ConfigFlags = {}): Config {
  const { tree, problems } = readYaml('sallyport.yaml', textOf(path.join(home, 'sallyport.yaml')))
  if (tree === undefined) throw invalid(problems)
  const reader = new TreeReader()
  const found = read(reader, tree, home)
  if (reader.problems.length > 0) throw invalid(reader.problems)
  const level = environment['SALLYPORT_LOG_LEVEL'] === '' ? undefined : environment['SALLYPORT_LOG_LEVEL']
  const levelFromEnvironment = LOG_LEVELS.find((l) => l === level)
  if (level !== undefined && levelFromEnvironment === undefined) {
    throw new SallyportError('config-invalid', `SALLYPORT_LOG_LEVEL is ${JSON.stringify(level)}.`, { fix: `Set it to one of ${LOG_LEVELS.join(', ')}.` })
  }
  const flagHosts = flags.hosts ?? []
  const badHost = flagHosts.find((host) => !isHost(host))
  if (badHost !== undefined) throw new SallyportError('config-invalid', `${JSON.stringify(badHost)} is not a host name or an address.`, { fix: 'Give --host a DNS name or an IP address.' })
  const passphraseFile = environment['SALLYPORT_PASSPHRASE_FILE']
  // Whoever is told to call the admin API by its address must find that address in the certificate.
  const { mqtt, admin, enroll, websocket, pki, metrics } = found.listen
  const listened = [mqtt, admin, enroll, ...(websocket === undefined ? [] : [websocket])].map(({ host }) => host).filter((host) => !EVERYWHERE.includes(host))
  const hosts = [...new Set([...ownNames(), ...listened, ...found.hosts, ...flagHosts])]
  if (hosts.length > HOSTS_MAX) throw new SallyportError('config-invalid', `At most ${HOSTS_MAX} names fit into the server certificate, and there are ${hosts.length}.`, { fix: 'Give fewer --host, or shorten hosts: in sallyport.yaml.' })
  return {
    ...found,
    listen: flags.portsAuto === true ? { mqtt: { ...mqtt, port: 0 }, admin: { ...admin, port: 0 }, enroll: { ...enroll, port: 0 }, pki: { ...pki, port: 0 }, metrics: { ...metrics, port: 0 }, websocket: websocket && { ...websocket, port: 0 } } : found.listen,
    hosts,
    announcedHost: flagHosts[0] ?? found.hosts[0] ?? 'localhost',
    logLevel: levelFromEnvironment ?? found.logLevel,
    passphraseFile: passphraseFile === undefined || passphraseFile === '' ? undefined : path.resolve(passphraseFile),
  }
}

/** A home without the file has the defaults. */
function textOf(file: string): string {
  if (!existsSync(file)) return ''
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SallyportError('config-invalid', `The configuration ${file} cannot be read.`, { fix: 'Check who owns it, and that it is a file.', cause })
  }
}

function invalid(problems: readonly Problem[]): SallyportError {
  const [first] = problems
  return new SallyportError('config-invalid', problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
}

/** The machine's own name, where it is one that a certificate can hold. */
function ownNames(): readonly string[] {
  const name = hostname()
  return isHost(name) ? [name] : []
}

type FileConfig = Omit<Config, 'passphraseFile' | 'announcedHost'>

function read(reader: TreeReader, tree: SourceNode, home: string): FileConfig {
  const top = reader.map(tree, 'sallyport.yaml', ['organisation', 'listen', 'hosts', 'trust', 'tls', 'limits', 'detection', 'renewal', 'enroll', 'log', 'policy', 'pki'])
  const section = (entry: MapEntry | undefined, name: string, keys: readonly string[]): ReadonlyMap<string, MapEntry> => (entry && reader.map(entry.value, name, keys)) ?? new Map()
  const listen = section(top?.get('listen'), 'listen', ['mqtt', 'admin', 'enroll', 'websocket', 'pki', 'metrics'])
  const tls = section(top?.get('tls'), 'tls', ['resumption'])
  const limits = section(top?.get('limits'), 'limits', ['sourceRatePerSecond', 'sourceBurst', 'packetBytesMax', 'keepAliveSecondsMax'])
  const log = section(top?.get('log'), 'log', ['level'])
  const integer = (entry: MapEntry | undefined, name: string, fallback: number, max: number): number => (entry && reader.integer(entry.value, name, 1, max)) ?? fallback
  const string = (entry: MapEntry | undefined, name: string, fallback: string): string => (entry && reader.string(entry.value, name)) ?? fallback
  const address = (map: ReadonlyMap<string, MapEntry>, name: string, host: string, port: number): Listen => {
    const portEntry = map.get('port')
    const hostEntry = map.get('host')
    return { host: (hostEntry && hostOf(reader, hostEntry.value, `${name}.host`)) ?? host, port: (portEntry && reader.integer(portEntry.value, `${name}.port`, 0, PORT_MAX)) ?? port }
  }
  const door = (entry: MapEntry | undefined, name: string, host: string, port: number): Listen => address(section(entry, name, ['host', 'port']), name, host, port)
  /** Off, unless it is there. */
  const webSocketDoor = (entry: MapEntry | undefined): WebSocketListen | undefined => {
    if (entry === undefined) return undefined
    const map = section(entry, 'listen.websocket', ['host', 'port', 'path', 'origins'])
    return {
      ...address(map, 'listen.websocket', '::', 8884), path: pathOf(reader, map.get('path')),
      origins: list(reader, map.get('origins'), 'listen.websocket.origins', (node) => originOf(reader, node)),
    }
  }
  /** What it shows says much about the fleet: whoever is not on this machine needs the token. */
  const metricsDoor = (entry: MapEntry | undefined): MetricsListen => {
    const map = section(entry, 'listen.metrics', ['host', 'port', 'tokenFile'])
    const [listening, tokenEntry] = [address(map, 'listen.metrics', '127.0.0.1', 9464), map.get('tokenFile')]
    const file = tokenEntry && reader.string(tokenEntry.value, 'listen.metrics.tokenFile')
    if (entry !== undefined && tokenEntry === undefined && !LOOPBACK.includes(listening.host)) reader.report(entry.value.at, `listen.metrics: ${listening.host} is not loopback, and there is no tokenFile.`, 'Listen on 127.0.0.1, or name a file with a token: openssl rand -hex 32 > metrics.token')
    return { ...listening, tokenFile: file === undefined ? undefined : path.resolve(home, file) }
  }
  const resumption = tls.get('resumption')
  const level = log.get('level')
  const sourceRatePerSecond = integer(limits.get('sourceRatePerSecond'), 'limits.sourceRatePerSecond', BROKER_LIMITS.sourceRatePerSecond, RATE_MAX)
  return {
    organisation: organisationOf(reader, top?.get('organisation')),
    listen: {
      mqtt: door(listen.get('mqtt'), 'listen.mqtt', '::', 8883), admin: door(listen.get('admin'), 'listen.admin', '127.0.0.1', 9443), enroll: door(listen.get('enroll'), 'listen.enroll', '::', 8443),
      websocket: webSocketDoor(listen.get('websocket')), pki: door(listen.get('pki'), 'listen.pki', '::', 8080),
      metrics: metricsDoor(listen.get('metrics')),
    },
    pki: pkiOf(reader, top?.get('pki')),
    hosts: hostsOf(reader, top?.get('hosts')),
    trust: trustedOf(reader, top?.get('trust'), home),
    resumption: (resumption && reader.oneOf(resumption.value, 'tls.resumption', ['on', 'off'])) === 'on',
    sourceRate: { perSecond: sourceRatePerSecond, burst: burstOf(reader, limits.get('sourceBurst'), sourceRatePerSecond) },
    packetBytesMax: limitOf(reader, limits.get('packetBytesMax')),
    keepAliveSecondsMax: integer(limits.get('keepAliveSecondsMax'), 'limits.keepAliveSecondsMax', BROKER_LIMITS.keepAliveSecondsMax, KEEP_ALIVE_MAX),
    detection: readDetection(reader, top?.get('detection')?.value),
    renewal: readRenewal(reader, top?.get('renewal')?.value),
    enroll: readEnroll(reader, top?.get('enroll')?.value),
    logLevel: (level && reader.oneOf(level.value, 'log.level', LOG_LEVELS)) ?? 'info',
    policyFile: path.resolve(home, string(top?.get('policy'), 'policy', 'policy.yaml')),
  }
}

/** A shard is found by its URL alone: without one there are none. */
function pkiOf(reader: TreeReader, entry: MapEntry | undefined): PkiConfig {
  const map = entry && reader.map(entry.value, 'pki', ['url', 'crlShards', 'crlHours'])
  const [urlEntry, shardsEntry, hoursEntry] = [map?.get('url'), map?.get('crlShards'), map?.get('crlHours')]
  const text = urlEntry && reader.string(urlEntry.value, 'pki.url')
  const url = text === undefined || !URL.canParse(text) ? undefined : new URL(text)
  // HTTP, not HTTPS: whoever checks the certificate of an HTTPS server for this would have to come here first. RFC 5280 §8.
  const isUsable = url?.protocol === 'http:' && url.search === '' && url.hash === '' && url.username === '' && PKI_URL.test(text ?? '')
  if (urlEntry !== undefined && text !== undefined && !isUsable) reader.report(urlEntry.value.at, `pki.url: "${printable(text)}" is not a plain http URL.`, 'Write it as certificates shall name it, as http://pki.example.org:8080.')
  const crlShards = (shardsEntry && reader.integer(shardsEntry.value, 'pki.crlShards', 1, PKI_LIMITS.crlShardsMax)) ?? 1
  if (shardsEntry !== undefined && crlShards > 1 && urlEntry === undefined) reader.report(shardsEntry.value.at, 'pki.crlShards needs pki.url: a certificate says by a URL in which shard it is.', 'Add url, or remove crlShards.')
  return { url: isUsable ? text?.replace(/\/$/, '') : undefined, crlShards, crlHours: (hoursEntry && reader.integer(hoursEntry.value, 'pki.crlHours', 1, PKI_LIMITS.crlHoursMax)) ?? CRL_HOURS }
}

function list<T>(reader: TreeReader, entry: MapEntry | undefined, name: string, item: (node: SourceNode) => T | undefined): readonly T[] {
  return entry === undefined ? [] : (reader.list(entry.value, name) ?? []).flatMap((node) => item(node) ?? [])
}

/** The organisation stands in the subject of every certificate. */
function organisationOf(reader: TreeReader, entry: MapEntry | undefined): string {
  const text = entry && reader.string(entry.value, 'organisation')
  if (entry === undefined || text === undefined) return 'Sallyport'
  if (ORGANISATION.test(text)) return text
  reader.report(entry.value.at, `organisation: "${printable(text)}" cannot stand in a certificate.`, 'Write 1 to 64 visible characters.')
  return 'Sallyport'
}

function hostsOf(reader: TreeReader, entry: MapEntry | undefined): readonly string[] {
  const hosts = list(reader, entry, 'hosts', (node) => hostOf(reader, node, 'a host'))
  if (entry !== undefined && hosts.length > HOSTS_MAX) reader.report(entry.value.at, `hosts: at most ${HOSTS_MAX} names fit into the server certificate, not ${hosts.length}.`)
  return hosts
}

function hostOf(reader: TreeReader, node: SourceNode, what: string): string | undefined {
  const text = reader.string(node, what)
  if (text === undefined || isHost(text)) return text
  return reader.report(node.at, `${what}: "${printable(text)}" is not a host name or an address.`, 'Write a DNS name or an IP address.')
}

function pathOf(reader: TreeReader, entry: MapEntry | undefined): string {
  const text = entry && reader.string(entry.value, 'listen.websocket.path')
  if (entry === undefined || text === undefined || PATH.test(text)) return text ?? '/mqtt'
  reader.report(entry.value.at, `listen.websocket.path: "${printable(text)}" is not a path.`, 'Write it from its first slash, as /mqtt.')
  return '/mqtt'
}

/** As a browser writes it, or it would never be equal. What comes over plain http was written by whoever is on the way. */
function originOf(reader: TreeReader, node: SourceNode): string | undefined {
  const text = reader.string(node, 'an origin')
  if (text === undefined) return undefined
  const origin = URL.canParse(text) ? new URL(text).origin : undefined
  if (origin === text && text.startsWith('https://')) return text
  return reader.report(node.at, `"${printable(text)}" is not the origin of an https page.`, 'Write it as a browser does: https://console.example.org, with a port only where it is not 443.')
}

/** Two CAs of one name would share the names of their devices' certificates. */
function trustedOf(reader: TreeReader, entry: MapEntry | undefined, home: string): readonly TrustedFile[] {
  const seen = new Set<string>()
  return list(reader, entry, 'trust', (node) => {
    const trusted = trustOf(reader, node, home)
    if (trusted === undefined) return undefined
    if (seen.has(trusted.name)) return reader.report(node.at, `a trusted CA named "${trusted.name}" is listed already.`, 'Give every CA a name of its own.')
    seen.add(trusted.name)
    return trusted
  })
}

function trustOf(reader: TreeReader, node: SourceNode, home: string): TrustedFile | undefined {
  const map = reader.map(node, 'a trusted CA', ['name', 'file', 'only'])
  const [name, file, only] = [map?.get('name'), map?.get('file'), map?.get('only')]
  if (name === undefined || file === undefined) return reader.report(node.at, 'a trusted CA needs a name and a file.', 'Write: { name: factory-2026, file: factory.pem }')
  const text = reader.string(name.value, 'name')
  const where = reader.string(file.value, 'file')
  const parsed = text === undefined ? undefined : parseCaName(text)
  if (parsed?.allow === false) return reader.report(name.value.at, `"${printable(text ?? '')}" is not a CA name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
  if (parsed === undefined || where === undefined) return undefined
  if (OWN_CA_NAMES.includes(parsed.value)) return reader.report(name.value.at, `"${parsed.value}" is the name of our own CA.`, 'Choose another name for the trusted one.')
  const resolved = path.resolve(home, where)
  if (!existsSync(resolved)) return reader.report(file.value.at, `there is no file "${printable(where)}" in the home.`, 'Name the PEM file of the CA, from the home or with its full path.')
  return { name: parsed.value, file: resolved, enrollsOnly: only !== undefined && reader.oneOf(only.value, 'only', ['enrollment']) === 'enrollment' }
}

/** A burst below the rate would make the rate a lie. */
function burstOf(reader: TreeReader, entry: MapEntry | undefined, perSecond: number): number {
  const preset = Math.max(perSecond, BROKER_LIMITS.sourceBurst)
  return (entry && reader.integer(entry.value, 'limits.sourceBurst', perSecond, BURST_MAX)) ?? preset
}

/** The largest packet may be raised, within what one connection may cost. */
function limitOf(reader: TreeReader, entry: MapEntry | undefined): number {
  const bytes = entry && reader.bytes(entry.value, 'limits.packetBytesMax')
  if (entry === undefined || bytes === undefined) return BROKER_LIMITS.packetBytesMax
  if (bytes >= BROKER_LIMITS.connectPacketBytesMax && bytes <= BROKER_LIMITS.outboundBytesMax) return bytes
  reader.report(entry.value.at, `limits.packetBytesMax must be from ${BROKER_LIMITS.connectPacketBytesMax} to ${BROKER_LIMITS.outboundBytesMax} bytes.`)
  return BROKER_LIMITS.packetBytesMax
}
