// The program's own log, for the person who runs it: pino on stderr behind a small interface. Secrets have no way in: fields
// of these names are never printed.

import { pino } from 'pino'

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
export type LogFields = Readonly<Record<string, unknown>>

export type Log = Readonly<Record<LogLevel, (fields: LogFields, message: string) => void>>

const SECRETS = ['key', 'password', 'passphrase', 'token', 'secret'].flatMap((name) => [name, `*.${name}`])

export type OpenLog = Log & {
  /** From here on; what is below it is not said. */
  readonly setLevel: (level: LogLevel) => void
}

/** One JSON line per message on stderr. */
export function openLog({ level }: { readonly level: LogLevel }): OpenLog {
  const log = pino({ level, redact: { paths: SECRETS, censor: '(secret)' }, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))
  return {
    error: (fields, message) => log.error(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    info: (fields, message) => log.info(fields, message),
    debug: (fields, message) => log.debug(fields, message),
    setLevel(next) {
      log.level = next
    },
  }
}
