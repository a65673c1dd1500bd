// A worker thread of the fleet: its devices, the orders that come in, and the news that go out.

import { parentPort, workerData } from 'node:worker_threads'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { News, Order, Setting } from './orders.ts'
import { openTroupe } from './troupe.ts'

const port = parentPort
if (port !== null) {
  const tell = (news: News): void => port.postMessage(news, [])
  const troupe = openTroupe(workerData as Setting, tell)
  const samples = setInterval(() => troupe.sample(), SCENARIO_LIMITS.sampleMs)
  port.on('message', (order: Order | { readonly kind: 'close' }) => {
    if (order.kind !== 'close') return void troupe.order(order)
    clearInterval(samples)
    troupe.sample()
    troupe.close()
    port.close()
  })
  tell({ kind: 'ready' })
}
