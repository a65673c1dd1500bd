// Devices that publish as fast as they are answered, as a process of their own: over HTTPS, a connection each, or by MQTT with QoS 1, one
// message under way each and no more than a rate in all. Started by https-publish.ts with a plan in JSON; says in JSON what came of it.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { connectLight } from '../device-sim/load/light-peer.ts'
import { percentile } from './process-cpu.ts'

interface Plan {
  readonly by: 'https' | 'mqtt'
  readonly port: number
  readonly ca: string
  readonly seconds: number
  /** Files with key and certificate, and whose they are. */
  readonly devices: readonly { readonly id: string; readonly file: string }[]
  /** In all; undefined: as fast as they are answered. */
  readonly perSecond?: number
}

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan
const latencies: number[] = []
let refused = 0
const begun = performance.now()
const until = begun + plan.seconds * 1_000

/** One message, to its answer. */
type Say = () => Promise<boolean>

function overHttps(id: string, pem: string): Say {
  const agent = new Agent({ ca: plan.ca, cert: pem, key: pem, keepAlive: true, maxSockets: 1 })
  return async () => {
    const sent = request({ host: '127.0.0.1', port: plan.port, servername: 'localhost', method: 'POST', path: `/topics/t/${id}/b?qos=1`, agent })
    sent.end('21.5')
    const [answer] = (await once(sent, 'response')) as [{ statusCode?: number; resume: () => unknown }]
    answer.resume()
    return answer.statusCode === 200
  }
}

async function byMqtt(id: string, pem: string): Promise<Say> {
  const at = pem.indexOf('-----BEGIN CERTIFICATE-----')
  const peer = await connectLight({ target: { host: '127.0.0.1', port: plan.port, serverName: 'localhost', ca: plan.ca }, id, credentials: { key: pem.slice(0, at), cert: pem.slice(at) }, source: undefined, onMessage: () => {}, onEnd: () => process.exit(1) })
  return () => new Promise((resolve) => peer.publish(`t/${id}/b`, Buffer.from('21.5'), 1, (code) => resolve(code === 0)))
}

async function speak({ id, file }: Plan['devices'][number]): Promise<void> {
  const pem = readFileSync(file, 'utf8')
  const say = plan.by === 'https' ? overHttps(id, pem) : await byMqtt(id, pem)
  const everyMs = plan.perSecond === undefined ? 0 : (plan.devices.length * 1_000) / plan.perSecond
  for (let due = performance.now(); due < until; due += everyMs) {
    const early = due - performance.now()
    if (early > 0) await delay(early)
    const at = performance.now()
    if (at > until) return
    if (!(await say())) refused += 1
    latencies.push(performance.now() - at)
    if (everyMs === 0) due = performance.now()
  }
}

await Promise.all(plan.devices.map(speak))
process.stdout.write(`${JSON.stringify({ perSecond: latencies.length / plan.seconds, refused, p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99) })}\n`, () => process.exit(0))
