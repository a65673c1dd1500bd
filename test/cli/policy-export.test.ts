// policy export as a person uses it: in a home, with its registry, and of a policy alone.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { sallyport, temporary } from './shell.ts'

const place = temporary()
const home = place.at('home')
const LIMITED = place.at('limited.yaml')
const PLAIN = place.at('plain.yaml')
beforeAll(async () => {
  expect((await sallyport(['ca', 'init'], { home })).status).toBe(0)
  for (const id of ['s-1', 's-2']) expect((await sallyport(['device', 'add', id, '--group', 'sensors'], { home })).status).toBe(0)
  expect((await sallyport(['device', 'suspend', 's-2', '--yes'], { home })).status).toBe(0)
  writeFileSync(LIMITED, 'version: 1\ngrants:\n  - { id: s, to: { group: sensors }, publish: [{ topic: "t/${device.id}/#", qos: 1 }], subscribe: [{ topic: "cmd/${device.id}/+", qos: 1 }] }\n')
  writeFileSync(PLAIN, 'version: 1\ngrants:\n  - { id: s, to: any, subscribe: ["cmd/${device.id}/+"] }\n')
})
afterAll(() => place[Symbol.dispose]())

const run = (...args: readonly string[]) => sallyport(['policy', 'export', 'mosquitto', ...args], { home })

describe('in a home', () => {
  test('the devices of the registry have their lines, and who is suspended has none; 0 where all is held', async () => {
    const { status, stdout, stderr } = await run('--policy', LIMITED, '--setting', 'retain_available=false', '--setting', 'max_qos=1')
    expect([status, stderr, stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'))]).toEqual([EXIT.ok, '', ['user s-1', 'topic write t/s-1/#', 'topic read cmd/s-1/+', 'user s-2', 'topic deny #']])
    expect(stdout).toContain('#   retain_available false\n#   max_qos 1\n')
  })

  test('4 where something is not, with what is; the policy of the home when none is named', async () => {
    const { status, stdout, stderr } = await run()
    expect([status, stdout.includes('pattern'), stderr.split('\n')[0]]).toEqual([EXIT.refused, false, expect.stringMatching(/^policy\.yaml:\d+:\d+: left out: sensor: publish t\/\$\{device\.id\}\/#: who may write may retain\./)])
  })

  test('JSON has the file and every finding', async () => {
    const { status, stdout } = await run('--policy', LIMITED, '--json')
    const answer = JSON.parse(stdout)
    expect([status, answer.complete, answer.leftOut, answer.findings[0]]).toEqual([EXIT.refused, false, 2, { file: 'limited.yaml', line: 3, column: 48, kind: 'left-out', original: 's: publish t/${device.id}/#', why: expect.stringContaining('may retain') }])
    expect(answer.acl).toContain('user s-2\ntopic deny #')
  })

  test('a file that is there is not replaced without --force', async () => {
    writeFileSync(place.at('acl'), 'mine')
    const kept = await run('--policy', PLAIN, '--out', place.at('acl'))
    expect([kept.status, kept.stdout, readFileSync(place.at('acl'), 'utf8')]).toEqual([EXIT.refused, '', 'mine'])
    const replaced = await run('--policy', PLAIN, '--out', place.at('acl'), '--force')
    expect([replaced.status, replaced.stdout, readFileSync(place.at('acl'), 'utf8').includes('pattern read cmd/%u/+')]).toEqual([EXIT.ok, `${place.at('acl')}: nothing is lost.\n`, true])
  })
})

describe('elsewhere', () => {
  const outside = (...args: readonly string[]) => sallyport(['policy', 'export', 'mosquitto', ...args], { cwd: place.folder })

  test('a policy alone has what is for everybody, and says that there was no registry', async () => {
    const [plain, limited] = [await outside('--policy', PLAIN), await outside('--policy', LIMITED, '--setting', 'retain_available=false', '--setting', 'max_qos=1')]
    expect([plain.status, plain.stdout.includes('pattern read cmd/%u/+'), plain.stdout.includes('There was no registry')]).toEqual([EXIT.ok, true, true])
    expect([limited.status, limited.stderr]).toEqual([EXIT.refused, expect.stringContaining('stands in the registry: export in a home.')])
  })

  test('a deny in policy.d beside the policy is one of it', async () => {
    using whole = temporary()
    mkdirSync(whole.at('policy.d'))
    writeFileSync(whole.at('p.yaml'), 'version: 1\ngrants:\n  - { id: s, to: any, subscribe: ["cmd/${device.id}/+"] }\n')
    writeFileSync(whole.at('policy.d/no.policy'), 'deny sub cmd/+/secret\n  id no-secret\n')
    const { stdout, stderr } = await outside('--policy', whole.at('p.yaml'))
    expect(`${stdout}${stderr}`).toMatch(/cmd\/\+\/secret/)
  })

  test('a policy that is not there is named', async () => {
    const { status, stderr } = await outside('--policy', place.at('gone.yaml'))
    expect([status, stderr.includes(`There is no file ${place.at('gone.yaml')}.`)]).toEqual([EXIT.notFound, true])
  })

  test('without a policy there is nothing to export, and no home is made', async () => {
    const { status, stdout, stderr } = await outside()
    expect([status, stdout, stderr.includes('There is no Sallyport home'), existsSync(place.at('data'))]).toEqual([EXIT.configuration, '', true, false])
  })

  test.each([['retain_available=no'], ['max_qos=3'], ['message_size_limit=0'], ['max_qos'], ['constructor=1'], ['max_qos=1=2']])('--setting %s is refused', async (setting) => {
    const { status, stderr } = await outside('--policy', PLAIN, '--setting', setting)
    expect([status, stderr.includes(`--setting does not take ${setting}.`)]).toEqual([EXIT.usage, true])
  })

  test('a policy with a mistake is refused with its place', async () => {
    writeFileSync(place.at('bad.yaml'), 'version: 1\ngrants: [{ id: a }]\n')
    const { status, stdout, stderr } = await outside('--policy', place.at('bad.yaml'))
    expect([status, stdout, stderr.includes('bad.yaml:2:10: the rule does not say whom it is for.')]).toEqual([EXIT.configuration, '', true])
  })
})
