// What connected sessions may do, judged anew when policy, trust, their device or the time has changed. A session that is used before
// its turn has come is judged there and then, so that nothing is decided by a right that is lost; the others wait in a line that is
// worked off in portions. What a session loses is taken from the engine, the router, its queue and the store. policy.md R10.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS, LIFE } from '../../limits.ts'
import { judgeStanding, judgeStay } from '../../core/admission.ts'
import { allow, type Decision } from '../../core/decision.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Qos } from '../../core/message.ts'
import { EMPTY_POLICY } from '../../core/policy/compile.ts'
import { grantsFor, type Grants } from '../../core/policy/grants.ts'
import { narrowing, type HeldFilter, type Narrowing } from '../../core/policy/narrowing.ts'
import { matches, parseTopicFilter, type Levels } from '../../core/topic.ts'
import { judgeTrust } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { EndedBy, Session, SessionTable } from '../sessions.ts'
import { heldFilters, toEngineFilter, toWireFilter } from './filters.ts'
import type { Granting } from './granting.ts'
import type { Keeping } from './keeping.ts'
import type { Link } from './link.ts'
import type { LostReport } from './lost-report.ts'
import type { HeldSubscription } from './surface.ts'

export interface RightsPorts {
  readonly broker: BrokerPorts
  readonly sessions: SessionTable
  readonly granting: Granting
  readonly keeping: Pick<Keeping, 'narrow'>
  readonly lostReport: Pick<LostReport, 'add'>
  linkOf(session: Session): Link | undefined
  tellGaps(session: Session, grants: Grants): void
  /** The router is to know this subscription as it is now. */
  subscribed(link: Link, engineFilter: string, held: HeldSubscription): void
}

export interface Rights {
  /** A session with these grants, which are exchanged when they must be. */
  adopt(facts: Omit<Session, 'grants'>, grants: Grants): Session
  /** Policy or trust changed: of all sessions what they have is old from this moment on. */
  renewAll(): void
  /** The device or the certificate of this session changed. Where that ends it: resolves when its socket is closed. */
  renew(session: Session): Promise<void> | undefined
  /** It has gone before its turn came: what is kept for it has to be judged with those who are away. */
  isBehind(session: Session): boolean
  /** Looks for sessions whose time has come; to be called every second. */
  sweep(now: EpochMs): void
  /** Judges filters that are kept for a session and not held yet. What it returns it may hold; the rest is taken from it. */
  admit<F extends HeldFilter>(link: Link, session: Session, kept: readonly F[]): readonly F[]
  stop(): void
}

/** What a session was granted, and in which round of judging. */
interface Holding {
  grants: Grants
  round: number
}

const NEVER = -1

/** What all sessions are made of: an object with a getter of its own is a dictionary to V8, twice as large and several times as slow to look at. */
class Granted {
  readonly #ask: () => Grants

  constructor(ask: () => Grants) {
    this.#ask = ask
  }

  get grants(): Grants {
    return this.#ask()
  }
}

