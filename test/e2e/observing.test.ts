// The door for those who watch, as an operator, a scraper and a container's health check use it.

import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Program } from './program.ts'

const TOKEN = 'f'.repeat(64)

describe('on loopback, as it comes', () => {
  const program = new Program()
  let url: string
  beforeAll(async () => {
    await program.serve()
    ;({ url } = program.endpoints.metrics)
  }, 60_000)
  afterAll(() => program[Symbol.asyncDispose]())

  test('is named in the first lines, and shows metrics and health to whoever is on this machine', async () => {
    expect(program.output).toContain(`Metrics and health    ${url}/metrics, /healthz, /readyz`)
    const metrics = await fetch(`${url}/metrics`)
    expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4')
    expect(await metrics.text()).toMatch(/^sallyport_devices 2$/m)
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('alive\n')
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ ready: true })
  })

  test('says nothing to a page that a name of somebody else has led here, and serves nothing else (A04, A16)', async () => {
    const { port } = new URL(url)
    const asked = (host: string, method = 'GET', at = '/metrics'): Promise<number | undefined> => new Promise((resolve, reject) => {
      plainRequest({ host: '127.0.0.1', port, method, path: at, headers: { host } }, (response) => resolve(response.resume().statusCode)).once('error', reject).end()
    })
    expect(await asked(`evil.example:${port}`)).toBe(421)
    expect(await asked(`localhost:${port}`)).toBe(200)
    expect(await asked(`localhost:${port}`, 'POST')).toBe(405)
    expect(await asked(`localhost:${port}`, 'GET', '/debug/heap')).toBe(404)
    expect(await asked(`localhost:${port}`, 'GET', '/%2e%2e/etc/passwd')).toBe(404)
  })

  test('sallyport health says how it is, and exits by it', () => {
    const well = program.run('health')
    expect([well.status, well.stdout]).toEqual([0, expect.stringMatching(/^ready\n\nok {2}running /)])
    expect(program.json('health')).toMatchObject({ ready: true })
  })

  test('a configuration that somebody has broken since makes no server ill that runs by the old one', () => {
    const file = path.join(program.home, 'sallyport.yaml')
    const before = readFileSync(file, 'utf8')
    writeFileSync(file, 'listn: [\n')
    expect(program.run('health')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^ready\n\nok {2}running /) as string, stderr: '' })
    writeFileSync(file, before)
  })
})

describe('elsewhere', () => {
  const program = new Program()
  beforeAll(async () => {
    writeFileSync(path.join(program.home, 'metrics.token'), `${TOKEN}\n`, { mode: 0o600 })
    writeFileSync(path.join(program.home, 'sallyport.yaml'), 'listen: { metrics: { host: 0.0.0.0, tokenFile: metrics.token } }\n')
    await program.serve()
  }, 60_000)
  afterAll(() => program[Symbol.asyncDispose]())

  const ask = (at: string, headers: Readonly<Record<string, string>> = {}): Promise<{ readonly status: number | undefined; readonly text: string }> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(program.endpoints.metrics.url)
      const sent = request({ host: '127.0.0.1', port, path: at, headers, servername: 'localhost', ca: readFileSync(path.join(program.home, 'certs/local/operator/ca.pem')), agent: false }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.once('end', () => resolve({ status: response.statusCode, text }))
      })
      sent.once('error', reject)
      sent.end()
    })

  test('speaks TLS with the server certificate, and shows metrics to who has the token and nobody else', async () => {
    expect(program.endpoints.metrics.url).toMatch(/^https:/)
    expect(await ask('/metrics', { authorization: `Bearer ${TOKEN}` })).toMatchObject({ status: 200, text: expect.stringContaining('sallyport_devices 2') as string })
    for (const authorization of [`Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, 'Bearer ', `Basic ${TOKEN}`, '']) {
      const { status, text } = await ask('/metrics', { authorization })
      expect([authorization, status, text.includes('sallyport_')]).toEqual([authorization, 401, false])
    }
  })

  test('A16: tells a prober without the token whether it is ready, and not why', async () => {
    expect(await ask('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    expect(await ask('/healthz')).toEqual({ status: 200, text: 'alive\n' })
    expect((await ask('/readyz', { authorization: `Bearer ${TOKEN}` })).text).toContain('"sessions"')
  })

  test('sallyport health finds the token where the configuration says', () => {
    expect(program.run('health')).toMatchObject({ status: 0, stderr: '' })
  })

  test('sallyport health without the token says whether it is ready, and that there is more', () => {
    const file = path.join(program.home, 'sallyport.yaml')
    const before = readFileSync(file, 'utf8')
    writeFileSync(file, '')
    expect(program.run('health')).toEqual({ status: 0, stdout: expect.stringMatching(/^ready\n\nMore is said to who has the token/) as string, stderr: '' })
    expect(program.json('health')).toEqual({ ready: true, checks: [] })
    writeFileSync(file, before)
  })
})

test('is not opened elsewhere without a token, or with one that can be guessed: the configuration is refused, with its line', async () => {
  await using program = new Program()
  const config = path.join(program.home, 'sallyport.yaml')
  writeFileSync(config, 'log: { level: info }\nlisten:\n  metrics:\n    host: 0.0.0.0\n')
  const open = program.run('serve', '--ports', 'auto')
  expect([open.status, open.stderr]).toEqual([78, expect.stringContaining('sallyport.yaml:4:11: listen.metrics: 0.0.0.0 is not loopback, and there is no tokenFile.')])
  writeFileSync(path.join(program.home, 't'), 'letmein\n')
  writeFileSync(config, 'listen: { metrics: { host: 0.0.0.0, tokenFile: t } }\n')
  const short = program.run('serve', '--ports', 'auto')
  expect([short.status, short.stderr]).toEqual([78, expect.stringContaining('is not one word of at least 32 characters')])
  expect(short.stderr).not.toContain('letmein')
})

test('no server: sallyport health says so, and exits 5', async () => {
  await using program = new Program()
  await program.serve()
  await program.stop()
  expect(program.run('health')).toMatchObject({ status: 5, stderr: expect.stringContaining('No server runs in') as string })
})
