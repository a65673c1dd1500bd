// How a policy comes into force, and how it does not: files that are replaced whole, numbers that are never given twice, a
// history that says who, and what a crash in between leaves behind.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { writeSecretFile } from '../src/ca/key-file.ts'
import type { Actor, AuditEvent } from '../src/core/audit.ts'
import type { Device } from '../src/core/device.ts'
import { SallyportError } from '../src/core/errors.ts'
import type { CaName } from '../src/core/ids.ts'
import type { Applied, ApplyRequest, PolicyText } from '../src/core/policy-desk.ts'
import { loadPolicy, needPolicy, readTexts } from '../src/policy-file.ts'
import { openPolicies, type Policies, type PoliciesPorts } from '../src/policies.ts'
import { openPolicyHistory } from '../src/policy-history.ts'
import { POLICY_LIMITS } from '../src/limits.ts'
import type { DenyReason } from '../src/vocabulary.ts'
import { device } from './core/facts.ts'

vi.mock(import('../src/ca/key-file.ts'), async (original) => {
  const real = await original()
  return { ...real, writeSecretFile: vi.fn<typeof writeSecretFile>(real.writeSecretFile) }
})
const writing = vi.mocked(writeSecretFile)

const OPERATOR: Actor = { kind: 'operator', name: 'ab01' }
const granting = (...topics: readonly string[]): string => `version: 1\ngrants:\n  - { id: r, to: any, publish: [${topics.map((topic) => `"${topic}"`).join(', ')}] }\n`
const main = (text: string): PolicyText => ({ name: 'policy.yaml', text })

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A home that has nothing but a policy, and what opens it again as the next start does. */
class Home {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'sallyport-policies-'))
  readonly events: AuditEvent[] = []
  readonly warnings: string[] = []
  readonly replaced: number[] = []
  connected: readonly Device[] = []
  registered: readonly Device[] = [device('d')]
  #now = 1_000

  constructor(text: string | undefined) {
    folders.push(this.folder)
    mkdirSync(this.at('data'))
    if (text !== undefined) this.write(text)
  }

  at(name: string): string {
    return path.join(this.folder, name)
  }

  write(text: string, name = 'policy.yaml'): void {
    mkdirSync(path.dirname(this.at(name)), { recursive: true })
    writeFileSync(this.at(name), text)
  }

  read(name = 'policy.yaml'): string {
    return readFileSync(this.at(name), 'utf8')
  }

  get kept(): readonly string[] {
    return readdirSync(this.at('data/policies')).filter((name) => name.endsWith('.txt'))
  }

  /** `served`: as a server does, which says what it found. */
  async start(ports: Partial<PoliciesPorts> = {}, served = true): Promise<Policies> {
    let line: Promise<unknown> = Promise.resolve()
    const policies: Policies = await openPolicies({
      data: this.at('data'), policyFile: this.at('policy.yaml'),
      audit: { record: (event) => void this.events.push(event) },
      clock: () => this.#now++,
      warn: (message) => void this.warnings.push(message),
      read: (file) => loadPolicy(file, 1),
      compile: async (texts, generation) => needPolicy(readTexts(texts, generation)),
      serially<T>(work: () => Promise<T>): Promise<T> {
        const done = line.then(work)
        line = done.catch(() => {})
        return done
      },
      fleet: () => ({ registry: { devices: () => ({ items: this.registered }), certificateDer: () => undefined }, view: { certificatesOf: () => [] }, issuer: 'issuing-1' as CaName }),
      connected: () => this.connected.map((of) => ({ device: of, ca: 'issuing-1' as CaName, clientId: of.id })),
      onReplaced: () => void this.replaced.push(policies.inForce().policy.generation),
      ...ports,
    })
    policies.replace(await policies.load(this.at('policy.yaml')))
    if (served) policies.note('start', { kind: 'system' })
    return policies
  }
}

async function refusal(work: Promise<unknown>): Promise<{ readonly code: string; readonly reason: DenyReason | undefined; readonly message: string }> {
  const error = await work.then(() => undefined, (failure: unknown) => failure)
  if (error instanceof SallyportError) return { code: error.code, reason: error.reason, message: error.message }
  throw new Error('it was done', { cause: error })
}