export function openRights(ports: RightsPorts): Rights {
  const { broker, sessions, granting } = ports
  const holdings = new WeakMap<Session, Holding>()
  /** Those whose rights time alone will change; who is gone is found out when it is looked at. */
  const timed = new Set<Session>()
  /** Sessions that have to be judged, the one that waits for longest first. */
  const line = new Set<Session>()
  let round = 0
  let turn: NodeJS.Immediate | undefined
  let sweptAt = Number.NEGATIVE_INFINITY

  function judge(session: Session): Decision<Grants> {
    const trusted = judgeTrust(session, broker)
    if (!trusted.allow) return trusted
    const { device: id, clientId, issuer, serial } = session
    const facts = { now: broker.clock(), record: broker.view.certificate(issuer, serial), device: broker.view.device(id) }
    // Whether a quarantined device is granted anything is asked with its grants.
    const standing = judgeStanding({ ...facts, grants: { empty: false } })
    if (!standing.allow) return standing
    const grants = granting.connected(standing.value, session, clientId, session.connection)
    const earlierSessions = grants.sessionsMax === undefined ? 0 : connectedBefore(session)
    const stay = judgeStay({ ...facts, clientId, grants, earlierSessions })
    return stay.allow ? allow(grants) : stay
  }

  function connectedBefore(session: Session): number {
    const siblings = sessions.ofDevice(session.device).filter((other) => other === session || other.ending === undefined)
    return siblings.indexOf(session)
  }

  function renew(session: Session, holding: Holding): Promise<void> | undefined {
    line.delete(session)
    const judged = judge(session)
    // What follows from it asks for its grants again.
    holding.round = round
    if (!judged.allow) {
      holding.grants = nothing(session)
      return session.end(judged.reason, endedBy(judged.reason))
    }
    hold(session, holding, judged.value)
    ports.tellGaps(session, judged.value)
    const link = ports.linkOf(session)
    if (session.ending === undefined && link !== undefined && !link.client.closed) narrow(session, link, judged.value)
    return undefined
  }

  function hold(session: Session, holding: Holding, grants: Grants): void {
    holding.grants = grants
    if (grants.until === undefined) timed.delete(session)
    else timed.add(session)
  }

  function nothing(session: Session): Grants {
    const device = { id: session.device, tenant: session.tenant, groups: [], attributes: {}, state: 'active', createdAt: 0, revision: 0 } as const
    return grantsFor({ ...EMPTY_POLICY, generation: broker.policy().generation }, { device, ca: session.issuer })
  }

  /** Takes from a session what it holds and is granted no longer. Whoever loses nothing notices nothing. */
  function narrow(session: Session, link: Link, grants: Grants): void {
    const { client } = link
    const { sessionExpirySecondsMax: expiryMax } = grants
    if (expiryMax !== undefined && client.sessionExpiryInterval > expiryMax) client.sessionExpiryInterval = expiryMax
    const held = heldFilters(client)
    const { lost, lowered } = narrowing(held, [grants])
    for (const { filter, qos } of lowered) {
      const subscription = client.subscriptions[toEngineFilter(filter)]
      if (subscription === undefined) continue
      subscription.qos = qos
      ports.subscribed(link, toEngineFilter(filter), subscription)
    }
    const unsubscriptions = lost.map(({ filter }) => toEngineFilter(filter))
    // The engine forgets them, and the router with it.
    if (lost.length > 0) client.unsubscribe({ unsubscriptions }, (error) => {
      if (error) broker.log('error', { session: session.key, error: error.message }, 'the engine could not take a lost subscription back')
    })
    withdraw(session, link, { lost, lowered }, [])
  }

  /** Of what is lost nothing is sent any more, and nothing is kept. `about`: filters that the session is about to hold. */
  function withdraw(session: Session, { client, outbound }: Link, lose: Narrowing, about: readonly string[]): void {
    if (outbound === undefined || (lose.lost.length === 0 && lose.lowered.length === 0)) return
    const gone = lose.lost.map(({ filter }) => levelsOf(filter))
    const held = (): readonly string[] => [...about, ...Object.keys(client.subscriptions).map(toWireFilter)]
    const isLost = (topic: string): boolean => {
      const levels = topic.split('/')
      return gone.some((filter) => matches(filter, levels)) && !held().some((filter) => matches(levelsOf(filter), levels))
    }
    const release = outbound.lose(isLost)
    const written = outbound.kept ? ports.keeping.narrow(session.key, lose, outbound.sentThrough) : Promise.resolve()
    void after(written, release)
    ports.lostReport.add(session.device, session.clientId, lose.lost)
  }

  /** Works off the line for a while, and goes on when everybody else has had a turn. */
  function work(): void {
    turn = undefined
    const end = performance.now() + BROKER_LIMITS.renewSliceMs
    for (const session of line) {
      line.delete(session)
      const holding = holdings.get(session)
      if (holding !== undefined && holding.round !== round && session.ending === undefined) void renew(session, holding)
      if (performance.now() > end) break
    }
    if (line.size > 0) turn = setImmediate(work)
  }

  function workSoon(): void {
    if (turn === undefined) work()
  }

  function renewAll(): void {
    round += 1
    // Whoever waits already keeps its place: changes that follow one another closely must not keep anybody from a turn.
    for (const session of sessions.all()) line.add(session)
    workSoon()
  }

  return {
    adopt(facts, grants) {
      const holding: Holding = { grants, round }
      const granted = new Granted(() => {
        if (holding.round !== round && session.ending === undefined) void renew(session, holding)
        return holding.grants
      })
      const session: Session = Object.assign(granted, facts)
      holdings.set(session, holding)
      hold(session, holding, grants)
      return session
    },
    renewAll,
    renew(session) {
      const holding = holdings.get(session)
      return holding && renew(session, holding)
    },
    isBehind: (session) => (holdings.get(session)?.round ?? round) !== round,
    sweep(now) {
      // The clock was set back: what has ended by it has begun again, and no instant tells of that.
      const isSetBack = now < sweptAt - LIFE.expirySweepMs
      sweptAt = now
      if (isSetBack) return renewAll()
      for (const session of timed) {
        const holding = holdings.get(session)
        if (holding === undefined || sessions.get(session.key) !== session) timed.delete(session)
        else if ((holding.grants.until ?? Number.POSITIVE_INFINITY) <= now) {
          holding.round = NEVER
          line.add(session)
        }
      }
      if (line.size > 0) workSoon()
    },
    admit(link, session, kept) {
      const lose = narrowing(kept, [session.grants])
      const lost = new Set(lose.lost.map(({ filter }) => filter))
      const lowered = new Map<string, Qos>(lose.lowered.map(({ filter, qos }) => [filter, qos]))
      const left = kept.filter(({ filter }) => !lost.has(filter)).map((each) => ({ ...each, qos: lowered.get(each.filter) ?? each.qos }))
      withdraw(session, link, lose, left.map(({ filter }) => filter))
      return left
    },
    stop() {
      clearImmediate(turn)
      line.clear()
      timed.clear()
    },
  }
}

async function after(written: Promise<void>, release: () => void): Promise<void> {
  await written
  // What the store has answered before that has come here by the next turn.
  await nextTurn()
  release()
}

function levelsOf(filter: string): Levels {
  const parsed = parseTopicFilter(filter)
  return parsed.allow ? parsed.value.levels : []
}

/** At the step "connect" it is the policy that says no: everything before it is an operator's order, or time. */
function endedBy(reason: DenyReason): EndedBy {
  if (reason === 'certificate-expired') return 'itself'
  return REASONS[reason].step === 'connect' ? 'policy' : 'operator'
}
