// What an operator does about the console itself: a link that opens it, and the sessions that were opened so.

import type { EpochMs } from './ids.ts'

export interface ConsoleLinkMade {
  /** Opens the console once, in a browser on the machine of the server. */
  readonly url: string
  readonly expiresAt: EpochMs
}

export interface ConsoleSessionShown {
  readonly id: string
  readonly openedAt: EpochMs
  /** When somebody last did something in it. */
  readonly seenAt: EpochMs
  /** When it ends if nobody does anything more. */
  readonly endsAt: EpochMs
  readonly source: string
  /** What the browser says of itself. */
  readonly agent: string
}

/** Where no server runs, all of it fails with 'unreachable': a console is of a server. */
export interface ConsoleDesk {
  makeConsoleLink(): Promise<ConsoleLinkMade>
  consoleSessions(): Promise<readonly ConsoleSessionShown[]>
  /** Reason: console-session-unknown. */
  endConsoleSession(id: string): Promise<void>
}
