// Messages for those who are away: sessions are made and left, speakers fill their queues with QoS 1 and wait for every
// PUBACK, and the listeners come back and take everything. What was acknowledged must arrive, once, in order.

import type { Target } from '../servers.ts'
import { startLoad, type LoadOptions, type LoadPlace } from './generator.ts'
import { cpuUsOf, wantedIn } from './throughput.ts'
import type { Wanted } from './verdict.ts'

export interface Queues {
  /** So many speakers, and as many listeners. */
  readonly sessions: number
  readonly messagesPerSession: number
  /** Messages that every speaker keeps unacknowledged. */
  readonly window: number
}

interface Leg {
  readonly perSecond: number
  readonly cpuUs: number
  readonly wanted: Wanted
}

export interface OfflineRound {
  /** Acknowledged messages. */
  readonly fill: Leg
  /** Deliveries, from the CONNECT of all sessions at once to the last message; their TLS handshakes are done before. */
  readonly drain: Leg
}

export async function measureOffline(place: LoadPlace, broker: Target, { sessions, messagesPerSession, window }: Queues): Promise<OfflineRound> {
  const total = sessions * messagesPerSession
  const start = (more: Partial<LoadOptions>) => startLoad(place, broker.pid, { port: broker.port, speakers: sessions, listeners: sessions, filter: 'own', qos: 1, ...more })
  const subscribing = start({ clean: false })
  await subscribing.open()
  await subscribing.end()

  const filling = start({ present: 'speakers' })
  await filling.open()
  const fill = await filling.run(`fill ${messagesPerSession} ${window}`)
  await filling.end()

  const draining = start({ present: 'listeners', clean: false, hold: true })
  await draining.open()
  const drain = await draining.run(`drain ${total}`)
  await draining.end()
  if (drain.resumed !== sessions || drain.delivered !== total || drain.missing > 0 || drain.repeated > 0) {
    throw new Error(`${broker.name}: of ${total} acknowledged messages in ${sessions} sessions ${drain.delivered} came in ${drain.resumed}, ${drain.missing} out of order or never, ${drain.repeated} again`)
  }
  return {
    fill: { perSecond: fill.acked / fill.seconds, cpuUs: cpuUsOf({ broker: fill.broker, delivered: fill.acked }), wanted: wantedIn(fill) },
    drain: { perSecond: total / drain.seconds, cpuUs: cpuUsOf(drain), wanted: wantedIn(drain) },
  }
}
