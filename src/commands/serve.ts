// sallyport serve: signals, the words of the first minute, and main.ts.

import { loadConfig } from '../config.ts'
import { serve } from '../main.ts'
import type { Ready } from '../ready.ts'
import { VERSION } from '../cli.ts'
import { EXIT } from '../vocabulary.ts'
import { homeOf, type CommonOptions } from './context.ts'
import { notifyReady } from './notify.ts'

interface ServeOptions extends CommonOptions {
  readonly ports: 'auto' | 'configured'
  readonly host?: readonly string[]
  readonly set?: readonly string[]
}

const SAME_SIGNAL_MS = 1_000
const ignored = (): void => {}

export async function serveCommand(options: ServeOptions): Promise<void> {
  const home = homeOf(options)
  const ending = new AbortController()
  // Who asks while it starts has changed what may have been read already.
  let isAsked = false
  let reload = async (): Promise<void> => void (isAsked = true)
  let endedAt = 0
  const end = (): void => {
    // Ctrl-C reaches the whole process group, and whoever started us passes it on: two within a moment are one. Later, it
    // is somebody who does not want to wait for the drain.
    if (endedAt > 0 && performance.now() - endedAt > SAME_SIGNAL_MS) process.exit(EXIT.interrupted)
    endedAt ||= performance.now()
    ending.abort()
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  const onHangup = (): void => {
    // What was in force stays in force, whatever is wrong with the new.
    reload().catch((error: unknown) => process.stderr.write(`sallyport: reload refused: ${error instanceof Error ? error.message : 'unknown'}\n`))
  }
  process.on('SIGHUP', onHangup)
  // Node would open a port for debuggers, through which whoever is on this machine could read the whole memory.
  process.on('SIGUSR1', ignored)
  // Somebody who runs `serve | head` must not take the broker down, as it would end any other command.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error').on('error', () => {})
  try {
    await serve({
      home,
      config: () => loadConfig(home, process.env, { portsAuto: options.ports === 'auto', hosts: options.host ?? [], set: options.set ?? [] }),
      signal: ending.signal,
      version: VERSION,
      onReady: (ready) => {
        process.stdout.write(options.json === true ? `${JSON.stringify(ready)}\n` : welcome(home, ready))
        void notifyReady(process.env, (message) => process.stderr.write(`sallyport: ${message}\n`))
      },
      onReload: (way) => {
        reload = way
        if (isAsked) onHangup()
      },
    })
  } finally {
    process.off('SIGINT', end)
    process.off('SIGTERM', end)
    process.off('SIGHUP', onHangup)
    process.off('SIGUSR1', ignored)
  }
}

/** Listening there is listening on every address: no client connects to it by that name. */
const EVERYWHERE: readonly string[] = ['::', '0.0.0.0']

/** How a client on this machine calls an address. */
const nameOf = (host: string): string => (EVERYWHERE.includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host)
const whereTo = (host: string): string => (EVERYWHERE.includes(host) ? ', on every address of this machine' : '')

function welcome(home: string, { mqtt, websocket, admin, console, enroll, pki, metrics, rootSha256, demo, fresh }: Ready): string {
  const lines = [
    fresh ? `This home is new: its CA, database, policy and demo devices are in ${home}` : `Home ${home}`,
    '',
    `MQTT over mutual TLS  mqtts://${nameOf(mqtt.host)}:${mqtt.port}   (3.1.1 and 5${whereTo(mqtt.host)})`,
    ...(websocket === undefined ? [] : [`MQTT over WebSocket   wss://${nameOf(websocket.host)}:${websocket.port}${websocket.path}   (mutual TLS${whereTo(websocket.host)})`]),
    `Enrollment (EST)      https://${nameOf(enroll.host)}:${enroll.port}/.well-known/est${whereTo(enroll.host) === '' ? '' : `   (${whereTo(enroll.host).slice(2)})`}`,
    `HTTPS publish         https://${nameOf(enroll.host)}:${enroll.port}/topics/`,
    `Admin API             ${admin.url}`,
    `Console               ${console.url}   (opens once, on this machine, within 10 minutes; a fresh link: npx sallyport console)`,
    `CRLs and OCSP         http://${nameOf(pki.host)}:${pki.port}${whereTo(pki.host)}`,
    `Metrics and health    ${metrics.url}/metrics, /healthz, /readyz`,
    `CA fingerprint        SHA256 ${rootSha256}`,
    '',
    ...(demo === undefined ? [] : [`Try it (bundles in ${demo.folder}): listen in one shell, speak in another.`, '', `  ${demo.subscribe}`, '', `  ${demo.publish}`, '']),
    `A device of your own: npx sallyport device add sensor-7 --group sensors --home ${home}`,
    'Ctrl-C ends it.',
    '',
  ]
  return lines.join('\n')
}

