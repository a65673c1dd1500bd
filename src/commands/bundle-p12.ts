// A bundle as a PKCS#12 file, packed from the PEM files of a folder: for Java, Windows, browsers, and whatever else takes one file and a
// password.

import { createPrivateKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { readSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import { decodePem } from '../x509/pem.ts'
import { encodeKeyStore } from '../x509/pkcs12.ts'
import type { BundlePassword } from './bundle-password.ts'

export function p12(folder: string, id: DeviceId, { password, rounds }: BundlePassword): Promise<Uint8Array> {
  const certificates = (name: string): readonly Uint8Array[] => {
    const decoded = decodePem(readFileSync(path.join(folder, name), 'utf8'), 'CERTIFICATE')
    return decoded.allow ? decoded.value : []
  }
  const [certificate, ...chain] = certificates('device.pem')
  if (certificate === undefined) throw new SallyportError('internal', `${folder}/device.pem has no certificate.`, { fix: 'Remove the folder, and make the bundle anew.' })
  const key = createPrivateKey(readSecretFile(path.join(folder, 'device.key')))
  return encodeKeyStore({ name: id, key, certificate, chain, roots: certificates('ca.pem') }, { password, rounds, random: randomBytes })
}
