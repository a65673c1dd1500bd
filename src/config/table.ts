// The configuration table: every key, its kind, its default, what a change of it takes, and what it does. The reader, the names in the
// environment, the JSON Schema, the reference, `config show` and completion are made from these rows: a new key is a row here.

import { DEFAULT_ENROLL } from '../core/enroll-rules.ts'
import { BINDING_RULES } from '../core/channel-binding.ts'
import { parseGroupName, printable, type GroupName } from '../core/ids.ts'
import { LOG_LEVELS } from '../core/log-levels.ts'
import { DEFAULT_RENEWAL } from '../core/renewal.ts'
import { BROKER_LIMITS, LIFE, X509_LIMITS } from '../limits.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import { auditExport } from './audit-export.ts'
import { DETECTION_ROWS, DETECTION_SECTIONS } from './detection.ts'
import { bytes, file, host, hosts, integer, origins, text, word, type Kind } from './kinds.ts'
import { optionalRow, row, type Preset, type Section, type Settings } from './rows.ts'
import { trust } from './trust.ts'
import { networks } from './webhooks.ts'

const PORT_MAX = 65_535
/** Keep Alive is a number of two bytes. MQTT 5 §3.1.2.10. */
const KEEP_ALIVE_MAX = 65_535
const RATE_MAX = 1_000_000
export const BURST_MAX = 10_000_000
const CRL_HOURS = 24
/** Ten years: who sleeps longer is provisioned anew. */
const GRACE_DAYS_MAX = 3_650
/** Room for localhost, its addresses and the machine's own names in one certificate. */
export const HOSTS_MAX = X509_LIMITS.subjectAltNamesMax - 8

/** RFC 5280 appendix A.1: ub-organization-name is 64. */
const organisation = text(/^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u, { words: 'text of 1 to 64 visible characters', wrong: 'cannot stand in a certificate.', fix: 'Write 1 to 64 visible characters.' })
/** A path that looks the same to whoever reads it: nothing encoded, no query. */
const urlPath = text(/^\/[A-Za-z0-9._~/-]{0,127}$/, { words: 'a path from its first slash', wrong: 'is not a path.', fix: 'Write it from its first slash, as /mqtt.' })
const PKI_URL = /^http:\/\/[A-Za-z0-9.:[\]-]{1,128}(\/[A-Za-z0-9._~-]{1,64})*\/?$/

/** It stands in every certificate: short, and nothing in it that anybody reads in two ways. Without a slash at its end. */
const pkiUrl: Kind<string> = {
  words: 'a plain http URL', schema: { type: 'string', pattern: PKI_URL.source }, form: 'text',
  read(node, { reader, name }) {
    const said = reader.string(node, name)
    if (said === undefined) return undefined
    const url = URL.canParse(said) ? new URL(said) : undefined
    // HTTP, not HTTPS: whoever checks the certificate of an HTTPS server for this would have to come here first. RFC 5280 §8.
    if (url?.protocol === 'http:' && url.search === '' && url.hash === '' && url.username === '' && PKI_URL.test(said)) return said.replace(/\/$/, '')
    return reader.report(node.at, `${name}: "${printable(said)}" is not a plain http URL.`, 'Write it as certificates shall name it, as http://pki.example.org:8080.')
  },
}

