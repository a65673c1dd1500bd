// Topic aliases of the server, for clients that take them: MQTT 5 §3.3.2.3.4. The first topics of a connection get one and
// keep it; a client that is told of more topics than it takes aliases gets the others in full. It knows no packets.

export interface Alias {
  readonly alias: number
  /** The client does not know it yet: the topic goes along. */
  readonly isNew: boolean
}

export interface Aliases {
  /** The alias of this topic, if it has one or can have one. */
  of(topic: string): Alias | undefined
  /** A packet with this topic's alias is on its way: from here on the client knows it. */
  sent(topic: string): void
}

const NONE: Aliases = { of: () => undefined, sent: () => {} }

/** `maximum`: the client's Topic Alias Maximum; 0: it takes none [MQTT-3.1.2-26]. */
export function openAliases(maximum: number): Aliases {
  if (maximum === 0) return NONE
  const known = new Map<string, Alias>()
  return {
    of(topic) {
      const alias = known.get(topic)
      if (alias !== undefined) return alias
      return known.size < maximum ? { alias: known.size + 1, isNew: true } : undefined
    },
    sent(topic) {
      if (!known.has(topic)) known.set(topic, { alias: known.size + 1, isNew: false })
    },
  }
}
