// sallyport device import: what it judges, what it writes, and that every row is done exactly once, however often it is killed.

import { spawn, spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, randomInt, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import jsqr from 'jsqr'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { has, LAUNCH, Program, type Answer } from '../e2e/program.ts'
import { sallyport, temporary } from './shell.ts'

const place = temporary()
const home = place.at('home')
const KILLS_MIN = 20

beforeAll(async () => {
  expect((await sallyport(['ca', 'init'], { home })).status).toBe(0)
})
afterAll(() => place[Symbol.dispose]())

const cli = (...args: string[]): Promise<Answer> => sallyport(args, { home, cwd: place.folder })

/** A file in a folder of its own. */
function file(text: string | Buffer, name = 'd.csv'): string {
  const folder = place.at(`f${readdirSync(place.folder).length}`)
  mkdirSync(folder)
  writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}

interface Result {
  readonly line: number
  readonly id: string
  readonly ok: boolean
  readonly code?: string
  readonly serial?: string
}

function resultsOf(name: string): Result[] {
  return readFileSync(`${name}.results.ndjson`, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Result).filter((record) => 'line' in record)
}

async function deviceOf(id: string): Promise<{ groups: string[]; attributes: Record<string, string>; certificates: { serial: string }[] }> {
  return JSON.parse((await cli('device', 'show', id, '--json')).stdout) as { groups: string[]; attributes: Record<string, string>; certificates: { serial: string }[] }
}

/** Runs it and kills it once the results have grown by so many bytes. Answers whether it was killed before its end. */
async function killed(name: string, args: readonly string[], afterBytes: number): Promise<boolean> {
  const results = `${name}.results.ndjson`
  const size = (): number => statSync(results, { throwIfNoEntry: false })?.size ?? 0
  const begun = size()
  const child = spawn(process.execPath, [LAUNCH, 'device', 'import', name, ...args], { env: { ...process.env, SALLYPORT_HOME: home }, stdio: 'ignore' })
  const watch = setInterval(() => size() - begun > afterBytes && child.kill('SIGKILL'), 1)
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  clearInterval(watch)
  return signal === 'SIGKILL'
}

const modeOf = (name: string): number => statSync(name).mode & 0o777

describe('rows', () => {
  const ROWS = ['id,group,model', 'one-1,a;b,k1', '=cmd(),a,', 'one-2,,', 'one-1,a,', '+1,a,', 'one-3,a', 'one 4,a,', 'one-5,"a,b",k1', 'one-6,a,x/y'].join('\n')

  test('a dry run judges every row and writes nothing', async () => {
    const name = file(ROWS)
    const { status, stdout } = await cli('device', 'import', name, '--dry-run')
    expect(stdout).toBe(readFileSync(path.join(import.meta.dirname, 'golden/import-dry-run.txt'), 'utf8'))
    expect(status).toBe(EXIT.refused)
    expect(readdirSync(path.dirname(name))).toEqual(['d.csv'])
    expect((await cli('device', 'show', 'one-1')).status).toBe(EXIT.notFound)
  })

  test('good ones are registered with their groups and attributes; of the others each has a result; results and bundles are private', async () => {
    const name = file(ROWS)
    const { status, stderr } = await cli('device', 'import', name, '--group', 'all')
    expect([status, stderr]).toEqual([EXIT.refused, ''])
    expect(resultsOf(name).map(({ line, code }) => [line, code ?? 'ok'])).toEqual([[2, 'ok'], [3, 'device-id-invalid'], [4, 'ok'], [5, 'device-exists'], [6, 'device-id-invalid'], [7, 'request-invalid'], [8, 'device-id-invalid'], [9, 'group-invalid'], [10, 'attribute-invalid']])
    expect(await deviceOf('one-1')).toMatchObject({ groups: ['a', 'b', 'all'], attributes: { model: 'k1' } })
    expect(modeOf(`${name}.results.ndjson`)).toBe(0o600)
    const dry = await cli('device', 'import', file(ROWS), '--dry-run')
    expect(dry.stdout).toContain('line 2: one-1: A device of this name is already registered')
  })

  test('hostile ids are refused each in its row, and none is repeated at length', async () => {
    const ids = ['../x', '__proto__', 'a\0b', 'row+1', 'rоw-1', 'x'.repeat(60_000), '"row\n2"', '']
    const name = file(['id,group', 'host-1,a', ...ids.map((id) => `${id},a`), '"host-2","a"'].join('\r\n'))
    expect((await cli('device', 'import', name)).status).toBe(EXIT.refused)
    expect(resultsOf(name).map(({ code }) => code ?? 'ok')).toEqual(['ok', ...ids.map(() => 'device-id-invalid'), 'ok'])
    expect(resultsOf(name).every(({ id }) => id.length < 100)).toBe(true)
  })

  test('a file that is all good is exit 0; again it needs --resume, which does nothing more; changed, or with other options, it is refused', async () => {
    const name = file('\uFEFFid,group\r\ngood-1,a\r\ngood-2,a\r\n')
    expect(await cli('device', 'import', name)).toMatchObject({ status: 0, stdout: `2 registered, 0 refused; what became of each row: ${name}.results.ndjson\n` })
    expect((await cli('device', 'import', name)).stderr).toContain('Go on with --resume')
    expect((await cli('device', 'import', name, '--resume')).stdout).toContain('2 registered, 0 refused')
    expect((await cli('device', 'import', name, '--resume', '--group', 'x')).stderr).toContain('other options')
    writeFileSync(name, 'id\nother\n')
    expect((await cli('device', 'import', name, '--resume')).stderr).toContain('not what it was')
    expect((await cli('device', 'import', file('id\nx\n'), '--resume')).stderr).toContain('nothing was interrupted')
  })

  test('NDJSON: lines that are no rows are refused one by one', async () => {
    const lines: (string | Buffer)[] = ['{"id":"nd-1","groups":["a"],"attributes":{"model":"k1"}}', '', '{"id":"nd-2"', '{"id":"nd-3","group":"a"}', Buffer.from([0x22, 0xff, 0x22]), `{"id":"${'x'.repeat(10_000_000)}"}`, '{"id":"nd\\u0000"}', '{"id":"nd-4","__proto__":{"x":1}}', '{"id":"nd-5"}']
    const name = file(Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from('\n')])), 'd.ndjson')
    expect((await cli('device', 'import', name)).status).toBe(EXIT.refused)
    expect(resultsOf(name).map(({ line, code }) => [line, code ?? 'ok'])).toEqual([[1, 'ok'], [3, 'request-invalid'], [4, 'request-invalid'], [5, 'request-invalid'], [6, 'request-invalid'], [7, 'device-id-invalid'], [8, 'request-invalid'], [9, 'ok']])
    expect(await deviceOf('nd-1')).toMatchObject({ groups: ['a'], attributes: { model: 'k1' } })
  })

  test('certificate requests: certified, refused when bad, weak, of another name or with a key that is used twice', async () => {
    const key = generateKey('P-256')
    const rows = [['csr-1', makeCsr(key, 'csr-1')], ['csr-2', makeCsr(key, 'csr-2')], ['csr-3', makeCsr(generateKey('P-256'), 'other')], ['csr-4', 'nonsense'], ['csr-5', makeCsr(generateKey('P-256'), 'csr-5')]]
    const name = file(`id,csr\n${rows.map(([id, csr]) => `${id},"${csr}"`).join('\n')}\n`)
    const out = path.join(path.dirname(name), 'certs')
    expect((await cli('device', 'import', name)).stderr).toContain('say with --out where it goes')
    expect((await cli('device', 'import', name, '--out', out)).status).toBe(EXIT.refused)
    expect(resultsOf(name).map(({ code }) => code ?? 'ok')).toEqual(['ok', 'key-in-use', 'csr-name-mismatch', 'csr-malformed', 'ok'])
    expect(readdirSync(out).toSorted()).toEqual(['csr-1.pem', 'csr-5.pem'])
    expect(new X509Certificate(readFileSync(path.join(out, 'csr-1.pem'))).subject).toBe('CN=csr-1')
    expect((await cli('device', 'show', 'csr-2')).status).toBe(EXIT.notFound)
  })
})

