import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { expect, test } from 'vitest'

const LOG = path.resolve(import.meta.dirname, '../../src/observe/log.ts')

/** What a program that logs this leaves on its streams. */
function logged(call: string, level = 'info'): { readonly stdout: string; readonly lines: readonly Record<string, unknown>[] } {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `import { openLog } from ${JSON.stringify(LOG)}; const log = openLog({ level: ${JSON.stringify(level)} }); ${call}`], { encoding: 'utf8' })
  return { stdout, lines: stderr.split('\n').filter((l) => l !== '').map((l) => JSON.parse(l) as Record<string, unknown>) }
}

test('one JSON line a message, on the error stream, with a time that people read', () => {
  const { stdout, lines } = logged(`log.info({ port: 1 }, 'ready'); log.error({}, 'broken\\r\\nline \\u001b[31m')`)
  expect(stdout).toBe('')
  expect(lines).toMatchObject([{ port: 1, msg: 'ready' }, { msg: 'broken\r\nline \u001b[31m' }])
  expect(lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/)
})
test('fields with the names of secrets are not printed, at the top and one level down', () => {
  const { lines } = logged(`log.warn({ key: 's3cret', password: 's3cret', passphrase: 's3cret', token: 's3cret', secret: 's3cret', tls: { key: 's3cret', cert: 'public' } }, 'x')`)
  expect(JSON.stringify(lines)).not.toContain('s3cret')
  expect(lines).toMatchObject([{ key: '(secret)', tls: { key: '(secret)', cert: 'public' } }])
})
test('what is below the level is not said, and the level itself is', () => {
  expect(logged(`log.debug({}, 'no'); log.info({}, 'no'); log.warn({}, 'yes')`, 'warn').lines).toHaveLength(1)
  expect(logged(`log.debug({}, 'yes')`, 'debug').lines).toHaveLength(1)
})
