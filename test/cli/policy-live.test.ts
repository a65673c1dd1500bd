// A change of policy as an operator makes it, beside a subscriber that is connected, word for word. `npx vitest run test/cli -u`
// writes the transcript anew. docs/tasks.md shows the same in its session.

import { appendFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { client, has, Program, type Client } from '../e2e/program.ts'
import { sallyport } from './shell.ts'

const MOSQUITTO = has('mosquitto_pub') && has('mosquitto_sub')
const GOLDEN = path.resolve(import.meta.dirname, 'golden/policy-live.txt')

const TESTS = `version: 1
devices: { sensor-7: { groups: [sensors] } }
tests:
  - { device: sensor-7, subscribe: cmd/sensor-7/led, expect: allow }
  - { device: sensor-7, subscribe: cmd/sensor-7/reboot, expect: allow }
`
const EDIT = `deny:
  - { id: no-reboot, to: any, subscribe: ["cmd/+/reboot"] }
`

describe.skipIf(!MOSQUITTO)('a change of policy (needs mosquitto-clients)', () => {
  let program: Program
  const lines: string[] = []
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  const at = (name: string): string => path.join(program.home, name)
  const plain = (text: string): string => text.trimEnd().replaceAll(program.home, '.').replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME')

  function typed(command: string, output = ''): void {
    lines.push(`$ ${command}`, ...(output === '' ? [] : [plain(output)]))
  }

  async function run(line: string, status = 0): Promise<string> {
    const answer = await sallyport(line.split(' '), { home: program.home, cwd: program.home })
    expect(answer.status, answer.stderr).toBe(status)
    typed(`sallyport ${line}`, answer.stdout + answer.stderr + (status === 0 ? '' : `[exit ${status}]`))
    return answer.stdout
  }

  function mosquitto(tool: 'pub' | 'sub', bundle: string, ...args: string[]): Client {
    return client(`mosquitto_${tool}`, ['-h', 'localhost', '-p', String(program.endpoints.mqtt.port), '--cafile', `${bundle}/ca.pem`, '--cert', `${bundle}/device.pem`, '--key', `${bundle}/device.key`, '-V', '5', ...args])
  }

  /** A backend commands both, one after the other: what is to come has come with the second. */
  async function command(payload: string): Promise<void> {
    for (const topic of ['cmd/sensor-7/reboot', 'cmd/sensor-7/led']) expect(await mosquitto('pub', at('demo/demo-backend'), '-i', 'demo-backend', '-q', '1', '-t', topic, '-m', payload).ended).toBe(0)
  }

  test('takes from a live subscriber what it denies, and nothing else; why and explain name the line, and the old test fails', async () => {
    writeFileSync(at('policy.test.yaml'), TESTS)
    const bundle = program.device('sensor-7')
    typed('cat policy.test.yaml', TESTS)
    await run('policy test policy.test.yaml')
    const live = mosquitto('sub', bundle, '-d', '-v', '-i', 'sensor-7', '-q', '1', '-t', 'cmd/sensor-7/led', '-t', 'cmd/sensor-7/reboot')
    await live.saw('SUBACK')
    typed("mosquitto_sub -i sensor-7 … -v -t cmd/sensor-7/led -t cmd/sensor-7/reboot &")
    await command('before')
    await live.saw('cmd/sensor-7/led before')
    expect(live.output()).toContain('cmd/sensor-7/reboot before')

    appendFileSync(at('policy.yaml'), EDIT)
    typed("cat >> policy.yaml", EDIT)
    expect(await run('policy diff --fleet')).toContain('connected session sensor-7 would lose cmd/sensor-7/reboot')
    expect(live.output()).not.toContain('DISCONNECT')
    const { stdout } = await sallyport(['policy', 'apply'], { home: program.home })
    typed('sallyport policy apply', `…\n${stdout.trimEnd().split('\n').at(-1) ?? ''}`)

    await command('after')
    await live.saw('cmd/sensor-7/led after')
    expect(live.output()).not.toContain('cmd/sensor-7/reboot after')
    typed("for t in reboot led; do mosquitto_pub -i demo-backend … -t cmd/sensor-7/$t -m after; done", 'cmd/sensor-7/led after')
    live.process.kill()

    expect(await run('why sensor-7')).toContain('rule no-reboot at policy.yaml:')
    expect(await run('policy explain --device sensor-7 --subscribe cmd/sensor-7/reboot')).toContain('rule no-reboot at policy.yaml:')
    expect(await run('policy test policy.test.yaml', 1)).toContain('1 passed, 1 failed')
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(GOLDEN)
  })
})
