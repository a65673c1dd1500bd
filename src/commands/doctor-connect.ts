// sallyport doctor connect: a connection with a certificate at hand, step by step, up to the one that refuses. First
// offline, with the rules of the door; then for real, with a client id of its own so that nobody is taken over.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { judgeStanding } from '../core/admission.ts'
import type { Decision } from '../core/decision.ts'
import type { Desk } from '../core/desk.ts'
import { SallyportError } from '../core/errors.ts'
import { identify } from '../core/identity.ts'
import { DEFAULT_TENANT, parseSerialNumber, printable, type CaName, type DeviceId } from '../core/ids.ts'
import { homePaths } from '../home.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { loadPolicy } from '../policy-file.ts'
import { EXIT, REASONS, type DenyReason, type Step } from '../vocabulary.ts'
import { openTrust, type TrustedCa } from '../x509/chain.ts'
import { keyHash, spkiOf } from '../x509/keys.ts'
import { decodePem } from '../x509/pem.ts'
import { configOf, endpointsOf, homeOf, print, readText, required, time, withDesk, type CommonOptions } from './context.ts'

interface ConnectOptions extends CommonOptions {
  readonly cert: string
  readonly key: string
  readonly ca?: string
  readonly host: string
  readonly port?: string
}

interface StepSeen {
  readonly step: 'key' | 'certificate' | 'identity' | 'registry' | 'tls' | 'connect'
  readonly ok: boolean
  readonly message: string
  readonly reason?: DenyReason
  readonly fix?: string
}

const ANSWER_MS = 10_000
const PORT_MAX = 65_535

function stopped(step: StepSeen['step'], reason: DenyReason, detail?: string): StepSeen {
  const { sentence, fix } = REASONS[reason]
  return { step, ok: false, reason, message: `${sentence.replace(/\.$/, '')}${detail === undefined ? '' : ` (${detail})`}.`, fix }
}

export async function doctorConnect(options: ConnectOptions): Promise<void> {
  const home = homeOf(options)
  const cert = readText(options.cert)
  const key = readText(options.key)
  const ca = readText(options.ca ?? path.join(homePaths(home).local, 'root.pem'))
  const chain = required(decodePem(cert, 'CERTIFICATE'))
  const port = portOf(options.port) ?? (await endpointsOf(home))?.mqtt.port
  const steps: StepSeen[] = []
  const device = await withDesk(options, (desk) => judgeOffline(desk, home, chain, key, steps))
  const startedAt = Date.now()
  const clientId = `${device ?? ''}:doctor`
  const outcome = port === undefined ? NOT_TRIED : await connect({ host: options.host, port, ca, cert, key, clientId })
  steps.push(...outcome.steps)
  const refused = steps.find((s) => !s.ok)
  // The server does not tell a stranger why. Its audit log tells us.
  if (refused !== undefined && refused.reason === undefined && device !== undefined) steps.push(...(await whyRefused(options, device, { clientId, startedAt, answered: outcome.answered })))
  print(options, { steps, connects: refused === undefined }, () => steps.map((s) => `${s.ok ? 'ok  ' : 'NO  '} ${s.step}: ${s.message}${s.fix === undefined ? '' : `\n      fix: ${s.fix}`}`).join('\n'))
  if (refused !== undefined) process.exitCode = steps.some((s) => s.step === 'tls' && s.fix === UNREACHABLE_FIX) ? EXIT.unreachable : EXIT.refused
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > PORT_MAX) throw new SallyportError('usage', `--port takes a number from 1 to ${PORT_MAX}.`)
  return port
}

