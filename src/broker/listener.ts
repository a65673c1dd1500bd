// A TLS door: accepts sockets, asks the source gate, runs the handshake under a deadline, and hands over connections
// whose handshake is complete. It owns sockets until then. Who the peer is and whether it may come in is judged by
// others; nothing here reads a certificate's meaning. MQTT and WebSocket have a door each, of this one making.

import { constants } from 'node:crypto'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { DenyReason } from '../vocabulary.ts'
import { BROKER_LIMITS } from '../limits.ts'
import type { Source } from '../core/audit.ts'
import { deny, type Denied } from '../core/decision.ts'
import { SallyportError } from '../core/errors.ts'
import type { EpochMs } from '../core/ids.ts'
import { type SourceGate } from './source-gate.ts'
import { sourceAddress } from '../core/source.ts'
import { chainOfFailedHandshake, reasonOfHandshakeError } from './tls-peer.ts'

/** What the door shows and trusts; replaced as a whole by a reload. PEM throughout. */
export interface TlsMaterial {
  readonly key: string
  /** The server's leaf, followed by its intermediates. */
  readonly cert: string
  /** Trust anchors: the organisation's root and registered foreign CAs, and nothing else. */
  readonly anchors: readonly string[]
  /** Session resumption: off unless an operator wants it for reconnect storms. */
  readonly resumption: boolean
}

/** A connection whose handshake is complete. */
export interface SecureConnection {
  /** Whose handshake it was: for what is asked about the peer. */
  readonly socket: tls.TLSSocket
  /** Where MQTT is read and written: the socket itself, or a WebSocket on it. It closes when the socket has; destroying it destroys the socket. */
  readonly stream: Duplex
  readonly source: Source
  readonly acceptedAt: EpochMs
  /** The peer has done all that a stranger may do (its CONNECT was answered): it counts as half-open no longer. */
  settled(): void
}

/** What is spoken behind a door: how the configuration calls it, and which protocols a client may name in its ClientHello (ALPN). */
const SERVICES = {
  mqtt: { setting: 'listen.mqtt', alpn: ['mqtt', 'x-amzn-mqtt-ca'] },
  // HTTP/2 has WebSockets of another kind (RFC 8441), which nobody here speaks.
  websocket: { setting: 'listen.websocket', alpn: ['http/1.1'] },
} as const
export type Service = keyof typeof SERVICES

export interface ListenerPorts {
  readonly service: Service
  readonly host: string
  readonly port: number
  readonly material: TlsMaterial
  readonly gate: SourceGate
  readonly clock: () => EpochMs
  onSecure(connection: SecureConnection): void
  /** A connection that ended before the handshake did. `chain` is what the peer had presented by then, DER, leaf first. */
  onRefused(source: Source, denied: Denied, chain: readonly Uint8Array[]): void
}

export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  /**
   * Makes what new connections will see, and returns the way to put it in force; established ones are not touched. Failure:
   * 'certificate-unusable'; nothing fails once it is made.
   */
  prepare(material: TlsMaterial): () => void
  /** Stops accepting and ends unfinished handshakes. Established connections go on. */
  close(): void
}

// AES-128-GCM first: it is the fastest where there is hardware for it. AEAD and forward secrecy only; the server key is
// ECDSA, so no RSA suite is needed.
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':')

// A fleet that reconnects at once must not be turned away by the kernel.
const LISTEN_BACKLOG = 4_096

function secureContext(material: TlsMaterial, service: Service): tls.SecureContext {
  try {
    return tls.createSecureContext({
      key: material.key,
      cert: material.cert,
      ca: [...material.anchors],
      // A registered factory CA need not be self-signed. createServer ignores this option; a context of our own does not.
      allowPartialTrustChain: true,
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      ecdhCurve: 'X25519MLKEM768:X25519:P-256',
      // A session must not be carried from another listener to this one.
      sessionIdContext: `sallyport-${service}`,
      secureOptions:
        constants.SSL_OP_CIPHER_SERVER_PREFERENCE | constants.SSL_OP_NO_RENEGOTIATION | (material.resumption ? 0 : constants.SSL_OP_NO_TICKET),
    })
  } catch (cause) {
    throw new SallyportError('certificate-unusable', 'The server certificate, its key or a trust anchor cannot be used for TLS.', {
      fix: 'Restore certs/local/server and the files that trust: names in sallyport.yaml, or remove certs/local/server to have it issued again.',
      cause,
    })
  }
}

