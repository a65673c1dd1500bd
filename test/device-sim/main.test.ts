// `npm run sim` as a person runs it: what it says of a mistake, what it prints, what it writes, how it ends; and that nothing
// of it is left behind when it is interrupted.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { ComparisonReport, RunReport } from '../../device-sim/report/json-file.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { has, Program } from '../e2e/program.ts'

const LAUNCH = path.resolve(import.meta.dirname, '../../device-sim/launch.cjs')
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-main-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string): string => path.join(folder, name)

/** Its temporary folders are its own, so that what it leaves behind can be seen. */
function environment(temp: string): NodeJS.ProcessEnv {
  mkdirSync(temp, { recursive: true })
  const { FORCE_COLOR: _, ...inherited } = process.env
  return { ...inherited, TMPDIR: temp }
}

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when this has been said on standard error. */
  says(text: string): Promise<void>
}

function start(args: readonly string[], options: { readonly temp?: string; readonly runtime?: string; readonly detached?: boolean } = {}): Running {
  const child = spawn(options.runtime ?? process.execPath, [LAUNCH, ...args], { env: environment(options.temp ?? at('temp')), stdio: ['ignore', 'pipe', 'pipe'], detached: options.detached === true })
  let [stdout, stderr] = ['', '']
  const watchers = new Set<() => void>()
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    for (const watch of watchers) watch()
  })
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, stdout, stderr }))
  return {
    child, ended,
    says: (text) => new Promise((resolve, reject) => {
      const watch = (): void => void (stderr.includes(text) && resolve())
      watchers.add(watch)
      watch()
      void ended.then(() => reject(new Error(`it ended before it said ${text}:\n${stdout}${stderr}`)))
    }),
  }
}

const golden = (name: string): string => readFileSync(path.join(import.meta.dirname, `golden/${name}.txt`), 'utf8')

const sim = (...args: readonly string[]): Promise<Ended> => start(args).ended

describe('a mistake is said in a sentence, and nothing is started', () => {
  test.each([
    [['lod'], 'sim: There is no "lod". Did you mean load? --help shows how.\n'],
    [['everything'], 'sim: There is no "everything". --help shows how.\n'],
    [['--cases', 'T01'], "sim: unknown option '--cases'\n"],
    [['attack', '--case', 'T1'], 'sim: There is no case "T1". Did you mean T01? --list shows all.\n'],
    [['attack', '--pack', 'fishing'], 'sim: There is no pack "fishing". Did you mean phishing? --list shows all.\n'],
    [['attack', '--family', 'mqt'], 'sim: There is no family "mqt". Did you mean mqtt? --list shows all.\n'],
    [['load', '--devices', '10', '--rate', '5'], "sim: required option '--seconds <count>' not specified\n"],
    [['load', '--devices', '0', '--rate', '5', '--seconds', '1'], 'devices must be a whole number from 1 to 100000.'],
    [['load', '--devices', '100001', '--rate', '5', '--seconds', '1'], 'devices must be a whole number from 1 to 100000.'],
    [['load', '--devices', '1', '--rate', '1.5', '--seconds', '1'], 'rate must be a whole number from 1 to 1000000.'],
    [['load', '--devices', '1', '--rate', '1', '--seconds', '-1'], 'seconds must be a whole number from 1 to 86400.'],
    [['load', '--devices', '1', '--rate', '1', '--seconds', '1', '--qos', '3'], 'It is 0, 1 or 2.'],
    [['--address', 'mqtts://127.0.0.1:1'], 'sim: --address needs --target HOME'],
    [['--target', 'mqtts://127.0.0.1:1'], 'sim: --target mqtts://… needs --ca FILE: what devices trust, PEM.'],
    [['attack', '--target', 'mqtt://127.0.0.1:1'], 'sim: --target must be mqtts://host:port, not mqtt://.'],
    [['attack', '--target', 'mqtts://192.0.2.1:8883'], 'sim: 192.0.2.1 is not this machine.'],
    [['attack', '--target', 'mqtts://localhost.example.org:8883'], 'sim: localhost.example.org is not this machine.'],
    [['attack', '--ca', 'ca.pem'], 'sim: --ca goes with --target mqtts://host:port.'],
    [['attack', '--target', 'mosquitto', '--address', 'mqtts://127.0.0.1:1'], 'sim: --address needs --target HOME'],
    [['attack', '--target', 'sallyport,sallyport'], 'sim: --target names each target once, separated by commas.'],
    [['attack', '--target', 'sallyport,mosquitto', '--acl', 'acl.yaml'], 'go with --target mqtts://host:port.'],
    [['attack', '--target', 'mqtts://127.0.0.1:1,mqtts://127.0.0.1:2'], 'sim: One run takes one address'],
    [['attack', '--html', '/nowhere/at/all.html'], 'sim: --html /nowhere/at/all.html cannot be written: /nowhere/at is missing or read-only.'],
    [['--target', '.', '--address', 'https://127.0.0.1:1'], 'sim: --address must be mqtts://host:port, not https://.'],
    [['--target', '.', '--address', 'mqtts://192.0.2.1:1'], 'sim: 192.0.2.1 is not this machine.'],
    [['--json', '/nowhere/at/all.json'], 'sim: --json /nowhere/at/all.json cannot be written: /nowhere/at is missing or read-only.'],
    [['attack', '--json', tmpdir()], 'cannot be written: it is a folder.'],
  ])('%j', async (args, message) => {
    const temp = at('mistakes')
    const { status, stdout, stderr } = await start(args, { temp }).ended
    expect({ status, stdout }).toEqual({ status: EXIT.usage, stdout: '' })
    expect(stderr).toContain(message)
    expect(readdirSync(temp)).toEqual([])
  })

  test('a home that is not served is unreachable, whoever owns it', async () => {
    const { status, stderr } = await sim('--target', folder, '--i-own-this-target')
    expect({ status, stderr: stderr.split('\n').at(-2) }).toEqual({ status: EXIT.unreachable, stderr: `sim: No server is running in ${folder}: it has no data/endpoints.json.` })
  })

  test('a home without an operator credential is unreachable', async () => {
    mkdirSync(at('home/data'), { recursive: true })
    writeFileSync(at('home/data/endpoints.json'), JSON.stringify({ pid: 1, mqtt: { host: '127.0.0.1', port: 1 }, admin: { url: 'https://127.0.0.1:1' }, enroll: { host: '127.0.0.1', port: 1 } }))
    const { status, stderr } = await sim('attack', '--target', at('home'))
    expect(status).toBe(EXIT.unreachable)
    expect(stderr).toContain('holds no operator credential that can be read.')
  })
})

