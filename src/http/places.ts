// The connections of the admin port: there are so many, and whoever works here finds one. The port is open to whoever reaches it, since a
// browser without a certificate gets the page on which to sign in: so where all places are taken, the connection that has been quiet longest ends.

import type { Socket } from 'node:net'

/** What of a server is looked at. */
interface Connecting {
  on(event: 'connection', listener: (socket: Socket) => void): unknown
}

/** A TLS connection and the socket beneath it are two objects with one name. */
type Named = Pick<Socket, 'localAddress' | 'remoteAddress' | 'remotePort'>

export interface Places {
  /** A request of an operator is under way on this connection: nobody gets its place. Returns what is to be called when it is answered. */
  work(on: Named): () => void
  closeAll(): void
}

const nameOf = ({ localAddress, remoteAddress, remotePort }: Named): string => `${localAddress ?? ''} ${remoteAddress ?? ''} ${remotePort ?? ''}`

export function openPlaces(server: Connecting, max: number): Places {
  // HTTP knows a connection from its handshake on, and looks after none once it is closed: who says nothing would keep the program from its end.
  const taken = new Map<string, Socket>()
  /** By name: on which no operator's request is under way. Quiet longest is first; what is refused is as good as nothing said. */
  const quiet = new Set<string>()

  function leave(name: string): void {
    taken.delete(name)
    quiet.delete(name)
  }

  function makeRoom(): boolean {
    const [name] = quiet
    if (name === undefined) return false
    const socket = taken.get(name)
    // The place is free now, and not when the network has heard of it.
    leave(name)
    socket?.destroy()
    return true
  }

  server.on('connection', (socket: Socket) => {
    // One that is gone already has no name.
    if (socket.remoteAddress === undefined || (taken.size >= max && !makeRoom())) return void socket.destroy()
    const name = nameOf(socket)
    taken.set(name, socket)
    quiet.add(name)
    socket.once('close', () => {
      if (taken.get(name) === socket) leave(name)
    })
  })

  return {
    work(on) {
      const name = nameOf(on)
      quiet.delete(name)
      return () => {
        if (taken.has(name)) quiet.add(name)
      }
    },
    closeAll() {
      for (const socket of taken.values()) socket.destroy()
    },
  }
}
