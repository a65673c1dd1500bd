// sallyport.yaml, environment and flags: every mistake has its place and its suggestion, and who wins over whom.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig, type Config, type ConfigFlags } from '../src/config.ts'
import { DEFAULT_RULES } from '../src/core/detection/rules.ts'
import { SallyportError } from '../src/core/errors.ts'
import { STARTER_CONFIG } from '../src/starter.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-config-'))
  writeFileSync(path.join(home, 'factory.pem'), '')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function load(text: string | undefined, environment: Record<string, string> = {}, flags: ConfigFlags = {}): Config {
  if (text !== undefined) writeFileSync(path.join(home, 'sallyport.yaml'), text)
  return loadConfig(home, environment, flags)
}

function failureOf(text: string | undefined, environment: Record<string, string> = {}, flags: ConfigFlags = {}): SallyportError {
  try {
    load(text, environment, flags)
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('what is wrong has a place and a way out', () => {
  // text, line:column, part of the message
  test.each([
    ['listn: {}', '1:1', 'unknown key "listn" in sallyport.yaml. Did you mean "listen"?'],
    ['\norganisation: 5', '2:15', 'organisation must be text, not 5. Write it in quotes: "5".'],
    ['organisation: ""', '1:15', 'cannot stand in a certificate'],
    [`organisation: ${'x'.repeat(65)}`, '1:15', 'cannot stand in a certificate'],
    ['organisation: "a\\nb"', '1:15', 'cannot stand in a certificate'],
    ['listen: 8883', '1:9', 'listen must be a mapping (key: value), not "8883".'],
    ['listen: { mqt: {} }', '1:11', 'Did you mean "mqtt"?'],
    ['listen:\n  mqtt:\n    prt: 8883', '3:5', 'unknown key "prt" in listen.mqtt. Did you mean "port"?'],
    ['listen:\n  mqtt: { port: 65536 }', '2:17', 'listen.mqtt.port must be a whole number from 0 to 65535, not 65536.'],
    ['listen: { mqtt: { port: -1 } }', '1:25', 'from 0 to 65535'],
    ['listen: { admin: { port: "9443" } }', '1:26', 'from 0 to 65535'],
    ['listen: { admin: { host: "a b" } }', '1:26', 'is not a host name or an address'],
    ['listen: { websocket: 8884 }', '1:22', 'listen.websocket must be a mapping'],
    ['listen: { websocket: { prt: 1 } }', '1:24', 'unknown key "prt" in listen.websocket. Did you mean "port"?'],
    ['listen: { websocket: { path: mqtt } }', '1:30', 'listen.websocket.path: "mqtt" is not a path.'],
    ['listen: { websocket: { path: "/mqtt?a" } }', '1:30', '"/mqtt?a" is not a path.'],
    ['listen: { websocket: { path: /%6dqtt } }', '1:30', 'is not a path.'],
    ['listen: { websocket: { origins: "https://a.example" } }', '1:33', 'listen.websocket.origins must be a list'],
    ['listen: { websocket: { origins: ["*"] } }', '1:34', '"*" is not the origin of an https page.'],
    ['listen: { websocket: { origins: ["null"] } }', '1:34', 'is not the origin'],
    ['listen: { websocket: { origins: ["https://a.example/"] } }', '1:34', 'is not the origin'],
    ['listen: { websocket: { origins: ["https://A.example:443"] } }', '1:34', 'is not the origin'],
    ['listen: { websocket: { origins: ["http://a.example"] } }', '1:34', 'is not the origin of an https page'],
    ['listen: { metrics: { host: 0.0.0.0 } }', '1:28', '0.0.0.0 is not loopback, and there is no tokenFile.'],
    ['hosts: mqtt.example.org', '1:8', 'hosts must be a list'],
    ['hosts: ["*.example.org"]', '1:9', '"*.example.org" is not a host name'],
    ['hosts: ["fe80::1%eth0"]', '1:9', 'is not a host name or an address'],
    [`hosts: [${Array.from({ length: 25 }, (_, i) => `h${i}`).join(', ')}]`, '1:8', 'at most 24 names fit'],
    ['trust: [factory.pem]', '1:9', 'a trusted CA must be a mapping'],
    ['trust: [{ name: factory }]', '1:9', 'needs a name and a file'],
    ['trust: [{ name: "a/b", file: factory.pem }]', '1:17', '"a/b" is not a CA name'],
    ['trust: [{ name: issuing-1, file: factory.pem }]', '1:17', 'is the name of our own CA'],
    ['trust: [{ name: f, file: factory.pem, only: mqtt }]', '1:45', 'only'],
    ['trust: [{ name: f, file: gone.pem }]', '1:26', 'there is no file "gone.pem"'],
    ['trust: [{ name: f, file: factory.pem }, { name: f, file: factory.pem }]', '1:41', 'is listed already'],
    ['tls: { resumption: maybe }', '1:20', 'tls.resumption must be on or off, not maybe.'],
    ['tls: { resumtion: on }', '1:8', 'Did you mean "resumption"?'],
    ['limits: { sourceRatePerSecond: 0 }', '1:32', 'must be a whole number from 1'],
    ['limits: { sourceRatePerSecond: 100, sourceBurst: 99 }', '1:50', 'limits.sourceBurst must be a whole number from 100'],
    ['limits: { packetBytesMax: big }', '1:27', 'must be a size, not big. Write bytes: 512, 8KiB or 1MiB.'],
    ['limits: { keepAliveSecondsMax: 0 }', '1:32', 'limits.keepAliveSecondsMax'],
    ['limits: { keepAliveSecondsMax: 65536 }', '1:32', 'limits.keepAliveSecondsMax'],
    ['limits: { packetBytesMax: 1KiB }', '1:27', 'must be from 65536 to'],
    ['limits: { packetBytesMax: 1GiB }', '1:27', 'must be from 65536 to'],
    ['webhooks: { allows: [] }', '1:13', 'unknown key "allows" in webhooks. Did you mean "allow"?'],
    ['webhooks: { allow: [10.0.0.0/33] }', '1:21', 'webhooks.allow: this is not a network.'],
    ['webhooks: { allow: [localhost] }', '1:21', 'webhooks.allow: this is not a network.'],
    ['renewal: on', '1:10', 'renewal must be a mapping'],
    ['renewal: { graceDay: 1 }', '1:12', 'unknown key "graceDay" in renewal. Did you mean "graceDays"?'],
    ['renewal: { graceDays: -1 }', '1:23', 'renewal.graceDays must be a whole number from 0 to 3650, not -1.'],
    ['renewal: { groups: { "a b": 1 } }', '1:22', 'renewal.groups: "a b" is not a group name.'],
    ['renewal: { groups: { a: x } }', '1:25', 'renewal.groups.a must be a whole number'],
    ['renewal: { sameKey: no }', '1:21', 'renewal.sameKey must be allowed or refused, not no.'],
    ['enroll: on', '1:9', 'enroll must be a mapping'],
    ['enroll: { serverkeys: allowed }', '1:11', 'unknown key "serverkeys" in enroll. Did you mean "serverKeys"?'],
    ['enroll: { serverKeys: yes }', '1:23', 'enroll.serverKeys must be refused or allowed, not yes.'],
    ['enroll: { channelBinding: on }', '1:27', 'enroll.channelBinding must be optional or required, not on.'],
    ['detection: on', '1:12', 'detection must be a mapping'],
    ['detection: { upto: off }', '1:14', 'unknown key "upto" in detection. Did you mean "upTo"?'],
    ['detection: { upTo: none }', '1:20', 'detection.upTo must be off or observe or throttle or quarantine or suspend, not none.'],
    ['detection: { upTo: suspended }', '1:20', 'Did you mean "suspend"?'],
    ['detection: { topics: 5 }', '1:22', 'detection.topics must be a mapping'],
    ['detection: { topics: { observed: 5 } }', '1:24', 'unknown key "observed" in detection.topics. Did you mean "observe"?'],
    ['detection: { topics: { observe: 0 } }', '1:33', 'detection.topics.observe must be a whole number from 1 to 5000, not 0.'],
    ['detection: { topics: { suspend: 5001 } }', '1:33', 'from 1 to 5000'],
    ['detection: { denials: { observe: 1000001 } }', '1:34', 'from 1 to 1000000'],
    ['detection: { denials: { observe: never } }', '1:34', 'must be a whole number'],
    ['detection: { denials: { observe: 20, throttle: 19 } }', '1:48', 'detection.denials.throttle is lower than a rung before it.'],
    ['detection: { denials: { quarantine: off, suspend: 9 } }', '1:51', 'detection.denials.suspend is lower than a rung before it. Every rung needs at least as many as the one before; write off'],
    ['detection: { denials: { perSecond: 5 } }', '1:25', 'unknown key "perSecond"'],
    ['detection: { rate: { perSecond: 0 } }', '1:33', 'detection.rate.perSecond must be a whole number from 1'],
    ['detection: { rate: { times: 1.5 } }', '1:29', 'detection.rate.times must be a whole number'],
    ['detection: { exempt: [a] }', '1:22', 'detection.exempt must be a mapping'],
    ['detection: { exempt: { group: [a] } }', '1:24', 'Did you mean "groups"?'],
    ['detection: { exempt: { groups: a } }', '1:32', 'detection.exempt.groups must be a list'],
    ['detection: { exempt: { groups: ["a/b"] } }', '1:33', 'detection.exempt.groups: "a/b" is not a group name.'],
    ['detection: { exempt: { devices: [5] } }', '1:34', 'an entry of detection.exempt.devices must be text, not 5.'],
    ['log: { level: loud }', '1:15', 'log.level must be error or warn or info or debug, not loud.'],
    ['policy: [a]', '1:9', 'policy must be a single value'],
    ['organisation: A\norganisation: B', '2:1', 'not valid YAML'],
    ['a: &x 1\nb: *x', '1:7', 'anchors (&name) are not accepted.'],
    ['listen: {', '1:10', 'not valid YAML'],
  ])('%j', (text, at, message) => {
    const failure = failureOf(text)
    expect(failure.code).toBe('config-invalid')
    expect(failure.message).toContain(`sallyport.yaml:${at}: `)
    expect(failure.message).toContain(message)
    expect(`${failure.at?.line}:${failure.at?.column}`).toBe(at)
  })

  test('all problems of a file are listed, not only the first', () => {
    const lines = failureOf('listn: {}\nlog: { level: loud }\nhosts: [1]').message.split('\n')
    expect(lines).toHaveLength(3)
  })

  test('a configuration that is a folder is a sentence, not a stack', () => {
    mkdirSync(path.join(home, 'sallyport.yaml'))
    const failure = failureOf(undefined)
    expect(failure.code).toBe('config-invalid')
    expect(failure.message).toMatch(/cannot be read/)
  })

  test('a level in the environment that there is none of is refused with those that there are', () => {
    const failure = failureOf('', { SALLYPORT_LOG_LEVEL: 'loud' })
    expect(failure.code).toBe('config-invalid')
    expect(failure.message).toBe('SALLYPORT_LOG_LEVEL: log.level must be error or warn or info or debug, not loud.')
  })

  test('more names than a certificate holds are refused, wherever they were given', () => {
    const flags = { hosts: Array.from({ length: 24 }, (_, i) => `h${i}.example`) }
    expect(failureOf('hosts: [another.example]', {}, flags).message).toContain('At most 24 names fit')
    expect(load('', {}, { hosts: flags.hosts.slice(0, 20) }).hosts).toContain('h19.example')
  })

  test('a --host that is none is refused', () => {
    expect(failureOf('', {}, { hosts: ['a/b'] }).code).toBe('config-invalid')
  })
})

describe('what is right is taken', () => {
  test('no file, an empty file and the starter file all mean the defaults', () => {
    const none = load(undefined)
    expect(none).toMatchObject({
      organisation: 'Sallyport', listen: { mqtt: { host: '::', port: 8883 }, admin: { host: '127.0.0.1', port: 9443 }, websocket: undefined }, trust: [], resumption: false,
      sourceRate: { perSecond: 500, burst: 2_000 }, packetBytesMax: 262_144, keepAliveSecondsMax: 1_200, logLevel: 'info', policyFile: path.join(home, 'policy.yaml'), passphraseFile: undefined, announcedHost: 'localhost',
    })
    expect(load('')).toEqual(none)
    expect(load(STARTER_CONFIG)).toEqual(none)
  })

  test('the starter file without its comment signs says the defaults, too', () => {
    const spoken = STARTER_CONFIG.split('\n').map((line) => line.replace(/^# (?=[a-z]+:|  )/, '')).join('\n').replace(/^hosts:.*$/m, '').replace(/^trust:.*\n.*$/m, '')
    expect(load(spoken.replaceAll('  websocket:', '  #websocket:'))).toEqual(load(''))
    // Its defaults are what an empty section means; without one it is off.
    expect(load(spoken)).toEqual(load('listen: { websocket: {} }'))
  })

  test('every key is read', () => {
    const config = load(`organisation: Acme
listen: { mqtt: { host: 0.0.0.0, port: 0 }, admin: { host: 10.0.0.5, port: 1 } }
hosts: [mqtt.acme.example, "2001:db8::1"]
trust: [{ name: factory-2026, file: factory.pem }, { name: presses, file: factory.pem, only: enrollment }]
tls: { resumption: on }
limits: { sourceRatePerSecond: 5000, packetBytesMax: 64KiB, keepAliveSecondsMax: 60 }
log: { level: debug }
policy: rules/policy.yaml
`)
    expect(config).toMatchObject({
      organisation: 'Acme', listen: { mqtt: { host: '0.0.0.0', port: 0 }, admin: { host: '10.0.0.5', port: 1 } }, trust: [{ name: 'factory-2026', file: path.join(home, 'factory.pem'), enrollsOnly: false }, { name: 'presses', file: path.join(home, 'factory.pem'), enrollsOnly: true }],
      resumption: true, packetBytesMax: 65_536, keepAliveSecondsMax: 60, logLevel: 'debug', policyFile: path.join(home, 'rules/policy.yaml'), announcedHost: 'mqtt.acme.example',
      sourceRate: { perSecond: 5_000, burst: 5_000 },
    })
    // An address to listen on is a name for the certificate; "every address" is not.
    expect(config.hosts).toEqual(expect.arrayContaining(['mqtt.acme.example', '2001:db8::1', '10.0.0.5']))
    expect(config.hosts).not.toContain('0.0.0.0')
  })

  test('the WebSocket door is off, on where it is named, and its address is a name like any other', () => {
    expect(load('listen: { mqtt: {} }').listen.websocket).toBeUndefined()
    expect(load('listen: { websocket: {} }').listen.websocket).toEqual({ host: '::', port: 8884, path: '/mqtt', origins: [] })
    const config = load('listen: { websocket: { host: 10.0.0.6, port: 443, path: /, origins: [https://a.example, "https://b.example:8443"] } }')
    expect(config.listen.websocket).toEqual({ host: '10.0.0.6', port: 443, path: '/', origins: ['https://a.example', 'https://b.example:8443'] })
    expect(config.hosts).toContain('10.0.0.6')
    expect(load('listen: { websocket: { path: /iot/v1 } }', {}, { portsAuto: true }).listen.websocket).toEqual({ host: '::', port: 0, path: '/iot/v1', origins: [] })
    expect(load('', {}, { portsAuto: true }).listen.websocket).toBeUndefined()
  })

  test('the detection ladder goes as far as to throttle, and where the file says so, to its end or nowhere', () => {
    expect(load('').detection).toEqual(DEFAULT_RULES)
    expect(load('detection: {}').detection).toEqual(DEFAULT_RULES)
    expect(load('').detection.upTo).toBe('throttle')
    expect(load('detection: { upTo: suspend }').detection.upTo).toBe('suspend')
    expect(load('detection: { upTo: off }').detection.upTo).toBe('none')
    const { exempt } = load('detection: { exempt: { groups: [gateways], devices: [gw-1, gw-2] } }').detection
    expect([[...exempt.groups], [...exempt.devices]]).toEqual([['gateways'], ['gw-1', 'gw-2']])
    expect(load('detection: { rate: { perSecond: 10, times: 3 } }').detection.outlier).toEqual({ perSecond: 10, times: 3 })
  })

  test.each([
    ['topics: { quarantine: 30 }', 'topics', [30, 30, 30, 4_000]],
    ['topics: { observe: 3000 }', 'topics', [3_000, 3_000, 3_000, 4_000]],
    ['topics: { throttle: off }', 'topics', [50, Infinity, Infinity, Infinity]],
    ['clientIds: { suspend: 1 }', 'client-ids', [1, 1, 1, 1]],
    ['denials: { quarantine: 1000, suspend: 2000 }', 'denials', [120, 600, 1_000, 2_000]],
    ['twoPlaces: { observe: off }', 'two-places', [Infinity, Infinity, Infinity, Infinity]],
    ['connects: { observe: 1, throttle: 1 }', 'connects', [1, 1, Infinity, Infinity]],
    ['rate: { times: 5 }', 'rate', [60, 300, Infinity, Infinity]],
  ] as const)('of the thresholds %s, what is not said keeps between what is said', (text, signal, expected) => {
    const { observe, throttle, quarantine, suspend } = load(`detection: { ${text} }`).detection.thresholds[signal]
    expect([observe, throttle, quarantine, suspend]).toEqual(expected)
    expect({ ...load(`detection: { ${text} }`).detection.thresholds, [signal]: undefined }).toEqual({ ...DEFAULT_RULES.thresholds, [signal]: undefined })
  })

  test('flags win over the environment, and that over the file', () => {
    const config = load('log: { level: error }\nhosts: [a.example]', { SALLYPORT_LOG_LEVEL: 'debug', SALLYPORT_PASSPHRASE_FILE: 'secret' }, { portsAuto: true, hosts: ['b.example', 'a.example'] })
    expect(config.logLevel).toBe('debug')
    expect(config.passphraseFile).toBe(path.resolve('secret'))
    expect([config.listen.mqtt.port, config.listen.admin.port]).toEqual([0, 0])
    expect(config.announcedHost).toBe('b.example')
    expect(config.hosts.filter((h) => h === 'a.example')).toHaveLength(1)
    expect(load('log: { level: error }', { SALLYPORT_LOG_LEVEL: '' }).logLevel).toBe('error')
  })

  test('the name of the machine is in the certificate without being asked for', () => {
    expect(load('').hosts).toContain(hostname())
  })
})
