// sallyport connection list | end: who is connected now, and the way to end one connection.

import { isIP } from 'node:net'
import { parseDeviceId, parseGroupName } from '../core/ids.ts'
import { SallyportError } from '../core/errors.ts'
import { LISTENERS, type ConnectionShown } from '../core/feed-desk.ts'
import { FEED_LIMITS } from '../feed-limits.ts'
import { confirm, print, required, table, time, withDesk, type CommonOptions } from './context.ts'
import { limitOf } from './page.ts'

export interface ListOptions extends CommonOptions {
  readonly device?: string
  readonly group?: string
  readonly find?: string
  readonly address?: string
  readonly listener?: string
  readonly after?: string
  readonly limit?: string
}

export async function list(options: ListOptions): Promise<void> {
  const { find, address, after } = options
  if (address !== undefined && isIP(address) === 0) throw new SallyportError('usage', `${address} is not an address.`)
  const query = {
    q: find, address, after,
    device: options.device === undefined ? undefined : required(parseDeviceId(options.device)),
    group: options.group === undefined ? undefined : required(parseGroupName(options.group)),
    listener: LISTENERS.find((name) => name === options.listener),
    limit: limitOf(options.limit, FEED_LIMITS.pageMax),
  }
  await withDesk(options, async (desk) => {
    const page = await desk.connections(query)
    print(options, page, () => {
      if (page.items.length === 0) return 'Nobody is connected.'
      const rows = table([['ID', 'DEVICE', 'CLIENT ID', 'ADDRESS', 'SINCE', 'MQTT', 'TLS', 'SUBS', 'QUEUED', 'CERTIFICATE ENDS'], ...page.items.map(row)])
      return page.next === undefined ? rows : `${rows}\n${page.matched} in all; more: --after ${page.next}`
    })
  })
}

const VERSION: Readonly<Record<ConnectionShown['protocol'], string>> = { 4: '3.1.1', 5: '5' }

function row(c: ConnectionShown): readonly string[] {
  return [c.id, c.device, c.clientId, c.address, time(c.since), `${VERSION[c.protocol]}${c.listener === 'websocket' ? ' ws' : ''}`, c.tls, String(c.subscriptions), String(c.queued + c.inFlight), time(c.notAfter)]
}

export async function end(id: string, options: CommonOptions): Promise<void> {
  await confirm(options, `End connection ${id}? The device may come back; to keep it out, suspend it.`)
  await withDesk(options, async (desk) => {
    const ended = await desk.endConnection(id)
    print(options, ended, () => `ended: ${ended.clientId} of ${ended.device}`)
  })
}
