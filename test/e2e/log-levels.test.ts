// The levels of the log, changed while the server runs, as an operator does it at the shell and by the API.

import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { connectDevice, readBundle } from '../console/device.ts'
import { Program } from './program.ts'

const program = new Program()
let bundle: string
beforeAll(async () => {
  await program.serve()
  bundle = program.device('sensor-1')
}, 60_000)
afterAll(() => program[Symbol.asyncDispose]())

/** Lines of the log that are said at debug, by whom. */
const lines = (): readonly Record<string, unknown>[] => program.output.split('\n').filter((line) => line.startsWith('{"level":20')).map((line) => JSON.parse(line) as Record<string, unknown>)
const levelOf = (room: string): unknown => (program.json('log', 'show') as { items: readonly { room: string; level: string }[] }).items.find((each) => each.room === room)?.level
const connect = async (): Promise<void> => (await connectDevice(program.endpoints.mqtt.port, 'sensor-1', readBundle(bundle))).endAsync()

test('one part says more, the others do not; a reset ends it, and the audit log has who did it', async () => {
  program.run('device', 'list')
  expect(lines()).toEqual([])
  const changed = program.run('log', 'level', 'debug', '--room', 'http', '--for', '10m')
  expect([changed.status, changed.stdout]).toEqual([EXIT.ok, expect.stringMatching(/^http: debug until \S+Z, then info again\n$/)])
  program.run('device', 'list')
  await expect.poll(lines).toContainEqual(expect.objectContaining({ room: 'http', method: 'GET', route: '/v1/devices', status: 200, operator: 'operator', msg: 'asked' }))
  await connect()
  expect(lines().filter(({ room }) => room !== 'http')).toEqual([])
  expect(program.run('log', 'show').stdout).toMatch(/^ROOM +LEVEL +UNTIL +CONFIGURED\nserver +info +- +info\n[\s\S]*\nhttp +debug +\S+Z +info\n/)
  expect(program.run('log', 'reset').stdout).toBe('every room: info, as configured\n')
  const { items } = program.json('audit', 'tail') as { items: readonly { event: { action: string }; message?: string; user?: object }[] }
  expect(items.filter(({ event }) => event.action === 'log-level-changed')).toMatchObject([
    { message: expect.stringMatching(/^http: debug until/) as string, user: { full_name: 'operator' } },
    { message: 'http: info as configured, because somebody asked for it' },
  ])
})

test('a connection is said by the broker while somebody looks, and after a second no more', async () => {
  program.run('log', 'level', 'debug', '--room', 'broker', '--for', '1s')
  await connect()
  // The line may come after the second: then the level was back before it was due.
  await expect.poll(() => levelOf('broker'), { timeout: 10_000 }).toBe('info')
  const before = lines().length
  await connect()
  expect(lines().length).toBe(before)
  program.run('log', 'level', 'debug', '--room', 'broker')
  await connect()
  await expect.poll(lines).toContainEqual(expect.objectContaining({ room: 'broker', 'sallyport.device': 'sensor-1', msg: 'connect' }))
})

test('a reload puts the configuration in force, whatever was changed before', async () => {
  program.run('log', 'level', 'debug')
  expect(levelOf('store')).toBe('debug')
  expect(program.run('reload').status).toBe(EXIT.ok)
  expect([levelOf('store'), levelOf('http')]).toEqual(['info', 'info'])
})

test('what is none is a usage error, who is no admin is refused, and without a server it is said that none runs', async () => {
  for (const args of [['everything'], ['debug', '--room', 'kitchen'], ['debug', '--for', '25h'], ['debug', '--for', '0s'], ['debug', '--for', 'ever']]) expect([args, program.run('log', 'level', ...args).status]).toEqual([args, EXIT.usage])
  program.run('operator', 'add', 'eve', '--role', 'operator')
  const asEve = { SALLYPORT_OPERATOR: path.join(program.home, 'operators/eve') }
  expect(program.runWith(asEve, 'log', 'level', 'debug')).toMatchObject({ status: EXIT.refused })
  expect(program.runWith(asEve, 'log', 'show')).toMatchObject({ status: EXIT.ok })
  await program.stop()
  expect(program.run('log', 'show')).toMatchObject({ status: EXIT.unreachable, stderr: expect.stringContaining('No server runs') as string })
})
