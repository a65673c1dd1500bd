// The mutual handshake, step by step, as it really happens between a device and this server: what each side shows, what each side
// proves, and who then judges. TLS 1.2, by hand, because its certificates travel in the clear and can be shown; in TLS 1.3 the same
// seven steps happen, from the third on encrypted.

import { sign, X509Certificate } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { SimError } from './failure.ts'
import { forgeIssuing, forgeRoot, forgeServer } from './forge/authority.ts'
import { pem } from './forge/certificate.ts'
import { SIGNATURE_SCHEMES } from './forge/client-hello.ts'
import { keyPem } from './forge/keys.ts'
import { certificateVerifyBody, openTls12 } from './forge/tls12.ts'
import type { HandmadeResult } from './forge/wire.ts'
import type { Identity } from './identities.ts'
import { SIM_LIMITS } from './limits.ts'
import { attemptConnect, connectPacket } from './raw-peer.ts'
import type { Paper } from './report/text.ts'
import type { Target } from './target.ts'
import { within } from './within.ts'

export interface HandshakeStep {
  readonly title: string
  /** What was seen on the wire. */
  readonly facts: readonly string[]
  /** What it is for, and what it stops. */
  readonly why: string
}

export interface HandshakeStory {
  readonly steps: readonly HandshakeStep[]
  /** It went as it should. */
  readonly ok: boolean
}

const TYPE = { clientHello: 1, serverHello: 2, certificate: 11, serverKeyExchange: 12, certificateRequest: 13, serverHelloDone: 14, certificateVerify: 15, clientKeyExchange: 16 } as const
const SUITE_NAMES: Readonly<Record<number, string>> = { 0xc02b: 'ECDHE-ECDSA-AES128-GCM-SHA256', 0xc02f: 'ECDHE-RSA-AES128-GCM-SHA256' }
const SCHEME_NAMES: Readonly<Record<number, string>> = { 0x0403: 'ecdsa_secp256r1_sha256', 0x0503: 'ecdsa_secp384r1_sha384', 0x0804: 'rsa_pss_rsae_sha256', 0x0401: 'rsa_pkcs1_sha256' }
const SERVER_HELLO_SESSION_AT = 38

/** The certificates of a Certificate message. RFC 5246 §7.4.2. */
function certificatesIn(message: Buffer): readonly X509Certificate[] {
  const found: X509Certificate[] = []
  for (let at = 7; at + 3 <= message.length; ) {
    const length = message.readUIntBE(at, 3)
    found.push(new X509Certificate(message.subarray(at + 3, at + 3 + length)))
    at += 3 + length
  }
  return found
}

const line = (name: string): string => name.replaceAll('\n', ', ')

/** What a person compares of a certificate. */
export function describeCertificate(certificate: X509Certificate): readonly string[] {
  return [
    `subject ${line(certificate.subject)}; issued by ${line(certificate.issuer)}`,
    `serial number ${certificate.serialNumber.toLowerCase()}, valid until ${certificate.validToDate.toISOString().slice(0, 10)}, key ${certificate.publicKey.asymmetricKeyDetails?.namedCurve ?? certificate.publicKey.asymmetricKeyType ?? 'unknown'}`,
  ]
}

/** Does the chain end at a CA that the device trusts, and each certificate verify with the next? */
function chainFaults(chain: readonly X509Certificate[], target: Target): readonly string[] {
  const anchors = target.ca.split(/(?=-----BEGIN)/).filter((part) => part.includes('BEGIN CERTIFICATE')).map((part) => new X509Certificate(part))
  const faults: string[] = []
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? anchors.find((anchor) => certificate.checkIssued(anchor))
    if (issuer === undefined || !certificate.verify(issuer.publicKey)) faults.push(`${line(certificate.subject)} was not signed by ${issuer === undefined ? 'a CA that the device trusts' : line(issuer.subject)}`)
  }
  if (chain[0]?.checkHost(target.serverName) === undefined) faults.push(`it does not bear the name ${target.serverName}`)
  return faults
}

