// `audit.export` of the configuration: to whom the audit log is sent, by which protocol, and what is shown there.

import { printable } from './ids.ts'
import type { SourceNode, TreeReader } from './source-tree.ts'

/** Paths are as they stand in the configuration. */
export interface AuditExport {
  readonly protocol: 'https' | 'syslog-tls' | 'syslog-tcp'
  readonly host: string
  readonly port: number
  /** Of https: with its path and query. */
  readonly url: string
  /** Trusted for this receiver, in place of the CAs of the machine. */
  readonly caFile: string | undefined
  /** Of https: shown as a bearer token. */
  readonly tokenFile: string | undefined
}

const PROTOCOLS = { 'https:': ['https', 443], 'syslog+tls:': ['syslog-tls', 6514], 'syslog+tcp:': ['syslog-tcp', 601] } as const
const FORMS = 'https://HOST/PATH, syslog+tls://HOST:6514 or syslog+tcp://HOST:601'

/** Targets in the order in which they stand. Without a node: none. */
export function readAuditExport(reader: TreeReader, node: SourceNode | undefined, targetsMax: number): readonly AuditExport[] {
  const list = (node && reader.list(node, 'audit.export')) ?? []
  if (node !== undefined && list.length > targetsMax) reader.report(node.at, `audit.export: at most ${targetsMax} receivers, not ${list.length}.`)
  const seen = new Set<string>()
  return list.flatMap((each) => {
    const target = readTarget(reader, each)
    if (target === undefined) return []
    if (seen.has(target.url)) return reader.report(each.at, `audit.export: "${printable(target.url)}" is listed already.`) ?? []
    seen.add(target.url)
    return [target]
  })
}

function readTarget(reader: TreeReader, node: SourceNode): AuditExport | undefined {
  const map = reader.map(node, 'a receiver of the audit log', ['to', 'caFile', 'tokenFile'])
  const text = (key: string): string | undefined => {
    const entry = map?.get(key)
    return entry && reader.string(entry.value, `audit.export.${key}`)
  }
  const to = map?.get('to')
  if (map !== undefined && to === undefined) return reader.report(node.at, 'a receiver of the audit log needs `to`.', `Write: { to: ${FORMS} }`)
  const [url, caFile, tokenFile] = [text('to'), text('caFile'), text('tokenFile')]
  if (to === undefined || url === undefined) return undefined
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const protocol = parsed === undefined || !Object.hasOwn(PROTOCOLS, parsed.protocol) ? undefined : PROTOCOLS[parsed.protocol as keyof typeof PROTOCOLS]
  const isSyslog = protocol !== undefined && protocol[0] !== 'https'
  const isPlain = parsed !== undefined && parsed.hostname !== '' && parsed.username === '' && parsed.password === '' && parsed.hash === '' && (!isSyslog || (parsed.search === '' && /^\/?$/.test(parsed.pathname)))
  if (protocol === undefined || !isPlain) return reader.report(to.value.at, `audit.export: "${printable(url)}" is no receiver.`, `Write it as ${FORMS}, without a user or a password.`)
  if (tokenFile !== undefined && isSyslog) return reader.report(node.at, 'audit.export: syslog knows no tokens.', 'Remove tokenFile, or send to https.')
  return { protocol: protocol[0], host: parsed.hostname.replaceAll(/^\[|\]$/g, ''), port: parsed.port === '' ? protocol[1] : Number(parsed.port), url, caFile, tokenFile }
}
