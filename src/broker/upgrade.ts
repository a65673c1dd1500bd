// The rules for the request that turns a TLS connection into a WebSocket: which one is answered with 101, and what every
// other one is told. Pure: it knows no sockets. Who the peer is has been judged before.

import type { IncomingHttpHeaders } from 'node:http'
import { deny, type Denied } from '../core/decision.ts'
import { printable } from '../core/ids.ts'
import type { DenyReason } from '../vocabulary.ts'

/** MQTT 5 §6: the name of the subprotocol. [MQTT-6.0.0-3] */
export const SUBPROTOCOL = 'mqtt'
const WEBSOCKET_VERSION = '13'

/** The parts of a request that are judged. */
export interface UpgradeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
}

export interface UpgradeRules {
  readonly path: string
  /** Origins of web pages that may connect. */
  readonly origins: readonly string[]
}

export interface UpgradeRefusal {
  /** Of the HTTP answer. */
  readonly status: number
  readonly denied: Denied
}

const refusal = (status: number, detail: string, reason: DenyReason = 'websocket-upgrade'): UpgradeRefusal => ({ status, denied: deny(reason, detail) })

/** The first rule that a request breaks; undefined when it is to be answered with 101. Key and syntax are judged by `ws`. */
export function judgeUpgrade({ method, url, httpVersion, headers }: UpgradeRequest, rules: UpgradeRules): UpgradeRefusal | undefined {
  if (url !== rules.path) return refusal(404, 'another path')
  if (method !== 'GET') return refusal(405, 'another method than GET')
  // A browser sends the certificate of its user along with the request of whichever page asks, and shows nothing of it: a
  // foreign page would speak as that user's device. It cannot leave out or choose its Origin; a device has none.
  const { origin } = headers
  if (origin !== undefined && !rules.origins.includes(origin)) return refusal(403, `origin ${printable(origin)}`, 'websocket-origin')
  if (httpVersion !== '1.1') return refusal(400, 'another version of HTTP than 1.1')
  if (headers.upgrade?.toLowerCase() !== 'websocket') return refusal(426, 'no upgrade to a WebSocket')
  if (headers['sec-websocket-version'] !== WEBSOCKET_VERSION) return refusal(426, 'another version of WebSocket than 13')
  if (headers.host === undefined) return refusal(400, 'no Host')
  // Where a body ends and frames begin would be told differently by whatever stands in between.
  if (headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined) return refusal(400, 'a request with a body')
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  if (!offered.includes(SUBPROTOCOL)) return refusal(400, 'the subprotocol mqtt is not offered')
  return undefined
}
