// What a connection costs that says nothing: the broker's resident memory before and after a crowd has connected.

import { residentKb } from '../process-cpu.ts'
import type { Target } from '../servers.ts'
import { startLoad, type LoadPlace } from './generator.ts'

/** Enough that whatever is loaded or allocated with the first connection is there before the first reading. */
const WARM_UP = 50
/** Further than any limit of connects from one address reaches. */
const SOURCES = 16
const POLL_MS = 250
/** Memory is read when it has not moved by more than this for so long, or at the latest after the last of these. */
const STEADY_SHARE = 0.005
const STEADY_MS = 2_000
const STEADY_MAX_MS = 15_000

export interface IdleRound {
  readonly kbPerConnection: number
  readonly beforeKb: number
  readonly afterKb: number
}

async function steadyKb(pid: number): Promise<number> {
  const since = performance.now()
  let [kb, at] = [residentKb(pid), since]
  while (performance.now() - at < STEADY_MS && performance.now() - since < STEADY_MAX_MS) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    const next = residentKb(pid)
    if (Math.abs(next - kb) > kb * STEADY_SHARE) [kb, at] = [next, performance.now()]
  }
  return residentKb(pid)
}

export async function measureIdle(place: LoadPlace, broker: Target, connections: number): Promise<IdleRound> {
  const crowd = (listeners: number) => startLoad(place, broker.pid, { port: broker.port, speakers: 0, listeners, qos: 0, sources: SOURCES })
  const first = crowd(WARM_UP)
  await first.open()
  await first.end()
  const beforeKb = await steadyKb(broker.pid)
  const load = crowd(connections)
  await load.open()
  const afterKb = await steadyKb(broker.pid)
  await load.end()
  return { kbPerConnection: (afterKb - beforeKb) / connections, beforeKb, afterKb }
}
