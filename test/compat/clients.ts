// The clients of MQTT, one row each: how it is run, what it is prepared with, and which refusals it keeps to itself.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { client, has, type Program } from '../e2e/program.ts'
import { speakOver } from './hand-made.ts'
import { argumentsOf, debianVersion, missingFile, openBackend, packageVersion, PACKAGES, ran, succeed, withoutInsides, type RealClient, type Shown, type Task } from './stage.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const at = (name: string): string => path.join(import.meta.dirname, 'programs', name)
const UNASKED = 'its node does not look at the SUBACK'
const NO_WORD = 'MQTT 3.1.1 has no word for it: the message is acknowledged and dropped'

/** Built once for a run of the tests. */
function built(task: Task, source: string, name: string, args: readonly string[]): string {
  const folder = path.join(task.home, 'built')
  const file = path.join(folder, name)
  if (missingFile(file)) {
    mkdirSync(folder, { recursive: true })
    execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', file, at(source), ...args])
  }
  return file
}

function mosquittoLine(task: Task, suffix = ''): readonly string[] {
  return ['-V', task.version === '5' ? '5' : '311', '-h', 'localhost', '-p', String(task.port), '--cafile', task.ca, ...(task.cert === '' ? [] : ['--cert', task.cert, '--key', task.key]), '-i', `${task.clientId}${suffix}`, '-t', task.topic, '-q', '1']
}

async function mosquitto(task: Task): Promise<Shown> {
  if (task.action === 'publish') return ran('mosquitto_pub', [...mosquittoLine(task), '-m', 'hello'])
  if (task.action === 'subscribe') return ran('mosquitto_sub', [...mosquittoLine(task), '-W', '10'])
  const heard = client('mosquitto_sub', [...mosquittoLine(task), '-d', '-v', '-C', '1'])
  await heard.saw('received SUBACK')
  const sent = await ran('mosquitto_pub', [...mosquittoLine(task, ':pub'), '-m', 'hello'])
  const status = await heard.ended
  return { status: sent.status === 0 ? status : sent.status, output: `${sent.output}${heard.output()}` }
}

function mqttLine(task: Task, suffix = ''): readonly string[] {
  return ['-h', 'localhost', '-p', String(task.port), '-C', 'mqtts', '--ca', task.ca, ...(task.cert === '' ? [] : ['--cert', task.cert, '--key', task.key]), '-i', `${task.clientId}${suffix}`, '-q', '1', '-t', task.topic]
}

/** It tries again for ever: what it has shown by then is what it shows. */
async function mqttCli(task: Task): Promise<Shown> {
  const bin = (tool: string, ...args: readonly string[]): readonly string[] => [path.join(ROOT, 'node_modules/mqtt/build/bin', `${tool}.js`), ...args]
  if (task.action === 'publish') return ran('timeout', ['5', process.execPath, ...bin('pub', ...mqttLine(task), '-m', 'hello')])
  const heard = client('timeout', ['5', process.execPath, ...bin('sub', ...mqttLine(task), '-v')])
  if (task.action === 'exchange') {
    // It does not say when it is subscribed.
    for (let sent = 0; sent < 20 && !heard.output().includes('hello'); sent += 1) await ran(process.execPath, bin('pub', ...mqttLine(task, ':pub'), '-m', 'hello'))
    heard.process.kill()
  }
  const status = await heard.ended
  return { status: heard.output().includes(' hello') ? 0 : status, output: heard.output().replaceAll(`${task.topic} hello`, `received ${task.topic} hello`) }
}

/** The service at the other end: it answers whatever the device sends. */
async function withAzureBackend(task: Task, run: () => Promise<Shown>): Promise<Shown> {
  const backend = await openBackend(task)
  try {
    backend.on('message', (topic, payload) => {
      const id = topic.split('/')[1] ?? ''
      backend.publish(`devices/${id}/messages/devicebound/%24.mid=1&%24.to=%2Fdevices%2F${id}`, `${payload.toString()} ${topic}`, { qos: 1 })
    })
    await backend.subscribeAsync('devices/+/messages/events/#', { qos: 1 })
    return await run()
  } finally {
    await backend.endAsync()
  }
}