/** Names of groups are the keys: which there are is not known here. */
const daysOfGroups: Kind<ReadonlyMap<GroupName, number>> = {
  words: 'a mapping of groups to days', schema: { type: 'object', propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' }, additionalProperties: { type: 'integer', minimum: 0, maximum: GRACE_DAYS_MAX } }, form: 'yaml',
  read(node, { reader, name }) {
    const map = reader.map(node, name, node.kind === 'map' ? node.entries.map(({ key }) => key) : [])
    const found = new Map<GroupName, number>()
    for (const [key, { keyAt, value }] of map ?? []) {
      const group = parseGroupName(key)
      const days = reader.integer(value, `${name}.${printable(key)}`, 0, GRACE_DAYS_MAX)
      if (!group.allow) reader.report(keyAt, `${name}: "${printable(key)}" is not a group name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
      else if (days !== undefined) found.set(group.value, days)
    }
    return map && found
  },
}

const hostRow = (preset: string): Preset<string> => row(host, { preset, effect: 'restart', text: preset === '::' ? 'The address to listen on; "::" is every address.' : 'The address to listen on; 127.0.0.1 is this machine alone.' })
const portRow = (preset: number): Preset<number> => row(integer(0, PORT_MAX), { preset, effect: 'restart', text: 'The port; 0 picks a free one.' })

export const SECTIONS = {
  listen: { text: 'The doors.' },
  'listen.mqtt': { text: 'MQTT over mutual TLS.' },
  'listen.admin': { text: 'The admin API, for operators.' },
  'listen.enroll': { text: 'Enrollment: EST at https://HOST:8443/.well-known/est.' },
  'listen.websocket': { text: 'MQTT over WebSocket and mutual TLS.', optional: true },
  'listen.pki': { text: 'CRLs, OCSP and CA certificates, for anybody, over plain HTTP.' },
  'listen.metrics': { text: 'Metrics and health.' },
  pki: { text: 'What the public door publishes, and how certificates name it.' },
  tls: { text: 'TLS with devices.' },
  limits: { text: 'What one peer may cost.' },
  ...DETECTION_SECTIONS,
  renewal: { text: 'Renewal of certificates: docs/renewal.md.' },
  enroll: { text: 'What the enrollment door asks of requests, and offers: docs/enrollment.md.' },
  webhooks: { text: 'Programs elsewhere that are told what happens: docs/watching.md.' },
  log: { text: 'The log of the program, on stderr.' },
  audit: { text: 'The audit log: docs/observability.md.' },
} as const satisfies Readonly<Record<string, Section>>

export const TABLE = {
  organisation: row(organisation, { preset: 'Sallyport', effect: 'restart', text: 'Stands in the subject of every certificate.' }),
  'listen.mqtt.host': hostRow('::'),
  'listen.mqtt.port': portRow(8883),
  'listen.admin.host': hostRow('127.0.0.1'),
  'listen.admin.port': portRow(9443),
  'listen.enroll.host': hostRow('::'),
  'listen.enroll.port': portRow(8443),
  'listen.websocket.host': hostRow('::'),
  'listen.websocket.port': portRow(8884),
  'listen.websocket.path': row(urlPath, { preset: '/mqtt', effect: 'restart', text: 'The one path that is answered.' }),
  'listen.websocket.origins': row(origins, { preset: [], effect: 'restart', text: 'Web pages that may connect; none is every client that is no web page.' }),
  'listen.pki.host': hostRow('::'),
  'listen.pki.port': portRow(8080),
  'listen.metrics.host': hostRow('127.0.0.1'),
  'listen.metrics.port': portRow(9464),
  'listen.metrics.tokenFile': optionalRow(file, { without: 'nobody is asked for a token, which is right on this machine alone', effect: 'restart', text: 'The file with the token that is asked for; needed where the door is not on loopback.' }),
  hosts: row(hosts(HOSTS_MAX), { preset: [], effect: 'live', text: 'Further names in the server certificate, besides localhost and the name of this machine. Devices are told to connect to the first.' }),
  policy: row(file, { preset: 'policy.yaml', effect: 'live', text: 'The policy, with every *.yaml and *.policy in policy.d beside it.' }),
  trust: row(trust, { preset: [], effect: 'live', text: 'CAs of others; the policy says by identity: for which devices they speak.' }),
  passphraseFile: optionalRow(file, { without: 'certs/local/passphrase, which the first start makes', effect: 'restart', text: 'The file with the passphrase of the CA keys.' }),
  'pki.url': optionalRow(pkiUrl, { without: 'certificates point nowhere', effect: 'restart', text: 'Where the public door is, as certificates name it.' }),
  'pki.crlShards': row(integer(1, PKI_LIMITS.crlShardsMax), { preset: 1, unit: 'lists', effect: 'restart', text: 'Into how many CRLs the certificates are divided; more than one needs pki.url.' }),
  'pki.crlHours': row(integer(1, PKI_LIMITS.crlHoursMax), { preset: CRL_HOURS, unit: 'hours', effect: 'restart', text: 'How long a CRL is valid; it is replaced at half of that, and soon after a revocation.' }),
  'tls.resumption': row(word(['on', 'off']), { preset: 'off', effect: 'live', text: 'Whether devices may resume TLS sessions; each is judged anew all the same.' }),
  'limits.sourceRatePerSecond': row(integer(1, RATE_MAX), { preset: BROKER_LIMITS.sourceRatePerSecond, unit: 'connections in a second', effect: 'live', text: 'How fast one address may begin connections, in the long run.' }),
  'limits.sourceBurst': optionalRow(integer(1, BURST_MAX), { without: `${BROKER_LIMITS.sourceBurst}, or the rate where that is more`, unit: 'connections', effect: 'live', text: 'How many one address may begin at once; not less than the rate.' }),
  'limits.packetBytesMax': row(bytes(BROKER_LIMITS.connectPacketBytesMax, BROKER_LIMITS.outboundBytesMax), { preset: `${BROKER_LIMITS.packetBytesMax / 1_024}KiB`, unit: 'bytes', effect: 'live', text: 'The largest MQTT packet, of connections that begin from then on.' }),
  'limits.keepAliveSecondsMax': row(integer(1, KEEP_ALIVE_MAX), { preset: BROKER_LIMITS.keepAliveSecondsMax, unit: 'seconds', effect: 'live', text: 'The longest keep-alive that a client is given, from its next connect on.' }),
  ...DETECTION_ROWS,
  'renewal.graceDays': row(integer(0, GRACE_DAYS_MAX), { preset: DEFAULT_RENEWAL.graceMs / LIFE.day, unit: 'days', effect: 'live', text: 'How long after its end a certificate is still renewed, at a door for renewals alone; 0: never.' }),
  'renewal.groups': row(daysOfGroups, { preset: {}, unit: 'days', effect: 'live', text: 'The same of devices in a group, as { line-1: 90 }; of several the shortest counts.' }),
  'renewal.sameKey': row(word(['allowed', 'refused']), { preset: 'allowed', effect: 'live', text: 'Whether the next certificate may be for the same key.' }),
  'enroll.serverKeys': row(word(['refused', 'allowed']), { preset: DEFAULT_ENROLL.serverKeys, effect: 'live', text: 'Whether a device may have its key made here (serverkeygen).' }),
  'enroll.channelBinding': row(word(BINDING_RULES), { preset: DEFAULT_ENROLL.channelBinding, effect: 'live', text: 'Whether each request must be bound to its TLS connection.' }),
  'webhooks.allow': row(networks, { preset: [], effect: 'live', text: 'Internal networks to which webhooks may go; all others that are internal are refused.' }),
  'webhooks.ca': optionalRow(file, { without: 'receivers have certificates of CAs that everybody trusts', effect: 'restart', text: 'A PEM file with CAs that the certificates of receivers may be of, too.' }),
  'log.level': row(word(LOG_LEVELS), { preset: 'info', effect: 'live', text: 'How much is said.' }),
  'audit.export': row(auditExport, { preset: [], effect: 'restart', text: 'To whom the audit log is sent as it is written; each receiver gets every record, in order, at least once.' }),
} as const

export type Key = keyof typeof TABLE
export type ConfigSettings = Settings<typeof TABLE>
