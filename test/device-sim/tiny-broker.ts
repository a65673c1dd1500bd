// A broker of a few lines on a false CA, for tests of the simulator's own clients and judges: it routes by filter, or as a
// test tells it to, wrongly. It knows no certificate of its clients.

import { writeFileSync, mkdirSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { forgeLeaf, forgeRoot, forgeServer } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { identityOf, type Identities, type Identity } from '../../device-sim/identities.ts'
import type { Target } from '../../device-sim/target.ts'

export interface TinySession {
  readonly id: string
  readonly version: number
  readonly filters: Set<string>
  readonly socket: tls.TLSSocket
  send(packet: Packet): void
}

export interface TinyRules {
  /** Who gets the n-th message (from 0); a session twice gets it twice. Absent: whoever's filter matches. */
  route?(message: IPublishPacket, from: TinySession, sessions: readonly TinySession[], n: number): readonly TinySession[]
  /** The answer to a publish of QoS 1 in MQTT 5; absent: 0. */
  answer?(message: IPublishPacket, from: TinySession): number
  /** Takes the packet in the place of the broker. */
  instead?(packet: Packet, from: TinySession): boolean
}

export interface TinyBroker extends AsyncDisposable {
  readonly target: Target
  readonly sessions: readonly TinySession[]
  identity(id: string): Identity
  readonly identities: Identities
  /** Stands in for `device bundle ID --out DIR`. */
  command(...args: readonly string[]): Promise<string>
}

function matches(filter: string, topic: string): boolean {
  const [f, t] = [filter.split('/'), topic.split('/')]
  for (const [i, level] of f.entries()) {
    if (level === '#') return true
    if (t[i] === undefined || (level !== '+' && level !== t[i])) return false
  }
  return f.length === t.length
}

export const subscribers = (message: IPublishPacket, sessions: readonly TinySession[]): readonly TinySession[] =>
  sessions.filter((session) => [...session.filters].some((filter) => matches(filter, message.topic)))

/** The way of the starter policy: what a device publishes elsewhere than below its own topic is dropped. */
export function ownTopicsOnly(message: IPublishPacket, from: TinySession): boolean {
  return message.topic.startsWith(`t/${from.id}/`) || message.topic.startsWith('cmd/')
}

export async function tinyBroker(rules: TinyRules = {}): Promise<TinyBroker> {
  const root = forgeRoot('Tiny')
  const leaf = forgeServer(root, ['localhost'])
  const sessions: TinySession[] = []
  let published = 0
  const server = tls.createServer({ cert: pem('CERTIFICATE', leaf.certificate), key: keyPem(leaf.key), ca: pem('CERTIFICATE', root.certificate), requestCert: true, rejectUnauthorized: false }, (socket) => {
    const parser = mqttPacket.parser({})
    let session: TinySession = { id: '', version: 4, filters: new Set(), socket, send: () => {} }
    const open = (id: string, version: number): void => {
      session = { id, version, filters: new Set(), socket, send: (packet) => void (socket.destroyed || socket.write(mqttPacket.generate(packet, { protocolVersion: version }))) }
      sessions.push(session)
      session.send({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0 })
    }
    const publish = (message: IPublishPacket): void => {
      const { messageId, qos } = message
      if (qos === 1 && messageId !== undefined) session.send({ cmd: 'puback', messageId, reasonCode: rules.answer?.(message, session) ?? 0 })
      if (qos === 2 && messageId !== undefined) session.send({ cmd: 'pubrec', messageId })
      const receivers = rules.route?.(message, session, sessions, published) ?? subscribers(message, sessions)
      published += 1
      for (const [i, receiver] of receivers.entries()) receiver.send({ ...message, dup: false, ...(qos === 0 ? {} : { messageId: ((published * 100 + i) % 60_000) + 1 }) })
    }
    parser.on('packet', (packet) => {
      if (rules.instead?.(packet, session) === true) return
      if (packet.cmd === 'connect') open(packet.clientId, packet.protocolVersion ?? 4)
      else if (packet.cmd === 'subscribe') {
        for (const { topic } of packet.subscriptions) session.filters.add(topic)
        session.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(({ qos }) => qos) })
      } else if (packet.cmd === 'publish') publish(packet)
      else if (packet.cmd === 'pubrel') session.send({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 })
      else if (packet.cmd === 'pubrec') session.send({ cmd: 'pubrel', messageId: packet.messageId ?? 0 })
      else if (packet.cmd === 'pingreq') session.send({ cmd: 'pingresp' })
    })
    parser.on('error', () => socket.destroy())
    socket.on('data', (chunk) => void parser.parse(chunk))
    socket.on('error', () => {})
    socket.once('close', () => sessions.includes(session) && sessions.splice(sessions.indexOf(session), 1))
  })
  const sockets = new Set<tls.TLSSocket>()
  server.on('secureConnection', (socket) => void sockets.add(socket))
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  let count = 0
  const identity = (id: string): Identity => {
    const { certificate, key } = forgeLeaf(root, id)
    return identityOf(id, pem('CERTIFICATE', certificate), keyPem(key))
  }
  const named = (label: string): string => `tiny-${label}-${(count += 1)}`
  return {
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, serverName: 'localhost', ca: pem('CERTIFICATE', root.certificate) },
    sessions,
    identity,
    identities: {
      fresh: (label) => Promise.resolve(identity(named(label))),
      named: (id) => Promise.resolve(identity(id)),
      again: (id) => Promise.resolve(identity(id)),
      registered: (label) => Promise.resolve(named(label)),
      all: (ids, _, each) => Promise.resolve(ids.forEach((id) => each(identity(id)))),
      batch: (label, number) => Promise.resolve(Array.from({ length: number }, () => identity(named(label)))),
    },
    command(...args) {
      const [, , id = '', , out = ''] = args
      const { cert, key } = identity(id)
      mkdirSync(out)
      writeFileSync(path.join(out, 'device.pem'), cert)
      writeFileSync(path.join(out, 'device.key'), key)
      return Promise.resolve('')
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => void server.close(() => resolve()))
    },
  }
}
