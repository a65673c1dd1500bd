// Who comes to the console by a one-time link: whether a link opens it, and whether a session still stands. It is told what
// is known and what time it is; secrets are known here by their hashes alone.

import { CONSOLE_LIMITS } from '../console-limits.ts'
import type { Actor } from './audit.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { EpochMs } from './ids.ts'
import { FIRST_OPERATOR, type Operator } from './operator.ts'

export interface ConsoleLink {
  /** Who had it made: what becomes of them becomes of it. */
  readonly by: Actor
  readonly expiresAt: EpochMs
}

export interface ConsoleSession {
  /** Names it in lists and in the audit log. It opens nothing. */
  readonly id: string
  /** Who had the link made. */
  readonly by: Actor
  readonly openedAt: EpochMs
  /** When somebody last did something; what a page refreshes by itself does not count. */
  readonly seenAt: EpochMs
  readonly source: string
  /** What the browser says of itself, printable and cut. */
  readonly agent: string
}

export const SESSION_NAME = 'console-'

/** Who signed in by a link is the operator of this machine; the session tells two of them apart. */
export function sessionActor({ id }: Pick<ConsoleSession, 'id'>): Actor {
  return { kind: 'operator', name: `${SESSION_NAME}${id}` }
}

/** Whoever can print a link on the machine can do everything there: the session is an admin's. */
export function sessionOperator({ openedAt }: Pick<ConsoleSession, 'openedAt'>): Operator {
  return { name: FIRST_OPERATOR, role: 'admin', createdAt: openedAt }
}

/** When the session ends if nobody does anything more. */
export function sessionEnds({ openedAt, seenAt }: Pick<ConsoleSession, 'openedAt' | 'seenAt'>): EpochMs {
  return Math.min(openedAt + CONSOLE_LIMITS.sessionMs, seenAt + CONSOLE_LIMITS.sessionIdleMs)
}

const IPV4_MAPPED = /^::ffff:(?=\d)/i
const LOOPBACK_V4 = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/

/** The browser runs on the machine of the server. The address is that of the socket, as the operating system says it. */
export function isLoopback(address: string): boolean {
  return address === '::1' || LOOPBACK_V4.test(address.replace(IPV4_MAPPED, ''))
}

export interface LinkFacts {
  /** What is known under the hash of the secret that was shown. */
  readonly link: ConsoleLink | undefined
  /** Address of the socket; `forwarded`: a proxy says that it speaks for somebody else, who may be anywhere. */
  readonly address: string
  readonly forwarded: boolean
  readonly now: EpochMs
}

/** Reasons: console-link-remote, console-link-invalid. Where it comes from is judged first: nobody afar learns whether a link is good. */
export function judgeLink({ link, address, forwarded, now }: LinkFacts): Decision<ConsoleLink> {
  if (!isLoopback(address) || forwarded) return deny('console-link-remote', forwarded ? 'through a proxy' : address)
  return link !== undefined && now < link.expiresAt ? allow(link) : deny('console-link-invalid')
}

/** Reasons: console-link-remote, console-session-ended. A cookie that was carried to another machine opens nothing there. */
export function judgeSession({ session, address, forwarded, now }: Omit<LinkFacts, 'link'> & { readonly session: ConsoleSession | undefined }): Decision<ConsoleSession> {
  if (!isLoopback(address) || forwarded) return deny('console-link-remote', forwarded ? 'through a proxy' : address)
  return session !== undefined && now < sessionEnds(session) ? allow(session) : deny('console-session-ended')
}
