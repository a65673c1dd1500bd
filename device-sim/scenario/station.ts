// One device of the fleet: its connection, what it says and what it hears, and an account of both. It decides nothing about when.

import { SIM_LIMITS } from '../limits.ts'
import type { Credentials } from '../raw-peer.ts'
import { connectLight, type LightPeer } from '../load/light-peer.ts'
import type { Target } from '../target.ts'
import { fill, matches, type Player, type Speech } from './cast.ts'
import { openHearing, type Hearing } from './hearing.ts'
import type { Failure, News, PlayerAccount, Seat } from './orders.ts'
import { readTag, wallMs, writeTag, type Tag } from './tag.ts'
import type { Tally } from './tally.ts'

/** What all devices of a thread know of. */
export interface Surroundings {
  readonly target: Target
  readonly speeches: readonly Speech[]
  readonly ids: readonly string[]
  readonly tally: Tally
  /** Devices that are being taken out: they go on speaking while they are let, and nobody may hear what they say after `at`. */
  readonly sealed: Map<number, { at: number | undefined }>
  readonly denied: Map<string, { readonly asked: number; at: number | undefined }>
  tell(news: News): void
}

/** What a device has said of one stream. */
interface Said {
  readonly speech: Speech
  readonly owner: number
  count: number
  firstAt: number
  readonly open: Set<number>
  /** From this number on nobody has to deliver: a rule that denies the topic was asked for, or the device is being taken out. */
  dueEnd: number | undefined
  /** Nor these: refused, or under way when the connection ended. */
  readonly notDue: Set<number>
}

export interface Station {
  readonly player: Player
  readonly neighbour: string
  readonly isConnected: boolean
  credentials: Credentials | undefined
  /** It may be cut off without that being a failure. */
  isRogue: boolean
  /** Rejects with how it was refused; then it subscribes to what it hears. */
  connect(): Promise<void>
  disconnect(): void
  drop(): void
  ping(): void
  /** From its other address from now on. */
  changeAddress(): void
  say(words: { readonly speech: Speech; readonly owner: number; readonly at: number; readonly answers?: number; readonly step: string }): boolean
  /** A request of this device to `topic`, whose answer comes on one of `answers`. */
  ask(topic: string, payload: Buffer, answers: readonly string[]): Promise<{ readonly topic: string; readonly payload: Buffer }>
  subscribe(filter: string): Promise<void>
  /** Told of the answers that it hears, by the speech that they are of. */
  readonly onAnswer: Map<number, (tag: Tag) => void>
  account(): PlayerAccount
}

const IN_FLIGHT_MS = 1_000
/** Sealed devices may still hear what is in the buffers between them and the broker. */
const SEALED_GRACE_MS = 1_000

