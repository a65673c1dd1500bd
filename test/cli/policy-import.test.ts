// policy import as a person uses it: the policy and what was lost, the exit code, JSON for programs, and files that are written
// whole or not at all.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { readPolicy } from '../../src/policy-file.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { sallyport, Session, temporary } from './shell.ts'

const place = temporary()
afterAll(() => place[Symbol.dispose]())
const file = (name: string, text: string): string => {
  writeFileSync(place.at(name), text)
  return place.at(name)
}
const run = (...args: readonly string[]) => sallyport(['policy', 'import', ...args])

test('three translations, as a person sees them', async () => {
  file('aclfile', 'topic read $SYS/#\n\nuser roger\ntopic foo/bar\ntopic deny foo/bar/secret\n\npattern write t/%u/#\n')
  file('acl.conf', '%% ours\n{allow, {ipaddr, "10.0.0.0/8"}, all, ["plant/#"]}.\n{deny, {clientid, {re, "^guest"}}, publish, ["t/secret"]}.\n{allow, all, publish, ["t/${username}/#", "t/secret"]}.\n{deny, all}.\n')
  file('sensors.json', JSON.stringify({ Version: '2012-10-17', Statement: [
    { Effect: 'Allow', Action: 'iot:Connect', Resource: 'arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}' },
    { Effect: 'Allow', Action: ['iot:Publish', 'iot:RetainPublish'], Resource: 'arn:aws:iot:eu-west-1:123456789012:topic/t/${iot:Connection.Thing.ThingName}/*' },
    { Effect: 'Allow', Action: 'iot:Subscribe', Resource: 'arn:aws:iot:eu-west-1:123456789012:topicfilter/$aws/things/*' },
  ] }, null, 2))
  const session = new Session(place.folder)
  await session.run('policy import mosquitto DIR/aclfile')
  await session.run('policy import emqx DIR/acl.conf')
  await session.run('policy import aws DIR/sensors.json')
  await session.run('policy import mosquitto DIR/aclfile --out DIR/policy.yaml')
  await session.run('policy check DIR/policy.yaml')
  await expect(session.text).toMatchFileSnapshot('golden/policy-import.txt')
})

describe.concurrent('the exit code', () => {
  test('0 where nothing was lost, 4 where something was, with the policy either way', async () => {
    const [all, some] = [await run('mosquitto', file('whole', 'user a\ntopic a\n')), await run('mosquitto', file('part', 'user a\ntopic a\ntopic $SYS/#\n'))]
    expect([all.status, all.stderr, some.status]).toEqual([EXIT.ok, '', EXIT.refused])
    expect(some.stderr).toBe('part:3:7: left out: topic $SYS/#: topics that begin with $ are reserved, and nothing grants them.\n')
    for (const { stdout } of [all, some]) expect('policy' in readPolicy('policy.yaml', stdout, 1)).toBe(true)
  })

  test('a remark alone is no loss', async () => {
    const { status, stderr } = await run('mosquitto', file('remark', 'user a\ntopic a\ntopic deny $SYS/#\n'))
    expect([status, stderr]).toEqual([EXIT.ok, expect.stringContaining('remark: ')])
  })

  test.each([
    ['mosquitto', 'nonsense\nmore\n', 'bad-mosquitto:1:1: "nonsense" is no keyword'], ['emqx', '{allow, all}', 'bad-emqx:1:13: a term must end with a dot'],
    ['aws', '{"Version":"2012-10-17"}', 'bad-aws:1:1: the policy has no Statement'], ['aws', '{"Version":', 'bad-json:1:12: not valid YAML'],
  ])('78 where it is no %s file: every problem, and no policy', async (kind, text, problem) => {
    const [name = ''] = problem.split(':')
    const { status, stdout, stderr } = await run(kind, file(name, text), '--out', place.at(`${name}.yaml`))
    expect([status, stdout, stderr.includes(problem), existsSync(place.at(`${name}.yaml`))]).toEqual([EXIT.configuration, '', true, false])
  })

  test('3 where there is no file, 2 where nobody is named', async () => {
    const answers = [await run('emqx', place.at('gone')), await run('aws', file('a b.json', '{"Version":"2012-10-17","Statement":[]}')), await run('aws')]
    expect(answers.map(({ status, stdout }) => [status, stdout])).toEqual([[EXIT.notFound, ''], [EXIT.usage, ''], [EXIT.usage, '']])
  })
})

