// Mosquitto as careless operators run it: the adapter's own configuration with the care taken out again, one line at a time.

import { startMosquitto, type StartedBroker } from '../../device-sim/adapters/mosquitto.ts'

export const CARELESS = {
  /** Whoever has no certificate may come in as well, and is nobody. */
  anonymous: (config: string) => config.replace('require_certificate true', 'require_certificate false').replace('allow_anonymous false', 'allow_anonymous true').replace(/^use_(identity|username)_.*\n/gm, '').replace(/^acl_file .*\n/m, ''),
  /** A client id is anybody's. */
  freeClientIds: (config: string) => config.replace('use_username_as_clientid true', 'use_username_as_clientid false'),
  /** No access control list. */
  noAcl: (config: string) => config.replace(/^acl_file .*\n/m, ''),
  /** Nobody reads the revocation list. */
  noCrl: (config: string) => config.replace(/^crlfile .*\n/m, ''),
} as const satisfies Record<string, (config: string) => string>

export function startCareless(how: keyof typeof CARELESS): Promise<StartedBroker> {
  return startMosquitto('weak', new AbortController().signal, CARELESS[how])
}
