// sallyport doctor connect: the seven steps of a connection with a certificate at hand, up to the one that refuses. First
// offline, with the rules of the door; then for real.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { deviceNameOf } from '../core/certificate-rules.ts'
import { SallyportError } from '../core/errors.ts'
import { DEFAULT_TENANT } from '../core/ids.ts'
import { homePaths } from '../home.ts'
import { EXIT, REASONS, type DenyReason } from '../vocabulary.ts'
import { openTrust } from '../x509/chain.ts'
import { keyHash, spkiOf } from '../x509/keys.ts'
import { decodePem } from '../x509/pem.ts'
import { endpointsOf, homeOf, print, required, time, withDesk, type CommonOptions } from './context.ts'

interface ConnectOptions extends CommonOptions {
  readonly cert: string
  readonly key: string
  readonly ca?: string
  readonly host: string
  readonly port?: string
}

interface StepSeen {
  readonly step: string
  readonly ok: boolean
  readonly message: string
  readonly reason?: DenyReason
  readonly fix?: string
}

const ANSWER_MS = 10_000

const stopped = (step: string, reason: DenyReason, detail?: string): StepSeen => ({ step, ok: false, reason, message: `${REASONS[reason].sentence}${detail === undefined ? '' : ` (${detail})`}`, fix: REASONS[reason].fix })

export async function doctorConnect(options: ConnectOptions): Promise<void> {
  const cert = read(options.cert)
  const key = read(options.key)
  const home = homeOf(options)
  const ca = read(options.ca ?? path.join(homePaths(home).local, 'root.pem'))
  const steps: StepSeen[] = []
  const chain = required(decodePem(cert, 'CERTIFICATE'))
  const port = options.port === undefined ? endpointsOf(home)?.mqtt.port : Number(options.port)
  const clientId = await judgeOffline(options, chain, key, steps)
  if (port === undefined) steps.push({ step: 'connect', ok: false, message: 'No server runs in this home.', fix: 'Start it (sallyport serve), or name one with --host and --port.' })
  else steps.push(...(await connect({ host: options.host, port, ca, cert, key, clientId })))
  const refused = steps.find((s) => !s.ok)
  print(options, { steps, connects: refused === undefined }, () => steps.map((s) => `${s.ok ? 'ok  ' : 'NO  '} ${s.step}: ${s.message}${s.fix === undefined ? '' : `\n      fix: ${s.fix}`}`).join('\n'))
  if (refused !== undefined) process.exitCode = EXIT.refused
}

function read(file: string): string {
  if (!existsSync(file)) throw new SallyportError('not-found', `There is no file ${file}.`)
  return readFileSync(file, 'utf8')
}

/** What can be said without connecting. Returns the client id to connect with. */
async function judgeOffline(options: ConnectOptions, chain: readonly Uint8Array[], key: string, steps: StepSeen[]): Promise<string> {
  const [leaf] = chain
  if (leaf === undefined) return ''
  steps.push(keyFits(leaf, key) ? { step: 'key', ok: true, message: 'it belongs to the certificate' } : stopped('key', 'tls-possession-unproven'))
  return withDesk(options, async (desk) => {
    const cas = (await desk.cas()).map((ca) => ({ name: ca.name, role: ca.role, tenant: DEFAULT_TENANT, der: required(decodePem(ca.pem, 'CERTIFICATE'))[0] ?? new Uint8Array() }))
    const judged = openTrust(cas).judge(chain, Date.now())
    if (!judged.allow) {
      steps.push(stopped('certificate', judged.reason, judged.detail))
      return ''
    }
    const { leaf: facts, issuer } = judged.value
    steps.push({ step: 'certificate', ok: true, message: `issued by ${issuer}, in force until ${time(facts.notAfter)}` })
    const name = deviceNameOf(facts)
    if (!name.allow) {
      steps.push(stopped('certificate', name.reason, name.detail))
      return ''
    }
    const device = await desk.device(name.value).catch((error: unknown) => (error instanceof SallyportError && error.code === 'not-found' ? undefined : Promise.reject(error as Error)))
    if (device === undefined) steps.push(stopped('registry', 'device-unknown', name.value))
    else {
      const record = device.certificates.find((c) => c.sha256 === facts.sha256)
      if (record === undefined) steps.push(stopped('registry', 'certificate-unrecorded'))
      else if (record.state === 'revoked') steps.push(stopped('registry', 'certificate-revoked', record.revocationReason))
      else if (device.state !== 'active') steps.push({ step: 'registry', ok: false, message: `The device is ${device.state}.`, fix: `sallyport device resume ${device.id}` })
      else steps.push({ step: 'registry', ok: true, message: `${device.id} is active, in ${device.groups.join(', ') || 'no group'}` })
    }
    return name.value
  })
}

function keyFits(leaf: Uint8Array, key: string): boolean {
  try {
    return keyHash(spkiOf(createPrivateKey(key))) === keyHash(spkiOf(new X509Certificate(leaf).publicKey))
  } catch {
    return false // Not a key.
  }
}

interface Attempt {
  readonly host: string
  readonly port: number
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly clientId: string
}

/** A real handshake and a real CONNECT. */
function connect({ host, port, ca, cert, key, clientId }: Attempt): Promise<readonly StepSeen[]> {
  return new Promise((resolve) => {
    const steps: StepSeen[] = []
    let socket: tls.TLSSocket
    const done = (step: StepSeen): void => {
      steps.push(step)
      socket?.destroy()
      resolve(steps)
    }
    try {
      socket = tls.connect({ host, port, ca, cert, key, servername: /^[\d.:]+$/.test(host) ? '' : host, minVersion: 'TLSv1.2', timeout: ANSWER_MS })
    } catch (error) {
      resolve([{ step: 'tls', ok: false, message: `The key or certificate cannot be used (${error instanceof Error ? error.message : ''}).` }])
      return
    }
    socket.once('secureConnect', () => {
      steps.push({ step: 'tls', ok: true, message: `${socket.getProtocol() ?? 'TLS'} with ${host}:${port}; the server proved its name` })
      socket.write(mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, clientId, keepalive: 30 }, { protocolVersion: 5 }))
    })
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    parser.on('packet', (packet) => {
      if (packet.cmd !== 'connack') return
      const code = packet.reasonCode ?? 0
      done(code === 0 ? { step: 'CONNECT', ok: true, message: 'accepted' } : { step: 'CONNECT', ok: false, message: `refused with 0x${code.toString(16)}: ${packet.properties?.reasonString ?? ''}`, fix: 'sallyport why DEVICE says more.' })
    })
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.once('timeout', () => done({ step: 'CONNECT', ok: false, message: 'no answer in time' }))
    socket.once('error', (error: NodeJS.ErrnoException) => done({ step: 'tls', ok: false, message: `${error.code ?? error.message}: the handshake did not succeed` }))
    socket.once('close', () => done({ step: 'CONNECT', ok: false, message: 'the server closed the connection without an answer, as it does with certificates that it does not accept', fix: 'sallyport audit tail shows the check.' }))
  })
}
