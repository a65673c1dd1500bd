import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const at = (file: string): string => JSON.stringify(path.resolve(import.meta.dirname, '../../src', file))

/** What a program that logs this leaves on its streams. */
function logged(call: string, level = 'info'): { readonly stdout: string; readonly stderr: string; readonly lines: readonly Record<string, unknown>[] } {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `import { openLog, traceTo } from ${at('observe/log.ts')}; import { levelsOf } from ${at('core/log-levels.ts')}; const log = openLog(levelsOf(${JSON.stringify(level)})); const say = log.of('server'); ${call}`], { encoding: 'utf8' })
  return { stdout, stderr, lines: stderr.split('\n').filter((l) => l !== '').map((l) => JSON.parse(l) as Record<string, unknown>) }
}

test('one JSON line a message, on the error stream, with the part of the program that speaks and a time that people read', () => {
  const { stdout, lines } = logged(`say('info', { port: 1 }, 'ready'); log.of('broker')('error', {}, 'broken')`)
  expect(stdout).toBe('')
  expect(lines).toMatchObject([{ port: 1, msg: 'ready', room: 'server' }, { msg: 'broken', room: 'broker' }])
  expect(lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/)
})

test('fields with the names of secrets are not printed, at the top and one level down', () => {
  const { lines } = logged(`say('warn', { key: 's3cret', password: 's3cret', passphrase: 's3cret', token: 's3cret', secret: 's3cret', tls: { key: 's3cret', cert: 'public' } }, 'x')`)
  expect(JSON.stringify(lines)).not.toContain('s3cret')
  expect(lines).toMatchObject([{ key: '(secret)', tls: { key: '(secret)', cert: 'public' } }])
})

describe('A09: what a peer had a hand in', () => {
  const HOSTILE = ['\r\n{"level":50,"msg":"forged"}', '\u001b[2J\u001b]0;owned\u0007', '\u009b31m', '\u0085', '\u2028\u2029', '\u202egnp.exe', '\u2066\u2069', '\ufeff', '\u007f', '"},{"x":"', '\u0000']

  test.each(HOSTILE.map((text) => [JSON.stringify(text), text]))('%s makes no second line and no control character, in a field, in a name and in the message, and is read back as it was', (_, text) => {
    const { stderr, lines } = logged(`say('warn', { error: ${JSON.stringify(text)}, [${JSON.stringify(text)}]: 1, nested: { list: [${JSON.stringify(text)}] } }, ${JSON.stringify(text)})`)
    expect(lines).toHaveLength(1)
    // The end of the line is its only control character.
    expect(stderr.slice(0, -1)).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u)
    expect(lines).toMatchObject([{ error: text, [text]: 1, nested: { list: [text] }, msg: text }])
  })

  test('a text of a megabyte is cut, and says so; what is short is not', () => {
    const { stderr, lines } = logged(`say('warn', { error: 'x'.repeat(1024 * 1024), topic: 'x'.repeat(4096) }, 'm')`)
    expect(stderr.length).toBeLessThan(10_000)
    expect(lines[0]?.['error']).toMatch(/^x{4096}…\(1048576 characters\)$/)
    expect(lines[0]?.['topic']).toBe('x'.repeat(4_096))
  })

  test('what strangers can cause at debug is at most 500 lines a second of one part; what is said at info is said', () => {
    const { lines } = logged(`const flood = log.of('http'); for (let i = 0; i < 3000; i++) flood('debug', { i }, 'asked'); log.of('broker')('debug', {}, 'connect'); for (let i = 0; i < 600; i++) flood('info', {}, 'told'); await new Promise((done) => setTimeout(done, 1_100)); flood('debug', {}, 'later')`, 'debug')
    const of = (msg: string): number => lines.filter((line) => line['msg'] === msg).length
    // The second may have turned once in the middle.
    expect(of('asked')).toBeGreaterThanOrEqual(500)
    expect(of('asked')).toBeLessThanOrEqual(1_000)
    expect([of('connect'), of('told'), of('later')]).toEqual([1, 600, 1])
    const told = lines.filter((line) => String(line['msg']).startsWith('more was to be said')).reduce((sum, line) => sum + Number(line['lines']), 0)
    expect(of('asked') + told).toBe(3_000)
  })
})

describe('levels', () => {
  test('what is below the level is not said, and the level itself is', () => {
    expect(logged(`say('debug', {}, 'no'); say('info', {}, 'no'); say('warn', {}, 'yes')`, 'warn').lines).toHaveLength(1)
    expect(logged(`say('debug', {}, 'yes')`, 'debug').lines).toHaveLength(1)
  })

  test('each part has its own, and another one from the next line on', () => {
    const { lines } = logged(`say('debug', {}, 'no'); log.setLevels({ ...levelsOf('info'), http: 'debug', broker: 'error' }); log.of('http')('debug', {}, 'http'); log.of('broker')('warn', {}, 'no'); log.of('broker')('error', {}, 'broker'); say('debug', {}, 'no'); say('info', {}, 'server')`)
    expect(lines.map((line) => line['msg'])).toEqual(['http', 'broker', 'server'])
  })

  test('a span is said at debug by the part that it is of, with what came of it, and goes on to whoever traces', () => {
    const call = `const told = []; const trace = traceTo(log, (span) => told.push(span.name)); trace({ name: 'connect', begunAt: 1, endedAt: 4, attributes: { 'sallyport.device': 'one' } }); trace({ name: 'enroll', begunAt: 1, endedAt: 2, attributes: {}, reason: 'token-unknown' }); say('error', { told }, 'told')`
    expect(logged(call, 'debug').lines).toMatchObject([{ room: 'broker', ms: 3, 'sallyport.device': 'one', msg: 'connect' }, { room: 'enroll', reason: 'token-unknown', msg: 'enroll: refused' }, { told: ['connect', 'enroll'] }])
    expect(logged(call).lines).toMatchObject([{ told: ['connect', 'enroll'] }])
  })
})