describe.concurrent('JSON', () => {
  test('has the policy, and every finding with its place', async () => {
    const { status, stdout, stderr } = await run('aws', file('j.json', JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['iot:Connect', 'iot:Publish'], Resource: ['arn:aws:iot:r:1:client/${iot:Connection.Thing.ThingName}', 'arn:aws:iot:r:1:topic/a?'] }] })), '--to', 'any', '--json')
    const answer = JSON.parse(stdout)
    expect([status, stderr, answer.complete, answer.leftOut, answer.narrowed, answer.remarks]).toEqual([EXIT.refused, '', false, 1, 0, 0])
    expect(answer.findings).toEqual([{ file: 'j.json', line: 1, column: 166, path: 'Statement[0].Resource[1]', kind: 'left-out', original: 'arn:aws:iot:r:1:topic/a?', why: expect.stringContaining('a wildcard of MQTT') }])
    expect('policy' in readPolicy('policy.yaml', answer.policy, 1)).toBe(true)
  })

  test('has the problems of what is none', async () => {
    const { status, stdout } = await run('mosquitto', file('jbad', 'nonsense\n'), '--json')
    expect([status, JSON.parse(stdout)]).toEqual([EXIT.configuration, { complete: false, problems: [{ file: 'jbad', line: 1, column: 1, message: '"nonsense" is no keyword of an ACL file.', fix: expect.any(String) }] }])
  })
})

describe('the file', () => {
  test('a policy that is there is not replaced without --force, and nothing else is left behind', async () => {
    const acl = file('acl', 'user a\ntopic a\n')
    const out = file('kept.yaml', 'mine')
    const kept = await run('mosquitto', acl, '--out', out)
    expect([kept.status, kept.stdout, readFileSync(out, 'utf8')]).toEqual([EXIT.refused, '', 'mine'])
    const replaced = await run('mosquitto', acl, '--out', out, '--force')
    expect([replaced.status, replaced.stdout.includes('1 rules; nothing is lost.'), 'policy' in readPolicy('p', readFileSync(out, 'utf8'), 1), (statSync(out).mode & 0o777).toString(8)]).toEqual([EXIT.ok, true, true, '644'])
    expect(readdirSync(place.folder).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  test('tabs and Windows line ends are JSON, too', async () => {
    const { status, stdout } = await run('aws', file('tabs.json', '{\r\n\t"Version":\t"2012-10-17",\r\n\t"Statement":\t[\r\n\t\t{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }\r\n\t]\r\n}\r\n'), '--to', 'any')
    expect([status, 'policy' in readPolicy('policy.yaml', stdout, 1)]).toEqual([EXIT.refused, true])
  })

  test.each([
    ['mosquitto', `${'pattern deny a/%u\n'.repeat(20_000)}${'pattern read a/%c\n'.repeat(20_000)}`],
    ['emqx', `${'{deny, all, all, ["a"]}.\n'.repeat(20_000)}${'{allow, all, all, ["#"]}.\n'.repeat(20_000)}`],
    ['aws', JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: Array.from({ length: 20_000 }, (_, i) => `arn:aws:iot:r:1:topic/${i}`) }] })],
  ])('a %s file whose rules would take minutes is refused', async (kind, text) => {
    const { status, stdout, stderr } = await run(kind, file(`many-${kind}`, text))
    expect([status, stdout, stderr]).toEqual([EXIT.configuration, '', expect.stringContaining('Import it in parts.')])
  })

  test('one that would be larger than a policy may be is refused', async () => {
    const { status, stdout, stderr } = await run('mosquitto', file('large', `user a\n${'topic x\n'.repeat(200_000)}`))
    expect([status, stdout, stderr]).toEqual([EXIT.refused, '', expect.stringContaining('would be larger than')])
  })
})
