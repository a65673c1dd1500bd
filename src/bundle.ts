// A device's bundle: its key, made here and nowhere else, its certificate, the chain, and what it needs to know to connect.
// It asks a Desk for the certificate and writes files; the key is never sent.

import { createPrivateKey } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { readSecretFile, writeSecretFile } from './ca/key-file.ts'
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
  /**
   * What becomes of a key that is there: it is an error (the default), it is replaced, or it is used, so that a bundle that
   * was interrupted is made whole and costs no further certificate.
   */
  readonly existingKey?: 'refuse' | 'replace' | 'use'
}

/** Is every file of a bundle there? */
export function isBundleWhole(folder: string): boolean {
  return ['device.key', 'chain.pem', 'ca.pem', 'connection.json', 'device.pem'].every((name) => existsSync(path.join(folder, name)))
}

/** Makes a bundle say where the server listens now; its key and certificate stay. */
export function readdressBundle(folder: string, { host, port }: ConnectTo): void {
  const file = path.join(folder, 'connection.json')
  const said = JSON.parse(readFileSync(file, 'utf8')) as { readonly host: string, readonly port: number, readonly tls: object }
  if (said.host === host && said.port === port) return
  writeSecretFile(file, `${JSON.stringify({ ...said, host, port, tls: { ...said.tls, serverName: host } }, null, 2)}\n`, PUBLIC_MODE)
}

/** Makes a key and a request, enrolls, and writes device.key, chain.pem, ca.pem, connection.json and, last, device.pem. */
export async function writeBundle(desk: Pick<Desk, 'enroll'>, id: DeviceId, options: BundleOptions): Promise<Enrolled> {
  const file = (name: string): string => path.join(options.folder, name)
  const { existingKey = 'refuse' } = options
  if (existsSync(file('device.key')) && existingKey === 'refuse') {
    throw new SallyportError('refused', `${file('device.key')} exists: a key is not overwritten.`, { fix: 'Choose another --out, or give --force.' })
  }
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    accessSync(options.folder, constants.W_OK)
  } catch (cause) {
    throw new SallyportError('home-not-writable', `The folder ${options.folder} cannot be written.`, { fix: 'Choose another --out.', cause })
  }
  const enrolled = existingKey === 'use' ? await enrollWithKeyInPlace(desk, id, file('device.key')) : await enrollWithNewKey(desk, id, file('device.key'))
  writeSecretFile(file('chain.pem'), enrolled.chain.join(''), PUBLIC_MODE)
  writeSecretFile(file('ca.pem'), enrolled.root, PUBLIC_MODE)
  const connection = {
    device: id, host: options.connectTo.host, port: options.connectTo.port, protocol: 'mqtts', clientId: id,
    tls: { ca: 'ca.pem', cert: 'device.pem', key: 'device.key', minVersion: 'TLSv1.2', serverName: options.connectTo.host },
    topics: `What it may publish and subscribe stands in the policy; ask: sallyport policy explain --device ${id} --publish TOPIC`, serial: enrolled.serial, notAfter: new Date(enrolled.notAfter).toISOString(),
  }
  writeSecretFile(file('connection.json'), `${JSON.stringify(connection, null, 2)}\n`, PUBLIC_MODE)
  writeSecretFile(file('device.pem'), enrolled.certificate + enrolled.chain.join(''), PUBLIC_MODE)
  return enrolled
}

/** The new key is on disk before there is a certificate for it, and the old one is there until then. */
async function enrollWithNewKey(desk: Pick<Desk, 'enroll'>, id: DeviceId, keyFile: string): Promise<Enrolled> {
  const key = generateKey('P-256')
  const waiting = `${keyFile}.${process.pid}.new`
  writeSecretFile(waiting, privateKeyPem(key))
  try {
    const enrolled = await desk.enroll(id, makeCsr(key, id))
    renameSync(waiting, keyFile)
    return enrolled
  } catch (error) {
    rmSync(waiting, { force: true })
    throw error
  }
}

/** Enrolling the same key again is answered with the same certificate. */
async function enrollWithKeyInPlace(desk: Pick<Desk, 'enroll'>, id: DeviceId, keyFile: string): Promise<Enrolled> {
  if (!existsSync(keyFile)) writeSecretFile(keyFile, privateKeyPem(generateKey('P-256')))
  return desk.enroll(id, makeCsr(createPrivateKey(readSecretFile(keyFile)), id))
}