describe('files that cannot be read to their end are refused whole, with the line', () => {
  test.each<[string, string | Buffer, string]>([
    ['without a column id', 'name,group\na,b\n', 'names no column "id" (line 1)'],
    ['with a column twice', 'id,group,group\na,b,c\n', 'names a column twice (line 1)'],
    ['with a column __proto__', 'id,__proto__\na,b\n', 'no attribute name (line 1)'],
    ['that is a key', '-----BEGIN PRIVATE KEY-----\nMIGH\n', 'names no column "id" (line 1)'],
    ['with an open quote', 'id,group\nopen-1,a\n"a,b\n', 'line 3'],
    ['with a line of 10 MB', `id,group\nlong-1,a\n${'x'.repeat(10_000_000)},a\n`, 'line 3'],
    ['in UTF-16', Buffer.from('\uFEFFid,group\na,b\n', 'utf16le'), 'is UTF-16 (line 1)'],
    ['that is a spreadsheet', Buffer.from('PK\u0003\u0004\u0000\u0000'), 'spreadsheet (line 1)'],
    ['of noise', Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7_919) % 256)), 'line 1'],
    ['without a row', 'id,group\n', 'has no row'],
    ['that is empty', '', 'has no row'],
  ])('a file %s', async (_, text, sentence) => {
    const name = file(text)
    const { status, stderr } = await cli('device', 'import', name)
    expect(stderr).toContain(sentence)
    expect(stderr).toContain('fix: ')
    expect(status).toBe(EXIT.refused)
    expect(existsSync(`${name}.results.ndjson`)).toBe(false)
  })

  test('NUL, another encoding and a quote within a row are the fault of that row, or of the file with its line', async () => {
    const name = file(Buffer.concat([Buffer.from('id,site\nnul-\0,x\nlatin-1,M'), Buffer.from([0xfc]), Buffer.from('nchen\nfine-1,x\n')]))
    expect((await cli('device', 'import', name)).status).toBe(EXIT.refused)
    expect(resultsOf(name).map(({ line, code }) => [line, code ?? 'ok'])).toEqual([[2, 'device-id-invalid'], [3, 'attribute-invalid'], [4, 'ok']])
  })
})

