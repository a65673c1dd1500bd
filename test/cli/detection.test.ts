// The detection ladder from the command line, beside a running server that reads its rules anew, and in the home that it leaves.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { Program } from '../e2e/program.ts'
import { sallyport } from './shell.ts'

let program: Program
const cli = (...args: string[]) => sallyport(args, { home: program.home })
const json = async (...args: string[]): Promise<unknown> => JSON.parse((await cli(...args, '--json')).stdout)
const list = async (): Promise<readonly { device: string; rung: string; until?: number }[]> => ((await json('detection', 'list')) as { items: [] }).items
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

/** Puts these rules in force in the running server. */
async function rules(text: string): Promise<void> {
  const before = program.output.split('"reloaded').length
  writeFileSync(path.join(program.home, 'sallyport.yaml'), `detection: ${text}\n`)
  process.kill(program.endpoints.pid, 'SIGHUP')
  const { promise, resolve } = Promise.withResolvers<void>()
  const poll = setInterval(() => program.output.split('"reloaded').length > before && resolve(), 20)
  await promise
  clearInterval(poll)
}

/** A device that asks for so many topics that it may not have, and has heard of each. */
async function curious(bundle: string, topics: number): Promise<MqttClient> {
  const read = (name: string): Buffer => readFileSync(path.join(bundle, name))
  const client = await connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: read('ca.pem'), cert: read('device.pem'), key: read('device.key'), clientId: path.basename(bundle), protocolVersion: 5, reconnectPeriod: 0 })
  for (let i = 0; i < topics; i++) await expect(client.publishAsync(`t/other-${i}/temperature`, 'x', { qos: 1 })).rejects.toThrow(/Not authorized/i)
  return client
}

describe('beside a server', () => {
  test('nobody is on the ladder at first, and whoever misbehaves a little is not', async () => {
    expect((await cli('detection', 'list')).stdout).toBe('Nobody is on the detection ladder.\n')
    await (await curious(program.device('det-0'), 20)).endAsync()
    expect(await list()).toEqual([])
  })

  test('with other rules, which a reload puts in force, the same is told of: in the list, in why, and in the audit log', async () => {
    await rules('{ topics: { observe: 3, throttle: 5 } }')
    const client = await curious(program.device('det-1'), 7)
    expect(await list()).toMatchObject([{ device: 'det-1', rung: 'throttle', signal: 'topics', since: expect.any(Number), until: expect.any(Number) }])
    const { stdout } = await cli('detection', 'list')
    expect(stdout).toMatch(/^DEVICE +RUNG +SINCE +UNTIL +WHY\ndet-1 +throttle +\S+Z +\S+Z +It asked for many different topics that it may not have: 5 different topics within 60 minutes\.\n$/)
    const why = (await cli('why', 'det-1')).stdout
    expect(why).toMatch(/It asked for many different topics .*: 5 different topics within 60 minutes\.\n {2}detection: from observe to throttle, until \S+ unless it goes on\n {2}fix: .* To take it off the ladder: sallyport detection clear det-1\.\n/)
    // Among the refusals, in the order in which they came.
    const order = why.split('\n').filter((line) => /^\d{4}-/.test(line)).map((line) => line.split('  ')[0] ?? '')
    expect(order).toEqual(order.toSorted().toReversed())
    expect(await json('audit', 'tail', '--count', '20')).toMatchObject({ items: expect.arrayContaining([expect.objectContaining({ event: expect.objectContaining({ action: 'detection', category: ['intrusion_detection'] }), device: { id: 'det-1' } })]) })
    expect(client.connected).toBe(true)
    await client.endAsync()
  })

  test('clear takes it off, once, and says so; why tells who did', async () => {
    expect((await cli('detection', 'clear', 'det-1')).stdout).toBe('det-1 was on throttle, and is on no rung now.\n')
    expect((await cli('detection', 'clear', 'det-1')).stdout).toBe('det-1 was on no rung.\n')
    expect(await json('detection', 'clear', 'det-1')).toEqual({ device: 'det-1', was: 'none', undone: false, state: 'active' })
    expect(await list()).toEqual([])
    expect((await cli('why', 'det-1')).stdout).toMatch(/^\S+ {2}An operator has looked at it\.\n {2}detection: from throttle to none\n/)
  })

  test('what an operator has done is left as it is, and said', async () => {
    await cli('device', 'suspend', 'det-1')
    expect((await cli('detection', 'clear', 'det-1')).stdout).toBe("det-1 was on no rung. That it is suspended is not the ladder's doing, and stays: sallyport device resume det-1.\n")
    expect(await json('device', 'show', 'det-1')).toMatchObject({ state: 'suspended' })
  })

  test('who is not there, and what is no name, is a sentence', async () => {
    const nobody = await cli('detection', 'clear', 'nobody')
    expect([nobody.status, nobody.stdout]).toEqual([EXIT.notFound, ''])
    expect(nobody.stderr).toContain('No device of this name is registered')
    expect((await cli('detection', 'clear', '../x')).status).toBe(EXIT.refused)
    expect((await cli('detection')).status).toBe(EXIT.usage)
  })

  test('a mistake in the rules leaves those that were in force', async () => {
    const before = readFileSync(path.join(program.home, 'sallyport.yaml'), 'utf8')
    writeFileSync(path.join(program.home, 'sallyport.yaml'), 'detection: { topics: { observe: 9, throttle: 8 } }\n')
    process.kill(program.endpoints.pid, 'SIGHUP')
    const { promise, resolve } = Promise.withResolvers<void>()
    const poll = setInterval(() => program.output.includes('detection.topics.throttle is lower') && resolve(), 20)
    await promise
    clearInterval(poll)
    writeFileSync(path.join(program.home, 'sallyport.yaml'), before)
    await (await curious(program.device('det-2'), 5)).endAsync()
    expect(await list()).toMatchObject([{ device: 'det-2', rung: 'throttle' }])
  })

  test('upTo: off lets everybody go, and watches nobody', async () => {
    await rules('{ upTo: off, topics: { observe: 3, throttle: 5 } }')
    await (await curious(program.device('det-3'), 7)).endAsync()
    const { promise, resolve } = Promise.withResolvers<void>()
    const poll = setInterval(() => void list().then((items) => items.length === 0 && resolve()), 200)
    await promise
    clearInterval(poll)
    expect((await cli('why', 'det-2')).stdout).toContain('The configuration has this rung no longer.')
  })
})

test('without a server the list is that of the registry: what was only counted is gone', async () => {
  await program.stop()
  expect((await cli('detection', 'list')).stdout).toBe('Nobody is on the detection ladder.\n')
  expect((await cli('detection', 'clear', 'det-2')).stdout).toBe('det-2 was on no rung.\n')
})
