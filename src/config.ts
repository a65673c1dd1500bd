// sallyport.yaml, environment and flags → Config. Flags win over the environment, the environment over the file, the file
// over defaults. An unknown key or a wrong value is refused with its line, its column and a suggestion.

import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { SallyportError } from './core/errors.ts'
import { parseCaName, type CaName } from './core/ids.ts'
import { describeProblem, TreeReader, type MapEntry, type SourceNode } from './core/source-tree.ts'
import { BROKER_LIMITS } from './limits.ts'
import { readYaml } from './yaml-source.ts'

export interface Listen {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

export interface TrustedFile {
  readonly name: CaName
  readonly file: string
}

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface Config {
  readonly organisation: string
  readonly listen: { readonly mqtt: Listen; readonly admin: Listen }
  /** Names and addresses for the server certificate, besides localhost and its addresses. */
  readonly hosts: readonly string[]
  readonly trust: readonly TrustedFile[]
  readonly resumption: boolean
  readonly sourceRate: { readonly perSecond: number; readonly burst: number }
  readonly packetBytesMax: number
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

const PORT_MAX = 65_535
const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/

/** Reads the configuration of a home. Failure: 'config-invalid' with all problems. */
export function loadConfig(home: string, environment: Readonly<Record<string, string | undefined>>, flags: ConfigFlags = {}): Config {
  const file = path.join(home, 'sallyport.yaml')
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const { tree, problems } = readYaml('sallyport.yaml', text)
  if (tree === undefined) throw new SallyportError('config-invalid', problems.map(describeProblem).join('\n'))
  const reader = new TreeReader()
  const found = read(reader, tree, home)
  if (reader.problems.length > 0) {
    const [first] = reader.problems
    throw new SallyportError('config-invalid', reader.problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
  }
  const level = environment['SALLYPORT_LOG_LEVEL']
  const levelFromEnvironment = LOG_LEVELS.find((l) => l === level)
  if (level !== undefined && levelFromEnvironment === undefined) {
    throw new SallyportError('config-invalid', `SALLYPORT_LOG_LEVEL is ${JSON.stringify(level)}.`, { fix: `Set it to one of ${LOG_LEVELS.join(', ')}.` })
  }
  const flagHosts = flags.hosts ?? []
  const badHost = flagHosts.find((host) => !HOST_NAME.test(host))
  if (badHost !== undefined) throw new SallyportError('config-invalid', `${JSON.stringify(badHost)} is not a host name or an address.`, { fix: 'Give --host a DNS name or an IP address.' })
  const passphraseFile = environment['SALLYPORT_PASSPHRASE_FILE']
  return {
    ...found,
    listen: flags.portsAuto === true ? { mqtt: { ...found.listen.mqtt, port: 0 }, admin: { ...found.listen.admin, port: 0 } } : found.listen,
    hosts: [...new Set([...ownNames(), ...found.hosts, ...flagHosts])],
    logLevel: levelFromEnvironment ?? found.logLevel,
    passphraseFile: passphraseFile === undefined ? undefined : path.resolve(passphraseFile),
  }
}

/** The machine's own name, where it is one that a certificate can hold. */
function ownNames(): readonly string[] {
  const name = hostname()
  return HOST_NAME.test(name) ? [name] : []
}

type FileConfig = Omit<Config, 'passphraseFile'>

function read(reader: TreeReader, tree: SourceNode, home: string): FileConfig {
  const top = reader.map(tree, 'sallyport.yaml', ['organisation', 'listen', 'hosts', 'trust', 'tls', 'limits', 'log', 'policy'])
  const section = (entry: MapEntry | undefined, name: string, keys: readonly string[]): ReadonlyMap<string, MapEntry> => (entry && reader.map(entry.value, name, keys)) ?? new Map()
  const listen = section(top?.get('listen'), 'listen', ['mqtt', 'admin'])
  const tls = section(top?.get('tls'), 'tls', ['resumption'])
  const limits = section(top?.get('limits'), 'limits', ['sourceRatePerSecond', 'sourceBurst', 'packetBytesMax'])
  const log = section(top?.get('log'), 'log', ['level'])
  const integer = (entry: MapEntry | undefined, name: string, fallback: number, max: number): number => (entry && reader.integer(entry.value, name, 1, max)) ?? fallback
  const string = (entry: MapEntry | undefined, name: string, fallback: string): string => (entry && reader.string(entry.value, name)) ?? fallback
  const door = (entry: MapEntry | undefined, name: string, host: string, port: number): Listen => {
    const map = section(entry, name, ['host', 'port'])
    const portEntry = map.get('port')
    return { host: string(map.get('host'), `${name}.host`, host), port: (portEntry && reader.integer(portEntry.value, `${name}.port`, 0, PORT_MAX)) ?? port }
  }
  const resumption = tls.get('resumption')
  const level = log.get('level')
  const sourceRatePerSecond = integer(limits.get('sourceRatePerSecond'), 'limits.sourceRatePerSecond', BROKER_LIMITS.sourceRatePerSecond, 1e6)
  return {
    organisation: string(top?.get('organisation'), 'organisation', 'Sallyport'),
    listen: { mqtt: door(listen.get('mqtt'), 'listen.mqtt', '::', 8883), admin: door(listen.get('admin'), 'listen.admin', '127.0.0.1', 9443) },
    hosts: list(reader, top?.get('hosts'), 'hosts', (node) => hostOf(reader, node)),
    trust: list(reader, top?.get('trust'), 'trust', (node) => trustOf(reader, node, home)),
    resumption: (resumption && reader.oneOf(resumption.value, 'tls.resumption', ['on', 'off'])) === 'on',
    sourceRate: { perSecond: sourceRatePerSecond, burst: integer(limits.get('sourceBurst'), 'limits.sourceBurst', Math.max(sourceRatePerSecond, BROKER_LIMITS.sourceBurst), 1e7) },
    packetBytesMax: limitOf(reader, limits.get('packetBytesMax')),
    logLevel: (level && reader.oneOf(level.value, 'log.level', LOG_LEVELS)) ?? 'info',
    policyFile: path.resolve(home, string(top?.get('policy'), 'policy', 'policy.yaml')),
  }
}

function list<T>(reader: TreeReader, entry: MapEntry | undefined, name: string, item: (node: SourceNode) => T | undefined): readonly T[] {
  return entry === undefined ? [] : (reader.list(entry.value, name) ?? []).flatMap((node) => item(node) ?? [])
}

function hostOf(reader: TreeReader, node: SourceNode): string | undefined {
  const text = reader.string(node, 'a host')
  if (text === undefined || HOST_NAME.test(text)) return text
  return reader.report(node.at, `"${text}" is not a host name or an address.`, 'Write a DNS name or an IP address.')
}

function trustOf(reader: TreeReader, node: SourceNode, home: string): TrustedFile | undefined {
  const map = reader.map(node, 'a trusted CA', ['name', 'file'])
  const [name, file] = [map?.get('name'), map?.get('file')]
  if (name === undefined || file === undefined) return reader.report(node.at, 'a trusted CA needs a name and a file.', 'Write: { name: factory-2026, file: factory.pem }')
  const text = reader.string(name.value, 'name')
  const where = reader.string(file.value, 'file')
  const parsed = text === undefined ? undefined : parseCaName(text)
  if (parsed?.allow === false) return reader.report(name.value.at, `"${text}" is not a CA name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
  return parsed === undefined || where === undefined ? undefined : { name: parsed.value, file: path.resolve(home, where) }
}

/** The largest packet may be raised, within what one connection may cost. */
function limitOf(reader: TreeReader, entry: MapEntry | undefined): number {
  const bytes = entry && reader.bytes(entry.value, 'limits.packetBytesMax')
  if (entry === undefined || bytes === undefined) return BROKER_LIMITS.packetBytesMax
  if (bytes >= BROKER_LIMITS.connectPacketBytesMax && bytes <= BROKER_LIMITS.outboundBytesMax) return bytes
  reader.report(entry.value.at, `limits.packetBytesMax must be from ${BROKER_LIMITS.connectPacketBytesMax} to ${BROKER_LIMITS.outboundBytesMax} bytes.`)
  return BROKER_LIMITS.packetBytesMax
}