test('--help and --list say what there is', async () => {
  const help = await sim('--help')
  expect(help).toMatchObject({ status: EXIT.ok, stderr: '' })
  expect(help.stdout).toMatch(/attack \[options\][\s\S]*load \[options\][\s\S]*Example:\n {2}npm run sim/)
  const list = await sim('attack', '--list')
  expect(list).toEqual({ status: EXIT.ok, stdout: `${golden('catalogue')}\n${golden('packs')}`, stderr: '' })
  expect((await sim('attack', '--list', '--case', 'D05')).stdout).toMatch(/^server-side\n {2}D05 {2}.*\n {7}.*\n {7}expected: .*\n( {7}needs: .*\n)?$/)
})

describe('on a server of its own', () => {
  test('a case is run, printed and written down, and nothing is left behind', async () => {
    const temp = at('own')
    const { status, stdout } = await start(['attack', '--case', 'T01,Q01', '--json', at('report.json')], { temp }).ended
    expect(stdout).toMatch(/^case +expected +seen +reason in the audit log +verdict\nT01 .* tls-no-certificate +ok\nQ01 .* client-id-mismatch +ok\n\n2 cases: 2 ok, 0 failed, 0 not run\ncanary .*\nserver .*\n$/)
    expect(status).toBe(EXIT.ok)
    const report = JSON.parse(readFileSync(at('report.json'), 'utf8')) as RunReport
    expect(report).toMatchObject({ ok: true, interrupted: false, target: { host: '127.0.0.1', own: true }, cases: [{ case: 'T01', verdict: 'ok', reasons: ['tls-no-certificate'] }, { case: 'Q01', verdict: 'ok' }] })
    expect(readdirSync(temp)).toEqual([])
  })

  test('a pack tells its story, with what was really shown and seen', async () => {
    const { status, stdout } = await sim('attack', '--pack', 'spoofing')
    const [story = ''] = stdout.split('\ncase ')
    const blurred = story
      .replaceAll(/serial number [0-9a-f]+, valid until [\d-]+/g, 'serial number SERIAL, valid until DAY').replaceAll(/sim-[0-9a-f]{8}-/g, 'sim-RUN-')
      // Whether the end of a connection is a FIN or an RST, and how a library calls an alert, is not the story.
      .replaceAll(/closed without an answer \([^)]*\)(; closed without an answer \([^)]*\))*/g, 'closed without an answer')
    await expect(blurred).toMatchFileSnapshot('golden/pack-spoofing.txt')
    expect(status).toBe(EXIT.ok)
  })

  test('the handshake is shown, mutual and one-way', async () => {
    const mutual = await sim('handshake', '--explain')
    expect(mutual.stdout).toMatch(/^1\. ClientHello[\s\S]*\n7\. Finished[\s\S]*CONNACK 0x00\n {3}→ /)
    expect(mutual.status).toBe(EXIT.ok)
    const oneWay = await sim('handshake', '--one-way')
    expect(oneWay.stdout).toMatch(/\n4\. The same at this server\n {3}without a certificate: closed in the handshake/)
    expect(oneWay.status).toBe(EXIT.ok)
  })

  test('a load is carried', async () => {
    const { status, stdout } = await sim('load', '--devices', '5', '--rate', '50', '--seconds', '1')
    expect(stdout).toMatch(/^load of 5 devices {2}ok\n {2}devices {4}5, seed 1, arrive .* s, load 1\.\d s\n {2}messages {3}50 sent; 50 deliveries due: 0 lost, 0 twice, 0 out of order\n {2}leaks {6}0\n {2}connect .*\n {2}publish→receive .*\n/)
    expect(status).toBe(EXIT.ok)
  })
})

