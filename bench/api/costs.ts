// What each request takes of the thread that carries messages: its CPU, as the kernel counts it, which does not depend on who else uses the
// machine. While that thread answers, messages wait; so this is what stands between a request and the latency of the broker.

import { readFileSync } from 'node:fs'
import { openTransport } from '../../src/http/transport.ts'
import type { Served } from '../servers.ts'
import type { Ask } from './asker.ts'
import type { OperatorFiles } from './house.ts'

export interface Cost {
  readonly name: string
  readonly msEach: number
}

const NS_PER_MS = 1e6
const WARM_UP = 10

function loopMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / NS_PER_MS
}

/** One after the other, on a connection that is open. */
export async function costsOf({ pid }: Pick<Served, 'pid'>, operator: OperatorFiles, asks: readonly Ask[], times: number): Promise<readonly Cost[]> {
  const transport = openTransport(operator)
  const costs: Cost[] = []
  for (const { name, method, path } of asks) {
    const ask = async (): Promise<void> => {
      const { status, text } = await transport.send({ method, path })
      if (status !== 200) throw new Error(`${name}: ${status} ${text}`)
    }
    for (let n = 0; n < WARM_UP; n++) await ask()
    const before = loopMs(pid)
    for (let n = 0; n < times; n++) await ask()
    costs.push({ name, msEach: (loopMs(pid) - before) / times })
  }
  transport.close()
  return costs
}