/** What can be said without connecting, by the rules that the door applies. Returns the device that the certificate speaks for. */
async function judgeOffline(desk: Desk, home: string, chain: readonly Uint8Array[], key: string, steps: StepSeen[]): Promise<DeviceId | undefined> {
  const [leaf] = chain
  if (leaf === undefined) return undefined
  steps.push(keyFits(leaf, key) ? { step: 'key', ok: true, message: 'it belongs to the certificate' } : stopped('key', 'tls-possession-unproven'))
  const trust = openTrust([...(await ownCas(desk)), ...trustedCas(home)])
  const judged = trust.judge(chain, Date.now())
  if (!judged.allow) return refusedAt('certificate', judged, steps)
  const { leaf: facts, issuer, role } = judged.value
  steps.push({ step: 'certificate', ok: true, message: `issued by ${issuer}, in force until ${time(facts.notAfter)}` })
  const identity = identify(facts, issuer, role !== 'trusted', role === 'trusted' ? (await loadPolicy(configOf(home).policyFile, 1)).policy.identity : new Map())
  if (!identity.allow) return refusedAt('identity', identity, steps)
  const { device: id, register } = identity.value
  const named = trust.judgeId(issuer, id)
  if (!named.allow) return refusedAt('identity', named, steps)
  steps.push({ step: 'identity', ok: true, message: `it speaks for ${id}` })
  const device = await orNothing(desk.device(id))
  const serial = required(parseSerialNumber(facts.serial))
  const record = [...(device?.certificates ?? []), await orNothing(desk.certificate(serial))].find((c) => c?.sha256 === facts.sha256)
  const other = role === 'trusted' ? device?.certificates.find((c) => c.issuer !== issuer) : undefined
  if (record === undefined && other !== undefined) {
    refusedAt('registry', { reason: 'device-issuer-mismatch', detail: `${id} has certificates of ${other.issuer}` }, steps)
    return id
  }
  if (record === undefined && role === 'trusted' && (device !== undefined || register === 'auto')) {
    steps.push({ step: 'registry', ok: true, message: 'this certificate of a trusted CA is recorded when it first connects' })
    return id
  }
  // A certificate that nobody recorded says less than a device that nobody registered.
  const standing: Decision<unknown> = device === undefined && record === undefined ? { allow: false, reason: 'device-unknown', detail: id } : judgeStanding({ now: Date.now(), record, device })
  if (!standing.allow) refusedAt('registry', standing, steps)
  else steps.push({ step: 'registry', ok: true, message: `${id} is active, in ${device?.groups.join(', ') || 'no group'}` })
  return id
}

function orNothing<T>(answer: Promise<T>): Promise<T | undefined> {
  return answer.catch((error: unknown) => (error instanceof SallyportError && error.code === 'not-found' ? undefined : Promise.reject(error as Error)))
}

function refusedAt(step: StepSeen['step'], { reason, detail }: { readonly reason: DenyReason; readonly detail?: string }, steps: StepSeen[]): undefined {
  steps.push(stopped(step, reason, detail))
  return undefined
}

async function ownCas(desk: Desk): Promise<readonly TrustedCa[]> {
  // What is trusted of others is said by the configuration, whatever a server has recorded.
  return (await desk.cas()).flatMap(({ name, role, state, ids, pem }) => (role === 'trusted' || state === 'created' ? [] : anchorOf(name, role, pem, state === 'retired', ids)))
}

function trustedCas(home: string): readonly TrustedCa[] {
  return configOf(home).trust.flatMap(({ name, file }) => anchorOf(name, 'trusted', readText(file)))
}

function anchorOf(name: CaName, role: TrustedCa['role'], pem: string, retired = false, ids?: TrustedCa['ids']): readonly TrustedCa[] {
  const [der] = required(decodePem(pem, 'CERTIFICATE'))
  return der === undefined ? [] : [{ name, role, tenant: DEFAULT_TENANT, der, retired, ids }]
}

function keyFits(leaf: Uint8Array, key: string): boolean {
  try {
    return keyHash(spkiOf(createPrivateKey(key))) === keyHash(spkiOf(new X509Certificate(leaf).publicKey))
  } catch {
    return false // Not a key.
  }
}

/**
 * What the server has written about this attempt, and not about the device itself, which may be refused at the same time for
 * another reason. Who was closed without an answer had perhaps not come as far as to have a client id in the log.
 */