describe('a scenario on a server of its own', () => {
  const FILE = `version: 1
name: a small day
groups:
  backend: { count: 1, role: backend }
  sensors: { count: 6 }
  stolen: { count: 2 }
phases:
  - name: arrive
    do: [ { connect: { group: [backend, sensors, stolen] } } ]
  - name: revoke
    for: 2s
    do:
      - publish: { group: [sensors, stolen], rate: 80 }
      - revoke: { group: stolen, over: 1s }
  - name: again
    do:
      - connect: { group: stolen, expect: { refused: certificate-revoked } }
`

  test('is played, printed, and written down as JSON and as a page', async () => {
    writeFileSync(at('day.yaml'), FILE)
    const temp = at('scenario')
    const { status, stdout } = await start(['run', at('day.yaml'), '--json', at('day.json'), '--html', at('day.html')], { temp }).ended
    expect(stdout).toMatch(/^a small day {2}ok\n {2}devices {4}9, seed 1, arrive/)
    expect(stdout).toMatch(/\n {2}revoke→closed {4}p50 .* \(2\)\n/)
    expect(status).toBe(EXIT.ok)
    expect(JSON.parse(readFileSync(at('day.json'), 'utf8'))).toMatchObject({ ok: true, scenario: { name: 'a small day', messages: { lost: 0, duplicates: 0 }, leaks: { count: 0 }, timings: { revoke: { count: 2 } } } })
    expect(readFileSync(at('day.html'), 'utf8')).toContain('<h1>a small day<span class="verdict">passed</span></h1>')
    expect(readdirSync(temp)).toEqual([])
  })

  test('with a wrong expectation exits 1, and says which device, step, expected and seen', async () => {
    writeFileSync(at('wrong.yaml'), FILE.replace('refused: certificate-revoked', 'refused: device-suspended'))
    const { status, stdout } = await sim('run', at('wrong.yaml'))
    expect(stdout).toMatch(/^a small day {2}FAILED\n/)
    expect(stdout).toMatch(/\ndevice +step +expected +seen\nsim-[0-9a-f]+-stolen-1 +connect \(line 17\) +refused \(device-suspended\) +refused \(certificate-revoked\)\n/)
    expect(status).toBe(EXIT.failed)
  })

  test('that is not right is not begun', async () => {
    writeFileSync(at('typo.yaml'), FILE.replace('- publish:', '- publsh:'))
    const { status, stdout, stderr } = await sim('run', at('typo.yaml'))
    expect({ status, stdout }).toEqual({ status: EXIT.usage, stdout: '' })
    expect(stderr).toMatch(/typo\.yaml:13:9: there is no step "publsh"\. Did you mean publish\?\n$/)
  })
})

