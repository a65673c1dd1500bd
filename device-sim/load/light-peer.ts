// An MQTT 3.1.1 client that keeps nothing: for thousands of connections, where a client that remembers what has come would
// measure its own memory. It connects, subscribes once, publishes, and answers what QoS 1 and 2 ask of it.

import tls from 'node:tls'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { SIM_LIMITS } from '../limits.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Target } from '../target.ts'

export interface LightOptions {
  readonly target: Target
  readonly id: string
  readonly credentials: Credentials
  readonly source: string | undefined
  /** The payload of every message that comes. */
  onMessage(payload: Buffer): void
  /** Once, after the connection was made. */
  onEnd(reason: string): void
}

export type Qos = 0 | 1 | 2

export interface LightPeer {
  /** Rejects when it is not granted. */
  subscribe(filter: string, qos: Qos): Promise<void>
  publish(topic: string, payload: Buffer, qos: Qos): void
  ping(): void
  /** Messages of QoS 1 and 2 whose exchange is not over, and bytes that wait to be sent. */
  readonly underWay: number
  end(): void
}

const FAILURE_CODE = 0x80
const PACKET_IDS = 0xffff

/** What a packet asks to be answered. MQTT 3.1.1 §4.3. */
function reply(packet: Packet): Packet | undefined {
  const { messageId } = packet
  if (messageId === undefined) return undefined
  if (packet.cmd === 'publish') return packet.qos === 1 ? { cmd: 'puback', messageId } : packet.qos === 2 ? { cmd: 'pubrec', messageId } : undefined
  if (packet.cmd === 'pubrec') return { cmd: 'pubrel', messageId }
  return packet.cmd === 'pubrel' ? { cmd: 'pubcomp', messageId } : undefined
}

/** Resolves when the server has admitted; rejects with how it refused. */
export function connectLight(options: LightOptions): Promise<LightPeer> {
  const { target, credentials, source } = options
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: target.host, port: target.port, servername: target.serverName, ca: target.ca, cert: credentials.cert, key: credentials.key,
      ...(source === undefined ? {} : { localAddress: source }),
    })
    socket.setNoDelay(true)
    const send = (packet: Packet): void => {
      if (!socket.destroyed) socket.write(mqttPacket.generate(packet, { protocolVersion: 4 }))
    }
    const open = new Set<number>()
    let admitted = false
    let ending = false
    let last = 0
    let failure: string | undefined
    let granted: ((code: number) => void) | undefined
    const timer = setTimeout(() => socket.destroy(new Error(`no CONNACK in ${SIM_LIMITS.connectMs} ms`)), SIM_LIMITS.connectMs)

    const peer: LightPeer = {
      subscribe: (filter, qos) => new Promise((done, refused) => {
        granted = (code) => (code < FAILURE_CODE ? done() : refused(new Error(`SUBACK 0x${code.toString(16)} for ${filter}`)))
        socket.once('close', () => refused(new Error(failure ?? 'closed')))
        send({ cmd: 'subscribe', messageId: PACKET_IDS, subscriptions: [{ topic: filter, qos }] })
      }),
      publish(topic, payload, qos) {
        if (qos === 0) return send({ cmd: 'publish', topic, payload, qos, dup: false, retain: false })
        // The last identifier is that of the subscription; one that is still in use is left out.
        do last = (last % (PACKET_IDS - 1)) + 1
        while (open.has(last))
        open.add(last)
        send({ cmd: 'publish', topic, payload, qos, dup: false, retain: false, messageId: last })
      },
      ping: () => send({ cmd: 'pingreq' }),
      get underWay() {
        return open.size
      },
      end() {
        ending = true
        send({ cmd: 'disconnect' })
        socket.end()
        // A server that never closes must not keep the simulator.
        setTimeout(() => socket.destroy(), SIM_LIMITS.lingerMs).unref()
      },
    }

    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => {
      const answer = reply(packet)
      if (answer !== undefined) send(answer)
      if (packet.cmd === 'publish') options.onMessage(Buffer.from(packet.payload))
      else if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') open.delete(packet.messageId ?? 0)
      else if (packet.cmd === 'suback') granted?.(Number(packet.granted[0]))
      else if (packet.cmd === 'connack') {
        clearTimeout(timer)
        if (packet.returnCode !== 0) return void socket.destroy(new Error(`CONNACK 0x0${packet.returnCode ?? 0}`))
        admitted = true
        resolve(peer)
      }
    })
    parser.on('error', (fault) => socket.destroy(fault))
    socket.on('data', (chunk: Buffer) => void parser.parse(chunk))
    socket.on('error', (fault: NodeJS.ErrnoException) => {
      failure ??= fault.code ?? fault.message
    })
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(timer)
      if (!admitted) reject(new Error(failure ?? 'closed before CONNACK'))
      else if (!ending) options.onEnd(failure ?? 'closed by the server')
    })
    socket.once('secureConnect', () => send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: SIM_LIMITS.loadKeepAliveSeconds, clientId: options.id }))
  })
}