const apply = (policies: Policies, request: ApplyRequest): Promise<Applied> => policies.apply(request, OPERATOR)
const versions = (policies: Policies): readonly string[] => policies.history.versions.map(({ generation, because, actor }) => `${generation} ${because} ${actor.kind}`)

describe('generations', () => {
  test('begin at 1, stay over restarts, and go on with the next text', async () => {
    const home = new Home(granting('a'))
    expect(versions(await home.start())).toEqual(['1 start system'])
    const again = await home.start()
    expect(again.inForce().policy.generation).toBe(1)
    home.write(granting('b'))
    const third = await home.start()
    expect([third.inForce().policy.generation, versions(third)]).toEqual([2, ['1 start system', '2 start system']])
    expect(home.events.map((event) => event.kind === 'policy-loaded' && [event.generation, event.because])).toEqual([[1, 'start'], [1, 'start'], [2, 'start']])
  })

  test('a reload of an edited file is in the history, one of the same text is not', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    for (const text of [granting('b'), granting('b'), granting('a')]) {
      home.write(text)
      policies.replace(await policies.load(home.at('policy.yaml')))
      policies.note('reload', { kind: 'local' })
    }
    expect(versions(policies)).toEqual(['1 start system', '2 reload local', '3 reload local'])
    expect(home.events.at(-1)).toMatchObject({ kind: 'policy-loaded', generation: 3, actor: { kind: 'local' }, because: 'reload' })
  })

  test('are not given twice when the history cannot be written; the policy is in force all the same', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    rmSync(home.at('data/policies/history.json'))
    mkdirSync(home.at('data/policies/history.json/x'), { recursive: true })
    const seen: number[] = []
    for (const text of [granting('b'), granting('c'), granting('a')]) {
      home.write(text)
      policies.replace(await policies.load(home.at('policy.yaml')))
      policies.note('reload', { kind: 'local' })
      seen.push(policies.inForce().policy.generation)
    }
    expect(seen).toEqual([2, 3, 4])
    expect(home.warnings[0]).toMatch(/^policy generation 2 is in force, and not in the history/)
  })

  test('no policy at all is one that grants nothing', async () => {
    const policies = await new Home(undefined).start()
    expect(policies.inForce()).toMatchObject({ texts: [], policy: { generation: 1 } })
    expect(policies.inForce().policy.document.grants).toEqual([])
  })

  test('a history that is damaged is set aside, and the numbers go on', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    await apply(policies, { files: [main(granting('b'))] })
    const file = home.at('data/policies/history.json')
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20))
    const next = await home.start()
    expect(versions(next)).toEqual(['3 start system'])
    expect(home.warnings.at(-1)).toContain('begins anew at generation 3')
    expect(existsSync(`${file}.damaged`)).toBe(true)
  })
})

