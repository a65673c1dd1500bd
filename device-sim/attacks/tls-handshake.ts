// Family T: handshakes that are not as TLS wants them, and what is not TLS at all. Written by hand, byte by byte.

import { sign } from 'node:crypto'
import mqttPacket from 'mqtt-packet'
import { ALERT_RECORD, clientHello, HANDSHAKE, record, SIGNATURE_SCHEMES, TLS_VERSION } from '../forge/client-hello.ts'
import { privateKey } from '../forge/keys.ts'
import { certificateVerifyBody, openTls12, type Tls12Result } from '../forge/tls12.ts'
import type { Identity } from '../identities.ts'
import type { Observed } from '../oracle.ts'
import { exchange, type Exchange } from '../raw-socket.ts'
import { connectPacket } from '../raw-peer.ts'
import { auditOf, type Arena, type Bench, type Runner } from './arena.ts'

/** T37: the message is still in the clear in TLS 1.2, so a handshake written by hand can say anything in it. */
const VERIFICATIONS: Readonly<Record<string, (transcript: Buffer, own: Identity) => Buffer>> = {
  'signed over another transcript': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript.subarray(1), own.keyObject)),
  'signed with another key': (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, privateKey())),
  'another hash than stated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha384', transcript, own.keyObject)),
  'a scheme that was not offered': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha1, sign('sha1', transcript, own.keyObject)),
  'a scheme of another key type': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.rsaSha256, sign('sha256', transcript, own.keyObject)),
  'truncated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject).subarray(0, 20)),
  'extended': (transcript, own) => Buffer.concat([certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject)), Buffer.from([0])]),
  'signature of no length': () => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, Buffer.alloc(0)),
  'empty': () => Buffer.alloc(0),
}

async function handmade(arena: Arena, own: Identity, verification: (transcript: Buffer) => Buffer): Promise<{ readonly source: string | undefined; readonly result: Tls12Result }> {
  const source = arena.sources.next()
  await arena.target.turn?.()
  const result = await openTls12({
    host: arena.target.host,
    port: arena.target.port,
    ...(source === undefined ? {} : { localAddress: source }),
    chain: own.chain,
    certificateVerify: verification,
  })
  return { source, result }
}

function observedOf(result: Tls12Result): Observed {
  switch (result.kind) {
    case 'alert': return { kind: 'refused-in-tls', how: `alert ${result.description}` }
    case 'closed': return { kind: 'refused-in-tls', how: 'closed' }
    case 'silent': return { kind: 'open', afterMs: 0 }
    case 'established': return { kind: 'disturbed', how: 'the handshake was completed' }
  }
}

async function malformedVerifications(arena: Arena, bench: Bench): Promise<void> {
  const own = await arena.identities.fresh('t37')
  const honest = await handmade(arena, own, (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject)))
  if (honest.result.kind === 'established') {
    const { connection } = honest.result
    connection.send(mqttPacket.generate(connectPacket(own.id, 4)))
    const answer = await connection.receive()
    bench.control('the same handshake, signed properly', answer?.[0] === 0x20 && answer[3] === 0, `answered ${answer?.toString('hex') ?? 'nothing'}`)
    connection.end()
  } else bench.control('the same handshake, signed properly', false, honest.result.kind)
  for (const [label, verification] of Object.entries(VERIFICATIONS)) {
    const { source, result } = await handmade(arena, own, (transcript) => verification(transcript, own))
    bench.attack('attack', label, observedOf(result), { address: source, port: result.localPort })
    if (result.kind === 'established') result.connection.end()
  }
}

/** A TLS alert, or nothing at all, and then the end of the connection: the peer was not spoken to. */
function refusedRaw(seen: Exchange): Observed {
  const alert = seen.answer[0] === HANDSHAKE.alert
  if (seen.answer.length > 0 && !alert) return { kind: 'disturbed', how: `answered ${seen.answer.subarray(0, 8).toString('hex')}` }
  if (!seen.closed) return { kind: 'open', afterMs: seen.afterMs }
  return { kind: 'refused-in-tls', how: alert ? `alert ${seen.answer[ALERT_RECORD.description] ?? 0}` : 'closed' }
}

const isServerHello = (answer: Buffer): boolean => answer[0] === HANDSHAKE.record && answer[5] === 2

async function modernHelloWorks(arena: Arena, bench: Bench): Promise<void> {
  const hello = record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], clientHello({ version: TLS_VERSION['TLS 1.2'] }))
  const answer = await exchange(arena.target, hello, arena.sources.next(), isServerHello)
  bench.control('a TLS 1.2 ClientHello', isServerHello(answer.answer), answer.answer.subarray(0, 8).toString('hex'))
}

async function oldVersions(arena: Arena, bench: Bench): Promise<void> {
  await modernHelloWorks(arena, bench)
  for (const [label, version] of Object.entries(TLS_VERSION)) {
    if (version === TLS_VERSION['TLS 1.2']) continue
    const seen = await exchange(arena.target, record(HANDSHAKE.record, version, clientHello({ version })), arena.sources.next())
    bench.attack('attack', label, refusedRaw(seen), auditOf(seen))
  }
}

async function otherProtocols(arena: Arena, bench: Bench): Promise<void> {
  await modernHelloWorks(arena, bench)
  const bytes: Readonly<Record<string, Buffer>> = {
    'HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'SSH': Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
    'plain MQTT 3.1.1': mqttPacket.generate(connectPacket('sensor', 4)),
    'plain MQTT 5': mqttPacket.generate(connectPacket('sensor', 5)),
  }
  for (const [label, data] of Object.entries(bytes)) {
    const seen = await exchange(arena.target, data, arena.sources.next())
    bench.attack('attack', label, refusedRaw(seen), auditOf(seen))
  }
}

export const TLS_HANDSHAKE_CASES = {
  T37: malformedVerifications,
  T39: oldVersions,
  T48: otherProtocols,
} as const satisfies Record<string, Runner>
