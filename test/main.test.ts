// The server over its days: its own certificate is renewed while it runs, and whoever runs it is told in time of what expires.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import tls from 'node:tls'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { LIFE } from '../src/limits.ts'
import { expiringSoon } from '../src/core/expiry.ts'
import { serve } from '../src/main.ts'
import type { Ready } from '../src/ready.ts'

afterEach(() => void vi.useRealTimers())

describe('what expires', () => {
  const named = (name: string, notAfter: number) => ({ name, notAfter })
  const at = (days: number): number => Date.UTC(2030, 0, 1) + days * LIFE.day

  test('within 30 days is told of, at 30 days not yet; long expired, still', () => {
    const certificates = [named('at 30 days', at(30)), named('a second before', at(30) - 1_000), named('expired', at(-1)), named('in a year', at(365))]
    expect(expiringSoon(certificates, at(0))).toEqual([{ name: 'a second before', notAfter: at(30) - 1_000 }, { name: 'expired', notAfter: at(-1) }])
  })
})

describe('a server that runs on', () => {
  test('renews its certificate on its daily round, for both doors, and leaves the policy as it is', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const home = mkdtempSync(path.join(tmpdir(), 'sallyport-days-'))
    const file = (name: string): string => path.join(home, name)
    const ending = new AbortController()
    const ready = Promise.withResolvers<Ready>()
    const served = serve({ home, config: () => loadConfig(home, { SALLYPORT_LOG_LEVEL: 'error' }, { portsAuto: true }), signal: ending.signal, onReady: ready.resolve, onReload: () => {}, version: '0.0.0' })
    try {
      const { mqtt, admin } = await Promise.race([ready.promise, served.then(() => Promise.reject(new Error('it ended')))])
      const shown = async (port: number): Promise<string> => {
        const socket = tls.connect({ host: '127.0.0.1', port, ca: readFileSync(file('certs/local/root.pem')), cert: readFileSync(file('certs/local/operator/cert.pem')), key: readFileSync(file('certs/local/operator/key.pem')), servername: 'localhost' })
        await once(socket, 'secureConnect')
        const { serialNumber } = socket.getPeerCertificate()
        socket.destroy()
        return serialNumber
      }
      const doors = async (): Promise<readonly string[]> => [await shown(mqtt.port), await shown(Number(new URL(admin.url).port))]
      const [before, beforeAdmin] = await doors()
      expect(beforeAdmin).toBe(before)

      // A day on which nothing is due changes nothing, whatever has become of the policy file.
      writeFileSync(file('policy.yaml'), 'nonsense: [')
      await vi.advanceTimersByTimeAsync(LIFE.day)
      expect(await doors()).toEqual([before, before])

      rmSync(file('certs/local/server/cert.pem'))
      await vi.advanceTimersByTimeAsync(LIFE.day)
      let after = await doors()
      // The round unseals the key of the CA, off this thread.
      while (after.some((serial) => serial === before)) after = await doors()
      expect(after[1]).toBe(after[0])

      // The audit file follows the registry at its own pace, and is whole when the server has ended.
      ending.abort()
      await served
      const events = readFileSync(file('data/audit.ndjson'), 'utf8').split('\n')
      expect(events.filter((line) => line.includes('"policy-loaded"'))).toHaveLength(1)
    } finally {
      ending.abort()
      await served
      rmSync(home, { recursive: true, force: true })
    }
  })
})