describe('applying', () => {
  test('writes the file, puts it in force, and is in the history and the audit log with who did it', async () => {
    const home = new Home(granting('a'))
    chmodSync(home.at('policy.yaml'), 0o640)
    const policies = await home.start()
    const applied = await apply(policies, { files: [main(granting('a', 'b'))], base: 1 })
    expect(applied).toMatchObject({ generation: 2, changed: true, changes: [{ id: 'r', change: 'changed', added: ['publish b'] }] })
    expect(home.read()).toBe(granting('a', 'b'))
    expect((statSync(home.at('policy.yaml')).mode & 0o777).toString(8)).toBe('640')
    expect([policies.inForce().policy.generation, home.replaced]).toEqual([2, [2]])
    expect(policies.history.versions.at(-1)).toMatchObject({ generation: 2, actor: OPERATOR, because: 'apply', sha256: applied.sha256, files: [{ name: 'policy.yaml' }] })
    expect(home.events.at(-1)).toMatchObject({ kind: 'policy-loaded', generation: 2, sha256: applied.sha256, actor: OPERATOR, because: 'apply' })
    expect(versions(await home.start())).toEqual(['1 start system', '2 apply operator'])
    expect(readdirSync(home.folder).toSorted()).toEqual(['data', 'policy.yaml'])
  })

  test('nothing but the edited file puts that in force', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    home.write(granting('b'))
    expect(await apply(policies, {})).toMatchObject({ generation: 2, changed: true })
    expect(await apply(policies, {})).toMatchObject({ generation: 2, changed: false, changes: [] })
    expect([versions(policies), home.replaced]).toEqual([['1 start system', '2 apply operator'], [2]])
  })

  test('where no server has run yet: what was there is the way back, and the edited file is put in force by whoever says so', async () => {
    const home = new Home(granting('a'))
    const unserved = async (): Promise<Policies> => home.start({ audit: { record: () => {} } }, false)
    expect(await apply(await unserved(), { files: [main(granting('b'))] })).toMatchObject({ generation: 2 })
    expect(versions(await unserved())).toEqual(['1 start system', '2 apply operator'])
    await apply(await unserved(), { rollback: 1 })
    expect(home.read()).toBe(granting('a'))
    home.write(granting('c'))
    expect(await apply(await unserved(), {})).toMatchObject({ generation: 4, changed: true })
    expect(await apply(await unserved(), {})).toMatchObject({ generation: 4, changed: false })
    expect(versions(await home.start())).toEqual(['1 start system', '2 apply operator', '3 rollback operator', '4 apply operator'])
  })

  test('what does not compile changes nothing', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    expect(await refusal(apply(policies, { files: [main('version: 1\ngrnts: []\n')] }))).toMatchObject({ code: 'policy-invalid', message: expect.stringContaining('policy.yaml:2:1') })
    home.write('version: 1\ngrnts: []\n')
    expect(await refusal(apply(policies, {}))).toMatchObject({ code: 'policy-invalid' })
    expect([policies.inForce().policy.generation, versions(policies), home.replaced]).toEqual([1, ['1 start system'], []])
  })

  test('a dry run changes nothing, and says what would be', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    expect(await apply(policies, { files: [main(granting('b'))], dryRun: true })).toMatchObject({ generation: 2, changed: true, changes: [{ id: 'r' }] })
    expect([home.read(), versions(policies), home.replaced]).toEqual([granting('a'), ['1 start system'], []])
  })

  test('of two at once from the same base one is done', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    const outcomes = await Promise.allSettled(['b', 'c', 'd'].map((topic) => apply(policies, { files: [main(granting(topic))], base: 1 })))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(home.read()).toBe(granting('b'))
    expect(await refusal(apply(policies, { files: [main(granting('c'))], base: 1 }))).toMatchObject({ code: 'refused', reason: 'revision-conflict', message: expect.stringContaining('generation 2 is in force, not 1') })
    expect(await apply(policies, { files: [main(granting('c'))], base: 2 })).toMatchObject({ generation: 3 })
  })

  test('files that changed since they were compared are not applied', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    home.write(granting('b'))
    const { sha256 } = await apply(policies, { dryRun: true })
    home.write(granting('c'))
    expect(await refusal(apply(policies, { sha256 }))).toMatchObject({ reason: 'revision-conflict' })
    expect(await apply(policies, {})).toMatchObject({ generation: 2 })
  })

  test('an edit that nobody applied is not overwritten, unless that is forced', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    home.write(granting('edited'))
    expect(await refusal(apply(policies, { files: [main(granting('b'))] }))).toMatchObject({ code: 'refused', reason: 'policy-edited' })
    expect(home.read()).toBe(granting('edited'))
    expect(await apply(policies, { files: [main(granting('b'))], force: true })).toMatchObject({ generation: 2 })
    expect(home.read()).toBe(granting('b'))
    // Back to what is in force: the edit goes, and no generation comes.
    home.write(granting('edited'))
    expect(await apply(policies, { files: [main(granting('b'))], force: true })).toMatchObject({ generation: 2, changed: false })
    expect([home.read(), versions(policies).length]).toEqual([granting('b'), 2])
  })

  test('a link stays a link', async () => {
    const home = new Home(undefined)
    home.write(granting('a'), 'elsewhere/real.yaml')
    symlinkSync(home.at('elsewhere/real.yaml'), home.at('policy.yaml'))
    await apply(await home.start(), { files: [main(granting('b'))] })
    expect(home.read('elsewhere/real.yaml')).toBe(granting('b'))
    expect(readFileSync(home.at('policy.yaml'), 'utf8')).toBe(granting('b'))
  })

  test.each(['../policy.yaml', '/etc/passwd', 'policy.d/../../x.yaml', 'policy.d/.hidden.yaml', 'policy.d/a/b.yaml', 'other.yaml', 'policy.d/', 'data/policies/history.json', 'policy.yaml\0'])('no other file is written: %j', async (name) => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    expect(await refusal(apply(policies, { files: [main(granting('b')), { name, text: 'version: 1\n' }] }))).toMatchObject({ reason: 'request-invalid' })
    expect(home.read()).toBe(granting('a'))
  })

  test('what could not be read again is not written: a name twice, others without the main file, too many bytes', async () => {
    const policies = await new Home(granting('a')).start()
    expect(await refusal(apply(policies, { files: [main(granting('b')), main(granting('c'))] }))).toMatchObject({ reason: 'request-invalid' })
    expect(await refusal(apply(policies, { files: [{ name: 'policy.d/a.yaml', text: granting('a') }] }))).toMatchObject({ reason: 'request-invalid' })
    const half = `${granting('a')}# ${'x'.repeat(POLICY_LIMITS.bytesMax / 2 - 100)}\n`
    expect(await refusal(apply(policies, { files: [main(half), { name: 'policy.d/a.yaml', text: half }, { name: 'policy.d/b.yaml', text: half }] }))).toMatchObject({ reason: 'request-invalid', message: expect.stringContaining('bytes') })
  })

  test('several files are one policy: those that are not among the new ones go', async () => {
    const home = new Home(granting('a'))
    const more = (id: string): string => `version: 1\ngrants: [ { id: ${id}, to: any } ]\n`
    home.write(more('old'), 'policy.d/old.yaml')
    const policies = await home.start()
    expect(policies.inForce().texts.map(({ name }) => name)).toEqual(['policy.yaml', 'policy.d/old.yaml'])
    expect(await apply(policies, { files: [main(granting('a')), { name: 'policy.d/new.yaml', text: more('new') }] })).toMatchObject({ changes: [{ id: 'new', change: 'added' }, { id: 'old', change: 'removed' }] })
    expect(readdirSync(home.at('policy.d'))).toEqual(['new.yaml'])
    expect((await home.start()).inForce().policy.generation).toBe(2)
    await apply(policies, { rollback: 1 })
    expect(readdirSync(home.at('policy.d'))).toEqual(['old.yaml'])
  })
})

