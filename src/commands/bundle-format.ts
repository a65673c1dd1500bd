// A bundle in one file: a zip archive, a header for firmware in C, or PKCS#12. It is packed from a folder that is made first, so that an
// interruption costs neither a key nor a second certificate; the folder goes when the file is there.

import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { zipSync, type ZippableFile } from 'fflate'
import { writeBundle, type ConnectTo } from '../bundle.ts'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Desk, Enrolled } from '../core/desk.ts'
import type { DeviceId } from '../core/ids.ts'
import { p12 } from './bundle-p12.ts'
import type { BundlePassword } from './bundle-password.ts'
import { cHeader } from './c-header.ts'

export type BundleFormat = 'pem' | 'zip' | 'c-header' | 'p12'
export type Packing = { readonly format: 'zip' | 'c-header' } | { readonly format: 'p12'; readonly lock: BundlePassword }

export const EXTENSIONS = { pem: '', zip: '.zip', 'c-header': '.h', p12: '.p12' } as const satisfies Record<BundleFormat, string>

/** Makes `out`, mode 0600. Whoever is interrupted calls it again: the same key, the same certificate. */
export async function writePacked(desk: Pick<Desk, 'enroll'>, id: DeviceId, packing: Packing, { out, connectTo }: { readonly out: string; readonly connectTo: ConnectTo }): Promise<Enrolled> {
  const folder = `${out}.making`
  const enrolled = await writeBundle(desk, id, { folder, connectTo, existingKey: 'use' })
  writeSecretFile(out, await pack(packing, folder, id, connectTo))
  rmSync(folder, { recursive: true })
  return enrolled
}

function pack(packing: Packing, folder: string, id: DeviceId, connectTo: ConnectTo): string | Uint8Array | Promise<Uint8Array> {
  switch (packing.format) {
    case 'zip':
      return zip(folder, id)
    case 'c-header':
      return header(folder, id, connectTo)
    case 'p12':
      return p12(folder, id, packing.lock)
  }
}

const FILES = { 'device.key': 0o600, 'device.pem': 0o644, 'chain.pem': 0o644, 'ca.pem': 0o644, 'connection.json': 0o644 } as const
const REGULAR_FILE = 0o100000
const UNIX = 3
const ATTRIBUTES_SHIFT = 16
/** The earliest that the format knows, for everybody: the same bundle is the same bytes. */
const EPOCH = new Date(1980, 0, 1)

function zip(folder: string, id: DeviceId): Uint8Array {
  const entries = Object.entries(FILES).map(([name, mode]): [string, ZippableFile] => [`${id}/${name}`, [new Uint8Array(readFileSync(path.join(folder, name))), { os: UNIX, attrs: ((REGULAR_FILE | mode) << ATTRIBUTES_SHIFT) >>> 0, mtime: EPOCH }]])
  return zipSync(Object.fromEntries(entries))
}

function header(folder: string, id: DeviceId, { host, port }: ConnectTo): string {
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8')
  return cHeader({ id, host, port, ca: read('ca.pem'), certificate: read('device.pem'), key: read('device.key') })
}
