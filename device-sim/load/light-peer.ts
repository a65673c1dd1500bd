// An MQTT client that keeps nothing: for thousands of connections, where a client that remembers what has come would
// measure its own memory. It connects, subscribes, publishes, and answers what QoS 1 and 2 ask of it. MQTT 3.1.1 and 5.

import tls from 'node:tls'
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet'
import { SIM_LIMITS } from '../limits.ts'
import type { MqttVersion } from '../oracle.ts'
import type { Credentials } from '../raw-peer.ts'
import type { Target } from '../target.ts'

export interface LightOptions {
  readonly target: Target
  readonly id: string
  readonly credentials: Credentials
  readonly source: string | undefined
  /** 3.1.1 unless said. */
  readonly version?: MqttVersion
  /** The session outlives the connection. */
  readonly isKept?: boolean
  /** Every message that comes; the payload is only good until this returns. `isAgain`: the server says that it may have been sent before. */
  onMessage(payload: Buffer, topic: string, isAgain: boolean): void
  /** Once, after the connection was made and unless this side ended it. `code`: the reason of a DISCONNECT. */
  onEnd(reason: string, code: number | undefined): void
}

export type Qos = 0 | 1 | 2

export interface LightPeer {
  /** Rejects when one is not granted. */
  subscribe(filter: string | readonly string[], qos: Qos): Promise<void>
  /** `answered`: its code when it is acknowledged, 0 when there was none; never for QoS 0. */
  publish(topic: string, payload: Buffer, qos: Qos, answered?: (code: number) => void): void
  ping(): void
  /** Messages of QoS 1 and 2 whose exchange is not over. */
  readonly underWay: number
  end(): void
  /** Ends it as a broken network does: without a word. */
  drop(): void
}

/** How a server refused: the code of CONNACK where there was one. */
class RefusedError extends Error {
  readonly code: number | undefined
  constructor(message: string, code?: number) {
    super(message)
    this.code = code
  }
}

const FAILURE_CODE = 0x80
const PACKET_IDS = 0xffff
const KEPT_SECONDS = 3_600

/** What a packet asks to be answered. MQTT 3.1.1 §4.3. */
function reply(packet: Packet): Packet | undefined {
  const { messageId } = packet
  if (messageId === undefined) return undefined
  if (packet.cmd === 'publish') return packet.qos === 1 ? { cmd: 'puback', messageId } : packet.qos === 2 ? { cmd: 'pubrec', messageId } : undefined
  // A refusal ends the exchange. MQTT 5 §4.3.3.
  if (packet.cmd === 'pubrec') return (packet.reasonCode ?? 0) >= FAILURE_CODE ? undefined : { cmd: 'pubrel', messageId }
  return packet.cmd === 'pubrel' ? { cmd: 'pubcomp', messageId } : undefined
}

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`

/** Resolves when the server has admitted; rejects with how it refused. */
export function connectLight(options: LightOptions): Promise<LightPeer> {
  const { target, credentials, source, version = 4 } = options
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: target.host, port: target.port, servername: target.serverName, ca: target.ca, cert: credentials.cert, key: credentials.key,
      ...(source === undefined ? {} : { localAddress: source }),
    })
    socket.setNoDelay(true)
    const send = (packet: Packet): void => {
      if (!socket.destroyed) socket.write(mqttPacket.generate(packet, { protocolVersion: version }))
    }
    const open = new Map<number, ((code: number) => void) | undefined>()
    let [admitted, ending, last] = [false, false, 0]
    let failure: string | undefined
    let code: number | undefined
    // One at a time: all of them have the same packet identifier.
    const asking: { ask(): void; granted(codes: readonly number[]): void; refused(fault: Error): void }[] = []
    const timer = setTimeout(() => socket.destroy(new Error(`no CONNACK in ${SIM_LIMITS.connectMs} ms`)), SIM_LIMITS.connectMs)

    const peer: LightPeer = {
      subscribe: (filters, qos) => new Promise((done, refused) => {
        const topics = typeof filters === 'string' ? [filters] : filters
        const granted = (codes: readonly number[]): void => {
          const bad = codes.findIndex((each) => each >= FAILURE_CODE)
          if (bad === -1) done()
          else refused(new RefusedError(`SUBACK ${hex(codes[bad] ?? 0)} for ${topics[bad] ?? 'a filter'}`, codes[bad]))
        }
        const ask = (): void => send({ cmd: 'subscribe', messageId: PACKET_IDS, subscriptions: topics.map((topic) => ({ topic, qos })) })
        if (socket.destroyed) return refused(new Error(failure ?? 'closed'))
        if (asking.push({ ask, granted, refused }) === 1) ask()
      }),
      publish(topic, payload, qos, answered) {
        if (qos === 0) return send({ cmd: 'publish', topic, payload, qos, dup: false, retain: false })
        // The last identifier is that of the subscription; one that is still in use is left out.
        do last = (last % (PACKET_IDS - 1)) + 1
        while (open.has(last))
        open.set(last, answered)
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
      drop() {
        ending = true
        socket.destroy()
      },
    }

    const settle = (messageId: number, answer: number): void => {
      const answered = open.get(messageId)
      open.delete(messageId)
      answered?.(answer)
    }
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (packet) => {
      const answer = reply(packet)
      if (answer !== undefined) send(answer)
      if (packet.cmd === 'publish') options.onMessage(typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload, packet.topic, packet.dup)
      else if (packet.cmd === 'puback' || packet.cmd === 'pubcomp' || (packet.cmd === 'pubrec' && answer === undefined)) settle(packet.messageId ?? 0, packet.reasonCode ?? 0)
      else if (packet.cmd === 'suback') {
        asking.shift()?.granted(packet.granted.map(Number))
        asking[0]?.ask()
      }
      else if (packet.cmd === 'disconnect') code = packet.reasonCode
      else if (packet.cmd === 'connack') {
        clearTimeout(timer)
        const refusal = version === 5 ? packet.reasonCode : packet.returnCode
        if (refusal !== 0) {
          code = refusal
          return void socket.destroy(new Error(`CONNACK ${hex(refusal ?? 0)}`))
        }
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
      for (const asked of asking.splice(0)) asked.refused(new Error(failure ?? 'closed'))
      if (!admitted) reject(new RefusedError(failure ?? 'closed before CONNACK', code))
      else if (!ending) options.onEnd(failure ?? (code === undefined ? 'closed by the server' : `DISCONNECT ${hex(code)}`), code)
    })
    socket.once('secureConnect', () => send(connectPacket(options, version)))
  })
}

function connectPacket({ id, isKept = false }: LightOptions, version: MqttVersion): IConnectPacket {
  return {
    cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: !isKept, keepalive: SIM_LIMITS.loadKeepAliveSeconds, clientId: id,
    ...(isKept && version === 5 ? { properties: { sessionExpiryInterval: KEPT_SECONDS } } : {}),
  }
}
