// The part of the door where messages are posted: which question comes before which. A stranger is asked who it is before anything of its
// request is looked at; of whoever may not publish no body is read; and one connection has one message under way, so their order is kept.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Source } from '../../core/audit.ts'
import { deny, type Decision, type Denied } from '../../core/decision.ts'
import type { Caller, CallerId, Post, Posted, Shown } from '../../core/https-publish.ts'
import type { DeviceId } from '../../core/ids.ts'
import { PUBLISH_LIMITS } from '../../publish-limits.ts'
import { bodyOf } from '../request-body.ts'
import { DONE, problem, type PublishAnswer } from './answer.ts'
import { parsePublish } from './request.ts'

export interface PublishPorts {
  introduce(shown: Shown): Promise<Decision<Caller>>
  post(question: { readonly caller: CallerId; readonly post: Post }): Promise<Posted>
  gone(caller: CallerId): void
  packetBytesMax(): number
  /** What this door refuses by itself. */
  refused(asked: PublishAsked, denied: Denied, caller: Caller | undefined): void
}

export interface PublishAsked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Path and query, without the host. */
  readonly target: string
  readonly socket: TLSSocket
  readonly source: Source
  readonly chain: readonly Uint8Array[]
  /** The client waits to be told to send its body. */
  readonly continues: boolean
  /** Has its address a request left? Those that are known are not counted. */
  readonly withinRate: () => boolean
}

export interface PublishDoor {
  answer(asked: PublishAsked): Promise<PublishAnswer>
  /** This caller may speak no longer: its connection is closed. */
  end(caller: CallerId): void
}

export function openPublishDoor(ports: PublishPorts): PublishDoor {
  const callers = new WeakMap<TLSSocket, Caller>()
  const sockets = new Map<CallerId, TLSSocket>()
  /** Bytes of bodies that are being read, and of those of each device. */
  let reading = 0
  const readingOf = new Map<DeviceId, number>()

  async function answer(asked: PublishAsked): Promise<PublishAnswer> {
    const { request } = asked
    const caller = await callerOf(asked)
    if (!caller.allow) return caller.denied
    if (request.method !== 'POST') return refuse(asked, deny('publish-request', 'another method than POST'), { status: 405, headers: { Allow: 'POST' } })
    const post = parsePublish(asked.target, request.headers)
    if (!post.allow) return refuse(asked, post)
    const payload = await payloadOf(asked, caller.value.device, ports.packetBytesMax())
    if (!payload.allow) return refuse(asked, payload)
    const { decision, ends } = await ports.post({ caller: caller.value.id, post: { ...post.value, payload: payload.value } })
    const headers = ends ? CLOSE : {}
    return decision.allow ? { ...DONE, headers: { ...DONE.headers, ...headers } } : problem(decision, { headers })
  }

  /** Whoever is behind this connection is asked for once; whether it still may is asked with every message. */
  async function callerOf(asked: PublishAsked): Promise<{ readonly allow: true; readonly value: Caller } | { readonly allow: false; readonly denied: PublishAnswer }> {
    const { socket, chain, source } = asked
    const known = callers.get(socket)
    if (known !== undefined) return { allow: true, value: known }
    if (!asked.withinRate()) return { allow: false, denied: refuse(asked, deny('enrollment-rate'), { headers: CLOSE }) }
    const caller = await ports.introduce({ chain, failure: socket.authorized ? undefined : String(socket.authorizationError), source, tls: socket.getProtocol() === 'TLSv1.3' ? '1.3' : '1.2' })
    // What the desk refuses it has recorded.
    if (!caller.allow) return { allow: false, denied: problem(caller, { headers: CLOSE }) }
    const { id } = caller.value
    if (socket.destroyed) {
      ports.gone(id)
      return { allow: false, denied: problem(deny('publish-busy')) }
    }
    callers.set(socket, caller.value)
    sockets.set(id, socket)
    socket.once('close', () => {
      sockets.delete(id)
      ports.gone(id)
    })
    return caller
  }

  /** No more of it is held than is left for all; an announced length counts as if it had come. */
  async function payloadOf({ request, response, continues }: PublishAsked, device: DeviceId, bytesMax: number): Promise<Decision<Uint8Array>> {
    const announced = request.headers['content-length'] === undefined ? undefined : Number(request.headers['content-length'])
    if (announced !== undefined && announced > bytesMax) return deny('packet-too-large')
    const room = announced ?? (request.headers['transfer-encoding'] === undefined ? 0 : bytesMax)
    const own = readingOf.get(device) ?? 0
    if (own + room > Math.max(PUBLISH_LIMITS.bodyBytesPerDeviceMax, bytesMax)) return deny('quota-exceeded', 'the bodies that it sends at once are too large')
    if (reading + room > PUBLISH_LIMITS.bodyBytesMax) return deny('publish-busy')
    count(device, room)
    try {
      if (continues) response.writeContinue()
      const body = await bodyOf(request, bytesMax)
      // A copy of its own: what goes to the other thread takes all of its buffer along.
      return body === undefined ? deny('packet-too-large') : { allow: true, value: Uint8Array.from(body) }
    } finally {
      count(device, -room)
    }
  }

  function count(device: DeviceId, bytes: number): void {
    reading += bytes
    const own = (readingOf.get(device) ?? 0) + bytes
    if (own === 0) readingOf.delete(device)
    else readingOf.set(device, own)
  }

  function refuse(asked: PublishAsked, denied: Denied, more: Parameters<typeof problem>[1] = {}): PublishAnswer {
    ports.refused(asked, denied, callers.get(asked.socket))
    return problem(denied, { ...more, headers: { ...more.headers, ...(leavesBody(asked) ? CLOSE : {}) } })
  }

  return {
    answer,
    end: (caller) => void sockets.get(caller)?.destroy(),
  }
}

const CLOSE = { Connection: 'close' } as const

/** Is there more of the body than is worth reading for the sake of the connection? RFC 9110 §10.1.1: of one that was to wait nobody knows whether it comes. */
function leavesBody({ request, continues }: PublishAsked): boolean {
  if (request.complete || request.readableEnded) return false
  return continues || request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > PUBLISH_LIMITS.discardBytesMax
}
