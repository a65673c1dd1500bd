// Hostile cases of the operator's desk against the program as it runs: credentials and sessions of its other doors at the admin port (A01),
// URLs that it could be made to call (A05), names that could be paths (A06), texts that a terminal would obey (A09), and ways to look into
// the process (A16).

import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forgeLeaf, forgeIssuing, forgeRoot } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { connectDevice, readBundle } from '../console/device.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { signerOf } from './processes.ts'
import { Program } from './program.ts'

const program = new Program()
const at = (...names: readonly string[]): string => path.join(program.home, ...names)
const read = (...names: readonly string[]): string => readFileSync(at(...names), 'utf8')
const factory = forgeIssuing(forgeRoot('Factory'), 'Factory')

interface Credential {
  readonly cert: string
  readonly key: string
}
interface Heard {
  readonly status: number
  readonly text: string
  readonly code: string
}

beforeAll(async () => {
  writeFileSync(at('factory.pem'), [factory.certificate].map((der) => pem('CERTIFICATE', der)).join(''))
  writeFileSync(at('sallyport.yaml'), 'trust:\n  - { name: factory, file: factory.pem, only: enrollment }\n')
  await program.serve()
}, 60_000)
afterAll(() => program[Symbol.asyncDispose]())

const operator = (): Credential => ({ cert: read('certs/local/operator/cert.pem'), key: read('certs/local/operator/key.pem') })
const port = (): number => Number(new URL(program.endpoints.admin.url).port)
const enrollPort = (): number => (JSON.parse(read('data/endpoints.json')) as { readonly enroll: { readonly port: number } }).enroll.port

/** One request; 0 where the server closed instead of answering. */
function ask(credential: Credential | undefined, target = '/v1/status', { method = 'GET', body }: { readonly method?: string; readonly body?: unknown } = {}): Promise<Heard> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port: port(), servername: 'localhost', path: target, method, ca: read('certs/local/operator/ca.pem'), agent: false, ...credential, headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }, (response) => {
      let said = ''
      response.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: said, code: /"code":"([a-z-]+)"/.exec(said)?.[1] ?? '' }))
    })
    sent.on('error', () => resolve({ status: 0, text: '', code: '' })).end(text)
  })
}

