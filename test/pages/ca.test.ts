// docs/ca.md, command by command, against a server with devices connected: sessions end with the CA of their certificate, and at no
// other step.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connect, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { serve } from '../../src/main.ts'
import type { Ready } from '../../src/ready.ts'
import { sallyport } from '../cli/shell.ts'
import { has } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!has('openssl') || !has('bash'))('docs/ca.md (needs openssl and bash)', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-ca-page-'))
  const home = path.join(folder, 'home')
  const at = (name: string): string => path.join(folder, name)
  const ending = new AbortController()
  const clients: MqttClient[] = []
  let served: Promise<void>
  let ready: Ready
  let dropped = 0

  beforeAll(async () => {
    const readiness = Promise.withResolvers<Ready>()
    served = serve({ home, config: () => loadConfig(home, { SALLYPORT_LOG_LEVEL: 'error' }, { portsAuto: true }), signal: ending.signal, onReady: readiness.resolve, onReload: () => {}, version: '0.0.0' })
    ready = await Promise.race([readiness.promise, served.then(() => Promise.reject(new Error('it ended')))])
    writeFileSync(at('old-root.pem'), readFileSync(path.join(home, 'certs/local/root.pem')))
    for (const id of ['sensor-1', 'sensor-2', 'sensor-3']) await sallyport(['device', 'add', id, '--group', 'sensors'], { home, cwd: folder })
    for (const id of ['sensor-1', 'sensor-2']) await sallyport(['device', 'bundle', id, '--out', id], { home, cwd: folder })
    await session('sensor-1')
    writeFileSync(at('root.pass'), 'of the ceremony\n', { mode: 0o600 })
    writeFileSync(at('issuing.ext'), 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n')
    const { status } = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650', '-subj', '/O=Corporate/CN=Corporate Root', '-addext', 'keyUsage=critical,keyCertSign', '-keyout', at('corporate.key'), '-out', at('corporate.pem')])
    expect(status).toBe(0)
  })
  afterAll(async () => {
    for (const client of clients) client.end(true)
    ending.abort()
    await served
    rmSync(folder, { recursive: true, force: true })
  })

  /** With what the device has now, and the root that it knew first. */
  async function session(id: string): Promise<void> {
    const client = connect({
      protocol: 'mqtts', host: 'localhost', port: ready.mqtt.port, clientId: `${id}:${clients.length}`, reconnectPeriod: 0,
      ca: readFileSync(at('old-root.pem')), cert: readFileSync(at(`${id}/device.pem`)), key: readFileSync(at(`${id}/device.key`)),
    })
    clients.push(client)
    await new Promise<void>((resolve, reject) => void client.once('connect', () => resolve()).once('error', reject).once('close', () => reject(new Error('closed'))))
    client.on('close', () => dropped++)
  }

  test('does what it says', async () => {
    const endings: string[] = []
    for (const step of readPage('docs/ca.md')) {
      const before = dropped
      expect(difference([step], await runPage([step], { folder, environment: { SALLYPORT_HOME: home } }))).toBeUndefined()
      if (dropped > before) endings.push(`${step.command}: ${dropped - before}`)
      if (step.command.startsWith('sallyport device bundle sensor-1')) await session('sensor-1')
    }
    expect(endings).toEqual(['sallyport ca rotate retire --force --yes: 1', 'sallyport ca rotate retire --force --yes: 1'])
  }, 180_000)
})