describe('an import that is killed', () => {
  const ROWS = 8_000

  test('is resumed exactly where it was: every row once, none lost, whenever it is killed', { timeout: 240_000 }, async () => {
    const name = file(`id,group\n${Array.from({ length: ROWS }, (_, i) => (i % 100 === 99 ? `kill ${i},a` : `kill-${i},a`)).join('\n')}\n`)
    let kills = (await killed(name, [], 0)) ? 1 : 0
    while (kills < KILLS_MIN) {
      expect(await killed(name, ['--resume'], randomInt(16_000))).toBe(true)
      kills++
    }
    const { status, stdout } = await cli('device', 'import', name, '--resume')
    expect(stdout).toContain(`${ROWS * 0.99} registered, ${ROWS * 0.01} refused`)
    expect(status).toBe(EXIT.refused)
    expect(resultsOf(name).map(({ line }) => line)).toEqual(Array.from({ length: ROWS }, (_, i) => i + 2))
    expect(resultsOf(name).filter(({ ok }) => !ok).every(({ code }) => code === 'device-id-invalid')).toBe(true)
    const audit = readFileSync(path.join(home, 'data/audit.ndjson'), 'utf8').split('\n').filter((line) => line.includes('"device-added"') && line.includes('"kill-'))
    expect(audit).toHaveLength(ROWS * 0.99)
  })

  test('with requests: what has a result has its certificate on the disk, and resumed every device has one, once', { timeout: 120_000 }, async () => {
    const ids = Array.from({ length: 700 }, (_, i) => `order-${i}`)
    const name = file(`id,csr\n${ids.map((id) => `${id},"${makeCsr(generateKey('P-256'), id)}"`).join('\n')}\n`)
    const out = path.join(path.dirname(name), 'certs')
    const args = ['--out', out]
    const isThere = (id: string): boolean => new X509Certificate(readFileSync(path.join(out, `${id}.pem`))).subject === `CN=${id}`
    for (const first of [true, false, false, false]) {
      expect(await killed(name, first ? args : [...args, '--resume'], first ? 2_000 : 9_000)).toBe(true)
      const done = readFileSync(`${name}.results.ndjson`, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line) as Result).filter((record) => 'line' in record)
      expect(done.length).toBeGreaterThan(0)
      expect(done.every(({ id }) => isThere(id))).toBe(true)
    }
    expect((await cli('device', 'import', name, ...args, '--resume')).stdout).toContain('700 registered, 0 refused')
    expect(resultsOf(name).map(({ id }) => id)).toEqual(ids)
    expect(ids.every(isThere)).toBe(true)
    expect(readdirSync(out)).toHaveLength(700)
    const issuedOnce = readFileSync(path.join(home, 'data/audit.ndjson'), 'utf8').split('\n').filter((line) => line.includes('"certificate-issued"') && line.includes('"order-'))
    expect(issuedOnce).toHaveLength(700)
  })

  test('a device that was there before is not taken for one of an interrupted import', async () => {
    expect((await cli('device', 'add', 'before-1', '--group', 'a')).status).toBe(0)
    const name = file('id,group\nbefore-1,a\nbefore-2,a\n')
    await cli('device', 'import', name)
    // As if it had been killed before it wrote what became of its rows.
    writeFileSync(`${name}.results.ndjson`, readFileSync(`${name}.results.ndjson`, 'utf8').split('\n').slice(0, 2).map((line) => `${line}\n`).join('') + '{"line":2,"id":"bef')
    expect((await cli('device', 'import', name, '--resume')).stdout).toContain('1 registered, 1 refused')
    expect(resultsOf(name)).toMatchObject([{ line: 2, code: 'device-exists' }, { line: 3, ok: true }])
  })
})

