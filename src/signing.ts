// How a server's CA signs: through the signer's process, with what it is started with and what is kept from it.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import type { Signer } from './ca/signer.ts'
import { readIssuer, unreadableIssuer } from './ca/tbs.ts'
import type { CaRecord } from './core/registry.ts'
import type { Timing } from './core/traffic.ts'
import { openSignerProcess, type SignerProcess, type SignerProcessPorts } from './signer/process.ts'
import { PACKAGE_FILE, PROFILES_FOLDER } from './shipped-profiles.ts'
import { openPublicKey } from './x509/keys.ts'
import { signingAlgorithm } from './x509/signatures.ts'

export interface SignerPlace {
  readonly registry: string
  readonly keyFile: string
  readonly passphraseFile: string
}

/** Node's young objects need room in proportion to what is signed at once, which is little. */
const HEAP_MIB = 64
const YOUNG_MIB = 2

export interface SignerOptions {
  readonly limits?: SignerProcessPorts['limits']
  /** Hears how long each signature of a certificate took. */
  readonly timing?: Timing
}

const MS_A_SECOND = 1_000

/** Starts the signer of this CA. It runs as soon as this returns; `opened` tells when it has its key. */
export function openSeparateSigner(ca: CaRecord, place: SignerPlace, log: SignerProcessPorts['log'], { limits, timing }: SignerOptions = {}): Signer & SignerProcess {
  const { spki } = readIssuer(ca)
  const key = openPublicKey(spki)
  const algorithm = key && signingAlgorithm(key)
  if (algorithm === undefined) throw unreadableIssuer(ca.name)
  const running = openSignerProcess({ start: () => startSigner(ca, place), log, ...(limits === undefined ? {} : { limits }) })
  return {
    spki,
    signatureIdentifier: algorithm.identifier,
    opened: running.opened,
    get pid() {
      return running.pid
    },
    async sign(tbs) {
      const begun = performance.now()
      const signature = await running.sign(tbs)
      timing?.('signature', (performance.now() - begun) / MS_A_SECOND)
      return signature
    },
    signCrl: (tbs) => running.signCrl(tbs),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** The process alone, without anybody who restarts it. Of the environment it gets nothing. */
export function startSigner(ca: CaRecord, place: SignerPlace): ChildProcess {
  return spawn(process.execPath, argumentsFor(ca, place), { stdio: ['pipe', 'pipe', 'inherit'], env: {}, windowsHide: true })
}

/** Node's own permissions: it may read these, write nothing, and start neither processes nor threads nor native add-ons. */
function argumentsFor({ name }: CaRecord, { registry, keyFile, passphraseFile }: SignerPlace): readonly string[] {
  const source = import.meta.dirname
  const modules = nearestModules(source)
  const readable = [source, path.join(source, '../package.json'), PACKAGE_FILE, PROFILES_FOLDER, keyFile, passphraseFile, registry, `${registry}-wal`, `${registry}-shm`, ...modules]
  return [
    // By that signal Node would open a port for debuggers, and this process holds the key.
    '--disable-sigusr1', '--permission', ...readable.map((file) => `--allow-fs-read=${file}`),
    `--max-old-space-size=${HEAP_MIB}`, `--max-semi-space-size=${YOUNG_MIB}`, '--disable-warning=ExperimentalWarning',
    path.join(source, `signer-process${path.extname(import.meta.filename)}`),
    name, registry, keyFile, passphraseFile,
  ]
}

/** Every node_modules that Node would look into from here, by both of its names where it is a link. */
function nearestModules(folder: string): readonly string[] {
  const here = path.join(folder, 'node_modules')
  const found = existsSync(here) ? [...new Set([here, realpathSync(here)])] : []
  const parent = path.dirname(folder)
  return parent === folder ? found : [...found, ...nearestModules(parent)]
}
