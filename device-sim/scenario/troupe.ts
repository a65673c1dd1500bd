// The devices of one thread: does what the conductor orders, when it is due, and tells what became of it.

import type { KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { enrolledBy } from '../est.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { forgeRequest } from '../forge/request.ts'
import { connectLight } from '../load/light-peer.ts'
import { keepPace } from '../load/pacer.ts'
import { SIM_LIMITS } from '../limits.ts'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import { within } from '../within.ts'
import { openChance } from './chance.ts'
import type { News, Order, Rate, Setting } from './orders.ts'
import type { Timing } from './scenario.ts'
import { openStation, type Station, type Surroundings } from './station.ts'
import { wallMs } from './tag.ts'
import { openTally } from './tally.ts'

export interface Troupe {
  /** Never rejects: what goes wrong is news. */
  order(order: Order): Promise<void>
  sample(): void
  close(): void
}

/** A server that is down refuses nobody. */
const isUnreachable = (error: unknown): boolean => /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT|^no CONNACK/.test(said(error))
const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export function openTroupe(setting: Setting, tell: (news: News) => void): Troupe {
  const tally = openTally()
  const around: Surroundings = { target: setting.target, speeches: setting.speeches, ids: setting.ids, tally, sealed: new Map(), denied: new Map(), tell }
  const stations = new Map(setting.seats.map((seat) => [seat.player.index, openStation(seat, around)]))
  const chance = openChance(setting.seed)
  const ending = new AbortController()
  const pings = setInterval(() => [...stations.values()].forEach((station) => station.isConnected && station.ping()), SIM_LIMITS.loadPingMs)

  const of = (players: readonly number[]): readonly Station[] => players.flatMap((index) => stations.get(index) ?? [])
  const fault = (order: { readonly step: string; readonly order: number }, device: string, expected: string, seen: string): void =>
    tell({ kind: 'failed', order: order.order, failure: { step: order.step, device, expected, seen } })

  /** Each in its turn, evenly over the time, whatever has become of those before it. */
  async function spread(players: readonly Station[], overMs: number, work: (station: Station, dueAt: number) => Promise<void>): Promise<void> {
    const start = wallMs()
    const under: Promise<void>[] = []
    for (const [index, station] of players.entries()) {
      const dueAt = start + (overMs * index) / players.length
      const ahead = dueAt - wallMs()
      if (ahead > 1) await delay(ahead, undefined, { signal: ending.signal }).catch(() => undefined)
      if (ending.signal.aborted) break
      under.push(work(station, overMs === 0 ? wallMs() : dueAt))
      // As many as are under way at the same time without a schedule are what one machine makes in handshakes.
      if (overMs === 0 && under.length % SIM_LIMITS.loadConnectParallel === 0) await Promise.all(under)
    }
    await Promise.all(under)
  }

  /** Tries, and compares with what was expected. */
  async function attempt(station: Station, order: Extract<Order, { overMs: number }>, timing: Timing, dueAt: number, work: () => Promise<void>): Promise<void> {
    const expected = order.refused === undefined ? 'accepted' : `refused${order.refused === 'any' ? '' : ` (${order.refused})`}`
    try {
      await work()
      tally.time(timing, wallMs() - dueAt)
      if (order.refused !== undefined) fault(order, station.player.id, expected, 'accepted')
    } catch (error) {
      tally.refused(said(error))
      // Nobody was there to refuse anything; or it was refused for something else, where the answer says for what.
      const isOther = order.kind === 'renew' && order.by === 'est' && order.refused !== 'any' && !said(error).includes(order.refused ?? '')
      if (order.refused === undefined || isUnreachable(error) || isOther) fault(order, station.player.id, expected, said(error))
    }
  }

  async function storm(players: readonly Station[], { backoffMs, step }: Extract<Order, { kind: 'storm' }>): Promise<void> {
    const start = wallMs()
    for (const station of players) station.drop()
    await Promise.all(players.map(async (station) => {
      let wait = backoffMs
      for (let tries = 1; !ending.signal.aborted; tries++) {
        await delay(chance.next() * wait, undefined, { signal: ending.signal }).catch(() => undefined)
        try {
          await station.connect()
          return tally.time('connect', wallMs() - start)
        } catch (error) {
          tally.refused(said(error))
          if (tries >= SCENARIO_LIMITS.connectAttemptsMax) return tell({ kind: 'failed', order: undefined, failure: { step, device: station.player.id, expected: `connected again within ${tries} attempts`, seen: said(error) } })
          wait = Math.min(SCENARIO_LIMITS.backoffMsMax, wait * 2)
        }
      }
    }))
  }

  /** A new key, a request, and a connection with what comes back. Make before break: until then the old one works. */
  async function renew(station: Station, by: 'mqtt' | 'est'): Promise<void> {
    const key = privateKey()
    station.credentials = { cert: await (by === 'mqtt' ? renewedOverMqtt(station, key) : renewedAtDoor(station, key)), key: keyPem(key) }
    station.disconnect()
    await station.connect()
  }

  /** With the certificate that it has. RFC 7030 §4.2.2. */
  function renewedAtDoor({ player: { id }, credentials }: Station, key: KeyObject): Promise<string> {
    if (setting.enroll === undefined) throw new Error('this target has no enrollment door')
    if (credentials === undefined) throw new Error('it has no certificate yet')
    return enrolledBy(setting.enroll, { operation: 'simplereenroll', credentials, csr: forgeRequest(key, id) })
  }

  async function renewedOverMqtt(station: Station, key: KeyObject): Promise<string> {
    const { id } = station.player
    const topic = `$device/${id}/certificate/renew`
    const asked = station.ask(topic, Buffer.from(forgeRequest(key, id)), [`${topic}/accepted`, `${topic}/rejected`])
    const answer = await within(asked, SCENARIO_LIMITS.renewMs, ending.signal)
    if (answer === undefined) throw new Error(`no answer in ${SCENARIO_LIMITS.renewMs} ms`)
    const text = answer.payload.toString()
    if (!answer.topic.endsWith('accepted')) throw new Error((JSON.parse(text) as { readonly code?: string }).code ?? 'rejected')
    const { certificate, chain } = JSON.parse(text) as { certificate: string; chain: readonly string[] }
    return [certificate, ...chain].join('')
  }

  function keep(rate: Rate, forMs: number, send: (index: number, dueAt: number) => void): Promise<number> {
    const offset = wallMs() - performance.now()
    return keepPace({
      total: typeof rate === 'number' ? Math.round((rate * forMs) / 1_000) : Infinity,
      ratePerSecond: typeof rate === 'number' ? rate : (elapsedMs) => rate.from + ((rate.to - rate.from) * (1 - Math.cos((2 * Math.PI * elapsedMs) / rate.period))) / 2,
      forMs, signal: ending.signal, clock: () => performance.now(), send: (index, dueAt) => send(index, dueAt + offset), rest: (ms) => delay(ms, undefined),
    })
  }

  async function publish(order: Extract<Order, { kind: 'publish' }>): Promise<void> {
    const players = of(order.players)
    const speech = setting.speeches[order.speech]
    if (speech === undefined || players.length === 0) return
    await keep(order.rate, order.forMs, (index, at) => {
      const station = players[index % players.length]
      station?.say({ speech, owner: station.player.index, at, step: order.step })
    })
  }

  async function command(order: Extract<Order, { kind: 'command' }>): Promise<void> {
    const speech = setting.speeches[order.speech]
    const speakers = of(order.players)
    if (speech === undefined) return
    const waiting = new Map<string, { readonly device: string; readonly at: number }>()
    const receivers = speakers.flatMap((speaker, place) => (order.receivers[place] ?? []).map((receiver) => ({ speaker, receiver, count: 0 })))
    for (const speaker of speakers) {
      speaker.onAnswer.set(order.speech + 1, (tag) => {
        const key = `${tag.owner}/${tag.answers}`
        const sent = waiting.get(key)
        if (sent === undefined || !waiting.delete(key)) return
        const ms = wallMs() - sent.at
        tally.time('command', ms)
        if (ms > order.withinMs) fault(order, sent.device, `an answer within ${order.withinMs} ms`, `after ${ms.toFixed(0)} ms`)
      })
    }
    if (receivers.length > 0) {
      await keep(order.rate, order.forMs, (index, at) => {
        const each = receivers[index % receivers.length]
        if (each === undefined || !each.speaker.say({ speech, owner: each.receiver.index, at, step: order.step })) return
        waiting.set(`${each.receiver.index}/${each.count++}`, { device: each.receiver.id, at })
      })
    }
    const deadline = wallMs() + order.withinMs
    while (waiting.size > 0 && wallMs() < deadline && !ending.signal.aborted) await delay(SCENARIO_LIMITS.drainPollMs)
    for (const speaker of speakers) speaker.onAnswer.delete(order.speech + 1)
    for (const { device } of waiting.values()) if (!ending.signal.aborted) fault(order, device, `an answer within ${order.withinMs} ms`, 'none')
  }

  /** Three wrongs in turn: a neighbour's topic, everybody's messages, a neighbour's name. */
  async function misbehave(order: Extract<Order, { kind: 'misbehave' }>): Promise<void> {
    const speech = setting.speeches[order.speech]
    const players = of(order.players)
    if (speech === undefined || players.length === 0) return
    const under = new Set<Promise<void>>()
    for (const station of players) station.isRogue = true
    await keep(order.rate, order.forMs, (index, at) => {
      const station = players[index % players.length]
      if (station === undefined) return
      const wrong = Math.floor(index / players.length) % 3
      if (wrong === 0) return void station.say({ speech, owner: station.player.index, at, step: order.step })
      const tried = wrongly(station, wrong === 1 ? 'filter' : 'name', order).finally(() => under.delete(tried))
      under.add(tried)
    })
    await Promise.all(under)
  }

  async function wrongly(station: Station, wrong: 'filter' | 'name', order: Extract<Order, { kind: 'misbehave' }>): Promise<void> {
    const { player, neighbour, credentials } = station
    const expected = wrong === 'filter' ? 'its subscription to # is refused' : `a CONNECT in the name of ${neighbour} is refused`
    try {
      if (wrong === 'filter') await (station.isConnected ? station.subscribe('#') : station.connect().then(() => station.subscribe('#')))
      else if (credentials !== undefined) {
        const peer = await connectLight({ target: setting.target, id: neighbour, credentials, source: undefined, version: player.version, onMessage: () => {}, onEnd: () => {} })
        peer.end()
      }
      fault(order, player.id, expected, 'accepted')
    } catch (error) {
      tally.refused(said(error))
    }
  }

  async function perform(order: Order): Promise<void> {
    switch (order.kind) {
      case 'connect': return spread(of(order.players), order.overMs, (station, dueAt) => attempt(station, order, 'connect', dueAt, () => station.connect()))
      case 'disconnect': return spread(of(order.players), order.overMs, (station) => Promise.resolve(station.disconnect()))
      case 'move': return spread(of(order.players), order.overMs, (station, dueAt) => attempt(station, order, 'connect', dueAt, () => moved(station)))
      case 'renew': return spread(of(order.players), order.overMs, (station, dueAt) => attempt(station, order, 'renew', dueAt, () => renew(station, order.by)))
      case 'storm': return storm(of(order.players), order)
      case 'publish': return publish(order)
      case 'command': return command(order)
      case 'misbehave': return misbehave(order)
      default: return Promise.resolve(note(order))
    }
  }

  function moved(station: Station): Promise<void> {
    station.disconnect()
    station.changeAddress()
    return station.connect()
  }

  function note(order: Exclude<Order, { order: number }>): void {
    switch (order.kind) {
      case 'credentials': {
        const station = stations.get(order.index)
        if (station !== undefined) station.credentials = order.credentials
        break
      }
      case 'sealed': around.sealed.set(order.index, { at: undefined }); break
      case 'sealed-at': { const sealed = around.sealed.get(order.index); if (sealed !== undefined) sealed.at = order.at; break }
      case 'unsealed': around.sealed.delete(order.index); break
      case 'denied': around.denied.set(order.filter, { asked: order.asked, at: undefined }); break
      case 'denied-at': { const denied = around.denied.get(order.filter); if (denied !== undefined) denied.at = order.at; break }
      case 'sample': tell({ kind: 'sample', sample: tally.take() }); break
      case 'finish': tell({ kind: 'account', players: [...stations.values()].map((station) => station.account()) })
    }
  }

  return {
    async order(order) {
      await perform(order)
      if ('order' in order) tell({ kind: 'done', order: order.order })
    },
    sample: () => tell({ kind: 'sample', sample: tally.take() }),
    close() {
      ending.abort()
      clearInterval(pings)
      for (const station of stations.values()) station.disconnect()
    },
  }
}
