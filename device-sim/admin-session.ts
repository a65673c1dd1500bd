// Saved TLS sessions of the operator's door, and what another door's session opens there. T12.

import tls from 'node:tls'
import type { Admin } from './admin.ts'
import { SIM_LIMITS } from './limits.ts'
import { within } from './within.ts'

interface Visit {
  /** The first bytes of the answer; empty when there was none. */
  readonly answer: string
  readonly session: Buffer | undefined
}

/** Asks for the status: as the operator, or with a session and nothing else. */
async function visit({ options }: Admin, tlsVersion: tls.SecureVersion, credentials: { readonly cert: string; readonly key: string } | { readonly session: Buffer }): Promise<Visit> {
  const { hostname, port } = new URL(options.url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const socket = tls.connect({ host, port: Number(port), servername: 'localhost', ca: options.ca, minVersion: tlsVersion, maxVersion: tlsVersion, ...credentials })
  let session: Buffer | undefined
  let answer = ''
  socket.on('session', (given: Buffer) => {
    session = given
  })
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  const over = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
  socket.write(`GET /v1/status HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`)
  await within(over, SIM_LIMITS.verdictMs)
  socket.destroy()
  return { answer, session }
}

/** The newest session of the operator; undefined where that door gives none. `served`: it was an operator. */
export async function operatorSession(admin: Admin, tlsVersion: tls.SecureVersion): Promise<{ readonly served: boolean; readonly session: Buffer | undefined }> {
  const { answer, session } = await visit(admin, tlsVersion, admin.options)
  return { served: answer.startsWith('HTTP/1.1 200'), session }
}

/** Whether a session from elsewhere is served as an operator's. */
export async function servedWith(admin: Admin, tlsVersion: tls.SecureVersion, session: Buffer): Promise<boolean> {
  return (await visit(admin, tlsVersion, { session })).answer.startsWith('HTTP/1.1 200')
}
