// What a connection has still to send. Everything that is written to its socket in one turn of the event loop leaves it as
// one write, which is few TLS records; how much the network has not taken yet is known. It knows no packets.

import type { Duplex } from 'node:stream'
import { BROKER_LIMITS } from '../../limits.ts'
import type { Traffic } from '../../core/traffic.ts'

export interface Output {
  /** Bytes that the network has not taken yet. */
  readonly waiting: number
  /** A message of QoS 0 is not dropped. */
  readonly hasRoomForQos0: boolean
  /** Bytes that it has taken since the beginning: what does not grow while bytes wait is a reader that stalls. */
  readonly taken: number
  write(bytes: Uint8Array, done?: () => void): void
  /** Writes the last packet of the connection: what comes behind a DISCONNECT is dropped [MQTT-3.14.4-1]. */
  finish(bytes: Uint8Array, done: () => void): void
}

type Done = () => void

export interface OutputPorts {
  /** What the engine writes by itself is written; until then it is dropped. */
  readonly mayEngineWrite: () => boolean
  /** A full socket has taken everything. */
  readonly onDrained: () => void
}

export interface Outputs {
  /** Makes a socket's output: its `write`, which the engine calls, only collects from then on. */
  of(socket: Duplex, ports: OutputPorts): Output
  /** Tells how many bytes wait in all outputs together, about once a second. */
  weigh(waiting: number): void
}

/** What an output holds: a class, because V8 keeps an object with getters of its own as a dictionary, and each message asks. */
class Weight {
  readonly #socket: Duplex
  readonly #bounds: { readonly qos0BytesMax: number }
  /** Bytes that wait for the end of the turn, and all that were ever written. */
  readonly bytes = { collected: 0, total: 0 }

  constructor(socket: Duplex, bounds: { readonly qos0BytesMax: number }) {
    this.#socket = socket
    this.#bounds = bounds
  }

  get waiting(): number {
    return this.bytes.collected + this.#socket.writableLength
  }

  get hasRoomForQos0(): boolean {
    return this.waiting <= this.#bounds.qos0BytesMax
  }

  get taken(): number {
    return this.bytes.total - this.waiting
  }
}

export function openOutputs(traffic: Pick<Traffic, 'bytesSent'>): Outputs {
  let dirty: (() => void)[] = []
  let scheduled = false
  const bounds: { qos0BytesMax: number } = { qos0BytesMax: BROKER_LIMITS.outboundQos0BytesMax }

  function flushAll(): void {
    scheduled = false
    const turn = dirty
    dirty = []
    for (const flush of turn) flush()
  }

  function schedule(flush: () => void): void {
    dirty.push(flush)
    if (scheduled) return
    scheduled = true
    setImmediate(flushAll)
  }

  function of(socket: Duplex, { mayEngineWrite, onDrained }: OutputPorts): Output {
    const send = socket.write.bind(socket) as (bytes: Uint8Array, done?: Done) => boolean
    const end = socket.end.bind(socket) as (...rest: unknown[]) => Duplex
    const weight = new Weight(socket, bounds)
    const { bytes } = weight
    let chunks: Uint8Array[] = []
    let callbacks: Done[] = []
    let finished = false

    function flush(): void {
      if (chunks.length === 0) return
      const [first] = chunks
      const all = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, bytes.collected)
      const done = callbacks
      chunks = []
      bytes.collected = 0
      if (socket.destroyed || socket.writableEnded) return done.forEach((call) => call())
      if (done.length === 0) send(all)
      else {
        callbacks = []
        send(all, () => done.forEach((call) => call()))
      }
    }

    function write(chunk: Uint8Array, done?: Done): void {
      if (finished) {
        if (done !== undefined) setImmediate(done)
        return
      }
      if (chunks.length === 0) schedule(flush)
      chunks.push(chunk)
      bytes.collected += chunk.length
      bytes.total += chunk.length
      traffic.bytesSent += chunk.length
      if (done !== undefined) callbacks.push(done)
    }

    // The engine's serialiser writes a packet in pieces, as strings at times, and corks the stream around it.
    socket.write = ((chunk: Uint8Array | string, encoding?: BufferEncoding | Done, done?: Done): boolean => {
      const whenDone = typeof encoding === 'function' ? encoding : done
      if (!mayEngineWrite()) return true
      write(typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : chunk, whenDone)
      return true
    }) as typeof socket.write
    socket.cork = () => {}
    socket.uncork = () => {}
    socket.end = ((...rest: unknown[]) => {
      flush()
      return end(...rest)
    }) as typeof socket.end
    socket.on('drain', onDrained)

    return Object.assign(weight, {
      write,
      finish(chunk: Uint8Array, done: Done) {
        write(chunk, done)
        finished = true
      },
    })
  }

  return {
    of,
    weigh(waiting) {
      bounds.qos0BytesMax = waiting > BROKER_LIMITS.outboundAllBytesMax ? BROKER_LIMITS.outboundHighBytes : BROKER_LIMITS.outboundQos0BytesMax
    },
  }
}
