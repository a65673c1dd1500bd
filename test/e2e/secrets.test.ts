// No secret is where it need not be: a whole life of a home, with everything that goes wrong in one, at the finest level of the log; then
// all that the program has said, written and answered is searched for each secret that was used, in the forms in which one gets about.

import { createPrivateKey, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCsr } from '../../src/x509/csr.ts'
import { answering, openReceiver, type Receiver } from '../webhooks/receiver.ts'
import { newKey } from '../http/house.ts'
import { signerOf } from './processes.ts'
import { Program, type Answer } from './program.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const word = (): string => randomBytes(24).toString('base64url')

/** A secret, and the files of the home in which it has to be: their owner alone may read them. */
interface Secret {
  readonly name: string
  readonly bytes: Buffer
  readonly mayBeIn: readonly string[]
}
const secrets: Secret[] = []
function secret<T extends string | Buffer>(name: string, value: T, ...mayBeIn: readonly string[]): T {
  const bytes = Buffer.from(value)
  if (bytes.length < 12) throw new Error(`${name} is too short to be looked for`)
  secrets.push({ name, bytes, mayBeIn })
  return value
}

/** As it is, in base64 wherever in a longer text it stood, in hex, in a URL, and in JSON. */
function formsOf(bytes: Buffer): readonly string[] {
  const base64 = [0, 1, 2].flatMap((before) => {
    // What stands before and behind it has a part in the first and the last letters.
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64').replaceAll('=', '')
    const inner = whole.slice(before === 0 ? 0 : before + 1, -2)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const text = bytes.toString('utf8')
  const asText = text.isWellFormed() && Buffer.from(text).equals(bytes) ? [encodeURIComponent(text), JSON.stringify(text).slice(1, -1)] : []
  return [...new Set([bytes.toString('latin1'), ...base64, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), ...asText])]
}

/** The number that makes a private key one. */
const numberOf = (file: string): Buffer => Buffer.from(createPrivateKey(readFileSync(file)).export({ format: 'jwk' }).d ?? '', 'base64url')

/** The SDK of a user who traces, with what it writes. */
const traces = mkdtempSync(path.join(tmpdir(), 'sallyport-spans-'))
const spans = path.join(traces, 'spans.ndjson')
const program = new Program({ NODE_OPTIONS: `--import=${path.join(traces, 'sdk.mjs')}` })
const at = (...names: readonly string[]): string => path.join(program.home, ...names)
const said: Answer[] = []
let receiver: Receiver
/** What a collector of syslog is sent. */
let syslog = ''
const collector = net.createServer((socket) => {
  socket.on('data', (chunk: Buffer) => {
    syslog += chunk.toString('latin1')
  }).on('error', () => {})
})
/** All answers of HTTP. */
const answers: string[] = []

function run(...args: readonly string[]): Answer {
  const answer = program.run(...args)
  said.push(answer)
  return answer
}

interface Sent {
  readonly url: string
  readonly at: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly operator?: boolean
}
function ask({ url, at: target, method = 'GET', headers = {}, body, operator = false }: Sent): Promise<{ readonly status: number; readonly text: string; readonly cookie: string }> {
  const { hostname, port } = new URL(url)
  const credential = operator ? { cert: readFileSync(at('certs/local/operator/cert.pem')), key: readFileSync(at('certs/local/operator/key.pem')) } : {}
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path: target, method, agent: false, servername: 'localhost', ca: readFileSync(at('certs/local/operator/ca.pem')), ...credential, headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) } }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
      })
      response.on('end', () => {
        answers.push(text)
        resolve({ status: response.statusCode ?? 0, text, cookie: String(response.headers['set-cookie'] ?? '') })
      })
    })
    sent.on('error', reject).end(body)
  })
}

