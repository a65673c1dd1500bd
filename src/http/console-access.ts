// The one-time links and sessions of the console, in memory: a restart ends them all. A secret is given away once and kept
// as its hash; who may come in is judged in core/console-session.ts.

import { createHash, randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { CONSOLE_LIMITS } from '../console-limits.ts'
import type { Actor } from '../core/audit.ts'
import { judgeLink, judgeSession, sessionActor, SESSION_NAME, sessionEnds, type ConsoleLink, type ConsoleSession } from '../core/console-session.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { printable, type EpochMs } from '../core/ids.ts'
import type { AuditSink, Change, RegistryView } from '../core/registry.ts'
import { fullBucket, takeToken } from '../core/token-bucket.ts'

/**
 * `__Host-`: only over TLS, for this host alone and for all of its paths. Cookies know no ports: by its name the one of this server is told apart
 * from that of another one on this machine, which would sign its user out here.
 */
const cookieName = ({ socket }: Visitor): string => `__Host-sallyport-${socket.localPort ?? 0}`
const COOKIE_FLAGS = 'Path=/; Secure; HttpOnly; SameSite=Strict'
const TRIES = { perSecond: CONSOLE_LIMITS.linkTriesPerSecond, burst: CONSOLE_LIMITS.linkTriesBurst } as const
/** What a page says with a request that nobody asked for by hand. */
export const REFRESH_HEADER = 'sallyport-refresh'
const FORWARDED_HEADERS: readonly string[] = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']

export interface ConsolePorts {
  readonly audit: AuditSink
  readonly view: Pick<RegistryView, 'onChange'>
  readonly clock: () => EpochMs
}

/** Where a request comes from. */
export interface Visitor {
  readonly headers: IncomingHttpHeaders
  readonly socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined; readonly localPort?: number | undefined }
}

export interface SessionOpened {
  readonly session: ConsoleSession
  /** The header that gives it to the browser. */
  readonly setCookie: string
}

