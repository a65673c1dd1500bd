// Publishing without a session: a device posts its messages over HTTPS, and they take the way of every other. Its connection is judged as a
// CONNECT under its own id would be, and judged anew at each message, from the facts of that moment. It knows no HTTP.

import { PUBLISH_LIMITS } from '../../publish-limits.ts'
import { REASONS } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { judgeStanding, judgeStay } from '../../core/admission.ts'
import { allow, deny, type Decision, type Denied } from '../../core/decision.ts'
import type { Device } from '../../core/device.ts'
import type { Caller, CallerId, Post, Posted, PublishDesk, Shown } from '../../core/https-publish.ts'
import { printable, sessionKey, type DeviceId, type EpochMs } from '../../core/ids.ts'
import { countByQos } from '../../core/traffic.ts'
import type { Message, Publisher } from '../../core/message.ts'
import type { CompiledPolicy } from '../../core/policy/compile.ts'
import type { ConnectionFacts } from '../../core/policy/conditions.ts'
import type { Grants, Verdict } from '../../core/policy/grants.ts'
import type { Source } from '../../core/audit.ts'
import { presentedFacts } from '../../x509/presented.ts'
import { judgeShown, judgeTrust, peerRefusal, type Peer } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { ConnectRates } from './connect-rates.ts'
import type { Granting } from './granting.ts'
import { judgeProperties } from './properties.ts'
import { publishSize } from './publish-size.ts'
import type { Publishing, PublishOutcome } from './publishing.ts'
import type { Watching } from './watching.ts'

export interface PostingPorts {
  readonly broker: BrokerPorts
  readonly granting: Granting
  readonly publishing: Pick<Publishing, 'publish'>
  readonly watching: Pick<Watching, 'refused' | 'publishes' | 'cameIn'>
  readonly withinRate: ConnectRates
}

export interface Posting extends PublishDesk {
  /** This device or one of its certificates has changed, or, of all, policy or trust: who may speak no longer is disconnected. */
  review(device?: DeviceId): void
  /** The same for those whose certificate has expired; to be called every second. */
  sweep(): void
  /** Connections of callers. */
  readonly size: number
}

/** Grants with all that they were made from: while that is the same, so are they. */
interface Held {
  readonly grants: Grants
  readonly policy: CompiledPolicy
  readonly device: Device
  readonly madeAt: EpochMs
}

interface Speaker {
  readonly peer: Peer
  readonly connection: ConnectionFacts
  held: Held | undefined
}

interface Line extends Speaker {
  readonly id: CallerId
  readonly source: Source
  readonly publisher: Publisher
  /** It is being closed. */
  ended: boolean
}

/** What a device publishes here is named, and counts for the rates of its grants, as if it were connected under its own id. */
const DOOR = 'https-publish'