describe('on a home that somebody serves', () => {
  test('what needs the CA key is not run, which is no failure beside a case that is ok, and no success alone', async () => {
    await using program = new Program()
    await program.serve()
    const both = await sim('attack', '--case', 'T01,T06', '--target', program.home)
    expect(both.stdout).toMatch(/\nT06 .* not run\n[\s\S]*\n2 cases: 1 ok, 0 failed, 1 not run\n/)
    expect(both.status).toBe(EXIT.ok)
    const alone = await sim('attack', '--case', 'T06', '--target', program.home)
    expect(alone.stdout).toContain('1 cases: 0 ok, 0 failed, 1 not run')
    expect(alone.status).toBe(EXIT.failed)
    // It is reached at the address that is named; behind another there is nobody.
    const { port } = program.endpoints.mqtt
    const named = await sim('load', '--devices', '1', '--rate', '5', '--seconds', '1', '--target', program.home, '--address', `mqtts://localhost:${port}`)
    expect(named.stdout).toMatch(/^load of 1 devices {2}ok\n/)
    const nobody = await sim('load', '--devices', '1', '--rate', '5', '--seconds', '1', '--target', program.home, '--address', 'mqtts://127.0.0.1:1')
    expect(nobody.stdout).toMatch(/^load of 1 devices {2}FAILED\n[\s\S]* {2}refused {4}ECONNREFUSED ×1\n/)
    expect(nobody.status).toBe(EXIT.failed)
    // The server that was there before is still there.
    expect(existsSync(path.join(program.home, 'data/endpoints.json'))).toBe(true)
  })
})

describe.skipIf(!has('mosquitto'))('beside a mosquitto (needs mosquitto)', () => {
  test('the same cases are printed, written down and put on a page side by side, and where one falls short the exit code says so', async () => {
    const temp = at('beside')
    const { status, stdout, stderr } = await start(['attack', '--target', 'sallyport,mosquitto', '--case', 'T01,I02', '--json', at('beside.json'), '--html', at('beside.html')], { temp }).ended
    expect(stderr).toMatch(/\nsending to sallyport [\d.]+ at 127\.0\.0\.1:\d+: 2 cases \(tls 1, identity 1\), no floods\n[\s\S]*\nsending to mosquitto [\d.]+ at /)
    expect(stdout).toMatch(/^case +expected +sallyport [\d.]+ +mosquitto [\d.]+ +why it matters\nT01 .* ok: closed .* ok: closed .*\nI02 .* ok: .* falls short: admitted/)
    expect(status).toBe(EXIT.failed)
    const report = JSON.parse(readFileSync(at('beside.json'), 'utf8')) as ComparisonReport
    expect(report).toMatchObject({ ok: false, interrupted: false, targets: [{ ok: true, target: { own: true }, cases: [{ verdict: 'ok' }, { verdict: 'ok' }] }, { ok: false, target: { own: false }, cases: [{ verdict: 'ok', reasons: [] }, { verdict: 'falls short' }] }] })
    const html = readFileSync(at('beside.html'), 'utf8')
    expect(html).toMatch(/<h2>Where mosquitto [\d.]+ falls short<\/h2>/)
    expect(html).not.toMatch(/<script|https?:/)
    expect(readdirSync(temp)).toEqual([])
  })

  test('alone, what it does otherwise is no failure', async () => {
    const { status, stdout } = await sim('attack', '--target', 'mosquitto', '--case', 'T01,T17')
    expect(stdout).toMatch(/^case +expected +seen +verdict\n[\s\S]*\n2 cases: 1 ok, 1 differs, 0 failed, 0 not run\nmosquitto [\d.]+: no audit log is read there\..*\ncanary .*\nserver .*\n$/)
    expect(status).toBe(EXIT.ok)
  })

  test('a fleet cannot enroll there, which is said', async () => {
    const { status, stderr } = await sim('--target', 'mosquitto')
    expect(status).toBe(EXIT.usage)
    expect(stderr).toMatch(/sim: A fleet enrolls as people enroll devices, and mosquitto [\d.]+ has no enrollment\./)
    expect((await sim('handshake', '--target', 'mosquitto')).stderr).toMatch(/sim: The seventh step is what Sallyport judges of a device, and mosquitto [\d.]+ is no home of Sallyport\./)
    const file = path.resolve(import.meta.dirname, '../../device-sim/scenarios/revoke-under-load.yaml')
    const run = await sim('run', file, '--target', 'mosquitto')
    expect(run).toMatchObject({ status: EXIT.usage, stdout: '' })
    expect(run.stderr).toMatch(/revoke-under-load\.yaml:\d+: revoke needs an operator of the target, and mosquitto [\d.]+ is no home of Sallyport\./)
  })

  test('a load is carried there, too', async () => {
    const { status, stdout } = await sim('load', '--target', 'mosquitto', '--devices', '5', '--rate', '50', '--seconds', '1')
    expect(stdout).toMatch(/^load of 5 devices {2}ok\n/)
    expect(status).toBe(EXIT.ok)
  })

  test('an interruption at the second target prints what the first came to, and leaves neither process nor folder behind', async () => {
    const temp = at('second')
    const running = start(['attack', '--target', 'sallyport,mosquitto', '--case', 'T01,T10,Q09', '--json', at('second.json')], { temp, detached: true })
    await running.says('sending to mosquitto')
    process.kill(-(running.child.pid ?? 0), 'SIGINT')
    const { status, stdout, stderr } = await running.ended
    expect(status).toBe(EXIT.interrupted)
    expect(stdout).toMatch(/\nsallyport [\d.]+: 3 cases: 3 ok, 0 failed, 0 not run\n/)
    expect(stderr).toMatch(/sim: interrupted\n$/)
    const report = JSON.parse(readFileSync(at('second.json'), 'utf8')) as ComparisonReport
    expect({ ...report, targets: report.targets.slice(0, 1) }).toMatchObject({ interrupted: true, ok: false, targets: [{ ok: true, target: { own: true } }] })
    expect(readdirSync(temp)).toEqual([])
    const left = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(temp))
    expect(left).toEqual([])
  })
})

