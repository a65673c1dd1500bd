// A Mosquitto of one's own that bridges topics up and down with the certificate of a device: what is said on its side is heard here, and the
// other way round; and its log says why, when it is refused. Its settings are those of docs/clients.md.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { has, type Program } from '../e2e/program.ts'
import { lastReason, nextMessage, openBackend, openCompatProgram, register, succeed, type Version } from './stage.ts'

const READY = has('mosquitto') || has('/usr/sbin/mosquitto')
const VERSIONS: readonly Version[] = ['3.1.1', '5']

describe.skipIf(!READY)('a Mosquitto bridge (needs mosquitto)', () => {
  let program: Program
  let folderOf: (id: string) => string
  beforeAll(async () => {
    program = await openCompatProgram()
    folderOf = register(program, ['gateway-311', 'gateway-5', 'gateway-revoked', 'gateway-bare'].map((id) => ({ id, group: 'sensors' })))
    succeed(program, 'cert', 'revoke', '--device', 'gateway-revoked', '--reason', 'keyCompromise', '--yes')
  })
  afterAll(() => program[Symbol.asyncDispose]())

  interface Bridge {
    /** A client of that Mosquitto. */
    readonly local: MqttClient
    /** Its log, until it has said this. */
    said(what: RegExp): Promise<string>
  }

  /** Starts it with the settings of the page, with one of them changed. */
  async function open(id: string, version: Version, [found, changed]: readonly [string, string] = ['', '']): Promise<Bridge> {
    const folder = folderOf(id)
    const socket = path.join(folder, 'socket')
    rmSync(socket, { force: true })
    const page = /```conf\n([\s\S]+?)```/.exec(readFileSync(path.resolve(import.meta.dirname, '../../docs/clients.md'), 'utf8'))?.[1] ?? ''
    const asOnThePage = page.replaceAll('sallyport.example.org:8883', `localhost:${program.endpoints.mqtt.port}`).replaceAll('/etc/mosquitto/gateway-1/', `${folder}/`).replaceAll('gateway-1', id).replace('mqttv311', version === '5' ? 'mqttv50' : 'mqttv311').replace(found, changed)
    writeFileSync(path.join(folder, 'mosquitto.conf'), [`listener 0 ${socket}`, 'allow_anonymous true', ...(process.getuid?.() === 0 ? ['user root'] : []), asOnThePage, ''].join('\n'))
    const child: ChildProcess = spawn('mosquitto', ['-c', path.join(folder, 'mosquitto.conf'), '-v'], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` } })
    let log = ''
    const heard = new Set<() => void>()
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      for (const look of heard) look()
    })
    const said = (what: RegExp): Promise<string> => new Promise((resolve, reject) => {
      const look = (): void => {
        if (!what.test(log)) return
        heard.delete(look)
        resolve(log)
      }
      heard.add(look)
      child.once('exit', () => reject(new Error(`mosquitto ended before it said ${String(what)}:\n${log}`)))
      look()
    })
    await said(/ running\n/)
    const local = new MqttClient(() => connect(socket), { reconnectPeriod: 0, clientId: 'local' })
    onTestFinished(async () => {
      await local.endAsync(true)
      child.kill()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    })
    await new Promise<void>((resolve, reject) => local.once('connect', () => resolve()).once('error', reject))
    return { local, said }
  }

  test.each(VERSIONS)('MQTT %s: what is said there is heard here, and the other way round', async (version) => {
    const id = `gateway-${version.replaceAll('.', '')}`
    const backend = await openBackend({ home: program.home, port: program.endpoints.mqtt.port })
    onTestFinished(() => backend.endAsync(true))
    await backend.subscribeAsync('t/#', { qos: 1 })
    const bridge = await open(id, version)
    await bridge.said(/Received SUBACK from/)
    const up = nextMessage(backend)
    await bridge.local.publishAsync('up/room', '21.5', { qos: 1 })
    expect(await up).toEqual([`t/${id}/room`, '21.5'])
    await bridge.local.subscribeAsync('down/#', { qos: 1 })
    const down = nextMessage(bridge.local)
    await backend.publishAsync(`cmd/${id}/set`, 'on', { qos: 1 })
    expect(await down).toEqual(['down/set', 'on'])
  })

  test('its log says that it is refused, and why says what for', async () => {
    const seen: Record<string, string> = {}
    const lineOf = (log: string, what: RegExp): string => (log.split('\n').find((line) => what.test(line)) ?? '').replace(/^\d+: /, '').replaceAll(/:\.\.\/.*\.c:\d+|[0-9A-F]{12,16}:(?=error)/g, '')
    const own = folderOf('gateway-bare')
    const cases = [
      ['3.1.1 no certificate', 'gateway-bare', [`bridge_certfile ${own}/device.pem\nbridge_keyfile ${own}/device.key`, ''], /OpenSSL Error.*certificate.*|Connection lost.*|disconnected.*/, 'tls-no-certificate'],
      ['3.1.1 a revoked certificate', 'gateway-revoked', ['', ''], /Connection Refused: .*/, 'certificate-revoked'],
      ['3.1.1 a client id of its own', 'gateway-bare', ['remote_clientid gateway-bare', 'remote_clientid somebody'], /Connection Refused: .*/, 'client-id-mismatch'],
      ['3.1.1 its notifications, which are on unless it is told', 'gateway-bare', ['notifications false', 'notifications true'], /Connection Refused: .*/, 'will-invalid'],
    ] as const
    for (const [label, id, change, shows, reason] of cases) {
      const bridge = await open(id, '3.1.1', change)
      seen[label] = lineOf(await bridge.said(shows), shows)
      expect({ label, reason: lastReason(program, reason === 'tls-no-certificate' ? undefined : id) }).toEqual({ label, reason })
    }
    const without = await open('gateway-bare', '3.1.1', ['cmd/gateway-bare/', 'cmd/somebody-else/'])
    const log = await without.said(/Received SUBACK from/)
    seen['3.1.1 a filter without grant'] = '(nothing: its log has SUBACK, and not what it says)'
    expect(log).not.toMatch(/denied|refused|128/i)
    expect(lastReason(program, 'gateway-bare')).toBe('subscribe-not-granted')
    const version = /mosquitto version ([\d.]+)/.exec(log)?.[1] ?? ''
    await expect(`${JSON.stringify({ client: 'Mosquitto bridge', version, seen }, null, 2)}\n`).toMatchFileSnapshot('./seen/bridge.json')
  })
})
