// Temporary directories and child processes of the tests of store/ and observe/.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TempDir extends Disposable {
  readonly path: string
  file(name: string): string
}

export function tempDir(): TempDir {
  const path = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

export function has(tool: string): boolean {
  return spawnSync(tool, ['--version']).error === undefined
}
