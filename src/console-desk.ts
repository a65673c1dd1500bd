// The operator's desk, the part about the console: it hands out links and ends sessions of the server that this desk is of.

import type { Actor } from './core/audit.ts'
import type { ConsoleDesk } from './core/console-desk.ts'
import { sessionEnds } from './core/console-session.ts'
import { SallyportError } from './core/errors.ts'
import { openConsoleAccess, type ConsoleAccess, type ConsolePorts } from './http/console-access.ts'
import { CONSOLE_BASE, consoleFolder, readConsoleFiles, type ConsoleFiles } from './http/console-files.ts'
import { REASONS } from './vocabulary.ts'

export interface ConsolePort {
  readonly access: ConsoleAccess
  /** Of the admin server, as this machine calls it. */
  readonly url: () => string
}

/** What the admin server needs of it: who is signed in, and the files that the build made. */
export function openConsole(ports: ConsolePorts): Disposable & { readonly access: ConsoleAccess; readonly files: ConsoleFiles } {
  const access = openConsoleAccess(ports)
  return { access, files: readConsoleFiles(consoleFolder()), [Symbol.dispose]: () => access[Symbol.dispose]() }
}

/** The secret stands behind the #: browsers keep that to themselves, and no server or proxy ever logs it. */
export function consoleLink({ access, url }: ConsolePort, actor: Actor): { readonly url: string; readonly expiresAt: number } {
  const { secret, expiresAt } = access.makeLink(actor)
  return { url: `${url()}${CONSOLE_BASE}#link=${secret}`, expiresAt }
}

/** `console` is undefined where no server runs. */
export function openConsoleDesk(console: ConsolePort | undefined, actor: Actor): ConsoleDesk {
  const need = (): ConsolePort => {
    if (console === undefined) throw new SallyportError('unreachable', 'No server runs in this home, and the console is a part of it.', { fix: 'Start it: sallyport serve.' })
    return console
  }
  return {
    makeConsoleLink: async () => consoleLink(need(), actor),
    consoleSessions: async () => need().access.sessions().map((session) => ({ id: session.id, openedAt: session.openedAt, seenAt: session.seenAt, endsAt: sessionEnds(session), source: session.source, agent: session.agent })),
    endConsoleSession: async (id) => {
      if (!need().access.end(id, actor)) throw new SallyportError('not-found', REASONS['console-session-unknown'].sentence, { fix: REASONS['console-session-unknown'].fix, reason: 'console-session-unknown' })
    },
  }
}
