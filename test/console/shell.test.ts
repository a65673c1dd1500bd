import { spawnSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { command, listCommand, quoted } from '../../src/console/shell.ts'

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

describe('the command of a list', () => {
  const flags = { q: 'find', state: 'state', ms: 'within' }
  test('has the filters that are set, each as its option', () => {
    expect(listCommand('device', new URLSearchParams('state=active&q=a b&ms=86400000&other=x'), flags, { ms: (ms) => `${Number(ms) / 86_400_000}d` })).toBe("sallyport device list '--find=a b' --state=active --within=1d")
    expect(listCommand('device', new URLSearchParams('state='), flags)).toBe('sallyport device list')
  })

  test('takes no filter for an option, whatever it begins with', () => {
    expect(listCommand('device', new URLSearchParams('q=--yes'), flags)).toBe('sallyport device list --find=--yes')
    expect(listCommand('device', new URLSearchParams({ q: '$(id)' }), flags)).toBe("sallyport device list '--find=$(id)'")
  })
})
