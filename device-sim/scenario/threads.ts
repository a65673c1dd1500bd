// The threads of a fleet: started, given orders, listened to, and ended. Orders go to the thread whose devices they are for.

import { availableParallelism } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { SimError } from '../failure.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import { within } from '../within.ts'
import type { News, Order, PlayerAccount, Rate, Setting } from './orders.ts'

type ForPlayers = Extract<Order, { players: readonly number[] }>
/** An order before it is given to threads. */
export type Wish = ForPlayers extends infer Each ? (Each extends unknown ? Omit<Each, 'order'> : never) : never
type Note = Exclude<Order, { players: readonly number[] } | { kind: 'finish' }>

export interface Threads {
  readonly count: number
  /** Resolves when every device has done it. */
  perform(wish: Wish): Promise<void>
  /** What all threads must know. */
  note(note: Note): void
  finish(): Promise<readonly PlayerAccount[]>
  close(): Promise<void>
}

export interface ThreadPorts {
  onNews(news: Exclude<News, { kind: 'ready' | 'done' | 'account' }>, thread: number): void
  onFault(fault: Error): void
}

export function threadsFor(devices: number): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(devices / SCENARIO_LIMITS.devicesPerWorker)))
}

export async function openThreads(setting: Setting, count: number, ports: ThreadPorts): Promise<Threads> {
  const of = (index: number): number => index % count
  const waiting = new Map<number, { left: number; readonly done: () => void }>()
  const accounts: PlayerAccount[] = []
  let accounted: (() => void) | undefined
  let [order, open] = [0, count]
  const ready = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()

  const listen = (news: News, thread: number): void => {
    if (news.kind === 'ready') {
      if (--open === 0) ready.resolve()
    } else if (news.kind === 'done') {
      const entry = waiting.get(news.order)
      if (entry !== undefined && --entry.left === 0) {
        waiting.delete(news.order)
        entry.done()
      }
    } else if (news.kind === 'account') {
      accounts.push(...news.players)
      accounted?.()
    } else ports.onNews(news, thread)
  }
  const workers = Array.from({ length: count }, (_, place) => {
    const seats = setting.seats.filter(({ player }) => of(player.index) === place)
    const worker = new Worker(new URL(`thread${path.extname(import.meta.filename)}`, import.meta.url), { workerData: { ...setting, seats, seed: setting.seed + place } })
    worker.on('message', (news: News) => listen(news, place))
    worker.on('error', (fault) => {
      ports.onFault(fault)
      ready.reject(fault)
    })
    worker.on('exit', () => {
      if (workers.every(({ threadId }) => threadId === -1)) ended.resolve()
    })
    return worker
  })
  if ((await within(ready.promise.then(() => true), SCENARIO_LIMITS.workerAnswerMs)) === undefined) throw new SimError('failed', `The simulator's threads did not start in ${SCENARIO_LIMITS.workerAnswerMs} ms.`)

  return {
    count,
    async perform(wish) {
      const shares = workers.map((worker, place) => ({ worker, part: partOf(wish, (index) => of(index) === place) })).filter(({ part }) => part.players.length > 0)
      if (shares.length === 0) return
      const number = order++
      const done = Promise.withResolvers<void>()
      waiting.set(number, { left: shares.length, done: done.resolve })
      for (const { worker, part } of shares) tell(worker, { ...part, order: number })
      await done.promise
    },
    note: (note) => workers.forEach((worker) => tell(worker, note)),
    async finish() {
      const all = Promise.withResolvers<void>()
      let left = count
      accounted = () => void (--left === 0 && all.resolve())
      for (const worker of workers) tell(worker, { kind: 'finish' })
      if ((await within(all.promise.then(() => true), SCENARIO_LIMITS.workerAnswerMs)) === undefined) throw new SimError('failed', 'A thread of the simulator did not give account.')
      return accounts
    },
    async close() {
      for (const worker of workers) tell(worker, { kind: 'close' })
      await within(ended.promise, SCENARIO_LIMITS.drainMs)
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

const tell = (worker: Worker, order: Order | { readonly kind: 'close' }): void => worker.postMessage(order, [])

/** The part of an order that these devices have in it: of a rate, their share. */
function partOf(wish: Wish, isHere: (index: number) => boolean): Wish {
  const players = wish.players.filter(isHere)
  const share = players.length / wish.players.length
  switch (wish.kind) {
    case 'publish': return { ...wish, players, rate: scaled(wish.rate, share) }
    case 'misbehave': return { ...wish, players, rate: wish.rate * share }
    case 'command': return { ...wish, players, rate: wish.rate * share, receivers: wish.receivers.filter((_, place) => isHere(wish.players[place] ?? -1)) }
    default: return { ...wish, players }
  }
}

function scaled(rate: Rate, share: number): Rate {
  return typeof rate === 'number' ? rate * share : { ...rate, from: rate.from * share, to: rate.to * share }
}
