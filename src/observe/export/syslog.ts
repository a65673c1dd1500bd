// The audit log to a syslog receiver: RFC 5424 messages with octet counting (RFC 6587 §3.4.1) over TCP or TLS (RFC 5425). The record is
// the message, as JSON. A receiver acknowledges nothing: what is written counts as delivered when its connection still stands a moment later.

import { connect as connectTcp, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { OBSERVE_LIMITS } from '../../observe-limits.ts'
import type { Receiver } from './receiver.ts'

export interface SyslogPorts {
  readonly host: string
  readonly port: number
  /** PEM of the CAs that it is verified by, without them those of the machine; undefined: plain TCP. */
  readonly tls: { readonly ca?: string } | undefined
}

/** RFC 5424 §6.2.1: log audit. */
const FACILITY = 13
const [WARNING, INFORMATIONAL] = [4, 6]
/** §6.2.4: what is not printable ASCII, or longer, is not a host name there. */
const HOST = hostname().replaceAll(/[^\x21-\x7e]/g, '-').slice(0, 255) || '-'
const ACTION = /"action":"([a-z-]{1,32})"/
const AT = /^\{"@timestamp":"([0-9TZ:.-]{20,30})"/

/** One frame: its length in bytes, a space, the message. */
export function syslogFrame(line: string): Buffer {
  const severity = line.includes('"outcome":"failure"') ? WARNING : INFORMATIONAL
  const message = Buffer.from(`<${FACILITY * 8 + severity}>1 ${AT.exec(line)?.[1] ?? '-'} ${HOST} sallyport ${process.pid} ${ACTION.exec(line)?.[1] ?? '-'} - ${line}`)
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

export function openSyslog({ host, port, tls }: SyslogPorts): Receiver {
  let connection: Socket | undefined
  const closing = new AbortController()

  async function connected(): Promise<Socket> {
    if (connection?.writable === true) return connection
    const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, servername: host, ...tls })
    // From its first moment on: whoever ends must not wait for a receiver that never shakes hands.
    connection = socket
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(OBSERVE_LIMITS.exportAnswerMs, () => socket.destroy(new Error('no answer in time')))
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the connection was closed')))
      socket.once(tls === undefined ? 'connect' : 'secureConnect', () => resolve())
    })
    // A quiet log is no fault; what it says is nobody's business here, and unread it would fill up.
    socket.setTimeout(0).on('error', () => {}).resume()
    return socket
  }

  return {
    async deliver({ lines }) {
      const socket = await connected()
      const { promise: written, resolve, reject } = Promise.withResolvers<void>()
      const closed = (): void => reject(new Error('the connection was closed'))
      const late = setTimeout(() => socket.destroy(), OBSERVE_LIMITS.exportAnswerMs)
      socket.once('close', closed)
      socket.write(Buffer.concat(lines.map(syslogFrame)), (error) => (error ? reject(error) : resolve()))
      try {
        await written
      } finally {
        clearTimeout(late)
        socket.off('close', closed)
      }
      await delay(OBSERVE_LIMITS.syslogStandsMs, undefined, { signal: closing.signal })
      if (!socket.writable) throw new Error('the connection was closed')
    },
    [Symbol.dispose]() {
      closing.abort()
      connection?.destroy()
    },
  }
}
