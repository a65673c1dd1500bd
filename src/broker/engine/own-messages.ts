// What the server itself says to a device, below the device's own $device/ topics: to one of its connections, and only where that has
// subscribed to it. It is not routed, and kept for no session that is away.

import { OWN_QOS_MAX } from '../../core/policy/own-topics.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { MessageProperties, Qos } from '../../core/message.ts'
import { matches, parseTopicFilter } from '../../core/topic.ts'
import { toWireFilter } from './filters.ts'
import type { Link } from './link.ts'
import type { Publishing } from './publishing.ts'

export interface OwnMessage {
  readonly topic: string
  /** Said as JSON. */
  readonly payload: Readonly<Record<string, unknown>>
  readonly properties?: Pick<MessageProperties, 'correlationData'>
  readonly receivedAt: EpochMs
  readonly expiresAt?: EpochMs
}

export interface OwnMessages {
  /** Does this connection hear this topic? */
  hears(link: Link, topic: string): boolean
  /** Resolves when it has it, or has no ear for it. Rejects where it cannot be queued. */
  say(link: Link, message: OwnMessage): Promise<void>
}

export function openOwnMessages(publishing: Pick<Publishing, 'hand'>): OwnMessages {
  function held({ client, outbound, session }: Link, topic: string): Link['client']['subscriptions'][string][] {
    if (outbound === undefined || session === undefined || session.ending !== undefined || client.closed) return []
    const levels = topic.split('/')
    return Object.entries(client.subscriptions).flatMap(([filter, subscription]) => {
      const parsed = parseTopicFilter(toWireFilter(filter))
      return parsed.allow && parsed.value.share === undefined && matches(parsed.value.levels, levels) ? [subscription] : []
    })
  }

  return {
    hears: (link, topic) => held(link, topic).length > 0,
    async say(link, { topic, payload, properties, receivedAt, expiresAt }) {
      const { outbound } = link
      const subscriptions = held(link, topic)
      if (outbound === undefined || subscriptions.length === 0) return
      const qos = Math.min(OWN_QOS_MAX, Math.max(...subscriptions.map((subscription) => subscription?.qos ?? 0))) as Qos
      const identifiers = subscriptions.flatMap((subscription) => subscription?.si ?? [])
      const message = {
        topic, payload: Buffer.from(JSON.stringify(payload)), qos, retain: false, properties: { contentType: 'application/json', ...properties },
        publisher: outbound.key, receivedAt, expiresAt,
      }
      await publishing.hand(outbound, message, qos, false, identifiers)
    },
  }
}
