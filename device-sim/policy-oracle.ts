// The leak oracle for a policy that changes: every payload says who said it, on which topic, and which of all it was; every delivery
// is held to the worlds that may have been in force when it was written to that receiver. Whoever opens it says what a world allows.
//
// No clock is asked. Between a receiver and the server everything is in order: what comes behind the answer to a question that was
// asked after a change was decided after that change. So each receiver has a world of which it is certain, and the worlds that have
// been begun since; a delivery that none of them allows is a leak, however late or early it came.

import { z } from 'zod'

/** What a world allows. A world is a moment: policy, groups of the devices, whatever decides. Its judge must not be the server's. */
export interface WorldRules<World> {
  mayPublish(world: World, device: string, message: Said): boolean
  mayHold(world: World, device: string, filter: string): boolean
  /** Whatever it holds: a topic that may be delivered at all. */
  mayReceive(world: World, device: string, topic: string): boolean
}

export interface Said {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly bytes: number
}

export interface Delivered {
  readonly topic: string
  readonly payload: string
  readonly retain: boolean
  readonly dup: boolean
}

export const DELIVERY_KINDS = ['live', 'queued', 'resent', 'retained', 'shared'] as const
export type DeliveryKind = (typeof DELIVERY_KINDS)[number]

export interface LeakCount {
  readonly deliveries: Readonly<Record<DeliveryKind, number>>
  /** Deliveries that another world than those in question would have forbidden: without any, nothing was tested. */
  readonly decisive: number
  /** Messages that were said. */
  readonly said: number
  /** A sentence each. */
  readonly leaks: readonly string[]
}

export interface PolicyOracle<World> {
  /** This world is being put in force. What is returned is called when it is. */
  change(world: World): () => void
  receiver(device: string): Receiver
  count(): LeakCount
}

/** One session of a device, over all its connections. */
export interface Receiver {
  /** Its CONNECT goes out now, of a session that is kept or one that is `fresh`. */
  connecting(fresh: boolean): void
  /** A question goes out whose answers come in order, a PINGREQ; what is returned is called when it is answered. */
  ask(): () => void
  /** SUBSCRIBE of this filter goes out; what is returned is told what SUBACK says of it. */
  subscribing(filter: string): Subscribing
  /** It is given up by the client's own wish. */
  unsubscribed(filter: string): void
  /** The payload of a message that it sends now; `taken` is called when its acknowledgement has come, or, for QoS 0, a later answer. */
  say(said: Omit<Said, 'bytes'>): { readonly payload: string; readonly taken: () => void }
  received(delivered: Delivered): void
}

/** Called once, one of the two. */
export interface Subscribing {
  granted(): void
  refused(): void
}

const Tag = z.strictObject({ from: z.string(), topic: z.string(), n: z.int().min(0) })

/** Worlds from one to another, both included. */
interface Span {
  first: number
  last: number
}

/** A SUBSCRIBE that is not answered, by the world that was certain when it went out. It may have taken effect already. */
interface Asked {
  readonly at: number
}

/** A filter that is held or may be, by the worlds that were certain when it was subscribed to: for the first time, and lately. */
interface Held {
  first: number
  lately: number
  readonly asked: Set<Asked>
  /** Which SUBACK of all has granted it last; undefined: none has since it was not held. */
  grantedBy: number | undefined
}

interface Message extends Said {
  readonly from: string
  /** The worlds that may have been in force when it was taken. */
  readonly when: Span
}

const SHARED = /^\$share\/[^/]+\/(.+)$/

/** MQTT §4.7, written for this file: the server has its own. */
export function filterMatches(filter: string, topic: string): boolean {
  const [levels, names] = [filter.split('/'), topic.split('/')]
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const deep = levels.at(-1) === '#'
  const plain = deep ? levels.slice(0, -1) : levels
  return (deep ? names.length >= plain.length : names.length === plain.length) && plain.every((level, i) => level === '+' || level === names[i])
}

