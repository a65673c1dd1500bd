// E21: the enrollment door under fire, and beside it, in the same program, devices that speak. The messages arrive, the bad requests are
// told what they are, memory stays bounded, and who comes afterwards is served. What it does to latencies is measured, not asserted:
// node bench/ca.ts --only hostile.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { privateKey } from '../../device-sim/forge/keys.ts'
import { forgeRequest } from '../../device-sim/forge/request.ts'
import { connectLight, type LightPeer } from '../../device-sim/load/light-peer.ts'
import { residentKb } from '../../bench/process-cpu.ts'
import { ask } from '../http/house.ts'
import { Program, type Endpoints } from './program.ts'

const FLOOD = path.resolve(import.meta.dirname, '../../bench/ca-hostile-flood.ts')
const SECONDS = 5
const MESSAGES = 500
/** What 400 connections take with TLS and a body each (about 60 MiB), the heap that the thread may have, and room for what is not collected yet. */
const GROWTH_MIB_MAX = 400
const MIB_KB = 1_024

let program: Program
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

const file = (name: string): string => readFileSync(path.join(program.home, name), 'utf8')
const http = (body: string, authorization?: string): string => `POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n${authorization === undefined ? '' : `Authorization: Bearer ${authorization}\r\n`}Content-Length: ${body.length}\r\n\r\n${body}`

interface Flooded {
  readonly answered: number
  readonly handshakes: number
  readonly statuses: Readonly<Record<string, number>>
}

test.each([['connections that stay open', false], ['a connection for each request', true]] as const)('a flood of bad requests over %s', { timeout: 120_000 }, async (_, isEachNew) => {
  const { mqtt, pid, enroll } = program.endpoints as Endpoints & { readonly enroll: { readonly port: number } }
  const id = `beside-${isEachNew ? 'new' : 'open'}`
  const ca = file('certs/local/root.pem')
  const heard: string[] = []
  const connectAs = (name: string, group: string): Promise<LightPeer> => {
    const folder = program.device(name, group)
    const [cert, key] = ['device.pem', 'device.key'].map((part) => readFileSync(path.join(folder, part), 'utf8'))
    return connectLight({
      target: { host: '127.0.0.1', port: mqtt.port, serverName: 'localhost', ca }, id: name, source: undefined, credentials: { cert: cert ?? '', key: key ?? '' },
      onMessage: (payload) => heard.push(payload.toString()), onEnd: (why) => heard.push(`cut off: ${why}`),
    })
  }
  const [device, backend] = [await connectAs(id, 'sensors'), await connectAs(`${id}-backend`, 'backend')]
  await backend.subscribe(`t/${id}/#`, 1)
  const token = program.run('token', 'create', '--id', id, '--uses', '100').stdout.split('\n')[0] ?? ''
  const forged = forgeRequest(privateKey(), id, { signWith: privateKey() })
  const requests = [http(forged), http(forged, '00000000-00000000000000000000000000'), http(forged, token), http('A'.repeat(2_000), token), http(Buffer.alloc(12_000, 0x30).toString('base64'), token), http('!'.repeat(60_000), token), 'GET /.well-known/est/fullcmc HTTP/1.1\r\nHost: localhost\r\n\r\n']
  const before = residentKb(pid)
  const flood = spawn(process.execPath, [FLOOD, JSON.stringify({ port: enroll.port, ca, seconds: SECONDS, perSecond: 10_000, connections: 400, isEachNew, requests })], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  flood.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const over = once(flood, 'close')
  // One after the other: each is on its way while the flood is.
  for (let i = 0; i < MESSAGES; i++) {
    device.publish(`t/${id}/n`, Buffer.from(String(i)), 1)
    await expect.poll(() => heard.length, { timeout: 30_000, interval: 1 }).toBe(i + 1)
  }
  await over
  const grown = (residentKb(pid) - before) / MIB_KB
  const { answered, handshakes, statuses } = JSON.parse(said) as Flooded
  expect(heard).toEqual(Array.from({ length: MESSAGES }, (_, i) => String(i)))
  expect(handshakes).toBeGreaterThan(0)
  expect(answered).toBeGreaterThan(0)
  // No certificate for any of them, and no fault of ours.
  expect(Object.keys(statuses).filter((status) => !['400', '401', '404', '429', '503'].includes(status))).toEqual([])
  expect(grown).toBeLessThan(GROWTH_MIB_MAX)
  expect(program.output).not.toContain('an enrollment failed')
  // Who comes when it is over is served, with the very token that was shown by everybody.
  const good = await ask(`https://127.0.0.1:${enroll.port}`, ca, { method: 'POST', path: '/.well-known/est/simpleenroll', body: forgeRequest(privateKey(), id), headers: { authorization: `Bearer ${token}` } })
  expect(good.status).toBe(200)
  device.end()
  backend.end()
})
