// A device's bundle: its key, made here and nowhere else, its certificate, the chain, and what it needs to know to connect.
// It asks a Desk for the certificate and writes files; the key is never sent.

import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { writeSecretFile } from './ca/key-file.ts'
import type { Desk, Enrolled } from './core/desk.ts'
import { SallyportError } from './core/errors.ts'
import type { DeviceId } from './core/ids.ts'
import { makeCsr } from './x509/csr.ts'
import { generateKey, privateKeyPem } from './x509/keys.ts'

export interface ConnectTo {
  readonly host: string
  readonly port: number
}

const PUBLIC_MODE = 0o644

export interface BundleOptions {
  readonly folder: string
  readonly connectTo: ConnectTo
  /** Replace a key that is there. */
  readonly force?: boolean
}

/** Makes a key and a request, enrolls, and writes device.pem, chain.pem, ca.pem, device.key and connection.json. */
export async function writeBundle(desk: Pick<Desk, 'enroll'>, id: DeviceId, options: BundleOptions): Promise<Enrolled> {
  const file = (name: string): string => path.join(options.folder, name)
  if (existsSync(file('device.key')) && options.force !== true) {
    throw new SallyportError('refused', `${file('device.key')} exists: a key is not overwritten.`, { fix: 'Choose another --out, or give --force.' })
  }
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    accessSync(options.folder, constants.W_OK)
  } catch (cause) {
    throw new SallyportError('home-not-writable', `The folder ${options.folder} cannot be written.`, { fix: 'Choose another --out.', cause })
  }
  // The new key is on disk before there is a certificate for it, and the old one is there until then.
  const key = generateKey('P-256')
  const waiting = file(`device.key.${process.pid}.new`)
  writeSecretFile(waiting, privateKeyPem(key))
  const enrolled = await desk.enroll(id, makeCsr(key, id)).catch((error: unknown) => {
    rmSync(waiting, { force: true })
    throw error
  })
  renameSync(waiting, file('device.key'))
  writeSecretFile(file('device.pem'), enrolled.certificate + enrolled.chain.join(''), PUBLIC_MODE)
  writeSecretFile(file('chain.pem'), enrolled.chain.join(''), PUBLIC_MODE)
  writeSecretFile(file('ca.pem'), enrolled.root, PUBLIC_MODE)
  const connection = {
    device: id, host: options.connectTo.host, port: options.connectTo.port, protocol: 'mqtts', clientId: id,
    tls: { ca: 'ca.pem', cert: 'device.pem', key: 'device.key', minVersion: 'TLSv1.2', serverName: options.connectTo.host },
    topics: `What it may publish and subscribe stands in the policy; ask: sallyport policy explain --device ${id} --publish TOPIC`, serial: enrolled.serial, notAfter: new Date(enrolled.notAfter).toISOString(),
  }
  writeSecretFile(file('connection.json'), `${JSON.stringify(connection, null, 2)}\n`, PUBLIC_MODE)
  return enrolled
}
