// The same broker, met by the programs that people have: mosquitto_pub and mosquitto_sub in both versions, and MQTT.js with
// every property that MQTT 5 has for it. What they print or hand on is what is judged.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { client as mqttClient, message } from '../wire.ts'
import { client, has, type Client } from '../../e2e/program.ts'
import { openInteropStage } from './stage.ts'

const MOSQUITTO = has('mosquitto_pub') && has('mosquitto_sub')
const VERSIONS = [['mqttv5', 5], ['mqttv311', 4]] as const

describe.skipIf(!MOSQUITTO).each(VERSIONS)('mosquitto clients, -V %s (needs mosquitto-clients)', (spoken, version) => {
  const at = openInteropStage(version)
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-interop-'))
  const file = (name: string): string => path.join(folder, name)
  beforeAll(() => {
    writeFileSync(file('ca.pem'), at.house.root)
    writeFileSync(file('cert.pem'), at.identity.cert)
    writeFileSync(file('key.pem'), at.identity.key, { mode: 0o600 })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const line = (...args: readonly string[]): readonly string[] => ['-V', spoken, '-h', 'localhost', '-p', String(at.house.port), '--cafile', file('ca.pem'), '--cert', file('cert.pem'), '--key', file('key.pem'), ...args]
  const sub = (...args: readonly string[]): Client => client('mosquitto_sub', line(...args))
  async function pub(...args: readonly string[]): Promise<void> {
    const tool = client('mosquitto_pub', line(...args))
    expect([await tool.ended, tool.output()]).toEqual([0, ''])
  }
  /** One message for each line. */
  async function pubLines(lines: readonly string[], ...args: readonly string[]): Promise<void> {
    writeFileSync(file('lines'), `${lines.join('\n')}\n`)
    const tool = client('sh', ['-c', 'exec mosquitto_pub "$@" < "$0"', file('lines'), ...line('-l', ...args)])
    expect([await tool.ended, tool.output()]).toEqual([0, ''])
  }
  /** What it has printed of messages. */
  const printed = (tool: Client): readonly string[] => tool.output().split('\n').filter((text) => text !== '' && !text.startsWith('Client ') && !text.startsWith('Subscribed '))
  async function listening(...args: readonly string[]): Promise<Client> {
    const tool = sub('-d', ...args)
    await tool.saw('received SUBACK')
    return tool
  }

  test('a retained message is shown to who comes later, with its flag and QoS; a cleared one is not', async () => {
    await pub('-i', 'pub', '-t', 'kept/a', '-m', 'value', '-q', '1', '-r')
    const first = sub('-i', 'sub', '-t', 'kept/+', '-q', '2', '-F', '%t %r %q %p', '-C', '1')
    expect([await first.ended, printed(first)]).toEqual([0, ['kept/a 1 1 value']])
    await pub('-i', 'pub', '-t', 'kept/a', '-n', '-q', '1', '-r')
    const second = await listening('-i', 'sub', '-t', 'kept/+', '-q', '2', '-F', '%t %r %q %p', '-C', '1')
    await pub('-i', 'pub', '-t', 'kept/b', '-m', 'live', '-q', '2')
    expect([await second.ended, printed(second)]).toEqual([0, ['kept/b 0 2 live']])
  })

  test('the Will of a client that is killed is heard, that of one that says goodbye is not', async () => {
    const watcher = await listening('-i', 'watcher', '-t', 'wills/#', '-t', 'end', '-q', '1', '-C', '2', '-F', '%t %q %p')
    const wills = (id: string): readonly string[] => ['-i', id, '-t', 'nothing', '--will-topic', `wills/${id}`, '--will-payload', 'gone', '--will-qos', '1']
    const leaves = sub(...wills('leaves'), '-E')
    expect(await leaves.ended).toBe(0)
    const killed = await listening(...wills('killed'))
    killed.process.kill('SIGKILL')
    await watcher.saw('wills/killed')
    await pub('-i', 'pub', '-t', 'end', '-m', 'all', '-q', '1')
    expect([await watcher.ended, printed(watcher)]).toEqual([0, ['wills/killed 1 gone', 'end 1 all']])
  })

  test('-c: what was published while the client was away comes in order when it is back', async () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`)
    const away = sub('-i', 'keeps', '-c', '-q', '1', '-t', 'queue/#', '-E')
    expect(await away.ended).toBe(0)
    await pubLines(lines, '-i', 'pub', '-t', 'queue/a', '-q', '1')
    const back = sub('-i', 'keeps', '-c', '-q', '1', '-t', 'queue/#', '-C', '20')
    expect([await back.ended, printed(back)]).toEqual([0, lines])
  })

  test.each(version === 5 ? [version] : [])('two members of a shared subscription get each message once between them', async () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`)
    const members = [await listening('-i', 'one', '-q', '1', '-t', '$share/g/jobs/#', '-t', 'end'), await listening('-i', 'two', '-q', '1', '-t', '$share/g/jobs/#', '-t', 'end')]
    await pubLines(lines, '-i', 'pub', '-t', 'jobs/a', '-q', '1')
    await pub('-i', 'pub', '-t', 'end', '-m', 'all sent', '-q', '1')
    for (const member of members) await member.saw('all sent')
    const work = members.map((member) => printed(member).filter((text) => text !== 'all sent'))
    expect(work.flat().toSorted()).toEqual(lines.toSorted())
    for (const share of work) expect(share.length).toBeGreaterThan(0)
    for (const member of members) member.process.kill()
  })

  test.each(version === 4 ? [version] : [])('a shared subscription is refused: it needs MQTT 5', async () => {
    const tool = sub('-d', '-i', 'one', '-q', '1', '-t', '$share/g/jobs/#')
    await tool.saw('Subscribed (mid: 1): 128')
    tool.process.kill()
  })

  test.each(version === 5 ? [version] : [])('-D: the properties of a message arrive as they were given', async () => {
    const tool = await listening('-i', 'sub', '-t', 'props/#', '-q', '2', '-C', '1', '-D', 'subscribe', 'subscription-identifier', '7', '-D', 'connect', 'receive-maximum', '2', '-D', 'connect', 'user-property', 'who', 'me', '-F', '%t|%p|%C|%R|%D|%F|%E|%S|%P')
    await pub('-i', 'pub', '-q', '2', '-t', 'props/a', '-m', 'told', ...[
      ['content-type', 'text/plain'], ['response-topic', 'props/answer'], ['correlation-data', 'id-1'], ['payload-format-indicator', '1'],
      ['message-expiry-interval', '600'], ['user-property', 'a', '2'], ['user-property', 'a', '3'],
    ].flatMap((words) => ['-D', 'publish', ...words]))
    expect(await tool.ended).toBe(0)
    const [topic, payload, type, response, correlation, format, expiry, identifier, user] = printed(tool)[0]?.split('|') ?? []
    expect([topic, payload, type, response, correlation, format, identifier]).toEqual(['props/a', 'told', 'text/plain', 'props/answer', 'id-1', '1', '7'])
    expect(Number(expiry)).toBeGreaterThan(0)
    expect(Number(expiry)).toBeLessThanOrEqual(600)
    expect(user).toBe('a:2 a:3')
  })

  test.each(version === 5 ? [version] : [])('-D: a session lives as long as CONNECT asks, and a Will waits for its delay', async () => {
    const watcher = await listening('-i', 'watcher', '-t', 'wills/#', '-q', '1', '-C', '1', '-F', '%t %p')
    const killed = await listening('-i', 'late', '-x', '3600', '-t', 'nothing', '--will-topic', 'wills/late', '--will-payload', 'gone', '--will-qos', '1', '-D', 'will', 'will-delay-interval', '1800')
    const before = at.house.broker.sessionCount
    killed.process.kill('SIGKILL')
    while (at.house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
    expect(printed(watcher)).toEqual([])
    at.house.rest(1_800_000)
    expect([await watcher.ended, printed(watcher)]).toEqual([0, ['wills/late gone']])
  })
})

describe('MQTT.js, MQTT 5 with every property', () => {
  const at = openInteropStage(5)
  const MESSAGE = {
    payloadFormatIndicator: true, messageExpiryInterval: 600, contentType: 'text/plain', responseTopic: 'js/answer', correlationData: Buffer.from([0, 255]),
    userProperties: { a: ['2', '3'], b: 'ä' },
  }
  const options = (clientId: string, more: IClientOptions): IClientOptions => ({ protocolVersion: 5, clientId, ...more })
  const connect = (clientId: string, more: IClientOptions = {}): Promise<MqttClient> => mqttClient(at.house, at.identity, options(clientId, more))

  test('a message is delivered with all that it had, a subscription identifier and the flag as it was published', async () => {
    const hears = await connect('hears', { properties: { sessionExpiryInterval: 60, receiveMaximum: 10, maximumPacketSize: 10_000, topicAliasMaximum: 3, requestResponseInformation: true, requestProblemInformation: true, userProperties: { who: 'me' } } })
    const granted = await hears.subscribeAsync({ 'js/#': { qos: 2, nl: true, rap: true, rh: 1 } }, { properties: { subscriptionIdentifier: 77, userProperties: { why: 'test' } } } as never)
    expect(granted.map((g) => g.qos)).toEqual([2])
    const speaks = await connect('speaks')
    for (const [qos, retain] of [[0, false], [1, true], [2, false]] as const) {
      const heard = message(hears)
      await speaks.publishAsync(`js/${qos}`, `qos ${qos}`, { qos, retain, properties: { topicAlias: 1, ...MESSAGE } })
      const { topic, payload, packet } = await heard
      expect([topic, payload, packet.qos, packet.retain]).toEqual([`js/${qos}`, `qos ${qos}`, qos, retain])
      const { messageExpiryInterval: left = 0, topicAlias: _, ...properties } = packet.properties ?? {}
      const { messageExpiryInterval: given, ...rest } = MESSAGE
      expect({ ...properties, userProperties: { ...properties.userProperties } }).toEqual({ ...rest, subscriptionIdentifier: 77 })
      expect(left).toBeGreaterThan(given - 60)
      expect(left).toBeLessThanOrEqual(given)
    }
    await hears.endAsync()
    await speaks.endAsync()
  })

  test('a Will is delivered with all that it had but its delay', async () => {
    const hears = await connect('hears')
    await hears.subscribeAsync('js/will', { qos: 2 })
    const speaks = await connect('speaks', { properties: { sessionExpiryInterval: 0 }, will: { topic: 'js/will', payload: Buffer.from('gone'), qos: 2, retain: false, properties: { willDelayInterval: 5, ...MESSAGE } } })
    const heard = message(hears)
    speaks.stream.destroy()
    const { payload, packet } = await heard
    expect([payload, packet.qos, packet.properties?.contentType, packet.properties?.responseTopic, packet.properties?.correlationData]).toEqual(['gone', 2, 'text/plain', 'js/answer', Buffer.from([0, 255])])
    expect({ ...packet.properties?.userProperties }).toEqual(MESSAGE.userProperties)
    await speaks.endAsync(true)
    await hears.endAsync()
  })

  test('a shared subscription, a queue and a refusal that is told in words', async () => {
    const first = await connect('kept', { clean: false, properties: { sessionExpiryInterval: 600 } })
    await first.subscribeAsync('$share/g/js/jobs', { qos: 1 })
    await first.endAsync()
    const speaks = await connect('speaks')
    await speaks.publishAsync('js/jobs', 'waits', { qos: 1 })
    // What waited may come with the CONNACK: somebody must listen before that.
    const { cert, key } = at.identity
    const again = mqtt.connect(`mqtts://127.0.0.1:${at.house.port}`, options('kept', { ca: at.house.root, cert, key, servername: 'localhost', reconnectPeriod: 0, clean: false, manualConnect: true, properties: { sessionExpiryInterval: 0 } }))
    const heard = message(again)
    again.connect()
    expect((await heard).payload).toBe('waits')
    await expect(speaks.publishAsync('$js/x', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
    await again.endAsync()
    await speaks.endAsync()
  })
})