describe('beside a running server', () => {
  let program: Program
  const there = (...args: string[]): Promise<Answer> => sallyport(args, { home: program.home })
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('rows go through its API, with the same results; a second import of the file at the same time is refused, of another one is not', async () => {
    const rows = (prefix: string): string => `id,group\n${Array.from({ length: 600 }, (_, i) => `${prefix}-${i},a`).join('\n')}\n../x,\n`
    const [one, other] = [file(rows('r')), file(rows('s'))]
    const answers = await Promise.all([there('device', 'import', one, '--json'), there('device', 'import', one, '--json'), there('device', 'import', other, '--json')])
    const ended = answers.map(({ status, stdout }) => [status, stdout === '' ? 'nothing' : (JSON.parse(stdout) as { registered: number }).registered])
    expect(ended.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([[EXIT.refused, 600], [EXIT.refused, 600], [EXIT.refused, 'nothing']])
    expect(resultsOf(one)).toHaveLength(601)
    expect(resultsOf(one).at(-1)).toMatchObject({ line: 602, code: 'device-id-invalid' })
  })
})

describe('bundles', () => {
  const twoOf = (prefix: string): string => file(`id\n${prefix}-1\n${prefix}-2\n`)

  test('folders of PEM files; after an interruption the same keys and certificates', async () => {
    const name = twoOf('pem')
    const out = path.join(path.dirname(name), 'out')
    expect((await cli('device', 'import', name, '--bundle', 'pem', '--out', out)).status).toBe(0)
    const [before, results] = [readFileSync(path.join(out, 'pem-1/device.key'), 'utf8'), readFileSync(`${name}.results.ndjson`, 'utf8')]
    expect([modeOf(out), modeOf(path.join(out, 'pem-1')), modeOf(path.join(out, 'pem-1/device.key'))]).toEqual([0o700, 0o700, 0o600])
    expect(results).not.toContain('PRIVATE')
    writeFileSync(`${name}.results.ndjson`, results.split('\n').slice(0, 2).map((line) => `${line}\n`).join(''))
    rmSync(path.join(out, 'pem-2/device.pem'))
    expect((await cli('device', 'import', name, '--bundle', 'pem', '--out', out, '--resume')).stdout).toContain('2 registered, 0 refused')
    expect(readFileSync(path.join(out, 'pem-1/device.key'), 'utf8')).toBe(before)
    expect((await deviceOf('pem-2')).certificates).toHaveLength(1)
  })

  test.skipIf(!has('unzip'))('zip archives that unzip opens, the key readable by its owner alone (needs unzip)', async () => {
    const name = twoOf('zip')
    const out = path.join(path.dirname(name), 'out')
    expect((await cli('device', 'import', name, '--bundle', 'zip', '--out', out)).status).toBe(0)
    expect(readdirSync(out).toSorted()).toEqual(['zip-1.zip', 'zip-2.zip'])
    expect(modeOf(path.join(out, 'zip-1.zip'))).toBe(0o600)
    expect(spawnSync('unzip', ['-q', path.join(out, 'zip-1.zip'), '-d', out]).status).toBe(0)
    const read = (entry: string): string => readFileSync(path.join(out, 'zip-1', entry), 'utf8')
    expect(modeOf(path.join(out, 'zip-1/device.key'))).toBe(0o600)
    expect(new X509Certificate(read('device.pem')).checkPrivateKey(createPrivateKey(read('device.key')))).toBe(true)
  })

  test.skipIf(!has('gcc') || !has('g++'))('headers that C99 and C++ compile without a warning, the same bytes as PEM and as DER (needs gcc and g++)', async () => {
    await cli('device', 'add', 'c.-_1')
    const folder = path.dirname(file('x'))
    const out = path.join(folder, 'device.h')
    expect((await cli('device', 'bundle', 'c.-_1', '--format', 'c-header', '--out', out)).status).toBe(0)
    expect((await cli('device', 'bundle', 'c.-_1', '--format', 'c-header', '--out', out)).stderr).toContain('a key is not overwritten')
    expect([modeOf(out), readdirSync(folder).toSorted()]).toEqual([0o600, ['d.csv', 'device.h']])
    const dump = (name: string): string => `printf("%s", sallyport_${name}_pem); printf("\\n"); for (i = 0; i < sallyport_${name}_der_len; i++) printf("%02x", sallyport_${name}_der[i]); printf("\\n");`
    writeFileSync(path.join(folder, 'm.c'), `#include <stdio.h>\n#include "device.h"\n#include "device.h"\nint main(void) { unsigned int i; printf("%s %d %s\\n", SALLYPORT_HOST, SALLYPORT_PORT, SALLYPORT_CLIENT_ID); ${['ca', 'certificate', 'key'].map(dump).join(' ')} return 0; }\n`)
    const outputs = [['gcc', '-std=c99'], ['g++', '-x', 'c++']].map(([compiler = '', ...flags]) => {
      const built = spawnSync(compiler, [...flags, '-Wall', '-Wextra', '-Werror', 'm.c', '-o', 'm'], { cwd: folder, encoding: 'utf8' })
      expect(built.stderr).toBe('')
      return spawnSync(path.join(folder, 'm'), { encoding: 'utf8' }).stdout
    })
    expect(outputs[0]).toBe(outputs[1])
    const [first = '', ...rest] = (outputs[0] ?? '').split('\n')
    expect(first).toBe('localhost 8883 c.-_1')
    const hex = rest.filter((line) => /^[0-9a-f]{100,}$/.test(line)).map((line) => Buffer.from(line, 'hex'))
    const certificate = new X509Certificate(hex[1] as Buffer)
    const key = createPrivateKey({ key: hex[2] as Buffer, format: 'der', type: 'pkcs8' })
    expect(certificate.checkPrivateKey(key)).toBe(true)
    expect(createPublicKey(key).export({ type: 'spki', format: 'der' })).toEqual(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    const pems = rest.join('\n').match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
    expect(pems).toHaveLength(4)
    expect(new X509Certificate(pems[1] as string).raw).toEqual(hex[1])
    expect(new X509Certificate(pems[0] as string).raw).toEqual(hex[0])
  })
})

describe('a sheet of one-time passwords', () => {
  /** What a camera would read: the modules of the SVG as pixels. */
  function readQr(svg: string): string | undefined {
    const size = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1])
    const pixels = new Uint8ClampedArray(size * size * 4).fill(255)
    for (const [, x, y] of svg.matchAll(/M(\d+),(\d+)h10v10h-10z/g)) {
      for (let dy = 0; dy < 10; dy++) for (let dx = 0; dx < 10; dx++) pixels.fill(0, ((Number(y) + dy) * size + Number(x) + dx) * 4, ((Number(y) + dy) * size + Number(x) + dx) * 4 + 3)
    }
    return jsqr.default(pixels, size, size)?.data
  }

  test('each QR code says what stands beside it; the passwords are nowhere else', async () => {
    const name = file('id\nsheet-1\nsheet-2\nsheet 3\nsheet-4\n')
    const out = path.join(path.dirname(name), 'sheet.html')
    const { status, stdout } = await cli('device', 'import', name, '--bundle', 'sheet', '--out', out, '--per-page', '2')
    expect(status).toBe(EXIT.refused)
    expect(stdout).toContain('3 one-time passwords')
    expect([modeOf(out), existsSync(`${out}.making`)]).toEqual([0o600, false])
    const html = readFileSync(out, 'utf8')
    expect(html.match(/class="page"/g)).toHaveLength(2)
    expect(html).not.toMatch(/<script|src=|href=|url\(/)
    const read = (html.match(/<svg.*?<\/svg>/gs) ?? []).map((svg) => JSON.parse(readQr(svg) ?? 'null') as { est: string; id: string; token: string })
    expect(read.map(({ id }) => id)).toEqual(['sheet-1', 'sheet-2', 'sheet-4'])
    const typed = [...html.matchAll(/<code>(.*?)<\/code>/g)].map(([, text = '']) => text.replaceAll(' ', ''))
    expect(read.map(({ token }) => token)).toEqual(typed)
    expect(new Set(typed).size).toBe(3)
    expect(read[0]?.est).toBe('https://localhost:8443/.well-known/est')
    const written = readFileSync(`${name}.results.ndjson`, 'utf8') + readFileSync(path.join(home, 'data/audit.ndjson'), 'utf8')
    expect(typed.some((token) => written.includes(token.slice(token.indexOf('-') + 1)))).toBe(false)
  })

  test('one that is killed is gone on with: everybody is on it, once', async () => {
    const ids = Array.from({ length: 2_000 }, (_, i) => `cut-${i}`)
    const name = file(`id\n${ids.join('\n')}\n`)
    const out = path.join(path.dirname(name), 'sheet.html')
    const args = ['--bundle', 'sheet', '--out', out]
    expect(await killed(name, args, 10_000)).toBe(true)
    expect([existsSync(out), modeOf(`${out}.making`)]).toEqual([false, 0o600])
    const results = `${name}.results.ndjson`
    // As if the last thing had been to write down passwords, and not yet what became of their rows.
    const lines = readFileSync(results, 'utf8').split('\n')
    writeFileSync(results, lines.slice(0, lines.findLastIndex((line) => line.startsWith('{"begin"')) + 1).map((line) => `${line}\n`).join(''))
    expect(readFileSync(`${out}.making`, 'utf8').split('\n').length).toBeGreaterThan(128)
    expect((await cli('device', 'import', name, ...args, '--resume')).stdout).toContain('2000 one-time passwords')
    expect([...readFileSync(out, 'utf8').matchAll(/<h2>(.*?)<\/h2>/g)].map(([, id]) => id)).toEqual(ids)
    expect((await cli('device', 'import', file('id\nx-1\n'), ...args)).stderr).toContain('a sheet is not overwritten')
  })
})
