// One connection of a raw client: TLS, one CONNECT, packets out and packets in. It keeps nothing that outlives the
// connection and answers nothing by itself: speakers and hearers own the exchanges.

import tls from 'node:tls'
import mqttPacket, { type IConnackPacket, type IConnectPacket, type Packet } from 'mqtt-packet'
import type { Credentials } from '../../device-sim/raw-peer.ts'
import type { Target } from '../../device-sim/target.ts'

export type Version = 4 | 5

export interface LineOptions {
  readonly target: Target
  readonly credentials: Credentials
  readonly clientId: string
  readonly version: Version
  /** False: the session is kept for a day. */
  readonly clean: boolean
  readonly properties?: NonNullable<IConnectPacket['properties']>
  /** Called for every packet but CONNACK, in order. */
  onPacket(packet: Packet, line: Line): void
}

export interface Line {
  readonly connack: IConnackPacket
  readonly open: boolean
  /** Resolves when the connection is gone, whoever ended it, with the reason code of a DISCONNECT. */
  readonly closed: Promise<{ readonly reasonCode: number | undefined }>
  send(...packets: readonly Packet[]): void
  /** Stops and starts reading: what a stalled client does. */
  pause(): void
  resume(): void
  /** An orderly end: DISCONNECT, then the close. */
  end(): Promise<void>
  /** As if the cable was cut. */
  cut(): void
}

const DAY_SECONDS = 86_400
const CONNACK_MS = 20_000

/** Resolves with an admitted connection; rejects with how it was refused or ended before. */
export function openLine(options: LineOptions): Promise<Line> {
  const { target, credentials, version } = options
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: target.host, port: target.port, servername: target.serverName, ca: target.ca, cert: credentials.cert, key: credentials.key })
    socket.setNoDelay(true)
    const parser = mqttPacket.parser({ protocolVersion: version })
    const timer = setTimeout(() => socket.destroy(new Error('no CONNACK in time')), CONNACK_MS)
    let line: Line | undefined
    let failure = 'closed'
    let reasonCode: number | undefined
    let isOpen = true
    const send = (...packets: readonly Packet[]): void => {
      if (!socket.destroyed) socket.write(Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: version }))))
    }
    const closed = new Promise<{ readonly reasonCode: number | undefined }>((done) => {
      socket.once('close', () => {
        clearTimeout(timer)
        isOpen = false
        reject(new Error(`${options.clientId}: ${failure} before CONNACK`))
        done({ reasonCode })
      })
    })
    parser.on('packet', (packet) => {
      if (packet.cmd === 'disconnect') reasonCode = packet.reasonCode
      if (packet.cmd !== 'connack') {
        if (line !== undefined) options.onPacket(packet, line)
        return
      }
      clearTimeout(timer)
      const code = (version === 5 ? packet.reasonCode : packet.returnCode) ?? 0
      if (code !== 0) {
        failure = `refused with 0x${code.toString(16)}`
        socket.destroy()
        return
      }
      line = {
        connack: packet,
        get open() {
          return isOpen
        },
        closed,
        send,
        pause: () => void socket.pause(),
        resume: () => void socket.resume(),
        end: async () => {
          send({ cmd: 'disconnect' })
          socket.end()
          await closed
        },
        cut: () => socket.destroy(),
      }
      resolve(line)
    })
    parser.on('error', (fault) => socket.destroy(fault))
    socket.on('data', (chunk: Buffer) => void parser.parse(chunk))
    socket.on('error', (fault: NodeJS.ErrnoException) => {
      failure = fault.code ?? fault.message
    })
    socket.once('end', () => socket.destroy())
    socket.once('secureConnect', () =>
      send({
        cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: options.clean, keepalive: 600, clientId: options.clientId,
        ...(version === 5 ? { properties: { ...(options.clean ? {} : { sessionExpiryInterval: DAY_SECONDS }), ...options.properties } } : {}),
      }),
    )
  })
}
