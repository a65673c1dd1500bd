// The event stream with 200 listeners while devices come and go: how late an event is at the last of them, what they cost the server, and what
// becomes of one that does not read. Listeners and devices are on one core, the server on another.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { coresToUse, pinned } from '../pinned.ts'
import { cpuMsOf, residentKb } from '../process-cpu.ts'
import { openServers } from '../servers.ts'
import type { ChurnPlan } from './churn.ts'
import type { Heard, HearPlan } from './hearers.ts'
import { openHouse, operatorOf } from './house.ts'
import { partFlags } from './part.ts'

const flags = partFlags()
/** Two events each: one that comes, one that goes. */
const SIZE = flags.quick ? { connected: 50, registered: 100, listeners: 20, perSecond: 20, seconds: 2 } : { connected: 1_000, registered: 2_000, listeners: 200, perSecond: Number(flags.rate ?? 100), seconds: Number(flags.seconds ?? 90) }

async function churn(plan: ChurnPlan, core: number | undefined): Promise<void> {
  const [command, ...args] = pinned(core, [process.execPath, path.join(import.meta.dirname, 'churn.ts'), JSON.stringify(plan)])
  await once(spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'close')
}

using house = await openHouse({ ...SIZE, kept: flags.kept })
const servers = openServers()
try {
  const cores = coresToUse()
  const served = await servers.serve(house.home, { core: cores?.broker, profile: flags.profile })
  const plan = { port: served.port, ca: readFileSync(house.ca, 'utf8'), certs: house.certs, devices: SIZE.connected, perSecond: SIZE.perSecond }
  // Nobody listens: what comes and goes costs by itself. The first time is for the compiler.
  await churn({ ...plan, seconds: Math.ceil(SIZE.seconds / 10) }, cores?.generator)
  const alone = cpuMsOf(served.pid)
  await churn({ ...plan, seconds: Math.ceil(SIZE.seconds / 3) }, cores?.generator)
  const aloneMs = (cpuMsOf(served.pid) - alone) / Math.ceil(SIZE.seconds / 3)

  const [command, ...args] = pinned(cores?.generator, [process.execPath, path.join(import.meta.dirname, 'hearers.ts')])
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const before = residentKb(served.pid)
  child.stdin.write(`${JSON.stringify({ operator: operatorOf(house.home), listeners: SIZE.listeners } satisfies HearPlan)}\n`)
  if ((await said.next()).value !== 'ready') throw new Error('the listeners could not begin')
  const greeted = residentKb(served.pid)
  const cpu = cpuMsOf(served.pid)
  let peak = greeted
  const watch = setInterval(() => (peak = Math.max(peak, residentKb(served.pid))), 500)
  await churn({ ...plan, seconds: SIZE.seconds }, cores?.generator)
  clearInterval(watch)
  const listenedMs = (cpuMsOf(served.pid) - cpu) / SIZE.seconds
  child.stdin.write('over\n')
  const heard = JSON.parse((await said.next()).value as string) as Heard
  const { last, each } = heard
  console.log(`${SIZE.listeners} listeners, one of which does not read; ${heard.events} events in ${SIZE.seconds} s, ${(heard.events / SIZE.seconds).toFixed(0)} a second`)
  console.log(`  from an event to the last listener: p50 ${last.p50Ms.toFixed(1)}, p99 ${last.p99Ms.toFixed(1)}, max ${last.maxMs.toFixed(1)} ms; to any of them p50 ${each.p50Ms.toFixed(1)}, p99 ${each.p99Ms.toFixed(1)} ms; ${heard.missing} missing, ${heard.ended} ended`)
  console.log(`  CPU of the server: ${(listenedMs / 10).toFixed(1)} % of a core with them, ${(aloneMs / 10).toFixed(1)} % without: ${(((listenedMs - aloneMs) * 1_000) / ((heard.events / SIZE.seconds) * SIZE.listeners)).toFixed(1)} µs for an event and listener`)
  console.log(`  resident: ${(before / 1_024).toFixed(0)} MiB before, ${(greeted / 1_024).toFixed(0)} with them, at most ${(peak / 1_024).toFixed(0)}`)
  console.log(`  the one that does not read: ${heard.silentClosedAfter === undefined ? 'not closed yet' : 'closed'} when ${heard.silentClosedAfter ?? heard.events} events had been told`)
  await served.stop()
} finally {
  servers.killAll()
}