async function whyRefused(options: CommonOptions, device: DeviceId, attempt: { readonly clientId: string; readonly startedAt: number; readonly answered: boolean }): Promise<readonly StepSeen[]> {
  const { refusals } = await withDesk(options, (desk) => desk.why(device)).catch(() => ({ refusals: [] }))
  // As the door cuts it, and then the log.
  const clientId = printable(printable(attempt.clientId), AUDIT_LIMITS.fieldCharsMax)
  const since = refusals.filter((r) => r.at >= attempt.startedAt)
  const seen = since.find((r) => r.clientId === clientId) ?? (attempt.answered ? undefined : since.find((r) => r.clientId === undefined && BEFORE_CONNECT.includes(r.step)))
  return seen === undefined ? [] : [stopped('connect', seen.reason, seen.detail)]
}

/** At the steps after these a refusal has a client id. */
const BEFORE_CONNECT: readonly Step[] = ['source', 'tls', 'certificate', 'registry']

interface Attempt {
  readonly host: string
  readonly port: number
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly clientId: string
}

const UNREACHABLE_FIX = 'Check host and port, and that the server runs.'
const SERVER_FIX = 'Check the host name, and that --ca is the root of this server.'
/** Errors of the socket below TLS, before anybody spoke. */
const UNREACHABLE: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EAI_AGAIN']

interface Outcome {
  readonly steps: readonly StepSeen[]
  /** The server has judged the CONNECT and said so. */
  readonly answered: boolean
}

const NOT_TRIED: Outcome = { steps: [{ step: 'connect', ok: false, message: 'No server runs in this home.', fix: 'Start it (sallyport serve), or name one with --host and --port.' }], answered: false }

/** A real handshake and a real CONNECT. */
function connect({ host, port, ca, cert, key, clientId }: Attempt): Promise<Outcome> {
  return new Promise((resolve) => {
    const steps: StepSeen[] = []
    let socket: tls.TLSSocket
    try {
      socket = tls.connect({ host, port, ca, cert, key, servername: isIP(host) === 0 ? host : '', minVersion: 'TLSv1.2', timeout: ANSWER_MS })
    } catch (error) {
      resolve({ steps: [{ step: 'tls', ok: false, message: `The key or the certificate cannot be used (${error instanceof Error ? error.message : ''}).` }], answered: false })
      return
    }
    let greeted = false
    const done = (step: StepSeen, answered = false): void => {
      socket.destroy()
      resolve({ steps: [...steps, step], answered })
    }
    socket.once('secureConnect', () => {
      greeted = true
      steps.push({ step: 'tls', ok: true, message: `${socket.getProtocol() ?? 'TLS'} with ${host}:${port}; the server proved its name` })
      socket.write(mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, clientId, keepalive: 30 }, { protocolVersion: 5 }))
    })
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    parser.on('error', () => done({ step: 'connect', ok: false, message: 'The answer is not MQTT.', fix: UNREACHABLE_FIX }))
    parser.on('packet', (packet) => {
      if (packet.cmd !== 'connack') return
      const code = packet.reasonCode ?? 0
      if (code === 0) done({ step: 'connect', ok: true, message: 'accepted' })
      else done({ step: 'connect', ok: false, message: `refused with 0x${code.toString(16)} ${packet.properties?.reasonString ?? ''}`.trim() }, true)
    })
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.once('timeout', () => done({ step: greeted ? 'connect' : 'tls', ok: false, message: 'no answer in time', fix: UNREACHABLE_FIX }))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const { code = error.message } = error
      if (greeted) done({ step: 'connect', ok: false, message: `the server ended the connection (${code}), as it does with certificates that it does not accept` })
      else done({ step: 'tls', ok: false, message: `the handshake did not succeed (${code})`, fix: UNREACHABLE.includes(code) ? UNREACHABLE_FIX : SERVER_FIX })
    })
    socket.once('close', () => done({ step: 'connect', ok: false, message: 'the server closed the connection without an answer, as it does with certificates that it does not accept' }))
  })
}
