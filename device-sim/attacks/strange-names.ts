// Where no registry says which names there are, whoever has a certificate of the CA is let in under the name that it bears, however
// strange. That is no hole as long as the name is its own: so it is tried whether it can speak for the device that it resembles.

import mqttPacket from 'mqtt-packet'
import { randomUUID } from 'node:crypto'
import { ownTopic } from '../acl.ts'
import type { Arena, Bench } from './arena.ts'
import { connectByHand, type RawCredentials } from './handmade.ts'
import { openWatcher } from './watcher.ts'

export interface StrangeName {
  readonly credentials: RawCredentials
  /** The common names in it. */
  readonly names: readonly string[]
}

/** A device whose topics a name would reach into that goes on behind a slash. */
const LEADING_NAME = /^([\w-]+)\/./

/** Claim 'speaks'. Where there is a registry the name itself is judged, and nothing is tried. */
export async function tryToSpeakFor(arena: Arena, bench: Bench, victim: string, strange: Readonly<Record<string, StrangeName>>): Promise<void> {
  if (Object.keys(strange).length === 0 || arena.offers('registry') || !arena.offers('ears')) return
  await using watcher = await openWatcher(arena)
  const said: { readonly label: string; readonly token: string }[] = []
  for (const [label, { credentials, names }] of Object.entries(strange)) {
    const { connection } = await connectByHand(arena, 'TLSv1.3', credentials, victim, 4)
    if (connection === undefined) continue
    const reached = names.map((name) => LEADING_NAME.exec(name)?.[1]).filter((name) => name !== undefined)
    for (const device of [victim, ...reached]) {
      const topic = ownTopic(arena.acl, device, device === victim ? 'forged' : `${names[0]?.split('/')[1] ?? ''}/forged`)
      const token = randomUUID()
      said.push({ label: `${label}, on ${topic}`, token })
      connection.send(mqttPacket.generate({ cmd: 'publish', topic, payload: token, qos: 0, dup: false, retain: false }))
    }
    connection.send(mqttPacket.generate({ cmd: 'pingreq' }))
    await connection.receive()
    connection.end()
  }
  await watcher.witness()
  for (const { label, token } of said) bench.attack('speaks', label, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: watcher.receiversOf(token) })
}
