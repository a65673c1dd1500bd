// Requests of the admin API as bytes: mutual TLS, a few connections that are kept, an answer that is bounded. What is asked and answered
// it does not know.

import { Agent, request } from 'node:https'
import { HTTP_LIMITS, HTTP_WORK_LIMITS } from '../http-limits.ts'
import { SallyportError } from '../core/errors.ts'
import type { Method } from './route.ts'

export interface AdminCredential {
  /** As in https://localhost:9443. */
  readonly url: string
  /** The operator's, PEM. */
  readonly key: string
  readonly cert: string
  /** What the server is verified with, PEM. */
  readonly ca: string
}

/** Requests that wait for each other rather than for handshakes. */
const CONNECTIONS_MAX = 4
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

export interface ToSend {
  readonly method: Method
  /** With its query. */
  readonly path: string
  /** JSON. */
  readonly text?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Received {
  readonly status: number
  readonly text: string
}

export interface Transport {
  /** Failure: 'unreachable'. */
  send(what: ToSend): Promise<Received>
  close(): void
}

/** Opens it; nothing is sent yet. */
export function openTransport({ url, key, cert, ca }: AdminCredential): Transport {
  const agent = new Agent({ key, cert, ca, keepAlive: true, maxSockets: CONNECTIONS_MAX, minVersion: 'TLSv1.2' })
  return {
    send: ({ method, path, text, headers = {}, signal }) => new Promise((resolve, reject) => {
      const sent = request(new URL(path, url), {
        agent, method, timeout: HTTP_LIMITS.requestMs, ...(signal === undefined ? {} : { signal }),
        headers: { ...headers, ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) },
      }, (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > ANSWER_BYTES_MAX) sent.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        response.on('error', (cause) => reject(unreachable(url, cause)))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      })
      // Who has it whole is at work. Who has not even greeted is not.
      sent.on('finish', () => sent.setTimeout(HTTP_WORK_LIMITS.workMs))
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(url, cause)))
      sent.end(text)
    }),
    close: () => agent.destroy(),
  }
}

/** Who answers with a certificate that is not in force answers: the clocks disagree, or it has not renewed. */
const OUT_OF_TIME: ReadonlySet<string> = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'])

function unreachable(url: string, cause: NodeJS.ErrnoException): SallyportError {
  const code = cause.code ?? cause.message
  return OUT_OF_TIME.has(code)
    ? new SallyportError('unreachable', `The server at ${url} shows a certificate that is not in force now (${code}).`, { fix: 'Compare the clock of this machine with that of the server; then kill -HUP the server, and it issues itself a new one.', cause })
    : new SallyportError('unreachable', `The server at ${url} does not answer (${code}).`, { fix: 'Look at its log; if it is gone, remove data/endpoints.json or start it again.', cause })
}
