// Devices that come and go at a set rate, as a process of its own: each arrival and each departure is an event of the stream. Told a plan in JSON
// as its argument; ends when its time is over.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connectLight } from '../../device-sim/load/light-peer.ts'

export interface ChurnPlan {
  readonly port: number
  readonly ca: string
  readonly certs: string
  readonly devices: number
  readonly perSecond: number
  readonly seconds: number
}

const { port, ca, certs, devices, perSecond, seconds } = JSON.parse(process.argv[2] ?? '{}') as ChurnPlan
const SOURCES = 64

async function comeAndGo(n: number): Promise<void> {
  const id = `speaker-${n % devices}`
  const pem = readFileSync(path.join(certs, `${id}.pem`), 'utf8')
  const cut = pem.indexOf('-----BEGIN CERTIFICATE-----')
  const peer = await connectLight({ target: { host: '127.0.0.1', port, serverName: 'localhost', ca }, id, credentials: { key: pem.slice(0, cut), cert: pem.slice(cut) }, source: `127.0.0.${1 + (n % SOURCES)}`, onMessage: () => {}, onEnd: () => {} })
  peer.end()
}

const begun = performance.now()
const underWay: Promise<void>[] = []
for (let n = 0; n < perSecond * seconds; n++) {
  const due = begun + (n * 1_000) / perSecond
  if (due > performance.now()) await delay(due - performance.now())
  underWay.push(comeAndGo(n))
}
const failed = (await Promise.allSettled(underWay)).filter(({ status }) => status === 'rejected').length
if (failed > 0) process.stdout.write(`${failed} devices could not connect\n`)
