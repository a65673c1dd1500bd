// A scenario file and its mistakes: each said with line, column and what was perhaps meant. And the files that come along.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readScenario, readScenarioFile } from '../../../device-sim/scenario/read-scenario.ts'
import { scenarioSchema } from '../../../device-sim/scenario/scenario.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const SCENARIOS = path.join(ROOT, 'device-sim/scenarios')
const files = readdirSync(SCENARIOS).filter((file) => file.endsWith('.yaml'))

const FILE = `version: 1
name: a test
groups:
  sensors: { count: 10 }
  backend: { count: 1, role: backend }
phases:
  - name: arrive
    do:
      - connect: { group: sensors, over: 1.5s }
  - name: speak
    for: 2m
    do:
      - publish: { group: [sensors, backend], rate: 10, qos: 0 }
thresholds:
  lost: 3
  delivery.p99: 250ms
`

function mistakes(text: string): readonly string[] {
  try {
    readScenario('s.yaml', text)
  } catch (error) {
    return error instanceof Error ? error.message.split('\nsim: ') : [String(error)]
  }
  return []
}

test('a scenario is read with its defaults, durations in milliseconds, and the lines of its steps', () => {
  const scenario = readScenario('s.yaml', FILE)
  expect(scenario).toMatchObject({ name: 'a test', seed: 1, thresholds: { 'lost': 3, 'delivery.p99': 250 } })
  expect(scenario.groups.get('sensors')).toMatchObject({ count: 10, role: 'sensors', protocol: 'both', session: 'clean' })
  expect(scenario.phases[0]).toEqual({ name: 'arrive', forMs: undefined, steps: [{ kind: 'connect', line: 9, group: ['sensors'], over: 1_500, expect: 'accepted' }] })
  expect(scenario.phases[1]).toMatchObject({ forMs: 120_000, steps: [{ kind: 'publish', line: 13, topic: 't/${id}/reading', bytes: 64, qos: 0 }] })
})

describe('a mistake is said where it stands, with what was perhaps meant', () => {
  test.each([
    [FILE.replace('connect:', 'conect:'), 's.yaml:9:9: there is no step "conect". Did you mean connect?'],
    [FILE.replace('group: sensors,', 'group: sensor,'), 's.yaml:9:9: there is no group "sensor". Did you mean sensors?'],
    [FILE.replace('over: 1.5s', 'ovr: 1.5s'), 's.yaml:9:36: "ovr" is not known here. Did you mean over?'],
    [FILE.replace('over: 1.5s', 'over: 1.5'), 's.yaml:9:36: over: Invalid input: expected string, received number.'],
    [FILE.replace('over: 1.5s', 'over: soon'), 's.yaml:9:36: over: write a duration as 250ms, 10s, 5m or 1h.'],
    [FILE.replace('over: 1.5s', 'over: 99h'), 's.yaml:9:36: over: no longer than 24 h.'],
    [FILE.replace('count: 10', 'cout: 10'), 's.yaml:4:14: "cout" is not known here. Did you mean count?'],
    [FILE.replace('role: backend', 'role: back'), 's.yaml:5:24: groups.backend.role: Invalid option: expected one of "sensors"|"backend"|"ears".'],
    [FILE.replace('lost: 3', 'losst: 3'), 's.yaml:15:3: "losst" is not known here. Did you mean lost?'],
    [FILE.replace('delivery.p99', 'delivery.p98'), 's.yaml:16:3: "delivery.p98" is not known here. Did you mean delivery.p90?'],
    [FILE.replace('    for: 2m\n', ''), 's.yaml:10:5: the phase "speak" has a step with a rate (publish), so it must say how long: for: 10s.'],
    [FILE.replace('version: 1', 'version: 2'), 's.yaml:1:1: version: Invalid input: expected 1.'],
    [FILE.replace(/phases:[\s\S]*/, ''), 's.yaml:1:1: phases: a list of at least one phase is missing.'],
    [FILE.replace('- connect: { group: sensors, over: 1.5s }', '- connect: { group: sensors }\n        storm: { group: sensors }'), 's.yaml:10:9: a step is a mapping with one key: enroll, connect,'],
    [FILE.replace('connect: {', 'enroll: { with: clame,'), 's.yaml:9:19: with: Invalid option: expected one of "request"|"token"|"claim"|"manufacturer"|"password"|"server-key".'],
    ['name: [', 's.yaml:1:8: not valid YAML'],
    [FILE.replace('count: 10', 'count: 99999').replace('count: 1,', 'count: 2,'), '100001 devices in all; no more than 100000.'],
  ])('%#', (text, expected) => expect(mistakes(text).join('\n')).toContain(expected))

  test('all of them at once, in the order of the file', () => {
    expect(mistakes(FILE.replace('connect:', 'conect:').replace('rate: 10', 'rate: -1').replace('lost: 3', 'lots: 3')).map((line) => line.slice(0, 9))).toEqual(['s.yaml:9:', 's.yaml:13', 's.yaml:15'])
  })

  test('a file that is not there, with what was perhaps meant', async () => {
    await expect(readScenarioFile('nowhere.yaml')).rejects.toThrow(/^nowhere\.yaml is not a file that can be read\. Those that come along: .*first-day, .*steady-telemetry\.$/)
    await expect(readScenarioFile('firstday')).rejects.toThrow('firstday is not a file that can be read. Did you mean first-day? Those that come along: ')
  })

  test('one that comes along is found by its name', async () => expect(await readScenarioFile('first-day')).toMatchObject({ name: 'first day' }))
})

describe('the scenarios that come along', () => {
  test('are those that a fleet goes through', () => expect(files.length).toBeGreaterThanOrEqual(11))
  test.each(files)('%s is read, and editors find it right', async (file) => {
    const scenario = await readScenarioFile(path.join(SCENARIOS, file))
    expect(scenario.about).not.toBe('')
    const valid = new Ajv2020({ strict: false }).compile(scenarioSchema() as object)
    expect(valid(parse(readFileSync(path.join(SCENARIOS, file), 'utf8'))) ? [] : valid.errors).toEqual([])
  })
})

test('docs/scenario.schema.json is that of the program: npx vitest run test/device-sim/scenario -u writes it anew', async () => {
  await expect(`${JSON.stringify(scenarioSchema(), undefined, 2)}\n`).toMatchFileSnapshot(path.join(ROOT, 'docs/scenario.schema.json'))
})
