// Every key from every layer: who wins, where a value comes from, and that what is wrong is named wherever it stands.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig, readConfig, type ConfigFlags } from '../../src/config.ts'
import { changesBetween } from '../../src/config/changes.ts'
import { word, text as textKind } from '../../src/config/kinds.ts'
import { readLayers } from '../../src/config/layers.ts'
import { environmentNameOf, row, type Table } from '../../src/config/rows.ts'
import { SECTIONS, TABLE, type Key } from '../../src/config/table.ts'
import { SallyportError } from '../../src/core/errors.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-layers-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function put(name: string, text: string): string {
  writeFileSync(path.join(home, name), text)
  return path.join(home, name)
}
const load = (environment: Record<string, string>, flags: ConfigFlags = {}) => loadConfig(home, environment, flags)
function refusalOf(environment: Record<string, string>, flags: ConfigFlags = {}): string {
  try {
    load(environment, flags)
  } catch (error) {
    if (error instanceof SallyportError && error.code === 'config-invalid') return error.message
    throw error
  }
  throw new Error('it was accepted')
}

/** Another value than the default, as a variable has it. */
const OTHERS: Readonly<Record<Key, string>> = {
  organisation: 'Acme: Corp', 'listen.mqtt.host': '10.0.0.1', 'listen.mqtt.port': '1', 'listen.admin.host': '10.0.0.2', 'listen.admin.port': '2', 'listen.enroll.host': '10.0.0.3', 'listen.enroll.port': '3',
  'listen.websocket.host': '10.0.0.4', 'listen.websocket.port': '4', 'listen.websocket.path': '/x', 'listen.websocket.origins': 'https://a.example, https://b.example', 'listen.pki.host': '10.0.0.5', 'listen.pki.port': '5',
  'listen.metrics.host': '::1', 'listen.metrics.port': '6', 'listen.metrics.tokenFile': '/t', hosts: 'a.example,b.example', policy: '/p.yaml', trust: '[]', passphraseFile: '/secret', 'pki.url': 'http://pki.example', 'pki.crlShards': '2', 'pki.crlHours': '3',
  'tls.resumption': 'on', 'limits.sourceRatePerSecond': '7', 'limits.sourceBurst': '9000', 'limits.packetBytesMax': '128KiB', 'limits.keepAliveSecondsMax': '60',
  'detection.upTo': 'off', 'detection.exempt.groups': 'g', 'detection.exempt.devices': '[d, e]',
  'detection.denials.observe': '1', 'detection.denials.throttle': '2', 'detection.denials.quarantine': '3', 'detection.denials.suspend': '4',
  'detection.topics.observe': '1', 'detection.topics.throttle': '2', 'detection.topics.quarantine': '3', 'detection.topics.suspend': 'off',
  'detection.clientIds.observe': '1', 'detection.clientIds.throttle': '2', 'detection.clientIds.quarantine': '3', 'detection.clientIds.suspend': '4',
  'detection.connects.observe': '1', 'detection.connects.throttle': '2', 'detection.connects.quarantine': '3', 'detection.connects.suspend': '4',
  'detection.twoPlaces.observe': '1', 'detection.twoPlaces.throttle': '2', 'detection.twoPlaces.quarantine': '3', 'detection.twoPlaces.suspend': '4',
  'detection.rate.observe': '1', 'detection.rate.throttle': '2', 'detection.rate.quarantine': '3', 'detection.rate.suspend': '4', 'detection.rate.perSecond': '5', 'detection.rate.times': '6',
  'renewal.graceDays': '0', 'renewal.groups': '{ line-1: 90 }', 'renewal.sameKey': 'refused', 'enroll.serverKeys': 'allowed', 'enroll.channelBinding': 'required', 'webhooks.allow': '10.20.0.0/16, ::1', 'webhooks.ca': '/receivers.pem', 'log.level': 'debug', 'audit.export': '[{ to: "syslog+tls://log.example:6514" }]',
}
const KEYS = Object.keys(TABLE) as Key[]
/** What the one key needs of others. */
const WITH: Readonly<Partial<Record<Key, Record<string, string>>>> = { 'pki.crlShards': { SALLYPORT_PKI_URL: 'http://pki.example' } }