const admin = (): string => program.endpoints.admin.url
const enroll = (): string => `https://localhost:${(JSON.parse(readFileSync(at('data/endpoints.json'), 'utf8')) as { enroll: { port: number } }).enroll.port}`
function est(authorization: string, id = 'est-1'): Promise<{ readonly status: number }> {
  const body = makeCsr(newKey(), id).replaceAll(/-----[A-Z ]+-----|\s/g, '')
  return ask({ url: enroll(), at: '/.well-known/est/simpleenroll', method: 'POST', body, headers: { authorization, 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64' } })
}
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** Everything that a device says of a user name and a password is ignored, whether it is let in or not. */
async function connect(bundle: string, options: mqtt.IClientOptions): Promise<void> {
  const file = (name: string): Buffer => readFileSync(path.join(bundle, name))
  await mqtt.connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: file('ca.pem'), cert: file('device.pem'), key: file('device.key'), protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 5_000, ...options }, false).then((client) => client.endAsync(), () => undefined)
}

async function configured(): Promise<void> {
  receiver = await openReceiver()
  await once(collector.listen(0, '127.0.0.1'), 'listening')
  writeFileSync(at('receiver-ca.pem'), receiver.ca)
  const put = (name: string, text: string): string => {
    writeFileSync(at(name), `${text}\n`, { mode: 0o600 })
    return text
  }
  secret('the passphrase of the CA', put('ca.pass', word()), 'ca.pass')
  secret('the token of the metrics', put('metrics.token', word() + word()), 'metrics.token')
  secret('the token of the audit export', put('siem.token', word()), 'siem.token')
  secret('the password of a bundle', put('bundle.pass', word()), 'bundle.pass')
  secret('a wrong passphrase', put('wrong.pass', word()), 'wrong.pass')
  put('organisation', 'Acme')
  writeFileSync(at('sallyport.yaml'), [
    `listen: { metrics: { host: 0.0.0.0, tokenFile: metrics.token } }`,
    `audit: { export: [ { to: "syslog+tcp://127.0.0.1:${(collector.address() as net.AddressInfo).port}" }, { to: "https://127.0.0.1:1/x", tokenFile: siem.token } ] }`,
    'webhooks: { allow: [127.0.0.0/8], ca: receiver-ca.pem }',
    'passphraseFile: ca.pass',
  ].join('\n'))
  writeFileSync(path.join(traces, 'sdk.mjs'), [
    `import { appendFileSync } from 'node:fs'`,
    `import { createRequire } from 'node:module'`,
    `const ours = createRequire(${JSON.stringify(path.join(ROOT, 'package.json'))})`,
    `const { trace } = ours('@opentelemetry/api')`,
    `const { BasicTracerProvider, SimpleSpanProcessor } = ours('@opentelemetry/sdk-trace-base')`,
    `const exporter = { export(spans, done) { for (const { name, attributes, status } of spans) appendFileSync(${JSON.stringify(spans)}, JSON.stringify({ name, attributes, status }) + '\\n'); done({ code: 0 }) }, shutdown: () => Promise.resolve() }`,
    `trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))`,
  ].join('\n'))
}

async function devicesLive(): Promise<void> {
  const bundle = program.device('sensor-1')
  secret('the key of a device', numberOf(path.join(bundle, 'device.key')), 'bundles/sensor-1/device.key')
  for (const [owner, key] of [['the operator', 'certs/local/operator/key.pem'], ['the server', 'certs/local/server/key.pem'], ['a device of the demo', 'demo/demo-sensor/device.key']] as const) secret(`the key of ${owner}`, numberOf(at(key)), key)
  for (const clientId of ['sensor-1', 'somebody-else']) await connect(bundle, { clientId, username: 'sensor-1', password: secret('a password of MQTT', word()) })
  for (const args of [['--format', 'p12', '--password-file', at('bundle.pass'), '--out', at('p1.p12')], ['--format', 'p12', '--password-file', at('wrong.pass'), '--out', at('p1.p12')]]) run('device', 'bundle', 'sensor-1', ...args)
  run('device', 'add', 'p12-made')
  const made = program.run('device', 'bundle', 'p12-made', '--format', 'p12', '--out', at('p2.p12'))
  secret('the password of a bundle that was made', /\b[0-9A-HJKMNP-TV-Z]{26}\b/.exec(made.stdout)?.[0] ?? '')
  writeFileSync(at('import.csv'), `id,password\nfactory-1,${secret('a one-time password', word(), 'import.csv')}\nfactory-2,${secret('a one-time password that is refused', `${word()}é`, 'import.csv')}\nfactory-1,${secret('a one-time password of a device that is there', word(), 'import.csv')}\n`, { mode: 0o600 })
  run('device', 'import', at('import.csv'))
}

async function enrollmentsLive(): Promise<void> {
  run('device', 'add', 'est-1')
  const [good = '', other = ''] = [0, 1].map(() => secret('a token', program.run('token', 'create', '--id', 'est-1').stdout.split('\n')[0] ?? ''))
  const guessed = secret('a guess at a token', `${good.slice(0, 8)}${word()}`)
  const statuses = [await est(basic('est-1', guessed)), await est(`Bearer ${guessed}`), await est(basic('sensor-1', good)), await est(basic('est-1', good)), await est(basic('est-1', good)), await est(`Bearer ${other}`)].map(({ status }) => status)
  expect(statuses).toEqual([expect.any(Number), expect.any(Number), expect.any(Number), 200, expect.any(Number), 200])
  expect(statuses.filter((status) => status === 200)).toHaveLength(2)
  await est(`Digest username="x", response="${secret('a credential of another kind', word())}"`)
}

async function operatorsLive(): Promise<void> {
  const json = { 'content-type': 'application/json' }
  const hook = (name: string, url: string): Answer => program.run('webhook', 'add', url, '--name', name)
  secret('what signs webhooks', /whsec_(\S+)/.exec(hook('pager', `${receiver.url}?key=${secret('what a webhook has in its query', word(), 'data/')}`).stdout)?.[1] ?? '', 'certs/local/webhooks/')
  // Not by a command: while one runs, nobody here answers for the receiver.
  await ask({ url: admin(), at: '/v1/webhooks/pager/test', method: 'POST', operator: true })
  receiver.behave(answering(500))
  await ask({ url: admin(), at: '/v1/webhooks/pager/test', method: 'POST', operator: true })
  run('webhook', 'add', `https://user:${secret('a password in a URL', word())}@hooks.example.org/`)
  const link = secret('a link of the console', program.run('console').stdout.trim().split('#link=')[1]?.split(/\s/)[0] ?? '')
  const page = { ...json, origin: new URL(admin()).origin, 'sec-fetch-site': 'same-origin' }
  const session = await ask({ url: admin(), at: '/console/session', method: 'POST', headers: page, body: JSON.stringify({ link }) })
  expect(session.status).toBe(200)
  secret('the cookie of a session', /__Host-[^=]+=([^;]+)/.exec(session.cookie)?.[1] ?? '')
  await ask({ url: admin(), at: '/v1/devices', headers: { ...page, cookie: session.cookie.split(';')[0] ?? '' } })
  for (const cookie of [word(), word()]) await ask({ url: admin(), at: '/v1/devices', headers: { ...page, cookie: `${session.cookie.split('=')[0] ?? ''}=${secret('a cookie that is none of ours', cookie)}` } })
  await ask({ url: admin(), at: '/console/session', method: 'POST', headers: page, body: JSON.stringify({ link: secret('a link that is none', word()) }) })
  // Who is mistaken about the door, and shows what belongs elsewhere.
  await ask({ url: admin(), at: '/v1/status', headers: { authorization: `Bearer ${secret('a token of elsewhere', word())}` } })
  await ask({ url: admin(), at: '/v1/devices', method: 'POST', operator: true, headers: json, body: JSON.stringify({ id: 'x', password: { text: secret('a password in a body that is refused', `${word()}\u0000`), lifeMs: 1 }, more: 1 }) })
  await ask({ url: admin(), at: '/v1/devices', method: 'POST', operator: true, headers: json, body: JSON.stringify({ id: 'x', password: secret('a password of another type', word()) }) })
  await ask({ url: admin(), at: '/v1/devices', method: 'POST', operator: true, headers: json, body: `{"id":"x","password":{"text":"${secret('a password in JSON that is none', word())}",` })
  await ask({ url: admin(), at: '/v1/devices', method: 'POST', operator: true, headers: { ...json, 'idempotency-key': 'once' }, body: JSON.stringify({ id: 'api-1', password: { text: secret('a one-time password by the API', word()), lifeMs: 86_400_000 } }) })
  for (const authorization of [`Bearer ${readFileSync(at('metrics.token'), 'utf8').trim()}`, `Bearer ${secret('a guess at the token of the metrics', word())}`]) for (const target of ['/metrics', '/readyz']) await ask({ url: program.endpoints.metrics.url, at: target, headers: { authorization } })
}

function backupsLive(): void {
  run('backup', 'create', '--out', at('plain.backup'))
  run('backup', 'create', '--out', at('all.backup'), '--with-passphrase')
  run('backup', 'verify', at('plain.backup'), '--passphrase-file', at('wrong.pass'))
  run('backup', 'verify', at('plain.backup'), '--passphrase-file', at('ca.pass'))
  run('ca', 'export-root-key', '--out', at('root.export'), '--passphrase-file', at('bundle.pass'))
  run('ca', 'remove-root-key', '--exported', at('root.export'), '--passphrase-file', at('wrong.pass'), '--yes')
}

beforeAll(async () => {
  await configured()
  Object.assign(process.env, { SALLYPORT_ORGANISATION_FILE: at('organisation') })
  await program.serve('--set', 'log.level=debug')
  await devicesLive()
  await enrollmentsLive()
  await operatorsLive()
  backupsLive()
  for (const args of [['why', 'sensor-1'], ['config', 'show', '--origin'], ['audit', 'tail', '--count', '1000'], ['doctor'], ['webhook', 'deliveries', 'pager'], ['refusal', 'list'], ['token', 'list'], ['operator', 'list'], ['log', 'show'], ['reload'], ['status'], ['cert', 'journal']]) run(...args, ...(args[0] === 'status' ? [] : ['--json']))
  for (const target of ['/openapi.json', '/v1/status', '/v1/overview', '/v1/webhooks', '/v1/console/sessions', '/v1/tokens', '/v1/audit?count=1000', '/v1/refusals']) await ask({ url: admin(), at: target, operator: true })
}, 120_000)
afterAll(async () => {
  delete process.env['SALLYPORT_ORGANISATION_FILE']
  await program[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  collector.close()
  rmSync(traces, { recursive: true })
})

/** Of which secrets this text has some form. */
const foundIn = (text: string, may: (secret: Secret) => boolean = () => false): readonly string[] => secrets.filter((each) => !may(each) && formsOf(each.bytes).some((form) => text.includes(form))).map(({ name }) => name)

describe('the search itself', () => {
  test('finds a secret in each form', () => {
    const text = 'correct horse/battery+staple?'
    const forms = formsOf(Buffer.from(text))
    for (const hiding of [text, Buffer.from(`a:${text}`).toString('base64'), Buffer.from(`ab:${text}x`).toString('base64'), Buffer.from(`${text}!!`).toString('base64url'), Buffer.from(text).toString('hex'), encodeURIComponent(text)]) expect([hiding, forms.some((form) => hiding.includes(form))]).toEqual([hiding, true])
    expect(forms.some((form) => 'a text without it, and rather long, so that one might think so'.includes(form))).toBe(false)
  })

  test('looks for all kinds, and the life was lived', () => {
    expect(new Set(secrets.map(({ name }) => name)).size).toBeGreaterThan(24)
    expect(said.filter(({ status }) => status === 0).length).toBeGreaterThan(10)
    expect(said.filter(({ status }) => status !== 0).length).toBeGreaterThan(3)
    expect(program.output).toContain('"level":20')
    expect(readFileSync(spans, 'utf8')).toContain('sallyport.enroll')
  })
})

test('no secret is in what the server says, at debug', () => {
  // The link that is printed at the start is another one, of the person who reads it there.
  expect(foundIn(program.output)).toEqual([])
})

test('no secret is in what commands say, but those that are asked to show it', () => {
  for (const { stdout, stderr } of said) expect([foundIn(stdout), foundIn(stderr)]).toEqual([[], []])
})

test('no secret is in an answer: problems, lists, the document, metrics, health', () => {
  expect(answers.length).toBeGreaterThan(20)
  for (const answer of answers) expect([answer.slice(0, 120), foundIn(answer)]).toEqual([answer.slice(0, 120), []])
})

test('no secret is in the audit log, in spans, and in what receivers of both are sent', async () => {
  const log = readFileSync(at('data/audit.ndjson'), 'utf8')
  expect(log.split('\n').length).toBeGreaterThan(50)
  expect(foundIn(log)).toEqual([])
  expect(foundIn(readFileSync(spans, 'utf8'))).toEqual([])
  await expect.poll(() => receiver.received.length).toBeGreaterThan(0)
  expect(foundIn(receiver.received.map(({ body }) => body).join('\n'))).toEqual([])
  await expect.poll(() => syslog).toContain('console-session-opened')
  expect(foundIn(syslog)).toEqual([])
})

test('no secret is in a file of the home but where it has to be, and there nobody else may read it', () => {
  const files = readdirSync(program.home, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(at(name)).isFile())
  expect(files.length).toBeGreaterThan(20)
  for (const name of files) {
    // A backup is what holds them: with the passphrase where that was asked for.
    const isBackup = name.endsWith('.backup')
    const text = readFileSync(at(name)).toString('latin1')
    const allowed = (each: Secret): boolean => each.mayBeIn.some((place) => name === place || (place.endsWith('/') && name.startsWith(place))) || (isBackup && (each.mayBeIn.some((place) => place.startsWith('certs/') || place.startsWith('data/')) || (name === 'all.backup' && each.name === 'the passphrase of the CA')))
    expect([name, foundIn(text, allowed)]).toEqual([name, []])
    const holds = secrets.some((each) => formsOf(each.bytes).some((form) => text.includes(form)))
    expect([name, holds && (statSync(at(name)).mode & 0o077) !== 0]).toEqual([name, false])
  }
})

describe.skipIf(process.platform !== 'linux')('processes (Linux)', () => {
  test('no secret is an argument, or in the environment, of the server or of the signer', () => {
    const { pid } = program.endpoints
    for (const process of [pid, signerOf(pid)]) {
      for (const file of ['cmdline', 'environ']) expect([file, foundIn(readFileSync(`/proc/${String(process)}/${file}`, 'latin1'))]).toEqual([file, []])
    }
  })
})
