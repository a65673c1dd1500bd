// Mistakes and hostile words on the command line: one sentence, the fix, the agreed exit code, and nothing done.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { homePaths } from '../../src/home.ts'
import { lockHome } from '../../src/store/sqlite/lock.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { sallyport, temporary } from './shell.ts'

const place = temporary()
const home = place.at('home')
beforeAll(async () => {
  expect((await sallyport(['ca', 'init'], { home })).status).toBe(0)
  expect((await sallyport(['device', 'add', 'a-1', '--group', 'sensors'], { home })).status).toBe(0)
})
afterAll(() => place[Symbol.dispose]())

const words = (line: string): string[] => (line === '' ? [] : line.split(' '))

async function expectSentence(line: string, code: number, sentence: string): Promise<void> {
  const { status, stdout, stderr } = await sallyport(words(line), { home })
  expect(stderr).toContain(sentence)
  expect(stderr).not.toMatch(/\bat .*\.ts:\d|ExperimentalWarning/)
  expect({ status, stdout }).toEqual({ status: code, stdout: '' })
}

// A mistake is told before the home is opened: nobody waits for a lock, or for a server that starts, to hear of a typing error.
describe.concurrent('before the home is opened, in which somebody else works:', () => {
  let lock: Disposable | undefined
  beforeAll(() => {
    lock = lockHome(homePaths(home).lock)
  })
  afterAll(() => lock?.[Symbol.dispose]())

  describe.concurrent('what was not meant is answered with a suggestion', () => {
    test.each([
      ['devcie list', EXIT.usage, "unknown command 'devcie'\n(Did you mean device?)"],
      ['device lst', EXIT.usage, "unknown command 'lst'\n(Did you mean list?)"],
      ['device list --jsno', EXIT.usage, "unknown option '--jsno'\n(Did you mean --json?)"],
      ['device', EXIT.usage, 'Usage: sallyport device'],
      ['device show', EXIT.usage, "missing required argument 'id'"],
      ['device add a b', EXIT.usage, 'too many arguments'],
      ['device add', EXIT.usage, "missing required argument 'id'"],
      ['device add a-2 --attr model', EXIT.usage, '--attr takes name=value'],
      ['device add a-2 --attr m=1 --attr m=2', EXIT.usage, 'given twice'],
      ['device bundle a-1', EXIT.usage, "required option '--out <path>' not specified"],
      ['device list --limit 1001', EXIT.usage, 'from 1 to 1000'],
      ['audit list --limit all', EXIT.usage, '--limit takes a number from 1 to 1000'],
      ['audit list --limit 0', EXIT.usage, '--limit takes a number from 1 to 1000'],
      ['connection list --limit 501', EXIT.usage, '--limit takes a number from 1 to 500'],
      ['refusal list --limit 1.5', EXIT.usage, '--limit takes a number from 1 to 500'],
      ['device list --state asleep', EXIT.usage, '--state takes one of pending, active'],
      ['cert revoke --reason keyCompromise', EXIT.usage, 'Name what to revoke'],
      ['cert revoke --device a-1 --serial 00', EXIT.usage, 'Name what to revoke'],
      ['cert revoke --device a-1 --reason badluck', EXIT.usage, '--reason takes one of unspecified, keyCompromise'],
      ['cert revoke --device a-1 --reason certificateHold', EXIT.usage, 'sallyport device suspend ID'],
      ['cert revoke --group sensors --device a-1', EXIT.usage, '--device and --serial stand alone'],
      ['cert revoke --issued-after yesterday', EXIT.usage, '--issued-after takes a time'],
      ['cert revoke --device a-1 --dry-run', EXIT.usage, '--dry-run is for'],
      ['policy explain --device a-1', EXIT.usage, 'Ask exactly one thing: --publish, --subscribe, --receive, --will, --connect'],
      ['policy explain --device a-1 --publish a --qos 3', EXIT.usage, 'Allowed choices are 0, 1, 2'],
      ['audit tail --count 0', EXIT.usage, '--count takes a number'],
      ['serve --ports random', EXIT.usage, 'Allowed choices are auto, configured'],
      ['doctor connect --cert a --key b --port 0', EXIT.notFound, 'There is no file a'],
      ['device import gone.csv', EXIT.notFound, 'There is no file gone.csv'],
      ['policy check gone.yaml', EXIT.notFound, 'There is no policy file'],
      ['cert show zz', EXIT.refused, 'serial number zz'],
      ['device set a-1', EXIT.usage, 'Say what to set: --group, --no-groups, --attr or --unset'],
      ['device set a-1 --no-groups --group b', EXIT.usage, 'say opposite things'],
      ['device set a-1 --attr model=x --unset model', EXIT.usage, 'both name model'],
      ['device set a-1 --attr model=x --attr model=y', EXIT.usage, 'An attribute is given twice'],
      ['device set a-1 --attr model', EXIT.usage, '--attr takes name=value'],
      ['device set a-1 --unset model --revision 0', EXIT.usage, '--revision takes the revision'],
      ['device set a-1 --group a+b', EXIT.refused, 'This is not a group name'],
      ['device add a-1 --tenant a+b', EXIT.refused, 'tenant a+b'],
      ['ca init --import-cert x.pem', EXIT.usage, 'needs both --import-cert and --import-key'],
    ])('%s', expectSentence)

    test('every verb explains itself, with an example', async () => {
      const { stdout } = await sallyport(['--help'])
      expect(stdout).toContain('Commands:')
      for (const verb of ['serve', 'ca init', 'ca show', 'ca rotate', 'ca rotate status', 'ca csr', 'device add', 'device set', 'device list', 'device show', 'device bundle', 'device enroll', 'device suspend', 'device resume', 'device quarantine', 'device retire', 'cert list', 'cert show', 'cert revoke', 'policy check', 'policy schema', 'policy explain', 'policy export mosquitto', 'policy import mosquitto', 'policy import emqx', 'policy import aws', 'detection list', 'detection clear', 'why', 'audit tail', 'audit verify', 'doctor', 'doctor connect']) {
        const help = await sallyport([...words(verb), '--help'])
        expect(help.status, verb).toBe(0)
        expect(help.stdout, verb).toMatch(new RegExp(`Example:\\n {2}sallyport ${verb}`))
        expect(help.stdout, verb).toContain('--home <dir>')
        expect(help.stdout, verb).toContain('--json')
      }
    })
  })

  describe.concurrent('hostile names', () => {
    const NAMES: readonly (readonly [string, string])[] = [
      ['a path', '../../etc/passwd'], ['__proto__', '__proto__'], ['a wildcard', 'a+b'], ['all topics', '#'], ['a level', 'a/b'], ['a Cyrillic look-alike', 'аdmin'],
      ['an escape sequence', 'a\u001b[2Jb'], ['a line break', 'a\nb'], ['an invisible joiner', 'a\u200db'], ['64 kB', 'x'.repeat(65_536)], ['nothing', ''],
    ]
    async function expectNoDevice(args: readonly string[]): Promise<void> {
      const { status, stdout, stderr } = await sallyport(args, { home })
      expect({ status, stdout }, args.join(' ').slice(0, 80)).toEqual({ status: EXIT.refused, stdout: '' })
      expect(stderr).toContain('This is not a device id')
      expect(stderr).not.toMatch(/[^\x20-\x7e\n…]/)
      expect(stderr.length).toBeLessThan(1_000)
    }

    test.each(NAMES)('%s is no device id, and is not printed raw', (_, name) => expectNoDevice(['device', 'add', name]))

    test.each([
      ['device', 'show', '../x'], ['device', 'suspend', '../x'], ['device', 'set', '../x', '--no-groups'], ['device', 'bundle', '../x', '--out', 'x'], ['why', '../x'], ['detection', 'clear', '../x'], ['cert', 'revoke', '--device', '../x'], ['cert', 'list', '--device', '../x'],
      ['policy', 'explain', '--device', '../x', '--publish', 'a'],
    ])('%s %s refuses it, too', (...args) => expectNoDevice(args))

    test('hostile groups and attributes are refused by their own names', async () => {
      expect((await sallyport(['device', 'add', 'a-3', '--group', 'a/b'], { home })).stderr).toContain('This is not a group name')
      expect((await sallyport(['device', 'add', 'a-3', '--attr', '__proto__=x'], { home })).stderr).toContain('An attribute name or value is not accepted')
      expect((await sallyport(['device', 'add', 'a-3', '--attr', 'm=a/#'], { home })).stderr).toContain('An attribute name or value is not accepted')
    })
  })
})

