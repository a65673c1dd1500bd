// Which files a policy is, what is told of one that cannot be read, and that nobody is given half of a policy.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SallyportError } from '../../src/core/errors.ts'
import { ensureStarter } from '../../src/home.ts'
import { isPolicyName, isPolicyThere, readPolicyTexts, sha256OfTexts } from '../../src/policy-file/files.ts'
import { loadPolicy } from '../../src/policy-file.ts'
import { STARTER_LINES, STARTER_POLICY } from '../../src/starter.ts'

/** What happens when a file is about to be opened. */
const meanwhile = vi.hoisted(() => ({ opening: (_place: string): void => {} }))
vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original()
  return { ...real, open: (place, ...more) => (meanwhile.opening(String(place)), real.open(place, ...more)) }
})

let home: string
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-files-'))
})
afterEach(() => {
  meanwhile.opening = () => {}
  rmSync(home, { recursive: true, force: true })
})

const at = (name: string): string => path.join(home, name)
function put(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(at(name)), { recursive: true })
    writeFileSync(at(name), text)
  }
}
const namesRead = async (main = 'policy.yaml'): Promise<readonly string[]> => (await readPolicyTexts(at(main))).map(({ name }) => name)
async function failureOf(work: Promise<unknown>): Promise<SallyportError> {
  try {
    await work
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was read')
}
const problemsOf = async (main = 'policy.yaml'): Promise<readonly string[]> => (await failureOf(readPolicyTexts(at(main)))).message.split('\n')
const EMPTY = 'version: 1\n'

describe('the files of a policy', () => {
  test('are the main one and those of policy.d beside it, in the order of their names', async () => {
    put({ 'policy.yaml': 'a', 'policy.d/z.policy': 'b', 'policy.d/10-x.yaml': 'c', 'policy.d/B.yaml': 'd' })
    expect(await readPolicyTexts(at('policy.yaml'))).toEqual([{ name: 'policy.yaml', text: 'a' }, { name: 'policy.d/10-x.yaml', text: 'c' }, { name: 'policy.d/B.yaml', text: 'd' }, { name: 'policy.d/z.policy', text: 'b' }])
  })

  test('are the main one alone where there is no policy.d, or an empty one', async () => {
    put({ 'policy.yaml': EMPTY, 'other.d/x.yaml': EMPTY, 'x.yaml': EMPTY })
    expect(await namesRead()).toEqual(['policy.yaml'])
    mkdirSync(at('policy.d'))
    expect(await namesRead()).toEqual(['policy.yaml'])
  })

  test('are beside the main one, wherever it is and whatever it is called', async () => {
    put({ 'rules/site.policy': '', 'rules/policy.d/a.yaml': EMPTY, 'policy.d/b.yaml': EMPTY })
    expect(await namesRead('rules/site.policy')).toEqual(['site.policy', 'policy.d/a.yaml'])
  })

  test.each(['.#a.yaml', 'a.yaml~', '.a.yaml.swp', '#a.yaml#', 'a.yaml.bak', '.hidden.yaml', 'README.md', '4913', 'a.yaml.swp', '.a.yaml.kate-swp', 'yaml'])('are not what an editor leaves behind, or a note: %s', async (name) => {
    put({ 'policy.yaml': EMPTY, 'policy.d/a.yaml': EMPTY, [`policy.d/${name}`]: 'nonsense: [' })
    expect(await namesRead()).toEqual(['policy.yaml', 'policy.d/a.yaml'])
  })

  test('are followed through links, as a mounted volume has them', async () => {
    put({ 'policy.yaml': EMPTY, 'policy.d/..2027/a.yaml': 'version: 1 # a' })
    symlinkSync('..2027', at('policy.d/..data'))
    symlinkSync('..data/a.yaml', at('policy.d/a.yaml'))
    expect(await readPolicyTexts(at('policy.yaml'))).toEqual([{ name: 'policy.yaml', text: EMPTY }, { name: 'policy.d/a.yaml', text: 'version: 1 # a' }])
  })

  test('are none where nothing is there: then nothing is granted', async () => {
    expect(await readPolicyTexts(at('policy.yaml'))).toEqual([])
    const { policy, texts, sha256 } = await loadPolicy(at('policy.yaml'), 7)
    expect([policy.generation, policy.document.grants, texts, sha256]).toEqual([7, [], [], 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'])
  })
})

describe('what cannot be read is told with its name, all at once', () => {
  test.each(['a.yml', 'a.YAML', 'A.Policy', 'my rules.yaml', 'größe.yaml', '-a.yaml', '_a.policy', `${'x'.repeat(129)}.yaml`, 'a.yaml.yml'])('a name that a person takes for one of the policy: %s', async (name) => {
    put({ 'policy.yaml': EMPTY, [`policy.d/${name}`]: EMPTY })
    expect(await problemsOf()).toEqual([expect.stringMatching(/^policy\.d\/.*:1:1: a file of this name is not read\. Call it NAME\.yaml or NAME\.policy, /)])
  })

  test('links in a circle, links that lead nowhere, folders and pipes', async () => {
    put({ 'policy.yaml': EMPTY, 'policy.d/good.yaml': EMPTY })
    symlinkSync('b.yaml', at('policy.d/a.yaml'))
    symlinkSync('a.yaml', at('policy.d/b.yaml'))
    symlinkSync('nowhere', at('policy.d/c.yaml'))
    mkdirSync(at('policy.d/d.yaml'))
    execFileSync('mkfifo', [at('policy.d/e.yaml')])
    expect(await problemsOf()).toEqual([
      'policy.d/a.yaml:1:1: the file cannot be read (its links lead in a circle). Restore the file, or remove it.',
      'policy.d/b.yaml:1:1: the file cannot be read (its links lead in a circle). Restore the file, or remove it.',
      'policy.d/c.yaml:1:1: the file cannot be read (it is not there). Restore the file, or remove it.',
      'policy.d/d.yaml:1:1: this is not a file. Restore the file, or remove it.',
      'policy.d/e.yaml:1:1: this is not a file. Restore the file, or remove it.',
    ])
  })

  test.each([['EACCES', 'permission denied'], ['EIO', 'the disk fails'], ['EBADF', 'EBADF'], ['constructor', 'constructor']])('what the system says: %s', async (code, words) => {
    put({ 'policy.yaml': EMPTY, 'policy.d/a.yaml': EMPTY })
    meanwhile.opening = (place) => {
      if (place.endsWith('a.yaml')) throw Object.assign(new Error(code), { code })
    }
    expect(await problemsOf()).toEqual([`policy.d/a.yaml:1:1: the file cannot be read (${words}). Restore the file, or remove it.`])
  })

  test('the main one: a folder, a link that leads nowhere or in a circle is not the same as none', async () => {
    mkdirSync(at('policy.yaml'))
    expect(await problemsOf()).toEqual(['policy.yaml:1:1: this is not a file. Restore the file, or name another one with policy: in sallyport.yaml.'])
    symlinkSync('nowhere', at('link.yaml'))
    expect(await problemsOf('link.yaml')).toEqual(['link.yaml:1:1: the file cannot be read (it is not there). Restore the file, or name another one with policy: in sallyport.yaml.'])
    symlinkSync('loop.yaml', at('loop.yaml'))
    expect(await problemsOf('loop.yaml')).toEqual([expect.stringContaining('loop.yaml:1:1: the file cannot be read (its links lead in a circle).')])
  })

  test('policy.d that is no folder, or a link in a circle', async () => {
    put({ 'policy.yaml': EMPTY, 'policy.d': '' })
    expect(await problemsOf()).toEqual(['policy.d:1:1: the folder cannot be read (it lies below something that is not a folder). Make it a folder that the server may read, or remove it.'])
    rmSync(at('policy.d'))
    symlinkSync('policy.d', at('policy.d'))
    expect(await problemsOf()).toEqual([expect.stringContaining('policy.d:1:1: the folder cannot be read (its links lead in a circle).')])
  })

  test('a main file that is gone while others are there: its denies would be gone with it', async () => {
    put({ 'policy.d/a.yaml': EMPTY })
    expect(await problemsOf()).toEqual(['policy.yaml:1:1: the file is not there, and policy.d has others. Restore it; where it has nothing to say, it says: version: 1'])
    put({ 'policy.yaml': '' })
    expect(await namesRead()).toEqual(['policy.yaml', 'policy.d/a.yaml'])
  })

  test('too many files, a file that is too large, and too much in all', async () => {
    const mib8 = 8 * 1_024 * 1_024
    put({ 'policy.yaml': '#'.repeat(mib8) })
    expect(await namesRead()).toEqual(['policy.yaml'])
    put({ 'policy.d/a.yaml': '#'.repeat(mib8) })
    expect(await namesRead()).toEqual(['policy.yaml', 'policy.d/a.yaml'])
    put({ 'policy.d/b.yaml': '#' })
    expect(await problemsOf()).toEqual([`policy.d/b.yaml:1:1: the policy has more than ${2 * mib8} bytes. Remove what is not needed.`])
    put({ 'policy.d/b.yaml': '#'.repeat(mib8 + 1) })
    expect(await problemsOf()).toEqual([`policy.d/b.yaml:1:1: the file is larger than ${mib8} bytes. Divide it: policy.d has room for more.`])
    rmSync(at('policy.d'), { recursive: true })
    put(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`policy.d/${i}.yaml`, ''])))
    expect(await namesRead()).toHaveLength(1_001)
    put({ 'policy.d/more.policy': '' })
    expect(await problemsOf()).toEqual(['policy.d:1:1: the folder has more than 1000 files of a policy. Put several into one.'])
  })
})

