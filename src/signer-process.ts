// The signer: a process of its own, which alone opens the issuing key. It reads the key, the profiles and, by a connection that
// cannot write, the registry; it speaks with nobody but the program that started it, and ends when that ends.

import path from 'node:path'
import { rootOf } from './ca/chains.ts'
import { openPassphrase, readSecretFile, unsealKey } from './ca/key-file.ts'
import { openSigner, type Signer } from './ca/signer.ts'
import { openTbs, readIssuer } from './ca/tbs.ts'
import { SallyportError } from './core/errors.ts'
import type { CaName } from './core/ids.ts'
import type { CaRecord } from './core/registry.ts'
import { loadProfiles } from './shipped-profiles.ts'
import { answer } from './signer/answering.ts'
import { openCrlRules } from './signer/crl-rules.ts'
import { encodeFrame, FRAME } from './signer/frames.ts'
import { openJournal } from './store/sqlite/journal.ts'
import { keyHash } from './x509/keys.ts'

/** Neither a Ctrl-C at the terminal nor a manager that signals a whole group ends it before the program has taken its answers. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

async function openKey(keyFile: string, passphraseFile: string, ca: CaRecord): Promise<Signer> {
  const signer = openSigner(await unsealKey(readSecretFile(keyFile).toString('utf8'), openPassphrase(passphraseFile, false), keyFile))
  if (keyHash(signer.spki) !== ca.spkiSha256) throw new SallyportError('key-unreadable', `The key in ${keyFile} does not belong to the recorded certificate of ${ca.name}.`, { fix: 'Restore certs/local and data from the same backup.' })
  return signer
}

async function run(issuer: CaName, registry: string, keyFile: string, passphraseFile: string): Promise<void> {
  process.umask(0o077)
  using journal = openJournal(registry, issuer)
  const ca = journal.ca()
  if (ca === undefined) throw new SallyportError('internal', `The registry ${path.basename(registry)} knows no CA ${issuer}.`)
  const signer = await openKey(keyFile, passphraseFile, ca)
  const profiles = loadProfiles()
  const issuerFacts = readIssuer({ ...ca, root: rootOf(ca, journal.cas())?.der })
  const rebuild = openTbs(issuerFacts, signer.signatureIdentifier, profiles)
  process.stdout.write(encodeFrame({ id: 0, kind: FRAME.ready, body: new Uint8Array() }))
  await answer({
    input: process.stdin, output: process.stdout, journal, profiles, rebuild,
    issuer: { ...issuerFacts.facts, ids: ca.ids },
    signatureIdentifier: signer.signatureIdentifier,
    sign: (tbs) => signer.sign(tbs),
    judgeCrl: openCrlRules({ issuerDer: issuerFacts.subjectDer, signatureIdentifier: signer.signatureIdentifier, clock: Date.now }),
  })
}

const [issuer = '', registry = '', keyFile = '', passphraseFile = ''] = process.argv.slice(2)
try {
  await run(issuer as CaName, registry, keyFile, passphraseFile)
} catch (error) {
  const { code, message, fix } = error instanceof SallyportError ? error : { code: 'internal', message: 'the signer failed', fix: undefined }
  process.stdout.write(encodeFrame({ id: 0, kind: FRAME.failed, body: Buffer.from(JSON.stringify({ code, message, fix })) }), () => process.exit(1))
}
