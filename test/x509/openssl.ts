// The openssl program as a second opinion, in a folder of its own.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { tempDir, type TempDir } from '../store/temp.ts'

const PROGRAM = 'openssl'

export interface OpenSsl extends Disposable {
  readonly folder: TempDir
  /** Runs it in the folder; throws with what it said when it fails. */
  (...args: readonly string[]): string
  write(name: string, contents: string | Uint8Array): void
  read(name: string): Uint8Array
}

export function openssl(): OpenSsl {
  const folder = tempDir()
  const run = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync(PROGRAM, args, { cwd: folder.path, encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}${stdout}`)
    return stdout
  }
  return Object.assign(run, {
    folder,
    write: (name: string, contents: string | Uint8Array) => writeFileSync(folder.file(name), contents),
    read: (name: string) => Uint8Array.from(readFileSync(folder.file(name))),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  })
}
