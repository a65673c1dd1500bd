// Tells systemd that the server is ready (Type=notify). Node has no datagram sockets of the kind that systemd listens on, so systemd's own
// tool says it; where there is no systemd nothing is done.

import { execFile } from 'node:child_process'

/** A service manager that does not hear in this time does not keep anybody waiting. */
const TOLD_MS = 5_000

/** Never rejects: a server that cannot say that it is ready is ready all the same. `complain` hears why. */
export function notifyReady(environment: Readonly<Record<string, string | undefined>>, complain: (message: string) => void): Promise<void> {
  // The variable is systemd's: without it nobody asked to be told.
  if ((environment['NOTIFY_SOCKET'] ?? '') === '') return Promise.resolve()
  return new Promise((resolve) => {
    execFile('systemd-notify', ['--ready', `--pid=${process.pid}`, '--status=Serving'], { timeout: TOLD_MS }, (error) => {
      if (error !== null) complain(`systemd was not told that the server is ready: ${error.message.trim()}`)
      resolve()
    })
  })
}
