// `audit.export` of the configuration: to whom the audit log is sent, by which protocol, and what is shown there.

import { printable } from '../core/ids.ts'
import type { SourceNode } from '../core/source-tree.ts'
import { OBSERVE_LIMITS } from '../observe-limits.ts'
import { fileThere, type Kind, type Reading } from './kinds.ts'

export interface AuditExport {
  readonly protocol: 'https' | 'syslog-tls' | 'syslog-tcp'
  readonly host: string
  readonly port: number
  /** As it is written. Of https: with its path and query. */
  readonly url: string
  /** Absolute. Trusted for this receiver, in place of the CAs of the machine. */
  readonly caFile: string | undefined
  /** Absolute. Of https: shown as a bearer token. */
  readonly tokenFile: string | undefined
}

const PROTOCOLS = { 'https:': ['https', 443], 'syslog+tls:': ['syslog-tls', 6514], 'syslog+tcp:': ['syslog-tcp', 601] } as const
const FORMS = 'https://HOST/PATH, syslog+tls://HOST:6514 or syslog+tcp://HOST:601'

export const auditExport: Kind<readonly AuditExport[]> = {
  words: 'a list of { to, caFile, tokenFile } of receivers',
  schema: {
    type: 'array', maxItems: OBSERVE_LIMITS.exportTargetsMax,
    items: {
      type: 'object', additionalProperties: false, required: ['to'],
      properties: {
        to: { type: 'string', pattern: '^(https://|syslog\\+tls://|syslog\\+tcp://)[^/@#\\s]', description: FORMS },
        caFile: { type: 'string', minLength: 1, description: 'CAs that this receiver is verified by, PEM, in place of those of the machine.' },
        tokenFile: { type: 'string', minLength: 1, description: 'What https is shown as a bearer token.' },
      },
    },
  },
  form: 'yaml',
  read(node, reading) {
    const list = reading.reader.list(node, reading.name)
    if (list !== undefined && list.length > OBSERVE_LIMITS.exportTargetsMax) reading.reader.report(node.at, `${reading.name}: at most ${OBSERVE_LIMITS.exportTargetsMax} receivers, not ${list.length}.`)
    const seen = new Set<string>()
    return list?.flatMap((item) => {
      const target = readTarget(item, reading)
      if (target === undefined) return []
      if (seen.has(target.url)) reading.reader.report(item.at, `${reading.name}: "${printable(target.url)}" is listed already.`)
      seen.add(target.url)
      return [target]
    })
  },
}

function readTarget(node: SourceNode, reading: Reading): AuditExport | undefined {
  const { reader, name } = reading
  const map = reader.map(node, 'a receiver of the audit log', ['to', 'caFile', 'tokenFile'])
  const [to, ca, token] = [map?.get('to'), map?.get('caFile'), map?.get('tokenFile')]
  if (map === undefined) return undefined
  if (to === undefined) return reader.report(node.at, 'a receiver of the audit log needs `to`.', `Write: { to: ${FORMS} }`)
  const url = reader.string(to.value, `${name}.to`)
  const place = url === undefined ? undefined : placeOf(url)
  if (url !== undefined && place === undefined) return reader.report(to.value.at, `${name}: "${printable(url)}" is no receiver.`, `Write it as ${FORMS}, without a user or a password.`)
  if (token !== undefined && place !== undefined && place.protocol !== 'https') return reader.report(token.keyAt, `${name}: syslog knows no tokens.`, 'Remove tokenFile, or send to https.')
  if (ca !== undefined && place?.protocol === 'syslog-tcp') return reader.report(ca.keyAt, `${name}: nobody is verified over plain TCP.`, 'Remove caFile, or send to syslog+tls.')
  const caFile = ca && fileThere(ca.value, { ...reading, name: 'caFile' }, 'Name the PEM file of its CAs, from the home or with its full path.')
  const tokenFile = token && fileThere(token.value, { ...reading, name: 'tokenFile' }, 'Name the file that has the token, from the home or with its full path.')
  return url === undefined || place === undefined ? undefined : { ...place, url, caFile, tokenFile }
}

function placeOf(url: string): Pick<AuditExport, 'protocol' | 'host' | 'port'> | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !Object.hasOwn(PROTOCOLS, parsed.protocol)) return undefined
  const [protocol, port] = PROTOCOLS[parsed.protocol as keyof typeof PROTOCOLS]
  const isPlain = parsed.hostname !== '' && parsed.username === '' && parsed.password === '' && parsed.hash === ''
  // Syslog has neither paths nor queries: whoever writes one expects something of it.
  if (!isPlain || (protocol !== 'https' && (parsed.search !== '' || !/^\/?$/.test(parsed.pathname)))) return undefined
  return { protocol, host: parsed.hostname.replaceAll(/^\[|\]$/g, ''), port: parsed.port === '' ? port : Number(parsed.port) }
}
