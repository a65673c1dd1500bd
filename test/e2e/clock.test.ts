// A clock that is wrong, and is set right while the server runs: a board without a battery boots in another year until somebody tells it
// the time. libfaketime gives the server, and whoever connects to it, a clock of their own.

import { X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { client, has, Program, type Client } from './program.ts'

/** Ends the client with the block that it is used in. */
const killed = (it: Client): Disposable & { readonly client: Client } => ({ client: it, [Symbol.dispose]: () => void it.process.kill() })

/** Debian puts it below the folder of its architecture. */
function libfaketime(): string | undefined {
  const folders = process.platform === 'linux' ? readdirSync('/usr/lib').map((name) => path.join('/usr/lib', name, 'faketime')) : []
  return folders.flatMap((folder) => {
    try {
      return readdirSync(folder).filter((name) => name === 'libfaketimeMT.so.1').map((name) => path.join(folder, name))
    } catch {
      return []
    }
  })[0]
}

const LIBRARY = libfaketime()
const READY = LIBRARY !== undefined && has('mosquitto_sub') && has('stdbuf')

describe.skipIf(!READY)('a clock that jumps (needs libfaketime and mosquitto-clients)', () => {
  let program: Program
  let environment: Record<string, string>
  let setClock: (offset: string) => void

  beforeAll(async () => {
    const probe = new Program()
    const file = path.join(probe.home, 'clock')
    setClock = (offset) => writeFileSync(file, offset)
    setClock('+0')
    // Timers go on as they are: what jumps is the calendar.
    environment = { LD_PRELOAD: LIBRARY ?? '', FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_RESET: '1' }
    program = new Program(environment)
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  /** A client of the device, with the clock of the server. stdbuf stands behind it: it is preloaded, too, and keeps what is there. */
  function subscriber(folder: string, id: string): Client {
    const { port } = program.endpoints.mqtt
    const tls = ['--cafile', `${folder}/ca.pem`, '--cert', `${folder}/device.pem`, '--key', `${folder}/device.key`]
    return client('env', [...Object.entries(environment).map(([name, value]) => `${name}=${value}`), 'stdbuf', '-oL', 'mosquitto_sub', '-h', 'localhost', '-p', String(port), ...tls, '-i', id, '-t', `cmd/${id}/x`, '-d', '-V', '5'])
  }
  /** Server and operator certificates are looked at again. */
  async function renewed(): Promise<void> {
    const before = program.output.split('"msg":"reloaded').length
    process.kill(program.endpoints.pid, 'SIGHUP')
    await expect.poll(() => program.output.split('"msg":"reloaded').length, { timeout: 20_000, interval: 50 }).toBe(before + 1)
  }

  /** Refused: the client goes on trying, the server says why. */
  async function refused(folder: string, id: string, reason: string): Promise<void> {
    using _ = killed(subscriber(folder, id))
    await expect.poll(() => program.run('why', id).stdout, { timeout: 20_000, interval: 200 }).toContain(reason)
  }
  async function admitted(folder: string, id: string): Promise<void> {
    using it = killed(subscriber(folder, id))
    await it.client.saw('Subscribed')
  }

  test('400 days ahead every device certificate is over, also of who is connected; set right, the same certificate opens the door, and nothing has to be repaired by hand', async () => {
    const folder = program.device('sensor-1')
    using early = killed(subscriber(folder, 'sensor-1'))
    await early.client.saw('Subscribed')

    setClock('+400d')
    await early.client.saw('Received DISCONNECT (135)')
    await renewed()
    await refused(folder, 'sensor-1', 'certificate-expired')
    // In the wrong year, too, there is work to be done.
    const future = program.device('sensor-2')
    await admitted(future, 'sensor-2')

    setClock('+0')
    await renewed()
    await admitted(folder, 'sensor-1')
    await refused(future, 'sensor-2', 'certificate-not-yet-valid')
    expect(program.run('audit', 'verify').status).toBe(0)
    expect(program.json('cert', 'list', '--state', 'planned')).toEqual({ items: [] })
  })

  test('one day back nothing is issued that begins before its CA does', async () => {
    const folder = program.device('sensor-3')
    // Leaf and issuing CA; which may have been made a second after the root.
    const issuing = new X509Certificate(readFileSync(path.join(folder, 'device.pem'), 'utf8').split(/(?=-----BEGIN)/)[1] ?? '')
    setClock('-1d')
    program.run('device', 'add', 'sensor-4', '--group', 'sensors')
    const answer = program.run('device', 'bundle', 'sensor-4', '--out', path.join(program.home, 'sensor-4'))
    expect(answer).toMatchObject({ status: 5, stderr: expect.stringContaining('CERT_NOT_YET_VALID') })
    expect(answer.stderr).toContain('Compare the clock')
    await program.stop()
    expect(program.run('device', 'add', 'sensor-4', '--group', 'sensors').status).toBe(0)
    expect(program.run('device', 'bundle', 'sensor-4', '--out', path.join(program.home, 'sensor-4')).status).toBe(0)
    const issued = new X509Certificate(readFileSync(path.join(program.home, 'sensor-4/device.pem')))
    expect(issued.validFromDate.getTime()).toBe(issuing.validFromDate.getTime())
  })
})