/** Shakes hands with the target as this device, and tells it. */
export async function tellHandshake(target: Target, device: Identity): Promise<HandshakeStory> {
  const seen: { readonly from: 'client' | 'server'; readonly message: Buffer }[] = []
  const result = await openTls12({
    host: target.host, port: target.port, chain: device.chain,
    certificateVerify: (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, device.keyObject)),
    onMessage: (from, message) => void seen.push({ from, message }),
  })
  const find = (from: 'client' | 'server', type: number): Buffer | undefined => seen.find((each) => each.from === from && each.message[0] === type)?.message
  const hello = find('server', TYPE.serverHello)
  if (hello === undefined) throw new SimError('unreachable', `${target.host}:${target.port} did not answer a ClientHello of TLS 1.2 (${result.kind}).`)
  const serverChain = certificatesIn(find('server', TYPE.certificate) ?? Buffer.alloc(0))
  const deviceChain = certificatesIn(find('client', TYPE.certificate) ?? Buffer.alloc(0))
  const faults = chainFaults(serverChain, target)
  const suite = hello.readUInt16BE(SERVER_HELLO_SESSION_AT + 1 + (hello[SERVER_HELLO_SESSION_AT] ?? 0))
  const request = find('server', TYPE.certificateRequest)
  const verify = find('client', TYPE.certificateVerify)
  const judged = await judgement(result, device.id)
  const steps: readonly HandshakeStep[] = [
    { title: 'ClientHello: the device says what it can', facts: ['offers TLS 1.2, ECDHE with AES-128-GCM, P-256', `asks for ${target.serverName}`], why: 'Nobody has proved anything yet. What is older than TLS 1.2 is not offered, and not accepted.' },
    { title: 'ServerHello: the server chooses', facts: [`TLS 1.2, ${SUITE_NAMES[suite] ?? `suite 0x${suite.toString(16)}`}`], why: 'Fresh random numbers of both sides make every handshake another one: a recording of an old one opens nothing.' },
    { title: 'The server shows its certificate', facts: [...serverChain.flatMap(describeCertificate), ...(faults.length === 0 ? [`the device verifies: signed by its own CA, and for the name ${target.serverName}`] : faults.map((fault) => `the device refuses: ${fault}`))], why: 'A false server of another CA, or of another name, ends here: no byte of a CONNECT leaves the device. This is what stops an attacker on the path, and phishing.' },
    { title: 'CertificateRequest: the server demands one, too', facts: request === undefined ? ['none: this server asks nobody who he is'] : [`any CA of the organisation; ${request.length} bytes`], why: 'Without this step everything that follows is between a known server and anybody.' },
    { title: 'The device shows its certificate', facts: deviceChain.flatMap(describeCertificate), why: 'A certificate is public: it is a claim, and proves nothing yet. Copied from the air it opens nothing.' },
    { title: 'CertificateVerify: the device proves that it holds the key', facts: verify === undefined ? ['nothing is proved'] : [`signs all of the handshake so far, ${verify.length - 8} bytes, ${SCHEME_NAMES[verify.readUInt16BE(4)] ?? 'another scheme'}; the key never leaves the device`], why: 'Spoofing and credential stuffing end here: there is no password to guess, and a stolen certificate has no key. The signature is over this handshake and fits no other.' },
    { title: 'Finished, and then CONNECT is judged', facts: judged.facts, why: 'TLS says who it is; the registry says whether he is let in, now: a revoked device proves its key as well as ever. From here on every message is judged.' },
  ]
  return { steps, ok: faults.length === 0 && judged.ok }
}

async function judgement(result: HandmadeResult, id: string): Promise<{ readonly facts: readonly string[]; readonly ok: boolean }> {
  if (result.kind !== 'established') return { facts: [`the server ended the handshake: ${result.kind}${result.kind === 'alert' ? ` ${result.description}` : ''}`], ok: false }
  const { connection } = result
  connection.send(mqttPacket.generate(connectPacket(id, 4)))
  const answer = await within(connection.receive(), SIM_LIMITS.verdictMs)
  connection.end()
  const code = answer?.[0] === 0x20 ? answer[3] : undefined
  return code === 0
    ? { facts: ['both Finished messages fit: nobody has changed a bit on the way', `CONNECT as ${id}: recorded, in force, active; CONNACK 0x00`], ok: true }
    : { facts: [`CONNECT as ${id} is answered ${code === undefined ? 'with nothing' : `CONNACK 0x0${code}`}`], ok: false }
}

/** What plain TLS leaves open: a server that proves itself, and asks nobody who he is. */
export async function tellOneWay(mutual: Target): Promise<HandshakeStory> {
  await using server = await openOneWayServer()
  const anybody = await attemptConnect({ target: server.target, version: 4, credentials: undefined }, 'boiler-1')
  const isIn = anybody.seen.kind === 'admitted'
  const protocol = anybody.peer.socket.getProtocol() ?? 'no TLS'
  anybody.peer.end()
  const here = await attemptConnect({ target: mutual, version: 4, credentials: undefined }, 'boiler-1')
  here.peer.end()
  const steps: readonly HandshakeStep[] = [
    { title: 'One-way TLS: the server proves itself', facts: [`${protocol}, a certificate of the right CA and name`], why: 'The line is encrypted, and the device knows to whom it speaks. So far it is as good as mutual TLS.' },
    { title: 'It asks nobody who he is', facts: ['this one was made without a CertificateRequest'], why: 'The padlock in a browser is this: it protects the visitor from a false shop, and not the shop from anybody.' },
    { title: 'Anybody connects as boiler-1', facts: [`without a certificate: ${isIn ? 'CONNACK 0x00, admitted' : anybody.seen.kind}`], why: 'Only a password is left between the network and the fleet: it can be guessed, stuffed, phished, and it is in a thousand firmwares.' },
    { title: 'The same at this server', facts: [`without a certificate: ${here.seen.kind === 'refused-in-tls' ? `closed in the handshake (${here.seen.how})` : here.seen.kind}`], why: 'Who has no key of a certificate in force is no peer: not one byte of MQTT is answered.' },
  ]
  return { steps, ok: isIn && here.seen.kind === 'refused-in-tls' }
}

interface OneWayServer extends AsyncDisposable {
  readonly target: Target
}

const ADMITTED = Buffer.from([0x20, 2, 0, 0])

async function openOneWayServer(): Promise<OneWayServer> {
  const root = forgeRoot('One-way')
  const issuing = forgeIssuing(root, 'One-way')
  const leaf = forgeServer(issuing, ['localhost'])
  const chain = [leaf.certificate, issuing.certificate].map((der) => pem('CERTIFICATE', der)).join('')
  const sockets = new Set<tls.TLSSocket>()
  const server = tls.createServer({ cert: chain, key: keyPem(leaf.key) }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('data', () => void socket.write(ADMITTED))
  })
  server.on('tlsClientError', (_fault, socket) => socket.destroy())
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, serverName: 'localhost', ca: pem('CERTIFICATE', root.certificate) },
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => void server.close(() => resolve()))
    },
  }
}

export function handshakeText({ steps }: HandshakeStory, paper: Pick<Paper, 'colour'>, withReasons: boolean): string {
  return steps.map(({ title, facts, why }, index) => `${paper.colour('bold', `${index + 1}. ${title}`)}\n${facts.map((fact) => `   ${fact}\n`).join('')}${withReasons ? `   → ${why}\n` : ''}`).join('\n')
}
