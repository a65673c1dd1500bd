// Whoever floods the enrollment door, as a process of its own: requests as bad as they come, over connections that stay open and over new
// ones, from as many addresses as it likes. Started by ca-hostile.ts with a plan in JSON; says once a second, in JSON, what it was answered.

import type { NetConnectOpts } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

interface Plan {
  readonly port: number
  readonly ca: string
  readonly seconds: number
  readonly perSecond: number
  readonly connections: number
  /** Each request over a connection of its own. */
  readonly isEachNew: boolean
  /** Whole HTTP requests. */
  readonly requests: readonly string[]
}

const TICK_MS = 10
/** More requests that are not answered yet, and the connection is cut off. */
const UNANSWERED_MAX = 1

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan
const statuses: Record<string, number> = {}
let [sent, answered, broken, dials, handshakes] = [0, 0, 0, 0, 0]

interface Line {
  readonly socket: TLSSocket
  isReady: boolean
  open: number
}
const lines: (Line | undefined)[] = Array.from({ length: plan.connections }, () => undefined)

function dial(place: number): Line {
  const n = plan.isEachNew ? dials : place
  dials += 1
  const from: NetConnectOpts = { host: '127.0.0.1', port: plan.port, localAddress: `127.${32 + ((n >> 14) & 31)}.${(n >> 7) & 127}.${(n & 127) + 1}` }
  const socket = connect({ ...from, ca: plan.ca, servername: 'localhost' })
  const line: Line = { socket, isReady: false, open: 0 }
  socket.setNoDelay(true)
  socket.once('secureConnect', () => {
    handshakes += 1
    line.isReady = true
    if (plan.isEachNew) send(line)
  })
  socket.on('data', (chunk: Buffer) => {
    for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      statuses[status] = (statuses[status] ?? 0) + 1
      answered += 1
      line.open -= 1
    }
    if (plan.isEachNew) socket.destroy()
  })
  socket.on('error', () => (broken += 1))
  socket.once('close', () => (lines[place] = undefined))
  return line
}

function send(line: Line): void {
  line.socket.write(plan.requests[sent % plan.requests.length] ?? '')
  line.open += 1
  sent += 1
}

const begun = performance.now()
let due = 0
const timer = setInterval(() => {
  const seconds = (performance.now() - begun) / 1_000
  if (seconds > plan.seconds) {
    clearInterval(timer)
    for (const line of lines) line?.socket.destroy()
    return void process.stdout.write(`${JSON.stringify({ sent, answered, broken, handshakes, seconds, statuses })}\n`, () => process.exit(0))
  }
  const wanted = seconds * plan.perSecond
  for (const [place, line] of lines.entries()) {
    if (line === undefined && (!plan.isEachNew || due < wanted)) {
      lines[place] = dial(place)
      due += 1
    }
  }
  if (plan.isEachNew) return
  // What could not be sent is not made up for: it is the server's doing, and counted as not sent.
  for (let idle = false; sent < wanted && !idle; ) {
    idle = true
    for (const line of lines) {
      if (line?.isReady !== true || line.open >= UNANSWERED_MAX || sent >= wanted) continue
      send(line)
      idle = false
    }
  }
}, TICK_MS)