/** Opens the port. Failures: 'port-in-use', 'certificate-unusable'. */
export async function openListener(ports: ListenerPorts): Promise<Listener> {
  let context = secureContext(ports.material, ports.service)
  const handshaking = new Set<net.Socket>()

  const server = net.createServer({ noDelay: true }, (raw) => {
    const address = sourceAddress(raw.remoteAddress)
    const source: Source = { address, port: raw.remotePort ?? 0 }
    const entered = ports.gate.enter(address, ports.clock())
    if (!entered.allow) {
      raw.destroy()
      ports.onRefused(source, entered, [])
      return
    }
    handshaking.add(raw)
    handshake(raw, source)
  })

  function handshake(raw: net.Socket, source: Source): void {
    const socket = new tls.TLSSocket(raw, {
      isServer: true,
      secureContext: context,
      requestCert: true,
      // Sends alert 116 (certificate_required) to who presents none; a chain that does not verify is judged by us.
      rejectUnauthorized: true,
      ALPNProtocols: [...SERVICES[ports.service].alpn],
    })
    const acceptedAt = ports.clock()
    let secure = false
    let refused = false
    let counted = true
    const settled = (): void => {
      if (!counted) return
      counted = false
      ports.gate.finished(source.address)
    }
    const refuse = (reason: DenyReason, detail: string | undefined): void => {
      if (refused || secure) return
      refused = true
      ports.onRefused(source, deny(reason, detail), chainOfFailedHandshake(socket))
      socket.destroy()
    }
    // node:tls only reports a handshake that takes too long; whoever listens must destroy (100 half-open sockets were
    // still open after 6 s with a 1 s limit).
    const deadline = setTimeout(() => refuse('tls-handshake-timeout', undefined), BROKER_LIMITS.handshakeMs)

    // '_tlsError' comes before the handle is torn down, so that the presented chain can still be read.
    socket.on('_tlsError', (error: NodeJS.ErrnoException) => {
      refuse(reasonOfHandshakeError(error.code), error.code)
      // After the handshake, a TLS error (a flipped bit, an illegal record) is emitted here and nowhere else.
      if (secure) socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => refuse(reasonOfHandshakeError(error.code), error.code))
    socket.once('close', () => {
      clearTimeout(deadline)
      handshaking.delete(raw)
      settled()
      refuse('tls-aborted', 'closed by the peer')
    })
    socket.once('secure', () => {
      if (refused) return
      secure = true
      clearTimeout(deadline)
      handshaking.delete(raw)
      ports.onSecure({ socket, stream: socket, source, acceptedAt, settled })
    })
  }

  const listen = (host: string): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port: ports.port, backlog: LISTEN_BACKLOG }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  try {
    await listen(ports.host)
  } catch (cause) {
    const failure = cause as NodeJS.ErrnoException
    // A machine without IPv6 has no "::"; every address then means every IPv4 address.
    if (ports.host !== '::' || (failure.code !== 'EAFNOSUPPORT' && failure.code !== 'EADDRNOTAVAIL')) throw listenFailure(failure, ports)
    await listen('0.0.0.0').catch((again: unknown) => {
      throw listenFailure(again as NodeJS.ErrnoException, ports)
    })
  }
  // EMFILE while accepting must not end the process: the listener goes on when descriptors are free again.
  server.on('error', () => {})
  const bound = server.address() as net.AddressInfo

  return {
    address: { host: bound.address, port: bound.port },
    prepare(material) {
      const prepared = secureContext(material, ports.service)
      return () => {
        context = prepared
      }
    },
    close() {
      server.close()
      for (const raw of handshaking) raw.destroy()
    },
  }
}

function listenFailure(cause: NodeJS.ErrnoException, ports: ListenerPorts): SallyportError {
  const where = `${ports.host}:${ports.port}`
  const { setting } = SERVICES[ports.service]
  if (cause.code === 'EADDRINUSE') {
    return new SallyportError('port-in-use', `Port ${ports.port} on ${ports.host} is in use by another program.`, {
      fix: `Stop that program, set ${setting}.port in sallyport.yaml, or start with --ports auto.`,
      cause,
    })
  }
  if (cause.code === 'EACCES') {
    return new SallyportError('port-in-use', `This user may not listen on ${where}.`, { fix: 'Choose a port above 1023.', cause })
  }
  return new SallyportError('port-in-use', `Cannot listen on ${where} (${cause.code ?? 'unknown error'}).`, {
    fix: `Set ${setting}.host to an address of this machine.`,
    cause,
  })
}
