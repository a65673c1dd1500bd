// Who may hold how many of the connections of the admin port, so that somebody who acts always finds room: strangers have a few, one operator
// has many and not all. Whom a connection is of it is told; who that is, and what is asked, it does not know.

import type { Socket } from 'node:net'
import { HTTP_CONNECTION_LIMITS } from '../http-limits.ts'

/** The two ends that name a connection, before its handshake and after. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'destroy' | 'once'>

export interface ConnectionShares {
  /** It has come, and nobody knows of whom. Of too many strangers the one that is here longest goes. */
  opened(socket: Ends): void
  /** Its handshake is complete: it is of this operator, or of nobody. One that is beyond the operator's share goes. */
  secured(socket: Ends, operator: string | undefined): void
}

export function openConnectionShares({ strangersMax, perOperatorMax }: { readonly strangersMax: number; readonly perOperatorMax: number } = HTTP_CONNECTION_LIMITS): ConnectionShares {
  /** Oldest first. */
  const strangers = new Map<string, Ends>()
  const held = new Map<string, number>()
  const keyOf = ({ remoteAddress = '', remotePort = 0 }: Ends): string => `${remoteAddress} ${remotePort}`

  return {
    opened(socket) {
      const key = keyOf(socket)
      strangers.set(key, socket)
      socket.once('close', () => {
        if (strangers.get(key) === socket) strangers.delete(key)
      })
      const [oldest] = strangers
      if (strangers.size <= strangersMax || oldest === undefined) return
      strangers.delete(oldest[0])
      oldest[1].destroy()
    },
    secured(socket, operator) {
      if (operator === undefined) return
      strangers.delete(keyOf(socket))
      const count = (held.get(operator) ?? 0) + 1
      if (count > perOperatorMax) return void socket.destroy()
      held.set(operator, count)
      socket.once('close', () => {
        const left = (held.get(operator) ?? 1) - 1
        if (left > 0) held.set(operator, left)
        else held.delete(operator)
      })
    },
  }
}
