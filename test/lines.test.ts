// Work in lines, by name.

import { expect, test } from 'vitest'
import { openLines } from '../src/lines.ts'

test('of one name one after the other, whether it fails or not; of two names at once', async () => {
  const inLine = openLines()
  const said: string[] = []
  const first = Promise.withResolvers<void>()
  const work = [
    inLine('a', () => first.promise.then(() => void said.push('a1'))),
    inLine('a', async () => {
      said.push('a2')
      throw new Error('no')
    }).catch(() => void said.push('failed')),
    inLine('b', async () => void said.push('b')),
    inLine('a', async () => said.push('a3')),
  ]
  await work[2]
  expect(said).toEqual(['b'])
  first.resolve()
  await Promise.all(work)
  expect(said.filter((one) => one !== 'failed')).toEqual(['b', 'a1', 'a2', 'a3'])
})