describe('names that are looked up in the home', () => {
  test.each([
    ['device show nobody', EXIT.notFound, 'No device of this name is registered'],
    ['cert show 00ff', EXIT.notFound, 'No such certificate'],
    ['detection clear nobody', EXIT.notFound, 'No device of this name is registered'],
    ['ca init', EXIT.refused, 'has a certificate authority already'],
  ])('%s', expectSentence)

  test('constructor is a name like any other', async () => {
    expect((await sallyport(['device', 'add', 'constructor', '--attr', 'constructor=toString'], { home })).status).toBe(0)
    expect(JSON.parse((await sallyport(['device', 'show', 'constructor', '--json'], { home })).stdout)).toMatchObject({ id: 'constructor', attributes: { constructor: 'toString' } })
  })
})

describe('configuration and policy', () => {
  test('a mistake in either ends a start with 78, its place and a suggestion, and nothing is begun', async () => {
    for (const [name, text, sentence] of [
      ['sallyport.yaml', 'listen:\n  mqtt:\n    prt: 8883\n', 'sallyport.yaml:3:5: unknown key "prt" in listen.mqtt. Did you mean "port"?'],
      ['policy.yaml', 'version: 1\ngrants:\n  - id: a\n    to: { group: sensors }\n    publish: ["t/${device.idd}/#"]\n', 'policy.yaml:5:'],
      ['policy.yaml', 'version: 1\ngrants:\n  - id: a\n    to: { group: sensors }\n    publish: ["t/#/x"]\n', 'policy.yaml:5:'],
    ] as const) {
      using other = temporary()
      writeFileSync(other.at(name), text)
      const { status, stdout, stderr } = await sallyport(['serve', '--ports', 'auto', '--home', other.folder])
      expect({ status, stdout }).toEqual({ status: EXIT.configuration, stdout: '' })
      expect(stderr).toContain(sentence)
      expect(existsSync(other.at('certs')), name).toBe(false)
      expect(existsSync(other.at('data/endpoints.json')), name).toBe(false)
    }
  })

  test('policy check lists all problems, for people and for programs', async () => {
    const bad = place.at('bad.yaml')
    writeFileSync(bad, 'version: 1\ngrnts: []\ngrants:\n  - id: a\n    to: { grup: sensors }\n')
    const told = await sallyport(['policy', 'check', bad])
    expect(told.status).toBe(EXIT.configuration)
    expect(told.stderr).toContain('bad.yaml:2:1: unknown key "grnts"')
    const asked = await sallyport(['policy', 'check', bad, '--json'])
    expect(asked.status).toBe(EXIT.configuration)
    const { ok, problems } = JSON.parse(asked.stdout) as { ok: boolean; problems: { line: number; column: number; message: string }[] }
    expect(ok).toBe(false)
    expect(problems.map((p) => p.line)).toEqual([2, 5])
  })

  test('policy check reads what is in policy.d beside the file, in whichever form', async () => {
    using whole = temporary()
    mkdirSync(whole.at('policy.d'))
    writeFileSync(whole.at('site.policy'), 'any\n  pub a\n')
    expect((await sallyport(['policy', 'check', whole.at('site.policy')])).stdout).toBe(`${whole.at('site.policy')} is a policy.\n`)
    writeFileSync(whole.at('policy.d/a.yaml'), 'version: 1\ngrants: [ { id: a, to: any } ]\n')
    writeFileSync(whole.at('policy.d/.b.yaml.swp'), 'nonsense: [')
    expect((await sallyport(['policy', 'check', whole.at('site.policy')])).stdout).toBe(`${whole.at('site.policy')} and 1 more in policy.d are a policy.\n`)
    writeFileSync(whole.at('policy.d/c.policy'), 'any\n  id a\n  pbu x\n')
    symlinkSync('d.yaml', whole.at('policy.d/d.yaml'))
    const told = await sallyport(['policy', 'check', whole.at('site.policy'), '--json'])
    expect(told.status).toBe(EXIT.configuration)
    expect(JSON.parse(told.stdout)).toEqual({ file: whole.at('site.policy'), files: ['site.policy', 'policy.d/a.yaml', 'policy.d/c.policy'], ok: false, problems: [
      { file: 'policy.d/c.policy', line: 2, column: 6, message: 'the rule id "a" is taken, by policy.d/a.yaml:2.', fix: 'Give every rule an id of its own.', rule: 'a' },
      { file: 'policy.d/c.policy', line: 3, column: 3, message: 'a grant has no line "pbu".', fix: 'Did you mean "pub"?', rule: 'a' },
      { file: 'policy.d/d.yaml', line: 1, column: 1, message: 'the file cannot be read (its links lead in a circle).', fix: 'Restore the file, or remove it.' },
    ] })
  })

  test('policy schema prints what an editor needs, wherever it is asked', async () => {
    const { status, stdout } = await sallyport(['policy', 'schema', '--home', place.at('no-home')])
    expect([status, stdout]).toEqual([0, readFileSync(path.resolve(import.meta.dirname, '../../docs/policy.schema.json'), 'utf8')])
  })
})

