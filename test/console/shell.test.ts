import { spawnSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { command, quoted } from '../../src/console/shell.ts'

describe('a command that is copied', () => {
  test('is written as a person would write it', () => {
    expect(command('device', 'suspend', 'pump-7')).toBe('sallyport device suspend pump-7')
  })

  test.each(['$(touch /tmp/owned)', '`id`', "it's", 'a b', ';ls', '', '*', '~', '!x', '\\', 'a\nb'])('carries %j through a shell as one word', (word) => {
    expect(spawnSync('sh', ['-c', `printf %s ${quoted(word)}`], { encoding: 'utf8' }).stdout).toBe(word)
  })

  test('carries anything through a shell as one word', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }).filter((word) => !word.includes('\0')), (word) => {
      expect(spawnSync('sh', ['-c', `printf %s ${quoted(word)}`], { encoding: 'utf8' }).stdout).toBe(word)
    }), { numRuns: 30 })
  })
})