describe('a policy that changes while it is read', () => {
  test('is one that was there, or none: never half of each', async () => {
    // Two generations, of which each file knows its own; replaced by renaming, as editors and mounted volumes do.
    const names = ['policy.yaml', ...Array.from({ length: 20 }, (_, i) => `policy.d/${i + 10}.yaml`)]
    const write = (generation: number): void => {
      for (const name of names) {
        put({ [`new-${path.basename(name)}`]: `version: 1 # ${generation}` })
        mkdirSync(path.dirname(at(name)), { recursive: true })
        renameSync(at(`new-${path.basename(name)}`), at(name))
      }
    }
    write(0)
    const seen = { whole: 0, refused: 0 }
    for (let generation = 1; generation <= 30; generation++) {
      const reading = readPolicyTexts(at('policy.yaml'))
      const [read] = await Promise.allSettled([reading, Promise.resolve().then(() => write(generation))])
      if (read.status === 'rejected') {
        expect(String(read.reason)).toContain('the policy changed while it was read. Read it again when it is written.')
        seen.refused++
      } else {
        expect(new Set(read.value.map(({ text }) => text)).size).toBe(1)
        seen.whole++
      }
    }
    write(31)
    expect(new Set((await readPolicyTexts(at('policy.yaml'))).map(({ text }) => text))).toEqual(new Set(['version: 1 # 31']))
    expect(seen.whole + seen.refused).toBe(30)
  })

  test.each<[string, string, () => void]>([
    ['a file that was read', 'policy.d/a.yaml', () => put({ 'policy.d/a.yaml': 'version: 1 # more' })],
    ['a file that was read, by one of the same length', 'policy.d/a.yaml', () => put({ 'policy.d/a.yaml': 'version: 2\n' })],
    ['a file that was read and is gone', 'policy.yaml', () => rmSync(at('policy.d/a.yaml'))],
    ['the main file', 'policy.yaml', () => put({ 'policy.yaml': 'version: 1 # more' })],
    ['the folder, which has one more', 'policy.yaml', () => put({ 'policy.d/c.yaml': EMPTY })],
  ])('is refused: in %s', async (_, name, change) => {
    put({ 'policy.yaml': EMPTY, 'policy.d/a.yaml': EMPTY, 'policy.d/b.yaml': EMPTY })
    meanwhile.opening = (place) => {
      if (place.endsWith('b.yaml')) change()
    }
    expect(await problemsOf()).toEqual([`${name}:1:1: the policy changed while it was read. Read it again when it is written.`])
    meanwhile.opening = () => {}
    expect((await namesRead()).length).toBeGreaterThan(1)
  })

  test('is refused: by a file that is gone before it is its turn', async () => {
    put({ 'policy.yaml': EMPTY, 'policy.d/a.yaml': EMPTY, 'policy.d/b.yaml': EMPTY })
    meanwhile.opening = (place) => {
      if (place.endsWith('a.yaml')) rmSync(at('policy.d/b.yaml'))
    }
    expect(await problemsOf()).toEqual(['policy.d/b.yaml:1:1: the file cannot be read (it is not there). Restore the file, or remove it.'])
  })

  test('is read when only what is no part of it changes', async () => {
    put({ 'policy.yaml': EMPTY, 'policy.d/a.yaml': EMPTY })
    meanwhile.opening = (place) => {
      if (place.endsWith('a.yaml')) put({ 'policy.d/.a.yaml.swp': 'x', 'policy.d/README': 'x' })
    }
    expect(await namesRead()).toEqual(['policy.yaml', 'policy.d/a.yaml'])
  })
})

