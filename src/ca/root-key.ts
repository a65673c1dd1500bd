// The key of a root outside its place: written to a file, read back from one, lent for one step. A root that signs once in years
// need not lie beside the program that strangers talk to.

import { createPrivateKey, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { KeyLoan } from '../core/ca-desk.ts'
import { deny } from '../core/decision.ts'
import { failureOf, SallyportError } from '../core/errors.ts'
import type { CaRecord } from '../core/registry.ts'
import { keyHash, spkiOf } from '../x509/keys.ts'
import { keyFileOf, openKey, type GenesisPorts, type Vault } from './genesis.ts'
import { unsealKey } from './key-file.ts'

/** A PEM key is smaller than this even of RSA-4096, and a sealed one not much larger. */
const KEY_FILE = 'the file'

export function isKeyHere({ paths }: Pick<GenesisPorts, 'paths'>, ca: CaRecord): boolean {
  return existsSync(path.join(paths.local, keyFileOf(ca.name)))
}

/** The key of a root: from its place, or lent. Failures: 'refused' [ca-key-missing, ca-key-not-exported], 'passphrase-wrong', 'key-unreadable'. */
export async function openRootKey(ports: GenesisPorts, vault: Vault, root: CaRecord, loan: KeyLoan | undefined): Promise<KeyObject> {
  if (isKeyHere(ports, root)) return openKey(ports, vault, root)
  if (loan === undefined) throw failureOf(deny('ca-key-missing', root.name))
  return readExported(loan, vault.passphrase(), root)
}

/** The key in an exported file, which must be that of this CA. Failures: as of openRootKey. */
export async function readExported({ text, passphrase }: KeyLoan, homePassphrase: Uint8Array, ca: Pick<CaRecord, 'name' | 'spkiSha256'>): Promise<KeyObject> {
  const key = text.trimStart().startsWith('{') ? await unsealKey(text, passphrase === undefined ? homePassphrase : Buffer.from(passphrase), KEY_FILE) : fromPem(text, passphrase)
  if (keyHash(spkiOf(key)) !== ca.spkiSha256) throw failureOf(deny('ca-key-not-exported', ca.name))
  return key
}

function fromPem(text: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? text : { key: text, passphrase })
  } catch {
    throw new SallyportError('key-unreadable', 'The key of the root cannot be read, or its passphrase is wrong.', { fix: 'Name the file that ca export-root-key wrote, and the file with its passphrase.' })
  }
}