const CLIENTS: readonly RealClient[] = [
  {
    name: 'mosquitto_pub and mosquitto_sub', slug: 'mosquitto', versions: ['3.1.1', '5'], isTool: true,
    missing: has('mosquitto_pub') && has('mosquitto_sub') ? undefined : 'mosquitto-clients',
    version: () => / version ([\d.]+)/.exec(spawnSync('mosquitto_pub', ['--help'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
    run: mosquitto,
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'Paho C', slug: 'paho-c', versions: ['3.1.1', '5'],
    missing: !has('gcc') || missingFile('/usr/include/MQTTClient.h') ? 'gcc and libpaho-mqtt-dev' : undefined,
    version: () => debianVersion('libpaho-mqtt-dev'),
    run: (task) => ran(built(task, 'paho-c.c', 'paho-c', ['-lpaho-mqtt3cs']), argumentsOf(task)),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'Paho Python', slug: 'paho-python', versions: ['3.1.1', '5'],
    missing: spawnSync('/usr/bin/python3', ['-c', 'import paho.mqtt.client']).status === 0 ? undefined : 'python3-paho-mqtt',
    version: () => debianVersion('python3-paho-mqtt'),
    run: (task) => ran('/usr/bin/python3', [at('paho-python.py'), ...argumentsOf(task)]),
    silent: { '3.1.1 a topic without grant': NO_WORD, '5 a topic without grant': 'before its version 2, on_publish is not told the reason code of the PUBACK' },
  },
  {
    name: 'MQTT.js', slug: 'mqttjs', versions: ['3.1.1', '5'], missing: undefined,
    version: () => packageVersion('mqtt', ROOT),
    run: (task) => ran(process.execPath, [at('mqttjs.ts'), ...argumentsOf(task)]),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'MQTT.js command line', slug: 'mqtt-cli', versions: ['3.1.1'], isTool: true, missing: has('timeout') ? undefined : 'timeout',
    version: () => packageVersion('mqtt', ROOT),
    run: mqttCli,
    // Its own goodbye may meet a socket that the server, which has heard DISCONNECT, has closed.
    plain: (output) => withoutInsides(output.replaceAll(/^Error: read ECONNRESET\b.*$/gm, '')),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'AWS IoT Device SDK v2 for JavaScript', slug: 'aws-iot', versions: ['3.1.1', '5'],
    missing: PACKAGES === undefined ? 'its npm package' : undefined,
    version: () => packageVersion('aws-iot-device-sdk-v2'),
    run: (task) => ran(process.execPath, [at('aws-iot.cjs'), ...argumentsOf(task)]),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'Azure IoT device SDK for Node.js', slug: 'azure-iot', versions: ['3.1.1'], group: 'azure',
    missing: PACKAGES === undefined ? 'its npm package' : undefined,
    version: () => packageVersion('azure-iot-device'),
    run: (task) => {
      const run = (): Promise<Shown> => ran(process.execPath, [at('azure-iot.cjs'), ...argumentsOf(task)])
      return task.action === 'exchange' ? withAzureBackend(task, run) : run()
    },
    ownRefusals: ['no certificate'],
    silent: { '3.1.1 a filter without grant': 'it does not look at the SUBACK; the message never comes', '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'Node-RED', slug: 'node-red', versions: ['3.1.1', '5'],
    missing: PACKAGES === undefined ? 'its npm package' : undefined,
    version: () => packageVersion('node-red'),
    run: (task) => ran(process.execPath, [at('node-red.cjs'), ...argumentsOf(task)]),
    silent: { '3.1.1 a filter without grant': UNASKED, '5 a filter without grant': UNASKED, '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'openssl s_client, MQTT by hand', slug: 'openssl', versions: ['3.1.1'], missing: has('openssl') ? undefined : 'openssl',
    version: () => / (\d+\.\d+)/.exec(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
    run: (task) => speakOver('openssl', ['s_client', '-connect', `localhost:${task.port}`, '-CAfile', task.ca, '-verify_return_error', '-verify_hostname', 'localhost', '-quiet', ...(task.cert === '' ? [] : ['-cert', task.cert, '-cert_chain', path.join(task.folder, 'chain.pem'), '-key', task.key])], task),
    plain: (output) => output.split('\n').filter((line) => !/^(depth=|verify return:|Can't use SSL_get_servername)/.test(line)).join('\n'),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'gnutls-cli, MQTT by hand', slug: 'gnutls', versions: ['3.1.1'], missing: has('gnutls-cli') ? undefined : 'gnutls-bin',
    version: () => /gnutls-cli ([\d.]+)/.exec(spawnSync('gnutls-cli', ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
    run: (task) => speakOver('gnutls-cli', ['--x509cafile', task.ca, '--logfile', path.join(task.folder, 'gnutls.log'), ...(task.cert === '' ? [] : ['--x509certfile', task.cert, '--x509keyfile', task.key]), '-p', String(task.port), 'localhost'], task, path.join(task.folder, 'gnutls.log')),
    plain: (output) => output.split('\n').filter((line) => /^\*\*\*|return code/.test(line)).join('\n'),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
  {
    name: 'Mbed TLS (an ESP32)', slug: 'mbedtls', versions: ['3.1.1'],
    missing: !has('gcc') || missingFile('/usr/include/mbedtls/ssl.h') ? 'gcc and libmbedtls-dev' : undefined,
    version: () => debianVersion('libmbedtls-dev'),
    prepare: (program: Program, id, folder) => succeed(program, 'device', 'bundle', id, '--format', 'c-header', '--out', path.join(folder, `${id}.h`)),
    run: (task) => {
      const id = path.basename(task.folder)
      const without = task.cert === '' ? ['-DWITHOUT_CERTIFICATE'] : []
      const args = [...without, `-I${task.folder}`, `-DBUNDLE="${id}.h"`, '-Wno-unused-variable', '-lmbedtls', '-lmbedx509', '-lmbedcrypto']
      return ran(built(task, 'mbedtls.c', `device-${id}${without.length > 0 ? '.without' : ''}`, args), [task.action, task.clientId, task.topic])
    },
    // It writes the handshake in pieces: when the server has refused the first one, the next meets a closed socket, and its reset may overtake the alert.
    plain: (output) => output.replace(/^handshake: (-0x7780 .*|-0x0050 .*)$/m, 'handshake: -0x7780 SSL - A fatal alert message was received from our peer (or -0x0050 NET - Connection was reset by peer)'),
    silent: { '3.1.1 a topic without grant': NO_WORD },
  },
]

/** Two halves of about the same length, which run side by side. */
const SDKS = ['aws-iot', 'azure-iot', 'node-red', 'mqttjs']
export const SDK_CLIENTS = CLIENTS.filter(({ slug }) => SDKS.includes(slug))
export const OTHER_CLIENTS = CLIENTS.filter(({ slug }) => !SDKS.includes(slug))