export function openPolicyOracle<World>(rules: WorldRules<World>, first: World): PolicyOracle<World> {
  const worlds: World[] = [first]
  const messages: Message[] = []
  const deliveries: Record<DeliveryKind, number> = { live: 0, queued: 0, resent: 0, retained: 0, shared: 0 }
  const leaks: string[] = []
  const known = new Map<string, boolean>()
  let settled = 0
  let decisive = 0
  const latest = (): number => worlds.length - 1

  /** The judge is slow and plain, and is asked the same again and again. */
  function asked(world: number, question: string, judge: (world: World) => boolean): boolean {
    const name = `${world} ${question}`
    const before = known.get(name)
    if (before !== undefined) return before
    const of = worlds[world]
    const answer = of !== undefined && judge(of)
    if (known.size >= ANSWERS_MAX) known.clear()
    known.set(name, answer)
    return answer
  }
  const some = ({ first: from, last }: Span, holds: (world: number) => boolean): boolean => {
    for (let world = from; world <= last; world++) if (holds(world)) return true
    return false
  }

  function maySay({ from, topic, qos, retain, bytes }: Message, span: Span): boolean {
    return some(span, (world) => asked(world, `${from} says ${topic} ${qos} ${retain} ${bytes}`, (of) => rules.mayPublish(of, from, { topic, qos, retain, bytes })))
  }

  function receiver(device: string): Receiver {
    const held = new Map<string, Held>()
    /** Filters that were answered. */
    let answers = 0
    let certain = settled
    /** What was shown to it before may have waited for it since. */
    let isResumed = false
    let connectedAt = 0

    const mayHold = (world: number, filter: string): boolean => asked(world, `${device} holds ${filter}`, (of) => rules.mayHold(of, device, filter))
    const mayHear = (filters: readonly string[], topic: string, span: Span): boolean => some(span, (world) =>
      asked(world, `${device} hears ${topic}`, (of) => rules.mayReceive(of, device, topic)) && filters.some((filter) => mayHold(world, filter)))

    function received({ topic, payload, retain, dup }: Delivered): void {
      const tag = Tag.safeParse(parsed(payload)).data
      const message = tag === undefined ? undefined : messages[tag.n]
      const told = `${device} was delivered ${topic} ${payload}${retain ? ', retained' : ''}${dup ? ', again' : ''}`
      if (tag === undefined || message === undefined || tag.topic !== topic || message.topic !== topic || tag.from !== message.from) return void leaks.push(`${told}: nobody said that`)
      const span = { first: certain, last: latest() }
      const filters = [...held.keys()].filter((filter) => filterMatches(SHARED.exec(filter)?.[1] ?? filter, topic))
      const plain = filters.filter((filter) => !SHARED.test(filter))
      const kind: DeliveryKind = dup ? 'resent' : retain ? 'retained' : plain.length === 0 ? 'shared' : tag.n < connectedAt ? 'queued' : 'live'
      deliveries[kind] += 1
      // By a share nothing that is retained is shown. What was shown by another filter waits until it is acknowledged, and goes with that filter
      // only where none that is held covers its topic: a share does.
      const by = retain && !dup ? plain : filters
      if (!mayHear(by, topic, span)) leaks.push(`${told}: it may not hear that in the worlds ${span.first}–${span.last}, by ${by.join(', ') || 'nothing that it holds'}`)
      // What is retained is judged when it is shown, from the SUBSCRIBE on; all else when it was said.
      const shownFrom = by.map((filter) => held.get(filter)).map((one) => (one === undefined ? 0 : isResumed || dup ? one.first : one.lately))
      const when = retain ? { first: Math.min(certain, ...shownFrom), last: latest() } : message.when
      if (!maySay(message, when)) leaks.push(`${told}: ${message.from} may not say that in the worlds ${when.first}–${when.last}`)
      const before = { first: Math.max(0, span.first - RECENT_WORLDS), last: span.first - 1 }
      if (some(before, (world) => !mayHear(by, topic, { first: world, last: world }) || !maySay(message, { first: world, last: world }))) decisive += 1
    }

    function subscribing(filter: string): Subscribing {
      const [asked, askedAfter]: [Asked, number] = [{ at: certain }, answers]
      const one: Held = held.get(filter) ?? { first: certain, lately: certain, asked: new Set(), grantedBy: undefined }
      held.set(filter, one)
      one.asked.add(asked)
      return {
        granted() {
          answers += 1
          one.asked.delete(asked)
          one.grantedBy = answers
          // What an earlier SUBSCRIBE has brought may be on its way until then.
          one.lately = asked.at
        },
        refused() {
          answers += 1
          one.asked.delete(asked)
          if (one.grantedBy !== undefined && !isLost(filter, one.grantedBy, asked, askedAfter)) return
          one.grantedBy = undefined
          // What is not answered yet may be judged behind this, and granted.
          if (one.asked.size > 0) one.first = one.lately = Math.min(...[...one.asked].map(({ at }) => at))
          else if (held.get(filter) === one) held.delete(filter)
        },
      }
    }

    /**
     * A refusal alone leaves an earlier subscription in place: only one that is granted replaces it [MQTT-3.8.4-3]. What the policy refuses,
     * it takes as well. Which of the two came first is not known where the other SUBACK came while this one was waited for.
     */
    function isLost(filter: string, grantedBy: number, { at }: Asked, askedAfter: number): boolean {
      return grantedBy <= askedAfter && some({ first: at, last: latest() }, (world) => !mayHold(world, filter))
    }

    return {
      subscribing, received,
      connecting(fresh) {
        certain = settled
        connectedAt = messages.length
        isResumed = !fresh && held.size > 0
        if (fresh) return held.clear()
        // What was not answered before has taken effect by now, or never will.
        for (const one of held.values()) {
          if (one.asked.size > 0) one.grantedBy ??= answers
          one.asked.clear()
        }
      },
      ask() {
        const at = settled
        return () => {
          certain = Math.max(certain, at)
        }
      },
      unsubscribed: (filter) => void held.delete(filter),
      say({ topic, qos, retain }) {
        const n = messages.length
        const payload = JSON.stringify({ from: device, topic, n })
        const when: Span = { first: certain, last: Number.POSITIVE_INFINITY }
        messages.push({ from: device, topic, qos, retain, bytes: payload.length, when: { get first() { return when.first }, get last() { return Math.min(when.last, latest()) } } })
        return { payload, taken: () => void (when.last = latest()) }
      },
    }
  }

  return {
    receiver,
    change(world) {
      worlds.push(world)
      const number = latest()
      return () => void (settled = Math.max(settled, number))
    },
    count: () => ({ deliveries: { ...deliveries }, decisive, said: messages.length, leaks: [...leaks] }),
  }
}

const ANSWERS_MAX = 200_000
/** How far back is looked for a world that would have forbidden a delivery. */
const RECENT_WORLDS = 3

function parsed(payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined // Not ours.
  }
}
