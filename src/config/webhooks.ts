// `webhooks.allow` of the configuration: networks inside to which webhooks may go.

import { isIP } from 'node:net'
import { parseNetwork } from '../core/webhook.ts'
import { list, type Kind } from './kinds.ts'

export const networks: Kind<readonly string[]> = list('a list of networks, as 10.20.0.0/16', { type: 'string', pattern: '^(?:[0-9]{1,3}(?:\\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:/[0-9]{1,3})?$' }, (node, { reader }) => {
  const said = reader.string(node, 'a network')
  if (said === undefined || parseNetwork(said, isIP) !== undefined) return said
  return reader.report(node.at, 'webhooks.allow: this is not a network.', 'Write it as 10.20.0.0/16 or fd00:1::/64, or a single address.')
})
