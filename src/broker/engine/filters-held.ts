// How many filters a session and its device hold: what the bounds count, before one more is granted.

import type { Session, SessionTable } from '../sessions.ts'
import type { Link } from './link.ts'

export interface HeldPorts {
  readonly sessions: SessionTable
  readonly linkOf: (session: Session) => Link | undefined
}

/** What is granted and not yet held counts: a chunk full of SUBSCRIBEs must not pass a bound at once. */
export function filtersHeld({ sessions, linkOf }: HeldPorts, { key, device }: Session): { readonly ofSession: number; readonly ofDevice: number } {
  const count = (link: Link | undefined): number => (link === undefined ? 0 : Object.keys(link.client.subscriptions).length + (link.gate?.granting() ?? 0))
  const present = sessions.get(key)
  const own = present === undefined ? undefined : linkOf(present)
  const connected = sessions.ofDevice(device).reduce((sum, session) => sum + count(linkOf(session)), 0)
  let absent = 0
  for (const [away, filters] of own?.absent ?? []) if (sessions.get(away) === undefined) absent += filters
  return { ofSession: count(own), ofDevice: connected + absent }
}