export function openPosting(ports: PostingPorts): Posting {
  const { broker, granting, publishing, watching } = ports
  const { view, clock, audit } = broker
  const lines = new Map<CallerId, Line>()
  const byDevice = new Map<DeviceId, Set<Line>>()
  let last = 0
  let open = 0
  let doorsGone = 0
  let onEnd: (caller: CallerId) => void = () => {}
  /** Those that wait to be looked at, the one that waits for longest first. */
  const line = new Set<Line>()
  let turn: NodeJS.Immediate | undefined

  async function introduce({ chain, failure, source, tls }: Shown): Promise<Decision<Caller>> {
    const [leaf] = chain
    if (leaf === undefined) return strange(source, deny('tls-no-certificate'), undefined)
    const judged = judgeShown(leaf, () => chain, failure, broker)
    if (!judged.allow) return strange(source, purposeOf(chain, judged), leaf)
    const peer = judged.value
    const doors = doorsGone
    const seen = await sight(peer)
    // The door that asked is gone meanwhile, with its connections: nobody would ever say that this one is.
    if (doors !== doorsGone) return deny('publish-busy')
    if (!seen.allow) return unfit(peer, source, seen)
    const speaker: Speaker = { peer, connection: { source: source.address, tls }, held: undefined }
    const may = judgeNew(speaker)
    if (!may.allow) return unfit(peer, source, may)
    const { device, issuer, serial } = peer
    const publisher = { key: sessionKey(may.value.device.tenant, device, device), device, clientId: device, issuer, serial, leaf: peer.leaf }
    last += 1
    const line: Line = { ...speaker, id: last, source, publisher, ended: false }
    lines.set(line.id, line)
    const siblings = byDevice.get(device)
    if (siblings === undefined) byDevice.set(device, new Set([line]))
    else siblings.add(line)
    audit.record({ kind: 'admission', at: clock(), device, clientId: device, serial, issuer, source, door: DOOR })
    watching.cameIn({ device, sha256: peer.sha256, source })
    // It answers at once wherever the certificate does not wait for its first use.
    void broker.renewal.used(peer)
    return allow({ id: line.id, device })
  }

  /** A certificate from a factory is good for enrolling: that says more than that this door does not know its CA. */
  function purposeOf(chain: readonly Uint8Array[], denied: Denied): Denied {
    return denied.reason === 'tls-untrusted-issuer' && broker.enrolls?.().judge(chain, clock()).allow === true ? deny('certificate-purpose', 'a certificate that enrolls') : denied
  }

  /** A certificate of a CA of others that is seen for the first time is recorded before it is judged. */
  async function sight(peer: Peer): Promise<Decision<void>> {
    if (peer.firstSight === undefined) return allow(undefined)
    try {
      return await broker.observe(peer)
    } catch (cause) {
      broker.log('error', { error: cause instanceof Error ? cause.message : 'unknown' }, 'a certificate seen for the first time could not be recorded')
      return deny('registry-unavailable')
    }
  }

  /** As `admit` has it: who is not in force uses up nothing of a device's rate. */
  function judgeNew(speaker: Speaker): Decision<Held> {
    const may = judge(speaker)
    if (!may.allow) return may
    const { id } = may.value.device
    if (!ports.withinRate(id, clock())) return deny('connect-rate')
    const here = byDevice.get(id)?.size ?? 0
    return here < PUBLISH_LIMITS.connectionsPerDeviceMax ? may : deny('sessions-limit', `${here} connections for HTTPS`)
  }

  /** May this caller speak at all, now? */
  function judge(speaker: Speaker): Decision<Held> {
    const { peer } = speaker
    const trusted = judgeTrust(peer, broker)
    if (!trusted.allow) return trusted
    const facts = { now: clock(), record: view.certificate(peer.issuer, peer.serial), device: view.device(peer.device) }
    // Whether a quarantined device is granted anything is asked with its grants.
    const standing = judgeStanding({ ...facts, grants: { empty: false } })
    if (!standing.allow) return standing
    const held = hold(speaker, standing.value, facts.now)
    const stay = judgeStay({ ...facts, clientId: peer.device, grants: held.grants, earlierSessions: 0 })
    return stay.allow ? allow(held) : stay
  }

  function hold(speaker: Speaker, device: Device, now: EpochMs): Held {
    const { peer, connection, held } = speaker
    const policy = broker.policy()
    // A clock that was set back makes all that depends on time doubtful.
    if (held !== undefined && held.policy === policy && held.device === device && held.madeAt <= now && now < (held.grants.until ?? Number.POSITIVE_INFINITY)) return held
    const grants = granting.connected(device, peer, peer.device, connection)
    return (speaker.held = { grants, policy, device, madeAt: now })
  }

  async function publish(id: CallerId, post: Post): Promise<Posted> {
    const line = lines.get(id)
    if (line === undefined) return { decision: deny('publish-busy'), ends: true }
    const may = judge(line)
    if (!may.allow) {
      audit.record({ ...peerRefusal(line.peer, line.source, may, clock()), door: DOOR })
      // Of who was refused nothing more is read.
      return { decision: may, ends: true }
    }
    const message = messageOf(line, post)
    const judged = judgePost(line, post, message, may.value.grants)
    if (!judged.allow) {
      refuse(line, judged, post.topic, judged.verdict)
      return { decision: judged, ends: judged.verdict?.onDeny === 'disconnect' }
    }
    countByQos(broker.traffic.received, message.qos)
    const decision = outcomeOf(await published(message, line.publisher))
    if (!decision.allow) refuse(line, decision, post.topic, undefined)
    return { decision, ends: false }
  }

  function messageOf(line: Line, { topic, qos, retain, payload, properties, expirySeconds }: Post): Message {
    const now = clock()
    return {
      topic, qos, retain, properties, publisher: line.publisher.key, receivedAt: now,
      payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
      expiresAt: expirySeconds === undefined ? undefined : now + expirySeconds * 1_000,
    }
  }

  /** What is refused for its form, or because it is too much, uses up no rate of a grant. */
  function judgePost(line: Line, { topic, qos, retain, payload, properties, expirySeconds }: Post, message: Message, grants: Grants): Decision<void> & { readonly verdict?: Verdict } {
    const { userProperties: _, ...single } = properties ?? {}
    const form = judgeProperties('publish', { ...single, ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }) })
    if (!form.allow) return deny('publish-request', form.detail)
    if (publishSize(message)(5, qos, []) > broker.bounds().packetBytesMax) return deny('packet-too-large')
    // Its own topics are where a device asks the server by MQTT, and is answered there.
    if (topic.startsWith('$')) return deny('topic-reserved')
    if (open >= PUBLISH_LIMITS.unansweredMax) return deny('publish-busy')
    if (!watching.publishes(line.peer.device)) return deny('publish-throttled')
    const verdict = grants.publish(topic, qos, retain, payload.length)
    if (verdict.effect === 'allow') return allow(undefined)
    return { ...deny(verdict.reason === 'granted' ? 'publish-not-granted' : verdict.reason), verdict }
  }

  /** 'late': it is not known yet, and may still be published. */
  async function published(message: Message, publisher: Publisher): Promise<PublishOutcome | 'late'> {
    const { promise, resolve } = Promise.withResolvers<PublishOutcome | 'late'>()
    const late = setTimeout(() => resolve('late'), PUBLISH_LIMITS.answerMs)
    open += 1
    publishing.publish(message, { publisher }, (outcome) => {
      open -= 1
      resolve(outcome)
    })
    const outcome = await promise
    clearTimeout(late)
    return outcome
  }

  function refuse({ peer, source, publisher }: Line, { reason, detail }: Denied, topic: string, verdict: Verdict | undefined): void {
    watching.refused({ device: peer.device }, { reason, topic })
    const ruleAt = verdict?.at === undefined ? undefined : `${verdict.at.file}:${verdict.at.line}`
    audit.record({
      kind: 'refusal', at: clock(), step: REASONS[reason].step, reason, source, device: peer.device, clientId: publisher.clientId, door: DOOR,
      topic: printable(topic, BROKER_LIMITS.topicBytesMax),
      ...(detail === undefined ? {} : { detail }),
      ...(verdict?.rule === undefined ? {} : { rule: verdict.rule }),
      ...(ruleAt === undefined ? {} : { ruleAt }),
    })
  }

  /** Of who is not known to be a device. */
  function strange(source: Source, denied: Denied, leaf: Uint8Array | undefined): Denied {
    const { reason, detail } = denied
    const facts = presentedFacts(leaf)
    const known = facts.presented?.sha256 === undefined ? undefined : view.certificateBySha256(facts.presented.sha256)
    const about = known?.device === undefined ? facts : { device: known.device, ...(facts.presented === undefined ? {} : { presented: facts.presented }) }
    audit.record({ kind: 'refusal', at: clock(), step: REASONS[reason].step, reason, source, door: DOOR, ...(detail === undefined ? {} : { detail }), ...about })
    return denied
  }

  function unfit(peer: Peer, source: Source, denied: Denied): Denied {
    audit.record({ ...peerRefusal(peer, source, denied, clock()), door: DOOR })
    return denied
  }

  function gone(id: CallerId): void {
    const line = lines.get(id)
    if (line === undefined) return
    lines.delete(id)
    const siblings = byDevice.get(line.peer.device)
    siblings?.delete(line)
    if (siblings?.size === 0) byDevice.delete(line.peer.device)
  }

  function end(line: Line, { reason }: Denied): void {
    if (line.ended) return
    line.ended = true
    audit.record({ kind: 'session-closed', at: clock(), device: line.peer.device, clientId: line.publisher.clientId, because: REASONS[reason].sentence, reason, door: DOOR })
    onEnd(line.id)
  }

  function look(line: Line): void {
    if (line.ended) return
    const may = judge(line)
    if (!may.allow) end(line, may)
  }

  /** In slices: a change of trust or policy concerns everybody at once, and each message is judged by it in any case. */
  function lookAtLine(): void {
    turn = undefined
    let looked = 0
    for (const waiting of line) {
      line.delete(waiting)
      if (lines.has(waiting.id)) look(waiting)
      if (++looked === PUBLISH_LIMITS.reviewSlice) break
    }
    if (line.size > 0) turn = setImmediate(lookAtLine)
  }

  return {
    introduce, publish, gone,
    allGone() {
      doorsGone += 1
      line.clear()
      lines.clear()
      byDevice.clear()
    },
    onEnd(listener) {
      onEnd = listener
    },
    get packetBytesMax() {
      return broker.bounds().packetBytesMax
    },
    review(device) {
      if (device !== undefined) for (const line of byDevice.get(device) ?? []) look(line)
      else {
        for (const each of lines.values()) line.add(each)
        if (turn === undefined) lookAtLine()
      }
    },
    sweep() {
      const now = clock()
      for (const line of lines.values()) if (line.peer.notAfter <= now) look(line)
    },
    get size() {
      return lines.size
    },
  }
}

function outcomeOf(outcome: PublishOutcome | 'late'): Decision<void> {
  switch (outcome) {
    case 'stored':
      return allow(undefined)
    case 'unretained':
      return deny('quota-exceeded', 'published, but not retained: the device has left as many retained messages as it may')
    case 'refused':
      return deny('store-unavailable', 'the session store takes no more')
    case 'late':
      return deny('store-unavailable', 'not stored in time; it may be stored yet')
  }
}
