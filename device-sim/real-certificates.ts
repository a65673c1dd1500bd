// The certificates that are really shown at a target, as an attacker sees them: what a story tells of them must be true.

import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import type { Aim } from './aim.ts'
import { describeCertificate } from './handshake.ts'
import { SIM_LIMITS } from './limits.ts'
import { within } from './within.ts'

export interface RealCertificates {
  readonly server: readonly string[]
  readonly device: readonly string[]
}

/** Shakes hands once as a device, and reads what each side has shown. */
export async function realCertificates({ target, identities }: Aim): Promise<RealCertificates> {
  const device = await identities.fresh('story')
  const socket = tls.connect({ host: target.host, port: target.port, servername: target.serverName, ca: target.ca, cert: device.cert, key: device.key })
  socket.on('error', () => {})
  await within(new Promise<void>((resolve) => {
    socket.once('secureConnect', () => resolve())
    socket.once('close', () => resolve())
  }), SIM_LIMITS.connectMs)
  const server = socket.getPeerX509Certificate()
  socket.destroy()
  const [leaf] = device.chain
  return { server: server === undefined ? [] : describeCertificate(server), device: leaf === undefined ? [] : describeCertificate(new X509Certificate(leaf)) }
}
