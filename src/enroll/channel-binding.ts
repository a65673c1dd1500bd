// The number that only the two ends of a TLS connection know, as EST wants it in a request: tls-unique of TLS 1.2 [RFC 5929 §3.1], which
// RFC 7030 §3.5 names, and tls-exporter [RFC 9266] of TLS 1.3, which has no tls-unique.

import type { TLSSocket } from 'node:tls'

const EXPORTER_BYTES = 32
const EXPORTER_LABEL = 'EXPORTER-Channel-Binding'

/** In base64; undefined where the connection has none. */
export function bindingOf(socket: Pick<TLSSocket, 'getProtocol' | 'isSessionReused' | 'getFinished' | 'getPeerFinished' | 'exportKeyingMaterial'>): string | undefined {
  switch (socket.getProtocol()) {
    case 'TLSv1.3':
      return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)).toString('base64')
    case 'TLSv1.2':
      // The first Finished of the handshake: the client's, and of a session that is resumed the server's, which this is.
      return (socket.isSessionReused() ? socket.getFinished() : socket.getPeerFinished())?.toString('base64')
    default:
      return undefined
  }
}
