// sallyport ca export-root-key | remove-root-key: the key of a root leaves the home. It is read from its file by whoever may read
// that file; a server is only told of it.

import { existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { keyFileOf } from '../ca/genesis.ts'
import { openPassphrase, readSecretFile, sealKey, unsealKey, writeSecretFile } from '../ca/key-file.ts'
import { readExported } from '../ca/root-key.ts'
import type { KeyLoan } from '../core/ca-desk.ts'
import type { CaShown, Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { parseCaName, type KeyHash } from '../core/ids.ts'
import { homePaths } from '../home.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { keyHash, spkiOf } from '../x509/keys.ts'
import { decodePem } from '../x509/pem.ts'
import { configOf, confirm, print, required, withDesk, type CommonOptions } from './context.ts'

interface KeyOptions extends CommonOptions {
  readonly ca?: string
  readonly passphraseFile?: string
}

/** A key in a file of somebody's, and what opens it. */
export function loanOf(file: string, passphraseFile: string | undefined): KeyLoan {
  return { text: readSecretFile(file).toString('utf8'), ...(passphraseFile === undefined ? {} : { passphrase: passphraseOf(passphraseFile) }) }
}

function passphraseOf(file: string): string {
  const text = readSecretFile(file).toString('utf8').trim()
  if (text === '') throw new SallyportError('passphrase-wrong', `The passphrase file ${file} is empty.`)
  return text
}

interface Place {
  readonly root: CaShown
  readonly spkiSha256: KeyHash
  readonly file: string
  readonly homePassphrase: Uint8Array
}

async function placeOf(desk: Desk, home: string, wanted: string | undefined): Promise<Place> {
  const name = wanted === undefined ? undefined : required(parseCaName(wanted))
  const root = (await desk.cas()).find((ca) => ca.role === 'root' && (name === undefined ? ca.state === 'current' : ca.name === name))
  if (root === undefined) throw new SallyportError('not-found', `There is no root ${wanted ?? 'that is current'}.`, { fix: 'See them with: sallyport ca show.' })
  const { local } = homePaths(home)
  const facts = required(parseCertificate(required(decodePem(root.pem, 'CERTIFICATE'))[0] ?? new Uint8Array()))
  return { root, spkiSha256: facts.key.spkiSha256, file: path.join(local, keyFileOf(root.name)), homePassphrase: openPassphrase(configOf(home).passphraseFile ?? path.join(local, 'passphrase'), false) }
}

export async function exportKey(options: KeyOptions & { readonly out: string; readonly pem?: boolean }): Promise<void> {
  if (options.pem === true && options.passphraseFile === undefined) throw new SallyportError('usage', '--pem needs --passphrase-file: no key is written in the clear.')
  if (existsSync(options.out)) throw new SallyportError('refused', `${options.out} is there: it is not overwritten.`, { fix: 'Choose another --out.' })
  await withDesk(options, async (desk, home) => {
    const { root, spkiSha256, file, homePassphrase } = await placeOf(desk, home, options.ca)
    if (!existsSync(file)) throw new SallyportError('not-found', `The key of ${root.name} is not in this home.`, { fix: 'It was taken out before, or was never here.' })
    const key = await unsealKey(readSecretFile(file).toString('utf8'), homePassphrase, file)
    if (keyHash(spkiOf(key)) !== spkiSha256) throw new SallyportError('key-unreadable', `The key in ${file} is not that of ${root.name}.`, { fix: 'Restore certs/local and data from the same backup.' })
    const passphrase = options.passphraseFile === undefined ? undefined : passphraseOf(options.passphraseFile)
    const text = options.pem === true && passphrase !== undefined
      ? key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString()
      : await sealKey(key, passphrase === undefined ? homePassphrase : Buffer.from(passphrase))
    // Said before it is done: no copy of this key exists that the log does not know of.
    await desk.noteCaKey(root.name, 'exported')
    writeSecretFile(options.out, text)
    const hint = passphrase === undefined ? 'It is sealed with the passphrase of this home, and is lost with that: keep that passphrase, too, or give --passphrase-file.' : 'It is sealed with the passphrase in the file that you named.'
    print(options, { ca: root.name, file: options.out }, () => `The key of ${root.name} is in ${options.out}. ${hint}`)
  })
}

export async function removeKey(options: KeyOptions & { readonly exported: string }): Promise<void> {
  const loan = loanOf(options.exported, options.passphraseFile)
  await withDesk(options, async (desk, home) => {
    const { root, spkiSha256, file, homePassphrase } = await placeOf(desk, home, options.ca)
    if (path.resolve(options.exported) === path.resolve(file)) throw new SallyportError('refused', 'This is the key itself, not an export of it.', { fix: 'Export it first: sallyport ca export-root-key --out FILE.' })
    await readExported(loan, homePassphrase, { name: root.name, spkiSha256 })
    if (existsSync(file)) {
      await confirm(options, `Take the key of ${root.name} out of this home? ${options.exported} is then all that there is of it.`)
      await desk.noteCaKey(root.name, 'removed')
      rmSync(file)
    }
    print(options, { ca: root.name, removed: file }, () => `The key of ${root.name} is not in this home any more. For a new issuing CA lend it: sallyport ca rotate start --root-key ${options.exported}`)
  })
}