describe('every key', () => {
  test.each(KEYS.filter((key) => key !== 'trust'))('%s is set by its variable, by a file that its variable names, and by --set', (key) => {
    const [name, text, needed] = [environmentNameOf(key), OTHERS[key], WITH[key] ?? {}]
    const before = load({}).settings[key]
    const byVariable = load({ ...needed, [name]: text }).settings[key]
    expect(byVariable).not.toEqual(before)
    expect(load({ ...needed, [`${name}_FILE`]: put('value', `${text}\n`) }).settings[key]).toEqual(byVariable)
    expect(load(needed, { set: [`${key}=${text}`] }).settings[key]).toEqual(byVariable)
    // Set to nothing is not set.
    expect(load({ [name]: '', [`${name}_FILE`]: '' }).settings[key]).toEqual(before)
  })

  test('a trusted CA is set by its variable as it stands in YAML', () => {
    const file = put('ca.pem', '')
    expect(load({ SALLYPORT_TRUST: `[{ name: factory, file: ${file} }]` }).trust).toEqual([{ name: 'factory', file, enrollsOnly: false }])
  })

  test('no two have one variable, and none has the _FILE of another', () => {
    const names = KEYS.map(environmentNameOf)
    const files = names.map((name) => `${name}_FILE`)
    expect(new Set(names).size).toBe(names.length)
    expect(files.filter((name) => names.includes(name))).toEqual([])
  })

  test('has a default that its own kind takes', () => {
    const { settings } = load({})
    expect(KEYS.filter((key) => settings[key] === undefined)).toEqual(KEYS.filter((key) => !('preset' in TABLE[key]) && key !== 'limits.sourceBurst'))
  })
})

describe('who wins', () => {
  test('a flag over the environment, the environment over the file, the file over the default; and each says where it stands', () => {
    put('sallyport.yaml', 'limits:\n  keepAliveSecondsMax: 30\n')
    const of = (environment: Record<string, string>, flags: ConfigFlags = {}) => {
      const { config, layers } = readConfig(home, environment, flags)
      return [config.keepAliveSecondsMax, layers.said('limits.keepAliveSecondsMax')?.origin]
    }
    expect(of({})).toEqual([30, 'sallyport.yaml:2:24'])
    expect(of({ SALLYPORT_LIMITS_KEEP_ALIVE_SECONDS_MAX: '31' })).toEqual([31, 'SALLYPORT_LIMITS_KEEP_ALIVE_SECONDS_MAX'])
    expect(of({ SALLYPORT_LIMITS_KEEP_ALIVE_SECONDS_MAX: '31' }, { set: ['limits.keepAliveSecondsMax=32'] })).toEqual([32, '--set limits.keepAliveSecondsMax'])
    rmSync(path.join(home, 'sallyport.yaml'))
    expect(of({})).toEqual([1_200, undefined])
  })

  test('a mistake in the file is one, although a variable wins over it', () => {
    put('sallyport.yaml', 'log: { level: loud }')
    expect(refusalOf({ SALLYPORT_LOG_LEVEL: 'info' })).toContain('sallyport.yaml:1:15: log.level must be error or warn')
  })

  test('a section that is off is on with one of its keys in the environment, and off with one of another', () => {
    expect(load({ SALLYPORT_LISTEN_WEBSOCKET_PORT: '444' }).listen.websocket).toEqual({ host: '::', port: 444, path: '/mqtt', origins: [] })
    expect(load({ SALLYPORT_LISTEN_MQTT_PORT: '444' }).listen.websocket).toBeUndefined()
  })

  test('a relative path begins where it was written', () => {
    put('sallyport.yaml', 'policy: rules/a.yaml')
    expect(load({}).policyFile).toBe(path.join(home, 'rules/a.yaml'))
    expect(load({ SALLYPORT_POLICY: 'rules/a.yaml' }).policyFile).toBe(path.resolve('rules/a.yaml'))
  })
})