describe('names, and what a policy is known by', () => {
  test.each([['policy.yaml', true], ['policy.d/a.yaml', true], ['policy.d/a.policy', true], ['other.yaml', false], ['policy.d/a.yml', false], ['policy.d/.a.yaml', false], ['policy.d/../x.yaml', false], ['policy.d/a/b.yaml', false], ['../policy.yaml', false], ['/policy.yaml', false], ['policy.d/', false], ['', false]])('%j is a file of the policy: %s', (name, expected) => {
    expect(isPolicyName(name, '/home/x/policy.yaml')).toBe(expected)
  })

  test('the hash of one file is that of its text; of several, of all names and texts in whatever order', () => {
    const [a, b] = [{ name: 'policy.yaml', text: 'a' }, { name: 'policy.d/b.yaml', text: 'b' }]
    expect(sha256OfTexts([a])).toBe('ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb')
    expect(sha256OfTexts([a, b])).toBe(sha256OfTexts([b, a]))
    const others = [[a], [b], [a, { ...b, text: 'c' }], [a, { ...b, name: 'policy.d/c.yaml' }], [{ ...a, text: 'b' }, { ...b, text: 'a' }]].map(sha256OfTexts)
    expect(new Set([sha256OfTexts([a, b]), ...others]).size).toBe(6)
  })

  test('a first start writes the form that the name of the file says', () => {
    const fresh = { paths: { home: at("."), config: at('sallyport.yaml') }, view: { size: { devices: 0 } } } as unknown as Parameters<typeof ensureStarter>[0]
    put({ 'data/of-the-home': '' })
    ensureStarter(fresh, at('site.policy'))
    ensureStarter(fresh, at('policy.yaml'))
    put({ 'other/policy.d/mine.yaml': EMPTY })
    ensureStarter(fresh, at('other/policy.yaml'))
    expect([readFileSync(at('site.policy'), 'utf8'), readFileSync(at('policy.yaml'), 'utf8'), existsSync(at('other/policy.yaml'))]).toEqual([STARTER_LINES, STARTER_POLICY, false])
  })

  test('a first start writes no policy where something could be one', () => {
    expect(isPolicyThere(at('policy.yaml'))).toBe(false)
    put({ 'policy.d/README': '' })
    expect(isPolicyThere(at('policy.yaml'))).toBe(false)
    put({ 'policy.d/a.policy': '' })
    expect(isPolicyThere(at('policy.yaml'))).toBe(true)
    symlinkSync('nowhere', at('link.yaml'))
    expect(isPolicyThere(at('link.yaml'))).toBe(true)
  })
})

