// One attempt: a POST over TLS to an address that is judged when it is connected to. It follows nothing, believes nothing of the answer
// but its status and how long it wants to be left alone, and is over within its time whatever the other side does.

import { Agent, request } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import { outcomeOf, type Outcome } from '../core/webhook.ts'
import type { Addresses } from './address.ts'
import { systemNames, type Resolve } from './names.ts'

export interface SenderPorts {
  readonly addresses: () => Addresses
  /** PEM: CAs besides those that everybody trusts. */
  readonly ca?: readonly string[] | undefined
  readonly resolve?: Resolve
  readonly answerMs?: number
}

export interface Sender extends Disposable {
  /** Resolves with what became of it, and never rejects; `signal` ends it at once. */
  send(url: string, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Outcome>
}

const STOPPED = 'the server stopped'
const unavailable = (because: string): Outcome => ({ kind: 'unavailable', because })

export function openSender({ addresses, ca, resolve = systemNames, answerMs = WEBHOOK_LIMITS.answerMs }: SenderPorts): Sender {
  // Connections are kept: the next message goes the same way. The second is for a test.
  const agent = new Agent({ keepAlive: true, maxSockets: 2, maxCachedSessions: 0, ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ...ca] }) })

  /** A name that leads inside is refused whatever it led to a moment ago: what is judged here is what is connected to. */
  const lookup: LookupFunction = (name, { all }, done) => {
    resolve(name, (failure, found) => {
      if (failure !== null) return done(failure, [])
      const judged = found.map((each) => ({ each, verdict: addresses().judge(each.address) }))
      const allowed = judged.filter(({ verdict }) => verdict.allow).map(({ each }) => each)
      const [first] = allowed
      if (first === undefined) return done(new Error(judged[0] === undefined ? `${name} has no address` : `${name} leads to ${judged[0].each.address}, which is internal`), [])
      return all === true ? done(null, allowed) : done(null, first.address, first.family)
    })
  }

  function send(url: string, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Outcome> {
    const { promise, resolve: settle } = Promise.withResolvers<Outcome>()
    const host = new URL(url).hostname.replaceAll(/^\[|\]$/g, '')
    if (signal.aborted) return Promise.resolve(unavailable(STOPPED))
    // What is an address already is never looked up.
    const literal = isIP(host) === 0 ? undefined : addresses().judge(host)
    if (literal?.allow === false) return Promise.resolve(unavailable(`${host} is internal`))
    const sent = request(url, { method: 'POST', agent, lookup, headers, maxHeaderSize: WEBHOOK_LIMITS.headerBytesMax }, (response) => {
      settle(outcomeOf(response.statusCode ?? 0, response.headers['retry-after']))
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > WEBHOOK_LIMITS.answerBytesMax) sent.destroy()
      })
      response.on('error', () => {})
      response.once('end', () => clearTimeout(deadline))
    })
    const stop = (because: string): void => {
      settle(unavailable(because))
      sent.destroy()
    }
    const deadline = setTimeout(() => stop('it did not answer in time'), answerMs)
    const onAbort = (): void => stop(STOPPED)
    signal.addEventListener('abort', onAbort, { once: true })
    sent.on('socket', (socket: Socket) => {
      if (socket.connecting) socket.once('connect', () => judgeSocket(socket))
      // It stands since an earlier message, and what was allowed then may not be now.
      else judgeSocket(socket)
    })
    sent.on('error', (cause: NodeJS.ErrnoException) => stop(cause.code === undefined ? cause.message : `${cause.message} (${cause.code})`))
    sent.once('close', () => {
      clearTimeout(deadline)
      signal.removeEventListener('abort', onAbort)
      settle(unavailable('the connection was closed'))
    })
    sent.end(body)
    return promise
  }

  /** The last word before anything is said: whatever the look-up said, this is where the connection goes. */
  function judgeSocket(socket: Socket): void {
    const { remoteAddress } = socket
    if (remoteAddress === undefined || !addresses().judge(remoteAddress).allow) socket.destroy(new Error(`${remoteAddress ?? 'the address'} is internal`))
  }

  return { send, [Symbol.dispose]: () => agent.destroy() }
}