/** The command line of a process, where it still is. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

describe('an interruption', () => {
  test('of a start leaves neither server nor folder behind', async () => {
    const temp = at('start')
    const running = start([], { temp })
    await running.says('starting a server')
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({ status: EXIT.interrupted, stderr: expect.stringMatching(/sim: interrupted/) })
    expect(readdirSync(temp)).toEqual([])
  })

  test('of the cases, from a terminal, whose Ctrl-C reaches the server too: prints what there is and exits 130', async () => {
    const temp = at('cases')
    const running = start(['attack', '--json', at('interrupted.json')], { temp, detached: true })
    await running.says(' cases, last ')
    process.kill(-(running.child.pid ?? 0), 'SIGINT')
    const { status, stdout, stderr } = await running.ended
    expect(status).toBe(EXIT.interrupted)
    expect(stdout).toMatch(/^case .*\n[\s\S]*\n\d+ of \d+ cases: \d+ ok, 0 failed, 0 not run\n$/)
    expect(stderr).toMatch(/sim: interrupted\n$/)
    expect(JSON.parse(readFileSync(at('interrupted.json'), 'utf8'))).toMatchObject({ interrupted: true, ok: false })
    expect(readdirSync(temp).filter((name) => name.startsWith('sallyport-sim-'))).toEqual([])
  })

  test('of a load has a summary', async () => {
    const temp = at('load')
    const running = start(['load', '--devices', '3', '--rate', '50', '--seconds', '3600'], { temp })
    await running.says(' connected  ')
    running.child.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ status: EXIT.interrupted, stdout: expect.stringMatching(/^load of 3 devices {2}interrupted\n[\s\S]* 0 lost,/) })
    expect(readdirSync(temp)).toEqual([])
  })
})

/** A Node of this machine that is too old, when there is one. */
const old = spawnSync('sh', ['-c', 'which -a node'], { encoding: 'utf8' }).stdout.split('\n').find((node) => {
  if (node === '') return false
  return Number(spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout.split('.')[0]) < 24
})
describe.skipIf(old === undefined)('with a Node older than 24 (needs one on the PATH)', () => {
  test('the bundled runtime takes over, with arguments, output and exit code', async () => {
    const list = await start(['attack', '--list', '--case', 'T01'], { runtime: old ?? '' }).ended
    expect(list).toMatchObject({ status: EXIT.ok, stdout: expect.stringMatching(/^tls\n {2}T01/) })
    expect(await start(['nonsense'], { runtime: old ?? '' }).ended).toMatchObject({ status: EXIT.usage })
  })
})