export interface ConsoleAccess extends Disposable {
  /** A secret that opens one session, once, for some minutes. */
  makeLink(actor: Actor): { readonly secret: string; readonly expiresAt: EpochMs }
  /** Reasons: console-link-rate, -remote, -invalid. */
  open(secret: string, visitor: Visitor): Decision<SessionOpened>
  /** Does this request show a cookie of ours at all? */
  shows(visitor: Visitor): boolean
  /** Reasons: console-session-ended, console-link-remote. It counts as being there. */
  judge(visitor: Visitor): Decision<ConsoleSession>
  sessions(): readonly ConsoleSession[]
  /** With what was opened from it. False: there is none of this name. */
  end(id: string, actor: Actor): boolean
  /** Its own end alone. Returns the header that takes the cookie back from the browser. */
  signOut(visitor: Visitor): string
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')
const secretOf = (): string => randomBytes(CONSOLE_LIMITS.secretBytes).toString('base64url')
const isForwarded = (headers: IncomingHttpHeaders): boolean => FORWARDED_HEADERS.some((name) => headers[name] !== undefined)

export function openConsoleAccess({ audit, view, clock }: ConsolePorts): ConsoleAccess {
  const links = new Map<string, ConsoleLink>()
  const sessions = new Map<string, ConsoleSession>()
  const tries = fullBucket(TRIES, clock())

  const facts = ({ headers, socket }: Visitor) => ({ address: socket.remoteAddress ?? '', forwarded: isForwarded(headers), now: clock() })

  function close(hash: string, { id }: ConsoleSession, because: string, actor: Actor): void {
    sessions.delete(hash)
    audit.record({ kind: 'console-session-ended', at: clock(), session: id, because, actor })
  }

  /** Those whose time is up are no session any longer, and make room. */
  function sweep(): void {
    const now = clock()
    for (const [hash, link] of links) if (link.expiresAt <= now) links.delete(hash)
    for (const [hash, session] of sessions) if (sessionEnds(session) <= now) close(hash, session, 'its time was up', { kind: 'system' })
  }

  function keep(session: ConsoleSession): string {
    const longestIdle = [...sessions].toSorted(([, a], [, b]) => a.seenAt - b.seenAt)[0]
    if (sessions.size >= CONSOLE_LIMITS.sessionsMax && longestIdle !== undefined) close(...longestIdle, 'there were too many', { kind: 'system' })
    const secret = secretOf()
    sessions.set(hashOf(secret), session)
    return secret
  }

  function sessionOf(visitor: Visitor): readonly [hash: string, session: Decision<ConsoleSession>] {
    const cookie = cookieOf(visitor)
    const hash = cookie === undefined ? '' : hashOf(cookie)
    return [hash, judgeSession({ session: sessions.get(hash), ...facts(visitor) })]
  }

  /** Who ends a session ends whoever sits there, and what that one made meanwhile: links, and sessions that they opened. */
  function end(id: string, actor: Actor): boolean {
    const found = [...sessions].find(([, session]) => session.id === id)
    if (found === undefined) return false
    close(...found, 'an operator ended it', actor)
    const isFrom = ({ by }: { readonly by: Actor }): boolean => by.kind === 'operator' && by.name === `${SESSION_NAME}${id}`
    for (const [hash, link] of links) if (isFrom(link)) links.delete(hash)
    for (const session of [...sessions.values()].filter(isFrom)) end(session.id, actor)
    return true
  }

  /**
   * An operator who is revoked, or has less to say than before, must not stay by a link that was made in time. Which link was whose is
   * not asked: the next one is quickly made.
   */
  function onChange(change: Change): void {
    const revoked = change.kind === 'certificate-revoked' ? change.serial : undefined
    if (revoked === undefined && change.kind !== 'operator-revoked' && change.kind !== 'operator-role') return
    const isConcerned = (by: Actor): boolean => by.kind === 'operator' && (revoked === undefined || by.name === revoked || by.name.startsWith(SESSION_NAME))
    for (const [hash, { by }] of links) if (isConcerned(by)) links.delete(hash)
    for (const [hash, session] of sessions) if (isConcerned(session.by)) close(hash, session, 'the operator whose link it was has changed', { kind: 'system' })
  }
  const stop = view.onChange(onChange)

  return {
    makeLink(actor) {
      sweep()
      const oldest = links.keys().next().value
      if (links.size >= CONSOLE_LIMITS.linksMax && oldest !== undefined) links.delete(oldest)
      const [secret, expiresAt] = [secretOf(), clock() + CONSOLE_LIMITS.linkMs]
      links.set(hashOf(secret), { by: actor, expiresAt })
      audit.record({ kind: 'console-link-made', at: clock(), actor })
      return { secret, expiresAt }
    },
    open(secret, visitor) {
      sweep()
      const hash = hashOf(secret)
      const link = judgeLink({ link: links.get(hash), ...facts(visitor) })
      // A good link is not kept out by somebody who tries bad ones: nobody has one by chance.
      if (!link.allow) return takeToken(tries, TRIES, clock()) ? link : deny('console-link-rate')
      links.delete(hash)
      const now = clock()
      const source = { address: visitor.socket.remoteAddress ?? 'unknown', port: visitor.socket.remotePort ?? 0 }
      const session: ConsoleSession = { id: randomBytes(4).toString('hex'), by: link.value.by, openedAt: now, seenAt: now, source: source.address, agent: printable(visitor.headers['user-agent'] ?? 'unknown', CONSOLE_LIMITS.agentCharsMax) }
      const cookie = keep(session)
      audit.record({ kind: 'console-session-opened', at: now, session: session.id, source, actor: sessionActor(session) })
      return allow({ session, setCookie: `${cookieName(visitor)}=${cookie}; ${COOKIE_FLAGS}` })
    },
    shows: (visitor) => cookieOf(visitor) !== undefined,
    judge(visitor) {
      const [hash, session] = sessionOf(visitor)
      if (!session.allow) {
        sweep()
        return session
      }
      if (visitor.headers[REFRESH_HEADER] === undefined) sessions.set(hash, { ...session.value, seenAt: clock() })
      return session
    },
    sessions() {
      sweep()
      return [...sessions.values()]
    },
    end,
    signOut(visitor) {
      const [hash, session] = sessionOf(visitor)
      if (session.allow) close(hash, session.value, 'somebody signed out', sessionActor(session.value))
      return `${cookieName(visitor)}=; Max-Age=0; ${COOKIE_FLAGS}`
    },
    [Symbol.dispose]: stop,
  }
}

/** The first of its name: a browser sends it once, and what comes after was put there by somebody else. */
function cookieOf(visitor: Visitor): string | undefined {
  const name = `${cookieName(visitor)}=`
  return visitor.headers.cookie?.split(';').map((pair) => pair.trim()).find((pair) => pair.startsWith(name))?.slice(name.length)
}