describe('loading', () => {
  test('a good policy comes with its texts and their hash, for the record of what was in force', async () => {
    put({ 'p.yaml': STARTER_POLICY, 'policy.d/more.policy': 'deny pub x\n' })
    const { policy, texts, sha256 } = await loadPolicy(at('p.yaml'), 3)
    expect([policy.generation, texts.map(({ name }) => name), sha256]).toEqual([3, ['p.yaml', 'policy.d/more.policy'], sha256OfTexts(texts)])
    expect(policy.document.deny[0]?.at).toEqual({ file: 'policy.d/more.policy', line: 1, column: 1 })
  })

  test('a bad one fails with every problem of every file, at the place of the first', async () => {
    put({ 'p.yaml': 'version: 1\ngrants:\n  - { id: a, to: any, publsh: [x] }\n', 'policy.d/a.yaml': 'version: 1\ngrants: [ { id: a, to: any } ]\n', 'policy.d/b.policy': 'any\n  pub a+\n  pbu\n', 'policy.d/c.yaml': 'a: [' })
    const failure = await failureOf(loadPolicy(at('p.yaml'), 1))
    expect([failure.code, failure.at]).toEqual(['policy-invalid', { file: 'p.yaml', line: 3, column: 23 }])
    expect(failure.message.split('\n').map((line) => line.split(': ')[0])).toEqual(['p.yaml:3:23', 'policy.d/a.yaml:2:17', 'policy.d/b.policy:2:7', 'policy.d/b.policy:3:3', 'policy.d/c.yaml:1:5'])
  })

  test('bytes that are not UTF-8 are no topic', async () => {
    writeFileSync(at('p.yaml'), Buffer.concat([Buffer.from('version: 1\ngrants:\n  - { id: a, to: any, publish: ["a'), Buffer.from([0xff]), Buffer.from('"] }\n')]))
    expect((await failureOf(loadPolicy(at('p.yaml'), 1))).message).toContain('a character that is not allowed')
  })
})