describe('what would leave everybody outside', () => {
  const NOTHING = 'version: 1\n'

  test('is refused while anybody is connected who has a grant, and done when it is forced', async () => {
    const home = new Home(granting('a'))
    home.connected = [device('x'), device('y')]
    const policies = await home.start()
    expect(await refusal(apply(policies, { files: [main(NOTHING)] }))).toMatchObject({ code: 'refused', reason: 'policy-cuts-all', message: expect.stringContaining('2 connected') })
    expect(home.read()).toBe(granting('a'))
    expect(await apply(policies, { files: [main(NOTHING)], force: true })).toMatchObject({ generation: 2 })
  })

  test('is not refused when one of them keeps a grant', async () => {
    const home = new Home(granting('a'))
    home.connected = [device('x'), device('y')]
    expect(await apply(await home.start(), { files: [main('version: 1\ngrants: [ { id: r, to: { device: y } } ]\n')] })).toMatchObject({ generation: 2 })
  })

  test('is asked of the registry when nobody is connected', async () => {
    const home = new Home(granting('a'))
    home.registered = [device('x', { state: 'retired' }), device('y'), device('z')]
    const policies = await home.start()
    expect(await refusal(apply(policies, { files: [main(NOTHING)] }))).toMatchObject({ reason: 'policy-cuts-all', message: expect.stringContaining('nobody is connected; 2 of the registry') })
    expect(await apply(policies, { files: [main('version: 1\ngrants: [ { id: r, to: { device: z } } ]\n')] })).toMatchObject({ generation: 2 })
  })

  test('is nothing where nobody had a grant', async () => {
    const home = new Home(NOTHING)
    expect(await apply(await home.start(), { files: [main(`${NOTHING}strictDeny: true\n`)] })).toMatchObject({ generation: 2 })
    const vacant = new Home(granting('a'))
    vacant.registered = []
    expect(await apply(await vacant.start(), { files: [main(NOTHING)] })).toMatchObject({ generation: 2 })
  })
})

