// A relay between a device and a server: it sees every TLS record that passes, keeps a copy, and may change what it passes on.
// It holds no key. What it does to the records is its owner's choice.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { SIM_LIMITS } from './limits.ts'
import type { Target } from './target.ts'

/** Up is from the device to the server. */
export type Direction = 'up' | 'down'

/** What is passed on in place of this whole record; nothing at all drops it. */
export type Alter = (direction: Direction, record: Buffer) => readonly Buffer[]

export interface Relay extends AsyncDisposable {
  readonly port: number
  /** Everything that has come, as it came. */
  recorded(): Buffer
  /** From now on. */
  alter(how: Alter): void
}

const HEADER_BYTES = 5

/** Cuts a stream into TLS records; what is none stays whole. */
function cutter(onRecord: (record: Buffer) => void): (chunk: Buffer) => void {
  let buffered: Buffer = Buffer.alloc(0)
  return (chunk) => {
    buffered = Buffer.concat([buffered, chunk])
    while (buffered.length >= HEADER_BYTES && buffered.length >= HEADER_BYTES + buffered.readUInt16BE(3)) {
      const end = HEADER_BYTES + buffered.readUInt16BE(3)
      onRecord(buffered.subarray(0, end))
      buffered = buffered.subarray(end)
    }
  }
}

/** Opens it on a free port of loopback. `source`: from where it goes on. */
export async function openRelay(target: Pick<Target, 'host' | 'port'>, source: string | undefined, how: Alter = (_direction, record) => [record]): Promise<Relay> {
  const kept: Buffer[] = []
  let keptBytes = 0
  let current = how
  const open = new Set<Socket>()
  const pass = (from: Socket, to: Socket, direction: Direction): void => {
    open.add(from)
    const cut = cutter((record) => {
      for (const piece of current(direction, record)) to.write(piece)
    })
    from.on('data', (chunk: Buffer) => {
      keptBytes += chunk.length
      if (keptBytes <= SIM_LIMITS.relayBytesMax) kept.push(chunk)
      cut(chunk)
    })
    from.on('error', () => from.destroy())
    from.once('close', () => {
      open.delete(from)
      to.destroySoon()
    })
  }
  const server = net.createServer({ noDelay: true }, (device) => {
    const upstream = net.connect({ host: target.host, port: target.port, noDelay: true, ...(source === undefined ? {} : { localAddress: source }) })
    pass(device, upstream, 'up')
    pass(upstream, device, 'down')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    recorded: () => Buffer.concat(kept),
    alter(next) {
      current = next
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise<void>((resolve) => void server.close(() => resolve()))
    },
  }
}
