// Work that takes longer than a request may take to come: a policy of 100,000 rules that is read, a log of years that is verified. Whoever asked
// waits for the answer, and hears no lie about a server that is gone; nobody waits for one that never was there.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as work } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type * as limits from '../../src/http-limits.ts'
import { openConsole } from '../../src/console-desk.ts'
import { openFeed } from '../../src/feed.ts'
import { openAdminServer, type AdminServer } from '../../src/http/admin.ts'
import { openClient } from '../../src/http/client.ts'
import { openHouse, type House } from './house.ts'

const { REQUEST_MS } = vi.hoisted(() => ({ REQUEST_MS: 400 }))
vi.mock('../../src/http-limits.ts', async (original) => {
  const real = await original<typeof limits>()
  return { ...real, HTTP_LIMITS: { ...real.HTTP_LIMITS, requestMs: REQUEST_MS, headerMs: REQUEST_MS } }
})

let house: House
let admin: AdminServer
let feed: ReturnType<typeof openFeed>
beforeAll(async () => {
  house = await openHouse()
  feed = openFeed({ audit: house.home.audit, clock: Date.now, log: () => {} })
  const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local', name), 'utf8')
  admin = await openAdminServer({
    listen: { host: '127.0.0.1', port: 0 }, hosts: [], view: house.home.view, audit: house.home.audit, clock: Date.now, version: '0.0.0', status: () => ({}), log: () => {},
    tls: { key: file('server/key.pem'), cert: file('server/cert.pem'), anchors: [house.root] },
    console: openConsole({ audit: house.home.audit, view: house.home.view, clock: Date.now }),
    events: feed.events,
    deskFor: () => ({
      ...house.desk(),
      async auditVerify() {
        await work(4 * REQUEST_MS)
        return { intact: true, records: 7 }
      },
    }),
  })
})
afterAll(async () => {
  await admin.close()
  feed[Symbol.dispose]()
  await house[Symbol.asyncDispose]()
})

test('is waited for on both sides, and the connection goes on behind it', async () => {
  using client = openClient({ url: admin.url, ...house.operator, ca: house.root })
  expect(await client.auditVerify()).toEqual({ intact: true, records: 7 })
  expect(await client.auditVerify()).toEqual({ intact: true, records: 7 })
})

test('who does not even greet is not waited for', async () => {
  const mute = net.createServer(() => {})
  await once(mute.listen(0, '127.0.0.1'), 'listening')
  using client = openClient({ url: `https://127.0.0.1:${(mute.address() as net.AddressInfo).port}`, ...house.operator, ca: house.root })
  await expect(client.auditVerify()).rejects.toMatchObject({ code: 'unreachable' })
  mute.close()
})
