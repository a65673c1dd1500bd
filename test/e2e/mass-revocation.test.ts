// A group is revoked while another program holds the registry: its devices, which are connected, are out before the command fails; the
// command says what is not recorded, and its repeat records it.

import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sallyport } from '../cli/shell.ts'
import { holdWriteLock } from '../faults/storage.ts'
import { Program } from './program.ts'

const REVOKED = ['d-1', 'd-2', 'd-3'] as const
/** In the same group since the first start, and not connected. */
const DEMO = 'demo-sensor'
let program: Program
const clients = new Map<string, MqttClient>()
const ended = new Map<string, number>()

async function connected(id: string): Promise<MqttClient> {
  const file = (name: string): Buffer => readFileSync(path.join(program.home, 'bundles', id, name))
  return connectAsync({ protocol: 'mqtts', host: 'localhost', port: program.endpoints.mqtt.port, clientId: id, ca: file('ca.pem'), cert: Buffer.concat([file('device.pem'), file('chain.pem')]), key: file('device.key'), reconnectPeriod: 0, protocolVersion: 5 })
}

beforeAll(async () => {
  program = new Program()
  await program.serve()
  for (const id of [...REVOKED, 'other']) {
    program.device(id, id === 'other' ? 'backend' : 'sensors')
    const client = await connected(id)
    client.on('error', () => {}).once('close', () => ended.set(id, performance.now()))
    clients.set(id, client)
  }
}, 90_000)
afterAll(async () => {
  for (const client of clients.values()) client.end(true)
  await program[Symbol.asyncDispose]()
})

test('the registry is locked by another program: all are out, it is said, and a repeat records it', async () => {
  const revoke = (): ReturnType<typeof sallyport> => sallyport(['cert', 'revoke', '--group', 'sensors', '--reason', 'keyCompromise', '--yes'], { home: program.home })
  const registry = path.join(program.home, 'data/registry.db')
  expect(existsSync(registry)).toBe(true)
  {
    await using _lock = await holdWriteLock(registry)
    const { status, stderr } = await revoke()
    expect(stderr).toContain('Of 4 certificates 0 are revoked and recorded; the other 4 are revoked in this server for as long as it runs, and not recorded')
    expect(stderr).toContain('3 sessions closed.')
    expect(stderr).toContain('repeat the command')
    expect(status).toBe(1)
    // Out, and it stays so: nobody comes in with these certificates.
    expect([...ended.keys()].toSorted()).toEqual([...REVOKED])
    for (const id of REVOKED) await expect(connected(id)).rejects.toThrow()
  }
  const { status, stdout } = await revoke()
  expect([status, stdout]).toEqual([0, expect.stringContaining('Revoked 4 certificates of 4 devices.')])
  const states = (program.json('cert', 'list', '--state', 'revoked') as { readonly items: readonly { readonly device?: string }[] }).items.flatMap(({ device }) => device ?? [])
  expect(states.toSorted()).toEqual([...REVOKED, DEMO])
  expect(ended.has('other')).toBe(false)
  expect(clients.get('other')?.connected).toBe(true)
}, 60_000)