describe('A01: credentials of the other doors', () => {
  test('an operator is served; a device, a claim, a manufacturer, a server, a device of a manufacturer and nobody are not', async () => {
    const bundle = program.device('sensor-1')
    expect(program.run('token', 'create', '--claim', at('claim'), '--pattern', 'line-*').status).toBe(EXIT.ok)
    const made = forgeLeaf(factory, 'sensor-1')
    const others: Readonly<Record<string, Credential | undefined>> = {
      nobody: undefined,
      device: { cert: readFileSync(path.join(bundle, 'device.pem'), 'utf8'), key: readFileSync(path.join(bundle, 'device.key'), 'utf8') },
      claim: { cert: read('claim/claim.pem'), key: read('claim/claim.key') },
      server: { cert: read('certs/local/server/cert.pem'), key: read('certs/local/server/key.pem') },
      manufacturer: { cert: pem('CERTIFICATE', factory.certificate), key: keyPem(factory.key) },
      made: { cert: [made.certificate, factory.certificate].map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(made.key) },
    }
    expect((await ask(operator())).status).toBe(200)
    for (const [who, credential] of Object.entries(others)) expect([who, await ask(credential)]).toEqual([who, expect.objectContaining({ status: 403, code: 'operator-required' })])
  })

  test('the operator of another organisation of the same name is a stranger, and one of ours is not', async () => {
    await using other = new Program()
    expect(other.run('ca', 'init').status).toBe(EXIT.ok)
    const stranger = (name: string): string => readFileSync(path.join(other.home, 'certs/local/operator', name), 'utf8')
    expect(await ask({ cert: stranger('cert.pem'), key: stranger('key.pem') })).toMatchObject({ status: 403, code: 'operator-required' })
    expect((await ask(operator())).status).toBe(200)
  })

  test('an operator whose certificate is revoked is out at the next request, with the next certificate in; and who is no operator any more is out with every one', async () => {
    program.run('operator', 'add', 'anna', '--role', 'viewer')
    const first: Credential = { cert: read('operators/anna/cert.pem'), key: read('operators/anna/key.pem') }
    expect((await ask(first)).status).toBe(200)
    expect(program.run('operator', 'renew', 'anna', '--out', at('operators/anna-2')).status).toBe(EXIT.ok)
    const next: Credential = { cert: read('operators/anna-2/cert.pem'), key: read('operators/anna-2/key.pem') }
    // Both, until the first is revoked: whoever renews has to be let in with the old one, or with the new one.
    expect([(await ask(next)).status, (await ask(first)).status]).toEqual([200, 200])
    const serial = new X509Certificate(first.cert).serialNumber
    expect(program.run('cert', 'revoke', '--serial', serial, '--reason', 'superseded', '--yes').status).toBe(EXIT.ok)
    expect([(await ask(next)).status, (await ask(first)).code]).toEqual([200, 'certificate-revoked'])
    expect(program.run('operator', 'revoke', 'anna', '--yes').status).toBe(EXIT.ok)
    expect(['certificate-revoked', 'operator-revoked']).toContain((await ask(next)).code)
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('in %s no session of the ports of devices, and none that was saved before a revocation, is resumed', async (version) => {
    const name = `bob-${version.slice(-1)}`
    program.run('operator', 'add', name, '--role', 'viewer')
    const bob: Credential = { cert: read('operators', name, 'cert.pem'), key: read('operators', name, 'key.pem') }
    const device = readBundle(at('bundles/sensor-1'))
    const connect = (to: number, credential: Partial<Credential>, session?: Buffer): Promise<{ readonly session: Buffer | undefined; readonly reused: boolean; readonly answer: string }> => new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', port: to, ca: read('certs/local/operator/ca.pem'), servername: 'localhost', minVersion: version, maxVersion: version, ...credential, ...(session === undefined ? {} : { session }) })
      let saved: Buffer | undefined
      let answer = ''
      let reused = false
      socket.on('session', (given) => {
        saved = given
      })
      socket.on('secureConnect', () => {
        reused = socket.isSessionReused()
        socket.write('GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      })
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve({ session: saved, reused, answer }))
    })
    const own = await connect(port(), bob)
    expect(own.answer).toMatch(/^HTTP\/1.1 200/)
    const saved = [own.session, (await connect(program.endpoints.mqtt.port, device)).session, (await connect(enrollPort(), device)).session]
    expect(program.run('operator', 'revoke', name, '--yes').status).toBe(EXIT.ok)
    for (const session of saved) {
      for (const credential of [{}, bob]) {
        const again = await connect(port(), credential, session)
        expect([again.reused, again.answer.slice(0, 12)]).toEqual([false, 'HTTP/1.1 403'])
      }
    }
  })
})

/** Everything below a folder, with its bytes. */
const picture = (folder: string): string => createHash('sha256').update(JSON.stringify(readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(path.join(folder, name)).isFile()).toSorted().map((name) => [name, statSync(path.join(folder, name)).size]))).digest('hex')

describe('A05: URLs', () => {
  const add = (url: string): Promise<Heard> => ask(operator(), '/v1/webhooks', { method: 'POST', body: { url } })

  test.each([
    'https://127.0.0.1/', 'https://127.1/', 'https://0x7f000001/', 'https://0x7f.1/', 'https://2130706433/', 'https://017700000001/', 'https://127.0.0.1.:8443/', 'https://%31%32%37.0.0.1/', 'https://１２７.0.0.1/', 'https://0/', 'https://[::]/', 'https://[::1]/', 'https://[::ffff:7f00:1]/', 'https://[::ffff:127.0.0.1]/', 'https://[0:0:0:0:0:ffff:a9fe:a9fe]/',
    'https://169.254.169.254/latest/meta-data/', 'https://[fd00:ec2::254]/', 'https://100.64.0.1/', 'https://100.100.100.200/', 'https://10.0.0.1/', 'https://172.16.0.1/', 'https://192.168.1.1/', 'https://[fe80::1]/', 'https://[64:ff9b::7f00:1]/', 'https://[2002:7f00:1::]/', 'https://[::127.0.0.1]/', 'https://255.255.255.255/', 'https://224.0.0.1/',
  ])('%s is internal, however it is written, and is no webhook', async (url) => {
    expect(await add(url)).toMatchObject({ status: 403, code: 'webhook-address-internal' })
  })

  test.each(['http://hooks.example.org/', 'https://user@hooks.example.org/', 'https://user:pw@hooks.example.org/', 'https://[fe80::1%25eth0]/', 'https://hooks.example.org:99999/', 'gopher://127.0.0.1/', 'file:///etc/passwd', 'https:///etc', 'https://hooks.example.org/#127.0.0.1', 'https://', 'https://exa\nmple.org/', '//hooks.example.org'])('%j is no URL that is told anything', async (url) => {
    expect([400, 403, 422]).toContain((await add(url)).status)
    expect((await ask(operator(), '/v1/webhooks')).text).not.toContain('"url"')
  })

  test('the nearest public one is a webhook; a name that leads inside is refused when it is called, and nobody inside hears a byte', async () => {
    const inside = net.createServer()
    let connections = 0
    inside.on('connection', (socket) => {
      connections += 1
      socket.destroy()
    })
    await new Promise<void>((resolve) => void inside.listen(0, '127.0.0.1', resolve))
    const to = (inside.address() as net.AddressInfo).port
    for (const [name, url] of [['public', 'https://93.184.215.14/'], ['inside', `https://localhost:${to}/`]] as const) expect((await ask(operator(), '/v1/webhooks', { method: 'POST', body: { name, url, kinds: ['policy'] } })).status).toBe(201)
    const told = await ask(operator(), '/v1/webhooks/inside/test', { method: 'POST' })
    expect(told).toMatchObject({ status: 200, text: expect.stringContaining('internal') as string })
    expect(connections).toBe(0)
    inside.close()
    for (const name of ['public', 'inside']) await ask(operator(), `/v1/webhooks/${name}`, { method: 'DELETE' })
  })

  test('a request for a certificate with URLs of its own has none of them called, and none of them signed', async () => {
    // The pointers to CRLs and OCSP are the profile's; there is no code that follows one. What calls out at all is two rooms and the commands.
    const sources = readdirSync(path.resolve(import.meta.dirname, '../../src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.startsWith('console/'))
    const calling = sources.filter((name) => /\bimport \{[^}]*\brequest\b[^}]*\} from 'node:https?'|[^.\w]fetch\(|from 'node:(?:http2|dgram)'|from 'undici'/.test(readFileSync(path.resolve(import.meta.dirname, '../../src', name), 'utf8')))
    expect(calling.toSorted()).toEqual(['commands/health.ts', 'http/transport.ts', 'observe/export/https.ts', 'webhooks/send.ts'])
  })
})

describe('A06: names that could be paths', () => {
  const NAMES = ['..', '.', '../../etc/passwd', '..\\..\\x', '/etc/passwd', 'a/b', 'a\\b', 'a\0.json', '%2e%2e%2fx', '..%2fregistry.db', 'C:\\x', '\\\\host\\share\\x', 'CON', 'nul.json', 'aux', 'x.json/', '.hidden', '-x', 'x\n.json', '\u2025/x', '\u002e\uff0e/x', 'a:b', 'a'.repeat(300)]

  test('no report, device, operator, webhook or token of such a name is read, made or answered; what is there is', async () => {
    mkdirSync(at('reports'), { recursive: true })
    writeFileSync(at('reports/run.json'), '{"startedAt":1}')
    // A link that somebody has put there leads out of the folder.
    symlinkSync(at('certs/local/passphrase'), at('reports/link.json'))
    expect(await ask(operator(), '/v1/reports/run.json')).toMatchObject({ status: 200, text: '{"startedAt":1}' })
    const before = picture(program.home)
    for (const name of [...NAMES, 'link.json', 'nobody.json']) {
      const named = encodeURIComponent(name)
      for (const target of [`/v1/reports/${named}`, `/v1/devices/${named}`, `/v1/operators/${named}/revoke`, `/v1/webhooks/${named}/deliveries`, `/v1/tokens/${named}`, `/v1/certificates/${named}`]) {
        const { status, text } = await ask(operator(), target, target.endsWith('/revoke') ? { method: 'POST' } : {})
        expect([target, status >= 400 && status < 500]).toEqual([target, true])
        expect(text).not.toMatch(/root:|passphrase|SQLite format/)
      }
      if (name.endsWith('.json')) continue
      for (const [target, body] of [['/v1/devices', { id: name }], ['/v1/operators', { name, role: 'viewer', csr: '' }], ['/v1/webhooks', { name, url: 'https://93.184.215.14/' }]] as const) {
        const { status } = await ask(operator(), target, { method: 'POST', body })
        // CON and aux are names like any other here: no file is called after a device that somebody names.
        if (!/^(?:CON|aux)$/.test(name)) expect([target, name, status]).toEqual([target, name, expect.toSatisfy((code: number) => code >= 400 && code < 500)])
      }
    }
    const changed = readdirSync(program.home, { recursive: true, encoding: 'utf8' }).filter((file) => !file.startsWith('data'))
    expect(changed.filter((file) => /etc|passwd|hidden|\n|\\/.test(path.basename(file)))).toEqual([])
    expect(existsSync(path.join(program.home, '..', 'x'))).toBe(false)
    expect(before).toMatch(/^[0-9a-f]{64}$/)
  })

  test('the files of a policy are policy.yaml and those of policy.d, by their plain names', async () => {
    const text = read('policy.yaml')
    const apply = (name: string): Promise<Heard> => ask(operator(), '/v1/policy', { method: 'POST', body: { files: [{ name: 'policy.yaml', text }, { name, text: 'grants: []\n' }], dryRun: true } })
    for (const name of NAMES.filter((each) => each.length < 200)) expect([name, (await apply(name)).status]).toEqual([name, expect.toSatisfy((status: number) => status >= 400 && status < 500)])
    expect([200, 422]).toContain((await apply('policy.d/10-more.yaml')).status)
  })

  test('the public port of CRLs and certificates serves its table, and no file', async () => {
    const { host, port: to } = program.endpoints.pki
    const get = (target: string): Promise<number | undefined> => new Promise((resolve, reject) => {
      plainRequest({ host, port: to, path: target }, (response) => resolve(response.resume().statusCode)).once('error', reject).end()
    })
    expect(await get('/crl/issuing-1.crl')).toBe(200)
    for (const name of ['../issuing-1.crl', '..%2fissuing-1.crl', '%2e%2e/issuing-1.crl', '....//issuing-1.crl', 'issuing-1.crl%00', 'issuing-1.crl/', '..%5c..%5cx', '%c0%ae%c0%ae/x', '../../registry.db', '.', '..', '']) {
      for (const folder of ['/crl/', '/ca/']) expect([name, await get(`${folder}${name}`)]).toEqual([name, 404])
    }
  })

  test('a bundle is written where it was asked for, and over nothing; through a link of somebody else it writes nothing', () => {
    program.run('device', 'add', 'sensor-2')
    writeFileSync(at('precious'), 'precious')
    mkdirSync(at('out'))
    symlinkSync(at('precious'), at('out/device.key'))
    const linked = program.run('device', 'bundle', 'sensor-2', '--out', at('out'))
    expect([linked.status !== EXIT.ok || !readFileSync(at('precious'), 'utf8').includes('PRIVATE'), read('precious')]).toEqual([true, 'precious'])
    expect(program.run('device', 'bundle', 'sensor-2', '--out', at('precious')).status).not.toBe(EXIT.ok)
    expect(program.run('backup', 'create', '--out', at('precious')).status).not.toBe(EXIT.ok)
    expect(read('precious')).toBe('precious')
    expect(program.run('device', 'bundle', 'sensor-2', '--out', at('elsewhere')).status).toBe(EXIT.ok)
  })
})

describe('A08: exports of the API', () => {
  test('are JSON, and no answer is a table that a spreadsheet would open', async () => {
    const { paths } = JSON.parse((await ask(operator(), '/openapi.json')).text) as { readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, { readonly content?: object }>> }>>>> }
    const media = Object.values(paths).flatMap((methods) => Object.values(methods)).flatMap(({ responses }) => Object.values(responses)).flatMap(({ content = {} }) => Object.keys(content))
    expect([...new Set(media)].toSorted()).toEqual(['application/json', 'application/problem+json', 'text/event-stream'])
  })
})

describe('A09: texts that a terminal would obey', () => {
  const HOSTILE = '\u001b[2J\u001b]0;owned\u0007\u009b31m\u0085\u2028\u202egnp\u2066\r\n{"level":50,"msg":"forged"}\r\n'
  /** Control and direction characters; the ends of lines are those of the program. */
  const OBEYED = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

  test('from a client id, a user name, a topic, a certificate, a path, a header, an attribute and a user agent reach no log and no command as they are', async () => {
    expect(program.run('log', 'level', 'debug').status).toBe(EXIT.ok)
    const bundle = readBundle(at('bundles/sensor-1'))
    const own = await connectDevice(program.endpoints.mqtt.port, 'sensor-1', bundle, { username: HOSTILE, password: HOSTILE })
    const topic = 't/\u009b31m\u202e\u001b[2J'
    await own.publishAsync(topic, 'x', { qos: 0 }).catch(() => undefined)
    await own.subscribeAsync(topic).catch(() => undefined)
    for (const clientId of [HOSTILE, 'sensor-1:\u001b[2J\u009b31m\u202e', '\u2028\u2029\ufeff', 'x'.repeat(60_000)]) await connectDevice(program.endpoints.mqtt.port, clientId, bundle).then((client) => client.endAsync(true), () => undefined)
    const forged = forgeLeaf(factory, HOSTILE)
    await connectDevice(program.endpoints.mqtt.port, 'sensor-1', { ...bundle, cert: pem('CERTIFICATE', forged.certificate), key: keyPem(forged.key) }).catch(() => undefined)
    await ask({ cert: pem('CERTIFICATE', forged.certificate), key: keyPem(forged.key) })
    const raw = (bytes: string): Promise<void> => new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: read('certs/local/operator/ca.pem'), servername: 'localhost', ...operator() }, () => socket.write(Buffer.from(bytes, 'utf8')))
      socket.resume().on('error', () => {}).on('close', () => resolve())
    })
    for (const bytes of [`GET /v1/devices/${encodeURIComponent(HOSTILE)} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`, `GET /v1/status HTTP/1.1\r\nhost: \u009b31m\u202e\r\nconnection: close\r\n\r\n`, `GET /v1/status HTTP/1.1\r\nhost: localhost\r\nuser-agent: \u009b31m\u001b[2J\r\nconnection: close\r\n\r\n`, `GET /\u001b[2J HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`, `\u001b[2J\r\n\r\n`]) await raw(bytes)
    await ask(operator(), '/v1/devices', { method: 'POST', body: { id: HOSTILE, groups: [HOSTILE], attributes: { [HOSTILE]: HOSTILE } } })
    await ask(operator(), `/v1/refusals?q=${encodeURIComponent(HOSTILE.slice(0, 30))}`)

    const said = [program.run('why', 'sensor-1'), program.run('refusal', 'list'), program.run('refusal', 'list', '--json'), program.run('refusal', 'list', '--groups'), program.run('connection', 'list'), program.run('connection', 'list', '--json'), program.run('audit', 'tail', '--count', '1000'), program.run('device', 'show', HOSTILE.replaceAll('\0', '')), program.run('device', 'add', HOSTILE), program.run('webhook', 'add', HOSTILE), program.run('token', 'create', '--id', HOSTILE), program.run('cert', 'list', '--device', HOSTILE), program.run('config', 'show', HOSTILE), program.run('policy', 'explain', 'sensor-1', '--publish', topic), program.run(HOSTILE)]
    const { items } = program.json('refusal', 'list') as { readonly items: readonly { readonly id: number }[] }
    for (const { id } of items.slice(0, 8)) said.push(program.run('refusal', 'show', String(id)))
    expect(items.length).toBeGreaterThan(5)
    for (const { stdout, stderr } of said) expect([OBEYED.exec(stdout)?.[0], OBEYED.exec(stderr)?.[0]]).toEqual([undefined, undefined])
    expect(OBEYED.exec(program.output)?.[0]).toBeUndefined()
    const log = read('data/audit.ndjson')
    expect(OBEYED.exec(log)?.[0]).toBeUndefined()
    expect(log).not.toMatch(/"level":50/)
    // Each line is one record, and none is longer than what a few fields may be.
    for (const line of log.split('\n').filter((each) => each !== '')) expect([JSON.parse(line) !== undefined, line.length < 8_192]).toEqual([true, true])
    for (const line of program.output.split('\n').filter((each) => each.startsWith('{'))) expect(Object.keys(JSON.parse(line) as object)).toContain('room')
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
    await own.endAsync(true)
  }, 120_000)
})

