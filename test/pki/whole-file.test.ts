// Files that are there whole or not at all.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { sweepFolder, writeWhole } from '../../src/pki/whole-file.ts'
import { tempDir } from '../store/temp.ts'

const SOURCE = path.resolve(import.meta.dirname, '../../src/pki/whole-file.ts')

test('pieces stand one after the other, also those that are handed over in parts, in the place of what was there', async () => {
  using dir = tempDir()
  const [file, large] = [dir.file('a.crl'), Buffer.alloc(9 * 1024 * 1024, 'x')]
  await writeWhole(file, [Buffer.from('old')])
  await writeWhole(file, [Buffer.from('<'), large, Buffer.from('>')])
  expect(readFileSync(file).equals(Buffer.concat([Buffer.from('<'), large, Buffer.from('>')]))).toBe(true)
  expect(readdirSync(dir.path)).toEqual(['a.crl'])
})

test.skipIf(process.platform === 'win32')('a disk that is full in the middle of a file leaves the old one, and no part of the new one', () => {
  using dir = tempDir()
  const file = dir.file('a.crl')
  writeFileSync(file, 'old')
  const program = `import { writeWhole } from ${JSON.stringify(SOURCE)}
try { await writeWhole(${JSON.stringify(file)}, [Buffer.alloc(100), Buffer.alloc(100_000)]); console.log('written') } catch (error) { console.log(error.code) }`
  // A limit on the size of files stands for a full disk: the first piece finds room, the second does not.
  const child = spawnSync('sh', ['-c', 'ulimit -f 8 && exec "$0" --input-type=module -e "$1"', process.execPath, program], { encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '' } })
  expect(child.stdout.trim()).toBe('EFBIG')
  expect(readFileSync(file, 'utf8')).toBe('old')
  expect(readdirSync(dir.path)).toEqual(['a.crl'])
})

test('what a writer that was killed has left is swept away, and nothing else', async () => {
  using dir = tempDir()
  writeFileSync(dir.file('a.crl'), 'whole')
  writeFileSync(dir.file('a.crl.0011aabbccdd.tmp'), 'ha')
  await sweepFolder(dir.path)
  expect(readdirSync(dir.path)).toEqual(['a.crl'])
})