describe('taking back', () => {
  test('is a new generation with an old text', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    await apply(policies, { files: [main(granting('b'))] })
    expect(await apply(policies, { rollback: 1 })).toMatchObject({ generation: 3, changed: true, changes: [{ id: 'r', added: ['publish a'] }] })
    expect(home.read()).toBe(granting('a'))
    expect(policies.history.versions.at(-1)).toMatchObject({ generation: 3, because: 'rollback', of: 1, actor: OPERATOR })
  })

  test('to what never was, or is not kept whole, is refused', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    expect(await refusal(apply(policies, { rollback: 7 }))).toMatchObject({ code: 'not-found', reason: 'generation-unknown' })
    await apply(policies, { files: [main(granting('b'))] })
    const [first] = policies.history.versions
    writeFileSync(home.at(`data/policies/${first?.files[0]?.sha256}.txt`), granting('tampered'))
    expect(await refusal(apply(policies, { rollback: 1 }))).toMatchObject({ code: 'not-found', reason: 'generation-unknown' })
    expect(home.read()).toBe(granting('b'))
  })
})

describe('a crash', () => {
  const FACTS = { generation: 2, at: 5, actor: OPERATOR, because: 'apply' } as const
  const part = (id: string): PolicyText => ({ name: 'policy.d/p.yaml', text: `version: 1\ngrants: [ { id: ${id}, to: any } ]\n` })

  /** As a process that ends in the middle leaves a home: begun, with some of the files written. */
  async function cut(...written: readonly PolicyText[]): Promise<Home> {
    const home = new Home(granting('a'))
    home.write(part('old').text, part('old').name)
    await home.start()
    openPolicyHistory(home.at('data/policies'), () => {}).begin(FACTS, [main(granting('b')), part('new')], [main(granting('a')), part('old')])
    for (const { name, text } of written) home.write(text, name)
    return home
  }

  test('between the files and the history: it was done, by whom it was done', async () => {
    const home = await cut(main(granting('b')), part('new'))
    const policies = await home.start()
    expect(policies.inForce().policy.generation).toBe(2)
    expect(policies.history.versions.at(-1)).toMatchObject({ generation: 2, actor: OPERATOR, because: 'apply', at: 5 })
    expect(home.warnings.at(-1)).toContain('finished')
    expect(existsSync(home.at('data/policies/begun.json'))).toBe(false)
  })

  test('between two files: neither is left', async () => {
    const home = await cut(main(granting('b')))
    const policies = await home.start()
    expect([home.read(), home.read(part('old').name)]).toEqual([granting('a'), part('old').text])
    expect([policies.inForce().policy.generation, versions(policies)]).toEqual([1, ['1 start system']])
    expect(home.warnings.at(-1)).toContain('undone')
  })

  test('before the first file: nothing happened', async () => {
    const home = await cut()
    expect(versions(await home.start())).toEqual(['1 start system'])
    expect(home.warnings).toEqual([])
  })

  test('and an edit since: that stays, whatever it is', async () => {
    const home = await cut(main(granting('mine')), part('new'))
    const policies = await home.start()
    expect([home.read(), home.read(part('new').name)]).toEqual([granting('mine'), part('new').text])
    expect(versions(policies)).toEqual(['1 start system', '2 start system'])
  })

  test('after the history: nothing is recorded twice', async () => {
    const home = await cut(main(granting('b')), part('new'))
    openPolicyHistory(home.at('data/policies'), () => {}).record(FACTS, [main(granting('b')), part('new')])
    expect(versions(await home.start())).toEqual(['1 start system', '2 apply operator'])
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('at whatever it writes, here the file with number %i: one policy or the other is left, whole, and the history agrees', async (last) => {
    const home = new Home(granting('a'))
    home.write(part('old').text, part('old').name)
    const policies = await home.start()
    const real = writing.getMockImplementation()
    let left = last
    // From then on the process does nothing any more.
    writing.mockImplementation((...args) => {
      left -= 1
      if (left < 0) throw new Error('the process is gone')
      real?.(...args)
    })
    await apply(policies, { files: [main(granting('b')), part('new')] }).catch(() => {})
    writing.mockImplementation(real ?? expect.fail('nothing was replaced'))
    const next = await home.start()
    const isNew = home.read() === granting('b')
    expect([home.read(), home.read(part('old').name)]).toEqual(isNew ? [granting('b'), part('new').text] : [granting('a'), part('old').text])
    expect(versions(next)).toEqual(isNew ? ['1 start system', '2 apply operator'] : ['1 start system'])
    expect([next.inForce().policy.generation, next.history.intent]).toEqual([isNew ? 2 : 1, undefined])
  })

  test('in the middle of what was begun itself is a start like any other', async () => {
    const home = await cut()
    writeFileSync(home.at('data/policies/begun.json'), '{"version":')
    expect(versions(await home.start())).toEqual(['1 start system'])
  })
})

describe('a disk that fails', () => {
  test('before the first file: nothing is changed', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    rmSync(home.at('data/policies'), { recursive: true })
    writeFileSync(home.at('data/policies'), 'no folder')
    await expect(apply(policies, { files: [main(granting('b'))] })).rejects.toThrow()
    expect([home.read(), policies.inForce().policy.generation, home.replaced]).toEqual([granting('a'), 1, []])
  })

  // A folder that can be read, and in which nobody can make a file.
  const SEALED = '/proc/self/task'
  test.skipIf(!existsSync(SEALED))('at the second file: the first one is put back (needs /proc)', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    symlinkSync(SEALED, home.at('policy.d'))
    await expect(apply(policies, { files: [main(granting('b')), { name: 'policy.d/p.yaml', text: 'version: 1\n' }] })).rejects.toThrow()
    rmSync(home.at('policy.d'))
    expect([home.read(), policies.inForce().policy.generation, home.replaced]).toEqual([granting('a'), 1, []])
    expect(versions(await home.start())).toEqual(['1 start system'])
  })

  test('at the history: it is in force, the answer says that it is not recorded, and the next start records it', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    const list = home.at('data/policies/history.json')
    renameSync(list, `${list}.aside`)
    mkdirSync(path.join(list, 'x'), { recursive: true })
    expect(await refusal(apply(policies, { files: [main(granting('b'))] }))).toMatchObject({ code: 'internal', message: expect.stringContaining('in force, but not in the history') })
    expect([policies.inForce().policy.generation, home.replaced, home.read()]).toEqual([2, [2], granting('b')])
    rmSync(list, { recursive: true })
    renameSync(`${list}.aside`, list)
    expect(versions(await home.start())).toEqual(['1 start system', '2 apply operator'])
  })
})

