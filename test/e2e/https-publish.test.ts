// The program as it is installed, published to with curl, openssl and Node: what 200 has promised is there after kill -9, and what strangers and
// revoked devices are told.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import path from 'node:path'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from './program.ts'

let program: Program
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

const file = (of: string, name: string): string => path.join(program.home, 'demo', of, name)
const port = (): number => (JSON.parse(readFileSync(path.join(program.home, 'data/endpoints.json'), 'utf8')) as { enroll: { port: number } }).enroll.port
const url = (target: string): string => `https://localhost:${port()}${target}`
const MESSAGES_MAX = 100_000
const TARGET = '/topics/t/demo-sensor/n?qos=1'

function listen(): Promise<MqttClient> {
  const listener = mqtt.connect(`mqtts://localhost:${program.endpoints.mqtt.port}`, {
    ca: readFileSync(file('demo-backend', 'ca.pem')), cert: readFileSync(file('demo-backend', 'device.pem')), key: readFileSync(file('demo-backend', 'device.key')),
    clientId: 'demo-backend', protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 }, reconnectPeriod: 0,
  })
  heard = []
  listener.on('message', (_, payload) => void heard.push(payload.toString()))
  return new Promise((resolve, reject) => {
    listener.once('connect', () => resolve(listener))
    listener.once('error', reject)
  })
}
let heard: string[] = []

const material = () => ({ ca: readFileSync(file('demo-sensor', 'ca.pem')), cert: readFileSync(file('demo-sensor', 'device.pem')), key: readFileSync(file('demo-sensor', 'device.key')) })

/** The status of one message; 0 where no answer came. */
async function post(agent: Agent, body: string): Promise<number> {
  const sent = request(url(TARGET), { method: 'POST', agent })
  sent.end(body)
  try {
    const [answer] = (await once(sent, 'response')) as [{ statusCode?: number; resume: () => void }]
    answer.resume()
    return answer.statusCode ?? 0
  } catch {
    return 0
  }
}

test('kill -9 among messages: whoever was answered 200 is heard by a session that was away, in the order of its connection', async () => {
  const first = await listen()
  await first.subscribeAsync('t/demo-sensor/n', { qos: 1 })
  await first.endAsync()
  const acknowledged: string[] = []
  for (let round = 0; round < 3; round++) {
    const agents = Array.from({ length: 4 }, () => new Agent({ ...material(), keepAlive: true, maxSockets: 1 }))
    const speaking = agents.map(async (agent, speaker) => {
      for (let i = 0; i < MESSAGES_MAX; i++) {
        const body = `${round}-${speaker}-${i}`
        const status = await post(agent, body)
        if (status === 200) acknowledged.push(body)
        // The server is gone.
        else if (status === 0) return
      }
    })
    await expect.poll(() => acknowledged.filter((body) => body.startsWith(`${round}-`)).length).toBeGreaterThan(40)
    await program.stop('SIGKILL')
    await Promise.all(speaking)
    for (const agent of agents) agent.destroy()
    await program.serve()
  }
  const listener = await listen()
  await expect.poll(() => acknowledged.filter((body) => !heard.includes(body)), { timeout: 20_000 }).toEqual([])
  for (const speaker of ['0-0', '1-2', '2-3']) {
    const own = heard.filter((body) => body.startsWith(`${speaker}-`)).map((body) => Number(body.split('-')[2]))
    expect(own).toEqual(own.toSorted((a, b) => a - b))
  }
  await listener.endAsync()
}, 120_000)

describe.skipIf(!has('curl') || !has('openssl'))('with curl and openssl (needs curl and openssl)', () => {
  const curl = (...args: readonly string[]): string => spawnSync('curl', ['-sS', '-w', ' %{http_code}', '--cacert', file('demo-sensor', 'ca.pem'), ...args], { encoding: 'utf8' }).stdout
  const asDevice = (): readonly string[] => ['--cert', file('demo-sensor', 'device.pem'), '--key', file('demo-sensor', 'device.key')]

  test('curl with the files of a bundle publishes, over HTTP/1.1 and HTTP/1.0, a file that waits to be asked for, and many over one connection', () => {
    expect(curl(...asDevice(), '-d', '21.5', url(TARGET))).toBe('{"message":"OK"}\n 200')
    expect(curl(...asDevice(), '--http1.0', '-d', '21.5', url(TARGET))).toBe('{"message":"OK"}\n 200')
    expect(curl(...asDevice(), '--tls-max', '1.2', '-H', 'Expect: 100-continue', '--data-binary', `@${path.join(program.home, 'data/registry.db')}`, url(TARGET))).toMatch(/"packet-too-large".* 413$/s)
    expect(curl(...asDevice(), '--tls-max', '1.2', '-H', 'Expect: 100-continue', '--data-binary', `@${file('demo-sensor', 'device.pem')}`, url(TARGET))).toMatch(/ 200$/)
    expect(curl(...asDevice(), '-d', 'x', url(`${TARGET}&contentType=text/plain`), url(TARGET), url('/topics/t/other/x'))).toMatch(/ 200\{"message":"OK"\}\n 200.*"publish-not-granted".* 403$/s)
  })

  test('curl without a certificate, and with that of an operator, is told why', () => {
    const operator = path.join(program.home, 'certs/local/operator')
    expect(curl('-d', 'x', url(TARGET))).toMatch(/"tls-no-certificate".* 401$/s)
    expect(curl('--cert', path.join(operator, 'cert.pem'), '--key', path.join(operator, 'key.pem'), '-d', 'x', url(TARGET))).toMatch(/"certificate-purpose".* 403$/s)
  })

  test('openssl s_client has its connection closed when the device is suspended, and why tells of it', async () => {
    const client = spawn('openssl', ['s_client', '-connect', `localhost:${port()}`, '-servername', 'localhost', '-CAfile', file('demo-sensor', 'ca.pem'), '-cert', file('demo-sensor', 'device.pem'), '-cert_chain', file('demo-sensor', 'device.pem'), '-key', file('demo-sensor', 'device.key'), '-quiet', '-verify_return_error', '-no_ign_eof'], { stdio: ['pipe', 'pipe', 'ignore'] })
    const ended = once(client, 'close')
    client.stdin.write(`POST ${TARGET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n21.5`)
    const [answer] = (await once(client.stdout, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 OK/)
    client.stdout.resume()
    const before = performance.now()
    expect(program.run('device', 'suspend', 'demo-sensor', '--yes').status).toBe(0)
    await ended
    // The command itself takes most of it.
    expect(performance.now() - before).toBeLessThan(10_000)
    expect(curl(...asDevice(), '-d', 'x', url(TARGET))).toMatch(/"device-suspended".* 403$/s)
    expect(program.run('why', 'demo-sensor').stdout).toMatch(/The device is suspended\.\n {2}step registry, reason device-suspended; from .*, published over HTTPS/)
    expect(program.run('device', 'resume', 'demo-sensor').status).toBe(0)
    expect(curl(...asDevice(), '-d', 'x', url(TARGET))).toMatch(/ 200$/)
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
  })
})
