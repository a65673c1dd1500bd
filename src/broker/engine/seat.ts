// What one client of the engine sees as its broker: the engine itself, but with our store, router and Wills where the engine
// would use its own. aedes reaches all of them through `client.broker`; it hands them no client, so every client has a seat.

import type { EngineClient, EngineCore, EngineStore, EngineWill, HeldSubscription } from './surface.ts'

export interface Seat {
  readonly store: EngineStore
  /** The engine has taken this filter into the client's subscriptions. */
  subscribed(filter: string, subscription: HeldSubscription): void
  unsubscribed(filter: string): void
  /** The connection is gone without a DISCONNECT that takes its Will back. */
  willDue(will: EngineWill, delaySeconds: number): void
}

type Done = (error?: Error | null) => void
const noop: Done = () => {}

/** Puts the client in its seat. To be called before the engine has read a byte of it. */
export function takeSeat(client: EngineClient, core: EngineCore, seat: Seat): void {
  const value = (own: unknown): PropertyDescriptor => ({ value: own, writable: true })
  client.broker = Object.create(core, {
    persistence: value(seat.store),
    // Our router has the message by now, from `authorizePublish`; what remains are the engine's own notes below $SYS (trap 8).
    publish: value((_packet: unknown, from: unknown, done?: Done) => (typeof from === 'function' ? (from as Done) : (done ?? noop))(null)),
    subscribe: value((filter: string, _deliver: unknown, done: Done = noop) => {
      const held = client.subscriptions[filter]
      if (held !== undefined) seat.subscribed(filter, held)
      done(null)
    }),
    unsubscribe: value((filter: string, _deliver: unknown, done: Done = noop) => {
      seat.unsubscribed(filter)
      done(null)
    }),
    publishWill: value((_client: unknown, will: EngineWill) => seat.willDue(will, 0)),
    scheduleWill: value((_client: unknown, will: EngineWill, delaySeconds: number) => seat.willDue(will, delaySeconds)),
    // Deadlines are rows of the store, so that they survive a restart (trap 15).
    scheduleSessionExpiry: value(noop),
    clearSessionExpiry: value(noop),
    clearDelayedWill: value(noop),
  }) as EngineCore
}