describe('homes', () => {
  test('a home that cannot be written is a sentence', async () => {
    writeFileSync(place.at('plain'), '')
    const { status, stderr } = await sallyport(['ca', 'init', '--home', place.at('plain/home')])
    expect(status).toBe(EXIT.configuration)
    expect(stderr).toMatch(/^sallyport: The home .* cannot be written\.\nfix: /)
  })

  test('a command in a folder that is no home makes nothing there', async () => {
    using other = temporary()
    const { status, stderr } = await sallyport(['device', 'list'], { cwd: other.folder })
    expect(status).toBe(EXIT.configuration)
    expect(stderr).toContain('sallyport ca init')
    expect(readdirSync(other.folder)).toEqual([])
  })

  test('a key that others can read stops the command that needs it, and no other', async () => {
    using other = temporary()
    await sallyport(['ca', 'init', '--home', other.folder])
    chmodSync(other.at('certs/local/issuing.key'), 0o644)
    await sallyport(['device', 'add', 'k-1', '--home', other.folder])
    const { status, stderr } = await sallyport(['device', 'bundle', 'k-1', '--out', other.at('k-1'), '--home', other.folder])
    expect(status).toBe(EXIT.configuration)
    expect(stderr).toContain('chmod 600')
    // The key that was made for it did not stay behind.
    expect(readdirSync(other.at('k-1'))).toEqual([])
  })

  test('a database that is none is not touched', async () => {
    using other = temporary()
    mkdirSync(other.at('data'))
    writeFileSync(other.at('data/registry.db'), 'this is no database, but somebody\'s only copy')
    const { status, stderr } = await sallyport(['device', 'list', '--home', other.folder])
    expect(status).toBe(EXIT.configuration)
    expect(stderr).toMatch(/^sallyport: .*registry\.db.*\nfix: /)
    expect(readFileSync(other.at('data/registry.db'), 'utf8')).toContain('only copy')
  })
})
