// The sessions of one device as a change of policy would meet them: those that are connected, and those that are kept.

import type { LiveSession } from './broker/broker.ts'
import type { Device } from './core/device.ts'
import type { DeviceId, EpochMs, SessionKey } from './core/ids.ts'
import type { HeldSession } from './core/policy/fleet-diff.ts'
import type { SessionStore } from './core/session-store.ts'
import { certificateOf, once, principalOf, type FleetPorts, type FleetPrincipal } from './fleet.ts'

export interface HeldSessionsPorts {
  readonly fleet: FleetPorts
  readonly broker: { live(device?: DeviceId): Iterable<PrincipalSession & Pick<LiveSession, 'key' | 'held'>> }
  readonly store: Pick<SessionStore, 'siblings' | 'session'>
  readonly clock: () => EpochMs
}

/** What of a connected session says who it is. */
type PrincipalSession = Pick<LiveSession, 'clientId' | 'issuer' | 'leaf' | 'connection'>

export function openHeldSessions({ fleet, broker, store, clock }: HeldSessionsPorts): (device: Device) => Promise<readonly HeldSession[]> {
  return async (device) => {
    const live = [...broker.live(device.id)]
    const connected = new Set(live.map(({ key }) => key))
    const away = (await store.siblings(`${device.tenant}/${device.id}`)).filter(({ key, subscriptions }) => !connected.has(key) && subscriptions > 0)
    const kept = await Promise.all(away.map(async ({ key }) => ({ key, session: await store.session(key) })))
    return [
      ...live.map((session) => ({ principal: connectedAs(device, session, clock()), isConnected: true, subscriptions: session.held() })),
      // Its connection was judged while there was one, and so was the time.
      ...kept.map(({ key, session }) => ({ principal: principalOf(fleet, device, { clientId: clientIdOf(key) }), isConnected: false, subscriptions: session?.subscriptions ?? [] })),
    ]
  }
}

/** As the broker sees it: by the certificate that it came with. */
export function connectedAs(device: Device, { clientId, issuer, leaf, connection }: PrincipalSession, now: EpochMs): FleetPrincipal {
  const read = once(() => certificateOf(leaf))
  return {
    device, ca: issuer, clientId, connection, now,
    get certificate() {
      return read()
    },
  }
}

/** tenant/device/client id: neither of the first two has a slash. */
export const clientIdOf = (key: SessionKey): string => key.split('/').slice(2).join('/')
