// The commands about a policy in a home where no server runs, as a golden file: `npx vitest run test/cli -u` writes it anew,
// and a person reads the difference.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { Session, sallyport, temporary } from './shell.ts'

const place = temporary()
afterAll(() => place[Symbol.dispose]())

const NEXT = `version: 1
groups: { plant: [sensors, pumps] }
grants:
  - id: sensor
    to: { group: plant }
    when: { source: [10.0.0.0/8], time: { days: [mon-fri], from: "06:00", to: "22:00", zone: Europe/Berlin } }
    publish: [ { topic: "t/\${device.id}/#", qos: 1 }, "model/\${device.attr.model}" ]
    subscribe: [ "cmd/\${device.id}/+" ]
  - { id: all, to: any, subscribe: ["#"] }
  - { id: gone, to: { group: valves }, publish: ["v/a"] }
deny:
  - { id: no-model, to: any, publish: ["model/#"] }
`
const TESTS = `version: 1
policy: next.yaml
devices:
  s-1: { groups: [sensors], attributes: { model: k2 } }
tests:
  - { device: s-1, publish: t/s-1/a, when: { source: 10.0.0.7, at: 2026-06-01T12:00:00Z }, expect: allow, rule: sensor }
  - { device: s-1, publish: t/s-1/a, when: { source: 192.0.2.7, at: 2026-06-01T12:00:00Z }, expect: deny, name: not from elsewhere }
  - { device: s-1, publish: model/k2, when: { source: 10.0.0.7, at: 2026-06-01T12:00:00Z }, expect: allow, name: tells its model }
  - { device: s-1, publish: t/s-1/a, expect: allow, name: says too little }
`

test('the tools of policy without a server', async () => {
  const session = new Session(place.folder)
  const day = (line: string) => session.run(line)
  writeFileSync(place.at('next.yaml'), NEXT)
  writeFileSync(place.at('next.test.yaml'), TESTS)
  writeFileSync(place.at('empty.yaml'), 'version: 1\n')
  writeFileSync(place.at('wrong.yaml'), 'version: 1\ngrnts: []\n')
  writeFileSync(place.at('wrong.test.yaml'), 'version: 1\ntests:\n  - { device: s-1, publsh: a, expect: alow }\n')

  await day('policy test next.test.yaml --junit report.xml')
  await day('policy test wrong.test.yaml --policy next.yaml')
  await day('policy lint next.yaml --strict')
  await day('policy diff next.yaml --from empty.yaml')
  await day('ca init')
  await day('device add s-1 --group sensors --attr model=k2')
  await day('device add b-1 --group backend')
  await day('policy lint next.yaml --fleet')
  await day('policy explain --device s-1 --publish t/s-2/a')
  await day('policy explain --device s-1 --publish t/s-1/a --policy next.yaml --at 2026-06-01T12:00:00Z')
  await day('policy explain --device s-1 --publish t/s-1/a --policy next.yaml --at 2026-06-06T12:00:00Z --source 10.0.0.7')
  await day('policy explain --device s-1 --connect other')
  await day('policy who-can subscribe t/s-1/#')
  await day('policy who-can publish t/s-1/a --policy next.yaml --at 2026-06-01T12:00:00Z --json')
  await day('policy diff next.yaml --fleet')
  await day('policy apply wrong.yaml')
  await day('policy apply empty.yaml')
  await day('policy apply next.yaml --dry-run')
  await day('policy apply next.yaml')
  await day('policy history')
  await day('policy apply next.yaml --base 7')
  await day('policy rollback 9')
  await day('policy rollback')
  await day('policy history --json')
  await expect(session.text).toMatchFileSnapshot('golden/policy-tools.txt')
  expect(readFileSync(place.at('report.xml'), 'utf8')).toMatch(/^<\?xml [\s\S]*<testsuites .*tests="4" failures="2"[\s\S]*<failure type="publish-denied"/)
})

describe('what was not meant', () => {
  const cli = (...args: string[]) => sallyport(args, { home: place.at('home'), cwd: place.folder })

  test.each([
    [['policy', 'explain', '--device', 's-1'], EXIT.usage, 'Ask exactly one thing'],
    [['policy', 'explain', '--device', 's-1', '--publish', 'a', '--will', 'a'], EXIT.usage, 'Ask exactly one thing'],
    [['policy', 'explain', '--device', 's-1', '--publish', 'a', '--source', 'here'], EXIT.usage, '--source takes an address'],
    [['policy', 'explain', '--device', 's-1', '--publish', 'a', '--at', 'tomorrow'], EXIT.usage, '--at takes an instant'],
    [['policy', 'explain', '--device', 's-1', '--publish', 'a', '--bytes', '-1'], EXIT.usage, '--bytes takes a whole number'],
    [['policy', 'explain', '--device', 's-1', '--publish', 'a', '--policy', 'nowhere.yaml'], EXIT.notFound, 'There is no policy file nowhere.yaml'],
    [['policy', 'explain', '--device', 'nobody', '--publish', 'a'], EXIT.notFound, 'No device of this name'],
    [['policy', 'who-can', 'connect', 'a'], EXIT.usage, 'Allowed choices are publish, subscribe, receive, will'],
    [['policy', 'who-can', 'publish', 'a', '--limit', 'all'], EXIT.usage, '--limit takes a whole number'],
    [['policy', 'test', 'nowhere.yaml'], EXIT.notFound, 'There is no file nowhere.yaml'],
    [['policy', 'test', 'next.test.yaml', '--policy', 'wrong.yaml'], EXIT.configuration, 'wrong.yaml:2:1: unknown key "grnts"'],
    [['policy', 'test', 'next.test.yaml', '--junit', 'next.yaml'], EXIT.refused, 'is no XML'],
    [['policy', 'lint', 'wrong.yaml'], EXIT.configuration, 'wrong.yaml:2:1'],
    [['policy', 'diff', 'next.yaml', '--from', '99'], EXIT.notFound, 'generation 99'],
    [['policy', 'rollback', 'yesterday'], EXIT.usage, 'rollback takes a whole number'],
  ])('%j is answered with a suggestion', async (args, status, words) => {
    const answer = await cli(...args)
    expect([answer.status, answer.stdout]).toEqual([status, ''])
    expect(answer.stderr).toContain(words)
  })

  test('lint without --strict, and tests that pass, end well', async () => {
    expect((await cli('policy', 'lint', 'next.yaml')).status).toBe(EXIT.ok)
    writeFileSync(place.at('one.test.yaml'), 'version: 1\ndevices: { s: }\ntests: [ { device: s, publish: nothing, expect: deny } ]\n')
    expect(await cli('policy', 'test', 'one.test.yaml')).toMatchObject({ status: EXIT.ok, stdout: expect.stringContaining('1 passed, 0 failed') })
    expect(existsSync(place.at('report.xml'))).toBe(true)
  })
})
