// The stage of the interoperability scenarios: a broker that grants everything but one filter to one device, which connects
// under many client ids, as clients behind one TLS proxy do. Topics and client ids are those of Eclipse Paho's suite, with
// and without the prefix that its later versions put before them.

import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import { openHouse, type House, type Identity } from '../house.ts'
import type { Version } from '../wire.ts'
import { openPeer, type Arrived, type Peer, type PeerOptions } from './peer.ts'

const EVERYTHING = `
version: 1
grants:
  - id: everything
    to: any
    connect: { clientId: ["*"] }
    publish: [{ topic: "#", qos: 2, retain: true }]
    subscribe: [{ topic: "#", qos: 2, share: ["*"] }]
    will: [{ topic: "#", qos: 2, retain: true }]
deny:
  - { id: nosubscribe, to: any, subscribe: ["test/nosubscribe"] }
`

export const PREFIXES = ['', 'client_test5/'] as const
export const NO_SUBSCRIBE = 'test/nosubscribe'

export interface Names {
  readonly topics: { readonly a: string; readonly aB: string; readonly c: string; readonly aC: string; readonly slashA: string }
  readonly filters: { readonly belowA: string; readonly twoLevels: string; readonly allOfA: string }
}

export const namesUnder = (prefix: string): Names => ({
  topics: { a: `${prefix}TopicA`, aB: `${prefix}TopicA/B`, c: `${prefix}Topic/C`, aC: `${prefix}TopicA/C`, slashA: `${prefix}/TopicA` },
  filters: { belowA: `${prefix}TopicA/+`, twoLevels: `${prefix}+/+`, allOfA: `${prefix}TopicA/#` },
})

export type ConnectOptions = Partial<Omit<PeerOptions, 'version'>>

export interface Stage {
  readonly house: House
  readonly identity: Identity
  /** The suite's first client. */
  a(options?: ConnectOptions): Promise<Peer>
  /** Its second one. */
  b(options?: ConnectOptions): Promise<Peer>
}

/** Every test begins with no retained message and no session, and with a clock that nobody has moved. */
export function openInteropStage(version: Version, options: Parameters<typeof openHouse>[0] = {}): Stage {
  let house: House | undefined
  let identity: Identity | undefined
  let peers: Peer[] = []
  const opened = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('the stage opens before the first test')
    return value
  }
  const connect = async (clientId: string, fields: ConnectOptions = {}): Promise<Peer> => {
    const peer = await openPeer(opened(house), opened(identity), { version, clientId, ...fields })
    peers.push(peer)
    return peer
  }
  async function clean(): Promise<void> {
    const sweeper = await connect('clean-retained', { clean: true })
    await sweeper.subscribe([{ topic: '#', qos: 0 }])
    await sweeper.settled()
    for (const { topic } of sweeper.messages) sweeper.publish(topic, '', { retain: true })
    await sweeper.settled()
    await sweeper.disconnect()
    for (const clientId of ['myclientid', 'myclientid2']) await (await connect(clientId, { clean: true })).disconnect()
  }
  beforeAll(async () => {
    house = await openHouse({ policy: EVERYTHING, ...options })
    identity = await house.device('interop')
  })
  afterEach(async () => {
    vi.useRealTimers()
    for (const peer of peers.filter(({ raw }) => raw.open)) await peer.terminate()
    opened(house).rest()
    await clean()
    peers = []
  })
  afterAll(() => house?.[Symbol.asyncDispose]())
  return {
    get house() {
      return opened(house)
    },
    get identity() {
      return opened(identity)
    },
    a: (fields) => connect('myclientid', fields),
    b: (fields) => connect('myclientid2', fields),
  }
}

export const payloadsOf = ({ messages }: Pick<Peer, 'messages'>): readonly string[] => messages.map((m) => m.payload)
export const qosOf = (messages: readonly Arrived[]): readonly number[] => messages.map((m) => m.qos).toSorted((a, b) => a - b)
/** What `sender` has published has reached whom it concerns, and has been answered there. */
export async function all(sender: Peer, ...others: readonly Peer[]): Promise<void> {
  await sender.settled()
  for (const peer of others) await peer.settled()
}

/** Publishes one message of each QoS to three topics, as the suite does for what is retained or waits. */
export function publishThree(peer: Peer, { topics }: Names, options: Parameters<Peer['publish']>[2] = {}): void {
  peer.publish(topics.aB, 'qos 0', { ...options, qos: 0 })
  peer.publish(topics.c, 'qos 1', { ...options, qos: 1 })
  peer.publish(topics.aC, 'qos 2', { ...options, qos: 2 })
}
