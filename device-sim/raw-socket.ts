// Bytes on a TCP connection and what comes back, for what is not TLS at all or never becomes it.

import net from 'node:net'
import { SIM_LIMITS } from './limits.ts'
import type { Target } from './target.ts'

export interface Exchange {
  readonly answer: Buffer
  /** The server ended the connection in time. */
  readonly closed: boolean
  readonly afterMs: number
  readonly address: string | undefined
  readonly port: number | undefined
}

export function openSocket(target: Pick<Target, 'host' | 'port'>, source: string | undefined): net.Socket {
  const socket = net.connect({ host: target.host, port: target.port, ...(source === undefined ? {} : { localAddress: source }) })
  // How it ended is read from 'close'; an error beside it adds nothing.
  socket.on('error', () => {})
  return socket
}

/** Sends the bytes at once and collects what the server says until it closes, or `enough` is content. */
export async function exchange(target: Target, bytes: Buffer, source: string | undefined, enough: (answer: Buffer) => boolean = () => false): Promise<Exchange> {
  await target.turn?.()
  return new Promise((resolve) => {
    const started = performance.now()
    const socket = openSocket(target, source)
    let answer: Buffer = Buffer.alloc(0)
    let address: string | undefined
    let port: number | undefined
    const finish = (closed: boolean): void => {
      clearTimeout(timer)
      resolve({ answer, closed, afterMs: performance.now() - started, address, port })
      socket.destroy()
    }
    const timer = setTimeout(() => finish(false), SIM_LIMITS.verdictMs)
    socket.once('connect', () => {
      address = socket.localAddress
      port = socket.localPort
      socket.write(bytes)
    })
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (enough(answer)) finish(false)
    })
    socket.once('end', () => socket.destroy())
    socket.once('close', () => finish(true))
  })
}