describe('what is wrong is named, and where', () => {
  test.each([
    [{ SALLYPORT_LISTEN_MQTT_PORT: '65536' }, 'SALLYPORT_LISTEN_MQTT_PORT: listen.mqtt.port must be a whole number from 0 to 65535, not 65536.'],
    [{ SALLYPORT_LISTEN_MQTT_PORT: 'mqtt' }, 'SALLYPORT_LISTEN_MQTT_PORT: listen.mqtt.port must be a whole number from 0 to 65535, not "mqtt".'],
    [{ SALLYPORT_LISTEN_MQTT_PORT: '8883 ' }, 'must be a whole number'],
    [{ SALLYPORT_LISTEN_MQTT_PORT: '1e3' }, 'must be a whole number'],
    [{ SALLYPORT_HOSTS: 'a.example,*.b' }, 'SALLYPORT_HOSTS: a host: "*.b" is not a host name or an address.'],
    [{ SALLYPORT_HOSTS: '[a' }, 'SALLYPORT_HOSTS: not valid YAML'],
    [{ SALLYPORT_TRUST: 'factory.pem' }, 'SALLYPORT_TRUST: trust must be a list'],
    [{ SALLYPORT_RENEWAL_GROUPS: '{ line-1: never }' }, 'SALLYPORT_RENEWAL_GROUPS: renewal.groups.line-1 must be a whole number'],
    [{ SALLYPORT_ENROLL_SERVER_KEYS: 'yes' }, 'SALLYPORT_ENROLL_SERVER_KEYS: enroll.serverKeys must be refused or allowed, not yes.'],
    [{ SALLYPORT_ORGANISATION: 'a\u001B[31m' }, String.raw`organisation: "a\u{1b}[31m" cannot stand in a certificate.`],
    [{ SALLYPORT_LISTEN_METRICS_HOST: '0.0.0.0' }, 'SALLYPORT_LISTEN_METRICS_HOST: listen.metrics: 0.0.0.0 is not loopback'],
    [{ SALLYPORT_ORGANISATION_FILE: '/nowhere/at/all' }, 'SALLYPORT_ORGANISATION_FILE names /nowhere/at/all, which cannot be read: ENOENT.'],
    [{ SALLYPORT_ORGANISATION_FILE: '/dev' }, 'SALLYPORT_ORGANISATION_FILE names /dev, which cannot be read: it is not a file.'],
    [{ SALLYPORT_ORGANISATION_FILE: '/dev/zero' }, 'SALLYPORT_ORGANISATION_FILE names /dev/zero, which cannot be read: it is not a file.'],
    [{ SALLYPORT_ORGANISATION: 'A', SALLYPORT_ORGANISATION_FILE: '/etc/hostname' }, 'SALLYPORT_ORGANISATION_FILE: SALLYPORT_ORGANISATION is set, too.'],
    [{ SALLYPORT_DETECTION_DENIALS_OBSERVE: '700' , SALLYPORT_DETECTION_DENIALS_THROTTLE: '600' }, 'SALLYPORT_DETECTION_DENIALS_THROTTLE: detection.denials.throttle is lower than a rung before it.'],
  ])('%j', (environment, message) => {
    expect(refusalOf(environment)).toContain(message)
  })

  test.each([
    ['listen.mqtt.prt=1', '--set listen.mqtt.prt: there is no such key. Did you mean "listen.mqtt.port"?'],
    ['listen.mqtt.port', '--set listen.mqtt.port: there is no value. Write: --set listen.mqtt.port=VALUE'],
    ['listen=8883', '--set listen: there is no such key.'],
    ['constructor=1', '--set constructor: there is no such key.'],
    ['__proto__.x=1', 'there is no such key.'],
    ['=1', 'there is no such key.'],
    ['policy=', '--set policy: policy must be the path of a file, not nothing.'],
    ['listen.metrics.tokenFile=', 'must be the path of a file, not nothing.'],
    ['listen.mqtt.port=x=y', 'must be a whole number'],
  ])('--set %s', (set, message) => {
    expect(refusalOf({}, { set: [set] })).toContain(message)
  })

  test('a pipe is waited for by nobody, and is no value; as the configuration it is none either', () => {
    for (const name of ['pipe', 'sallyport.yaml']) execFileSync('mkfifo', [path.join(home, name)])
    expect(refusalOf({ SALLYPORT_ORGANISATION_FILE: path.join(home, 'pipe') })).toContain('cannot be read: it is not a file')
    expect(refusalOf({})).toContain('sallyport.yaml cannot be read: it is not a file')
  })

  test('a configuration that is larger than anybody writes is not read', () => {
    truncateSync(put('sallyport.yaml', ''), 2 ** 33)
    expect(refusalOf({})).toContain('sallyport.yaml cannot be read: it is larger than')
  })

  test('a value that is larger than anybody writes is not read', () => {
    expect(refusalOf({ SALLYPORT_ORGANISATION_FILE: put('large', 'x'.repeat(70_000)) })).toContain('larger than 65536 bytes')
  })

  test('a variable that means nothing is warned of with what it may have meant, and refuses nothing', () => {
    const { warnings } = load({ SALLYPORT_LISTEN_MQTT_PROT: '1', SALLYPORT_TLS_RESUMTION_FILE: 'x', SALLYPORT_OF_SOMEBODY_ELSE_ENTIRELY: '1', OTHER_LOG_LEVL: 'x' })
    expect(warnings).toEqual([
      'SALLYPORT_LISTEN_MQTT_PROT in the environment means nothing here. Did you mean SALLYPORT_LISTEN_MQTT_PORT?',
      'SALLYPORT_OF_SOMEBODY_ELSE_ENTIRELY in the environment means nothing here.',
      expect.stringContaining('SALLYPORT_TLS_RESUMTION_FILE in the environment means nothing here.'),
    ])
  })

  test('what Kubernetes and Docker put beside a service of this name is passed over', () => {
    const injected = ['SALLYPORT_SERVICE_HOST', 'SALLYPORT_SERVICE_PORT', 'SALLYPORT_SERVICE_PORT_MQTTS', 'SALLYPORT_PORT', 'SALLYPORT_PORT_8883_TCP', 'SALLYPORT_PORT_8883_TCP_ADDR', 'SALLYPORT_PORT_8883_TCP_PROTO', 'SALLYPORT_MQTT_SERVICE_HOST', 'SALLYPORT_ENV_NODE_VERSION', 'SALLYPORT_HOME', 'SALLYPORT_OPERATOR']
    expect(load(Object.fromEntries(injected.map((name) => [name, 'tcp://10.0.0.1:8883']))).warnings).toEqual([])
  })
})

