// Lists of 100,000 devices as the admin API answers them: how long a page takes, from the request to the last byte of its answer, for each
// filter, one request after the other on a connection that is open. A filter that finds nothing has looked at everything.

import { openTransport } from '../../src/http/transport.ts'
import { percentile } from '../process-cpu.ts'
import { openServers } from '../servers.ts'
import { openHouse, operatorOf } from './house.ts'
import { partFlags } from './part.ts'
import { seededId } from './seed.ts'

const flags = partFlags()
const SIZE = flags.quick ? { connected: 10, registered: 1_000, rounds: 5 } : { connected: 10, registered: 100_000, rounds: Number(flags.rounds ?? 200) }
const WARM_UP = Math.ceil(SIZE.rounds / 10)
const DAY = 86_400_000
const GOAL_MS = 200
const deep = (query: string): string => `${query}&after=${seededId(5)}`

const QUERIES: Readonly<Record<string, string>> = {
  'the first page': '',
  'a deep page': deep(''),
  'q, found at once': '&q=SENSOR',
  'q, the beginning of an id': '&q=line-9-sensor-89',
  'q, found late': `&q=sensor-${SIZE.registered - 20}`,
  'q, found nowhere': '&q=nowhere',
  'q, a deep page': deep('&q=sensor-7'),
  'a group': '&group=line-3',
  'a group, a deep page': deep('&group=line-7'),
  'a state': '&state=suspended',
  'a state, a deep page': deep('&state=suspended'),
  'a tenant': '&tenant=acme',
  'an attribute': '&attribute=rack%3D77',
  'an attribute, found nowhere': '&attribute=rack%3Dx',
  'ending within 7 days': `&expiringWithinMs=${7 * DAY}`,
  'ending within 7 days, a deep page': deep(`&expiringWithinMs=${7 * DAY}`),
  'ending within 90 days': `&expiringWithinMs=${90 * DAY}`,
  'all of them': `&q=sensor&group=line-3&state=active&tenant=default&attribute=rack%3D73&expiringWithinMs=${90 * DAY}`,
}

using house = await openHouse({ ...SIZE, kept: flags.kept })
const servers = openServers()
try {
  const served = await servers.serve(house.home)
  const transport = openTransport(operatorOf(house.home))
  console.log(`${'pages of 200 of '.concat(String(SIZE.registered))} devices, ${SIZE.rounds} of each; wanted: ≤ ${GOAL_MS} ms`)
  for (const [name, query] of Object.entries(QUERIES)) {
    const times: number[] = []
    let found = ''
    for (let round = -WARM_UP; round < SIZE.rounds; round++) {
      const begun = performance.now()
      const { status, text } = await transport.send({ method: 'GET', path: `/v1/devices?limit=200${query}` })
      if (round >= 0) times.push(performance.now() - begun)
      if (status !== 200) throw new Error(`${name}: ${status} ${text}`)
      found = text
    }
    const { items } = JSON.parse(found) as { readonly items: readonly unknown[] }
    console.log(`${name.padEnd(36)} ${String(items.length).padStart(4)} items, ${[50, 95, 99].map((p) => `p${p} ${percentile(times, p).toFixed(1).padStart(6)}`).join(', ')} ms`)
  }
  transport.close()
  await served.stop()
} finally {
  servers.killAll()
}