export function openStation({ player, sources, neighbour, credentials }: Seat, around: Surroundings): Station {
  const { tally, speeches } = around
  const heard = new Map<string, { readonly speech: number; readonly owner: number; readonly hearing: Hearing }>()
  const said = new Map<string, Said>()
  const asked = new Map<string, (payload: Buffer) => void>()
  let peer: LightPeer | undefined
  let steadySince: number | undefined
  let place = 0

  const leak = (what: string): void => around.tell({ kind: 'leak', device: player.id, what })
  const failed = (failure: Omit<Failure, 'device'>): void => around.tell({ kind: 'failed', order: undefined, failure: { ...failure, device: player.id } })

  const firstDenial = new Set<string>()
  function denialOf(topic: string): { readonly asked: number } | undefined {
    for (const [filter, denial] of around.denied) if (matches(filter, topic)) return denial
    return undefined
  }

  function gone(): void {
    if (peer === undefined) return
    peer = undefined
    steadySince = undefined
    tally.connected -= 1
    const recently = wallMs() - IN_FLIGHT_MS
    for (const stream of said.values()) {
      for (const sequence of stream.open) stream.notDue.add(sequence)
      stream.open.clear()
      for (const [sequence, at] of recentOf(stream)) if (at >= recently) stream.notDue.add(sequence)
    }
  }

  const recent = new Map<Said, (readonly [number, number])[]>()
  const recentOf = (stream: Said): readonly (readonly [number, number])[] => recent.get(stream) ?? []
  /** Of QoS 0 there is no acknowledgement: what was sent just before the end may be lost. */
  function remember(stream: Said, at: number): void {
    const list = recent.get(stream) ?? []
    list.push([stream.count, at])
    if (list.length > 1_000) list.shift()
    recent.set(stream, list)
  }

  function hear(payload: Buffer, topic: string, isAgain: boolean): void {
    const now = wallMs()
    const asker = asked.get(topic)
    if (asker !== undefined) return asker(Buffer.from(payload))
    if (!player.mayHear.some((filter) => matches(filter, topic))) leak(`it may not hear ${topic}, and was given a message on it`)
    const tag = readTag(payload)
    const speech = tag === undefined ? undefined : speeches[tag.speech]
    // Somebody else's message: only its topic is judged.
    if (tag === undefined || speech === undefined) return
    tally.received += 1
    judge(tag, speech, topic, now)
    if (speech.kind === 'publish') tally.time('delivery', now - tag.at)
    const key = `${tag.speech}/${tag.owner}`
    const entry = heard.get(key) ?? { speech: tag.speech, owner: tag.owner, hearing: openHearing() }
    heard.set(key, entry)
    entry.hearing.hear(tag.sequence, isAgain)
    if (speech.kind === 'answer') station.onAnswer.get(tag.speech)?.(tag)
    const answer = speeches[tag.speech + 1]
    if (speech.kind === 'command' && player.answers && answer?.kind === 'answer') station.say({ speech: answer, owner: player.index, at: tag.at, answers: tag.sequence, step: 'answer' })
  }

  function judge(tag: Tag, speech: Speech, topic: string, now: number): void {
    const from = around.ids[tag.publisher] ?? 'nobody'
    if (speech.kind === 'stray') return leak(`it was given on ${topic} what ${from} may not publish there`)
    if (topic !== fill(speech.topic, around.ids[tag.owner] ?? '')) leak(`it was given on ${topic} what ${from} had sent to ${fill(speech.topic, around.ids[tag.owner] ?? '')}`)
    const sealed = around.sealed.get(tag.publisher)?.at
    if (sealed !== undefined && tag.at > sealed) leak(`it heard what ${from} said ${(tag.at - sealed).toFixed(0)} ms after it had been taken out`)
    const own = around.sealed.get(player.index)?.at
    if (own !== undefined && now > own + SEALED_GRACE_MS) leak(`it was given a message ${(now - own).toFixed(0)} ms after it had been taken out`)
    for (const [filter, { at }] of around.denied) if (at !== undefined && tag.at > at && matches(filter, topic)) leak(`it heard what ${from} said on ${topic} ${(tag.at - at).toFixed(0)} ms after that had been denied`)
  }

  const station: Station = {
    player, neighbour, credentials,
    isRogue: false,
    onAnswer: new Map(),
    get isConnected() {
      return peer !== undefined
    },
    async connect() {
      if (station.credentials === undefined) throw new Error('it has no certificate yet')
      if (peer !== undefined) return
      const opened = await connectLight({
        target: around.target, id: player.id, credentials: station.credentials, source: sources[place], version: player.version, isKept: player.isKept, onMessage: hear,
        onEnd(reason, code) {
          // A connection that was replaced by another of this device is not this one.
          if (peer !== opened) return
          gone()
          tally.refused(code === undefined ? 'closed' : `DISCONNECT 0x${code.toString(16)}`)
          around.tell({ kind: 'closed', index: player.index, at: wallMs(), how: reason })
          if (!station.isRogue && !around.sealed.has(player.index)) failed({ step: 'connection', expected: 'it stays connected', seen: reason })
        },
      })
      peer = opened
      tally.connected += 1
      if (player.hears.length > 0) await opened.subscribe(player.hears, 1)
      steadySince ??= wallMs()
    },
    disconnect() {
      peer?.end()
      gone()
    },
    drop() {
      peer?.drop()
      gone()
    },
    ping: () => peer?.ping(),
    changeAddress() {
      place = 1 - place
    },
    say({ speech, owner, at, answers = 0, step }) {
      const isSealed = around.sealed.has(player.index)
      if (peer === undefined || peer.underWay >= SIM_LIMITS.loadUnderWayMax) {
        if (!isSealed) tally.unsent += 1
        return false
      }
      const topic = fill(speech.topic, around.ids[owner] ?? player.id, neighbour)
      const key = `${speech.number}/${owner}`
      const stream = said.get(key) ?? { speech, owner, count: 0, firstAt: at, open: new Set<number>(), dueEnd: undefined, notDue: new Set<number>() }
      said.set(key, stream)
      const sequence = stream.count
      if (isSealed || denialOf(topic) !== undefined) stream.dueEnd ??= sequence
      const payload = writeTag({ speech: speech.number, owner, publisher: player.index, sequence, at, answers }, speech.bytes)
      if (speech.qos === 0) remember(stream, at)
      else stream.open.add(sequence)
      peer.publish(topic, payload, speech.qos, (code) => acknowledged({ stream, sequence, code, topic, step }))
      stream.count += 1
      tally.sent += 1
      if (speech.kind !== 'answer') tally.time('generator', wallMs() - at)
      return true
    },
    async subscribe(filter) {
      if (peer === undefined) throw new Error('it is not connected')
      await peer.subscribe(filter, 1)
    },
    ask(topic, payload, answers) {
      return new Promise((resolve, reject) => {
        if (peer === undefined) return reject(new Error('it is not connected'))
        for (const answer of answers) {
          asked.set(answer, (bytes) => {
            for (const each of answers) asked.delete(each)
            resolve({ topic: answer, payload: bytes })
          })
        }
        const here = peer
        here.subscribe(answers, 1).then(() => here.publish(topic, payload, 1), reject)
      })
    },
    account: () => ({
      index: player.index,
      steadySince: peer === undefined ? undefined : steadySince,
      sent: [...said.values()].map(({ speech, owner, count, dueEnd, firstAt, notDue, open }) => ({ speech: speech.number, owner, count, due: dueEnd ?? count, firstAt, notDue: [...notDue, ...open] })),
      heard: [...heard.values()].map(({ speech, owner, hearing }) => ({ speech, owner, heard: hearing.heard() })),
    }),
  }

  /** MQTT 3.1.1 has no word for a refusal: it is acknowledged and dropped [MQTT-3.3.5-2], and whoever hears it is a leak. */
  function acknowledged({ stream, sequence, code, topic, step }: { readonly stream: Said; readonly sequence: number; readonly code: number; readonly topic: string; readonly step: string }): void {
    stream.open.delete(sequence)
    const isRefused = code >= 0x80
    if (isRefused) {
      tally.refused(`PUBACK 0x${code.toString(16)}`)
      // Of what nobody has to deliver anyway no list is kept.
      if (stream.speech.kind !== 'stray' && (stream.dueEnd === undefined || sequence < stream.dueEnd)) stream.notDue.add(sequence)
    }
    const denial = denialOf(topic)
    if (isRefused && denial !== undefined && !firstDenial.has(topic)) {
      firstDenial.add(topic)
      tally.time('deny', wallMs() - denial.asked)
    }
    const mustBe = stream.speech.kind === 'stray' && player.version === 5
    if (mustBe && !isRefused) failed({ step, expected: `its publish to ${topic} is refused`, seen: `acknowledged with 0x${code.toString(16).padStart(2, '0')}` })
    if (isRefused && stream.speech.kind !== 'stray' && denial === undefined && !around.sealed.has(player.index)) failed({ step, expected: `its publish to ${topic} is acknowledged`, seen: `0x${code.toString(16)}` })
  }
  return station
}