describe('A16: ways to look into the process', () => {
  test.skipIf(process.platform !== 'linux')('no port of an inspector is opened by SIGUSR1, in the server or the signer, and both go on (Linux)', async () => {
    const { pid } = program.endpoints
    for (const each of [pid, signerOf(pid)]) process.kill(each, 'SIGUSR1')
    // The next answers come behind the signals; of the signer a certificate.
    expect((await ask(operator())).status).toBe(200)
    expect(program.device('signed-after')).toContain('signed-after')
    expect(program.output).not.toMatch(/Debugger listening|inspector/i)
    expect(program.endpoints.pid).toBe(pid)
  })

  test.each(['/json', '/json/list', '/debug/pprof/', '/debug/heap', '/heapdump', '/actuator/heapdump', '/metrics', '/healthz', '/.env', '/server-status', '/v1', '/console/session.map'])('%s is nothing at the admin port, for nobody and for an operator', async (target) => {
    for (const credential of [undefined, operator()]) {
      const { status, text } = await ask(credential, target)
      // The console has one page for all of its own addresses.
      expect([status, text.length < 2_000 || text.startsWith('<!doctype html>')]).toEqual([expect.toSatisfy((code: number) => [403, 404].includes(code) || target.startsWith('/console/')), true])
      expect(text).not.toMatch(/sallyport_|at .*\.ts/)
    }
  })
})
