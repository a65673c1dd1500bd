// Connects to several servers in turn, with full handshakes and a CONNECT each, and reads what every server spent. The
// client decides version, suite and group, so that all servers do the same cryptography, and checks that they did.

import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { cpuMsOf, spread, type Spread } from './process-cpu.ts'
import type { Target } from './servers.ts'

export interface Identity {
  readonly id: string
  /** PEM. */
  readonly key: string
  /** PEM: the leaf and its issuing certificate. */
  readonly cert: string
}

/** What a handshake came to, as the client saw it. */
interface Negotiated {
  readonly protocol: string
  readonly cipher: string
  readonly group: string
  readonly serverChain: number
  readonly serverKey: string
  readonly resumed: boolean
}

export interface Connects {
  /** Server CPU per connect in µs, by server, over the rounds. */
  readonly servers: Readonly<Record<string, Spread>>
  /** The same sample by sample: the rounds of all servers are interleaved. */
  readonly samples: Readonly<Record<string, readonly number[]>>
  readonly client: Spread
  readonly negotiated: Negotiated
  readonly connectsPerRound: number
  readonly rounds: number
}

const CONCURRENCY = 8
/** After the last connect of a round: an audit log still writes, a closed socket is still cleaned up. That is counted. */
const SETTLE_MS = 150
/**
 * A just-in-time compiler needs some thousand connects before it has done its work, and a server that runs for months has
 * had them: the warm-up is this many rounds.
 */
const WARM_UP_ROUNDS = 4

/** What every connect of this client offers, and nothing else: OpenSSL 3.0, as mosquitto has it, knows no hybrid group. */
const OFFER = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256', ecdhCurve: 'X25519' } as const

/** One full mTLS handshake, CONNECT, CONNACK 0, and away. */
function connectOnce(port: number, identity: Identity, ca: string): Promise<Negotiated> {
  const connect = mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: identity.id, keepalive: 60 })
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ ...OFFER, host: '127.0.0.1', port, ca, key: identity.key, cert: identity.cert, servername: 'localhost' }, () => socket.write(connect))
    socket.once('data', (connack: Buffer) => {
      if (connack[0] !== 0x20 || connack[3] !== 0) {
        reject(new Error(`${identity.id} was refused: ${connack.toString('hex')}`))
        socket.destroy()
        return
      }
      const negotiated = negotiatedBy(socket)
      socket.once('close', () => resolve(negotiated))
      socket.destroy()
    })
    socket.on('error', reject)
    socket.once('end', () => reject(new Error(`${identity.id}: closed without CONNACK`)))
  })
}

function negotiatedBy(socket: tls.TLSSocket): Negotiated {
  const group = socket.getEphemeralKeyInfo()
  const leaf = socket.getPeerX509Certificate()
  let serverChain = 0
  // As the server sent it: its leaf and the issuing certificate.
  for (let next = leaf; next !== undefined; next = next.issuerCertificate) serverChain += 1
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    group: group !== null && 'name' in group ? String(group.name) : 'unknown',
    serverChain,
    serverKey: leaf?.publicKey.asymmetricKeyDetails?.namedCurve ?? 'unknown',
    resumed: socket.isSessionReused(),
  }
}

/** CPU per connect: per server over the rounds, and of the client itself. The order of servers rotates. */
export async function measureConnects(targets: readonly Target[], identities: readonly Identity[], ca: string, rounds: number, connects: number): Promise<Connects> {
  const samples = new Map(targets.map((t) => [t.name, [] as number[]]))
  const client: number[] = []
  const seen = new Map<string, Negotiated>()
  const batch = async (target: Target): Promise<void> => {
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < connects) {
        const identity = identities[next++ % identities.length]
        if (identity === undefined) continue
        const negotiated = await connectOnce(target.port, identity, ca)
        seen.set(JSON.stringify(negotiated), negotiated)
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, lane))
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  }
  for (let round = 0; round < WARM_UP_ROUNDS; round++) for (const target of targets) await batch(target)
  for (let round = 0; round < rounds; round++) {
    const order = targets.map((_, i) => targets[(i + round) % targets.length]).filter((t) => t !== undefined)
    for (const target of order) {
      const before = cpuMsOf(target.pid)
      const own = process.cpuUsage()
      await batch(target)
      const spent = process.cpuUsage(own)
      samples.get(target.name)?.push(((cpuMsOf(target.pid) - before) * 1_000) / connects)
      client.push((spent.user + spent.system) / connects)
    }
  }
  const [negotiated, ...others] = seen.values()
  if (negotiated === undefined || others.length > 0) throw new Error(`the servers did not do the same cryptography: ${[...seen.keys()].join(' ')}`)
  return {
    servers: Object.fromEntries([...samples].map(([name, s]) => [name, spread(s)])),
    samples: Object.fromEntries(samples),
    client: spread(client), negotiated, connectsPerRound: connects, rounds,
  }
}