describe('what is kept', () => {
  test('is bounded by number; texts that no version names any more go', async () => {
    const home = new Home(granting('a'))
    const history = openPolicyHistory(home.at('data/policies'), () => {})
    for (let generation = 1; generation <= POLICY_LIMITS.historyMax + 5; generation++) history.record({ generation, at: 0, actor: OPERATOR, because: 'apply' }, [main(granting(`t/${generation % 300}`))])
    expect(history.versions).toHaveLength(POLICY_LIMITS.historyMax)
    expect([history.versions[0]?.generation, home.kept.length]).toEqual([6, POLICY_LIMITS.historyMax])
    expect(openPolicyHistory(home.at('data/policies'), () => {}).versions).toEqual(history.versions)
  })

  test('is bounded by bytes, and there is always a way back', () => {
    const home = new Home(granting('a'))
    const history = openPolicyHistory(home.at('data/policies'), () => {})
    const large = (i: number): PolicyText => ({ name: 'policy.yaml', text: `# ${i}${'x'.repeat(POLICY_LIMITS.historyBytesMax * 0.6)}` })
    for (const i of [1, 2, 3]) history.record({ generation: i, at: 0, actor: OPERATOR, because: 'apply' }, [large(i)])
    expect(history.versions.map(({ generation }) => generation)).toEqual([2, 3])
    expect(home.kept).toHaveLength(2)
  })

  test('a text that comes back is kept once', async () => {
    const home = new Home(granting('a'))
    const policies = await home.start()
    for (const topic of ['b', 'a', 'b', 'a']) await apply(policies, { files: [main(granting(topic))] })
    expect([policies.history.versions.length, home.kept.length]).toEqual([5, 2])
    expect((statSync(home.at('data/policies/history.json')).mode & 0o077)).toBe(0)
  })
})
