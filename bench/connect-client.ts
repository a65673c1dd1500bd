// Connects to several servers in turn, with full handshakes and a CONNECT each, and reads what every server spent.

import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { cpuMsOf, spread, type Spread } from './process-cpu.ts'

export interface Identity {
  readonly id: string
  readonly key: string
  readonly cert: string
}

export interface ConnectTarget {
  readonly name: string
  readonly pid: number
  readonly port: number
}

const CONCURRENCY = 8

/** One full mTLS handshake, CONNECT, CONNACK 0, and away. */
export function connectOnce(port: number, identity: Identity, ca: string): Promise<void> {
  const connect = mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: identity.id, keepalive: 60 })
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, ca, key: identity.key, cert: identity.cert, servername: 'localhost' }, () => socket.write(connect))
    socket.once('data', (connack: Buffer) => {
      if (connack[0] === 0x20 && connack[3] === 0) {
        socket.once('close', () => resolve())
        socket.destroy()
      } else reject(new Error(`${identity.id} was refused: ${connack.toString('hex')}`))
    })
    socket.on('error', reject)
    socket.once('end', () => reject(new Error(`${identity.id}: closed without CONNACK`)))
  })
}

/** CPU per connect in µs: per server over the rounds, and of the client itself. The order of servers rotates. */
export async function measureConnects(targets: readonly ConnectTarget[], identities: readonly Identity[], ca: string, rounds: number, connects: number): Promise<{ readonly servers: Record<string, Spread>; readonly client: Spread; readonly connectsPerRound: number; readonly rounds: number }> {
  const samples = new Map(targets.map((t) => [t.name, [] as number[]]))
  const client: number[] = []
  const batch = async (target: ConnectTarget, count: number): Promise<void> => {
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < count) {
        const identity = identities[next++ % identities.length]
        if (identity !== undefined) await connectOnce(target.port, identity, ca)
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, lane))
  }
  // What a just-in-time compiler has not seen yet is not what is measured.
  for (const target of targets) await batch(target, connects)
  for (let round = 0; round < rounds; round++) {
    const order = targets.map((_, i) => targets[(i + round) % targets.length]).filter((t) => t !== undefined)
    for (const target of order) {
      const before = cpuMsOf(target.pid)
      const own = process.cpuUsage()
      await batch(target, connects)
      const spent = process.cpuUsage(own)
      samples.get(target.name)?.push(((cpuMsOf(target.pid) - before) * 1_000) / connects)
      client.push((spent.user + spent.system) / connects)
    }
  }
  return { servers: Object.fromEntries([...samples].map(([name, s]) => [name, spread(s)])), client: spread(client), connectsPerRound: connects, rounds }
}
