// A bundle in one file: a zip archive, or a header for firmware in C. It is packed from a folder that is made first, so that an
// interruption costs neither a key nor a second certificate; the folder goes when the file is there.

import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { zipSync, type ZippableFile } from 'fflate'
import { writeBundle, type ConnectTo } from '../bundle.ts'
import { writeSecretFile } from '../ca/key-file.ts'
import type { Desk, Enrolled } from '../core/desk.ts'
import type { DeviceId } from '../core/ids.ts'
import { cHeader } from './c-header.ts'

export type BundleFormat = 'pem' | 'zip' | 'c-header'
type PackedFormat = Exclude<BundleFormat, 'pem'>

export const EXTENSIONS = { pem: '', zip: '.zip', 'c-header': '.h' } as const satisfies Record<BundleFormat, string>

const PACK = { zip, 'c-header': header } as const satisfies Record<PackedFormat, (folder: string, id: DeviceId, to: ConnectTo) => string | Uint8Array>

/** Makes `out`, mode 0600. Whoever is interrupted calls it again: the same key, the same certificate. */
export async function writePacked(desk: Pick<Desk, 'enroll'>, id: DeviceId, { format, out, connectTo }: { readonly format: PackedFormat; readonly out: string; readonly connectTo: ConnectTo }): Promise<Enrolled> {
  const folder = `${out}.making`
  const enrolled = await writeBundle(desk, id, { folder, connectTo, existingKey: 'use' })
  writeSecretFile(out, PACK[format](folder, id, connectTo))
  rmSync(folder, { recursive: true })
  return enrolled
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
