// Requests to publish over HTTPS as bytes, and a connection that stays open between them.

import tls from 'node:tls'
import type { EstDoor } from '../est.ts'
import type { Credentials } from '../raw-peer.ts'
import { SIM_LIMITS } from '../limits.ts'
import { within } from '../within.ts'

export interface PostFields {
  readonly method?: string
  readonly headers?: readonly string[]
  /** In place of the header that tells how long the body is. */
  readonly framing?: readonly string[]
}

/** The head of a request. */
export function postHead(target: string, bodyLength: number, { method = 'POST', headers = [], framing }: PostFields = {}): string {
  return [`${method} ${target} HTTP/1.1`, 'Host: localhost', ...(framing ?? [`Content-Length: ${bodyLength}`]), ...headers, '', ''].join('\r\n')
}

export interface Line {
  /** Writes, and returns what comes back next; nothing where nothing does. */
  say(bytes: string): Promise<string>
  readonly closed: Promise<true>
  end(): void
}

export async function openLine(door: EstDoor, { cert, key }: Credentials, source: string | undefined): Promise<Line> {
  const socket = tls.connect({ host: door.host, port: door.port, ca: door.ca, servername: 'localhost', cert, key, ...(source === undefined ? {} : { localAddress: source }) })
  socket.on('error', () => {})
  socket.once('end', () => socket.destroy())
  const closed = new Promise<true>((resolve) => void socket.once('close', () => resolve(true)))
  await Promise.race([new Promise<void>((resolve) => void socket.once('secureConnect', () => resolve())), closed])
  socket.resume()
  return {
    closed,
    async say(bytes) {
      const answered = new Promise<string>((resolve) => void socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1'))))
      socket.write(bytes)
      return (await within(Promise.race([answered, closed.then(() => '')]), SIM_LIMITS.verdictMs)) ?? ''
    },
    end: () => socket.destroy(),
  }
}
