// The sessions of a device as a change of policy would meet them: connected ones as they connected, kept ones as they are.

import { expect, test } from 'vitest'
import { sessionKey, type CaName } from '../src/core/ids.ts'
import { connectedAs, openHeldSessions } from '../src/held-sessions.ts'
import { openMemorySessions } from '../src/store/sessions/memory.ts'
import { device } from './core/facts.ts'

const NOW = 1_800_000_000_000
const OWNER = device('d')
const key = (clientId: string) => sessionKey(OWNER.tenant, OWNER.id, clientId)
const live = (clientId: string) => ({ key: key(clientId), device: OWNER.id, clientId, issuer: 'f' as CaName, leaf: new Uint8Array([1]), connection: { source: '10.0.0.1', tls: '1.2' }, held: () => [{ filter: 'a', qos: 1 } as const] }) as const
const subscription = (filter: string) => ({ filter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: undefined }) as const

test('connected ones come first, with their connection and their own CA; of a session that is both, only the connection counts', async () => {
  const store = openMemorySessions({ clock: () => NOW })
  for (const clientId of ['d', 'd:away', 'd:nothing']) await store.commit([{ kind: 'session-attached', key: key(clientId), expirySeconds: 60, fresh: true }])
  await store.commit([{ kind: 'subscribed', key: key('d'), subscription: subscription('kept-too') }, { kind: 'subscribed', key: key('d:away'), subscription: subscription('$share/w/b/+') }])
  await store.commit([{ kind: 'session-attached', key: sessionKey(OWNER.tenant, 'e' as typeof OWNER.id, 'e'), expirySeconds: 60, fresh: true }])
  const held = openHeldSessions({
    broker: { live: (id) => (id === OWNER.id ? [live('d')] : []) }, store, clock: () => NOW,
    fleet: { registry: { devices: () => ({ items: [] }), certificateDer: () => undefined }, view: { certificatesOf: () => [] }, issuer: 'issuing-1' as CaName },
  })
  expect(await held(OWNER)).toMatchObject([
    { isConnected: true, principal: { clientId: 'd', ca: 'f', connection: { source: '10.0.0.1', tls: '1.2' }, now: NOW }, subscriptions: [{ filter: 'a', qos: 1 }] },
    { isConnected: false, principal: { clientId: 'd:away', ca: 'issuing-1', connection: undefined, now: undefined }, subscriptions: [{ filter: '$share/w/b/+', qos: 2 }] },
  ])
  await store.close()
})

test('a certificate that cannot be read is none', () => {
  expect(connectedAs(OWNER, live('d'), NOW).certificate).toBeUndefined()
})