describe('a secret', () => {
  const table = {
    password: { ...row(textKind(/^[a-z]{8,}$/, { words: 'eight letters', wrong: 'is none.', fix: 'Write others.' }), { preset: 'changeme', effect: 'live', text: '' }), secret: true },
    mode: row(word(['a', 'b']), { preset: 'a', effect: 'live', text: '' }),
  } as const satisfies Table
  const read = (environment: Record<string, string>) => readLayers({ table, home, environment, set: [] })

  test('is read, and is in no message, no origin and no comparison', () => {
    const [before, after] = [read({ SALLYPORT_PASSWORD: 'hunterhunter' }), read({ SALLYPORT_PASSWORD_FILE: put('secret', 'anotherone\n') })]
    expect([before.value('password'), after.value('password')]).toEqual(['hunterhunter', 'anotherone'])
    const compared = [before, after].map((layers) => ({ settings: { password: layers.value('password') }, written: { password: layers.said('password')?.written }, sections: [] }))
    expect(changesBetween({ table, sections: {} }, compared[0]!, compared[1]!, 'live')).toEqual([{ key: 'password', from: '(secret)', to: '(secret)' }])
    expect(JSON.stringify(after.said('password')?.origin)).not.toContain('anotherone')
  })

  test('that is wrong is not repeated', () => {
    put('sallyport.yaml', 'password: Hunter-2')
    const { problems } = read({ SALLYPORT_PASSWORD: 'Hunter-3' }).reader
    expect(problems.map(({ message }) => message)).toEqual(['password must be eight letters.', 'password must be eight letters.'])
  })
})

describe('what a reload makes of a change', () => {
  const of = (text: string, effect: 'live' | 'restart') => {
    const before = load({})
    put('sallyport.yaml', text)
    return changesBetween({ table: TABLE, sections: SECTIONS }, before, load({}), effect)
  }

  test('names each key with both values, those that are live and those that wait apart', () => {
    const text = 'listen: { mqtt: { port: 8884 } }\nlimits: { packetBytesMax: 1MiB }\nhosts: [a.example]'
    expect(of(text, 'restart')).toEqual([{ key: 'listen.mqtt.port', from: '8883', to: '8884' }])
    rmSync(path.join(home, 'sallyport.yaml'))
    expect(of(text, 'live')).toEqual([{ key: 'hosts', from: '[]', to: '["a.example"]' }, { key: 'limits.packetBytesMax', from: '256KiB', to: '1MiB' }])
  })

  test('the same value in other words is none', () => {
    expect(of('limits: { packetBytesMax: 262144 }\nlisten: { mqtt: { port: 8883 } }', 'live')).toEqual([])
  })

  test('a door that comes is one change, whatever is said of it', () => {
    expect(of('listen: { websocket: {} }', 'restart')).toEqual([{ key: 'listen.websocket', from: 'off', to: 'on' }])
  })

  test('a rate takes the burst along, a threshold the ones above it', () => {
    expect(of('limits: { sourceRatePerSecond: 3000 }\ndetection: { topics: { observe: 3000 } }', 'live')).toEqual([
      { key: 'limits.sourceRatePerSecond', from: '500', to: '3000' }, { key: 'limits.sourceBurst', from: '2000', to: '3000' },
      { key: 'detection.topics.observe', from: '50', to: '3000' }, { key: 'detection.topics.throttle', from: '200', to: '3000' }, { key: 'detection.topics.quarantine', from: '2000', to: '3000' },
    ])
  })
})
