// Every way to a first certificate, and to the next one, against a server that gives them: each is let in with what came back, and what
// it may not have it does not get.

import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attemptConnect } from '../../../device-sim/raw-peer.ts'
import { castOf, type Player } from '../../../device-sim/scenario/cast.ts'
import { openFlow } from '../../../device-sim/scenario/enroll-flows.ts'
import type { ScenarioResult } from '../../../device-sim/scenario/outcome.ts'
import { readScenario } from '../../../device-sim/scenario/read-scenario.ts'
import { runScenario } from '../../../device-sim/scenario/run-scenario.ts'
import { openIdentities } from '../../../device-sim/identities.ts'
import { startOwnServer, type OpenedHome, type OwnServer } from '../../../device-sim/server-process.ts'

const signal = new AbortController().signal
let server: OwnServer
beforeAll(async () => {
  server = await startOwnServer(signal)
})
afterAll(() => server[Symbol.asyncDispose]())

const scenarioOf = (...steps: readonly string[]): string => `version: 1
name: enrollment
groups:
  one: { count: 2, enroll: live }
phases:
${steps.map((step, i) => `  - { name: "${i}", do: [ { ${step} } ] }\n`).join('')}`

let runs = 0
function play(...steps: readonly string[]): Promise<ScenarioResult> {
  const prefix = `flow${(runs += 1)}`
  const { home } = server
  return runScenario({ scenario: readScenario('s.yaml', scenarioOf(...steps)), target: home.target, identities: openIdentities(home.admin, prefix), home, pid: () => home.pid(), sources: { next: () => undefined }, prefix, signal, onPhase: () => {}, onProgress: () => {} })
}

const players = (prefix: string): readonly Player[] => castOf(readScenario('s.yaml', scenarioOf('disconnect: { group: one }')), prefix)

describe.each(['request', 'token', 'claim', 'manufacturer', 'password', 'server-key'] as const)('enroll with: %s', (how) => {
  test('devices are let in with what comes back, renew with it over EST and over MQTT, and are let in again', async () => {
    const result = await play(`enroll: { group: one, with: ${how} }`, 'connect: { group: one }', 'renew: { group: one, with: est }', 'renew: { group: one, with: mqtt }')
    expect(result.failures.shown).toEqual([])
    expect(result).toMatchObject({ ok: true, timings: { enroll: { count: 2 }, connect: { count: 2 }, renew: { count: 4 } } })
  })
})

test('a certificate more under an id that is registered, and under one that is not, is let in: so a damaged one is made anew', async () => {
  const identities = openIdentities(server.home.admin, 'again')
  const { id } = await identities.fresh('kept')
  for (const each of [id, 'again-new']) {
    const { seen, peer } = await attemptConnect({ target: server.home.target, credentials: await identities.again(each), version: 5 }, each)
    peer.end()
    expect([each, seen.kind]).toEqual([each, 'admitted'])
  }
})

describe('what is not given', () => {
  test('a claim enrolls each device once: for another key it gives nothing', async () => {
    const two = players('claimed')
    const ask = await openFlow('claim', server.home, two)
    const [first] = two
    if (first === undefined) throw new Error('a device is needed')
    const { cert } = await ask(first)
    expect(new X509Certificate(cert).subject).toBe(`CN=${first.id}`)
    await expect(ask(first)).rejects.toThrow('HTTP 409 device-enrolled')
  })

  test('a password of the factory is good once, and only for its own device', async () => {
    const two = players('labelled')
    const ask = await openFlow('password', server.home, two)
    const [first, second] = two
    if (first === undefined || second === undefined) throw new Error('two devices are needed')
    await ask(first)
    await expect(ask(first)).rejects.toThrow(/^HTTP 403 /)
    await expect(ask({ ...second, id: `${second.id}0` })).rejects.toThrow('nothing to prove itself with')
    await expect(ask(second)).resolves.toHaveProperty('cert')
  })

  test('a manufacturer speaks for the devices of its token, and its certificates open no MQTT port', async () => {
    const two = players('made')
    const ask = await openFlow('manufacturer', server.home, two)
    await expect(ask({ ...(two[0] as Player), id: 'somebody-else' })).rejects.toThrow(/^HTTP 40[13] /)
    const made = await ask(two[0] as Player)
    const { seen, peer } = await attemptConnect({ target: server.home.target, credentials: made, version: 5 }, two[0]?.id ?? '')
    peer.end()
    expect(seen.kind).toBe('admitted')
  })

  test('a suspended device gets no next certificate, for the reason that is expected and for no other', async () => {
    const steps = ['enroll: { group: one }', 'connect: { group: one }', 'suspend: { group: one }']
    expect(await play(...steps, 'renew: { group: one, with: est, expect: { refused: device-suspended } }')).toMatchObject({ ok: true, failures: { count: 0 } })
    const wrong = await play(...steps, 'renew: { group: one, with: est, expect: { refused: certificate-expired } }')
    expect(wrong.failures.shown[0]).toMatchObject({ step: expect.stringMatching(/^renew \(line \d+\)$/), expected: 'refused (certificate-expired)', seen: 'HTTP 403 device-suspended' })
  })

  test('of a home that is somebody\'s, keys are not allowed by the simulator, and manufacturers are not invented', async () => {
    const { issuingAuthority: _, makerAuthority: __, ...somebodys } = server.home
    const served: OpenedHome = { ...somebodys, command: () => Promise.reject(new Error('nothing is to be commanded')) }
    await expect(openFlow('manufacturer', served, players('theirs'))).rejects.toThrow('only in a home that the simulator made')
    await expect(openFlow('server-key', served, players('theirs'))).resolves.toBeTypeOf('function')
  })
})
